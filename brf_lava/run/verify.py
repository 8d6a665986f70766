"""Test vectors for any network, and what a backend makes of them beside the engine.

The vectors are drawn from a seed: no data set is needed, and two machines have the same.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from brf_lava.backends import engine
from brf_lava.errors import MismatchError, ParameterError
from brf_lava.network.activity import Activity, at_limit
from brf_lava.network.layers import FixedLayer, FixedNetwork
from brf_lava.run.check import DEFECT, assert_equal

RATES = (0.02, 0.5)  # of inputs that are not 0, in the first sample and in the last
VALUES_MAX = 2**27  # samples * steps * neurons of the widest layer: 1 GB as integers of 64 bits
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
    advice: str = DEFECT,
) -> Verified:
    """Run test vectors and compare every spike and output. x: [T, B, I].

    run: a backend, called `name`. reference: what is right, the integer engine by default.
    advice: what to do about a difference.
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
        spikes=sum(int(layer.sum(dtype=np.int64)) for layer in expected.spikes),
        spike_slots=sum(layer.size for layer in expected.spikes),
        outputs=expected.outputs.size,
        saturations=expected.saturations,
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


def plain_run(network: FixedNetwork, x: NDArray[Any]) -> Activity:
    """The network with the equations of `neurons.fixed` and NumPy alone: what verifies the engine.

    x: [T, B, I].
    """
    signal: NDArray[Any] = x
    spikes = []
    saturations = 0
    for layer in network.layers:
        signal, stood = _plain_layer(layer, signal)
        saturations += stood
        if layer.neuron.spiking:
            spikes.append(signal.astype(np.int8))
    return Activity(signal.astype(np.int64), tuple(spikes), saturations)


def _plain_layer(layer: FixedLayer, x: NDArray[Any]) -> tuple[NDArray[Any], int]:
    """Outputs [T, B, N], and how often a state stood at the limit of its range."""
    steps, samples, _ = x.shape
    weights = layer.weights.integers.T
    recurrent = None if layer.recurrent is None else layer.recurrent.integers.T
    zeros = np.zeros((samples, layer.shape[0]), np.int64)
    states: tuple[NDArray[Any], ...] = (zeros,) * len(layer.neuron.states)
    output, outputs, stood = zeros, [], 0
    for t in range(steps):
        current = x[t].astype(np.int64) @ weights
        if recurrent is not None:
            current = current + output @ recurrent
        states, output = layer.neuron.fixed_step(
            states, current, tuple(layer.coefficients), layer.constants
        )
        output = output.astype(np.int64)
        outputs.append(output)
        stood += sum(map(at_limit, states))
    return np.stack(outputs), stood
