"""The adaptive rounding of a whole network, layer by layer, along its own activity.

Hidden layers are rounded for the spikes of the float network. A recurrent network soon spikes
otherwise once anything is rounded, so that no cost along the float spikes tells everything: of the
cheapest choices of a layer's unit and exponents, the one is taken with which the network, its
integer layers followed by the float rest, answers most like the float network. The readout is
rounded last, for the spikes of the integer layers, towards the float network's outputs.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from operator import itemgetter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from brf_lava.export.rounding import Rounding, bare_weights, filtered, round_rows
from brf_lava.io.memory import require_memory
from brf_lava.network.decision import Decision
from brf_lava.network.forward import forward
from brf_lava.network.layers import Connection, FixedLayer, RealLayer, RealNetwork

STEPS = 260_000  # most steps of calibration, all samples together
STATES = 5e7  # most state variables kept
WORK = 4e11  # most products in the Gram matrices of one layer
KEPT = 12  # choices of unit and exponents whose answers are compared
EXACT = 0.01  # of a weight's last bit: float32 weights this close to integers are those
GROWS = 1e4  # times the median neuron: a membrane that grows keeps its nearest integers
REFIT_RIDGE = 0.1  # of H's mean diagonal: how much the refitted readout stays with the trained one
FEW = 5  # samples per weight of a readout neuron; with fewer, the ridge grows with the third power

Progress = Callable[[int], None]


def round_network(
    network: RealNetwork,
    nearest: Sequence[Sequence[FixedLayer]],
    x: NDArray[Any],
    weight_bits: Sequence[Sequence[int]],
    decision: Decision,
    progress: Progress,
    grams: dict[int, NDArray[np.float64]] | None = None,
) -> tuple[FixedLayer, ...]:
    """Round the weights of a network again, adaptively.

    Args:
        network: In real numbers.
        nearest: Its layers in integers, weights rounded to the nearest, with each unit to be tried.
        x: [T, B, I] calibration inputs, int8 or uint8.
        weight_bits: Width of the mantissas of each layer's matrices, the sign included.
        decision: How classes are read from the outputs.
        progress: Called with the number of neurons that are done.
        grams: Those of the hidden layers, which no bits change: kept here for the next call.

    Raises:
        NotEnoughMemoryError: For a layer too wide.
    """
    x = x[:, : samples_used(network, x)]
    grams = {} if grams is None else grams
    real, fixed = x, x  # the signal in the float network and in the integers, layer by layer
    outputs = _run(network.layers, x)
    wanted = decision.predict(outputs)
    done: list[FixedLayer] = []
    neurons = 0  # that are done
    for index, (layer, tried) in enumerate(zip(network.layers, nearest, strict=True)):
        rest, some = network.layers[index + 1 :], slice(_gram_samples(layer, len(x)))
        if rest:
            if index not in grams:
                heard = real[:, some]
                spikes, states = forward(layer, heard, keep_states=True)
                grams[index], _ = _gram(layer, heard, spikes, states[:-1], progress, neurons)
            gram = grams[index]
            real, _ = forward(layer, real)
            matrices = bare_weights(layer)
        else:
            heard = fixed[:, some]
            gram, product = _gram(layer, heard, outputs[:, some], None, progress, neurons)
            few = max(1.0, FEW * layer.weights.shape[1] / heard.shape[1])
            matrices = [_refit(gram, product, bare_weights(layer)[0], REFIT_RIDGE * few**3)]
        gain, bits = layer.neuron.weight_gain(layer.constants), weight_bits[index]
        choices = [each for each in tried if _is_exact(each, bare_weights(layer), gain * each.unit)]
        if not choices:
            found = [
                (each.cost / unit**2, _with_weights(rounded, each))
                for rounded in tried
                for unit in [gain * rounded.unit]
                for each in round_rows(gram, [matrix * unit for matrix in matrices], bits)
            ]
            choices = [choice for _, choice in sorted(found, key=itemgetter(0))[:KEPT]]
        answers = [forward(choice, fixed)[0] for choice in choices]
        agreed = [(decision.predict(_run(rest, each)) == wanted).mean() for each in answers]
        best = int(np.argmax(agreed))
        done.append(choices[best])
        fixed, neurons = answers[best], neurons + len(layer.weights)
    return tuple(done)


def _run(layers: Sequence[RealLayer], signal: Any) -> Any:
    for layer in layers:
        signal, _ = forward(layer, signal)
    return signal


def samples_used(network: RealNetwork, x: NDArray[Any]) -> int:
    """How many samples of `x` [T, B, I], from the first, `round_network` compares choices on."""
    widest = max(len(layer.weights) for layer in network.layers)
    most = int(min(STEPS, 2 * STATES / widest)) // len(x)
    return max(1, min(int(x.shape[1]), most))


def _gram_samples(layer: RealLayer, steps: int) -> int:
    """How many samples the Gram matrices of a layer are of, at most, for work and memory."""
    neurons, columns = layer.weights.shape
    columns += 0 if layer.recurrent is None else neurons
    widest = max(columns, len(layer.neuron.states) * neurons)
    return max(1, int(min(WORK / (neurons * columns**2), STATES / widest)) // steps)


def _gram(
    layer: RealLayer, x: Any, outputs: Any, states: Any | None, progress: Progress, done: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """``H = sum_t phi phi'`` [N, J, J] and ``sum_t phi o`` [N, J] of every neuron.

    x: [T, B, I]. outputs: [T, B, N], the o that recurrent weights are applied to. states: [T, S, B,
    N] before each step; None for a step that does not depend on them. done: neurons before.
    """
    joined = x.astype(np.float32)
    if layer.recurrent is not None:
        before = np.concatenate([np.zeros_like(outputs[:1]), outputs[:-1]])
        joined = np.concatenate([joined, before.astype(np.float32)], axis=2)
    neurons, columns = len(layer.weights), joined.shape[2]
    what = f"adaptive rounding of {neurons:,} neurons with {columns:,} weights each"
    require_memory(8 * neurons * columns**2, what, "Round to the nearest (--rounding nearest)")
    gram, product = np.empty((neurons, columns, columns)), np.empty((neurons, columns))
    shape = (len(x), len(layer.neuron.states), x.shape[1])
    for k in range(neurons):
        at_k = np.zeros(shape) if states is None else states[..., k]
        with np.errstate(over="ignore", invalid="ignore"):  # of a membrane that grows
            membrane = filtered(layer, k, joined, at_k).reshape(-1, columns)
            gram[k] = membrane.T @ membrane
            product[k] = membrane.T @ outputs[:, :, k].reshape(-1).astype(np.float32)
        progress(done + k + 1)
    size = np.einsum("kjj->k", gram)
    heard = size[np.isfinite(size) & (size > 0)]
    usual = np.median(heard) if len(heard) else 1.0
    grows = ~(size <= GROWS * usual)
    gram[grows] = usual / columns * np.eye(columns)
    return gram, product


def _is_exact(layer: FixedLayer, matrices: list[NDArray[np.float64]], unit: float) -> bool:
    """Whether the weights were integers before: those of a network that was trained with them."""
    connections = [each for each in (layer.weights, layer.recurrent) if each is not None]
    return all(
        np.abs(each.integers - matrix * unit).max(initial=0.0) < EXACT * 2**each.exponent
        for each, matrix in zip(connections, matrices, strict=True)
    )


def _refit(
    gram: Any, product: Any, weights: NDArray[np.float64], strength: float
) -> NDArray[np.float64]:
    """The weights that bring the outputs closest to `product`'s, held near `weights` by a ridge."""
    columns = weights.shape[1]
    size = np.einsum("kjj->k", gram) / columns
    ridge = np.where(size > 0, strength * size, 1.0)[:, None, None] * np.eye(columns)
    change = product - np.einsum("kij,kj->ki", gram, weights)
    refitted = weights + np.linalg.solve(gram + ridge, change[..., None])[..., 0]
    return np.where(weights == 0, 0.0, refitted)


def _with_weights(layer: FixedLayer, rounding: Rounding) -> FixedLayer:
    weights, *recurrent = map(Connection, rounding.mantissas, rounding.exponents)
    return replace(layer, weights=weights, recurrent=recurrent[0] if recurrent else None)
