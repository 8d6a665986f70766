"""What a backend is and does, and the table of all backends.

Whatever runs a network asks this table; nothing else compares a backend's name. The modules that
do the work are imported inside the methods, so that the table itself costs nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from brf_lava.errors import ParameterError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from brf_lava.backends.loihi2.backend import OnPlacement
    from brf_lava.backends.loihi2.hosts import Loihi2Options
    from brf_lava.backends.states import Recording
    from brf_lava.backends.stepwise import Steps
    from brf_lava.network.activity import Activity
    from brf_lava.network.layers import FixedNetwork

OnProgress = Callable[[float], None]
CANNOT_END = "a run on a board cannot be ended from here. Name a --partition with a time limit."


@dataclass(frozen=True)
class RunOptions:
    """How to run a network.

    Args:
        timeout: Seconds that the run may take; None for no limit. Not for a board.
        on_progress: Called now and then with the share of the run that is done, 0 to 1.
        recording: Where the states of chosen neurons go, T steps of B samples. Not for a board.
    """

    timeout: float | None = None
    on_progress: OnProgress | None = None
    recording: Recording | None = None


class Backend(Protocol):
    """Runs networks in integers. All backends compute the same, bit for bit.

    Attributes:
        name: What ``--backend`` calls it.
        title: What a sentence calls it.
        is_reference: It is the engine, with which the other backends are compared.
        on_board: It computes elsewhere: states cannot be read, and a time limit cannot be set.
        advice: What to do about a difference from the engine; None to report it as a defect.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    is_reference: ClassVar[bool] = False
    on_board: ClassVar[bool] = False
    advice: ClassVar[str | None] = None

    def require(self) -> None:
        """Raise BackendUnavailableError if something that a run needs is missing."""

    def run(self, network: FixedNetwork, x: NDArray[Any], options: RunOptions) -> Activity:
        """Run a network from zero state. x: [T, B, I], int8 or uint8 in the network's range.

        Raises:
            ParameterError: For other inputs.
            LavaRunError: If the run fails or takes too long.
        """
        ...


class StreamingBackend(Backend, Protocol):
    """A backend that can also take one step at a time."""

    def delay(self, network: FixedNetwork) -> int:
        """Return how many steps after its input an output comes."""

    def steps(self, network: FixedNetwork, timeout: float | None) -> AbstractContextManager[Steps]:
        """Start a network that takes one step of one sample when it is asked to.

        It runs until the ``with`` block ends. timeout: s, that a step may take, and the start.
        """


class Simulation(StreamingBackend):
    """Lava's simulation on this computer."""

    name = "sim"
    title = "Lava"

    def require(self) -> None:
        from brf_lava.lava_support import require_lava

        require_lava()

    def run(self, network: FixedNetwork, x: NDArray[Any], options: RunOptions) -> Activity:
        from brf_lava.backends.sim.lava_net import run_on_lava

        return run_on_lava(network, x, **vars(options))

    def delay(self, network: FixedNetwork) -> int:
        return len(network.layers)  # each connection delays by one step

    def steps(self, network: FixedNetwork, timeout: float | None) -> AbstractContextManager[Steps]:
        from brf_lava.backends.sim.live import lava_steps

        return lava_steps(network, timeout)


class Engine(StreamingBackend):
    """The integer engine, which needs nothing and which the other backends are compared with."""

    name = "engine"
    title = "the engine"
    is_reference = True

    def require(self) -> None:
        pass

    def run(self, network: FixedNetwork, x: NDArray[Any], options: RunOptions) -> Activity:
        from brf_lava.backends import engine

        return engine.run(network, x, options.recording)

    def delay(self, network: FixedNetwork) -> int:
        return 0

    def steps(self, network: FixedNetwork, timeout: float | None) -> AbstractContextManager[Steps]:
        from brf_lava.backends.stepwise import engine_steps

        return nullcontext(engine_steps(network))


@dataclass(frozen=True)
class Loihi2(Backend):
    """A Loihi 2 board.

    Args:
        options: Which board, and how to use it; None for the defaults.
        on_placement: Called with lines that say where the run takes place, and each process.
    """

    name = "loihi2"
    title = "Loihi 2"
    on_board = True
    advice = (
        "Look at the neuron program of that layer ('brf-lava loihi2 program') and what the "
        "assembler made of it."
    )

    options: Loihi2Options | None = None
    on_placement: OnPlacement | None = None

    def require(self) -> None:
        from brf_lava.backends.loihi2.hosts import require_loihi2

        require_loihi2(self.options)

    def run(self, network: FixedNetwork, x: NDArray[Any], options: RunOptions) -> Activity:
        from brf_lava.backends.loihi2.backend import run_on_loihi2
        from brf_lava.backends.loihi2.hosts import Loihi2Options

        chosen = self.options or Loihi2Options()
        return run_on_loihi2(network, x, chosen, on_placement=self.on_placement)


STREAMING: dict[str, StreamingBackend] = {
    backend.name: backend for backend in (Simulation(), Engine())
}
BACKENDS: dict[str, Backend] = {**STREAMING, Loihi2.name: Loihi2()}


def find_backend(backend: str | Backend) -> Backend:
    """Return the backend of this name, or the backend itself. Raises: ParameterError."""
    if not isinstance(backend, str):
        return backend
    if backend not in BACKENDS:
        raise ParameterError(f"backend {backend!r}; choose one of {', '.join(BACKENDS)}.")
    return BACKENDS[backend]
