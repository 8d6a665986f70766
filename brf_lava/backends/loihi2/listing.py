"""A neuron program in words: its registers and operations, what it costs, and what it assumes."""

from __future__ import annotations

import textwrap
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
    WORK_WIDTH,
    Program,
    Register,
    width,
)
from brf_lava.neurons.fixed import STATE_MAX, STATE_MIN, STATE_WIDTH
from brf_lava.proc.microcode import MESSAGE_BITS

LINE = 100  # characters
WORD_BITS = 64  # state memory, quoted: Uludag et al. 2024
PER_WORD = WORD_BITS // STATE_WIDTH  # variables of the usual width


@dataclass(frozen=True)
class Counts:
    """What one neuron costs at every time step, and the widest numbers in it.

    classes: operations by class. state_words, coefficient_words: of 64 bits, for one neuron, two
    variables of up to 24 bits in each. live: temporaries and new states that wait to be read, at
    the worst place. register, product: the widest, in bits; product: before its shift.
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


@dataclass(frozen=True)
class Assumption:
    """What a program takes for granted, what is public about it, and how certain that is.

    certainty: published, read in the source itself; quoted, read in a public document that quotes
    the source; not public.
    """

    needed: str
    known: str
    certainty: str

    def __str__(self) -> str:
        return f"{self.needed} Known: {self.known} ({self.certainty})"


def assumptions(programs: Sequence[Program]) -> tuple[Assumption, ...]:
    """What these programs need of the instruction set, with the largest numbers among them."""
    counts = [count(program) for program in programs]
    kinds = sorted({kind for each in counts for kind in each.classes})
    registers = [register for program in programs for register in program.registers]
    bits = {
        role: max(register.bits for register in registers if register.role == role)
        for role in (STATE, COEFFICIENT, CONSTANT, INPUT)
    }
    return (
        Assumption(
            f"There are {', '.join(kinds)}, and they do what the listing says. No skip or jump.",
            "these names, from the instruction table of Intel's technology brief of 2021; not "
            "what each does in detail.",
            "quoted",
        ),
        Assumption(
            "MUL_SHR shifts the magnitude: it cuts toward zero.",
            "Lava's fixed-point LIF and RF do. The chip's own rounding is not public.",
            "published, for Lava alone",
        ),
        Assumption(
            f"MUL_SHR keeps a product of {max(each.product for each in counts)} bits before the "
            f"shift, signed; {WORK_WIDTH} bits are the most that a program may ask for.",
            "nothing.",
            "not public",
        ),
        Assumption(
            f"Registers hold {max(each.register for each in counts)} bits: sums are whole before "
            f"they are cut to {STATE_MIN} to {STATE_MAX}.",
            "that Lava's fixed-point RF clips there; the width of registers is not.",
            "published, for Lava alone",
        ),
        Assumption(
            f"What the spikes of a step add up to arrives with {bits[INPUT]} bits.",
            "Lava annotates 16 bits in its bit-accurate model; the chip's width is not public.",
            "published, for Lava alone",
        ),
        Assumption(
            f"State variables of up to {bits[STATE]} bits, signed, {PER_WORD} in a word.",
            f"{WORD_BITS}-bit state words with fields of 8, 16 or 24 bits (Uludag et al. 2024).",
            "quoted",
        ),
        Assumption(
            f"Coefficients of up to {bits[COEFFICIENT]} bits, one set per neuron, read in place.",
            "Lava's fixed-point RF has 12 bits and one set per layer, RFZero 15 per neuron.",
            "published, for Lava alone",
        ),
        Assumption(
            f"Constants of up to {bits[CONSTANT]} bits, shared by all neurons of a program.",
            "that programs are allocated with named constants; not their width.",
            "not public",
        ),
        Assumption(
            "LT writes 0 or 1 into a register, which SEL and SPIKE read.", "nothing.", "not public"
        ),
        Assumption(
            "SPIKE sends the register unless it is 0: a spike without payload, or of the readout "
            f"its value in {MESSAGE_BITS} bits, signed.",
            f"payloads of up to 32 bits, {MESSAGE_BITS} of them used by public models.",
            "quoted",
        ),
        Assumption(
            f"A program of {max(each.operations for each in counts)} operations with "
            f"{max(each.live for each in counts)} results that wait at once fits. Not checked.",
            "no limit.",
            "not public",
        ),
    )


def assumption_lines(programs: Sequence[Program]) -> list[str]:
    """The assumptions as numbered lines, and what they rest on."""
    lines = ["Assumed of the instruction set (nothing here was run on a chip):"]
    for index, assumption in enumerate(assumptions(programs), start=1):
        lines += textwrap.wrap(
            str(assumption), LINE, initial_indent=f"  {index:>2}. ", subsequent_indent=" " * 6
        )
    return lines
