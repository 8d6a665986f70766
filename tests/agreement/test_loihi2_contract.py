"""The Loihi 2 backend against a stand-in for Intel's extension: what it asks for, and what it runs.

See tests/loihi2_standin: this verifies the contract with public interfaces, and no hardware.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import os
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import Result
from command_line import assert_failed, assert_worked, brf_lava, write_task
from hypothesis import given
from hypothesis import strategies as st
from networks import SPIKING, random_inputs, random_network, random_spikes

from brf_lava.backends import engine
from brf_lava.backends.base import Loihi2
from brf_lava.backends.loihi2 import assembler
from brf_lava.backends.loihi2 import backend as loihi2
from brf_lava.backends.loihi2.backend import reset_interval, run_on_loihi2, sign_extended
from brf_lava.backends.loihi2.hosts import Loihi2Options
from brf_lava.config.profile import GENERATIONS, Loihi2Profile, load_profile
from brf_lava.data.dataset import Split
from brf_lava.errors import (
    BackendUnavailableError,
    DoesNotFitError,
    LavaRunError,
    MismatchError,
    ParameterError,
)
from brf_lava.network.file import write_network
from brf_lava.network.layers import Connection, FixedNetwork
from brf_lava.neurons.families import LI
from brf_lava.neurons.fixed import STATE_MAX
from brf_lava.run.evaluate import run_test_data
from brf_lava.run.execute import assert_equal, execute, vectors

pytestmark = pytest.mark.timeout(60)
SITE = Path(__file__).parents[1] / "loihi2_standin" / "site"
EXTENSION = (  # what the extension brings; and what is defined only where it is
    "lava.utils.loihi2_profiler",
    "lava.magma.core.model.nc",
    "lava.magma.core.model.c",
    "lava.proc.embedded_io",
    "lava.proc.dense.ncmodels",
    "loihi2_standin.chip",
    "brf_lava.proc.neurons.nc_models",
)
SINFO = "up down* kp\nup idle oheogulch_2h\nup alloc vpx\n"
OPTIONS = Loihi2Options(partition="oheogulch_2h")


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(20262)


def forget_extension() -> None:
    for name in list(sys.modules):
        if any(name == part or name.startswith(f"{part}.") for part in EXTENSION):
            del sys.modules[name]
    importlib.invalidate_caches()


@pytest.fixture
def chip(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Any]:
    """A machine with the stand-in installed, a scheduler, and an assembler."""
    from lava.magma.compiler import compiler
    from lava.magma.core import run_configs
    from lava.magma.core.process import process as lava_process

    environment = dict(os.environ)
    programs = tmp_path / "bin"
    programs.mkdir()
    script = programs / "sinfo"
    script.write_text(
        f"#!/bin/sh\ncase $* in *--Node*) echo up idle og-1;; *) cat <<'END'\n{SINFO}END\nesac\n"
    )
    script.chmod(0o755)
    forget_extension()
    monkeypatch.syspath_prepend(str(SITE))
    nc = importlib.import_module("lava.magma.core.model.nc.model")
    c = importlib.import_module("lava.magma.core.model.c.model")
    monkeypatch.setattr(run_configs, "AbstractNcProcessModel", nc.AbstractNcProcessModel)
    monkeypatch.setattr(run_configs, "CLoihiProcessModel", c.CLoihiProcessModel, raising=False)
    standin = importlib.import_module("loihi2_standin.chip")
    board = standin.Chip()
    monkeypatch.setattr(
        compiler.Compiler, "compile", lambda _, process, run_cfg: board.compile(process, run_cfg)
    )
    monkeypatch.setattr(lava_process, "Runtime", standin.Runtime)
    install_assemblers(monkeypatch, "stand-in")
    for name in ("NXSDKHOST", "PARTITION", "BOARD", "SLURM", "LOIHI_GEN"):
        os.environ.pop(name, None)
    os.environ["PATH"] = f"{programs}{os.pathsep}{os.environ['PATH']}"
    yield board
    os.environ.clear()
    os.environ.update(environment)
    monkeypatch.undo()
    forget_extension()


def install_assemblers(monkeypatch: pytest.MonkeyPatch, *names: str) -> None:
    entries = [
        importlib.metadata.EntryPoint(
            name, "loihi2_standin.assembler:StandInAssembler", assembler.GROUP
        )
        for name in names
    ]
    monkeypatch.setattr(assembler, "entry_points", lambda group: entries)


def small(
    rng: np.random.Generator, steps: int = 20, samples: int = 2, **options: Any
) -> tuple[FixedNetwork, np.ndarray]:
    """A network of one layer and spikes that it answers."""
    network = random_network(rng, (4, 12, 3), **{"exponent": 10, **options})
    return network, random_spikes(rng, steps, samples, 4, rate=0.3)


def assert_chip_equals_engine(
    network: FixedNetwork, x: np.ndarray, options: Loihi2Options = OPTIONS, **arguments: Any
) -> None:
    expected = engine.run(network, x)
    assert_equal(run_on_loihi2(network, x, options, **arguments), expected, "chip", "engine")
    assert all(spikes.any() for spikes in expected.spikes)  # or the test would see nothing


# The whole backend, up to the integers that it collects


@pytest.mark.parametrize("recurrent", [True, False])
def test_every_neuron_equals_the_engine(
    chip: Any, rng: np.random.Generator, recurrent: bool
) -> None:
    """A layer of each, one after the other."""
    sizes = (3, *[9] * len(SPIKING), 4)
    network = random_network(rng, sizes, neuron=SPIKING, recurrent=recurrent, exponent=11)
    assert_chip_equals_engine(network, random_spikes(rng, 40, 4, 3, rate=0.4))
    assert chip.calls == ["compile", "initialize", "start", "stop"]


@pytest.mark.parametrize("dtype", [np.int8, np.uint8])
def test_graded_inputs_equal_the_engine(chip: Any, rng: np.random.Generator, dtype: type) -> None:
    limits = np.iinfo(dtype)
    ends = (int(limits.min), int(limits.max))
    network = random_network(rng, (3, 12, 4), exponent=3, input_range=ends)
    assert_chip_equals_engine(network, random_inputs(rng, 40, 3, 3, dtype))


@pytest.mark.parametrize("steps", [1, 2, 31, 32])
def test_no_sample_reaches_the_next(chip: Any, rng: np.random.Generator, steps: int) -> None:
    """Loud samples, each as long as leaves no silence between them, then quiet ones."""
    network = random_network(rng, (2, 15, 3), exponent=12)
    x = random_spikes(rng, steps, 6, 2, rate=0.9)
    x[:, 1::2] = 0
    expected = engine.run(network, x)
    assert_equal(run_on_loihi2(network, x, OPTIONS), expected, "chip", "engine")
    if steps > 2:
        assert expected.spikes[0][:, ::2].any()


def test_batches_with_a_remainder(chip: Any, rng: np.random.Generator) -> None:
    network, x = small(rng, 40, 5)
    samples = Split(x.transpose(1, 0, 2), np.zeros((5, 40), np.uint8))
    result, _ = run_test_data(network, samples, Loihi2(OPTIONS), batch=2, check=True)
    assert result.checked
    assert result.cost.sops
    assert chip.calls.count("start") == 3


@pytest.mark.parametrize("delays", [(1, 0), (2, 3)])
def test_delays_of_the_adapters(chip: Any, rng: np.random.Generator, delays: Any) -> None:
    chip.delays = delays
    network, x = small(rng, 31, 3)
    assert_chip_equals_engine(network, x, replace(OPTIONS, io_delay=sum(delays)))
    found = run_on_loihi2(network, x[:30], OPTIONS)
    with pytest.raises(MismatchError, match=f"if it were {sum(delays)} steps earlier"):
        assert_equal(found, engine.run(network, x[:30]), "Loihi 2", "the engine")


def test_without_its_reset_the_backend_would_be_wrong(
    chip: Any, rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    from brf_lava.proc.microcode import Microcode

    right = Microcode.all_constants.fget
    assert right is not None

    def far_too_seldom(self: Microcode) -> dict[str, int]:
        return {**right(self), "reset_mask": 2**20 - 1}

    network, x = small(rng, 40, 3)
    monkeypatch.setattr(Microcode, "all_constants", property(far_too_seldom))
    with pytest.raises(MismatchError, match="sample 1"):
        assert_chip_equals_engine(network, x)


def test_all_zero_recurrent_weights_are_left_out(chip: Any, rng: np.random.Generator) -> None:
    base, x = small(rng, 40)
    silent = replace(base.layers[0], recurrent=Connection(np.zeros((12, 12), np.int8), 0))
    assert_chip_equals_engine(FixedNetwork((silent, base.layers[1])), x)
    assert not any("recurrent" in found.process.name for found in chip.allocated)


# What is allocated


def test_what_a_layer_asks_for(chip: Any, rng: np.random.Generator) -> None:
    sizes = (4, *[12] * len(SPIKING), 3)
    network = random_network(rng, sizes, neuron=SPIKING, exponent=9)
    run_on_loihi2(network, random_spikes(rng, 20, 2, 4), OPTIONS)
    found = {item.process.name: item for item in chip.allocated}
    names = [*(f"hidden{k + 1}" for k in range(len(SPIKING))), "readout"]
    assert set(found) == {
        *names,
        *(f"weights of {name}" for name in names),
        *(f"recurrent weights of {name}" for name in names[:-1]),
    }
    for index, (name, kind) in enumerate(zip(names, [*SPIKING, LI], strict=True)):
        nodes, model = found[name].nodes, found[name].model
        variables = (*kind.states, *kind.fixed_coefficients)
        assert list(nodes["neurons"].arguments) == ["shape", *variables]
        size = network.layers[index].shape[0]
        assert nodes["neurons"].arguments["shape"] == size
        bits = {name: nodes["neurons"].arguments[name].precision for name in variables}
        assert bits == {name: 1 if name == "z" else 24 for name in variables}
        assert nodes["axons"].arguments == {
            "shape": size,
            "num_message_bits": 0 if kind.spiking else 24,
        }
        assert model.tags == ["fixed_pt"]
        asked = nodes["program"].arguments
        assert (asked["reset_mask"], asked["reset_match"]) == (31, index + 1)
        assert asked.get("theta") == getattr(network.layers[index].constants, "theta", None)
        layer = network.layers[index]
        for kind, connection in (
            ("weights", layer.weights),
            ("recurrent weights", layer.recurrent),
        ):
            if connection is not None:
                asked = found[f"{kind} of {name}"].nodes["synapses"].arguments
                integers = asked["weights"].var.init * 2.0 ** asked["weight_exp"]
                np.testing.assert_array_equal(integers, connection.integers)
                assert asked["num_message_bits"] == 0


def test_where_it_runs_is_told(chip: Any, rng: np.random.Generator) -> None:
    told: list[str] = []
    run_on_loihi2(*small(rng, samples=2), OPTIONS, on_placement=told.extend)
    assert told[0] == "slurm, partition oheogulch_2h, N3B3"  # Lava's own choice
    where = dict(line.split(": ", 1) for line in told[1:])
    assert len(where) == len(told) - 1 == 11
    assert where["hidden1 (BRF)"] == "neuro core, NcBRFModel"
    assert where["weights of readout (Dense)"] == "neuro core, NcDenseModel"
    assert where["input (Source)"] == "host CPU, FixedSourceModel"
    assert sum(line.startswith("embedded CPU") for line in where.values()) == 3


def test_generations_are_those_of_lava() -> None:
    from lava.utils.loihi import ChipGeneration

    assert {generation.value for generation in ChipGeneration} == set(GENERATIONS)


def test_the_host_is_told_to_lava(
    chip: Any, rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A partition or board rules out a board on the network."""
    monkeypatch.setenv("NXSDKHOST", "10.0.0.7")
    network, x = small(rng)
    run_on_loihi2(network, x, Loihi2Options(partition="vpx", chip_generation="N3C1"))
    told = {k: os.environ.get(k) for k in ("SLURM", "PARTITION", "LOIHI_GEN", "NXSDKHOST")}
    assert told == {"SLURM": "1", "PARTITION": "vpx", "LOIHI_GEN": "N3C1", "NXSDKHOST": None}
    run_on_loihi2(network, x, Loihi2Options(board="og-1"))
    assert os.environ["BOARD"] == "og-1"
    assert "PARTITION" not in os.environ


