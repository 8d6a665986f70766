"""The program of each neuron: the steps of `neurons.fixed`, written with public operations only.

Differences are sums with a negated term; clipping to the symmetric state range is MIN, NEG, MIN,
NEG; ranges of all registers follow from those of states, coefficients and input.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from brf_lava.backends.loihi2.machine import (
    COEFFICIENT,
    CONSTANT,
    INPUT,
    INSTRUCTIONS,
    STATE,
    TEMPORARY,
    Operation,
    Program,
    Register,
)
from brf_lava.board.describe import width
from brf_lava.errors import ParameterError
from brf_lava.network.layers import FixedLayer, FixedNetwork, integer_ranges
from brf_lava.neurons import fixed
from brf_lava.neurons.families import Neuron

ANY_CURRENT, SPIKES = (-fixed.CURRENT_MAX, fixed.CURRENT_MAX), (0, 1)


def network_programs(network: FixedNetwork) -> tuple[Program, ...]:
    """One `program_for` each layer, its input as wide as the layer's weights can make it."""
    ranges = [network.input_range, *(SPIKES for _ in network.hidden)]
    return tuple(
        program_for(layer.neuron, layer.constants, current_range(layer, inputs))
        for layer, inputs in zip(network.layers, ranges, strict=True)
    )


def program_lengths(network: FixedNetwork) -> list[str]:
    """The operations of each layer's program; "-" if a neuron of the network has no program."""
    if not all(has_program(layer.neuron) for layer in network.layers):
        return ["-"] * len(network.layers)
    return [f"{len(program.operations)} ops" for program in network_programs(network)]


def check_values(network: FixedNetwork) -> None:
    """Raises: ParameterError for what no neuron's variables can hold, or Lava cannot place."""
    largest_input = network.largest_input
    for name, layer in zip(network.layer_names, network.layers, strict=True):
        largest, current = abs(layer.coefficients).max(1), layer.largest_currents(largest_input)
        largest_input = 1  # a spike
        if largest.max() > fixed.STATE_MAX:
            coefficient = layer.neuron.fixed_coefficients[int(largest.argmax())]
            raise ParameterError(
                f"{name}: {coefficient} {int(largest.max())}; a variable on Loihi 2 holds at most "
                f"{fixed.STATE_MAX}. Export with fewer --parameter-bits."
            )
        if current.max() > fixed.STATE_MAX:
            raise ParameterError(
                f"{name}: weights of neuron {int(current.argmax())} add up to "
                f"{int(current.max())} for the largest inputs; a neuron on Loihi 2 is taken to "
                f"receive at most {fixed.STATE_MAX}. Export with fewer --state-bits."
            )
        if not layer.weights.mantissa.any():
            raise ParameterError(
                f"{name}: all weights are 0, which Lava cannot place. Leave the layer out."
            )


def current_range(layer: FixedLayer, inputs: tuple[int, int] = SPIKES) -> tuple[int, int]:
    """The range of the fewest bits, sign included, that holds all a neuron can be sent in a step.

    inputs: least and largest input. Whole bits, so that retraining seldom changes the program.
    """
    low, high = layer.weights.current_range(inputs)
    if layer.recurrent is not None:
        spikes = layer.recurrent.current_range()
        low, high = low + spikes[0], high + spikes[1]
    most = 1 << (width(min(low, -1), max(high, 0)) - 1)
    return max(-most, -fixed.CURRENT_MAX), min(most - 1, fixed.CURRENT_MAX)


def has_program(neuron: Neuron) -> bool:
    """Whether the neuron is written in the chip's operations here; one's own is not."""
    return neuron.source is None and neuron.name in _STEPS


def program_for(neuron: Neuron, constants: Any, current: tuple[int, int] = ANY_CURRENT) -> Program:
    """The program of a neuron with these integer constants and this range of inputs.

    Raises: ParameterError for a neuron without a program, and when a state variable could leave its
    24 bits or a product 64 bits.
    """
    if not has_program(neuron):
        raise ParameterError(
            f"neuron {neuron.name} has no program for Loihi 2; {', '.join(_STEPS)} have one. Run "
            "it on the engine or on Lava's simulation (--backend sim)."
        )
    builder = _Builder(neuron, constants, current)
    builder.run("RDC", "x", "current")
    for name in neuron.states:
        builder.run("RMW", f"{name}_old", name)
    output = _STEPS[neuron.name](builder)
    builder.operations.append(Operation("SPIKE", "", (output,)))
    return Program(neuron, tuple(builder.registers.values()), tuple(builder.operations))


