"""Blocks, the training loop, model files and published checkpoints."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from brf_lava.errors import BrfLavaError, CheckpointError, ParameterError, RecipeError
from brf_lava.neurons.boundary import divergence_boundary
from brf_lava.recipes import Recipe, load_recipe, override
from brf_lava.slayer.blocks import Block, Readout, Recurrent
from brf_lava.tasks import synthetic_ecg
from brf_lava.tasks.task import Dataset, DataSource, Split
from brf_lava.train.checkpoint import load_checkpoint, save_checkpoint
from brf_lava.train.model import Metrics, Network, evaluate
from brf_lava.train.published import import_published
from brf_lava.train.trainer import Progress, Trainer, metrics_path, resume_path

BRF_PARAMS = {"dt": 0.01, "theta": 1.0, "gamma": 0.9, "omega": (3.0, 5.0), "b_offset": (0.1, 1.0)}
LI_PARAMS = {"tau_mean": 20.0, "tau_std": 1.0}
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def dataset() -> Dataset:
    """A few seconds of the synthetic ECG, cut short."""
    train, test = synthetic_ecg.generate(train=12, test=3, seed=4)
    short = [Split(s.x[:, :200].copy(), s.y[:, :200].copy()) for s in (train, test)]
    return Dataset(
        "ecg",
        ("P", "PQ", "QR", "RS", "ST", "TP"),
        1 / 250,
        short[0],
        short[1],
        DataSource("synthetic-ecg", "a short synthetic ECG", "fingerprint"),
    )


@pytest.fixture
def recipe() -> Recipe:
    return override(
        load_recipe("ecg-brf"),
        ["epochs=4", "validation=3", "batch_size=4", "network.hidden=[7]"],
    )


def train(recipe: Recipe, dataset: Dataset, out: Path, seed: int = 0) -> Trainer:
    trainer = Trainer(recipe, dataset, seed, CPU, out)
    trainer.run()
    return trainer


def weights_of(path: Path) -> dict[str, Any]:
    return load_checkpoint(path).state_dict


def assert_same_weights(found: dict[str, Any], expected: dict[str, Any]) -> None:
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        assert torch.equal(found[name], value), name


# Blocks


def test_blocks_have_slayers_interface() -> None:
    hidden = Recurrent(BRF_PARAMS, 4, 9)
    readout = Readout(LI_PARAMS, 9, 6)
    assert (hidden.shape, readout.shape) == ((9,), (6,))
    assert hidden.neuron.device_params["type"] == "BRF"
    assert len(hidden.neuron.device_params["omega"]) == 9
    x = (torch.rand(3, 4, 50) < 0.3).float()  # N C T
    spikes = hidden(x)
    assert spikes.shape == (3, 9, 50)
    assert set(spikes.unique().tolist()) <= {0.0, 1.0}
    assert readout(spikes).shape == (3, 6, 50)


def test_blocks_in_a_row_copy_nothing() -> None:
    hidden, readout = Recurrent(BRF_PARAMS, 4, 9), Readout(LI_PARAMS, 9, 6)
    spikes = hidden(torch.ones(3, 4, 50))
    assert spikes.permute(2, 0, 1).is_contiguous()
    assert readout(spikes).permute(2, 0, 1).is_contiguous()


def test_initial_values_follow_the_recipe() -> None:
    block = Block("BRF", BRF_PARAMS, 20, 400, recurrent=True)
    omega, b_offset = block.neuron.omega.detach(), block.neuron.b_offset.detach()
    assert 3 <= float(omega.min()) < 3.1 < 4.9 < float(omega.max()) <= 5
    assert 0.1 <= float(b_offset.min()) < 0.13 < 0.97 < float(b_offset.max()) <= 1
    assert block.recurrent_weight is not None
    bound = (6 / (20 + 400 + 400)) ** 0.5  # Xavier over the concatenated 400 x 420 matrix
    for weight in (block.weight, block.recurrent_weight):
        assert float(weight.abs().max()) <= bound
        assert float(weight.detach().std()) == pytest.approx(bound / 3**0.5, rel=0.05)
    tau = Readout(LI_PARAMS, 5, 4000).neuron.tau.detach()
    assert float(tau.mean()) == pytest.approx(20, abs=0.1)
    assert float(tau.std()) == pytest.approx(1, rel=0.1)


def test_parameters_enter_through_their_absolute_value() -> None:
    block = Recurrent(BRF_PARAMS, 4, 9)
    before = block.neuron.coefficients()
    omega = block.neuron.omega.detach().abs()
    expected = divergence_boundary(omega, 0.01) - block.neuron.b_offset.detach()
    assert torch.equal(before[0].detach(), expected)
    with torch.no_grad():
        block.neuron.omega.neg_()
        block.neuron.b_offset.neg_()
    assert torch.equal(block.neuron.coefficients(), before)


def test_omega_that_leaves_the_stable_range_is_reported_with_its_neuron() -> None:
    block = Recurrent(BRF_PARAMS, 4, 9)
    with torch.no_grad():
        block.neuron.omega[5] = 123.0
    with pytest.raises(ParameterError, match="123 rad/s at neuron 5"):
        block(torch.zeros(1, 4, 3))


def test_seventeen_hundred_thirty_four_parameters() -> None:
    """The paper's count for the ECG network."""
    model = Network(load_recipe("ecg-brf"), 4, 6)
    assert sum(p.numel() for p in model.parameters()) == 1734


