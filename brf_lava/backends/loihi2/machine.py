"""What a neuron program is made of, an interpreter that runs one, and its listing.

A program is a list of integer operations on named registers, each with the range of values that it
holds. What each operation does is defined in `INSTRUCTIONS` and explained in `deploy/assembler.md`.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np

from brf_lava.board.describe import width
from brf_lava.errors import ParameterError
from brf_lava.neurons.families import Neuron
from brf_lava.neurons.fixed import STATE_WIDTH
from brf_lava.proc.microcode import MESSAGE_BITS

WORK_WIDTH = 64  # bits of a register or product: the widest that this project computes with
WORD_BITS = 64  # state memory, quoted: Uludag et al. 2024
PER_WORD = WORD_BITS // STATE_WIDTH  # variables of the usual width
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


def words(program: Program, role: str) -> int:
    """Words of 64 bits for one neuron's variables; two of up to 24 bits in each."""
    wide = [register.bits > STATE_WIDTH for register in program.of_role(role)]
    return sum(wide) + -(-wide.count(False) // PER_WORD)


def live(program: Program) -> int:
    """Temporaries and new states that wait to be read by a later operation, at the worst place."""
    last_read = {name: index for index, op in enumerate(program.operations) for name in op.sources}
    written = {op.target: index for index, op in enumerate(program.operations) if op.target}
    return max(
        sum(start <= index < last_read.get(name, 0) for name, start in written.items())
        for index in range(len(program.operations))
    )


def listing(program: Program) -> list[str]:
    """The program as lines of text: registers, then operations, then their number by class."""
    lines = [f"{program.neuron.name}, program {program.fingerprint}"]
    for role in (STATE, COEFFICIENT, INPUT, CONSTANT):
        for r in program.of_role(role):
            values = f"{r.low}" if role == CONSTANT else f"{r.low} to {r.high}"
            lines.append(f"  {role:<12}{r.name:<19}{r.format:<5}{values}")
    for index, operation in enumerate(program.operations, start=1):
        text = INSTRUCTIONS[operation.kind].text.format(*operation.sources, shift=operation.shift)
        kind = program.by_name[operation.target].format if operation.target else ""
        lines.append(f"  {index:>3}  {operation.kind:<9}{operation.target:<19}{kind:<5}{text}")
    numbers = sorted(Counter(operation.kind for operation in program.operations).items())
    return [
        *lines,
        f"  per neuron and step: {len(program.operations)} operations "
        f"({', '.join(f'{number} {kind}' for kind, number in numbers)})",
        f"  per neuron, in words of {WORD_BITS} bits: {words(program, STATE)} of state, "
        f"{words(program, COEFFICIENT)} of coefficients",
        f"  at once: {live(program)} results wait to be read, of "
        f"{len(program.of_role(TEMPORARY))} temporaries",
        f"  widest: register {program.register_bits} bits, product {program.product_bits} bits",
    ]


def need_lines(programs: Sequence[Program]) -> list[str]:
    """The most that these programs need of the instruction set, as in deploy/assembler.md."""

    def widest(role: str) -> int:
        return max(register.bits for program in programs for register in program.of_role(role))

    classes = {operation.kind for program in programs for operation in program.operations}
    needs = {
        "classes": ", ".join(sorted(classes)),
        "product before its shift": f"{max(p.product_bits for p in programs)} bits, signed",
        "register": f"{max(p.register_bits for p in programs)} bits",
        "input of a step": f"{widest(INPUT)} bits",
        "state variable": f"{widest(STATE)} bits, {PER_WORD} in a word",
        "coefficient": f"{widest(COEFFICIENT)} bits, one set per neuron",
        "constant": f"{widest(CONSTANT)} bits, one set per program",
        "message of the readout": f"{MESSAGE_BITS} bits, signed",
        "program": f"{max(len(p.operations) for p in programs)} operations",
        "results that wait at once": f"{max(map(live, programs))}",
    }
    return [
        "Needed of the instruction set, see deploy/assembler.md (nothing here was run on a chip):",
        *(f"  {name:<27}{value}" for name, value in needs.items()),
    ]
