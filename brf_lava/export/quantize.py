"""From real numbers to the chip's integers; nothing after this rounds a parameter again.

Every layer gets a `LayerFormat`: how many fraction bits its states and its parameters have. The
state format follows from the largest value each state reached on real data, with headroom.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice, product
from math import floor, inf, log2
from typing import Any

import numpy as np
from numpy.typing import NDArray

from brf_lava.errors import ParameterError
from brf_lava.export.adaptive import Progress, round_network
from brf_lava.export.rounding import bare_weights, mantissa_limit, smallest_exponent
from brf_lava.network.decision import Decision
from brf_lava.network.forward import forward
from brf_lava.network.layers import (
    EXPONENT_MAX,
    FORMAT_RANGES,
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
from brf_lava.network.rest import check_rest
from brf_lava.neurons.fixed import CURRENT_MAX, STATE_MAX, STATE_WIDTH
from brf_lava.neurons.record import Neuron

HEADROOM = 4.0  # states may grow this much beyond the calibration data before they saturate
WEIGHT_BITS_MIN, WEIGHT_BITS_MAX = 2, 8
GROWN = 64.0  # times the threshold: what a neuron that grows needs, see `measure_peaks`
CHUNK = 32  # samples at a time when ranges are measured
UNITS = (0.0, 0.25, 0.5, 0.75)  # tried: 2**state_bits over a power of 2 with these exponents
WEIGHTS = ("weight", "recurrent weight")
ROUNDINGS = ("adaptive", "nearest")
STABLE_MARGIN = 1e-6  # float32 parameters on the divergence boundary may look this far beyond it


@dataclass(frozen=True)
class LayerFormat:
    """Fraction bits of states and parameters, and the width of a signed weight mantissa.

    weight_bits: of input weights and of recurrent ones; one number counts for both.
    unit: the state that stands for 1, at most ``2**state_bits`` and more than half of it; 0: that.
    Raises: ParameterError outside the ranges above.
    """

    state_bits: int = 14
    parameter_bits: int = 16
    weight_bits: tuple[int, ...] = (WEIGHT_BITS_MAX,)
    unit: int = 0

    def __post_init__(self) -> None:
        allowed = {**FORMAT_RANGES, "weight_bits": (WEIGHT_BITS_MIN, WEIGHT_BITS_MAX)}
        for name, limits in allowed.items():
            check_range(name, getattr(self, name), limits)
        object.__setattr__(self, "unit", self.unit or 1 << self.state_bits)


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

    units: what stands for 1 in each state. peaks: its largest absolute value, real. growth: by what
    factor per step a neuron that was trained beyond the divergence boundary grows without input, by
    neuron.
    """

    neuron: str
    format: LayerFormat
    units: dict[str, int]
    peaks: dict[str, float]
    corrections: tuple[Correction, ...]
    growth: dict[int, float]


def nearest(values: Any) -> NDArray[np.int64]:
    """The nearest integers, halves to even: the one rounding of parameters."""
    return np.rint(np.asarray(values, dtype=np.float64)).astype(np.int64)


def quantize(
    network: RealNetwork,
    x: NDArray[Any],
    *,
    state_bits: int | Sequence[int] | None = None,
    parameter_bits: int = 16,
    weight_bits: int | Sequence[int] = WEIGHT_BITS_MAX,
    rounding: str = "adaptive",
    decision: Decision | None = None,
    progress: Progress = lambda done: None,
    grams: dict[int, NDArray[np.float64]] | None = None,
) -> tuple[FixedNetwork, tuple[LayerReport, ...]]:
    """Quantize a network; state formats from the ranges it reaches on `x` unless given.

    Args:
        network: In real numbers.
        x: [T, B, I] calibration inputs, int8 or uint8, as the exported network will get them.
        state_bits: Fraction bits of the states, of all layers or of each; None: those that fit.
        parameter_bits: Fraction bits of coefficients and constants.
        weight_bits: Width of a signed weight mantissa, or those of all matrices in order.
        rounding: "nearest", or "adaptive", see `adaptive.round_network`.
        decision, progress, grams: As of `adaptive.round_network`.

    Returns:
        The network in integers, and what that did to each layer.

    Raises:
        ParameterError: When a state's range or a weight does not fit any format, `weight_bits` not
            the matrices, and when a neuron would not come to rest.
    """
    if rounding not in ROUNDINGS:
        raise ParameterError(f"rounding {rounding!r}; choose one of {', '.join(ROUNDINGS)}.")
    widths = _layer_bits(network, weight_bits)
    peaks = measure_peaks(network, x)
    inputs = input_range(x)
    results = []  # of each layer, with each unit
    for index, (layer, reached) in enumerate(zip(network.layers, peaks, strict=True)):
        bits = state_bits[index] if isinstance(state_bits, Sequence) else state_bits
        if bits is None:
            largest_input = 1 if index else max(map(abs, inputs))
            bits = choose_state_bits(layer, reached, widths[index], largest_input)
        kind: Any = layer.neuron.fixed_constants
        free = rounding == "adaptive" and "unit" in kind._fields
        units = [round(2.0 ** (bits - less)) for less in (UNITS if free else (0,))]
        formats = [LayerFormat(bits, parameter_bits, widths[index], unit) for unit in units]
        results.append([quantize_layer(layer, each, reached) for each in formats])
    layers, reports = zip(*(found[0] for found in results), strict=True)
    if rounding == "adaptive":
        nearest = [[layer for layer, _ in found] for found in results]
        decision = decision or Decision()
        layers = round_network(network, nearest, x, widths, decision, progress, grams)
        reports = tuple(
            next(report for near, report in found if near.unit == layer.unit)
            for found, layer in zip(results, layers, strict=True)
        )
    quantized = FixedNetwork(layers, input_range=inputs)
    check_rest(quantized)
    return quantized, reports


