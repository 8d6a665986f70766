"""Deep networks whose hidden layers differ: from the recipe to the integers on Lava."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner

from brf_lava.analysis.parameters import resonators, training
from brf_lava.backends import engine
from brf_lava.cli import main
from brf_lava.config.recipe import Recipe, load_recipe, override, parse_recipe
from brf_lava.data.dataset import Dataset, DataSource, Split, fingerprint
from brf_lava.ecg import synthetic as synthetic_ecg
from brf_lava.errors import CheckpointError, RecipeError
from brf_lava.network.file import read_network
from brf_lava.reproduce.records import differences
from brf_lava.run.check import assert_equal
from brf_lava.run.execute import execute
from brf_lava.tasks.registry import find_task
from brf_lava.train.checkpoint import Checkpoint, load_checkpoint
from brf_lava.train.export import export_model
from brf_lava.train.model import Network
from brf_lava.train.published import import_published
from brf_lava.train.trainer import Progress, Trainer

CPU = torch.device("cpu")
CLASSES = ("P", "PQ", "QR", "RS", "ST", "TP")
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
    """A second of the synthetic ECG."""
    train, test = (
        Split(split.x[:, :200].copy(), split.y[:, :200].copy())
        for split in synthetic_ecg.generate(train=12, test=3, seed=4)
    )
    source = DataSource("synthetic-ecg", "a short synthetic ECG", fingerprint(train, test))
    return Dataset("ecg", CLASSES, 1 / 250, train, test, source)


def trained(recipe: Recipe, dataset: Dataset, out: Path, seed: int = 3) -> Checkpoint:
    trainer = Trainer(recipe, dataset, seed, CPU, out)
    trainer.run()
    return trainer.finish()


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


def test_lists_of_equal_layers_make_the_network_of_a_single_value() -> None:
    single = override(load_recipe("ecg-brf"), ["hidden=[7, 5]"])
    table = re.findall(r"\[neuron\]\n(?:.+\n)+", single.text)[0].replace("[neuron]", "[[neuron]]")
    text = single.text.replace(table.replace("[[neuron]]", "[neuron]"), f"{table}\n{table}")
    lists = ['network.neuron=["BRF", "BRF"]', "recurrent=[true, true]"]
    each = override(parse_recipe(text, "each"), lists)
    assert each.layers == single.layers
    expected, found = seeded(single).state_dict(), seeded(each).state_dict()
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        assert torch.equal(found[name], value), name


@pytest.mark.slow
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


def test_only_layers_that_feed_back_are_thinned(dataset: Dataset, tmp_path: Path) -> None:
    recipe = override(SMALL, ["recurrent_density=0.3"])
    checkpoint = trained(recipe, dataset, tmp_path / "m.pt")
    assert "hidden.0.recurrent_mask" in checkpoint.state_dict
    assert "hidden.1.recurrent_mask" not in checkpoint.state_dict
    first, second, _ = load_checkpoint(tmp_path / "m.pt").model().to_real().layers
    assert first.recurrent is not None
    assert np.count_nonzero(first.recurrent) == round(0.3 * 7**2)
    assert second.recurrent is None


def test_growing_neurons_are_counted_in_the_layers_that_can() -> None:
    text = re.sub(r"gamma = .*\n", "", DEEP.text).replace('"BRF", "ALIF"', '"RF", "ALIF"')
    recipe = override(parse_recipe(text, "my.toml"), ["omega=[80, 95]"])
    assert recipe.neuron_names == "RF, ALIF"
    assert seeded(recipe).growing_neurons() == 24
    assert seeded(DEEP).growing_neurons() == 0


# Training


def test_a_mixed_network_learns(dataset: Dataset, tmp_path: Path) -> None:
    trainer = Trainer(override(SMALL, ["epochs=25"]), dataset, 0, CPU, tmp_path / "m.pt")
    trainer.run()
    losses = [report.train_loss for report in trainer.reports]
    assert losses[-1] < 0.8 * losses[0]


class StoppedError(Exception):
    pass


def test_a_resumed_run_ends_bit_for_bit_like_an_uninterrupted_one(
    dataset: Dataset, tmp_path: Path
) -> None:
    recipe = override(SMALL, ["recurrent_density=0.5", "epochs=3"])
    expected = trained(recipe, dataset, tmp_path / "whole.pt")

    def interrupt(epoch: int, batch: int, batches: int) -> None:
        if (epoch, batch) == (1, 2):
            raise StoppedError

    broken = tmp_path / "broken.pt"
    with pytest.raises(StoppedError):
        Trainer(recipe, dataset, 3, CPU, broken).run(Progress(on_batch=interrupt))
    resumed = Trainer.resumed(dataset, CPU, broken)
    assert resumed.recipe == recipe
    resumed.run()
    resumed.finish()
    found = load_checkpoint(broken)
    assert found.fingerprint == expected.fingerprint
    assert found.recipe == recipe
    assert found.recipe.text == recipe.text


# Export and Lava


def assert_same_on_lava(checkpoint: Checkpoint, dataset: Dataset, path: Path) -> None:
    """Export, read again, and run the test half on the engine and, where it is there, on Lava."""
    _, reports = export_model(checkpoint, dataset, path, parameter_bits=16, weight_bits=8)
    recipe = checkpoint.recipe
    assert [report.neuron for report in reports] == [*(n.neuron for n in recipe.layers), "LI"]
    network, _ = read_network(path)
    assert parse_recipe(network.provenance["recipe"], "stored") == recipe
    assert [
        (layer.shape[0], layer.neuron.name, layer.recurrent is not None) for layer in network.hidden
    ] == [(layer.neurons, layer.neuron, layer.recurrent) for layer in recipe.layers]
    x = np.ascontiguousarray(dataset.test.x.transpose(1, 0, 2))
    expected = engine.run(network, x)
    assert all(layer.any() for layer in expected.spikes)
    found, _ = execute(network, x, backend="sim")
    assert_equal(found, expected, "sim", "engine")


@pytest.mark.parametrize("recipe", [SMALL, TWICE], ids=["mixed", "twice"])
def test_lava_equals_the_engine(recipe: Recipe, dataset: Dataset, tmp_path: Path) -> None:
    checkpoint = trained(recipe, dataset, tmp_path / "m.pt")
    assert_same_on_lava(checkpoint, dataset, tmp_path / "net.h5")


@pytest.mark.skipif(not FOLDER, reason="needs the QT database: BRF_LAVA_DATA is not set")
@pytest.mark.parametrize("recipe", [SMALL, TWICE], ids=["mixed", "twice"])
def test_lava_equals_the_engine_on_a_real_ecg(recipe: Recipe, tmp_path: Path) -> None:
    whole = find_task("ecg").load(Path(FOLDER or ""))
    few = replace(whole, train=whole.train.first(24), test=whole.test.first(4))
    checkpoint = trained(override(recipe, ["batch_size=8"]), few, tmp_path / "m.pt")
    assert_same_on_lava(checkpoint, few, tmp_path / "net.h5")


# What reads recipes and models


def test_resonators_are_found_among_other_layers(dataset: Dataset, tmp_path: Path) -> None:
    checkpoint = trained(SMALL, dataset, tmp_path / "m.pt")
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


@pytest.mark.parametrize("recipe", [SMALL, TWICE], ids=["mixed", "twice"])
def test_import_refuses_layers_of_their_own(
    recipe: Recipe, dataset: Dataset, tmp_path: Path
) -> None:
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
        import_published(path, dataset, recipe=recipe)
    plain = override(load_recipe("ecg-brf"), ["hidden=[9, 9]", "recurrent=[true, false]"])
    imported = import_published(path, dataset, recipe=plain)
    assert imported.recipe.network == replace(plain.network, hidden=(5,), recurrent=True)


@pytest.fixture
def small_task(monkeypatch: pytest.MonkeyPatch, dataset: Dataset) -> None:
    monkeypatch.setattr("brf_lava.cli.options.load_data", lambda *_: dataset)
    for command in ("train", "export", "run", "plot"):
        monkeypatch.setattr(f"brf_lava.cli.{command}.load_data", lambda *_: dataset, raising=False)


@pytest.fixture
def command(small_task: None, tmp_path: Path) -> Callable[..., str]:
    """Runs one, in which OUT is the test's folder, and returns what it printed."""

    def run(line: str) -> str:
        arguments = [part.replace("OUT", str(tmp_path)) for part in line.split()]
        result = CliRunner().invoke(main, arguments, prog_name="brf-lava")
        assert result.exit_code == 0, result.output
        return result.output

    return run


