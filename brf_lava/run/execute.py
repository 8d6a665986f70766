"""Run a network on a named backend, and check one backend against the other."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from numpy.typing import NDArray

from brf_lava.errors import ParameterError
from brf_lava.export.network import Activity, FixedNetwork
from brf_lava.run import engine
from brf_lava.run.check import assert_equal
from brf_lava.run.loihi2 import require_loihi2

BACKENDS = ("sim", "engine", "loihi2")


def require_backend(backend: str) -> None:
    """Raises: ParameterError for an unknown name, BackendUnavailableError for a missing one."""
    if backend not in BACKENDS:
        raise ParameterError(f"backend {backend!r}; choose one of {', '.join(BACKENDS)}.")
    if backend == "loihi2":
        require_loihi2()
    if backend == "sim":
        from brf_lava.run.lava_net import require_lava

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
) -> tuple[Activity, float]:
    """Run `network` on x [T, B, I]; the activity and the backend's wall time in seconds.

    batch:       samples in one Lava run, None for all; the engine's result does not depend on it
    timeout:     seconds a Lava run may take
    check:       compare with the integer engine, every spike and output
    on_progress: told how many steps are done
    Raises: MismatchError when the check fails; LavaRunError, BackendUnavailableError,
    ParameterError as the backends do.
    """
    require_backend(backend)
    engine.check_input(network, x)
    if timeout is not None and not timeout > 0:  # also catches NaN
        raise ParameterError(f"timeout: {timeout} s; it must be above 0.")
    if backend == "engine":
        started = time.perf_counter()
        activity = engine.run(network, x)
        return activity, time.perf_counter() - started
    from brf_lava.run.lava_net import run_on_lava

    started = time.perf_counter()
    activity = run_on_lava(network, x, batch=batch, timeout=timeout, on_progress=on_progress)
    seconds = time.perf_counter() - started
    if check:
        assert_equal(activity, engine.run(network, x), "Lava", "the engine")
    return activity, seconds
