"""Neuron programs: the fixed-point steps, operation by operation; their listing; assemblers."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from command_line import assert_failed, assert_worked, brf_lava
from hypothesis import given, reject, settings
from hypothesis import strategies as st
from networks import SPIKING, fixed_constants, random_inputs, random_network, random_spikes

from brf_lava.backends import engine
from brf_lava.backends.loihi2 import assembler
from brf_lava.backends.loihi2.machine import (
    COEFFICIENT,
    CONSTANT,
    INPUT,
    INSTRUCTIONS,
    STATE,
    Operation,
    Program,
    Register,
    live,
    need_lines,
    run_program,
    words,
)
from brf_lava.backends.loihi2.program import current_range, network_programs, program_for
from brf_lava.board.describe import width
from brf_lava.errors import BackendUnavailableError, BrfLavaError, ParameterError
from brf_lava.network import layers
from brf_lava.network.activity import Activity
from brf_lava.network.file import read_network, write_network
from brf_lava.network.layers import FixedNetwork, integer_ranges
from brf_lava.neurons import fixed
from brf_lava.neurons.families import BRF, LI, NEURONS, Neuron

EVERY = list(NEURONS.values())
READS = ("RMW", "RDC")  # the only ways to what the neuron's memory holds at first
DRAWS = 400  # random states, for every combination of limits beside them
# No two are equal, nor equal to a power of two in the programs, so that none can stand for another.
PUBLIC_CLASSES = {  # Intel technology brief 2021, instruction table
    *("RMW", "RDC", "MOV", "SEL", "AND", "OR", "SHL", "ADD", "NEG", "MIN", "MUL_SHR"),
    *("LT", "GE", "EQ", "SKP_C", "JMP_C", "SPIKE", "PROBE"),
}
CONSTANTS = {"dt": 655, "theta": 11_000, "gamma": 58_982, "beta": 29_491, "unit": 16_001}


def constants_of(neuron: Neuron, state_bits: int, parameter_bits: int, **values: int) -> Any:
    kind: Any = neuron.fixed_constants
    formats = {"state_bits": state_bits, "parameter_bits": parameter_bits}
    named = {**values, **formats}
    return kind(**{name: named[name] for name in kind._fields})


def draw(rng: np.random.Generator, register: Register, size: int) -> np.ndarray:
    """Values over the whole range, over its lower magnitudes, and its limits."""
    wide = rng.integers(register.low, register.high, size, endpoint=True)
    small = wide >> rng.integers(0, 24, size)
    limits = rng.choice(np.array([register.low, register.high, 0]), size)
    kind = rng.integers(0, 5, size)
    values = np.where(kind < 2, wide, np.where(kind < 4, small, limits))
    return np.clip(values, register.low, register.high)


class Vectors(NamedTuple):
    """Arguments of one step: states and coefficients [*, M], current [M]."""

    state: tuple[np.ndarray, ...]
    current: np.ndarray
    coefficients: tuple[np.ndarray, ...]


def vectors(program: Program, constants: Any, rng: np.random.Generator) -> Vectors:
    """Random arguments, some of which end at the threshold and one beside it."""
    state, coefficients, (current,) = (
        tuple(draw(rng, register, DRAWS) for register in program.of_role(role))
        for role in (STATE, COEFFICIENT, INPUT)
    )
    after, _ = program.neuron.fixed_step(state, 0 * current, coefficients, constants)
    threshold = getattr(constants, "theta", 0)
    if "q" in program.neuron.states:
        threshold = threshold + state[2]
    if "a" in program.neuron.states:
        threshold = threshold + fixed.mul(after[1], constants.beta, fixed.ADAPTATION_BITS)
    near = threshold - after[0] + rng.integers(-1, 2, DRAWS)
    if program.neuron.leak:  # what the neuron makes so much of
        one = 1 << constants.parameter_bits
        near = near * one // (one - coefficients[program.neuron.fixed_coefficients.index("decay")])
    allowed = program.of_role(INPUT)[0]
    current = np.where(rng.random(DRAWS) < 0.5, near, current).clip(allowed.low, allowed.high)
    return Vectors(state, current, coefficients)


def assert_equals_engine(program: Program, constants: Any, v: Vectors) -> None:
    """Every state and the output, integer by integer."""
    state, output = run_program(program, *v)
    expected, signal = program.neuron.fixed_step(*v, constants)
    for name, ours, theirs in zip(program.neuron.states, state, expected, strict=True):
        np.testing.assert_array_equal(ours, theirs, err_msg=name)
    np.testing.assert_array_equal(output, signal)


def trained(neuron: Neuron, state_bits: int = 14) -> Program:
    """The program of a neuron in a format as training leaves it."""
    return program_for(neuron, fixed_constants(neuron, state_bits, 16))


@pytest.mark.parametrize("neuron", EVERY, ids=lambda neuron: neuron.name)
@settings(deadline=None, max_examples=60)
@given(data=st.data())
def test_a_program_is_the_fixed_step_in_every_format(neuron: Neuron, data: Any) -> None:
    """Any constants that quantization may write, any int32 current."""
    state_bits = data.draw(st.integers(layers.STATE_BITS_MIN, layers.STATE_BITS_MAX), "state_bits")
    parameter_bits = data.draw(
        st.integers(layers.PARAMETER_BITS_MIN, layers.PARAMETER_BITS_MAX), "p_bits"
    )
    limits = integer_ranges(neuron, state_bits, parameter_bits)
    names = [name for name in CONSTANTS if name in limits]
    drawn = {name: data.draw(st.integers(*limits[name]), name) for name in names}
    constants = constants_of(neuron, state_bits, parameter_bits, **drawn)
    try:
        program = program_for(neuron, constants)
    except ParameterError:
        reject()
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1), "seed"))
    assert_equals_engine(program, constants, vectors(program, constants, rng))


@pytest.mark.parametrize("neuron", EVERY, ids=lambda neuron: neuron.name)
def test_a_program_takes_numbers_and_arrays(neuron: Neuron) -> None:
    constants = fixed_constants(neuron, 14, 16)
    program = program_for(neuron, constants)
    v = vectors(program, constants, np.random.default_rng(14))
    assert_equals_engine(program, constants, v)
    arrays, outputs = run_program(program, *v)
    for k in range(3):
        state, coefficients = ([int(a[k]) for a in each] for each in (v.state, v.coefficients))
        after, output = run_program(program, state, int(v.current[k]), coefficients)
        assert (*after, output) == (*(int(a[k]) for a in arrays), int(outputs[k]))
        assert all(type(value) is int for value in (*after, output))


@pytest.mark.parametrize(
    ("exponent", "input_range"), [(11, (0, 1)), (15, (0, 1)), (9, (0, 255)), (9, (-128, 127))]
)
def test_a_network_of_programs_is_the_engine(exponent: int, input_range: tuple[int, int]) -> None:
    """A layer of each neuron and a readout over time, inputs as narrow as the weights allow."""
    rng = np.random.default_rng(1)
    sizes = (5, *(11 - k for k in range(len(SPIKING))), 3)
    recurrent = [bool(k % 2) for k in range(len(SPIKING))]
    network = random_network(
        rng,
        sizes,
        neuron=SPIKING,
        recurrent=recurrent,
        exponent=exponent,
        input_range=input_range,
    )
    if input_range == (0, 1):
        x: Any = random_spikes(rng, 80, 3, 5, rate=0.3)
    else:
        x = random_inputs(rng, 80, 3, 5, np.int8 if input_range[0] else np.uint8)
    expected = engine.run(network, x)
    found = run_programs(network, x)
    assert all(spikes.any() for spikes in expected.spikes)
    assert expected.saturations or exponent < 15
    for ours, theirs in zip(found.spikes, expected.spikes, strict=True):
        np.testing.assert_array_equal(ours, theirs)
    np.testing.assert_array_equal(found.outputs, expected.outputs)


def run_programs(network: FixedNetwork, x: np.ndarray) -> Activity:
    """The network step by step, each layer by the interpreter. x: [T, B, I]."""
    signal, spikes = x.astype(np.int64), []
    for layer, program in zip(network.layers, network_programs(network), strict=True):
        zeros = np.zeros((x.shape[1], layer.shape[0]), np.int64)
        state, z, outputs = (zeros,) * len(layer.neuron.states), zeros, []
        for row in signal:
            current = row @ layer.weights.integers.T
            if layer.recurrent is not None:
                current = current + z @ layer.recurrent.integers.T
            state, z = run_program(program, state, current, tuple(layer.coefficients))
            outputs.append(z)
        signal = np.stack(outputs)
        if layer.neuron.spiking:
            spikes.append(signal.astype(np.int8))
    return Activity(outputs=signal, spikes=tuple(spikes), saturations=0)


def altered(program: Program) -> Iterator[tuple[str, dict[str, Any]]]:
    """What to replace: every operation removed, of another class, with swapped or other sources,
    shifted otherwise; every constant one off.
    """
    operations = list(program.operations)
    others = [r.name for r in program.registers if r.role in (COEFFICIENT, CONSTANT)]
    others += [op.target for op in operations if op.kind in READS]
    for index, operation in enumerate(operations):
        variants: list[Operation | None] = [None]
        names = operation.sources
        for kind, instruction in INSTRUCTIONS.items():
            if kind != operation.kind and instruction.text.count("{") == len(names):
                variants.append(replace(operation, kind=kind))
        if operation.kind in ("LT", "SEL"):
            variants.append(replace(operation, sources=(*names[:-2], names[-1], names[-2])))
        if operation.kind in ("MUL_SHR", "SHL"):
            variants += [replace(operation, shift=operation.shift + by) for by in (-1, 1)]
        if operation.kind not in READS:
            variants += [
                replace(operation, sources=(*names[:k], other, *names[k + 1 :]))
                for k, name in enumerate(names)
                for other in others
                if other != name
                and not (operation.kind == "SEL" and k == 2 and other == names[0])  # 0 there, too
            ]
        for variant in variants:
            changed = [variant] if variant else []
            rest = (*operations[:index], *changed, *operations[index + 1 :])
            yield f"{index + 1}: {operation} -> {variant}", {"operations": rest}
    for constant in program.of_role(CONSTANT):
        for by in (-1, 1):
            moved = replace(constant, low=constant.low + by, high=constant.high + by)
            registers = tuple(moved if r == constant else r for r in program.registers)
            yield f"{constant.name} {by:+}", {"registers": registers}


@pytest.mark.parametrize("neuron", EVERY, ids=lambda neuron: neuron.name)
def test_no_operation_can_be_altered_unnoticed(neuron: Neuron) -> None:
    constants = constants_of(neuron, 14, 16, **CONSTANTS)
    program = program_for(neuron, constants)
    v = vectors(program, constants, np.random.default_rng(5))
    assert_equals_engine(program, constants, v)
    unnoticed, compared = [], 0
    for name, changes in altered(program):
        try:
            with np.errstate(over="ignore"):
                changed = replace(program, **changes)
                compared += 1
                assert_equals_engine(changed, constants, v)
        except (ParameterError, AssertionError, KeyError, TypeError):  # or no program at all
            continue
        unnoticed.append(name)
    assert not unnoticed
    assert compared > 5 * len(program.operations)  # most are programs, and run


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("u", -(2**23), "u: -8388608 does not fit s24, -8388607 to 8388607"),
        ("q", 163_831, "q: 163831 does not fit u18, 0 to 163830"),
        ("current", 2**31, "current: 2147483648 does not fit s32"),
        ("rotation", -1, "rotation: -1 does not fit u17"),
    ],
)
def test_what_does_not_fit_a_register_is_refused(name: str, value: int, message: str) -> None:
    program = trained(BRF)
    values = dict.fromkeys(("u", "v", "q", "current", "damping", "rotation"), 0) | {name: value}
    for each in (values, {name: np.array([0, value]) for name, value in values.items()}):
        state = [each[n] for n in BRF.states]
        coefficients = [each[n] for n in BRF.fixed_coefficients]
        with pytest.raises(ParameterError, match=f"program of BRF: {message}"):
            run_program(program, state, each["current"], coefficients)


def test_a_temporary_that_would_not_fit_is_found() -> None:
    program = trained(BRF)
    narrow = tuple(
        replace(r, low=-(2**20), high=2**20) if r.name == "u_sum" else r for r in program.registers
    )
    changed = replace(program, registers=narrow)
    run_program(changed, (0, 0, 0), 2**20, (0, 0))
    with pytest.raises(ParameterError, match="u_sum: 1048577 does not fit s22"):
        run_program(changed, (0, 0, 0), 2**20 + 1, (0, 0))


def test_a_refractory_variable_of_more_than_24_bits_is_refused() -> None:
    """gamma of almost 1 and a threshold near 0: it would only grow."""
    constants = fixed.BalancedConstants(655, 1, (1 << 22) - 1, 1 << 18, 18, 22)
    with pytest.raises(ParameterError, match=r"BRF.q: can reach 8650\d\d\d; a 24-bit state"):
        program_for(BRF, constants)


def test_the_refractory_bound_is_reached_and_kept() -> None:
    """By a neuron that spikes at every step, as it can only do below the largest u."""
    constants = fixed.BalancedConstants(1, 1 << 14, 65_000, 1 << 14, 14, 16)
    program = program_for(BRF, constants)
    bound = program.by_name["q"].high
    state, highest = (0, 0, 0), 0
    for _ in range(2_000):
        state, _ = run_program(program, state, fixed.CURRENT_MAX, (0, 0))
        highest = max(highest, state[2])
    assert 0.99 * bound < highest <= bound


def test_what_has_no_program_is_refused() -> None:
    """A step of a second, in the coarsest states and the finest parameters; another neuron."""
    constants = fixed.BalancedConstants(1 << 22, 64, (1 << 22) - 1, 1 << 6, 6, 22)
    with pytest.raises(ParameterError, match=r"a product \d\d, more than 64\. Use fewer"):
        program_for(NEURONS["BHRF"], constants)
    with pytest.raises(ParameterError, match="neuron LIF has no program for Loihi 2; RF"):
        program_for(replace(BRF, name="LIF"), fixed_constants(BRF, 14, 16))


def test_widths_and_products_by_hand() -> None:
    for low, high, bits in ((0, 0, 1), (0, 255, 8), (-1, 0, 1), (-129, 0, 9), (-1, 128, 9)):
        assert width(low, high) == bits
    multiply = INSTRUCTIONS["MUL_SHR"].compute
    for a, b, result in ((-7, 1, -3), (7, -1, -3), (-7, -1, 3), (-1, 1, 0)):
        assert multiply(a, b, 1) == result  # cut toward zero


@pytest.mark.parametrize("kind", INSTRUCTIONS)
@settings(max_examples=50)
@given(data=st.data())
def test_bounds_hold_every_result(kind: str, data: Any) -> None:
    instruction = INSTRUCTIONS[kind]
    ends = st.integers(-(2**20), 2**20)
    sources = instruction.text.replace("{shift}", "").count("{")
    ranges = [tuple(sorted(data.draw(st.tuples(ends, ends)))) for _ in range(sources)]
    if kind == "SEL":
        ranges[0] = (0, 1)
    shift = data.draw(st.integers(0, 20))
    low, high = instruction.bounds([Register("", "", *limits) for limits in ranges], shift)
    values = [data.draw(st.integers(*limits)) for limits in ranges]
    assert low <= instruction.compute(*values, shift) <= high


def test_the_input_of_a_layer_is_as_wide_as_its_weights_make_it() -> None:
    network = random_network(np.random.default_rng(2), (4, 3, 2), input_range=(-5, 200))
    layer, readout = network.layers
    assert layer.recurrent is not None
    spikes = np.array(np.meshgrid(*[(0, 1)] * 3)).reshape(3, -1)
    inputs = np.array(np.meshgrid(*[(-5, 200)] * 4)).reshape(4, -1)
    first, loop = layer.weights.integers @ inputs, layer.recurrent.integers @ spikes
    low = int((first.min(1) + loop.min(1)).min())
    high = int((first.max(1) + loop.max(1)).max())
    found = current_range(layer, (-5, 200))
    assert found == (-(1 << (width(low, high) - 1)), (1 << (width(low, high) - 1)) - 1)
    assert found[0] <= low < high <= found[1]
    program, last = network_programs(network)
    assert (program.of_role(INPUT)[0].low, program.of_role(INPUT)[0].high) == found
    assert last.of_role(INPUT)[0].low == current_range(readout)[0]


def test_fingerprints_tell_programs_apart() -> None:
    programs = [
        program_for(neuron, fixed_constants(neuron, bits, 16), (-current, current))
        for neuron in SPIKING
        for bits in (13, 14)
        for current in (100, 200)
    ]
    assert len({program.fingerprint for program in programs}) == len(programs)
    constants = fixed_constants(BRF, 14, 16)
    arrays = type(constants)(*map(np.int64, constants))  # NumPy 2 writes its numbers otherwise
    again = program_for(BRF, arrays, (-200, np.int64(200)))
    assert again.fingerprint == program_for(BRF, constants, (-200, 200)).fingerprint


@pytest.mark.parametrize(
    ("neuron", "operations", "products", "sizes"),
    [
        ("RF", 22, 4, (1, 1)),
        ("BRF", 30, 6, (2, 1)),
        ("HRF", 25, 5, (1, 1)),
        ("BHRF", 33, 7, (2, 1)),
        ("ALIF", 28, 6, (2, 1)),
        ("LI", 12, 2, (1, 1)),
    ],
)
def test_counts(neuron: str, operations: int, products: int, sizes: tuple[int, int]) -> None:
    program = trained(NEURONS[neuron])
    kinds = [operation.kind for operation in program.operations]
    assert (len(kinds), kinds.count("MUL_SHR")) == (operations, products)
    assert kinds.count("RMW") == len(NEURONS[neuron].states)
    assert (words(program, STATE), words(program, COEFFICIENT)) == sizes
    assert set(kinds) <= PUBLIC_CLASSES


def test_the_readout_counted_by_hand() -> None:
    """x, o_old | o_kept, x, gain | o_kept, o_gained | ...: three wait at once.

    2**31 * 2**16 has 48 bits.
    """
    program = trained(LI)
    assert (live(program), program.register_bits, program.product_bits) == (3, 33, 48)
    assert program == trained(LI, 13)  # whatever the bits of its state
    # friction, up to 4, has 25 bits with 22 of fraction, and takes a word of its own
    wide = program_for(NEURONS["HRF"], fixed_constants(NEURONS["HRF"], 14, 22))
    assert words(wide, COEFFICIENT) == 2


def test_networks_keep_the_fingerprints_that_machine_code_is_named_by() -> None:
    network, _ = read_network(Path(__file__).parents[1] / "golden" / "network_v4.h5")
    assert {each.neuron.name: each.fingerprint for each in network_programs(network)} == {
        "RF": "cb6eef7e341cac15",
        "BRF": "2b0c99516e2ac044",
        "HRF": "579e396eed3274d5",
        "BHRF": "f6661e7a5449ffb1",
        "ALIF": "09a0a713daf8b9dc",
        "LI": "36c3ad5fd3909c80",
    }


def test_needs_are_the_largest_of_all_programs() -> None:
    programs = [trained(neuron) for neuron in EVERY]
    text = " ".join("\n".join(need_lines(programs)).split())
    assert "ADD, LT, MIN, MUL_SHR, NEG, RDC, RMW, SEL, SHL, SPIKE" in text
    assert "product before its shift 48 bits" in text
    assert "message of the readout 24 bits" in text
    assert "program 33 operations" in text
    assert any(line.endswith(" 40 bits, signed") for line in need_lines(programs[:1]))


GUIDE = Path(__file__).resolve().parents[2] / "deploy" / "assembler.md"


def test_the_guide_explains_every_class() -> None:
    rows = [line for line in GUIDE.read_text().splitlines() if line.startswith("| ")]
    explained = {name for row in rows for name in row.split("|")[1].replace(",", " ").split()}
    assert set(INSTRUCTIONS) <= explained
    assert assembler.GROUP in GUIDE.read_text()


def test_the_command_lists_all_layers_or_one(tmp_path: Path) -> None:
    path = tmp_path / "net.h5"
    write_network(random_network(np.random.default_rng(0), (4, 9, 3)), path)
    result = brf_lava("loihi2", "program", path)
    assert_worked(result)
    for expected in (
        "layer 1: 9 neurons",
        "BRF, program ",
        "layer 2: 3 neurons",
        "LI, program ",
        "per neuron and step: 30 operations (7 ADD, 1 LT, 4 MIN, 6 MUL_SHR",
        "constant    gamma",
        "take current, leave 0",
        "q_old * dt >> 14",
        "unit if z else zero",
        "threshold < u",
        "Needed of the instruction set, see deploy/assembler.md",
    ):
        assert expected in result.output
    assert max(map(len, result.output.splitlines())) <= 110
    one = brf_lava("loihi2", "program", path, "--layer", 2).output
    assert ("LI, program" in one, "BRF" in one) == (True, False)
    for layer in (0, 3):
        refused = brf_lava("loihi2", "program", path, "--layer", layer)
        assert_failed(refused, 2, f"--layer {layer}: {path} has layers 1 to 2.")


class Plugin:
    """A stand-in for a member's assembler: the fingerprint is its machine code."""

    name = "plugin"

    def assemble(self, program: Program) -> bytes:
        if program.neuron.name == "RF":
            raise NotImplementedError("no RF")
        if program.neuron.name == "HRF":
            return b""
        if program.neuron.name == "BHRF":
            return "text"  # type: ignore[return-value]  # the mistake that is tested
        if program.neuron.name == "ALIF":
            raise ParameterError("ALIF: its own words.")
        return program.fingerprint.encode()


