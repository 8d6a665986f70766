"""From real numbers to the chip's integers; nothing after this rounds a parameter again.

Every layer gets a `LayerFormat`: how many fraction bits its states and its parameters have. The
state format follows from the largest value each state reached on real data, with head-room.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import floor, log2
from typing import Any

import numpy as np
from numpy.typing import NDArray

from brf_lava.errors import ParameterError
from brf_lava.export.network import (
    EXPONENT_MAX,
    STATE_BITS_MAX,
    STATE_BITS_MIN,
    Connection,
    FixedLayer,
    FixedNetwork,
    RealLayer,
    RealNetwork,
    check_range,
    integer_ranges,
)
from brf_lava.kernels import loop
from brf_lava.neurons.fixed import STATE_WIDTH

HEADROOM = 4.0  # states may grow this much beyond the calibration data before they saturate
WEIGHT_BITS_MIN, WEIGHT_BITS_MAX = 2, 8
CHUNK = 32  # samples at a time when ranges are measured


@dataclass(frozen=True)
class LayerFormat:
    """Fraction bits of states and parameters, and the width of a signed weight mantissa.

    Raises: ParameterError outside the ranges above.
    """

    state_bits: int = 14
    parameter_bits: int = 16
    weight_bits: int = WEIGHT_BITS_MAX

    def __post_init__(self) -> None:
        integer_ranges(self.state_bits, self.parameter_bits)
        allowed = (WEIGHT_BITS_MIN, WEIGHT_BITS_MAX)
        check_range("weight_bits", self.weight_bits, self.weight_bits, allowed)


@dataclass(frozen=True)
class Deviation:
    """How far a parameter's integers are from its real values, in the parameter's own unit.

    relative: the largest error over the largest absolute value.
    """

    parameter: str
    bits: int  # of the largest integer, sign included
    absolute: float
    relative: float


@dataclass(frozen=True)
class Correction:
    """A neuron whose rounded integers were changed to keep it stable."""

    neuron: int
    parameters: tuple[str, ...]
    rounded: tuple[int, ...]
    corrected: tuple[int, ...]


@dataclass(frozen=True)
class LayerReport:
    """What quantization did to one layer. peaks: largest absolute value of each state, real."""

    neuron: str
    format: LayerFormat
    peaks: dict[str, float]
    deviations: tuple[Deviation, ...]
    corrections: tuple[Correction, ...]


def nearest(values: Any) -> NDArray[np.int64]:
    """The nearest integers, halves to even: the one rounding of parameters."""
    return np.rint(np.asarray(values, dtype=np.float64)).astype(np.int64)


def quantize(
    network: RealNetwork,
    x: NDArray[np.int8],
    *,
    state_bits: int | None = None,
    parameter_bits: int = 16,
    weight_bits: int = WEIGHT_BITS_MAX,
) -> tuple[FixedNetwork, tuple[LayerReport, ...]]:
    """Quantize a network; state formats from the ranges it reaches on `x` unless given.

    x: [T, B, I] calibration spikes. Raises: ParameterError when a state's range or a weight does
    not fit any format.
    """
    peaks = measure_peaks(network, x)
    results = []
    for layer, reached in zip(network.layers, peaks, strict=True):
        bits = state_bits
        if bits is None:
            bits = choose_state_bits(layer, reached, weight_bits)
        layer_format = LayerFormat(bits, parameter_bits, weight_bits)
        results.append(quantize_layer(layer, layer_format, reached))
    return FixedNetwork(tuple(fixed for fixed, _ in results)), tuple(
        report for _, report in results
    )


def measure_peaks(network: RealNetwork, x: NDArray[np.int8]) -> tuple[dict[str, float], ...]:
    """The largest absolute value of every state on `x` [T, B, I], one dictionary per layer."""
    peaks = [dict.fromkeys(layer.neuron.states, 0.0) for layer in network.layers]
    for first in range(0, x.shape[1], CHUNK):
        signal: Any = np.ascontiguousarray(x[:, first : first + CHUNK])
        for layer, reached in zip(network.layers, peaks, strict=True):
            recurrent = layer.recurrent
            signal, states = loop.forward(
                layer.neuron,
                signal,
                np.ascontiguousarray(layer.weights.T),
                None if recurrent is None else np.ascontiguousarray(recurrent.T),
                np.ascontiguousarray(layer.coefficients),
                layer.constants,
                integers=False,
                keep_states=True,
            )
            for index, name in enumerate(layer.neuron.states):
                reached[name] = float(np.maximum(reached[name], np.abs(states[:, index]).max()))
    return tuple(peaks)


def choose_state_bits(
    layer: RealLayer, peaks: dict[str, float], weight_bits: int = WEIGHT_BITS_MAX
) -> int:
    """The most fraction bits that leave `HEADROOM` above the largest state and hold the weights.

    Raises: ParameterError when the states are too large for any format.
    """
    largest = float(np.max([1 / HEADROOM, *peaks.values()]))  # NaN stays NaN
    if not np.isfinite(largest):
        raise ParameterError(
            f"{layer.neuron.name}: a state reaches {largest:g} on the calibration data; states "
            "must be finite. Train the network again, with a lower learning rate."
        )
    bits = floor(STATE_WIDTH - 1 - log2(HEADROOM * largest))
    if bits < STATE_BITS_MIN:
        raise ParameterError(
            f"{layer.neuron.name}: a state reaches {largest:g}; with head-room of {HEADROOM:g} it "
            f"leaves {bits} fraction bits, at least {STATE_BITS_MIN} are needed. Is the network "
            "trained, and the calibration data its own?"
        )
    while bits > STATE_BITS_MIN and not _weights_fit(layer, bits, weight_bits):
        bits -= 1
    return min(bits, STATE_BITS_MAX)


def _weights_fit(layer: RealLayer, state_bits: int, weight_bits: int) -> bool:
    """Whether an exponent is allowed that the largest weight fits; NaN is reported elsewhere."""
    matrices = [layer.weights] if layer.recurrent is None else [layer.weights, layer.recurrent]
    largest = max(float(np.abs(matrix).max(initial=0.0)) for matrix in matrices)
    integer = largest * INPUT_GAINS[layer.neuron.name](layer.constants) * 2.0**state_bits
    return not np.isfinite(integer) or _smallest_exponent(integer, weight_bits) is not None


def _mantissa_limit(weight_bits: int) -> int:
    return int(2 ** (weight_bits - 1)) - 1


def _smallest_exponent(largest: float, weight_bits: int) -> int | None:
    """The smallest exponent with which state integer `largest` fits a mantissa, if any does."""
    limit = _mantissa_limit(weight_bits)
    fits = (e for e in range(EXPONENT_MAX + 1) if np.rint(largest / 2**e) <= limit)
    return next(fits, None)  # compared as floats: beyond 63 bits a cast would wrap


def quantize_layer(
    layer: RealLayer, layer_format: LayerFormat, peaks: dict[str, float] | None = None
) -> tuple[FixedLayer, LayerReport]:
    """One layer in integers, and what that cost. Raises: ParameterError if a weight cannot fit."""
    quantized = QUANTIZERS[layer.neuron.name](layer, layer_format)
    gain = INPUT_GAINS[layer.neuron.name](layer.constants)
    weight_unit = gain * 2.0**layer_format.state_bits
    weights, deviation = quantize_weights("weight", layer.weights, weight_unit, layer_format)
    deviations = [deviation]
    recurrent = None
    if layer.recurrent is not None:
        recurrent, deviation = quantize_weights(
            "recurrent weight", layer.recurrent, weight_unit, layer_format
        )
        deviations.append(deviation)
    fixed_layer = FixedLayer(
        layer.neuron, weights, recurrent, quantized.coefficients, quantized.constants
    )
    report = LayerReport(
        neuron=layer.neuron.name,
        format=layer_format,
        peaks=peaks or {},
        deviations=(*deviations, *quantized.deviations),
        corrections=quantized.corrections,
    )
    return fixed_layer, report


def quantize_weights(
    name: str, weights: NDArray[np.float64], unit: float, layer_format: LayerFormat
) -> tuple[Connection, Deviation]:
    """Signed mantissas with one exponent for the whole matrix, the smallest that fits.

    unit: state integers per unit of weight.
    """
    scaled = weights * unit
    largest = float(np.abs(scaled).max(initial=0.0))
    if not np.isfinite(largest):
        raise ParameterError(f"{name}: holds values that are not finite numbers.")
    exponent = _smallest_exponent(largest, layer_format.weight_bits)
    if exponent is None:
        raise ParameterError(
            f"{name}: the largest is {largest / unit:g}, {largest:g} in state integers; at most "
            f"{_mantissa_limit(layer_format.weight_bits) * 2**EXPONENT_MAX} fit. Use fewer state "
            f"bits (--state-bits, now {layer_format.state_bits})."
        )
    connection = Connection(nearest(scaled / 2**exponent).astype(np.int8), exponent)
    return connection, _deviation(name, connection.mantissa, connection.integers / unit, weights)


@dataclass(frozen=True)
class QuantizedNeuron:
    """A neuron's own integers."""

    coefficients: NDArray[np.int64]
    constants: Any
    deviations: tuple[Deviation, ...]
    corrections: tuple[Correction, ...]