def test_the_commands_from_training_to_pictures(
    command: Callable[..., str], tmp_path: Path
) -> None:
    pytest.importorskip("matplotlib")
    recipe = tmp_path / "small.toml"
    recipe.write_text(SMALL.text)
    command("train --recipe OUT/small.toml --set neuron.2.tau_mem_mean=15 --out OUT/m.pt")
    stored = load_checkpoint(tmp_path / "m.pt").recipe
    assert stored.layers[1].parameters.tau_mem_mean == 15
    output = command("export OUT/m.pt OUT/net.h5")
    assert {"1 BRF", "2 ALIF", "3 LI"} <= set(re.findall(r"\d [A-Z]+", output))
    assert "4 - 7 BRF recurrent - 5 ALIF - 6 LI" in output
    command("run OUT/net.h5 --backend engine")
    for picture in ("boundary", "parameters", "pruning --points 2 --repeats 1"):
        name = picture.split()[0]
        command(f"plot {picture} OUT/m.pt --out OUT/{name}.png")
        assert (tmp_path / f"{name}.png").stat().st_size > 1000


@pytest.mark.slow
def test_neurons_of_two_steps_and_planes_each_have_their_map(
    command: Callable[..., str], dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from brf_lava.analysis import parameters

    drawn, stability_map = [], parameters.stability_map
    monkeypatch.setattr(
        parameters,
        "stability_map",
        lambda plane, dt, points: drawn.append((plane, dt)) or stability_map(plane, dt, points),
    )
    changes = ['network.neuron=["BRF", "BHRF"]', "neuron.2.dt=0.005", "epochs=1"]
    trained(override(TWICE, changes), dataset, tmp_path / "m.pt")
    command("plot boundary OUT/m.pt --out OUT/boundary.png")
    assert drawn == [("RF", 0.01), ("HRF", 0.005)]