def _layer_bits(network: RealNetwork, bits: int | Sequence[int]) -> list[tuple[int, ...]]:
    """The bits of each layer's matrices. Raises: ParameterError for a wrong count."""
    given, names = np.atleast_1d(bits).tolist(), list[str]()
    counts = [1 if layer.recurrent is None else 2 for layer in network.layers]
    for number, (layer, count) in enumerate(zip(network.layers, counts, strict=True), start=1):
        names += [f"{number} {layer.neuron.name} {name}" for name in WEIGHTS[:count]]
    if len(given) not in (1, len(names)):
        allowed = f"one number, or one for each of {len(names)} matrices: {', '.join(names)}"
        raise ParameterError(f"weight_bits: {','.join(map(str, given))}; give {allowed}.")
    each = iter(given * len(names))
    return [tuple(islice(each, count)) for count in counts]


def input_range(x: NDArray[Any]) -> tuple[int, int]:
    """(0, 1) if these inputs are spikes, else what their 8-bit type holds."""
    if x.min() >= 0 and x.max() <= 1:
        return 0, 1
    limits = np.iinfo(x.dtype)
    return int(limits.min), int(limits.max)


def measure_peaks(network: RealNetwork, x: NDArray[Any]) -> tuple[dict[str, float], ...]:
    """The largest absolute value of every state on `x` [T, B, I], one dictionary per layer.

    That of a neuron that grows is taken to be at most `GROWN` thresholds: saturation beyond costs
    nothing, while the room for it would cost the others their fraction bits.
    """
    caps = [np.full(len(layer.weights), np.inf) for layer in network.layers]
    for layer, cap in zip(network.layers, caps, strict=True):
        cap[[*growing(layer)]] = GROWN * getattr(layer.constants, "theta", 1.0)
    peaks = [dict.fromkeys(layer.neuron.states, 0.0) for layer in network.layers]
    for first in range(0, x.shape[1], CHUNK):
        signal: Any = x[:, first : first + CHUNK]
        for layer, reached, cap in zip(network.layers, peaks, caps, strict=True):
            signal, states = forward(layer, signal, keep_states=True)
            for index, name in enumerate(layer.neuron.states):
                largest = np.abs(states[:, index]).max((0, 1))
                reached[name] = float(np.maximum(reached[name], np.fmin(largest, cap).max()))
    return tuple(peaks)


def choose_state_bits(
    layer: RealLayer,
    peaks: dict[str, float],
    weight_bits: tuple[int, ...] = (WEIGHT_BITS_MAX,),
    largest_input: int = 1,
) -> int:
    """The most fraction bits that leave `HEADROOM` above the largest state and hold the weights.

    They also hold the largest current there can be in 24 bits, as far as that is possible at all:
    more is not known of the chip. Else in an int32. largest_input: by its absolute value.
    Raises: ParameterError when the states are too large for any format.
    """
    theta = float(getattr(layer.constants, "theta", 0.0))
    largest = float(np.max([1 / HEADROOM, theta, *peaks.values()]))  # NaN stays NaN
    most = 2.0 ** (STATE_WIDTH - 1 - STATE_BITS_MIN) / HEADROOM
    if not largest <= most:
        raise ParameterError(
            f"{layer.neuron.name}: a state or the threshold reaches {largest:g}; at most {most:g} "
            f"leaves headroom of {HEADROOM:g} and {STATE_BITS_MIN} fraction bits. Is the network "
            "trained, and the calibration data its own?"
        )
    bits = floor(STATE_WIDTH - 1 - log2(HEADROOM * largest))
    currents = {
        bits: _largest_current(layer, LayerFormat(bits, weight_bits=weight_bits), largest_input)
        for bits in range(min(bits, STATE_BITS_MAX), STATE_BITS_MIN - 1, -1)
    }
    limits = product((STATE_MAX, CURRENT_MAX), currents.items())
    fitting = (bits for limit, (bits, current) in limits if current <= limit)
    return next(fitting, STATE_BITS_MIN)


def _largest_current(layer: RealLayer, layer_format: LayerFormat, largest_input: int) -> float:
    """What can reach a neuron in one step, as a state integer; infinite for weights beyond it."""
    try:
        weights, recurrent = _quantize_synapses(layer, layer_format)
    except ParameterError:  # raised again if there is no other format
        return inf
    sums = weights.largest_currents(largest_input)
    return int((sums if recurrent is None else sums + recurrent.largest_currents()).max(initial=0))


