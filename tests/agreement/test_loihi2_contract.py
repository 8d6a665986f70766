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
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result
from hypothesis import given
from hypothesis import strategies as st
from networks import SPIKING, random_inputs, random_network, random_spikes

from brf_lava.backends import engine
from brf_lava.backends.base import Loihi2
from brf_lava.backends.loihi2 import assembler
from brf_lava.backends.loihi2 import backend as loihi2
from brf_lava.backends.loihi2.backend import (
    Loihi2Options,
    reset_interval,
    run_on_loihi2,
    sign_extended,
)
from brf_lava.backends.loihi2.hosts import Host
from brf_lava.cli import main
from brf_lava.cli.run import run as run_command
from brf_lava.cli.verify import verify as verify_command
from brf_lava.config.profile import GENERATIONS, Loihi2Profile, load_profile
from brf_lava.errors import (
    BackendUnavailableError,
    BrfLavaError,
    DoesNotFitError,
    LavaRunError,
    MismatchError,
    ParameterError,
)
from brf_lava.network.file import write_network
from brf_lava.network.layers import Connection, FixedLayer, FixedNetwork
from brf_lava.neurons.families import LI, Neuron
from brf_lava.neurons.fixed import STATE_MAX
from brf_lava.run.check import assert_equal
from brf_lava.run.execute import execute
from brf_lava.run.verify import assert_on_time, vectors

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
SINFO = """PARTITION AVAIL TIMELIMIT NODES STATE NODELIST
kp* up infinite 1 down kp-1
oheogulch_2h up 2:00:00 2 idle og-[1-2]
vpx up infinite 1 alloc vpx-1
"""
SINFO_N = """NODELIST NODES PARTITION STATE
kp-1 1 kp* down
og-1 1 oheogulch_2h idle
"""
TASK = """name = "toys"
classes = ["a", "b", "c"]
inputs = 4
steps = 30
step_seconds = 0.01
train = "train.npz"
test = "test.npz"
input = "x"
label = "y"
"""
OPTIONS = Loihi2Options(partitions=("oheogulch", "oheogulch_2h", "vpx"))


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
        f"#!/bin/sh\nif [ $# = 0 ]; then cat <<'END'\n{SINFO}END\n"
        f"else cat <<'END'\n{SINFO_N}END\nfi\n"
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


def assert_chip_equals_engine(
    network: FixedNetwork, x: np.ndarray, options: Loihi2Options = OPTIONS, **arguments: Any
) -> None:
    expected = engine.run(network, x)
    assert_equal(run_on_loihi2(network, x, options, **arguments), expected, "chip", "engine")
    assert all(spikes.any() for spikes in expected.spikes)  # or the test would see nothing


# The whole backend, up to the integers that it collects


@pytest.mark.parametrize("neuron", SPIKING, ids=lambda neuron: neuron.name)
@pytest.mark.parametrize("recurrent", [True, False])
def test_every_neuron_equals_the_engine(
    chip: Any, rng: np.random.Generator, neuron: Neuron, recurrent: bool
) -> None:
    network = random_network(rng, (4, 20, 6), neuron=neuron, recurrent=recurrent, exponent=10)
    assert_chip_equals_engine(network, random_spikes(rng, 50, 3, 4, rate=0.3))
    assert chip.calls == ["compile", "initialize", "start", "stop"]


def test_deep_networks_equal_the_engine(chip: Any, rng: np.random.Generator) -> None:
    network = random_network(rng, (3, *[9] * len(SPIKING), 4), neuron=SPIKING, exponent=11)
    assert_chip_equals_engine(network, random_spikes(rng, 40, 4, 3, rate=0.4))


@pytest.mark.parametrize("dtype", [np.int8, np.uint8])
def test_graded_inputs_equal_the_engine(chip: Any, rng: np.random.Generator, dtype: type) -> None:
    limits = np.iinfo(dtype)
    ends = (int(limits.min), int(limits.max))
    network = random_network(rng, (3, 12, 4), exponent=3, input_range=ends)
    assert_chip_equals_engine(network, random_inputs(rng, 40, 3, 3, dtype))


@pytest.mark.parametrize("steps", [1, 2, 31, 32, 33])
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
    network = random_network(rng, (4, 12, 3), exponent=10)
    assert_chip_equals_engine(network, random_spikes(rng, 40, 5, 4, rate=0.3), batch=2)
    assert chip.calls.count("start") == 3


