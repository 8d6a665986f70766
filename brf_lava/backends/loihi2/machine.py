"""What a neuron program is made of, and an interpreter that runs one.

A program is a list of integer operations on named registers, each with the range of values that it
holds. The operations carry names of the instruction classes in Intel's Loihi 2 technology brief of
2021; only those names are public. What each does is defined here, in `INSTRUCTIONS`, and explained
in `deploy/assembler.md`. Nothing here was run on a chip.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np

from brf_lava.errors import ParameterError
from brf_lava.neurons.families import Neuron
from brf_lava.proc.microcode import MESSAGE_BITS

WORK_WIDTH = 64  # bits of a register or product: the widest that this project computes with

STATE, COEFFICIENT, CONSTANT = "state", "coefficient", "constant"
INPUT, TEMPORARY = "input", "temporary"


def width(low: int, high: int) -> int:
    """Bits that hold the integers from low to high: with a sign only if low is below 0."""
    if low < 0:
        return max((-low - 1).bit_length(), high.bit_length()) + 1
    return max(high.bit_length(), 1)


@dataclass(frozen=True)
class Register:
    """A named integer and the values it takes, both limits included.

    role: a state variable or a coefficient, one per neuron, in the neuron's memory; a constant of
    the whole program; the input, what all spikes of a step add up to; or a temporary.
    """

    name: str
    role: str
    low: int
    high: int

    @property
    def bits(self) -> int:
        return width(self.low, self.high)

    @property
    def format(self) -> str:
        """``s24`` or ``u1``: with or without a sign, and the bits, that included."""
        return f"{'s' if self.low < 0 else 'u'}{self.bits}"


@dataclass(frozen=True)
class Operation:
    """``target <- kind(sources)``; shift for the classes that have one. SPIKE has no target."""

    kind: str
    target: str
    sources: tuple[str, ...]
    shift: int = 0


def _multiply_shift(a: Any, b: Any, shift: int) -> Any:
    """The magnitude of the product is shifted, hence cut toward zero."""
    product = a * b
    return (abs(product) >> shift) * (1 - 2 * (product < 0))


@dataclass(frozen=True)
class Instruction:
    """One class: how it reads, and what it computes from its sources and its shift.

    Every `compute` takes Python integers and int64 arrays, and rises or falls throughout in each
    of its sources, so that `bounds` need only look at the ends.
    """

    text: str
    compute: Callable[..., Any]
    sources: int = 1

    def bounds(self, ranges: Sequence[tuple[int, int]], shift: int) -> tuple[int, int]:
        """The least and largest result for sources in these ranges."""
        ends = [int(self.compute(*corner, shift)) for corner in product(*ranges)]
        return min(ends), max(ends)


INSTRUCTIONS: dict[str, Instruction] = {
    "RDC": Instruction("take {0}, leave 0", lambda a, _: a),
    "RMW": Instruction("take {0}", lambda a, _: a),
    "ADD": Instruction("{0} + {1}", lambda a, b, _: a + b, 2),
    "NEG": Instruction("-{0}", lambda a, _: -a),
    "MIN": Instruction("the lesser of {0}, {1}", lambda a, b, _: b + (a - b) * (a < b), 2),
    "SHL": Instruction("{0} << {shift}", lambda a, shift: a * (1 << shift)),
    "MUL_SHR": Instruction("{0} * {1} >> {shift}", _multiply_shift, 2),
    "LT": Instruction("{0} < {1}", lambda a, b, _: (a < b) * 1, 2),
    "SEL": Instruction("{1} if {0} else {2}", lambda c, a, b, _: b + (a - b) * c, 3),
    "SPIKE": Instruction("send {0} unless 0", lambda a, _: a),
}


@dataclass(frozen=True)
class Program:
    """One neuron's step: what it computes at every time step, in this order, without a branch.

    A state variable is read by RMW, written once, and then read by its own name. The last operation
    is the only SPIKE.

    Raises: ParameterError for a register or a product beyond 64 bits.
    """

    neuron: Neuron
    registers: tuple[Register, ...]
    operations: tuple[Operation, ...]

    def __post_init__(self) -> None:
        for register in self.registers:
            if register.bits > WORK_WIDTH:
                raise self.fault(f"{register.name} needs more than {WORK_WIDTH} bits.")
        for operation in self.operations:
            if operation.kind == "MUL_SHR" and width(*self.product_range(operation)) > WORK_WIDTH:
                raise self.fault(
                    f"the product of {' and '.join(operation.sources)} needs more than "
                    f"{WORK_WIDTH} bits. Use fewer parameter bits or a smaller dt."
                )

    def fault(self, problem: str) -> ParameterError:
        return ParameterError(f"program of {self.neuron.name}: {problem}")

    @property
    def by_name(self) -> dict[str, Register]:
        return {register.name: register for register in self.registers}

    def of_role(self, role: str) -> tuple[Register, ...]:
        return tuple(register for register in self.registers if register.role == role)

    @property
    def constants(self) -> dict[str, int]:
        """What all neurons of the layer share, by name."""
        return {register.name: register.low for register in self.of_role(CONSTANT)}

    @property
    def output(self) -> str:
        """The register that the last operation sends."""
        return self.operations[-1].sources[0]

    @property
    def message_bits(self) -> int:
        """Of a message's payload: 0 for a spike, which says all by arriving."""
        return 0 if self.neuron.spiking else MESSAGE_BITS

    def product_range(self, operation: Operation) -> tuple[int, int]:
        """The least and largest product of a MUL_SHR, before the shift."""
        ranges = [(self.by_name[name].low, self.by_name[name].high) for name in operation.sources]
        return INSTRUCTIONS["MUL_SHR"].bounds(ranges, 0)

    @property
    def fingerprint(self) -> str:
        """16 hexadecimal digits of all that machine code for this program depends on."""
        content = (self.neuron.name, self.message_bits, self.registers, self.operations)
        return hashlib.sha256(repr(content).encode()).hexdigest()[:16]


