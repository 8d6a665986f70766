"""The network as plain arrays, in real numbers and in integers: the hinge of the toolkit.

Training ends in a `RealNetwork`; `quantize` makes a `FixedNetwork` of it, and only that is written
to a file, run by the engine and run on Lava. Layers are in order, the last one is the readout.
Neither torch nor Lava is needed here.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from brf_lava.errors import ParameterError
from brf_lava.neurons import fixed
from brf_lava.neurons.families import Neuron

WEIGHT_MIN, WEIGHT_MAX = -128, 127  # Loihi 2: signed 8-bit weight mantissa
EXPONENT_MAX = 15  # a full-scale weight then still fits the 24-bit state
INPUT_MIN, INPUT_MAX = -128, 255  # graded inputs, int8 or uint8
STATE_BITS_MIN, STATE_BITS_MAX = 6, 18  # above 18, threshold plus refractory current would not fit
PARAMETER_BITS_MIN, PARAMETER_BITS_MAX = 10, 22


FORMAT_RANGES = {
    "state_bits": (STATE_BITS_MIN, STATE_BITS_MAX),
    "parameter_bits": (PARAMETER_BITS_MIN, PARAMETER_BITS_MAX),
}


def integer_ranges(
    neuron: Neuron, state_bits: int, parameter_bits: int
) -> dict[str, tuple[int, int]]:
    """The least and largest integer of every coefficient and constant of a neuron, by name.

    Raises: ParameterError when these fraction bits are themselves out of range.
    """
    check_range("state_bits", state_bits, FORMAT_RANGES["state_bits"])
    check_range("parameter_bits", parameter_bits, FORMAT_RANGES["parameter_bits"])
    one, unit = 1 << parameter_bits, 1 << state_bits
    coefficients = {c.integer: (c.stored or c.allowed).integers(one) for c in neuron.per_neuron}
    constants = {
        c.name: (c.stored or c.allowed).integers(unit if c.of_state else one)
        for c in neuron.constants
    }
    return {**FORMAT_RANGES, "unit": (unit // 2 + 1, unit), **coefficients, **constants}


def check_range(name: str, values: Any, allowed: tuple[int, int]) -> None:
    """Raises: ParameterError when an integer, or one in an array of them, is not allowed."""
    low, high = allowed
    for value in (int(np.min(values)), int(np.max(values))):
        if not low <= value <= high:
            raise ParameterError(f"{name}: {value} is out of range; allowed are {low} to {high}.")


@dataclass(frozen=True)
class RealLayer:
    """One layer in real numbers, as its kernel takes it.

    weights [N, I] and recurrent [N, N] (or None): row = postsynaptic neuron.
    coefficients [P, N] in the order of ``neuron.coefficients``.
    The weights of a neuron that leaks carry its input gain, see `Neuron.leak`.
    """

    neuron: Neuron
    weights: NDArray[np.float64]
    recurrent: NDArray[np.float64] | None
    coefficients: NDArray[np.float64]
    constants: Any

    @property
    def shape(self) -> tuple[int, int]:
        """(neurons, inputs)."""
        neurons, inputs = self.weights.shape
        return neurons, inputs


@dataclass(frozen=True)
class RealNetwork:
    """A trained network in real numbers, hidden layers first, readout last.

    Its inputs are integers: what training multiplied them by is part of the first weights.
    """

    layers: tuple[RealLayer, ...]


@dataclass(frozen=True)
class Connection:
    """Integer weights ``mantissa * 2**exponent`` in units of the postsynaptic state's last bit.

    mantissa [n_out, n_in] is within -128..127, exponent within 0..15, and what reaches a neuron
    when all inputs spike fits an int32 current. Raises: ParameterError for anything else.
    """

    mantissa: NDArray[np.int8]
    exponent: int

    def __post_init__(self) -> None:
        if self.mantissa.ndim != 2 or self.mantissa.dtype != np.int8:
            given = f"{self.mantissa.dtype} with shape {self.mantissa.shape}"
            raise ParameterError(f"weights: {given}; an int8 matrix [n_out, n_in] is needed.")
        check_range("weight exponent", self.exponent, (0, EXPONENT_MAX))
        self.check_currents(1)

    def check_currents(self, largest_input: int) -> None:
        """Raises: ParameterError if the sum of the largest inputs does not fit a current."""
        largest = int(self.largest_currents(largest_input).max(initial=0))
        if largest > fixed.CURRENT_MAX:
            raise ParameterError(
                f"weights: those of one neuron add up to {largest} for the largest inputs; a "
                f"current holds at most {fixed.CURRENT_MAX}. Use fewer inputs or fewer state bits."
            )

    @property
    def integers(self) -> NDArray[np.int64]:
        """The weights as state integers, [n_out, n_in]."""
        return self.mantissa.astype(np.int64) << self.exponent

    def largest_currents(self, largest_input: int = 1) -> NDArray[np.int64]:
        """`largest_sums` of these weights, as state integers, int64 [n_out]."""
        return largest_sums(self.integers, largest_input)

    def current_range(self, inputs: tuple[int, int] = (0, 1)) -> tuple[int, int]:
        """The least and largest current that any neuron can receive, as state integers.

        inputs: least and largest input; 0 is among them, and so it is among the currents.
        """
        ends = np.stack([self.integers * end for end in inputs])  # [2, n_out, n_in]
        return int(ends.min(0).sum(1).min(initial=0)), int(ends.max(0).sum(1).max(initial=0))


def largest_sums(weights: NDArray[Any], largest_input: int = 1) -> NDArray[Any]:
    """The largest magnitude that can reach each neuron in one step: all inputs at their largest.

    weights: [n_out, n_in]. largest_input: in magnitude; 1 for spikes. Returns [n_out].
    """
    sums: NDArray[Any] = largest_input * np.abs(weights).sum(axis=1)
    return sums


@dataclass(frozen=True)
class FixedLayer:
    """One layer in integers, complete: the dynamics need nothing else.

    coefficients [P, N] int64 in the order of ``neuron.fixed_coefficients``; constants:
    ``neuron.fixed_constants``. growing: neurons that were trained to diverge, and so do not come
    to rest. Raises: ParameterError for wrong shapes and for integers outside `integer_ranges`.
    """

    neuron: Neuron
    weights: Connection
    recurrent: Connection | None
    coefficients: NDArray[np.int64]
    constants: Any
    growing: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        neurons = self.weights.mantissa.shape[0]
        expected, square = (len(self.neuron.fixed_coefficients), neurons), (neurons, neurons)
        if self.coefficients.shape != expected:
            raise ParameterError(
                f"{self.neuron.name} coefficients: shape {self.coefficients.shape}; {expected} "
                f"({', '.join(self.neuron.fixed_coefficients)} of {neurons} neurons) is needed."
            )
        if self.recurrent is not None and (own := self.recurrent.mantissa.shape) != square:
            raise ParameterError(f"recurrent weights: shape {own}; {square} is needed.")
        bits = self.constants.state_bits, self.constants.parameter_bits
        ranges = integer_ranges(self.neuron, *bits)
        for name, values in self.integers.items():
            check_range(f"{self.neuron.name}.{name}", values, ranges[name])

    @property
    def integers(self) -> dict[str, NDArray[np.int64]]:
        """Coefficients [N] and constants [] by name."""
        coefficients = zip(self.neuron.fixed_coefficients, self.coefficients, strict=True)
        constants = {name: np.array(value) for name, value in self.constants._asdict().items()}
        return {**dict(coefficients), **constants}

    @property
    def unit(self) -> int:
        """The state integer that stands for 1."""
        return int(getattr(self.constants, "unit", 1 << self.constants.state_bits))

    @property
    def units(self) -> NDArray[np.int64]:
        """What stands for 1 in each state, [S]."""
        own = self.neuron.state_units
        return np.array([own.get(name, self.unit) for name in self.neuron.states])

    @property
    def shape(self) -> tuple[int, int]:
        """(neurons, inputs)."""
        neurons, inputs = self.weights.mantissa.shape
        return neurons, inputs

    def largest_currents(self, largest_input: int = 1) -> NDArray[np.int64]:
        """As `Connection.largest_currents`, with the spikes of the layer's own neurons."""
        sums = self.weights.largest_currents(largest_input)
        return sums if self.recurrent is None else sums + self.recurrent.largest_currents()