def quantize_layer(
    layer: RealLayer, layer_format: LayerFormat, peaks: dict[str, float] | None = None
) -> tuple[FixedLayer, LayerReport]:
    """Quantize one layer; see `quantize`. peaks: for the report only."""
    weights, recurrent = _quantize_synapses(layer, layer_format)
    coefficients, corrections = _quantize_coefficients(layer, layer_format)
    growth, neuron = growing(layer), layer.neuron
    kind: Any = neuron.fixed_constants
    real, integers = layer.constants._asdict(), dict(vars(layer_format))
    formats = layer_format.state_bits, layer_format.parameter_bits, layer_format.unit
    for spec in neuron.constants:
        integers[spec.name] = int(nearest(real[spec.name] * spec.scale(*formats)))
    constants = kind(*(integers[name] for name in kind._fields))
    fixed = FixedLayer(neuron, weights, recurrent, coefficients, constants, tuple(growth))
    report = LayerReport(
        neuron=neuron.name,
        format=layer_format,
        units=dict(zip(neuron.states, fixed.units.tolist(), strict=True)),
        peaks=peaks or {},
        corrections=corrections,
        growth=growth,
    )
    return fixed, report


def _quantize_synapses(
    layer: RealLayer, layer_format: LayerFormat
) -> tuple[Connection, Connection | None]:
    """Input and recurrent weights in integers, without what the integer step applies itself."""
    unit = layer.neuron.weight_gain(layer.constants) * layer_format.unit
    matrices = bare_weights(layer)
    bits = np.broadcast_to(layer_format.weight_bits, len(matrices)).tolist()
    connections = (
        quantize_weights(name, matrix, unit, width, layer_format.state_bits)
        for name, matrix, width in zip(WEIGHTS, matrices, bits, strict=False)
    )
    return next(connections), next(connections, None)


def quantize_weights(
    name: str, weights: NDArray[np.float64], unit: float, weight_bits: int, state_bits: int
) -> Connection:
    """Signed mantissas with the smallest exponent that fits. unit: state integers per weight."""
    scaled = weights * unit
    largest = float(np.abs(scaled).max(initial=0.0))
    if not np.isfinite(largest):
        raise ParameterError(f"{name}: holds values that are not finite numbers.")
    exponent = smallest_exponent(largest, weight_bits)
    if exponent is None:
        most = mantissa_limit(weight_bits) * 2**EXPONENT_MAX
        raise ParameterError(
            f"{name}: the largest is {largest / unit:g}, {largest:g} in state integers; at most "
            f"{most} fit. Use fewer state bits (--state-bits, now {state_bits})."
        )
    return Connection(nearest(scaled / 2**exponent).astype(np.int8), exponent)


def _quantize_coefficients(
    layer: RealLayer, layer_format: LayerFormat
) -> tuple[NDArray[np.int64], tuple[Correction, ...]]:
    """The coefficients [P, N] in integers; rounding lets no neuron diverge that did not."""
    neuron, one = layer.neuron, 2**layer_format.parameter_bits
    scaled = scaled_coefficients(layer)
    causes = [*(each.name for each in neuron.trained), *(each.times for each in neuron.per_neuron)]
    for spec, values in zip(neuron.per_neuron, scaled, strict=True):
        for k, value in enumerate(values.tolist()):
            if value not in spec.allowed:
                raise ParameterError(
                    f"{neuron.name}: {spec.label} = {value:g} at neuron {k}; it must be "
                    f"{spec.allowed}. Lower {' or '.join(filter(None, dict.fromkeys(causes)))}."
                )
    rounded = nearest(scaled * one)
    ranges = integer_ranges(neuron, layer_format.state_bits, layer_format.parameter_bits)
    limits = np.array([ranges[name] for name in neuron.fixed_coefficients])  # [P, 2]
    coefficients = np.clip(rounded, limits[:, :1], limits[:, 1:])
    growth, corrections = growing(layer), []
    for k, integers in enumerate(coefficients.T.tolist()):
        if k not in growth:
            coefficients[:, k] = _stable(neuron, integers, one, k)
        before, after = tuple(rounded[:, k].tolist()), tuple(coefficients[:, k].tolist())
        if before != after:
            corrections.append(Correction(k, neuron.fixed_coefficients, before, after))
    return coefficients, tuple(corrections)


def scaled_coefficients(layer: RealLayer) -> NDArray[np.float64]:
    """The coefficients [P, N] per step, as the integers stand for them."""
    scales = [each.scale(layer.constants) for each in layer.neuron.per_neuron]
    return np.array(scales)[:, None] * layer.coefficients


def growing(layer: RealLayer) -> dict[int, float]:
    """By what factor per step neurons grow that lie beyond their boundary as trained, by neuron."""
    grow, columns = layer.neuron.growth, scaled_coefficients(layer).T
    growth = {} if grow is None else {k: grow(*values) for k, values in enumerate(columns)}
    return {k: factor for k, factor in growth.items() if factor > 1 + STABLE_MARGIN}


def _stable(neuron: Neuron, integers: list[int], one: int, k: int) -> Sequence[int]:
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
