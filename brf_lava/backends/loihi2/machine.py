"""What a neuron program is made of, and an interpreter that runs one.

A program is a list of integer operations on named registers, each with the range of values that it
holds. What each operation does is defined in `INSTRUCTIONS` and explained in `deploy/assembler.md`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np

from brf_lava.board.describe import width
from brf_lava.errors import ParameterError
from brf_lava.neurons.families import Neuron
from brf_lava.proc.microcode import MESSAGE_BITS

WORK_WIDTH = 64  # bits of a register or product: the widest that this project computes with
STATE, COEFFICIENT, CONSTANT = "state", "coefficient", "constant"
INPUT, TEMPORARY = "input", "temporary"


@dataclass(frozen=True)
class Register:
    """A named integer and the values it takes, both limits included."""

    name: str
    role: str  # states and coefficients are a neuron's own, constants the whole program's
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
    """One class: how it reads, and what it computes from its sources and its shift."""

    text: str
    compute: Callable[..., Any]

    def bounds(self, sources: Sequence[Register], shift: int) -> tuple[int, int]:
        """The least and largest result for what these registers may hold."""
        # Every `compute` rises or falls throughout in each of its sources: the ends are enough
        ends = product(*((register.low, register.high) for register in sources))
        results = [int(self.compute(*corner, shift)) for corner in ends]
        return min(results), max(results)


INSTRUCTIONS: dict[str, Instruction] = {
    "RDC": Instruction("take {0}, leave 0", lambda a, _: a),
    "RMW": Instruction("take {0}", lambda a, _: a),
    "ADD": Instruction("{0} + {1}", lambda a, b, _: a + b),
    "NEG": Instruction("-{0}", lambda a, _: -a),
    "MIN": Instruction("the lesser of {0}, {1}", lambda a, b, _: b + (a - b) * (a < b)),
    "SHL": Instruction("{0} << {shift}", lambda a, shift: a * (1 << shift)),
    "MUL_SHR": Instruction("{0} * {1} >> {shift}", _multiply_shift),
    "LT": Instruction("{0} < {1}", lambda a, b, _: (a < b) * 1),
    "SEL": Instruction("{1} if {0} else {2}", lambda c, a, b, _: b + (a - b) * c),
    "SPIKE": Instruction("send {0} unless 0", lambda a, _: a),
}


@dataclass(frozen=True)
class Program:
    """One neuron's step: its operations, in this order, without a branch.

    A state variable is read by RMW, written once, and then read by its own name. The last operation
    is the only SPIKE. Raises: ParameterError for a register or a product beyond 64 bits.
    """

    neuron: Neuron
    registers: tuple[Register, ...]
    operations: tuple[Operation, ...]

    def __post_init__(self) -> None:
        if max(self.register_bits, self.product_bits) > WORK_WIDTH:
            raise self.fault(
                f"a register needs {self.register_bits} bits and a product {self.product_bits}, "
                f"more than {WORK_WIDTH}. Use fewer parameter bits or a smaller dt."
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

    @property
    def register_bits(self) -> int:
        """Of the widest register."""
        return max(register.bits for register in self.registers)

    @property
    def product_bits(self) -> int:
        """Of the widest product, before its shift."""
        registers, multiply = self.by_name, INSTRUCTIONS["MUL_SHR"]
        products = [
            multiply.bounds([registers[name] for name in operation.sources], 0)
            for operation in self.operations
            if operation.kind == "MUL_SHR"
        ]
        return max((width(*product) for product in products), default=0)

    @property
    def fingerprint(self) -> str:
        """16 hexadecimal digits of all that machine code for this program depends on."""
        content = (self.neuron.name, self.message_bits, self.registers, self.operations)
        return hashlib.sha256(repr(content).encode()).hexdigest()[:16]


def run_program(
    program: Program, state: Sequence[Any], current: Any, coefficients: Sequence[Any]
) -> tuple[tuple[Any, ...], Any]:
    """One step: arguments and result are those of ``neuron.fixed_step``, arrays or integers.

    Raises: ParameterError when a register would hold what its range does not allow.
    """
    registers = program.by_name

    def held(name: str, value: Any) -> Any:
        low, high = registers[name].low, registers[name].high
        if np.any((value < low) | (value > high)):
            worst = int(np.min(value)) if np.any(value < low) else int(np.max(value))
            raise program.fault(
                f"{name}: {worst} does not fit {registers[name].format}, {low} to {high}."
            )
        return value

    def memory(role: str, values: Sequence[Any]) -> dict[str, Any]:
        names = [register.name for register in program.of_role(role)]
        return {name: held(name, each) for name, each in zip(names, values, strict=True)}

    before = {"RMW": memory(STATE, state), "RDC": memory(INPUT, [current])}  # by who reads it
    values = {**program.constants, **memory(COEFFICIENT, coefficients)}
    for operation in program.operations:
        source = before.get(operation.kind, values)
        operands = [source[name] for name in operation.sources]
        result = INSTRUCTIONS[operation.kind].compute(*operands, operation.shift)
        if operation.kind == "SPIKE":
            return tuple(values[register.name] for register in program.of_role(STATE)), result
        values[operation.target] = held(operation.target, result)
    raise program.fault("its last operation must be a SPIKE.")