@pytest.mark.parametrize("delays", [(1, 0), (0, 1), (2, 3)])
def test_delays_of_the_adapters(chip: Any, rng: np.random.Generator, delays: Any) -> None:
    chip.delays = delays
    network = random_network(rng, (4, 12, 3), exponent=10)
    x = random_spikes(rng, 31, 3, 4, rate=0.3)
    assert_chip_equals_engine(network, x, Loihi2Options(partitions=("vpx",), delay=sum(delays)))
    found = run_on_loihi2(network, x[:30], OPTIONS)
    with pytest.raises(MismatchError, match=f"if it were {sum(delays)} steps earlier"):
        assert_on_time(found, engine.run(network, x[:30]), "Loihi 2", "the engine")


def test_without_its_reset_the_backend_would_be_wrong(
    chip: Any, rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    from brf_lava.proc.microcode import Microcode

    right = Microcode.all_constants.fget
    assert right is not None

    def far_too_seldom(self: Microcode) -> dict[str, int]:
        return {**right(self), "reset_mask": 2**20 - 1}

    network = random_network(rng, (4, 12, 3), exponent=10)
    x = random_spikes(rng, 40, 3, 4, rate=0.3)
    monkeypatch.setattr(Microcode, "all_constants", property(far_too_seldom))
    with pytest.raises(MismatchError, match="sample 1"):
        assert_chip_equals_engine(network, x)


def test_all_zero_recurrent_weights_are_left_out(chip: Any, rng: np.random.Generator) -> None:
    base = random_network(rng, (4, 12, 3), exponent=10)
    hidden = base.layers[0]
    silent = FixedLayer(
        hidden.neuron,
        hidden.weights,
        Connection(np.zeros((12, 12), np.int8), 0),
        hidden.coefficients,
        hidden.constants,
    )
    network = FixedNetwork((silent, base.layers[1]))
    assert_chip_equals_engine(network, random_spikes(rng, 40, 2, 4, rate=0.3))
    assert not any("recurrent" in found.process.name for found in chip.allocated)


# What is allocated


@pytest.mark.parametrize("neuron", SPIKING, ids=lambda neuron: neuron.name)
def test_what_a_layer_asks_for(chip: Any, rng: np.random.Generator, neuron: Neuron) -> None:
    network = random_network(rng, (4, 12, 3), neuron=neuron, exponent=9)
    run_on_loihi2(network, random_spikes(rng, 20, 2, 4), OPTIONS)
    found = {item.process.name: item for item in chip.allocated}
    assert set(found) == {
        "hidden1",
        "readout",
        "weights of hidden1",
        "recurrent weights of hidden1",
        "weights of readout",
    }
    for name, kind, size in (("hidden1", neuron, 12), ("readout", LI, 3)):
        nodes, model = found[name].nodes, found[name].model
        names = (*kind.states, *kind.fixed_coefficients)
        assert list(nodes["neurons"].arguments) == ["shape", *names]
        assert nodes["neurons"].arguments["shape"] == size
        bits = {name: nodes["neurons"].arguments[name].precision for name in names}
        assert bits == {name: 1 if name == "z" else 24 for name in names}
        assert nodes["axons"].arguments == {
            "shape": size,
            "num_message_bits": 0 if kind.spiking else 24,
        }
        assert model.tags == ["fixed_pt"]
    reset = [found[name].nodes["program"].arguments for name in ("hidden1", "readout")]
    assert [(r["reset_mask"], r["reset_match"]) for r in reset] == [(31, 1), (31, 2)]
    assert reset[0]["theta"] == network.layers[0].constants.theta


def test_weights_are_those_of_the_network(chip: Any, rng: np.random.Generator) -> None:
    network = random_network(rng, (4, 12, 3), exponent=9)
    run_on_loihi2(network, random_spikes(rng, 20, 2, 4), OPTIONS)
    for item in chip.allocated:
        if "synapses" not in item.nodes:
            continue
        asked = item.nodes["synapses"].arguments
        layer = network.layers["readout" in item.process.name]
        connection = layer.recurrent if "recurrent" in item.process.name else layer.weights
        np.testing.assert_array_equal(
            asked["weights"].var.init * 2.0 ** asked["weight_exp"], connection.integers
        )
        assert asked["num_message_bits"] == 0


def test_where_it_runs_is_told(chip: Any, rng: np.random.Generator) -> None:
    told: list[str] = []
    network = random_network(rng, (4, 12, 3))
    run_on_loihi2(network, random_spikes(rng, 20, 4, 4), OPTIONS, batch=2, on_placement=told.extend)
    assert told[0] == "slurm, partition oheogulch_2h"
    where = dict(line.split(": ", 1) for line in told[1:])
    assert len(where) == len(told) - 1 == 11  # for one of the two streams
    assert where["hidden1 (BRF)"] == "neuro core, NcBRFModel"
    assert where["weights of readout (Dense)"] == "neuro core, NcDenseModel"
    assert where["input (Source)"] == "host CPU, FixedSourceModel"
    assert sum(line.startswith("embedded CPU") for line in where.values()) == 3


def test_generations_are_those_of_lava() -> None:
    from lava.utils.loihi import ChipGeneration

    assert {generation.value for generation in ChipGeneration} == set(GENERATIONS)


def test_the_scheduler_rules_out_a_board_on_the_network(
    chip: Any, rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NXSDKHOST", "10.0.0.7")
    network = random_network(rng, (4, 12, 3))
    run_on_loihi2(network, random_spikes(rng, 5, 1, 4), Loihi2Options(Host(partition="vpx")))
    assert "NXSDKHOST" not in os.environ


def test_the_host_is_told_to_lava(chip: Any, rng: np.random.Generator) -> None:
    options = Loihi2Options(Host(partition="vpx", generation="N3C1"))
    run_on_loihi2(random_network(rng, (4, 12, 3)), random_spikes(rng, 5, 1, 4), options)
    assert {k: os.environ[k] for k in ("SLURM", "PARTITION", "LOIHI_GEN")} == {
        "SLURM": "1",
        "PARTITION": "vpx",
        "LOIHI_GEN": "N3C1",
    }
    run_on_loihi2(
        random_network(rng, (4, 12, 3)),
        random_spikes(rng, 5, 1, 4),
        Loihi2Options(Host(board="og-1")),
    )
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
    arguments = ("--backend", "loihi2", "--steps", "20", "--host", "ethernet")
    found = invoke(verify_command, net, *arguments, "--address", "10.0.0.7")
    assert "10.0.0.7 -c 1" in asked.read_text()
    if answers == 2:
        assert found.exception is None, found.output
        assert "ethernet host 10.0.0.7, N3B3" in found.output
        assert (os.environ["NXSDKHOST"], os.environ["NOSLURM"]) == ("10.0.0.7", "1")
        assert "SLURM" not in os.environ
    else:
        assert isinstance(found.exception, BackendUnavailableError)
        assert "ethernet host 10.0.0.7, N3B3: Lava refuses it" in str(found.exception)
        assert not chip.calls


# What is refused


def test_nothing_runs_on_the_host_instead(
    chip: Any, rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a model for the chip, Lava would silently take the one for the CPU."""
    ncmodels = importlib.import_module("lava.proc.dense.ncmodels")
    monkeypatch.setattr(ncmodels.NcDenseModel, "tags", ["floating_pt"])
    with pytest.raises(BackendUnavailableError) as error:
        run_on_loihi2(random_network(rng, (4, 6, 3)), random_spikes(rng, 5, 1, 4), OPTIONS)
    assert "weights of hidden1 (Dense): host CPU, PyDenseModelBitAcc" in str(error.value)
    assert "input (Source)" not in str(error.value)
    assert chip.calls == ["compile"]


def test_too_many_neurons(chip: Any, rng: np.random.Generator) -> None:
    chip.cores, chip.neurons_per_core = 3, 8
    x = random_spikes(rng, 5, 1, 4)
    run_on_loihi2(random_network(rng, (4, 16, 3)), x, OPTIONS)
    with pytest.raises(LavaRunError, match="20 neurons need 4 cores; this board has 3"):
        run_on_loihi2(random_network(rng, (4, 17, 3)), x, OPTIONS)


def test_the_compiler_report_is_met(chip: Any) -> None:
    """784-128-64-10 leaky neurons took five cores: a row of 64 weights has 21 words, and 784 of
    them are too many for one core."""
    from loihi2_standin.chip import Layer, RefusedError

    sizes = (784, 128, 64, 10)
    layers = [
        Layer(f"{inputs}-{neurons}", neurons, inputs, states=2, coefficients=0, receivers=1)
        for inputs, neurons in pairwise(sizes)
    ]
    assert [layer.cores(4096) for layer in layers] == [3, 1, 1]
    assert layers[0].short_of(2, 4096) == "16,464 words of synapses on a core, 16,000 at most"
    for changes, message in (
        ({"sources": 16_001}, "16,001 input axons on a core"),
        ({"receivers": 16_001}, "16,001 output axons on a core"),
        ({"states": 2 * 19_999}, "words of memory on a core"),
    ):
        with pytest.raises(RefusedError, match=message):
            replace(layers[0], **changes).cores(4096)


def test_synapse_memory_divides_a_layer(chip: Any, rng: np.random.Generator) -> None:
    """Recurrent weights count: 250 rows of 200 neurons take 15,750 words, 300 more than fit."""
    x = random_spikes(rng, 3, 1, 50)
    run_on_loihi2(random_network(rng, (50, 200, 3)), x, OPTIONS)
    assert chip.used == [1, 1]
    x = random_spikes(rng, 3, 1, 100)
    run_on_loihi2(random_network(rng, (100, 200, 3)), x, OPTIONS)
    assert chip.used == [2, 1]
    run_on_loihi2(random_network(rng, (100, 200, 3), recurrent=False), x, OPTIONS)
    assert chip.used == [1, 1]
    chip.cores = 2
    with pytest.raises(LavaRunError, match="203 neurons need 3 cores; this board has 2"):
        run_on_loihi2(random_network(rng, (100, 200, 3)), x, OPTIONS)


@pytest.mark.parametrize("sizes", [(4, 36, 6), (1, 256, 10), (700, 128, 20)])
def test_the_map_and_the_stand_in_divide_alike(
    chip: Any, rng: np.random.Generator, sizes: tuple[int, ...]
) -> None:
    """Two models of memory, written apart: where layers share no core they must agree."""
    from brf_lava.board.describe import network_shape
    from brf_lava.board.fits import place

    board = load_profile("loihi2-oheogulch")
    assert isinstance(board, Loihi2Profile)
    network = random_network(rng, sizes, exponent=5)
    run_on_loihi2(network, random_spikes(rng, 2, 1, sizes[0]), OPTIONS)
    placed = place(network_shape(network, "x"), board)
    assert chip.used == [split.parts for split in placed.splits]


def test_a_fault_ends_the_run(chip: Any, rng: np.random.Generator) -> None:
    chip.fault = 7
    with pytest.raises(LavaRunError, match="RuntimeError: the board does not answer") as error:
        run_on_loihi2(random_network(rng, (4, 6, 3)), random_spikes(rng, 20, 1, 4), OPTIONS)
    assert error.value.exit_code == 4
    assert chip.calls == ["compile", "initialize", "start", "stop"]
    chip.deaf = True  # the first fault is told all the same
    with pytest.raises(LavaRunError, match="RuntimeError: the board does not answer"):
        run_on_loihi2(random_network(rng, (4, 6, 3)), random_spikes(rng, 20, 1, 4), OPTIONS)
    assert chip.calls[-1] == "stop"


def test_a_start_that_fails_gives_the_board_back(
    chip: Any, rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    from loihi2_standin import chip as standin

    def half_way(_: Any) -> None:
        raise RuntimeError("no board is free")

    monkeypatch.setattr(standin.Runtime, "initialize", half_way)
    with pytest.raises(LavaRunError, match="no board is free"):
        run_on_loihi2(random_network(rng, (4, 6, 3)), random_spikes(rng, 20, 1, 4), OPTIONS)
    assert chip.calls == ["compile", "stop"]


def test_ctrl_c_gives_the_board_back(
    chip: Any, rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch, net: Path
) -> None:
    from loihi2_standin import chip as standin

    def interrupted(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(standin, "run", interrupted)
    ended = CliRunner().invoke(main, ["verify", str(net), "--backend", "loihi2"])
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

    network, x = random_network(rng, (4, 6, 3)), random_spikes(rng, 20, 1, 4)
    with pytest.raises(BrokenPipeError):
        run_on_loihi2(network, x, OPTIONS, on_placement=told)
    assert chip.calls == ["compile"]


def test_a_delay_beyond_reason_is_refused() -> None:
    for delay in (-1, 1001, 10**20):
        with pytest.raises(ParameterError, match="0 to 1000 steps"):
            Loihi2Options(delay=delay)


def chip_layer(**changes: Any) -> Any:
    from brf_lava.proc.neurons.process import BRF

    layer = random_network(np.random.default_rng(0), (1, 5, 1)).layers[0]
    arguments = {
        "samples": None,
        "constants": layer.constants,
        **dict(zip(layer.neuron.fixed_coefficients, layer.coefficients, strict=True)),
        **changes,
    }
    return BRF(name="layer", **arguments)


def chip_code(folder: Path, **changes: Any) -> Any:
    from loihi2_standin.assembler import StandInAssembler

    from brf_lava.backends.loihi2.program import program_for
    from brf_lava.proc.microcode import Microcode

    program = program_for(random_network(np.random.default_rng(0), (1, 5, 1)).layers[0])
    path = folder / "code"
    path.write_bytes(StandInAssembler().assemble(program))
    return Microcode(
        **{
            "path": path,
            "constants": program.constants,
            "reset_interval": 8,
            "reset_step": 0,
            **changes,
        }
    )


@pytest.mark.parametrize(
    ("changes", "code", "message"),
    [
        ({}, {}, ""),
        ({"rotation": np.full(5, 2**23)}, {}, "rotation: 8388608 to 8388608 in 24 bits"),
        ({"damping": np.full(5, 3)}, {}, "damping 3 to 3"),
        ({"samples": 2}, {}, "10 neurons|no batch"),
        ({}, {"path": Path("nowhere")}, "nowhere is no program"),
        ({}, {"constants": {"theta": 1}}, "constants {'theta': 1}"),
        ({}, {"reset_interval": 6}, "counter & 5"),
        ({"microcode": None}, {}, "no neuron program"),
    ],
)
def test_a_layer_that_the_chip_cannot_hold(
    chip: Any, tmp_path: Path, changes: Any, code: Any, message: str
) -> None:
    from lava.magma.core.run_configs import Loihi2HwCfg
    from loihi2_standin.chip import RefusedError

    layer = chip_layer(**{"microcode": chip_code(tmp_path, **code), **changes})
    if not message:
        chip.compile(layer, Loihi2HwCfg(select_tag="fixed_pt"))
        return
    with pytest.raises((RefusedError, ParameterError), match=message):
        chip.compile(layer, Loihi2HwCfg(select_tag="fixed_pt"))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"weights": np.full((2, 2), 256)}, "beyond 8 bits"),
        ({"weights": np.full((2, 2), 3)}, "beyond 8 bits"),
        ({"weight_exp": 40}, "weight_exp: 40"),
        ({"num_message_bits": 30}, "30 bits"),
    ],
)
def test_weights_that_the_chip_cannot_hold(chip: Any, changes: Any, message: str) -> None:
    from lava.magma.core.run_configs import Loihi2HwCfg
    from lava.proc.dense.process import Dense
    from lava.utils.weightutils import SignMode
    from loihi2_standin.chip import RefusedError

    given = {"weights": np.full((2, 2), 2), "sign_mode": SignMode.MIXED, **changes}
    with pytest.raises(RefusedError, match=message):
        chip.compile(Dense(**given), Loihi2HwCfg(select_tag="fixed_pt"))


def changed(layer: FixedLayer, **changes: Any) -> FixedLayer:
    names = ("neuron", "weights", "recurrent", "coefficients", "constants")
    return FixedLayer(**{**{name: getattr(layer, name) for name in names}, **changes})


def test_what_does_not_fit_is_refused_before_the_board_is_asked(
    chip: Any, rng: np.random.Generator
) -> None:
    base = random_network(rng, (4, 6, 3), neuron=SPIKING[2], parameter_bits=22)
    wide = changed(base.layers[0], coefficients=np.full((2, 6), [[STATE_MAX + 1], [5]]))
    loud = changed(base.layers[0], weights=Connection(np.full((6, 4), 127, np.int8), 15))
    still = changed(base.layers[0], weights=Connection(np.zeros((6, 4), np.int8), 0))
    for layer, message in (
        (wide, "friction 8388608; .* at most 8388607. Export with fewer --parameter-bits"),
        (loud, "hidden1: weights of neuron . add up to 1.* --state-bits"),
        (still, "all weights are 0"),
    ):
        network = FixedNetwork((layer, base.layers[1]))
        with pytest.raises(ParameterError, match=message):
            run_on_loihi2(network, random_spikes(rng, 5, 1, 4), OPTIONS)
    assert not chip.calls


@pytest.mark.parametrize(
    ("x", "batch", "message"),
    [
        (np.zeros((0, 1, 4), np.int8), None, "at least one step"),
        (np.zeros((5, 0, 4), np.int8), None, "at least one step"),
        (np.zeros((5, 1, 3), np.int8), None, "input"),
        (np.zeros((5, 1, 4), np.int8), 0, "batch: 0"),
    ],
)
def test_bad_input_is_refused(
    chip: Any, rng: np.random.Generator, x: Any, batch: int | None, message: str
) -> None:
    with pytest.raises(ParameterError, match=message):
        run_on_loihi2(random_network(rng, (4, 6, 3)), x, OPTIONS, batch=batch)


def test_assemblers_and_ready_files(
    chip: Any, rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from loihi2_standin.assembler import StandInAssembler

    from brf_lava.backends.loihi2.program import network_programs

    network = random_network(rng, (4, 12, 3), exponent=10)
    x = random_spikes(rng, 20, 2, 4, rate=0.3)
    install_assemblers(monkeypatch, "one", "two")
    with pytest.raises(BackendUnavailableError, match="plug-ins one, two are installed"):
        run_on_loihi2(network, x, OPTIONS)
    with pytest.raises(BackendUnavailableError, match="no plug-in 'three' among one, two"):
        run_on_loihi2(network, x, Loihi2Options(partitions=("vpx",), assembler="three"))
    assert_chip_equals_engine(network, x, Loihi2Options(partitions=("vpx",), assembler="two"))
    install_assemblers(monkeypatch)
    with pytest.raises(BackendUnavailableError, match="neuron assembler: not found"):
        run_on_loihi2(network, x, OPTIONS)
    ready = tmp_path / "ready.toml"
    with pytest.raises(BackendUnavailableError, match=r"ready\.toml: cannot be read"):
        run_on_loihi2(network, x, Loihi2Options(partitions=("vpx",), microcode=ready))
    lines = ["[files]"]
    for program in network_programs(network):
        (tmp_path / program.fingerprint).write_bytes(StandInAssembler().assemble(program))
        lines.append(f'{program.fingerprint} = "{program.fingerprint}"')
    ready.write_text("\n".join(lines))
    assert_chip_equals_engine(network, x, Loihi2Options(partitions=("vpx",), microcode=ready))


def test_a_network_beyond_the_boards_limits_is_refused(chip: Any, rng: np.random.Generator) -> None:
    network = random_network(rng, (4, 12, 3), exponent=10)
    x = random_spikes(rng, 5, 1, 4)
    board = load_profile("loihi2-oheogulch")
    assert isinstance(board, Loihi2Profile)
    assert_chip_equals_engine(network, x, replace(OPTIONS, board=board))
    few = replace(board.limits.memory_words, value=10)
    small = replace(board, limits=replace(board.limits, memory_words=few))
    with pytest.raises(DoesNotFitError, match="does not fit oheogulch"):
        run_on_loihi2(network, x, replace(OPTIONS, board=small))


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
    network = random_network(rng, (4, 12, 3), exponent=10)
    x = random_spikes(rng, 20, 2, 4, rate=0.3)
    activity, seconds = execute(network, x, backend=Loihi2(OPTIONS), check=True)
    assert seconds > 0
    assert activity.saturations == engine.run(network, x).saturations
    with pytest.raises(ParameterError, match="cannot be ended"):
        execute(network, x, backend=Loihi2(OPTIONS), timeout=1.0)
    monkeypatch.setattr(loihi2, "sign_extended", lambda messages: messages.astype(np.int64))
    with pytest.raises(MismatchError, match=r"Loihi 2 has 167.*Look at the neuron program"):
        execute(network, x, backend=Loihi2(OPTIONS), check=True)


def invoke(command: Any, *arguments: str | Path) -> Result:
    names = main.context_settings["help_option_names"]  # a command keeps those it saw first
    given = [str(a) for a in arguments]
    return CliRunner().invoke(command, given, standalone_mode=False, help_option_names=names)


@pytest.fixture
def net(tmp_path: Path, rng: np.random.Generator) -> Path:
    path = tmp_path / "net.h5"
    write_network(random_network(rng, (4, 12, 3), exponent=10), path)
    return path


def test_verify_on_the_chip(chip: Any, net: Path) -> None:
    worked = invoke(verify_command, net, "--backend", "loihi2", "--steps", "40")
    assert worked.exception is None, worked.output
    for part in (
        "slurm, partition oheogulch_2h, N3B3",
        "hidden1 (BRF): neuro core",
        "4 samples of 40 steps: all 1,920 spike slots",
        "480 outputs",
    ):
        assert part in worked.output
    chip.delays = (1, 1)
    late = invoke(verify_command, net, "--backend", "loihi2", "--steps", "40")
    assert isinstance(late.exception, MismatchError)
    assert "--io-delay, 2 more than now" in str(late.exception)
    again = ("--backend", "loihi2", "--steps", "40", "--io-delay", "2")
    assert invoke(verify_command, net, *again).exception is None


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (("--partition", "kp"), BackendUnavailableError, "board: not found, none of kp"),
        (("--host", "ethernet"), BackendUnavailableError, "no address"),
        (("--partition", "vpx", "--board", "b"), ParameterError, "Use one of the three"),
        (("--chip-generation", "N9"), ParameterError, "Lava knows N2A2"),
        (("--microcode", "no.toml"), BackendUnavailableError, "no.toml: cannot be read"),
        (("--profile", "sim"), ParameterError, "loihi2-oheogulch"),
        (("--chip-generation", ""), ParameterError, "not a name"),
        (("--address", "-f"), ParameterError, "--address '-f': not a name"),
        (("--board", "og-9"), BackendUnavailableError, "og-9 is not among those that are up"),
        (("--board", "kp-1"), BackendUnavailableError, "kp-1 is not among those that are up"),
    ],
)
def test_verify_refuses(
    chip: Any, net: Path, arguments: Any, error: type[BrfLavaError], message: str
) -> None:
    failed = invoke(verify_command, net, "--backend", "loihi2", *arguments)
    assert isinstance(failed.exception, error), failed.output
    assert message in str(failed.exception)
    assert "start" not in chip.calls


def test_run_takes_a_board_and_no_timeout(chip: Any, net: Path) -> None:
    for arguments, message in (
        (("--timeout", "5"), "cannot be ended"),
        (("--profile", "sim"), "not a Loihi 2 board"),
    ):
        failed = invoke(run_command, net, "--backend", "loihi2", *arguments)
        assert isinstance(failed.exception, BrfLavaError)
        assert message in str(failed.exception)
    failed = invoke(run_command, net, "--backend", "loihi2")
    assert "provenance has no task" in str(failed.exception)  # the board was accepted


def test_run_on_the_chip(chip: Any, tmp_path: Path, rng: np.random.Generator) -> None:
    for half in ("train", "test"):
        x = random_spikes(rng, 5, 30, 4, rate=0.3)
        np.savez(tmp_path / f"{half}.npz", x=x, y=np.arange(5) % 3)
    task = tmp_path / "toy.toml"
    task.write_text(TASK)
    network = random_network(rng, (4, 12, 3), exponent=10)
    provenance = {
        "task": str(task),
        "data": {"fingerprint": "", "description": "toys"},
        "metrics": {"device": "cpu"},
        "decision": {"prediction": "last", "ignore_first": 0},
    }
    path = tmp_path / "net.h5"
    write_network(FixedNetwork(network.layers, provenance), path)
    worked = invoke(run_command, path, "--backend", "loihi2", "--partition", "vpx", "--batch", "2")
    assert worked.exception is None, worked.output
    for part in (
        "slurm, partition vpx, N3B3",
        "readout (LI): neuro core, NcLIModel",
        "Loihi 2 equals the engine in all 1,800 spike slots and 450 outputs.",
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
