"""A neuron program in words: its registers and operations, what it costs, and what it needs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from brf_lava.backends.loihi2.machine import (
    COEFFICIENT,
    CONSTANT,
    INPUT,
    INSTRUCTIONS,
    STATE,
    TEMPORARY,
    Program,
    Register,
    width,
)
from brf_lava.neurons.fixed import STATE_WIDTH
from brf_lava.proc.microcode import MESSAGE_BITS

WORD_BITS = 64  # state memory, quoted: Uludag et al. 2024
PER_WORD = WORD_BITS // STATE_WIDTH  # variables of the usual width


@dataclass(frozen=True)
class Counts:
    """What one neuron costs at every time step, and the widest numbers in it.

    Attributes:
        classes: Operations by class.
        state_words: Of 64 bits, for one neuron; two variables of up to 24 bits in each.
        coefficient_words: Likewise.
        live: Temporaries and new states that wait to be read, at the worst place.
        register: Bits of the widest.
        product: Bits of the widest, before its shift.
    """

    classes: dict[str, int]
    state_words: int
    coefficient_words: int
    live: int
    register: int
    product: int

    @property
    def operations(self) -> int:
        return sum(self.classes.values())


def count(program: Program) -> Counts:
    """Count a program's operations, memory and widths."""
    products = [program.product_range(op) for op in program.operations if op.kind == "MUL_SHR"]
    return Counts(
        classes=dict(Counter(operation.kind for operation in program.operations)),
        state_words=_words(program.of_role(STATE)),
        coefficient_words=_words(program.of_role(COEFFICIENT)),
        live=_live(program),
        register=max(register.bits for register in program.registers),
        product=max(width(low, high) for low, high in products),
    )


def _words(registers: Sequence[Register]) -> int:
    wide = sum(register.bits > STATE_WIDTH for register in registers)
    return wide + -(-(len(registers) - wide) // PER_WORD)


def _live(program: Program) -> int:
    """How many results wait for a later operation, at most."""
    last_read = {name: index for index, op in enumerate(program.operations) for name in op.sources}
    written = {op.target: index for index, op in enumerate(program.operations) if op.target}
    return max(
        sum(start <= index < last_read.get(name, 0) for name, start in written.items())
        for index in range(len(program.operations))
    )


def listing(program: Program) -> list[str]:
    """The program as lines of text: registers, then operations, then their number by class."""
    counts = count(program)
    lines = [f"{program.neuron.name}, program {program.fingerprint}"]
    for role in (STATE, COEFFICIENT, INPUT, CONSTANT):
        for r in program.of_role(role):
            values = f"{r.low}" if role == CONSTANT else f"{r.low} to {r.high}"
            lines.append(f"  {role:<12}{r.name:<19}{r.format:<5}{values}")
    for index, operation in enumerate(program.operations, start=1):
        text = INSTRUCTIONS[operation.kind].text.format(*operation.sources, shift=operation.shift)
        kind = program.by_name[operation.target].format if operation.target else ""
        lines.append(f"  {index:>3}  {operation.kind:<9}{operation.target:<19}{kind:<5}{text}")
    classes = ", ".join(f"{number} {kind}" for kind, number in sorted(counts.classes.items()))
    return [
        *lines,
        f"  per neuron and step: {counts.operations} operations ({classes})",
        f"  per neuron, in words of {WORD_BITS} bits: {counts.state_words} of state, "
        f"{counts.coefficient_words} of coefficients",
        f"  at once: {counts.live} results wait to be read, of "
        f"{len(program.of_role(TEMPORARY))} temporaries",
        f"  widest: register {counts.register} bits, product {counts.product} bits",
    ]


def need_lines(programs: Sequence[Program]) -> list[str]:
    """The most that these programs need of the instruction set, one line each.

    What is public about each need, and how certain that is: `deploy/assembler.md`.
    """
    counts = [count(program) for program in programs]
    registers = [register for program in programs for register in program.registers]
    state, coefficient, constant, current = (
        max(register.bits for register in registers if register.role == role)
        for role in (STATE, COEFFICIENT, CONSTANT, INPUT)
    )
    needs = {
        "classes": ", ".join(sorted({kind for each in counts for kind in each.classes})),
        "product before its shift": f"{max(each.product for each in counts)} bits, signed",
        "register": f"{max(each.register for each in counts)} bits",
        "input of a step": f"{current} bits",
        "state variable": f"{state} bits, {PER_WORD} in a word",
        "coefficient": f"{coefficient} bits, one set per neuron",
        "constant": f"{constant} bits, one set per program",
        "message of the readout": f"{MESSAGE_BITS} bits, signed",
        "program": f"{max(each.operations for each in counts)} operations",
        "results that wait at once": f"{max(each.live for each in counts)}",
    }
    return [
        "Needed of the instruction set, see deploy/assembler.md (nothing here was run on a chip):",
        *(f"  {name:<27}{value}" for name, value in needs.items()),
    ]