# The training loop


def test_training_learns(dataset: Dataset, recipe: Recipe, tmp_path: Path) -> None:
    recipe = override(recipe, ["epochs=30"])
    trainer = train(recipe, dataset, tmp_path / "model.pt")
    losses = [report.train_loss for report in trainer.reports]
    assert losses[-1] < 0.9 * losses[0]
    rates = [report.learning_rate for report in trainer.reports]
    assert rates == pytest.approx([0.1 * (1 - epoch / 30) for epoch in range(30)])


def test_same_seed_same_bits_other_seed_others(
    dataset: Dataset, recipe: Recipe, tmp_path: Path
) -> None:
    models = []
    for name, seed in (("a", 3), ("b", 3), ("c", 4)):
        trainer = train(recipe, dataset, tmp_path / f"{name}.pt", seed)
        trainer.finish()
        models.append(weights_of(tmp_path / f"{name}.pt"))
    assert_same_weights(models[0], models[1])
    assert not torch.equal(models[0]["readout.weight"], models[2]["readout.weight"])


class StoppedError(Exception):
    pass


@pytest.mark.parametrize("stop", [(0, 1), (1, 2), (3, 3)], ids=str)
def test_a_resumed_run_ends_bit_for_bit_like_an_uninterrupted_one(
    dataset: Dataset, recipe: Recipe, tmp_path: Path, stop: tuple[int, int]
) -> None:
    whole, broken = tmp_path / "whole.pt", tmp_path / "broken.pt"
    uninterrupted = train(recipe, dataset, whole)
    uninterrupted.finish()

    def interrupt(epoch: int, batch: int, batches: int) -> None:
        assert batches == 3
        if (epoch, batch) == stop:
            raise StoppedError

    with pytest.raises(StoppedError):
        Trainer(recipe, dataset, 0, CPU, broken).run(Progress(on_batch=interrupt))
    resumed = Trainer.resumed(dataset, CPU, broken)
    assert resumed.epoch == stop[0]
    resumed.run()
    resumed.finish()
    assert_same_weights(weights_of(broken), weights_of(whole))
    assert_same_weights(resumed.model.state_dict(), uninterrupted.model.state_dict())
    assert not resume_path(broken).exists()

    def without_time(path: Path) -> list[dict[str, Any]]:
        lines = [json.loads(line) for line in metrics_path(path).read_text().splitlines()]
        return [{k: v for k, v in line.items() if k != "seconds"} for line in lines]

    assert without_time(broken) == without_time(whole)
    assert [line["epoch"] for line in without_time(whole)] == [1, 2, 3, 4]


def test_the_best_epoch_by_validation_loss_is_kept(
    dataset: Dataset, recipe: Recipe, tmp_path: Path
) -> None:
    trainer = train(override(recipe, ["epochs=12"]), dataset, tmp_path / "m.pt")
    losses = [report.validation_loss for report in trainer.reports]
    assert trainer.best_epoch == 1 + int(np.argmin(losses))
    checkpoint = trainer.finish()
    measured, _ = evaluate(checkpoint.model(), trainer.validation, CPU)
    assert measured.loss == pytest.approx(min(losses))


def test_resume_needs_the_same_data_and_a_state(
    dataset: Dataset, recipe: Recipe, tmp_path: Path
) -> None:
    out = tmp_path / "m.pt"
    with pytest.raises(CheckpointError, match="no training state to resume"):
        Trainer.resumed(dataset, CPU, out)
    Trainer(recipe, dataset, 0, CPU, out)._save_state()
    other = replace(dataset, source=DataSource("qtdb", "the real thing", "another"))
    with pytest.raises(CheckpointError, match="was trained on a short synthetic ECG"):
        Trainer.resumed(other, CPU, out)