def state_ranges(neuron: Neuron, constants: Any) -> dict[str, tuple[int, int]]:
    """The values that each state takes, from 0 on. Raises: ParameterError beyond 24 bits.

    The refractory variable decays or, on a spike, gains one. A spike needs u above theta + q, and u
    is at most `STATE_MAX`: q then is below `STATE_MAX - theta`. The adaptation is a mean of spikes.
    """
    one = 1 << constants.parameter_bits
    ranges = dict.fromkeys(neuron.states, (fixed.STATE_MIN, fixed.STATE_MAX))
    if "q" in ranges:
        unit = constants.unit
        spiking = max(0, fixed.STATE_MAX - constants.theta - 1)
        steady = unit * one // (one - constants.gamma)
        kept = fixed.mul(min(spiking, steady), constants.gamma, constants.parameter_bits)
        if kept + unit > fixed.STATE_MAX:
            raise ParameterError(
                f"{neuron.name}.q: can reach {kept + unit}; a {fixed.STATE_WIDTH}-bit state holds "
                f"at most {fixed.STATE_MAX}. Use fewer state bits, a larger theta or a smaller "
                "gamma."
            )
        ranges["q"] = (0, kept + unit)
    if "a" in ranges:
        ranges |= {"a": (0, 1 << fixed.ADAPTATION_BITS), "z": (0, 1)}
    return ranges


class _Builder:
    """Collects operations and works out the range of every register they write."""

    def __init__(self, neuron: Neuron, constants: Any, current: tuple[int, int]) -> None:
        self.constants = constants
        self.operations: list[Operation] = []
        self.registers: dict[str, Register] = {}
        for name, (low, high) in state_ranges(neuron, constants).items():
            self._declare(name, STATE, low, high)
        ranges = integer_ranges(neuron, constants.state_bits, constants.parameter_bits)
        for name in neuron.fixed_coefficients:
            self._declare(name, COEFFICIENT, *ranges[name])
        self._declare("current", INPUT, *current)
        for name, value in constants._asdict().items():
            if name not in ("unit", "state_bits", "parameter_bits"):  # those shape it
                self.constant(name, value)

    def _declare(self, name: str, role: str, low: int, high: int) -> None:
        self.registers[name] = Register(name, role, int(low), int(high))

    def constant(self, name: str, value: int) -> str:
        """The register of this constant, declared when it is first wanted."""
        if name not in self.registers:
            self._declare(name, CONSTANT, value, value)
        return name

    def run(self, kind: str, target: str, *sources: str, shift: int = 0) -> str:
        """Append one operation. target: a state variable, or the name of a new temporary."""
        if target not in self.registers:
            read = [self.registers[name] for name in sources]
            self._declare(target, TEMPORARY, *INSTRUCTIONS[kind].bounds(read, shift))
        self.operations.append(Operation(kind, target, sources, int(shift)))
        return target

    def scale(self, target: str, a: str, b: str) -> str:
        """``mul(a, b, parameter_bits)``"""
        return self.run("MUL_SHR", target, a, b, shift=self.constants.parameter_bits)

    def cut(self, target: str, source: str) -> str:
        """``cut(source, parameter_bits)``"""
        return self.scale(target, source, self.constant("1", 1))

    def add(self, target: str, first: str, *others: str) -> str:
        """The sum, term by term; those before the last are ``<target>_2``, ``<target>_3``, ..."""
        for count, other in enumerate(others, start=2):
            name = target if count == len(others) + 1 else f"{target}_{count}"
            first = self.run("ADD", name, first, other)
        return first

    def minus(self, target: str, a: str, b: str) -> str:
        """``a - b``"""
        return self.run("ADD", target, a, self.run("NEG", f"minus_{b}", b))

    def saturate(self, state: str, source: str) -> str:
        """`fixed.saturate` into a state variable; the limits must be symmetric."""
        limit = self.constant("limit", fixed.STATE_MAX)
        high = self.run("MIN", f"{state}_high", source, limit)
        low = self.run("MIN", f"{state}_low", self.run("NEG", f"{state}_neg", high), limit)
        return self.run("NEG", state, low)

    def gated(self, target: str, spike: str, value: str) -> str:
        """``value`` on a spike, else 0"""
        return self.run("SEL", target, spike, value, self.constant("zero", 0))

    @property
    def one(self) -> str:
        """1 as a coefficient."""
        return self.constant("one", 1 << self.constants.parameter_bits)


