"""A neuron program in words: its registers and operations, what it costs, and what it needs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from brf_lava.backends.loihi2.machine import (
    COEFFICIENT,
    CONSTANT,
    INPUT,
    INSTRUCTIONS,
    STATE,
    TEMPORARY,
    Program,
)
from brf_lava.neurons.fixed import STATE_WIDTH
from brf_lava.proc.microcode import MESSAGE_BITS

WORD_BITS = 64  # state memory, quoted: Uludag et al. 2024
PER_WORD = WORD_BITS // STATE_WIDTH  # variables of the usual width


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