def test_a_damaged_state_is_refused_in_one_line(
    dataset: Dataset, recipe: Recipe, tmp_path: Path
) -> None:
    out = tmp_path / "m.pt"
    Trainer(recipe, dataset, 0, CPU, out)._save_state()
    state = torch.load(resume_path(out), weights_only=True)
    for key in ("model", "optimizer", "generator", "reports", "data"):
        torch.save({**state, key: 3}, resume_path(out))
        with pytest.raises(CheckpointError, match=r"m.resume.pt: damaged training state"):
            Trainer.resumed(dataset, CPU, out)


def test_too_many_samples_held_out(dataset: Dataset, recipe: Recipe, tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="12 samples of 12; between 1 and 11"):
        Trainer(override(recipe, ["validation=12"]), dataset, 0, CPU, tmp_path / "m.pt")


def test_a_loss_that_is_not_finite_ends_the_run(
    dataset: Dataset, recipe: Recipe, tmp_path: Path
) -> None:
    trainer = Trainer(recipe, dataset, 0, CPU, tmp_path / "m.pt")
    with torch.no_grad():
        trainer.model.readout.weight.fill_(float("nan"))
    with pytest.raises(BrfLavaError, match=r"norm nan in epoch 1, batch 1; .* Lower"):
        trainer.run()


def test_the_kernel_is_named(dataset: Dataset, recipe: Recipe, tmp_path: Path) -> None:
    assert Trainer(recipe, dataset, 0, CPU, tmp_path / "m.pt").kernel == "cpu"


# Model files


@pytest.fixture
def model_file(dataset: Dataset, recipe: Recipe, tmp_path: Path) -> Path:
    trainer = train(override(recipe, ["epochs=1"]), dataset, tmp_path / "model.pt")
    trainer.finish()
    return tmp_path / "model.pt"


def test_model_file_round_trip(model_file: Path, tmp_path: Path) -> None:
    plain = torch.load(model_file, weights_only=True)
    assert plain["format"] == "brf-lava-model"
    assert plain["schema"] == 1
    loaded = load_checkpoint(model_file)
    assert loaded.recipe.network.hidden == (7,)
    assert loaded.seed == 0
    assert loaded.metrics.device
    assert loaded.activity.predictions.shape == (3, 200)
    assert loaded.activity.sops.mean() == loaded.metrics.sops_per_sample
    assert {"brf_lava", "torch", "numpy", "numba", "python"} <= set(loaded.versions)
    save_checkpoint(loaded, tmp_path / "again.pt")
    again = load_checkpoint(tmp_path / "again.pt")
    assert_same_weights(again.state_dict, loaded.state_dict)
    assert again.metrics == loaded.metrics
    assert again.recipe.text == loaded.recipe.text


def test_stored_metrics_are_those_of_the_stored_model(model_file: Path, dataset: Dataset) -> None:
    checkpoint = load_checkpoint(model_file)
    metrics, activity = evaluate(checkpoint.model(), dataset.test, CPU)
    assert metrics == checkpoint.metrics
    assert np.array_equal(activity.predictions, checkpoint.activity.predictions)
    assert np.array_equal(activity.sops, checkpoint.activity.sops)
    assert metrics.accuracy == float(np.mean(activity.predictions == dataset.test.y))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda c: c.update(format="other"), "format 'other', expected 'brf-lava-model'"),
        (lambda c: c.update(schema=99), "schema 99, this version reads 1. It was written by"),
        (lambda c: c.pop("recipe"), "damaged model file"),
        (lambda c: c["state_dict"].pop("readout.weight"), "damaged model file"),
        (lambda c: c["metrics"].pop("loss"), "damaged model file"),
        (lambda c: c.update(recipe="task = 'ecg'"), "is missing"),
    ],
)
def test_damaged_model_files_are_refused_in_one_line(  # type: ignore[no-untyped-def]
    model_file: Path, change, message: str
) -> None:
    contents = torch.load(model_file, weights_only=True)
    change(contents)
    torch.save(contents, model_file)
    with pytest.raises(BrfLavaError, match=message) as error:
        load_checkpoint(model_file)
    assert "\n" not in str(error.value)
    assert str(model_file) in str(error.value)


