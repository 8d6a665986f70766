"""A neuron of one's own, in one Python file: trained, exported, run on the engine and on Lava."""

from __future__ import annotations

import hashlib
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from command_line import assert_failed, brf_lava, printed
from networks import give_commands, random_connection, random_spikes, short_ecg
from netx_graph import run_networks

from brf_lava.backends import engine
from brf_lava.backends.sim import lava_net
from brf_lava.config.recipe import load_recipe, override, parse_recipe
from brf_lava.errors import BrfLavaError, ParameterError, RecipeError
from brf_lava.export.quantize import LayerFormat, quantize_layer
from brf_lava.kernels.layer import run_layer
from brf_lava.network.file import read_network, write_network
from brf_lava.network.layers import FixedNetwork
from brf_lava.neurons.own import load_neuron
from brf_lava.neurons.record import Neuron
from brf_lava.nn.blocks import Block
from brf_lava.run.stream import Stream
from brf_lava.slayer import block

pytestmark = pytest.mark.timeout(240)  # kernels are compiled, once a machine
EXAMPLES = Path(__file__).parents[2] / "examples"
FOLDER = EXAMPLES / "own_neuron"
SOURCE = (FOLDER / "gbrf.py").read_text()
PARAMS = {"omega": (5.0, 40.0), "b_offset": (0.1, 3.0), "tau_q": (2.0, 20.0)}


