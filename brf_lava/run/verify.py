"""Test vectors for any network, and whether a backend computes what it should from them.

The vectors are drawn from a seed: no data set is needed, and two machines have the same.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
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
TIMEOUT = 600.0  # s, for Lava's simulation
SHIFTS = 16  # steps by which the outputs of a chip may turn out to be late


@dataclass(frozen=True)
class Verified:
    """What was compared and found equal.

    spikes: of hidden neurons that there were, of `spike_slots`; outputs: numbers compared.
    """

    samples: int
    steps: int
    spikes: int
    spike_slots: int
    outputs: int
    saturations: int

    def line(self) -> str:
        return (
            f"{self.samples} samples of {self.steps} steps: all {self.spike_slots:,} spike slots "
            f"with {self.spikes:,} spikes, all {self.outputs:,} outputs and the "
            f"{self.saturations:,} saturations are equal"
        )


def vectors(network: FixedNetwork, samples: int, steps: int, seed: int) -> NDArray[Any]:
    """Inputs [T, B, I] over the network's range, from few that are not 0 to half of them.

    int8, or uint8 where the range goes beyond. Raises: ParameterError for sizes below 1 and a seed
    below 0, and for more values than memory should be asked for.
    """
    for name, value, least in (("samples", samples, 1), ("steps", steps, 1), ("seed", seed, 0)):
        if value < least:
            raise ParameterError(f"{name}: {value}; at least {least} is needed.")
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


def verify(
    network: FixedNetwork,
    x: NDArray[Any],
    run: Callable[[NDArray[Any]], Activity],
    name: str,
    *,
    reference: Callable[[NDArray[Any]], Activity] | None = None,
    reference_name: str = "the engine",
    advice: str | None = None,
) -> Verified:
    """Run test vectors and compare every spike and output. x: [T, B, I].

    run: a backend, called `name`. reference: what is right, the integer engine by default.
    advice: what to do about a difference; None: to report it as a defect.
    Raises: MismatchError at the first difference in time, and whether all would be equal if the
    backend's answer were some steps earlier; what `run` raises.
    """
    found = run(x)
    expected = engine.run(network, x) if reference is None else reference(x)
    try:
        assert_equal(found, expected, name, reference_name, advice)
    except MismatchError as error:
        late = _late(found, expected)
        if late is None:
            raise
        raise MismatchError(
            f"{error} But {name} would be right if it were {late} steps earlier: with --backend "
            f"loihi2 try --io-delay, {late} more than now."
        ) from error
    steps, samples, _ = x.shape
    return Verified(
        samples=samples,
        steps=steps,
        spikes=int(expected.hidden_spikes.sum()),
        spike_slots=sum(layer.size for layer in expected.spikes),
        outputs=expected.outputs.size,
        saturations=expected.saturations,
    )


def verify_backend(
    network: FixedNetwork, x: NDArray[Any], backend: Backend, stored: Activity | None = None
) -> Verified:
    """Compare a backend with what is right: the engine, or for the engine its equations in NumPy.

    Args:
        network: What to run.
        x: Inputs [T, B, I].
        backend: What to verify.
        stored: What is right instead, as a network file holds it.

    Raises:
        MismatchError: As `verify`, and what the backend raises.
    """
    timeout = None if backend.on_board else TIMEOUT
    reference, name = None, "the engine"
    if stored is not None:
        reference, name = (lambda _: stored), "the file"
    elif backend.is_reference:
        reference, name = (lambda x: plain_run(network, x)), "NumPy"
    return verify(
        network,
        x,
        lambda x: execute(network, x, backend=backend, timeout=timeout)[0],
        backend.title,
        reference=reference,
        reference_name=name,
        advice=backend.advice,
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