def run_program(
    program: Program, state: Sequence[Any], current: Any, coefficients: Sequence[Any]
) -> tuple[tuple[Any, ...], Any]:
    """One step, like ``neuron.fixed_step``.

    Args:
        program: The program.
        state: int64 arrays or integers, in the order of the neuron's record.
        current: What the spikes of the step add up to.
        coefficients: As the state.

    Returns:
        ((state, ...), output).

    Raises:
        ParameterError: A register would hold what its range does not allow.
    """
    states, registers = program.of_role(STATE), program.by_name
    memory = {  # by the only class that reads it
        "RMW": _held(program, states, state),
        "RDC": _held(program, program.of_role(INPUT), (current,)),
    }
    values: dict[str, Any] = dict(program.constants)
    values.update(_held(program, program.of_role(COEFFICIENT), coefficients))
    for operation in program.operations:
        source = memory.get(operation.kind, values)
        operands = [source[name] for name in operation.sources]
        result = INSTRUCTIONS[operation.kind].compute(*operands, operation.shift)
        if operation.kind == "SPIKE":
            return tuple(values[register.name] for register in states), result
        values.update(_held(program, (registers[operation.target],), (result,)))
    raise program.fault("its last operation must be a SPIKE.")


def _held(program: Program, registers: Sequence[Register], values: Sequence[Any]) -> dict[str, Any]:
    """Each register's name with its value. Raises: ParameterError for one out of its range."""
    for register, value in zip(registers, values, strict=True):
        if np.any((value < register.low) | (value > register.high)):
            worst = int(np.min(value)) if np.any(value < register.low) else int(np.max(value))
            raise program.fault(
                f"{register.name}: {worst} does not fit {register.format}, "
                f"{register.low} to {register.high}."
            )
    return {register.name: value for register, value in zip(registers, values, strict=True)}
