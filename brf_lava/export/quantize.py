"""From real numbers to the chip's integers; nothing after this rounds a parameter again.

Every layer gets a `LayerFormat`: how many fraction bits its states and its parameters have. The
state format follows from the largest value each state reached on real data, with head-room.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from math import floor, inf, log2, nan
from typing import Any

import numpy as np
from numpy.typing import NDArray

from brf_lava.errors import ParameterError
from brf_lava.kernels import loop
from brf_lava.network.layers import (
    EXPONENT_MAX,
    STATE_BITS_MAX,
    STATE_BITS_MIN,
    Connection,
    FixedLayer,
    FixedNetwork,
    RealLayer,
    RealNetwork,
    check_bits,
    check_range,
    largest_sums,
)
from brf_lava.neurons.fixed import CURRENT_MAX, STATE_MAX, STATE_WIDTH
from brf_lava.neurons.record import Neuron

HEADROOM = 4.0  # states may grow this much beyond the calibration data before they saturate
WEIGHT_BITS_MIN, WEIGHT_BITS_MAX = 2, 8
CHUNK = 32  # samples at a time when ranges are measured
STABLE_MARGIN = 1e-6  # float32 parameters on the divergence boundary may look this far beyond it


@dataclass(frozen=True)
class LayerFormat:
    """Fraction bits of states and parameters, and the width of a signed weight mantissa.

    Raises: ParameterError outside the ranges above.
    """

    state_bits: int = 14
    parameter_bits: int = 16
    weight_bits: int = WEIGHT_BITS_MAX

    def __post_init__(self) -> None:
        check_bits(self.state_bits, self.parameter_bits)
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
    """What quantization did to one layer.

    peaks: largest absolute value of each state, real. growth: by what factor per step a neuron that
    was trained beyond the divergence boundary grows without input, by neuron.
    """

    neuron: str
    format: LayerFormat
    peaks: dict[str, float]
    deviations: tuple[Deviation, ...]
    corrections: tuple[Correction, ...]
    growth: dict[int, float] = field(default_factory=dict)


def nearest(values: Any) -> NDArray[np.int64]:
    """The nearest integers, halves to even: the one rounding of parameters."""
    return np.rint(np.asarray(values, dtype=np.float64)).astype(np.int64)


def quantize(
    network: RealNetwork,
    x: NDArray[Any],
    *,
    state_bits: int | None = None,
    parameter_bits: int = 16,
    weight_bits: int = WEIGHT_BITS_MAX,
) -> tuple[FixedNetwork, tuple[LayerReport, ...]]:
    """Quantize a network; state formats from the ranges it reaches on `x` unless given.

    x: [T, B, I] calibration inputs, int8 or uint8, as the exported network will get them.
    Raises: ParameterError when a state's range or a weight does not fit any format.
    """
    peaks = measure_peaks(network, x)
    inputs = input_range(x)
    results = []
    for index, (layer, reached) in enumerate(zip(network.layers, peaks, strict=True)):
        bits = state_bits
        if bits is None:
            largest_input = 1 if index else max(map(abs, inputs))
            bits = choose_state_bits(layer, reached, weight_bits, largest_input)
        layer_format = LayerFormat(bits, parameter_bits, weight_bits)
        results.append(quantize_layer(layer, layer_format, reached))
    fixed_network = FixedNetwork(tuple(fixed for fixed, _ in results), input_range=inputs)
    return fixed_network, tuple(report for _, report in results)


def input_range(x: NDArray[Any]) -> tuple[int, int]:
    """(0, 1) if these inputs are spikes, else what their 8-bit type holds."""
    if x.min() >= 0 and x.max() <= 1:
        return 0, 1
    limits = np.iinfo(x.dtype)
    return int(limits.min), int(limits.max)


def measure_peaks(network: RealNetwork, x: NDArray[Any]) -> tuple[dict[str, float], ...]:
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
    layer: RealLayer,
    peaks: dict[str, float],
    weight_bits: int = WEIGHT_BITS_MAX,
    largest_input: int = 1,
) -> int:
    """The most fraction bits that leave `HEADROOM` above the largest state and hold the weights.

    They also hold the largest current there can be in 24 bits, as far as that is possible at all:
    more is not known of the chip. Else in an int32. largest_input: by its absolute value.
    Raises: ParameterError when the states are too large for any format.
    """
    theta = float(getattr(layer.constants, "theta", 0.0))
    largest = float(np.max([1 / HEADROOM, theta, *peaks.values()]))  # NaN stays NaN
    if not np.isfinite(largest):
        raise ParameterError(
            f"{layer.neuron.name}: a state or the threshold reaches {largest:g}; both "
            "must be finite. Train the network again, with a lower learning rate."
        )
    bits = floor(STATE_WIDTH - 1 - log2(HEADROOM * largest))
    if bits < STATE_BITS_MIN:
        raise ParameterError(
            f"{layer.neuron.name}: a state or the threshold reaches {largest:g}; with head-room of "
            f"{HEADROOM:g} it leaves {bits} fraction bits, at least {STATE_BITS_MIN} are needed. "
            "Is the network trained, and the calibration data its own?"
        )
    allowed = range(min(bits, STATE_BITS_MAX), STATE_BITS_MIN - 1, -1)
    currents = [_largest_current(layer, each, weight_bits, largest_input) for each in allowed]
    for limit in (STATE_MAX, CURRENT_MAX, inf):
        for each, current in zip(allowed, currents, strict=True):
            if current is not None and not current > limit:
                return each
    return STATE_BITS_MIN


def _largest_current(
    layer: RealLayer, state_bits: int, weight_bits: int, largest_input: int
) -> float | None:
    """What can reach a neuron in one step, as a state integer; None if the weights do not fit.

    NaN where they are not finite, which is reported elsewhere.
    """
    weights, recurrent, gain = _synapses(layer)
    total = np.zeros(len(weights))
    for matrix, largest in ((weights, largest_input), (recurrent, 1)):
        if matrix is not None:
            scaled = np.abs(matrix) * gain * 2.0**state_bits
            if not np.isfinite(scaled).all():
                return nan
            exponent = _smallest_exponent(float(scaled.max(initial=0.0)), weight_bits)
            if exponent is None:
                return None
            total += largest_sums(2.0**exponent * np.rint(scaled / 2.0**exponent), largest)
    return float(total.max(initial=0.0))


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
    quantized = quantize_neuron(layer, layer_format)
    real_weights, real_recurrent, gain = _synapses(layer)
    weight_unit = gain * 2.0**layer_format.state_bits
    weights, deviation = quantize_weights("weight", real_weights, weight_unit, layer_format)
    deviations = [deviation]
    recurrent = None
    if real_recurrent is not None:
        recurrent, deviation = quantize_weights(
            "recurrent weight", real_recurrent, weight_unit, layer_format
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
        growth=quantized.growth,
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
    deviations: tuple[Deviation, ...] = ()
    corrections: tuple[Correction, ...] = ()
    growth: dict[int, float] = field(default_factory=dict)


def quantize_neuron(layer: RealLayer, layer_format: LayerFormat) -> QuantizedNeuron:
    """The coefficients and constants of a layer's neurons in integers, as their record says.

    Rounding must not make a neuron diverge that does not. One that was trained to diverge, as its
    record may allow, is kept as it is and reported.
    Raises: ParameterError for coefficients out of range, and for unstable integers that the record
    cannot stabilize.
    """
    neuron, one = layer.neuron, 2**layer_format.parameter_bits
    scaled = scaled_coefficients(layer)
    _check_coefficients(layer, scaled)
    rounded = nearest(scaled * one)
    ranges = neuron.integer_ranges(layer_format.state_bits, layer_format.parameter_bits)
    limits = np.array([ranges[name] for name in neuron.fixed_coefficients])  # [P, 2]
    coefficients = np.clip(rounded, limits[:, :1], limits[:, 1:])
    growth = growing(layer)
    for k in range(rounded.shape[1]):
        if k not in growth:
            coefficients[:, k] = _stable(neuron, tuple(map(int, coefficients[:, k])), one, k)
    changed = np.flatnonzero((rounded != coefficients).any(axis=0))
    corrections = tuple(
        Correction(
            int(k),
            neuron.fixed_coefficients,
            tuple(map(int, rounded[:, k])),
            tuple(map(int, coefficients[:, k])),
        )
        for k in changed
    )
    constants, deviations = _constants(layer, layer_format)
    if neuron.leak:
        index = neuron.coefficients.index(neuron.leak)
        deviations = (_leak_deviation(coefficients[index], scaled[index], one), *deviations)
    labels = [each.label for each in neuron.per_neuron]
    own = tuple(
        _deviation(label, integers, integers / one, values)
        for label, integers, values in zip(labels, coefficients, scaled, strict=True)
    )
    return QuantizedNeuron(coefficients, constants, (*own, *deviations), corrections, growth)


def scaled_coefficients(layer: RealLayer) -> NDArray[np.float64]:
    """The coefficients [P, N] per step, as the integers stand for them."""
    scales = [each.scale(layer.constants) for each in layer.neuron.per_neuron]
    return np.array(scales)[:, None] * layer.coefficients


def growing(layer: RealLayer) -> dict[int, float]:
    """By what factor per step neurons grow that lie beyond their boundary as trained, by neuron."""
    if layer.neuron.growth is None:
        return {}
    growth = {
        k: layer.neuron.growth(*values) for k, values in enumerate(scaled_coefficients(layer).T)
    }
    return {k: factor for k, factor in growth.items() if factor > 1 + STABLE_MARGIN}


def _check_coefficients(layer: RealLayer, scaled: NDArray[np.float64]) -> None:
    """Raises: ParameterError for the first neuron with a coefficient that no integer stands for."""
    specs = layer.neuron.per_neuron
    for k, values in enumerate(scaled.T.tolist()):
        if all(value in spec.allowed for spec, value in zip(specs, values, strict=True)):
            continue
        given = " and ".join(
            f"{spec.label} = {value:g}" for spec, value in zip(specs, values, strict=True)
        )
        names = [each.name for each in layer.neuron.trained]
        raise ParameterError(
            f"{layer.neuron.name}: {given} at neuron {k}; they must be within "
            f"{' and '.join(spec.allowed.ends for spec in specs)}. Lower {' or '.join(names)}"
            f"{' or dt' if any(spec.times == 'dt' for spec in specs) else ''}."
        )


def _stable(neuron: Neuron, integers: tuple[int, ...], one: int, k: int) -> tuple[int, ...]:
    """The nearest integers with which neuron k stays bounded. Raises: ParameterError."""
    if neuron.is_stable is None or neuron.is_stable(*integers, one):
        return integers
    if neuron.stabilize is not None:
        return neuron.stabilize(*integers, one)
    named = zip(neuron.fixed_coefficients, integers, strict=True)
    raise ParameterError(
        f"{neuron.name}: {' and '.join(f'{name} {value}' for name, value in named)} at neuron {k}, "
        f"of {one}, would let it grow. Lower {neuron.trained[0].name}, or use more "
        "--parameter-bits."
    )


def _constants(layer: RealLayer, layer_format: LayerFormat) -> tuple[Any, tuple[Deviation, ...]]:
    """The integer constants of a layer, and how far they are from the real ones.

    A threshold that its integer holds exactly is not listed.
    """
    fields = layer.neuron.fixed_constants._fields  # type: ignore[attr-defined]  # a NamedTuple class
    real = layer.constants._asdict()
    integers = {
        "state_bits": layer_format.state_bits,
        "parameter_bits": layer_format.parameter_bits,
        "input_gain": 1,
    }
    deviations = []
    for spec in layer.neuron.constants:
        bits = layer_format.state_bits if spec.of_state else layer_format.parameter_bits
        integer = integers[spec.name] = int(nearest(real[spec.name] * 2**bits))
        deviation = _deviation(spec.name, integer, integer / 2**bits, real[spec.name])
        if spec.name in fields and (deviation.absolute or not spec.of_state):
            deviations.append(deviation)
    return layer.neuron.fixed_constants(*(integers[name] for name in fields)), tuple(deviations)


def _leak_deviation(decay: NDArray[np.int64], real: NDArray[np.float64], one: int) -> Deviation:
    """Of the input gain, which the decay leaves."""
    return _deviation("1 - decay", one - decay, (one - decay) / one, 1 - real)


def _synapses(
    layer: RealLayer,
) -> tuple[NDArray[np.float64], NDArray[np.float64] | None, float]:
    """Input and recurrent weights, bare of what the integer step applies, and the weight gain.

    The real weights of neurons that leak carry ``1 - decay``; one that leaks nothing has none.
    """
    weights, recurrent = layer.weights, layer.recurrent
    if layer.neuron.leak:
        leak = 1 - layer.coefficients[layer.neuron.coefficients.index(layer.neuron.leak)]
        unheard = np.flatnonzero((leak <= 0) & (np.abs(weights).max(axis=1, initial=0.0) > 0))
        if len(unheard):
            k = int(unheard[0])
            raise ParameterError(
                f"{layer.neuron.name}: {layer.neuron.leak} {1 - leak[k]:g} at neuron {k}, whose "
                f"weights carry the gain 1 - {layer.neuron.leak} and are not 0; it must be below "
                "1. Lower tau."
            )
        bare = np.divide(1, leak, out=np.zeros_like(leak), where=leak > 0)[:, None]
        weights = bare * weights
        recurrent = None if recurrent is None else bare * recurrent
    return weights, recurrent, layer.neuron.weight_gain(layer.constants)


def _deviation(parameter: str, integers: Any, represented: Any, real: Any) -> Deviation:
    error = float(np.abs(np.asarray(represented) - real).max(initial=0.0))
    scale = float(np.abs(real).max(initial=0.0))
    return Deviation(
        parameter=parameter,
        bits=int(np.abs(np.asarray(integers, dtype=np.int64)).max(initial=0)).bit_length() + 1,
        absolute=error,
        relative=error / scale if scale else 0.0,
    )