@dataclass(frozen=True)
class FixedNetwork:
    """A network in integers: hidden layers that spike, then one readout that does not.

    input_range: least and largest input; (0, 1) for spikes, else graded ones of 8 bits.
    provenance: where it came from (task, recipe, seed, versions, float reference), plain JSON.
    """

    layers: tuple[FixedLayer, ...]
    provenance: dict[str, Any] = field(default_factory=dict)
    input_range: tuple[int, int] = (0, 1)

    def __post_init__(self) -> None:
        low, high = self.input_range
        if not INPUT_MIN <= low <= 0 < high <= INPUT_MAX:
            allowed = f"include 0 and 1 and lie within {INPUT_MIN} to {INPUT_MAX}"
            raise ParameterError(f"input range: {low} to {high}; it must {allowed}.")
        if len(self.layers) < 2:
            raise ParameterError(
                f"network: {len(self.layers)} layers; a hidden layer and a readout are needed."
            )
        self.layers[0].weights.check_currents(self.largest_input)
        before = self.inputs
        for number, layer in enumerate(self.layers, start=1):
            neurons, inputs = layer.shape
            if layer.neuron.spiking == (number == len(self.layers)):
                raise ParameterError(
                    f"layer {number}: neuron {layer.neuron.name}; hidden layers spike, and the "
                    "last layer is a readout that does not."
                )
            if inputs != before:
                raise ParameterError(
                    f"layer {number}: {inputs} inputs, but the layer before has {before} neurons."
                )
            before = neurons

    @property
    def inputs(self) -> int:
        return self.layers[0].shape[1]

    @property
    def largest_input(self) -> int:
        """Largest magnitude of an input."""
        return max(map(abs, self.input_range))

    @property
    def classes(self) -> int:
        return self.layers[-1].shape[0]

    @property
    def output_bits(self) -> int:
        """Fraction bits of the outputs: an output is ``integer / 2**output_bits``."""
        return int(self.layers[-1].constants.state_bits)

    @property
    def hidden(self) -> tuple[FixedLayer, ...]:
        return self.layers[:-1]

    @property
    def layer_names(self) -> tuple[str, ...]:
        """hidden1, hidden2, ..., readout."""
        return (*(f"hidden{number}" for number in range(1, len(self.layers))), "readout")