def _rotate(p: _Builder, kept: str) -> None:
    """u and v of an RF or BRF; kept: the register of what multiplies both."""
    turned = p.run("NEG", "minus_v_turned", p.scale("v_turned", "v_old", "rotation"))
    p.saturate("u", p.add("u_sum", p.scale("u_kept", "u_old", kept), turned, "x"))
    turned = p.scale("u_turned", "u_old", "rotation")
    p.saturate("v", p.add("v_sum", p.scale("v_kept", "v_old", kept), turned))


def _swing(p: _Builder, friction: str) -> None:
    """w and u of an HRF or BHRF, w first."""
    whole = p.run("SHL", "w_whole", "w_old", shift=p.constants.parameter_bits)
    turned = p.run("MUL_SHR", "u_turned", "u_old", "rotation")
    p.saturate("w", p.cut("w_sum", p.add("w_products", whole, turned)))
    lost = p.run("NEG", "minus_w_turned", p.run("MUL_SHR", "w_turned", "w", "rotation"))
    left = p.run("MUL_SHR", "u_kept", "u_old", p.minus("kept", p.one, friction))
    p.saturate("u", p.add("u_sum", p.cut("u_cut", p.add("u_products", left, lost)), "x"))


def _refractory(p: _Builder) -> str:
    """Spike of a balanced neuron, then its refractory variable."""
    z = p.run("LT", "z", p.add("threshold", "theta", "q_old"), "u")
    kept = p.scale("q_kept", "q_old", "gamma")
    p.add("q", kept, p.gated("q_gain", z, p.constant("unit", p.constants.unit)))
    return z


def _rf(p: _Builder) -> str:
    _rotate(p, p.add("kept", p.one, "damping"))
    return p.run("LT", "z", "theta", "u")


def _brf(p: _Builder) -> str:
    change = p.run("MUL_SHR", "b_change", "q_old", "dt", shift=p.constants.state_bits)
    _rotate(p, p.minus("kept", p.add("kept_bare", p.one, "damping"), change))
    return _refractory(p)


def _hrf(p: _Builder) -> str:
    _swing(p, "friction")
    return p.run("LT", "z", "theta", "u")


def _bhrf(p: _Builder) -> str:
    change = p.run("MUL_SHR", "b_change", "q_old", "dt", shift=p.constants.state_bits)
    _swing(p, p.add("b", "friction", p.run("SHL", "b_twice", change, shift=1)))
    return _refractory(p)


def _leaky(p: _Builder, name: str, before: str) -> str:
    """What is left of a state, and its input times 1 - decay."""
    gained = p.scale(f"{name}_gained", "x", p.minus("gain", p.one, "decay"))
    return p.add(f"{name}_sum", p.scale(f"{name}_kept", before, "decay"), gained)


def _alif(p: _Builder) -> str:
    bits = fixed.ADAPTATION_BITS
    raised = p.run("MUL_SHR", "raised_old", "a_old", "beta", shift=bits)
    before = p.add("threshold_old", "theta", raised)
    rest = p.minus("rest", "u_old", p.gated("reset", "z_old", before))
    p.saturate("u", _leaky(p, "u", rest))
    share = p.minus("a_share", p.one, "adaptation")
    rise = p.scale("rise", share, p.constant("a_unit", 1 << bits))
    p.add("a", p.scale("a_kept", "a_old", "adaptation"), p.gated("a_gain", "z_old", rise))
    raised = p.run("MUL_SHR", "raised", "a", "beta", shift=bits)
    threshold = p.add("threshold", "theta", raised)
    return p.run("LT", "z", threshold, "u")


def _li(p: _Builder) -> str:
    return p.saturate("o", _leaky(p, "o", "o_old"))


_STEPS: dict[str, Callable[[_Builder], str]] = {
    "RF": _rf,
    "BRF": _brf,
    "HRF": _hrf,
    "BHRF": _bhrf,
    "ALIF": _alif,
    "LI": _li,
}