def test_files_that_are_no_models(model_file: Path, tmp_path: Path) -> None:
    whole = model_file.read_bytes()
    for size in (0, 10, len(whole) // 2, len(whole) - 1):
        (tmp_path / "cut.pt").write_bytes(whole[:size])
        with pytest.raises(CheckpointError, match=r"cut.pt: not a torch file") as error:
            load_checkpoint(tmp_path / "cut.pt")
        assert "\n" not in str(error.value)
    with pytest.raises(CheckpointError, match="no such file"):
        load_checkpoint(tmp_path / "absent.pt")


def test_a_failed_write_leaves_the_old_file(
    model_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = model_file.read_bytes()
    checkpoint = load_checkpoint(model_file)

    write = Path.write_bytes

    def fail(path: Path, content: bytes) -> int:
        write(path, content[: len(content) // 2])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", fail)
    with pytest.raises(BrfLavaError, match="No space left"):
        save_checkpoint(checkpoint, model_file)
    assert model_file.read_bytes() == before
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


# Published checkpoints


def published(tmp_path: Path, **changes: Any) -> Path:
    """A file in the layout of the reference code; a change of None removes the entry."""
    generator = torch.Generator().manual_seed(0)
    tensors = {
        "hidden.omega": 3 + 2 * torch.rand(5, generator=generator),
        "hidden.b_offset": torch.rand(5, generator=generator),
        "hidden.linear.weight": torch.randn(5, 9, generator=generator),
        "out.tau_mem": torch.full((6,), 20.0),
        "out.linear.weight": torch.randn(6, 5, generator=generator),
    }
    tensors |= {name.replace("__", "."): value for name, value in changes.items()}
    path = tmp_path / "published.pt"
    kept = {name: value for name, value in tensors.items() if value is not None}
    torch.save({"epoch": 3, "model_state_dict": kept, "loss": 1.0}, path)
    return path


def test_import_reads_weights_and_applies_the_mask(dataset: Dataset, tmp_path: Path) -> None:
    recipe = load_recipe("ecg-brf")
    plain = import_published(published(tmp_path), recipe, dataset)
    assert plain.recipe.network.hidden == (5,)
    assert plain.origin == "imported from published.pt"
    assert plain.seed is None
    mask = torch.ones(5, 9)
    mask[2, 6] = 0  # neuron 2 no longer hears neuron 2
    mask[0, 1] = 0
    masked = import_published(published(tmp_path, hidden__linear__mask=mask), recipe, dataset)
    expected = plain.state_dict["hidden.0.recurrent_weight"].clone()
    expected[2, 2] = 0
    assert torch.equal(masked.state_dict["hidden.0.recurrent_weight"], expected)
    assert float(masked.state_dict["hidden.0.weight"][0, 1]) == 0.0
    assert isinstance(masked.metrics, Metrics)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"hidden__omega": None}, "missing hidden.omega"),
        ({"hidden__tau_adp": torch.ones(5)}, r"unknown hidden.tau_adp \(an ALIF network\)"),
        (
            {"hidden__linear__weight": torch.zeros(5, 8)},
            r"\[5, 8\], expected \[5, 9\] for task ecg",
        ),
        ({"out__tau_mem": torch.ones(10)}, r"out.tau_mem has shape \[10\], expected \[6\]"),
        ({"hidden__omega": torch.full((5,), torch.nan)}, "not finite"),
        ({"hidden__omega": torch.full((5,), 150.0)}, r"150 rad/s at neuron 0"),
        ({"hidden__omega": 3.0}, "missing hidden.omega"),
    ],
)
def test_other_checkpoints_are_refused(
    dataset: Dataset, tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(BrfLavaError, match=message) as error:
        import_published(published(tmp_path, **changes), load_recipe("ecg-brf"), dataset)
    assert "\n" not in str(error.value)


def test_import_refuses_what_is_no_checkpoint(
    dataset: Dataset, tmp_path: Path, model_file: Path
) -> None:
    recipe = load_recipe("ecg-brf")
    with pytest.raises(CheckpointError, match=r"expected 'model_state_dict' with .* found format"):
        import_published(model_file, recipe, dataset)
    torch.save(torch.ones(3), tmp_path / "tensor.pt")
    with pytest.raises(CheckpointError, match="found Tensor"):
        import_published(tmp_path / "tensor.pt", recipe, dataset)
    (tmp_path / "text.pt").write_text("hello")
    with pytest.raises(CheckpointError, match="not a torch file"):
        import_published(tmp_path / "text.pt", recipe, dataset)
    with pytest.raises(CheckpointError, match="needs 'brf-lava import' first"):
        load_checkpoint(published(tmp_path))
