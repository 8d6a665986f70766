"""Test vectors for any network, and whether a backend computes what it should from them.

The vectors are drawn from a seed: no data set is needed, and two machines have the same.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from brf_lava.backends import engine
from brf_lava.backends.base import Backend
from brf_lava.backends.stepwise import plain_run
from brf_lava.errors import MismatchError, ParameterError
from brf_lava.network.activity import Activity
from brf_lava.network.layers import FixedNetwork
from brf_lava.run.check import assert_equal
from brf_lava.run.execute import execute

RATES = (0.02, 0.5)  # of inputs that are not 0, in the first sample and in the last
VALUES_MAX = 2**27  # samples * steps * neurons of the widest layer: 1 GB as integers of 64 bits
SHIFTS = 16  # steps by which the outputs of a chip may turn out to be late


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
    Returns what is right. Raises: MismatchError as `assert_on_time`, and what the backend raises.
    """
    found, _ = execute(network, x, backend=backend, timeout=timeout)
    if stored is not None:
        expected, reference = stored, "the file"
    elif backend.is_reference:
        expected, reference = plain_run(network, x), "NumPy"
    else:
        expected, reference = engine.run(network, x), "the engine"
    assert_on_time(found, expected, backend.title, reference, backend.advice)
    return expected


def assert_on_time(
    found: Activity, expected: Activity, name: str, reference: str, advice: str | None = None
) -> None:
    """As `assert_equal`; the error says whether all would be equal some steps earlier."""
    try:
        assert_equal(found, expected, name, reference, advice)
    except MismatchError as error:
        late = _late(found, expected)
        if late is None:
            raise
        raise MismatchError(
            f"{error} But {name} would be right if it were {late} steps earlier: with --backend "
            f"loihi2 try --io-delay, {late} more than now."
        ) from error


def compared_line(expected: Activity) -> str:
    """What was compared and found equal."""
    steps, samples, _ = expected.outputs.shape
    slots = sum(layer.size for layer in expected.spikes)
    return (
        f"{samples} samples of {steps} steps: all {slots:,} spike slots with "
        f"{int(expected.hidden_spikes.sum()):,} spikes, all {expected.outputs.size:,} outputs and "
        f"the {expected.saturations:,} saturations are equal"
    )


def _late(found: Activity, expected: Activity) -> int | None:
    """By how many steps all of `found` is late; None where it differs, or holds only zeros."""
    steps = len(expected.outputs)
    pairs: list[tuple[NDArray[Any], NDArray[Any]]] = [
        (found.outputs, expected.outputs),
        *zip(found.spikes, expected.spikes, strict=True),
    ]
    for late in range(1, min(SHIFTS, steps // 2) + 1):
        kept = [(ours[late:], theirs[:-late]) for ours, theirs in pairs]
        if all(np.array_equal(*pair) for pair in kept) and any(a.any() for a, _ in kept):
            return late
    return None
