"""Run a network on a named backend, and check one backend against the other."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

from numpy.typing import NDArray

from brf_lava.backends import engine
from brf_lava.backends.loihi2.backend import Loihi2Options, require_loihi2, run_on_loihi2
from brf_lava.backends.states import Recording
from brf_lava.errors import ParameterError
from brf_lava.network.activity import Activity
from brf_lava.network.layers import FixedNetwork
from brf_lava.run.check import DEFECT, ON_CHIP, assert_equal

BACKEND_NAMES = {"sim": "Lava", "engine": "the engine", "loihi2": "Loihi 2"}
BACKENDS = tuple(BACKEND_NAMES)


def require_backend(backend: str, loihi2: Loihi2Options | None = None) -> None:
    """Raises: ParameterError for an unknown name, BackendUnavailableError for a missing one.

    loihi2: how that backend would be used.
    """
    if backend not in BACKENDS:
        raise ParameterError(f"backend {backend!r}; choose one of {', '.join(BACKENDS)}.")
    if backend == "loihi2":
        require_loihi2(loihi2)
    if backend == "sim":
        from brf_lava.lava_support import require_lava

        require_lava()


def work(network: FixedNetwork, steps: int, samples: int) -> int:
    """Samples times steps times neurons: the size by which checking is on by default or not."""
    return samples * steps * sum(layer.shape[0] for layer in network.layers)


RECORD_BYTES = 2**28  # that a part of a run may take for its spikes


def samples_per_part(network: FixedNetwork, steps: int, batch: int | None = None) -> int:
    """How many samples to run at a time, so that memory does not grow with the test set.

    batch: samples in one Lava run; parts are multiples of it, where it is smaller.
    """
    fitting = max(1, RECORD_BYTES // (steps * sum(layer.shape[0] for layer in network.layers)))
    return fitting // batch * batch if batch and batch < fitting else batch or fitting


def execute(
    network: FixedNetwork,
    x: NDArray[Any],
    *,
    backend: str,
    batch: int | None = None,
    timeout: float | None = None,
    check: bool = False,
    on_progress: Callable[[int], None] | None = None,
    loihi2: Loihi2Options | None = None,
    on_placement: Callable[[Sequence[str]], None] | None = None,
    recording: Recording | None = None,
) -> tuple[Activity, float]:
    """Run `network` on x [T, B, I]; the activity and the backend's wall time in seconds.

    batch:       samples in one Lava run, None for all; the engine's result does not depend on it
    timeout:     seconds a Lava run on this computer may take
    check:       compare with the integer engine, every spike and output
    on_progress: told how many steps are done, except by Loihi 2
    loihi2:      how to use that backend; on_placement: told which process runs where on it
    recording:   where the states of chosen neurons go, of T steps and B samples; not from Loihi 2
    Raises: MismatchError when the check fails; LavaRunError, BackendUnavailableError,
    ParameterError as the backends do.
    """
    require_backend(backend, loihi2)
    engine.check_input(network, x)
    if timeout is not None and not timeout > 0:  # also catches NaN
        raise ParameterError(f"timeout: {timeout} s; it must be above 0.")
    if backend == "engine":
        engine.run(network, x[:1, :1])  # compiles, which is no part of the run
        started = time.perf_counter()
        activity = engine.run(network, x, recording)
        return activity, time.perf_counter() - started
    started = time.perf_counter()
    if backend == "loihi2":
        if recording is not None:
            raise ParameterError(
                "probe: states are not recorded on Loihi 2. Use backend sim or engine, which "
                "compute the same."
            )
        if timeout is not None:
            raise ParameterError(
                "timeout: a run on Loihi 2 cannot be ended from here. Use a partition with a limit."
            )
        activity = run_on_loihi2(
            network, x, loihi2 or Loihi2Options(), batch=batch, on_placement=on_placement
        )
    else:
        from brf_lava.backends.sim.lava_net import run_on_lava

        activity = run_on_lava(
            network,
            x,
            batch=batch,
            timeout=timeout,
            on_progress=on_progress,
            recording=recording,
        )
    seconds = time.perf_counter() - started
    if check:
        advice = ON_CHIP if backend == "loihi2" else DEFECT
        expected = engine.run(network, x)
        assert_equal(activity, expected, BACKEND_NAMES[backend], "the engine", advice)
    return activity, seconds