def test_an_installed_package_is_found(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """By the metadata that an installation leaves."""
    info = tmp_path / "member_tools-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: member-tools\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[{assembler.GROUP}]\nours = member_tools:Ours\n")
    code = "class Ours:\n    name = 'ours'\n    def assemble(self, program):\n        return b'1'\n"
    (tmp_path / "member_tools.py").write_text(code)
    monkeypatch.syspath_prepend(tmp_path)
    found = assembler.find_assembler(name="ours")
    assert assembler.machine_code(found, trained(LI)) == b"1"


def test_what_an_assembler_does_wrong_is_said() -> None:
    kind: type[BrfLavaError]
    for neuron, kind, message in (
        ("RF", BackendUnavailableError, r"cannot assemble RF: NotImplementedError: no RF"),
        ("HRF", BackendUnavailableError, "HRF: .*machine code as bytes is needed, not b''"),
        ("BHRF", BackendUnavailableError, "BHRF: .*machine code as bytes is needed, not 'text'"),
        ("ALIF", ParameterError, "ALIF: its own words"),
    ):
        with pytest.raises(kind, match=message):
            assembler.machine_code(Plugin(), trained(NEURONS[neuron]))
    assert assembler.machine_code(Plugin(), trained(BRF)) == trained(BRF).fingerprint.encode()


