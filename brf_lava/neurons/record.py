"""What a neuron is to the rest of the package: one record of equations, names, ranges and rules.

Training, the export, files, Lava, pictures and commands read all they need from it, so that a new
neuron is a new record. `families.py` holds those of this package; `own.py` reads one from a file.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from math import ceil, floor
from typing import Any, NamedTuple

from brf_lava.neurons.fixed import STATE_MAX, STATE_MIN


@dataclass(frozen=True)
class Interval:
    """The finite numbers from `low`, or above `above`, to `high`, or below `below`."""

    low: float | None = None
    above: float | None = None
    below: float | None = None
    high: float | None = None

    def __contains__(self, value: float) -> bool:
        return (
            abs(value) <= sys.float_info.max  # neither NaN nor infinite, nor a huge integer
            and (self.low is None or value >= self.low)
            and (self.above is None or value > self.above)
            and (self.below is None or value < self.below)
            and (self.high is None or value <= self.high)
        )

    def __str__(self) -> str:
        limits = zip(("at least", "above", "below", "at most"), vars(self).values(), strict=True)
        return " and ".join(f"{word} {limit:g}" for word, limit in limits if limit is not None)

    def integers(self, one: int) -> tuple[int, int]:
        """The least and the largest integer that stands for a number in it, `one` being 1."""
        low, high = STATE_MIN, STATE_MAX
        if self.low is not None:
            low = ceil(self.low * one)
        elif self.above is not None:
            low = floor(self.above * one) + 1
        if self.high is not None:
            high = floor(self.high * one)
        elif self.below is not None:
            high = ceil(self.below * one) - 1
        return low, high


POSITIVE = Interval(above=0)
NOT_NEGATIVE = Interval(low=0)
FRACTION = Interval(low=0, below=1)


class Key(NamedTuple):
    """A key of a neuron's table in a recipe, and of ``neuron_params``.

    span: it holds a range [low, high], else one number; allowed: for all numbers in it.
    """

    name: str
    default: float | tuple[float, float]
    allowed: Interval
    span: bool
    unit: str


@dataclass(frozen=True)
class Constant:
    """A number that the neurons of a layer share: a key of the recipe and a field of the constants.

    Attributes:
        unit: of the number.
        stored: what its integer may stand for; None: what is allowed.
        of_state: its integer is a state, not a number with `parameter_bits` fraction bits.
        per_state: its integer multiplies a state: it also has the factor ``2**state_bits / unit``.
    """

    name: str
    default: float
    allowed: Interval
    unit: str
    stored: Interval | None = None
    of_state: bool = False
    per_state: bool = False

    @property
    def keys(self) -> tuple[Key, ...]:
        return (Key(self.name, self.default, self.allowed, False, self.unit),)

    def scale(self, state_bits: int, parameter_bits: int, unit: int) -> float:
        """The integer of a constant of 1."""
        if self.of_state:
            return float(unit)
        return 2.0**parameter_bits * (2**state_bits / unit if self.per_state else 1)


@dataclass(frozen=True)
class Uniform:
    """A trained parameter of each neuron, drawn uniformly from the range that its key holds.

    It enters the rule through its absolute value.

    Attributes:
        times_dt_below_1: the constant dt times this stays below 1, or the neuron is refused.
    """

    name: str
    default: tuple[float, float]
    allowed: Interval
    unit: str
    times_dt_below_1: bool = False

    @property
    def keys(self) -> tuple[Key, ...]:
        return (Key(self.name, self.default, self.allowed, True, self.unit),)


@dataclass(frozen=True)
class Normal:
    """A trained parameter of each neuron, drawn from a normal distribution.

    Its keys are ``<name>_mean`` and ``<name>_std``. It enters the rule through its absolute value.
    """

    name: str
    mean: float
    std: float
    unit: str

    @property
    def keys(self) -> tuple[Key, ...]:
        return (
            Key(f"{self.name}_mean", self.mean, POSITIVE, False, self.unit),
            Key(f"{self.name}_std", self.std, NOT_NEGATIVE, False, self.unit),
        )


@dataclass(frozen=True)
class Coefficient:
    """What each neuron has of its own in the equations.

    The integer is ``factor * times * coefficient`` with `parameter_bits` fraction bits.

    Attributes:
        name: in `real_step`.
        allowed: what the scaled real number may be.
        unit: of the scaled number, as a file says it.
        fixed: the name in `fixed_step`, in files and in Lava; "": the same.
        factor, times: see above; times is the name of a real constant, or "" for 1.
        stored: what the integer may stand for; None: what is allowed. The export moves integers
            that rounding took beyond it to its end.
    """

    name: str
    allowed: Interval
    unit: str
    fixed: str = ""
    factor: int = 1
    times: str = ""
    stored: Interval | None = None

    @property
    def integer(self) -> str:
        return self.fixed or self.name

    @property
    def label(self) -> str:
        """The scaled number in words, such as ``2 * dt * damping``."""
        factor = "" if self.factor == 1 else str(self.factor)
        return " * ".join(part for part in (factor, self.times, self.name) if part)

    def scale(self, constants: Any) -> float:
        return float(self.factor * (getattr(constants, self.times) if self.times else 1.0))


@dataclass(frozen=True)
class Plane:
    """The plane of omega and damping of a resonator, for pictures; formulas are in TeX.

    Attributes:
        damping: (omega, dt) to the damping of a balanced neuron without offset, 1/s.
        formula: of that damping.
        bare: of the damping without it, which the offset alone makes.
        edge: of its absolute value, and what lies below.
        top: dt times where the damping axis ends, at least, when no neuron is shown.
    """

    damping: Callable[[Any, Any], Any]
    formula: str
    bare: str
    edge: str
    top: float


class Source(NamedTuple):
    """The file that a neuron of one's own is in: its path as it was found, the name of the record
    there, and the file's SHA-256."""

    path: str
    name: str
    sha256: str

    @property
    def reference(self) -> str:
        return f"{self.path}:{self.name}"


