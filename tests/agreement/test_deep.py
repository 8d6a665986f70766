"""Deep networks whose hidden layers differ: from the recipe to the integers on Lava."""

from __future__ import annotations

import os
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from command_line import printed
from networks import give_commands, short_ecg

from brf_lava.analysis.resonators import resonators, training
from brf_lava.backends import engine
from brf_lava.config.recipe import Recipe, load_recipe, override, parse_recipe
from brf_lava.data.dataset import Dataset
from brf_lava.errors import CheckpointError, RecipeError
from brf_lava.network.file import read_network
from brf_lava.reproduce.runs import differences
from brf_lava.run.execute import assert_equal, execute
from brf_lava.train.checkpoint import Checkpoint, load_checkpoint
from brf_lava.train.export import export_model
from brf_lava.train.model import Network
from brf_lava.train.published import import_published
from brf_lava.train.trainer import Trainer

CPU = torch.device("cpu")
DEEP = load_recipe(Path(__file__).parents[2] / "examples" / "deep.toml")
SHORT = ("validation=3", "batch_size=4", "epochs=2")
# thresholds that so small a network reaches without having learned
SMALL = override(DEEP, ["hidden=[7, 5]", "neuron.1.theta=0.02", *SHORT])
TWICE = override(
    load_recipe("ecg-brf"),
    ["hidden=[7, 5]", "theta=0.02", "neuron.2.theta=0.001", "neuron.2.omega=[10, 40]", *SHORT],
)
FOLDER = os.environ.get("BRF_LAVA_DATA")


@pytest.fixture(scope="module")
def dataset() -> Dataset:
    return short_ecg()


def trained(recipe: Recipe, dataset: Dataset, out: Path, seed: int = 3) -> Checkpoint:
    trainer = Trainer(recipe, dataset, seed, CPU, out)
    trainer.run()
    return trainer.finish()