def gbrf(folder: Path = FOLDER) -> Neuron:
    return load_neuron("gbrf.py:GBRF", [folder])


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of the neuron and its recipe; another one is the current one."""
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    give_commands(monkeypatch, short_ecg())
    return shutil.copytree(FOLDER, tmp_path / "mine")


SMALL = [f"--set={change}" for change in ("hidden=[7]", "validation=3", "epochs=1", "theta=0.02")]


# The whole way


def test_from_training_to_lava_with_commands(here: Path) -> None:
    output = printed("train", "--recipe", here / "ecg-gbrf.toml", *SMALL, "--set=tau_q=[4, 9]")
    assert "kernel cpu\n" in output
    output = printed("export", "model.pt", "net.h5")
    assert "4 - 7 GBRF recurrent - 6 LI" in output
    assert "Lava equals the engine in all" in printed("run", "net.h5", "--limit", "3")
    assert "are equal" in printed("verify", "net.h5", "--samples", "2", "--steps", "40")
    printed("run", "net.h5", "--backend", "engine", "--out", "run.json")
    assert "Loihi" in printed("estimate", "run.json", "--all")
    mapped = printed("map", "net.h5", "--all")
    assert "Fits: " in mapped
    assert "GBRF has no program for Loihi 2 yet" in mapped
    assert "not fit" not in mapped
    result = brf_lava("loihi2", "program", "net.h5")
    assert_failed(result, 2, "GBRF has no program for Loihi 2; RF")
    printed("plot", "boundary", "model.pt", "--out", "b.png")

    # elsewhere, next to the model and the network, it is found again; changed or gone, it is not
    (here / "gbrf.py").rename("gbrf.py")
    printed("export", "model.pt", "net.h5")
    printed("run", "net.h5", "--backend", "engine")
    marker = Path("ran")
    Path("gbrf.py").write_text(f"{SOURCE}\nopen({str(marker)!r}, 'w')\n")
    for words in (("export", "model.pt", "other.h5"), ("run", "net.h5"), ("estimate", "run.json")):
        assert_failed(brf_lava(*words), 2, "not the file that this was made with")
    Path("gbrf.py").unlink()
    for words in (("export", "model.pt", "other.h5"), ("run", "net.h5")):
        assert_failed(brf_lava(*words), 2, "no such file, looked for at")
    assert not marker.exists()


def test_training_without_an_adjoint_runs_on_the_reference_kernel_and_says_so(here: Path) -> None:
    (here / "gbrf.py").write_text(SOURCE.replace("    adjoint_step=adjoint_step,\n", ""))
    output = printed("train", "--recipe", here / "ecg-gbrf.toml", *SMALL, "--out", "slow.pt")
    assert "kernel cpu, reference for GBRF (no adjoint)\n" in output
    own = gbrf(here)
    layer = Block(own, PARAMS, 3, 5)
    with pytest.raises(BrfLavaError, match="GBRF has no adjoint"):
        layer.neuron.run(torch.ones(4, 1, 5), backend="cpu").sum().backward()


def test_the_example_s_recipe_is_that_of_brf_but_for_the_neuron() -> None:
    own, shipped = load_recipe(FOLDER / "ecg-gbrf.toml"), load_recipe("ecg-brf-published")
    for part in ("task", "readout", "training"):
        assert getattr(own, part) == getattr(shipped, part)
    assert own.record("gbrf.py:GBRF") is gbrf()
    again = override(own, ["epochs=3", "neuron.tau_q=[2, 3]"])
    assert again.neuron.tau_q == (2.0, 3.0)
    assert again.own == own.own
    reference = f"{FOLDER / 'gbrf.py'}:GBRF"
    named = override(own, [f"network.neuron={reference}"])  # a bare word, as on a command line
    assert named.network.neuron == reference
    assert named.record(reference) is gbrf()


# The equations, in all number systems


def test_the_adjoint_is_the_gradient_of_the_step() -> None:
    own, generator = gbrf(), torch.Generator().manual_seed(3)
    x = (torch.rand(60, 3, 4, generator=generator) < 0.3).float()
    gradients = []
    for backend in ("cpu", "reference"):
        made = Block(own, PARAMS, 4, 9, recurrent=True, weight_scale=200.0, generator=generator)
        made.load_state_dict(gradients[0][0] if gradients else made.state_dict())
        made.backend = backend
        spikes = made(x.permute(1, 2, 0))
        spikes.sum().backward()
        assert 0 < float(spikes.detach().mean()) < 1
        gradients.append((made.state_dict(), [p.grad for p in made.parameters()]))
    for fused, plain in zip(gradients[0][1], gradients[1][1], strict=True):
        torch.testing.assert_close(fused, plain, rtol=1e-3, atol=1e-4)
        assert fused.any()


def network() -> FixedNetwork:
    """3 inputs, 7 neurons of GBRF, 2 readouts."""
    rng = np.random.default_rng(5)
    made = Block(gbrf(), PARAMS, 3, 7, generator=torch.Generator().manual_seed(1))
    quantized, _ = quantize_layer(made.to_real(), LayerFormat())
    weights, recurrent = random_connection(rng, 7, 3, 8), random_connection(rng, 7, 7, 6)
    readout, _ = quantize_layer(block.li.Affine({}, 7, 2).to_real(), LayerFormat())
    return FixedNetwork((replace(quantized, weights=weights, recurrent=recurrent), readout))


def test_lava_equals_the_engine_in_every_integer(tmp_path: Path) -> None:
    x = random_spikes(np.random.default_rng(2), 60, 3, 3, rate=0.4)
    made = network()
    write_network(made, tmp_path / "net.h5")
    read, _ = read_network(tmp_path / "net.h5")
    assert read.layers[0].neuron is gbrf()
    expected = engine.run(made, x)
    assert 0 < expected.spikes[0].mean() < 1
    for found in (engine.run(read, x), lava_net.run_on_lava(read, x, timeout=60.0)):
        np.testing.assert_array_equal(found.spikes[0], expected.spikes[0])
        np.testing.assert_array_equal(found.outputs, expected.outputs)


def test_a_stream_and_netx_equal_the_engine(tmp_path: Path) -> None:
    """In graphs that are wired and run without a word about this neuron."""
    from brf_lava import Network

    made, x = network(), random_spikes(np.random.default_rng(3), 40, 1, 3, rate=0.4)
    expected = engine.run(made, x).outputs[:, 0]
    with Stream(made, backend="sim") as stream:
        answers = [answer for step in x[:, 0] for answer in stream.push(step)]
        answers += stream.reset()
    np.testing.assert_array_equal([answer.outputs for answer in answers], expected)
    write_network(made, tmp_path / "net.h5")
    *_, outputs = run_networks([Network(tmp_path / "net.h5")], x[:, 0])[0]
    np.testing.assert_array_equal(outputs, expected)


def test_a_block_of_slayer_takes_the_record() -> None:
    space = block.blocks_of(gbrf())
    assert "tau_q: steps; a range (low, high)" in space.Recurrent.__doc__
    made = space.Dense(PARAMS, 4, 9, weight_scale=200.0)
    assert made.neuron.coefficients().shape == (3, 9)
    x = torch.rand(20, 2, 9)
    output, _ = run_layer(
        gbrf(), x, None, None, made.neuron.coefficients(), made.neuron.constants, backend="cpu"
    )
    assert output.shape == (20, 2, 9)


# Files


def test_other_equations_are_another_neuron(tmp_path: Path) -> None:
    """For the compiled kernels, too, which are kept on the disk by this name."""
    (tmp_path / "gbrf.py").write_text(SOURCE.replace("gamma * q + z", "gamma * q + z + z"))
    other = load_neuron("gbrf.py:GBRF", [tmp_path])
    assert other.key != gbrf().key
    assert other != gbrf()
    assert gbrf().source is not None
    assert gbrf().source.sha256 == hashlib.sha256(SOURCE.encode()).hexdigest()


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('name="GBRF"', 'name="BRF"', "another than those of brf_lava is needed"),
        ('name="GBRF"', 'name="MUCH_TOO_LONG"', "1 to 10 letters and digits is needed"),
        ("spike(u_next - constants.theta - q)", "u_next > 1", r"spike\(\.\.\.\); that of brf_lava"),
        ("* derivative(", "* (", r"adjoint_step without derivative\(\.\.\.\)"),
        ('weights_carry="dt"', 'weights_carry="step"', "weights_carry and times .*step"),
        ("    theta: int\n", "    threshold: int\n", "integer constants .*threshold"),
        ('Uniform("tau_q"', 'Uniform("forward"', "names .*forward; lower-case ones"),
        ('("u", "v", "q")', '("u", "v", "q", "r")', "4 states; 1 to 3 is needed"),
        ("exp(-1 / tau_q)", "exp(-1 / tau_q), 1", "ValueError: zip"),
        ("u, v, q = state", "u, v = state", "ValueError: too many values"),
        ("def growth", "def growth(", "SyntaxError"),
        ("GBRF = Neuron", "raise RuntimeError('no')\nGBRF = Neuron", "RuntimeError: no"),
        ("GBRF = Neuron", "OTHER = Neuron", "GBRF is no name in it; .*There is RF, OTHER"),
    ],
)
def test_what_is_wrong_with_a_file_is_said_in_one_line(
    tmp_path: Path, old: str, new: str, message: str
) -> None:
    assert old in SOURCE
    (tmp_path / "gbrf.py").write_text(SOURCE.replace(old, new))
    with pytest.raises(ParameterError, match=message) as caught:
        load_neuron("gbrf.py:GBRF", [tmp_path])
    assert "\n" not in str(caught.value)
    assert str(tmp_path / "gbrf.py") in str(caught.value)


def test_a_step_that_cannot_be_compiled(tmp_path: Path) -> None:
    spiking = "z = u_next > constants.theta + q"
    (tmp_path / "gbrf.py").write_text(SOURCE.replace(spiking, f"{spiking} * eval('1')"))
    made, x = network(), random_spikes(np.random.default_rng(2), 9, 1, 3)
    hidden = replace(made.layers[0], neuron=gbrf(tmp_path))
    with pytest.raises(
        ParameterError, match=r"gbrf\.py:GBRF: cannot be compiled: .*eval"
    ) as caught:
        engine.run(FixedNetwork((hidden, made.layers[1])), x)
    assert "\n" not in str(caught.value)


def test_a_recipe_names_a_file_that_is_there(tmp_path: Path) -> None:
    text = (FOLDER / "ecg-gbrf.toml").read_text()
    with pytest.raises(
        RecipeError, match=r"^x\.toml: network\.neuron: gbrf\.py:GBRF: no such file"
    ):
        parse_recipe(text, "x.toml")
    with pytest.raises(
        RecipeError, match=r"neuron\.tau_qq: no such key\. Did you mean neuron\.tau_q"
    ):
        parse_recipe(text.replace("tau_q =", "tau_qq ="), str(FOLDER / "x.toml"))


@pytest.mark.parametrize(
    "neurons", [{}, {"gbrf.py:GBRF": {"neuron": "gbrf.py:GBRF", "sha256": None}}]
)
def test_a_stored_recipe_without_a_digest_runs_nothing(neurons: dict[str, Any]) -> None:
    from brf_lava.train.checkpoint import stored_recipe

    recipe = (FOLDER / "ecg-gbrf.toml").read_text()
    contents: dict[str, Any] = {"recipe": recipe, "schema": 3, "neurons": neurons}
    with pytest.raises(RecipeError, match="no digest of its file is stored, so it is not run"):
        stored_recipe(contents, FOLDER / "ecg-gbrf.toml")  # next to the neuron's file