@dataclass(frozen=True)
class Neuron:
    """One neuron model in all its number systems.

    Attributes:
        name: at most 10 letters and digits, as files keep it.
        states: names, in the order of the steps; of a neuron that does not spike, the first one is
            the output.
        per_neuron: the coefficients, in the order of the steps.
        parameters: constants and trained parameters, in the order of the recipe's keys.
        rule: (trained parameters in order, constants) to the coefficients. It calls `exp`, if at
            all, by that name; torch's is put in its place.
        inverse: (rule, coefficients of one neuron, constants) to its trained parameters, for a
            training that starts from integers. None: none can.
        real_step, fixed_step, adjoint_step: see `real.py`, `fixed.py` and `adjoint.py`. Without an
            adjoint training runs on the reference kernel.
        real_constants, fixed_constants: the NamedTuples of what the layer shares.
        leak: the coefficient d of a neuron whose current is to be multiplied by ``1 - d``. Real
            weights carry that factor, the integer step applies it. "": there is none.
        weights_carry: the constant that the integer step leaves to the weights. "": there is none.
        growth: (scaled coefficients) to the factor by which a neuron without input grows per step.
            The export keeps neurons that grow as they are and names them in the file.
        is_stable, stabilize: (integers, one) to whether a neuron without input comes to rest, and
            to the nearest integers with which it does. Without the second, unstable integers are
            refused; without both, nothing is asked.
        state_units: states whose 1 is another integer than the layer's unit.
        plane: where pictures show it. bare: the neuron without refractory variable and boundary
            of which this is the balanced one.
        source: where it was read from; None in this package.
    """

    name: str
    states: tuple[str, ...]
    per_neuron: tuple[Coefficient, ...]
    parameters: tuple[Constant | Uniform | Normal, ...]
    rule: Callable[..., Any]
    real_step: Callable[..., Any]
    fixed_step: Callable[..., Any]
    real_constants: Callable[..., Any]
    fixed_constants: Callable[..., Any]
    adjoint_step: Callable[..., Any] | None = None
    inverse: Callable[..., Any] | None = None
    spiking: bool = True
    leak: str = ""
    weights_carry: str = ""
    growth: Callable[..., float] | None = None
    is_stable: Callable[..., bool] | None = None
    stabilize: Callable[..., tuple[int, ...]] | None = None
    state_units: Mapping[str, int] = field(default_factory=dict)
    plane: Plane | None = None
    bare: Neuron | None = None
    source: Source | None = None

    def __hash__(self) -> int:
        return hash((self.name, self.source))

    @property
    def key(self) -> str:
        """Its name; of one's own with a digest, so that machine code never outlives its source."""
        return self.name if self.source is None else f"{self.name}_{self.source.sha256[:16]}"

    @property
    def coefficients(self) -> tuple[str, ...]:
        """Per neuron, real numbers."""
        return tuple(each.name for each in self.per_neuron)

    @property
    def fixed_coefficients(self) -> tuple[str, ...]:
        """Per neuron, integers."""
        return tuple(each.integer for each in self.per_neuron)

    @property
    def constants(self) -> tuple[Constant, ...]:
        return tuple(each for each in self.parameters if isinstance(each, Constant))

    @property
    def trained(self) -> tuple[Uniform | Normal, ...]:
        return tuple(each for each in self.parameters if not isinstance(each, Constant))

    @property
    def keys(self) -> tuple[Key, ...]:
        """The keys of its table in a recipe."""
        return tuple(key for each in self.parameters for key in each.keys)

    @property
    def units(self) -> dict[str, str]:
        """What a file says of each of its integers."""
        coefficients = {c.integer: f"{c.unit}, 2**-parameter_bits" for c in self.per_neuron}
        constants = {}
        for c in self.constants:
            last = "1 / unit" if c.of_state else "2**-parameter_bits"
            if c.per_state:
                last = "2**-(parameter_bits + state_bits) * unit"
            constants[c.name] = f"{c.unit}, {last}"
        return {**coefficients, **constants}

    def weight_gain(self, constants: Any) -> float:
        """What its integer weights carry besides the synapse's weight."""
        return float(getattr(constants, self.weights_carry)) if self.weights_carry else 1.0