@pytest.fixture(scope="module")
def mixed(dataset: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("mixed") / "m.pt"
    trained(SMALL, dataset, path)
    return path


def seeded(recipe: Recipe) -> Network:
    return Network(recipe, 4, 6, torch.Generator().manual_seed(1))


# Networks


def test_every_layer_is_the_one_its_recipe_describes() -> None:
    first, second = seeded(DEEP).hidden
    assert (first.neuron.family.name, second.neuron.family.name) == ("BRF", "ALIF")
    assert (first.shape, second.shape) == ((24,), (12,))
    assert (tuple(first.weight.shape), tuple(second.weight.shape)) == ((24, 4), (12, 24))
    assert tuple(first.recurrent_weight.shape) == (24, 24)
    assert second.recurrent_weight is None
    assert first.neuron.constants._asdict() == {"dt": 0.01, "theta": 1.0, "gamma": 0.9}
    assert second.neuron.constants._asdict() == {"theta": 0.01, "beta": 1.8}


def test_each_layer_draws_from_its_own_ranges() -> None:
    wide = override(TWICE, ["hidden=[300, 300]"])
    omegas = [block.neuron.omega.detach() for block in seeded(wide).hidden]
    for omega, (low, high) in zip(omegas, ((3, 5), (10, 40)), strict=True):
        assert low <= float(omega.min()) < low + 0.1 * (high - low)
        assert high - 0.1 * (high - low) < float(omega.max()) <= high


def test_lists_of_equal_layers_are_the_layers_of_a_single_value() -> None:
    single = override(load_recipe("ecg-brf"), ["hidden=[7, 5]"])
    table = re.findall(r"\[neuron\]\n(?:.+\n)+", single.text)[0].replace("[neuron]", "[[neuron]]")
    text = single.text.replace(table.replace("[[neuron]]", "[neuron]"), f"{table}\n{table}")
    lists = ['network.neuron=["BRF", "BRF"]', "recurrent=[true, true]"]
    each = override(parse_recipe(text, "each"), lists)
    assert each.layers == single.layers


@pytest.mark.parametrize("recipe", [SMALL, TWICE], ids=["mixed", "twice"])
def test_every_parameter_of_every_layer_is_learned(recipe: Recipe, dataset: Dataset) -> None:
    model = seeded(recipe)
    x = torch.from_numpy(dataset.train.x).float().transpose(1, 2)
    outputs, spikes = model(x)
    assert all(float(layer.sum()) > 0 for layer in spikes)
    model.loss(outputs, torch.from_numpy(dataset.train.y).long()).backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert float(parameter.grad.abs().max()) > 0, name


def test_only_layers_that_feed_back_are_thinned() -> None:
    model = seeded(override(SMALL, ["recurrent_density=0.3"]))
    assert "hidden.0.recurrent_mask" in model.state_dict()
    assert "hidden.1.recurrent_mask" not in model.state_dict()
    first, second, _ = model.to_real().layers
    assert first.recurrent is not None
    assert np.count_nonzero(first.recurrent) == round(0.3 * 7**2)
    assert second.recurrent is None


def test_growing_neurons_are_counted_in_the_layers_that_can() -> None:
    text = re.sub(r"gamma = .*\n", "", DEEP.text).replace('"BRF", "ALIF"', '"RF", "ALIF"')
    recipe = override(parse_recipe(text, "my.toml"), ["omega=[80, 95]"])
    assert recipe.neuron_names == "RF, ALIF"
    assert seeded(recipe).growing_neurons() == 24
    assert seeded(DEEP).growing_neurons() == 0


# Export and Lava


@pytest.mark.parametrize("name", ["mixed", "twice"])
def test_lava_equals_the_engine(name: str, mixed: Path, dataset: Dataset, tmp_path: Path) -> None:
    """From a recipe over training and a file to the integers on Lava."""
    if name == "mixed":
        checkpoint = load_checkpoint(mixed)
    else:
        checkpoint = trained(TWICE, dataset, tmp_path / "m.pt")
    path, recipe = tmp_path / "net.h5", checkpoint.recipe
    _, reports = export_model(checkpoint, dataset, path, rounding="nearest")
    assert [report.neuron for report in reports] == [*(n.neuron for n in recipe.layers), "LI"]
    network, _ = read_network(path)
    assert parse_recipe(network.provenance["recipe"], "stored") == recipe
    assert [
        (layer.shape[0], layer.neuron.name, layer.recurrent is not None) for layer in network.hidden
    ] == [(layer.neurons, layer.neuron, layer.recurrent) for layer in recipe.layers]
    x = dataset.test.time_major()
    expected = engine.run(network, x)
    assert all(layer.any() for layer in expected.spikes)
    found, _ = execute(network, x, backend="sim")
    assert_equal(found, expected, "sim", "engine")


# What reads recipes and models


def test_resonators_are_found_among_other_layers(dataset: Dataset, mixed: Path) -> None:
    checkpoint = load_checkpoint(mixed)
    (after,) = resonators(checkpoint.model(), "m.pt")
    assert (after.layer, after.neuron, len(after.omega)) == (1, "BRF", 7)
    found = training(checkpoint, dataset, "m.pt")
    assert found.before is not None
    assert not np.array_equal(found.before[0].omega, after.omega)
    none = override(load_recipe("ecg-alif"), ["hidden=[3, 2]"])
    with pytest.raises(CheckpointError, match="neurons are ALIF, which have no omega"):
        resonators(seeded(none), "m.pt")


def test_differences_name_the_layer() -> None:
    other = override(SMALL, ["neuron.2.beta=2", "neuron.1.omega=[2, 4]"])
    assert differences(other, SMALL) == [
        "neuron.1.omega = [2.0, 4.0], not [3.0, 5.0]",
        "neuron.2.beta = 2.0, not 1.8",
    ]
    assert 'network.neuron = ["BRF", "ALIF"], not "BRF"' in differences(SMALL, TWICE)


def test_import_refuses_layers_of_their_own(dataset: Dataset, tmp_path: Path) -> None:
    path = tmp_path / "published.pt"
    tensors = {
        "hidden.omega": torch.full((5,), 4.0),
        "hidden.b_offset": torch.ones(5),
        "hidden.linear.weight": torch.zeros(5, 9),
        "out.tau_mem": torch.full((6,), 20.0),
        "out.linear.weight": torch.zeros(6, 5),
    }
    torch.save({"model_state_dict": tensors}, path)
    with pytest.raises(RecipeError, match="is 2, of hidden layers 1"):
        import_published(path, dataset, recipe=SMALL)
    plain = override(load_recipe("ecg-brf"), ["hidden=[9, 9]", "recurrent=[true, false]"])
    imported = import_published(path, dataset, recipe=plain)
    assert imported.recipe.network == replace(plain.network, hidden=(5,), recurrent=True)


def test_the_commands_from_training_to_pictures(
    dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("matplotlib")
    give_commands(monkeypatch, dataset)
    recipe, model, network = (tmp_path / name for name in ("small.toml", "m.pt", "net.h5"))
    recipe.write_text(SMALL.text)
    printed("train", "--recipe", recipe, "--set", "neuron.2.tau_mem_mean=15", "--out", model)
    assert load_checkpoint(model).recipe.layers[1].parameters.tau_mem_mean == 15
    output = printed("export", model, network, "--all")
    assert {"1 BRF", "2 ALIF", "3 LI"} <= set(re.findall(r"\d [A-Z]+", output))
    assert "4 - 7 BRF recurrent - 5 ALIF - 6 LI" in output
    printed("run", network, "--backend", "engine")
    for picture in (["boundary"], ["parameters"], ["pruning", "--points", "2", "--repeats", "1"]):
        image = tmp_path / f"{picture[0]}.png"
        printed("plot", *picture[:1], model, *picture[1:], "--out", image)
        assert image.stat().st_size > 1000


@pytest.mark.slow
def test_neurons_of_two_steps_and_planes_each_have_their_map(
    dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from brf_lava.analysis import resonators as maps

    give_commands(monkeypatch, dataset)
    drawn, stability_map = [], maps.stability_map
    monkeypatch.setattr(
        maps,
        "stability_map",
        lambda plane, dt, layers: drawn.append((plane, dt)) or stability_map(plane, dt, layers),
    )
    changes = ['network.neuron=["BRF", "BHRF"]', "neuron.2.dt=0.005", "epochs=1"]
    trained(override(TWICE, changes), dataset, tmp_path / "m.pt")
    printed("plot", "boundary", tmp_path / "m.pt", "--out", tmp_path / "boundary.png")
    assert drawn == [("RF", 0.01), ("HRF", 0.005)]