def test_ready_files_are_found_by_fingerprint(tmp_path: Path) -> None:
    brf, li, other = trained(BRF), trained(LI), trained(BRF, 13)
    (tmp_path / "brf.bin").write_bytes(b"machine code")
    path = tmp_path / "ready.toml"
    path.write_text(f'[files]\n{brf.fingerprint} = "brf.bin"\n{li.fingerprint} = "gone.bin"\n')
    ready = assembler.find_assembler(path)
    assert assembler.machine_code(ready, brf) == b"machine code"
    for program, message in (
        (other, f"for program {other.fingerprint} .*but"),
        (li, r"No such file or directory.*gone\.bin"),
    ):
        with pytest.raises(BackendUnavailableError, match=message):
            assembler.machine_code(ready, program)


def test_a_list_of_ready_files_that_is_none_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "ready.toml"
    for content, message in (
        (b"\xff\x00", "not a text in UTF-8"),
        (b"", "files is missing"),
        (b'[files]\n0123456789abcdef = "a"\n[more]\n', "more: no such key"),
        (b"[files", "not valid TOML"),
        (None, "cannot be read"),
        (b"[files]\n0123456789abcdef = 3", "allowed is a table from fingerprints to files"),
    ):
        path.unlink(missing_ok=True)
        if content is not None:
            path.write_bytes(content)
        with pytest.raises(ParameterError, match=re.escape(message)) as error:
            assembler.find_assembler(path)
        assert str(error.value).startswith(f"--microcode {path}: ")
