"""Run a network on a backend, and compare what it computed with the integer engine.

Test vectors for that are drawn from a seed: no data set is needed, and two machines have the same.
"""

from __future__ import annotations

import time
from typing import Any

import numpy as np
from numpy.typing import NDArray

from brf_lava.backends import engine
from brf_lava.backends.base import (
    CANNOT_END,
    STREAMING,
    Backend,
    OnProgress,
    RunOptions,
    find_backend,
)
from brf_lava.backends.states import Recording
from brf_lava.backends.stepwise import plain_run
from brf_lava.errors import MismatchError, ParameterError
from brf_lava.io.memory import require_memory
from brf_lava.network.activity import Activity
from brf_lava.network.layers import FixedNetwork
from brf_lava.network.rest import check_rest

RECORD_BYTES = 2**28  # that a part of a run may take for its spikes
RATES = (0.02, 0.5)  # of inputs that are not 0, in the first sample and in the last
VALUES_MAX = 2**27  # samples * steps * neurons of the widest layer: 1 GB as integers of 64 bits
SHIFTS = 16  # steps by which the outputs of a chip may turn out to be late


def work(network: FixedNetwork, steps: int, samples: int) -> int:
    """Samples times steps times neurons: the size by which checking is on by default or not."""
    return samples * steps * sum(layer.shape[0] for layer in network.layers)