def _quantize_brf(layer: RealLayer, layer_format: LayerFormat) -> QuantizedNeuron:
    """Damping and rotation per step; see `fixed.brf_step`."""
    dt, theta, gamma = layer.constants
    one = 2**layer_format.parameter_bits
    for k, (damping, omega) in enumerate(layer.coefficients.T.tolist()):
        if not (-1 <= dt * damping <= 0 and 0 <= dt * omega < 1):  # also catches NaN
            raise ParameterError(
                f"BRF: damping {damping:g}/s and omega {omega:g} rad/s at neuron {k}; times dt = "
                f"{dt:g} they must be within -1..0 and 0..1. Lower b_offset, omega or dt."
            )
    rounded = nearest(dt * layer.coefficients * one)
    coefficients = rounded.copy()
    corrections = []
    for k in range(rounded.shape[1]):
        damping, rotation = (int(value) for value in rounded[:, k])
        stable = stabilize_resonator(damping, rotation, one)
        if stable != (damping, rotation):
            coefficients[:, k] = stable
            corrections.append(
                Correction(k, layer.neuron.fixed_coefficients, (damping, rotation), stable)
            )
    constants = layer.neuron.fixed_constants(
        dt=int(nearest(dt * one)),
        theta=int(nearest(theta * 2**layer_format.state_bits)),
        gamma=int(nearest(gamma * one)),
        state_bits=layer_format.state_bits,
        parameter_bits=layer_format.parameter_bits,
    )
    deviations = [
        _deviation(f"{name} (dt * {unit})", integers, integers / one, dt * real)
        for name, unit, integers, real in zip(
            layer.neuron.fixed_coefficients,
            ("(p(omega) - b_offset)", "omega"),
            coefficients,
            layer.coefficients,
            strict=True,
        )
    ]
    deviations += [
        _deviation("dt", constants.dt, constants.dt / one, dt),
        _deviation("gamma", constants.gamma, constants.gamma / one, gamma),
    ]
    return QuantizedNeuron(coefficients, constants, tuple(deviations), tuple(corrections))