@pytest.mark.parametrize("answers", [2, 1])
def test_a_board_on_the_network(
    chip: Any, net: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answers: int
) -> None:
    """Lava asks it by a ping of its own; one that then fails is an error of ours."""
    ping, asked = tmp_path / "bin" / "ping", tmp_path / "asked"
    ping.write_text(
        f"#!/bin/sh\necho $@ >> {asked}\necho pong\n"
        f'[ "$2" != "-c 1" ] || [ {answers} = 2 ]\n'  # Lava's has the address first
    )
    ping.chmod(0o755)
    result = on_chip("verify", net, "--steps", 20, "--host", "ethernet", "--address", "10.0.0.7")
    assert "10.0.0.7 -c 1" in asked.read_text()
    if answers == 2:
        assert_worked(result)
        assert "ethernet host 10.0.0.7, N3B3" in result.output
        assert (os.environ["NXSDKHOST"], os.environ["NOSLURM"]) == ("10.0.0.7", "1")
        assert "SLURM" not in os.environ
    else:
        assert_failed(result, 3, "ethernet host 10.0.0.7, N3B3: Lava refuses it")
        assert not chip.calls


# What is refused


def test_nothing_runs_on_the_host_instead(
    chip: Any, rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a model for the chip, Lava would silently take the one for the CPU."""
    ncmodels = importlib.import_module("lava.proc.dense.ncmodels")
    monkeypatch.setattr(ncmodels.NcDenseModel, "tags", ["floating_pt"])
    with pytest.raises(BackendUnavailableError) as error:
        run_on_loihi2(*small(rng), OPTIONS)
    assert "weights of hidden1 (Dense): host CPU, PyDenseModelBitAcc" in str(error.value)
    assert "input (Source)" not in str(error.value)
    assert chip.calls == ["compile"]


def test_what_the_compiler_refuses_is_an_error_of_the_run(
    chip: Any, rng: np.random.Generator
) -> None:
    chip.neurons = 19
    x = random_spikes(rng, 5, 1, 4)
    run_on_loihi2(random_network(rng, (4, 16, 3)), x, OPTIONS)
    with pytest.raises(LavaRunError, match="RefusedError: 20 neurons; this board has 19"):
        run_on_loihi2(random_network(rng, (4, 17, 3)), x, OPTIONS)


def test_a_fault_ends_the_run(chip: Any, rng: np.random.Generator) -> None:
    chip.fault = 7
    with pytest.raises(LavaRunError, match="RuntimeError: the board does not answer") as error:
        run_on_loihi2(*small(rng), OPTIONS)
    assert error.value.exit_code == 4
    assert chip.calls == ["compile", "initialize", "start", "stop"]
    chip.deaf = True  # the first fault is told all the same
    with pytest.raises(LavaRunError, match="RuntimeError: the board does not answer"):
        run_on_loihi2(*small(rng), OPTIONS)
    chip.starts = False  # what begins only half-way is stopped, too
    with pytest.raises(LavaRunError, match="no board is free"):
        run_on_loihi2(*small(rng), OPTIONS)
    assert chip.calls[-3:] == ["stop", "compile", "stop"]


def test_ctrl_c_gives_the_board_back(chip: Any, monkeypatch: pytest.MonkeyPatch, net: Path) -> None:
    from loihi2_standin import chip as standin

    def interrupted(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(standin, "run", interrupted)
    ended = on_chip("verify", net)
    assert ended.exit_code == 130
    assert ended.output.splitlines()[-1] == "Interrupted."
    assert chip.calls == ["compile", "initialize", "start", "stop"]


def test_a_fault_of_whoever_is_told_is_no_fault_of_the_board(
    chip: Any, rng: np.random.Generator
) -> None:
    """Such as a closed pipe, which ends a command quietly; and nothing has started then."""

    def told(lines: Any) -> None:
        if len(lines) > 1:
            raise BrokenPipeError

    network, x = small(rng)
    with pytest.raises(BrokenPipeError):
        run_on_loihi2(network, x, OPTIONS, on_placement=told)
    assert chip.calls == ["compile"]


def test_a_layer_on_the_chip_needs_a_program(chip: Any, rng: np.random.Generator) -> None:
    from lava.magma.core.run_configs import Loihi2HwCfg

    from brf_lava.proc.neurons.process import BRF

    layer = random_network(rng, (1, 5, 1)).layers[0]
    coefficients = dict(zip(layer.neuron.fixed_coefficients, layer.coefficients, strict=True))
    process = BRF(name="layer", samples=None, constants=layer.constants, **coefficients)
    with pytest.raises(ParameterError, match="no neuron program"):
        chip.compile(process, Loihi2HwCfg(select_tag="fixed_pt"))


def test_what_does_not_fit_is_refused_before_the_board_is_asked(
    chip: Any, rng: np.random.Generator
) -> None:
    base = random_network(rng, (4, 6, 3), neuron=SPIKING[2], parameter_bits=22)
    hidden, readout = base.layers
    wide = replace(hidden, coefficients=np.full((2, 6), [[STATE_MAX + 1], [5]]))
    loud = replace(hidden, weights=Connection(np.full((6, 4), 127, np.int8), 15))
    still = replace(hidden, weights=Connection(np.zeros((6, 4), np.int8), 0))
    for layer, message in (
        (wide, "hidden1: friction 8388608; .* at most 8388607. Export with fewer --parameter-bits"),
        (loud, "hidden1: weights of neuron . add up to 1.* --state-bits"),
        (still, "all weights are 0"),
    ):
        with pytest.raises(ParameterError, match=message):
            run_on_loihi2(FixedNetwork((layer, readout)), random_spikes(rng, 5, 1, 4), OPTIONS)
    board = load_profile("loihi2-oheogulch")
    assert isinstance(board, Loihi2Profile)
    few = replace(board.limits.memory_words, value=10)
    small = replace(board, limits=replace(board.limits, memory_words=few))
    with pytest.raises(DoesNotFitError, match="does not fit oheogulch"):
        run_on_loihi2(base, random_spikes(rng, 5, 1, 4), replace(OPTIONS, profile=small))
    assert not chip.calls


def test_bad_input_is_refused(chip: Any, rng: np.random.Generator) -> None:
    network = random_network(rng, (4, 6, 3))
    for shape, message in (
        ((0, 1, 4), "at least one step"),
        ((5, 0, 4), "at least one step"),
        ((5, 1, 3), "input"),
    ):
        with pytest.raises(ParameterError, match=message):
            run_on_loihi2(network, np.zeros(shape, np.int8), OPTIONS)


def test_assemblers_and_ready_files(
    chip: Any, rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from loihi2_standin.assembler import StandInAssembler

    from brf_lava.backends.loihi2.program import network_programs

    network, x = small(rng)
    install_assemblers(monkeypatch, "one", "two")
    with pytest.raises(BackendUnavailableError, match=r"neuron assembler: not found, .* one, two"):
        run_on_loihi2(network, x, OPTIONS)
    assert_chip_equals_engine(network, x, replace(OPTIONS, assembler="two"))
    ready = tmp_path / "ready.toml"
    with pytest.raises(BackendUnavailableError, match=r"ready\.toml: cannot be read"):
        run_on_loihi2(network, x, replace(OPTIONS, microcode=ready))
    lines = ["[files]"]
    for program in network_programs(network):
        (tmp_path / program.fingerprint).write_bytes(StandInAssembler().assemble(program))
        lines.append(f'{program.fingerprint} = "{program.fingerprint}"')
    ready.write_text("\n".join(lines))
    assert_chip_equals_engine(network, x, replace(OPTIONS, microcode=ready))


# Around the run


@given(steps=st.integers(1, 5000), delay=st.integers(0, 40))
def test_reset_interval_is_the_least_with_room(steps: int, delay: int) -> None:
    interval = reset_interval(steps, delay)
    assert interval & (interval - 1) == 0
    assert interval // 2 < steps + delay + 1 <= interval


@given(st.lists(st.integers(-STATE_MAX, STATE_MAX), min_size=1))
def test_messages_get_their_sign_back(values: list[int]) -> None:
    signed = np.array(values)
    unsigned = (signed & 0xFFFFFF).astype(np.int32)
    np.testing.assert_array_equal(sign_extended(unsigned), signed)
    np.testing.assert_array_equal(sign_extended(signed.astype(np.int32)), signed)


def test_execute_checks_the_chip(
    chip: Any, rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    network, x = small(rng)
    activity, seconds = execute(network, x, backend=Loihi2(OPTIONS), check=True)
    assert seconds > 0
    assert activity.saturations == engine.run(network, x).saturations
    with pytest.raises(ParameterError, match="cannot be ended"):
        execute(network, x, backend=Loihi2(OPTIONS), timeout=1.0)
    monkeypatch.setattr(loihi2, "sign_extended", lambda messages: messages.astype(np.int64))
    with pytest.raises(MismatchError, match=r"Loihi 2 has 167.*Look at the neuron program"):
        execute(network, x, backend=Loihi2(OPTIONS), check=True)


def on_chip(command: str, *arguments: Any) -> Result:
    return brf_lava(command, *arguments, "--backend", "loihi2")


@pytest.fixture
def net(tmp_path: Path, rng: np.random.Generator) -> Path:
    path = tmp_path / "net.h5"
    write_network(random_network(rng, (4, 12, 3), exponent=10), path)
    return path


def test_verify_on_the_chip(chip: Any, net: Path) -> None:
    worked = on_chip("verify", net, "--steps", 40)
    assert_worked(worked)
    for part in (
        "slurm, partition oheogulch_2h, N3B3",
        "hidden1 (BRF): neuro core",
        "4 samples of 40 steps: all 1,920 spike slots",
        "480 outputs",
    ):
        assert part in worked.output
    chip.delays = (1, 1)
    assert_failed(on_chip("verify", net, "--steps", 40), 5, "--io-delay, 2 more than now")
    assert_worked(on_chip("verify", net, "--steps", 40, "--io-delay", 2))


def test_commands_refuse(chip: Any, net: Path) -> None:
    for command, arguments, code, message in (
        ("verify", ("--partition", "kp"), 3, "board: not found, none of kp"),
        ("verify", ("--partition", "vpx", "--board", "b"), 2, "Use one of the three"),
        ("verify", ("--profile", "sim"), 2, "loihi2-oheogulch"),
        ("verify", ("--board", "kp-1"), 3, "none of kp-1 among the boards that are up"),
        ("run", ("--timeout", "5"), 2, "cannot be ended"),
        ("run", ("--profile", "sim"), 2, "not a Loihi 2 board"),
        ("run", (), 2, "provenance has no task"),  # the board was accepted
    ):
        assert_failed(on_chip(command, net, *arguments), code, message)
    assert "start" not in chip.calls


def test_run_on_the_chip(chip: Any, tmp_path: Path, rng: np.random.Generator) -> None:
    x = random_spikes(rng, 5, 30, 4, rate=0.3)
    provenance = {
        "task": str(write_task(tmp_path, x=x, y=np.arange(5) % 3)),
        "data": {"fingerprint": "", "description": "toys"},
        "metrics": {"device": "cpu"},
        "decision": {"prediction": "last", "ignore_first": 0},
    }
    network = random_network(rng, (4, 12, 6), exponent=10)
    write_network(replace(network, provenance=provenance), tmp_path / "net.h5")
    worked = on_chip("run", tmp_path / "net.h5", "--partition", "vpx", "--batch", 2)
    assert_worked(worked)
    for part in (
        "slurm, partition vpx, N3B3",
        "readout (LI): neuro core, NcLIModel",
        "Loihi 2 equals the engine in all 1,800 spike slots and 900 outputs.",
    ):
        assert part in worked.output
    assert chip.calls.count("start") == 3
    assert worked.output.count("partition vpx") == 1


# Without the extension


def test_models_vanish_without_the_extension() -> None:
    forget_extension()
    module = importlib.import_module("brf_lava.proc.neurons.nc_models")
    assert not [item for item in vars(module) if item.startswith("Nc")]


def test_vectors_cover_the_input_range(rng: np.random.Generator) -> None:
    network = random_network(rng, (4, 12, 3), input_range=(-128, 127))
    x = vectors(network, 3, 500, seed=1)
    assert (x.min(), x.max(), x.dtype) == (-128, 127, np.int8)