def samples_per_part(network: FixedNetwork, steps: int) -> int:
    """How many samples to run at a time, so that memory does not grow with the test set."""
    return max(1, RECORD_BYTES // work(network, steps, 1))


def needed_bytes(network: FixedNetwork, steps: int, samples: int, lava: bool, own: bool) -> int:
    """Memory of a run on Lava and one on the engine: spikes, outputs, and the engine's states."""
    recorded = work(network, steps, samples) + 7 * steps * samples * network.classes  # int64
    part = engine.state_bytes(network, steps, min(samples, engine.CHUNK))
    states = min(part, max(engine.CHUNK_BYTES, engine.state_bytes(network, steps, 1)))
    return (lava + own) * recorded + own * states * 5 // 4  # a quarter to count saturations


def execute(
    network: FixedNetwork,
    x: NDArray[Any],
    *,
    backend: str | Backend,
    timeout: float | None = None,
    check: bool = False,
    on_progress: OnProgress | None = None,
    recording: Recording | None = None,
) -> tuple[Activity, float]:
    """Run a network from zero state on a backend.

    Args:
        network: What to run.
        x: Inputs [T, B, I], int8 or uint8 in the range of the network.
        backend: "sim", "engine", "loihi2", or a backend with options such as
            `brf_lava.backends.base.Loihi2`.
        timeout: Seconds that a Lava run on this computer may take.
        check: Compare every spike and output with the integer engine.
        on_progress: Called now and then with the share of the run that is done, 0 to 1.
        recording: Where the states of chosen neurons go, T steps of B samples. Not on Loihi 2.

    Returns:
        The activity, and the wall time of the backend in seconds.

    Raises:
        MismatchError: If the check fails.
        NotEnoughMemoryError: If what is recorded would not fit.
        ParameterError: For an unknown backend, other inputs, options that it does not have, and a
            network with a neuron that does not come to rest.
        BrfLavaError: As the backend.
    """
    chosen = find_backend(backend)
    chosen.require()
    engine.check_input(network, x)
    check_rest(network)
    if chosen.on_board and timeout is not None:
        raise ParameterError(f"timeout: {CANNOT_END}")
    if chosen.on_board and recording is not None:
        raise ParameterError(
            f"probe: states are not recorded on {chosen.title}. Use backend "
            f"{' or '.join(STREAMING)}, which compute the same."
        )
    steps, samples, _ = x.shape
    own, other = check or chosen.is_reference, not chosen.is_reference
    require_memory(
        needed_bytes(network, steps, samples, other, own),
        f"{chosen.title}: {samples} samples of {steps:,} steps",
        "Run fewer samples at once (--batch), or shorter ones",
    )
    if chosen.is_reference:
        engine.run(network, x[:1, :1])  # compiles, which is no part of the run
    started = time.perf_counter()
    activity = chosen.run(network, x, RunOptions(timeout, on_progress, recording))
    seconds = time.perf_counter() - started
    if check and other:
        expected = engine.run(network, x)
        assert_equal(activity, expected, chosen.title, "the engine", chosen.advice)
    return activity, seconds


def assert_equal(
    found: Activity,
    expected: Activity,
    found_name: str,
    expected_name: str,
    advice: str | None = None,
) -> None:
    """Raise MismatchError at the first difference in time, with sample, step, neuron, both values.

    It also says whether all would be equal some steps earlier.

    advice: what to do about it; None: to report it as a defect.
    """
    advice = advice or "This is a defect: please report it with the network file."
    names = [*(f"spike of hidden{k}" for k in range(1, len(expected.signals))), "output"]
    differences: list[tuple[Any, ...]] = []
    for what, ours, theirs in zip(names, found.signals, expected.signals, strict=True):
        if ours.shape != theirs.shape:
            raise MismatchError(f"{what}: shape {ours.shape} against {theirs.shape}.")
        different = ours != theirs
        if different.any():
            where = np.unravel_index(int(np.argmax(different)), different.shape)
            differences.append((tuple(map(int, where)), what, ours[where], theirs[where]))
    if differences:
        (step, sample, neuron), what, ours, theirs = min(differences, key=lambda each: each[0])
        text = (
            f"{what}: first difference in sample {sample}, step {step}, neuron {neuron}: "
            f"{found_name} has {ours}, {expected_name} has {theirs}. {advice}"
        )
        for late in range(1, min(SHIFTS, len(expected.outputs) // 2) + 1):
            signals = zip(found.signals, expected.signals, strict=True)
            pairs = [(ours[late:], theirs[:-late]) for ours, theirs in signals]
            if all(np.array_equal(*pair) for pair in pairs) and any(a.any() for a, _ in pairs):
                raise MismatchError(
                    f"{text} But {found_name} would be right if it were {late} steps earlier: with "
                    f"--backend loihi2 try --io-delay, {late} more than now."
                )
        raise MismatchError(text)
    if found.saturations != expected.saturations:
        raise MismatchError(
            f"saturations: {found_name} counted {found.saturations}, {expected_name} "
            f"{expected.saturations}. {advice}"
        )


def vectors(network: FixedNetwork, samples: int, steps: int, seed: int) -> NDArray[Any]:
    """Inputs [T, B, I] over the network's range, from few that are not 0 to half of them.

    int8, or uint8 where the range goes beyond. Raises: ParameterError for more values than memory
    should be asked for.
    """
    widest = max(network.inputs, *(layer.shape[0] for layer in network.layers))
    if samples * steps * widest > VALUES_MAX:
        raise ParameterError(
            f"samples: {samples} of {steps} steps in layers of up to {widest} are "
            f"{samples * steps * widest:,} values; at most {VALUES_MAX:,} are compared at a time. "
            "Lower --samples or --steps."
        )
    low, high = network.input_range
    rng = np.random.default_rng(seed)
    shape = (steps, samples, network.inputs)
    active = rng.random(shape) < np.geomspace(*RATES, samples)[:, None]
    drawn = rng.integers(low, high + 1, shape)
    drawn[drawn == 0] = high  # one that is active is not 0
    values = np.where(active, drawn, 0)
    return values.astype(np.int8 if high <= np.iinfo(np.int8).max else np.uint8)


def verify_backend(
    network: FixedNetwork,
    x: NDArray[Any],
    backend: Backend,
    *,
    timeout: float | None = None,
    stored: Activity | None = None,
) -> Activity:
    """Compare a backend with what is right: the engine, or for the engine its equations in NumPy.

    x: [T, B, I]. timeout: s, for a Lava run. stored: what is right instead, from a network file.
    Returns what it computed. Raises: MismatchError as `assert_equal`, and what the backend raises.
    """
    found, _ = execute(network, x, backend=backend, timeout=timeout, check=stored is None)
    if stored is not None:
        assert_equal(found, stored, backend.title, "the file", backend.advice)
    elif backend.is_reference:
        assert_equal(found, plain_run(network, x), backend.title, "NumPy", backend.advice)
    return found


def compared_line(found: Activity) -> str:
    """What was compared and found equal."""
    steps, samples, _ = found.outputs.shape
    slots = sum(layer.size for layer in found.spikes)
    return (
        f"{samples} samples of {steps} steps: all {slots:,} spike slots with "
        f"{int(found.hidden_spikes.sum()):,} spikes, all {found.outputs.size:,} outputs and "
        f"the {found.saturations:,} saturations are equal"
    )