def _quantize_li(layer: RealLayer, layer_format: LayerFormat) -> QuantizedNeuron:
    """The decay per step, below 1: an integrator that rounding made lossless is corrected."""
    one = 2**layer_format.parameter_bits
    rounded = nearest(layer.coefficients * one)
    coefficients = np.minimum(rounded, one - 1)
    corrections = tuple(
        Correction(int(k), layer.neuron.fixed_coefficients, (int(rounded[0, k]),), (one - 1,))
        for k in np.flatnonzero(rounded[0] != coefficients[0])
    )
    constants = layer.neuron.fixed_constants(
        state_bits=layer_format.state_bits, parameter_bits=layer_format.parameter_bits
    )
    deviation = _deviation("decay", coefficients, coefficients / one, layer.coefficients)
    return QuantizedNeuron(coefficients, constants, (deviation,), corrections)


QUANTIZERS: dict[str, Callable[[RealLayer, LayerFormat], QuantizedNeuron]] = {
    "BRF": _quantize_brf,
    "LI": _quantize_li,
}
INPUT_GAINS: dict[str, Callable[[Any], float]] = {  # what a neuron multiplies its current by
    "BRF": lambda constants: float(constants.dt),
    "LI": lambda constants: 1.0,
}


def is_stable(damping: int, rotation: int, one: int) -> bool:
    """Whether ``|1 + damping/one + i rotation/one| <= 1``, decided in integers."""
    return (one + damping) ** 2 + rotation**2 <= one**2


def stabilize_resonator(damping: int, rotation: int, one: int) -> tuple[int, int]:
    """The stable integers (damping, rotation) nearest to these, by the sum of their changes.

    damping: -one or more, rotation: 0 or more; then stronger damping and slower rotation lead
    there. The frequency is changed last. Raises: ParameterError for other integers.
    """
    if damping < -one or rotation < 0:
        raise ParameterError(
            f"resonator: damping {damping}, rotation {rotation}; at least {-one} and 0 are needed."
        )
    change = 0
    while True:
        for slower in range(change + 1):
            candidate = (damping - (change - slower), rotation - slower)
            if is_stable(*candidate, one):
                return candidate
        change += 1


def _deviation(parameter: str, integers: Any, represented: Any, real: Any) -> Deviation:
    error = float(np.abs(np.asarray(represented) - real).max(initial=0.0))
    scale = float(np.abs(real).max(initial=0.0))
    return Deviation(
        parameter=parameter,
        bits=int(np.abs(np.asarray(integers, dtype=np.int64)).max(initial=0)).bit_length() + 1,
        absolute=error,
        relative=error / scale if scale else 0.0,
    )
