"""Adaptive rounding: integer weights that change a neuron's membrane as little as possible.

Rounding the weights of a neuron changes its membrane. While the spikes stay as they are, the change
is ``sum_j e_j phi_j(t)``, where ``e_j`` is the rounding error of weight j and ``phi_j`` is input j,
filtered by the linear part of the neuron's own step. Its sum of squares over calibration data is
``e' H e`` with the Gram matrix ``H = sum_t phi phi'``. `round_rows` looks for the integers with the
least of it, neuron by neuron; weights of 0, such as pruned ones, stay 0. The same cost chooses the
exponents of the matrices, which clips outliers where that pays. Neither labels nor training are
needed.

The cost is that of layer-wise quantization (OBQ, GPTQ: Frantar et al. 2022, 2023), here with a
filter for each neuron.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from itertools import product
from typing import Any, NamedTuple

import numba
import numpy as np
from numpy.typing import NDArray

from brf_lava.errors import ParameterError
from brf_lava.kernels.compile import compiled, specialized
from brf_lava.network.layers import EXPONENT_MAX, RealLayer

RIDGE = 1e-4  # of H's mean diagonal, added to it: weights of silent inputs stay at the nearest
CLIPPED = 3  # exponents tried for a matrix: the smallest that holds every weight, and those below
SWEEPS = 50  # most passes over a row; each ends in a minimum long before


class Rounding(NamedTuple):
    """Integers of a layer's matrices, and the cost ``e' H e`` of all its neurons."""

    mantissas: tuple[NDArray[np.int8], ...]
    exponents: tuple[int, ...]
    cost: float


def mantissa_limit(weight_bits: int) -> int:
    """The largest magnitude of a mantissa."""
    return int(2 ** (weight_bits - 1)) - 1


def smallest_exponent(largest: float, weight_bits: int) -> int | None:
    """The smallest exponent with which state integer `largest` fits a mantissa, if any does."""
    limit = mantissa_limit(weight_bits)  # compared as floats: beyond 63 bits a cast would wrap
    return next((e for e in range(EXPONENT_MAX + 1) if np.rint(largest / 2**e) <= limit), None)


def leaks(layer: RealLayer) -> NDArray[np.float64]:
    """The input gain ``1 - decay`` [N] that the real weights carry and the integer step applies."""
    neuron = layer.neuron
    if not neuron.leak:
        return np.ones(len(layer.weights))
    gains: NDArray[np.float64] = 1 - layer.coefficients[neuron.coefficients.index(neuron.leak)]
    return gains


def bare_weights(layer: RealLayer) -> list[NDArray[np.float64]]:
    """Input weights, and recurrent ones if there are any, without the gain of neurons that leak.

    Raises: ParameterError for a neuron that leaks nothing, so that its weights carry a gain of 0.
    """
    gains = leaks(layer)
    unheard = np.flatnonzero((gains <= 0) & layer.weights.any(axis=1))
    if len(unheard):
        k, leak = int(unheard[0]), layer.neuron.leak
        raise ParameterError(
            f"{layer.neuron.name}: {leak} {1 - gains[k]:g} at neuron {k}, whose weights carry "
            f"the gain 1 - {leak} and are not 0; it must be below 1. Lower tau."
        )
    bare = np.divide(1, gains, out=np.zeros_like(gains), where=gains > 0)[:, None]
    matrices = (layer.weights, layer.recurrent)
    return [bare * matrix for matrix in matrices if matrix is not None]


def linear_states(layer: RealLayer) -> list[int]:
    """The states that a current below the threshold reaches, at once or through other states."""
    neuron, tiny = layer.neuron, 1e-9
    zero = [0.0] * len(neuron.states)

    def moved(before: list[float], current: float) -> set[int]:
        coefficients = layer.coefficients[:, 0]
        after, _ = neuron.real_step(before, current, coefficients, layer.constants)
        rest, _ = neuron.real_step(zero, 0.0, coefficients, layer.constants)
        return {i for i in range(len(zero)) if after[i] != rest[i]}

    reached = moved(zero, tiny)
    for _ in zero:
        for i in tuple(reached):
            reached |= moved([tiny * (i == n) for n in range(len(zero))], 0.0)
    return sorted(reached)


def linear_step(
    layer: RealLayer, k: int, states: NDArray[Any]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """The linear part of neuron k's step, along a run of the float network; weights are bare.

    states: [T, S, B], the neuron's before each step. Returns, for the L states that a current
    reaches, the matrix [T, B, L, L] of each step, and what a weight of 1 adds to them for an input
    of 1, [L].
    """
    neuron, linear = layer.neuron, linear_states(layer)
    base = [np.zeros_like(s) if i in linear else s for i, s in enumerate(np.moveaxis(states, 1, 0))]

    def step(pushed: int | None, current: float) -> NDArray[np.float64]:
        before = [s + float(i == pushed) for i, s in enumerate(base)]
        after, _ = neuron.real_step(before, current, layer.coefficients[:, k], layer.constants)
        return np.array([np.broadcast_to(after[i], base[0].shape) for i in linear])

    rest = step(None, 0.0)
    matrix = np.stack([step(i, 0.0) - rest for i in linear], axis=-1)  # [L, T, B, L]
    push = leaks(layer)[k] * (step(None, 1.0) - rest)[:, 0, 0]
    return np.ascontiguousarray(np.moveaxis(matrix, 0, 2), np.float32), push.astype(np.float32)


def _filter(x: Any, matrix: Any, push: Any, first: Any) -> None:
    """The first state along a run from rest, for each input alone, [T, B, J]."""
    steps, samples, inputs = x.shape
    size = push.shape[0]
    for b in numba.prange(samples):
        state = np.zeros((size, inputs), np.float32)
        after = np.zeros((size, inputs), np.float32)
        for t in range(steps):
            for i in range(size):
                for j in range(inputs):
                    after[i, j] = push[i] * x[t, b, j]
                for n in range(size):
                    for j in range(inputs):
                        after[i, j] += matrix[t, b, i, n] * state[n, j]
            state, after = after, state
            first[t, b] = state[0]


def filtered(layer: RealLayer, k: int, x: NDArray[Any], states: NDArray[Any]) -> NDArray[Any]:
    """What each input in `x` [T, B, J], float32, leaves in the membrane of neuron k, [T, B, J].

    Each is taken alone and with a weight of 1; layer, k, states: as of `linear_step`.
    """
    membrane = np.empty(x.shape, np.float32)
    _compiled(_filter)(x, *linear_step(layer, k, states), membrane)
    return membrane


def _plane(upper: Any, wanted: Any, step: Any, limit: Any, mantissa: Any) -> None:
    """Round one weight after the other; those that follow make up for its error (GPTQ)."""
    left = wanted.copy()
    for j in range(len(left)):
        nearest = np.rint(left[j] / step[j]) if wanted[j] != 0 else 0.0
        mantissa[j] = min(max(nearest, -limit[j]), limit[j])
        error = (left[j] - mantissa[j] * step[j]) / upper[j, j]
        left[j:] -= error * upper[j, j:]


def _improve(h: Any, wanted: Any, step: Any, limit: Any, mantissa: Any) -> Any:
    """Change single mantissas, then pairs, by one while that lowers the cost; returns the cost."""
    size = len(wanted)
    slope = h @ (mantissa * step - wanted)
    for _ in range(SWEEPS):
        changed = False
        for j in range(size):
            if wanted[j] == 0:
                continue
            d = -1.0 if slope[j] > 0 else 1.0
            change = 2 * d * step[j] * slope[j] + step[j] ** 2 * h[j, j]
            if abs(mantissa[j] + d) <= limit[j] and change < -1e-9 * step[j] ** 2 * h[j, j]:
                mantissa[j] += d
                slope += d * step[j] * h[j]
                changed = True
        if changed:
            continue
        for j in range(size):
            for d in (-1.0, 1.0):
                if abs(mantissa[j] + d) > limit[j] or wanted[j] == 0:
                    continue
                alone = 2 * d * step[j] * slope[j] + step[j] ** 2 * h[j, j]
                best, other, c = -1e-9 * step[j] ** 2 * h[j, j], -1, 0.0
                for n in range(size):
                    then = slope[n] + d * step[j] * h[j, n]
                    e = -1.0 if then > 0 else 1.0
                    change = alone + 2 * e * step[n] * then + step[n] ** 2 * h[n, n]
                    free = n != j and wanted[n] != 0 and abs(mantissa[n] + e) <= limit[n]
                    if free and change < best:
                        best, other, c = change, n, e
                if other >= 0:
                    mantissa[j] += d
                    mantissa[other] += c
                    slope += d * step[j] * h[j] + c * step[other] * h[other]
                    changed = True
        if not changed:
            break
    error = mantissa * step - wanted
    return error @ (h @ error)


def _round_rows(
    h: Any, upper: Any, wanted: Any, step: Any, limit: Any, mantissas: Any, costs: Any
) -> None:
    for k in numba.prange(wanted.shape[0]):
        _plane(upper[k], wanted[k], step, limit, mantissas[k])
        costs[k] = _improve(h[k], wanted[k], step, limit, mantissas[k])
        other = np.minimum(np.maximum(np.rint(wanted[k] / step), -limit), limit)
        cost = _improve(h[k], wanted[k], step, limit, other)
        if cost < costs[k]:
            mantissas[k] = other
            costs[k] = cost


@cache
def _compiled(loop: Any) -> Any:
    helpers = {"_plane": compiled(_plane), "_improve": compiled(_improve)}
    return specialized(loop, loop.__name__.strip("_"), parallel=True, **helpers)


def round_rows(
    gram: NDArray[np.float64], matrices: list[NDArray[np.float64]], weight_bits: Sequence[int]
) -> list[Rounding]:
    """Round the matrices of a layer together, with each choice of their exponents, best first.

    gram: [N, J, J], H of each neuron; J counts the columns of all matrices in order. matrices:
    [N, n] each, in state integers. weight_bits: width of each one's mantissas, sign included.
    """
    widths = [matrix.shape[1] for matrix in matrices]
    limit = np.repeat([float(mantissa_limit(bits)) for bits in weight_bits], widths)
    wanted = np.ascontiguousarray(np.concatenate(matrices, axis=1))
    neurons, columns = wanted.shape
    ridge = RIDGE * np.einsum("kjj->k", gram) / max(columns, 1)
    h = gram + np.where(ridge > 0, ridge, 1.0)[:, None, None] * np.eye(columns)
    upper = np.ascontiguousarray(np.linalg.cholesky(np.linalg.inv(h)).transpose(0, 2, 1))
    roundings = []
    for exponents in product(*map(exponents_of, matrices, weight_bits)):
        step = np.repeat([2.0**exponent for exponent in exponents], widths)
        mantissas, costs = np.empty_like(wanted), np.empty(neurons)
        _compiled(_round_rows)(h, upper, wanted, step, limit, mantissas, costs)
        parts = np.split(mantissas.astype(np.int8), np.cumsum(widths)[:-1], axis=1)
        roundings.append(Rounding(tuple(parts), exponents, float(costs.sum())))
    return sorted(roundings, key=lambda rounding: rounding.cost)


def exponents_of(matrix: NDArray[np.float64], weight_bits: int) -> list[int]:
    """The smallest exponent that holds every weight, and those below it."""
    fits = smallest_exponent(float(np.abs(matrix).max(initial=0.0)), weight_bits)
    largest = EXPONENT_MAX if fits is None else fits  # a refitted weight may be beyond all of them
    return list(range(max(0, largest - CLIPPED + 1), largest + 1))
