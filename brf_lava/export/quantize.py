"""From real numbers to the chip's integers; nothing after this rounds a parameter again.

Every layer gets a `LayerFormat`: how many fraction bits its states and its parameters have. The
state format follows from the largest value each state reached on real data, with head-room.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
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
    check_range,
    integer_ranges,
    largest_sums,
)
from brf_lava.neurons.fixed import CURRENT_MAX, STATE_MAX, STATE_WIDTH

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
    quantized = QUANTIZERS[layer.neuron.name](layer, layer_format)
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

    def with_deviations(
        self, real: NDArray[np.float64], one: int, names: Sequence[str]
    ) -> QuantizedNeuron:
        """Also with those of the coefficients. real: [P, N], what the integers over `one` mean."""
        own = [
            _deviation(name, integers, integers / one, values)
            for name, integers, values in zip(names, self.coefficients, real, strict=True)
        ]
        return replace(self, deviations=(*own, *self.deviations))


def _quantize_euler(layer: RealLayer, layer_format: LayerFormat) -> QuantizedNeuron:
    """RF and BRF: damping and rotation per step, see `fixed.brf_step`.

    Rounding must not make a neuron diverge that does not. One that was trained to diverge, as
    vanilla RF allows, is kept as it is and reported.
    """
    dt, name = layer.constants.dt, layer.neuron.name
    one = 2**layer_format.parameter_bits
    for k, (damping, omega) in enumerate(layer.coefficients.T.tolist()):
        if not (-1 <= dt * damping <= 0 and 0 <= dt * omega < 1):  # also catches NaN
            raise ParameterError(
                f"{name}: damping {damping:g}/s and omega {omega:g} rad/s at neuron {k}; times dt "
                f"= {dt:g} they must be within -1..0 and 0..1. Lower b_offset, omega or dt."
            )
    rounded = nearest(dt * layer.coefficients * one)
    coefficients = rounded.copy()
    corrections, growth = [], {}
    for k in range(rounded.shape[1]):
        radius = abs(complex(1 + dt * layer.coefficients[0, k], dt * layer.coefficients[1, k]))
        if radius > 1 + STABLE_MARGIN:
            growth[k] = float(radius)
            continue
        damping, rotation = (int(value) for value in rounded[:, k])
        stable = stabilize_resonator(damping, rotation, one)
        if stable != (damping, rotation):
            coefficients[:, k] = stable
            corrections.append(
                Correction(k, layer.neuron.fixed_coefficients, (damping, rotation), stable)
            )
    return QuantizedNeuron(
        coefficients,
        *_resonator_constants(layer, layer_format),
        corrections=tuple(corrections),
        growth=growth,
    ).with_deviations(dt * layer.coefficients, one, ("dt * damping", "dt * omega"))


def _quantize_harmonic(layer: RealLayer, layer_format: LayerFormat) -> QuantizedNeuron:
    """HRF and BHRF: friction and rotation per step, see `fixed.bhrf_step`.

    Without input a step multiplies areas of the state space by ``1 - friction``, and the neuron
    does not grow as long as friction is at least 0 and ``rotation**2 + 2 friction <= 4``. Rounding
    cannot break what holds with a margin, and both are checked on the integers.
    """
    dt, name = layer.constants.dt, layer.neuron.name
    one = 2**layer_format.parameter_bits
    scaled = np.array([[2 * dt], [dt]]) * layer.coefficients
    for k, (friction, rotation) in enumerate(scaled.T.tolist()):
        if not (0 <= friction <= 1 and 0 <= rotation < 1):  # also catches NaN
            raise ParameterError(
                f"{name}: 2 * dt * damping = {friction:g} and dt * omega = {rotation:g} at neuron "
                f"{k}; they must be within 0..1. Lower b_offset, omega or dt."
            )
    coefficients = nearest(scaled * one)
    for k, (friction, rotation) in enumerate(coefficients.T.tolist()):
        if not is_harmonic_stable(friction, rotation, one):
            raise ParameterError(
                f"{name}: friction {friction} and rotation {rotation} at neuron {k}, of {one}, "
                "would let it grow. Lower omega, or use more --parameter-bits."
            )
    return QuantizedNeuron(
        coefficients, *_resonator_constants(layer, layer_format)
    ).with_deviations(scaled, one, ("2 * dt * damping", "dt * omega"))


def _resonator_constants(
    layer: RealLayer, layer_format: LayerFormat
) -> tuple[Any, tuple[Deviation, ...]]:
    """The integer constants of any resonator, and how far they are from the real ones."""
    one = 2**layer_format.parameter_bits
    real = layer.constants._asdict()
    integers = {
        "dt": int(nearest(real["dt"] * one)),
        "theta": int(nearest(real["theta"] * 2**layer_format.state_bits)),
        "gamma": int(nearest(real.get("gamma", 0.0) * one)),
        "state_bits": layer_format.state_bits,
        "parameter_bits": layer_format.parameter_bits,
    }
    names = layer.neuron.fixed_constants._fields  # type: ignore[attr-defined]  # a NamedTuple class
    deviations = tuple(
        _deviation(name, integers[name], integers[name] / one, real[name])
        for name in ("dt", "gamma")
        if name in names
    )
    return layer.neuron.fixed_constants(*(integers[name] for name in names)), deviations


def _quantize_alif(layer: RealLayer, layer_format: LayerFormat) -> QuantizedNeuron:
    """Both decays per step, below 1, the threshold and what adaptation adds to it."""
    one = 2**layer_format.parameter_bits
    coefficients, corrections = _decays(layer, one)
    theta, beta = layer.constants
    constants = layer.neuron.fixed_constants(
        theta=int(nearest(theta * 2**layer_format.state_bits)),
        beta=int(nearest(beta * one)),
        state_bits=layer_format.state_bits,
        parameter_bits=layer_format.parameter_bits,
        input_gain=1,
    )
    deviations = (
        _leak_deviation(coefficients[0], layer.coefficients[0], one),
        _deviation("theta", constants.theta, constants.theta / 2**layer_format.state_bits, theta),
        _deviation("beta", constants.beta, constants.beta / one, beta),
    )
    return QuantizedNeuron(
        coefficients, constants, deviations, corrections=corrections
    ).with_deviations(layer.coefficients, one, layer.neuron.coefficients)


def _quantize_li(layer: RealLayer, layer_format: LayerFormat) -> QuantizedNeuron:
    one = 2**layer_format.parameter_bits
    coefficients, corrections = _decays(layer, one)
    constants = layer.neuron.fixed_constants(
        state_bits=layer_format.state_bits,
        parameter_bits=layer_format.parameter_bits,
        input_gain=1,
    )
    deviations = (_leak_deviation(coefficients[0], layer.coefficients[0], one),)
    return QuantizedNeuron(
        coefficients, constants, deviations, corrections=corrections
    ).with_deviations(layer.coefficients, one, layer.neuron.coefficients)


def _leak_deviation(decay: NDArray[np.int64], real: NDArray[np.float64], one: int) -> Deviation:
    """Of the input gain, which the decay leaves."""
    return _deviation("1 - decay", one - decay, (one - decay) / one, 1 - real)


def _decays(layer: RealLayer, one: int) -> tuple[NDArray[np.int64], tuple[Correction, ...]]:
    """Decays per step, below 1: an integrator that rounding made lossless is corrected."""
    rounded = nearest(layer.coefficients * one)
    coefficients = np.minimum(rounded, one - 1)
    changed = np.flatnonzero((rounded != coefficients).any(axis=0))
    corrections = tuple(
        Correction(
            int(k),
            layer.neuron.fixed_coefficients,
            tuple(map(int, rounded[:, k])),
            tuple(map(int, coefficients[:, k])),
        )
        for k in changed
    )
    return coefficients, corrections


QUANTIZERS: dict[str, Callable[[RealLayer, LayerFormat], QuantizedNeuron]] = {
    "RF": _quantize_euler,
    "BRF": _quantize_euler,
    "HRF": _quantize_harmonic,
    "BHRF": _quantize_harmonic,
    "ALIF": _quantize_alif,
    "LI": _quantize_li,
}


def weight_gain(constants: Any) -> float:
    """What the integer weights of neurons with these constants carry beside the synapse's weight.

    A resonator's integer step leaves dt to them. Neurons that leak apply ``1 - decay`` themselves,
    where it is exact.
    """
    return float(getattr(constants, "dt", 1.0))


def _synapses(
    layer: RealLayer,
) -> tuple[NDArray[np.float64], NDArray[np.float64] | None, float]:
    """Input and recurrent weights, bare of what the integer step applies, and `weight_gain`.

    The real weights of neurons that leak carry ``1 - decay``; one that leaks nothing has none.
    """
    weights, recurrent = layer.weights, layer.recurrent
    if "decay" in layer.neuron.coefficients:
        leak = 1 - layer.coefficients[layer.neuron.coefficients.index("decay")]
        unheard = np.flatnonzero((leak <= 0) & (np.abs(weights).max(axis=1, initial=0.0) > 0))
        if len(unheard):
            k = int(unheard[0])
            raise ParameterError(
                f"{layer.neuron.name}: decay {1 - leak[k]:g} at neuron {k}, whose weights carry "
                "the gain 1 - decay and are not 0; it must be below 1. Lower tau."
            )
        bare = np.divide(1, leak, out=np.zeros_like(leak), where=leak > 0)[:, None]
        weights = bare * weights
        recurrent = None if recurrent is None else bare * recurrent
    return weights, recurrent, weight_gain(layer.constants)


def is_harmonic_stable(friction: int, rotation: int, one: int) -> bool:
    """Whether a step of `fixed.hrf_step` without input keeps any state from growing for ever.

    Its matrix has determinant ``1 - friction`` and trace ``2 - friction - rotation**2``: both roots
    lie within the unit circle if friction >= 0 and ``rotation**2 + 2 friction <= 4``.
    """
    return friction >= 0 and rotation**2 + 2 * friction * one <= 4 * one**2


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
