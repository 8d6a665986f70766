"""Blocks, the training loop, model files and published checkpoints."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from brf_lava.config.recipe import BROUGHT, Recipe, load_recipe, override
from brf_lava.data.dataset import Dataset, DataSource, Split
from brf_lava.data.permutation import permutation_from_seed
from brf_lava.ecg import synthetic as synthetic_ecg
from brf_lava.errors import BrfLavaError, CheckpointError, ParameterError, RecipeError
from brf_lava.export.quantize import quantize
from brf_lava.network.decision import UNLABELED
from brf_lava.neurons.boundary import divergence_boundary
from brf_lava.nn.blocks import Block
from brf_lava.train.averaging import AveragedNetwork
from brf_lava.train.checkpoint import load_checkpoint, save_checkpoint
from brf_lava.train.model import Metrics, Network, as_batch, evaluate, loss_per_sample
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


STEPS = 30


@pytest.fixture(scope="module")
def digits() -> Dataset:
    """Short sequences of 8-bit values in the manner of S-MNIST: one label per sample."""
    rng = np.random.default_rng(5)

    def split(samples: int) -> Split:
        y = rng.integers(10, size=(samples, 1), dtype=np.uint8)
        wave = np.sin(np.arange(STEPS) * (0.1 + 0.05 * y)) * 120 + 128
        return Split(wave[:, :, None].astype(np.uint8), y)

    source = DataSource("mnist", "short waves", "of waves")
    digits = tuple(map(str, range(10)))
    return Dataset("psmnist", digits, 0.01, split(24), split(7), source, input_scale=1 / 255)


@pytest.fixture
def digits_recipe() -> Recipe:
    changes = ["epochs=3", "validation=6", "batch_size=5", "network.hidden=[8]", "theta=0.1"]
    return override(load_recipe("psmnist-brf"), changes)


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
    hidden = Block("BRF", BRF_PARAMS, 4, 9, recurrent=True)
    readout = Block("LI", LI_PARAMS, 9, 6)
    assert (hidden.shape, readout.shape) == ((9,), (6,))
    assert hidden.neuron.device_params["type"] == "BRF"
    assert len(hidden.neuron.device_params["omega"]) == 9
    x = (torch.rand(3, 4, 50) < 0.3).float()  # N C T
    spikes = hidden(x)
    assert spikes.shape == (3, 9, 50)
    assert set(spikes.unique().tolist()) <= {0.0, 1.0}
    assert readout(spikes).shape == (3, 6, 50)


def test_blocks_in_a_row_copy_nothing() -> None:
    hidden, readout = Block("BRF", BRF_PARAMS, 4, 9, recurrent=True), Block("LI", LI_PARAMS, 9, 6)
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
    tau = Block("LI", LI_PARAMS, 5, 4000).neuron.tau.detach()
    assert float(tau.mean()) == pytest.approx(20, abs=0.1)
    assert float(tau.std()) == pytest.approx(1, rel=0.1)


def test_parameters_enter_through_their_absolute_value() -> None:
    block = Block("BRF", BRF_PARAMS, 4, 9, recurrent=True)
    before = block.neuron.coefficients()
    omega = block.neuron.omega.detach().abs()
    expected = divergence_boundary(omega, 0.01) - block.neuron.b_offset.detach()
    assert torch.equal(before[0].detach(), expected)
    with torch.no_grad():
        block.neuron.omega.neg_()
        block.neuron.b_offset.neg_()
    assert torch.equal(block.neuron.coefficients(), before)


def test_omega_that_leaves_the_stable_range_is_reported_with_its_neuron() -> None:
    block = Block("BRF", BRF_PARAMS, 4, 9, recurrent=True)
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


def test_a_single_sample_is_too_few(dataset: Dataset, recipe: Recipe, tmp_path: Path) -> None:
    alone = replace(dataset, train=dataset.train.first(1))
    with pytest.raises(RecipeError, match=r"1 sample to train with; at least 2 are needed"):
        Trainer(recipe, alone, 0, CPU, tmp_path / "m.pt")


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


def gradients_without_end(trainer: Trainer, batches: set[int]) -> None:
    """Make the gradient of these batches, counted over the whole run, infinite."""
    loss, done = trainer.model.loss, iter(range(10**6))

    def failing(outputs: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        value = loss(outputs, labels)
        return value * (value / value.detach()) * float("inf") if next(done) in batches else value

    trainer.model.loss = failing  # type: ignore[method-assign]


def test_where_gradients_are_clipped_a_batch_without_a_finite_one_is_left_out(
    dataset: Dataset, recipe: Recipe, tmp_path: Path
) -> None:
    """9 training samples in batches of 1: the first epoch loses one of them."""
    clipped = override(recipe, ["clip_norm=100", "batch_size=1", "epochs=2"])
    trainer = Trainer(clipped, dataset, 0, CPU, tmp_path / "m.pt")
    gradients_without_end(trainer, {3})
    trainer.run()
    assert [report.skipped for report in trainer.reports] == [1, 0]
    assert all(np.isfinite(report.train_loss) for report in trainer.reports)
    assert all(bool(p.isfinite().all()) for p in trainer.model.parameters())
    assert json.loads(metrics_path(tmp_path / "m.pt").read_text().splitlines()[0])["skipped"] == 1


@pytest.mark.parametrize(("clip_norm", "failing"), [(100, {1, 2}), (0, {3})])
def test_many_such_batches_or_one_without_clipping_end_the_run(
    dataset: Dataset, recipe: Recipe, tmp_path: Path, clip_norm: int, failing: set[int]
) -> None:
    changes = [f"clip_norm={clip_norm}", "batch_size=1", "epochs=1"]
    trainer = Trainer(override(recipe, changes), dataset, 0, CPU, tmp_path / "m.pt")
    gradients_without_end(trainer, failing)
    with pytest.raises(BrfLavaError, match=r"both must be finite. Lower .* --restart"):
        trainer.run()


def test_neurons_beyond_the_divergence_boundary_are_named_as_the_cause(tmp_path: Path) -> None:
    """|1 + dt (-b + i omega)| of up to 1.34, to the power 1300, leaves single precision."""
    train_half, test_half = synthetic_ecg.generate(train=8, test=2, seed=4)
    source = DataSource("synthetic-ecg", "a synthetic ECG", "fingerprint")
    classes = ("P", "PQ", "QR", "RS", "ST", "TP")
    data = Dataset("ecg", classes, 1 / 250, train_half, test_half, source)
    changes = ["neuron.omega=[80, 95]", "validation=2", "network.hidden=[5]", "epochs=1"]
    trainer = Trainer(override(load_recipe("ecg-rf"), changes), data, 0, CPU, tmp_path / "m.pt")
    with pytest.raises(BrfLavaError, match=r"5 hidden neurons grow .* raise neuron.b_offset"):
        trainer.run()


def test_an_omega_that_training_drives_out_of_range_is_its_own_doing(
    dataset: Dataset, recipe: Recipe, tmp_path: Path
) -> None:
    wild = override(recipe, ["learning_rate=999"])
    with pytest.raises(BrfLavaError, match=r"epoch 1, batch 2: BRF.omega: .* lower training.learn"):
        Trainer(wild, dataset, 0, CPU, tmp_path / "m.pt").run()


@pytest.mark.parametrize("half", ["training", "test"])
def test_a_half_without_labels_is_refused(
    dataset: Dataset, recipe: Recipe, tmp_path: Path, half: str
) -> None:
    field = "train" if half == "training" else "test"
    split = getattr(dataset, field)
    blank = Split(split.x, np.full_like(split.y, UNLABELED))
    with pytest.raises(BrfLavaError, match=f"{half} half: none of its"):
        Trainer(recipe, replace(dataset, **{field: blank}), 0, CPU, tmp_path / "m.pt")


def test_the_kernel_is_named(dataset: Dataset, recipe: Recipe, tmp_path: Path) -> None:
    assert Trainer(recipe, dataset, 0, CPU, tmp_path / "m.pt").kernel == "cpu"


# What the loss and the accuracy count


def random_outputs(samples: int, classes: int, steps: int) -> torch.Tensor:
    return torch.randn(samples, classes, steps, generator=torch.Generator().manual_seed(0))


def test_loss_is_summed_over_steps_that_count_and_averaged_over_samples() -> None:
    outputs = random_outputs(2, 3, 5)
    steps = torch.tensor([[0, 1, 2, 0, 1], [2, 2, 1, UNLABELED, 0]])
    nll = -outputs.log_softmax(1)

    def of(places: list[tuple[int, int]]) -> float:
        return float(sum(nll[b, int(steps[b, t]), t] for b, t in places)) / 2

    everywhere = [(b, t) for b in range(2) for t in range(5) if (b, t) != (1, 3)]
    assert float(loss_per_sample(outputs, steps)) == pytest.approx(of(everywhere))
    later = [(b, t) for b, t in everywhere if t >= 2]
    assert float(loss_per_sample(outputs, steps, "all", 2)) == pytest.approx(of(later))
    assert float(loss_per_sample(outputs, steps, "last")) == pytest.approx(of([(0, 4), (1, 4)]))


def test_one_label_per_sample_holds_for_every_step() -> None:
    outputs, labels = random_outputs(4, 3, 5), torch.tensor([[0], [2], [UNLABELED], [1]])
    spread = labels.repeat(1, 5)
    for steps, first in (("all", 0), ("all", 3), ("last", 0)):
        found = loss_per_sample(outputs, labels, steps, first)
        assert torch.equal(found, loss_per_sample(outputs, spread, steps, first))
    nothing = torch.full((4, 1), UNLABELED)
    assert float(loss_per_sample(outputs, nothing)) == 0.0


def test_both_names_of_the_loss_are_one_number(
    dataset: Dataset, recipe: Recipe, tmp_path: Path
) -> None:
    losses = [
        train(override(recipe, [f"loss={name}"]), dataset, tmp_path / f"{name}.pt").reports[-1]
        for name in ("nll", "cross-entropy")
    ]
    assert losses[0].train_loss == losses[1].train_loss


def test_unlabeled_and_ignored_steps_do_not_count(dataset: Dataset, recipe: Recipe) -> None:
    y = dataset.test.y.copy()
    y[:, 50:90] = UNLABELED
    split = Split(dataset.test.x, y)
    model = Network(override(recipe, ["ignore_first=10"]), 4, 6)
    metrics, activity = evaluate(model, split, CPU)
    counted = np.r_[10:50, 90:200]
    expected = (activity.predictions == dataset.test.y)[:, counted].mean()
    assert metrics.accuracy == pytest.approx(float(expected))
    other = y.copy()
    other[:, :10] = 0
    assert evaluate(model, Split(split.x, other), CPU)[0] == metrics


def test_data_without_any_label_scores_nothing(dataset: Dataset, recipe: Recipe) -> None:
    split = Split(dataset.test.x, np.full_like(dataset.test.y, UNLABELED))
    metrics, _ = evaluate(Network(recipe, 4, 6), split, CPU)
    assert (metrics.loss, metrics.accuracy) == (0.0, 0.0)


@pytest.mark.parametrize("prediction", ["last", "mean"])
def test_one_prediction_per_sample(digits: Dataset, digits_recipe: Recipe, prediction: str) -> None:
    recipe = override(digits_recipe, [f"prediction={prediction}", "ignore_first=4"])
    model = Network(recipe, 1, 10, input_scale=digits.input_scale)
    metrics, activity = evaluate(model, digits.test, CPU)
    with torch.no_grad():
        x = torch.from_numpy(digits.test.x.astype(np.float32)).transpose(1, 2) * (1 / 255)
        outputs, _ = model(x)
    chosen = outputs[:, :, -1] if prediction == "last" else outputs[:, :, 4:].mean(2)
    expected = chosen.argmax(1).numpy()
    assert activity.predictions.shape == (7, 1)
    assert np.array_equal(activity.predictions[:, 0], expected)
    assert metrics.accuracy == pytest.approx((expected == digits.test.y[:, 0]).mean())
    assert (metrics.samples, metrics.steps) == (7, STEPS)


def test_values_are_scaled_before_the_network_sees_them(digits: Dataset) -> None:
    x, y = as_batch(digits.train, slice(2, 5), CPU, digits.input_scale)
    assert x.shape == (3, 1, STEPS)
    assert x.dtype == torch.float32
    assert torch.allclose(x[:, 0], torch.from_numpy(digits.train.x[2:5, :, 0] / 255).float())
    assert y.tolist() == digits.train.y[2:5].tolist()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (["prediction=each-step"], "readout.prediction: each-step, .* per sample. Choose last or"),
        (["ignore_first=30"], "training.ignore_first: 30 of 30 steps; .* 29 or fewer"),
    ],
)
def test_a_recipe_that_does_not_fit_the_labels(
    digits: Dataset, digits_recipe: Recipe, tmp_path: Path, changes: list[str], message: str
) -> None:
    recipe = override(digits_recipe, changes)
    with pytest.raises(RecipeError, match=message):
        Trainer(recipe, digits, 0, CPU, tmp_path / "m.pt")
    with pytest.raises(RecipeError, match=message):
        evaluate(Network(recipe, 1, 10), digits.test, CPU)


def test_a_label_per_step_needs_a_prediction_per_step(
    dataset: Dataset, recipe: Recipe, tmp_path: Path
) -> None:
    with pytest.raises(RecipeError, match="mean, but the data has one label per step"):
        Trainer(override(recipe, ["prediction=mean"]), dataset, 0, CPU, tmp_path / "m.pt")


# Options of training


@pytest.mark.parametrize("name", ["ecg-rf", "ecg-bhrf", "ecg-alif"])
def test_every_neuron_trains(dataset: Dataset, tmp_path: Path, name: str) -> None:
    changes = ["epochs=6", "validation=3", "batch_size=4", "network.hidden=[7]", "theta=0.01"]
    recipe = override(load_recipe(name), changes)
    trainer = train(recipe, dataset, tmp_path / "m.pt")
    assert trainer.reports[-1].train_loss < trainer.reports[0].train_loss
    checkpoint = trainer.finish()
    assert_same_weights(load_checkpoint(tmp_path / "m.pt").state_dict, checkpoint.state_dict)


def test_the_gradient_is_clipped_to_the_norm(
    dataset: Dataset, recipe: Recipe, tmp_path: Path
) -> None:
    changes = ["optimizer=sgd", "learning_rate=0.5", "epochs=1", "batch_size=12"]
    clipped = override(recipe, [*changes, "clip_norm=0.01"])
    trainer = Trainer(clipped, dataset, 0, CPU, tmp_path / "m.pt")
    before = torch.nn.utils.parameters_to_vector(trainer.model.parameters()).detach()
    trainer.run()
    after = torch.nn.utils.parameters_to_vector(trainer.model.parameters()).detach()
    assert float((after - before).norm()) == pytest.approx(0.5 * 0.01, rel=1e-3)


@pytest.mark.parametrize("density", [0.0, 0.3, 0.5])
def test_recurrent_weights_that_are_left_out_stay_out(
    dataset: Dataset, recipe: Recipe, tmp_path: Path, density: float
) -> None:
    sparse = override(recipe, [f"recurrent_density={density}", "epochs=2", "hidden=[7, 5]"])
    trainer = Trainer(sparse, dataset, 1, CPU, tmp_path / "sparse.pt")
    full = Network(override(sparse, ["recurrent_density=1"]), 4, 6, seeded_like(trainer, dataset))
    for name, parameter in full.named_parameters():
        assert torch.equal(parameter, trainer.model.get_parameter(name)), name
    trainer.run()
    trainer.finish()
    layers = load_checkpoint(tmp_path / "sparse.pt").model().to_real().layers
    for layer, neurons in zip(layers, (7, 5), strict=False):
        assert layer.recurrent is not None
        assert np.count_nonzero(layer.recurrent) == round(density * neurons**2)


def seeded_like(trainer: Trainer, dataset: Dataset) -> torch.Generator:
    """A generator as it was when the trainer made its network."""
    generator = torch.Generator().manual_seed(trainer.seed)
    torch.randperm(len(dataset.train.x), generator=generator)
    return generator


def test_another_seed_leaves_out_other_weights(
    dataset: Dataset, recipe: Recipe, tmp_path: Path
) -> None:
    sparse = override(recipe, ["recurrent_density=0.5"])
    masks = [
        Trainer(sparse, dataset, seed, CPU, tmp_path / "m.pt").model.hidden[0].recurrent_mask
        for seed in (0, 0, 1)
    ]
    assert torch.equal(masks[0], masks[1])
    assert not torch.equal(masks[0], masks[2])


def test_truncated_gradients_differ_but_not_the_network(
    dataset: Dataset, recipe: Recipe, tmp_path: Path
) -> None:
    recipe = override(recipe, ["epochs=1", "theta=0.02"])
    trainers = [
        train(override(recipe, [f"truncate={steps}"]), dataset, tmp_path / "m.pt")
        for steps in (0, 200, 10)
    ]
    losses = [trainer.reports[0].validation_loss for trainer in trainers]
    assert losses[0] == losses[1]  # all 200 steps are one window
    assert losses[0] != losses[2]
    model = trainers[2].model
    assert {block.truncate for block in [*model.hidden, model.readout]} == {10}


def test_averaged_weights_are_the_weighted_mean_of_all(recipe: Recipe) -> None:
    model, rng = Network(recipe, 4, 6), torch.Generator().manual_seed(0)
    averaged, history = AveragedNetwork(model, 0.8), []
    for _ in range(5):
        with torch.no_grad():
            model.readout.weight.copy_(torch.randn(6, 7, generator=rng))
        history.append(model.readout.weight.detach().clone())
        averaged.update(model)
    shares = torch.tensor([0.8 ** (4 - i) for i in range(5)])
    expected = sum(share * weight for share, weight in zip(shares, history, strict=True))
    assert torch.allclose(averaged.network.readout.weight, expected / shares.sum(), atol=1e-6)
    assert not torch.equal(averaged.network.readout.weight, model.readout.weight)


def test_the_averaged_network_is_validated_and_kept(
    dataset: Dataset, recipe: Recipe, tmp_path: Path
) -> None:
    recipe = override(recipe, ["theta=0.02"])
    trainer = train(override(recipe, ["averaging=0.9"]), dataset, tmp_path / "m.pt")
    plain = train(recipe, dataset, tmp_path / "plain.pt")
    assert_same_weights(trainer.model.state_dict(), plain.model.state_dict())
    assert trainer.averaged is not None
    assert trainer.averaged.updates == 12
    kept, _ = evaluate(trainer.checkpoint().model(), trainer.validation, CPU)
    best = trainer.reports[trainer.best_epoch - 1]
    assert kept.loss == pytest.approx(best.validation_loss)
    assert best.validation_loss != plain.reports[trainer.best_epoch - 1].validation_loss


def test_early_stopping(dataset: Dataset, recipe: Recipe, tmp_path: Path) -> None:
    out = tmp_path / "m.pt"
    stuck = override(recipe, ["epochs=50", "patience=3", "optimizer=sgd", "learning_rate=1e-30"])
    trainer = train(stuck, dataset, out)
    assert (trainer.best_epoch, trainer.epoch, trainer.finished) == (1, 4, True)
    assert resume_path(out).exists()
    again = Trainer.resumed(dataset, CPU, out)
    assert again.finished
    again.run()
    assert again.epoch == 4
    again.finish()
    assert not resume_path(out).exists()
    assert load_checkpoint(out).epochs_done == 4


OPTIONS = {
    "all": ["averaging=0.9", "clip_norm=5", "recurrent_density=0.5", "truncate=9", "patience=5"],
    "sgd": ["optimizer=sgd", "learning_rate=0.001", "averaging=0.5"],
    "rmsprop": ["optimizer=rmsprop", "learning_rate=0.01"],
    "radam": ["optimizer=radam", "loss_steps=last", "prediction=last"],
}


@pytest.mark.parametrize("changes", OPTIONS.values(), ids=OPTIONS)
def test_a_resumed_run_of_any_options_ends_the_same(
    digits: Dataset, digits_recipe: Recipe, tmp_path: Path, changes: list[str]
) -> None:
    recipe = override(digits_recipe, changes)
    whole = train(recipe, digits, tmp_path / "whole.pt")
    expected = whole.finish()

    def interrupt(epoch: int, batch: int, batches: int) -> None:
        if (epoch, batch) == (1, 2):
            raise StoppedError

    broken = tmp_path / "broken.pt"
    with pytest.raises(StoppedError):
        Trainer(recipe, digits, 0, CPU, broken).run(Progress(on_batch=interrupt))
    resumed = Trainer.resumed(digits, CPU, broken)
    resumed.run()
    found = resumed.finish()
    assert_same_weights(found.state_dict, expected.state_dict)
    assert_same_weights(resumed.model.state_dict(), whole.model.state_dict())
    assert [replace(r, seconds=0) for r in resumed.reports] == [
        replace(r, seconds=0) for r in whole.reports
    ]


def test_a_permuted_task_keeps_its_order(
    digits: Dataset, digits_recipe: Recipe, tmp_path: Path
) -> None:
    out = tmp_path / "m.pt"
    trainer = Trainer(override(digits_recipe, ["epochs=1"]), digits, 3, CPU, out)
    order = permutation_from_seed(3, STEPS)
    assert np.array_equal(trainer.dataset.train.x, digits.train.x[:, order])
    trainer.run()
    resumed = Trainer.resumed(digits, CPU, out)
    assert np.array_equal(resumed.dataset.train.x, trainer.dataset.train.x)
    trainer.finish()
    loaded = load_checkpoint(out)
    assert loaded.permutation is not None
    assert np.array_equal(loaded.permutation, order)
    assert loaded.data.fingerprint == trainer.dataset.source.fingerprint != "of waves"
    assert loaded.input_scale == 1 / 255
    shown = digits.permuted(loaded.permutation)
    assert evaluate(loaded.model(), shown.test, CPU)[0] == loaded.metrics


def test_an_order_that_was_given_is_kept(
    digits: Dataset, digits_recipe: Recipe, tmp_path: Path
) -> None:
    given = digits.permuted(np.arange(STEPS)[::-1].copy())
    out = tmp_path / "m.pt"
    trainer = Trainer(digits_recipe, given, 3, CPU, out)
    assert trainer.dataset is given
    trainer._save_state()
    assert np.array_equal(Trainer.resumed(digits, CPU, out).dataset.train.x, given.train.x)
    with pytest.raises(CheckpointError, match="was trained on short waves"):
        Trainer.resumed(digits.permuted(permutation_from_seed(1, STEPS)), CPU, out)


# Model files


@pytest.fixture
def model_file(dataset: Dataset, recipe: Recipe, tmp_path: Path) -> Path:
    trainer = train(override(recipe, ["epochs=1"]), dataset, tmp_path / "model.pt")
    trainer.finish()
    return tmp_path / "model.pt"


def test_model_file_round_trip(model_file: Path, tmp_path: Path) -> None:
    plain = torch.load(model_file, weights_only=True)
    assert plain["format"] == "brf-lava-model"
    assert plain["schema"] == 3
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
    ("name", "data", "bits"), [("ecg-brf", "dataset", 8), ("smnist-alif", "digits", 4)]
)
def test_weights_trained_in_few_bits_are_what_is_exported(
    request: pytest.FixtureRequest, tmp_path: Path, name: str, data: str, bits: int
) -> None:
    """Averaged, pruned, in two layers, with inputs that are spikes or in units of 1 / 255."""
    data_set: Dataset = request.getfixturevalue(data)
    changes = ["epochs=2", "validation=3", "batch_size=8", "network.hidden=[7, 5]"]
    changes += ["recurrent_density=0.5", "averaging=0.9", f"weight_bits={bits}"]
    recipe = override(load_recipe(name), changes)
    checkpoint = train(recipe, data_set, tmp_path / "m.pt").checkpoint()
    x = np.ascontiguousarray(data_set.train.x.transpose(1, 0, 2))
    network, reports = quantize(checkpoint.model().to_real(), x)
    for report in reports:
        for deviation in report.deviations:
            if "weight" in deviation.parameter:
                assert deviation.relative < 1e-6
    for layer in network.layers:
        for weights in (layer.weights, layer.recurrent):
            if weights is not None:
                levels = weights.mantissa // np.gcd.reduce(weights.mantissa, axis=None)
                assert 1 < np.abs(levels).max() < 2 ** (bits - 1)
    plain = train(override(recipe, ["weight_bits=0"]), data_set, tmp_path / "p.pt").checkpoint()
    _, reports = quantize(plain.model().to_real(), x)
    assert all(report.deviations[0].relative > 1e-4 for report in reports)


def as_schema_1(contents: dict[str, Any]) -> None:
    """Take from a model file or a training state what schema 1 did not have."""
    contents["schema"] = 1
    new = {key for new in BROUGHT.values() for section in new.values() for key in section}
    lines = contents["recipe"].splitlines()
    contents["recipe"] = "\n".join(line for line in lines if line.split(" ")[0] not in new)
    for key in ("input_scale", "permutation", "averaged"):
        contents.pop(key, None)


def test_model_files_of_schema_1_are_read(model_file: Path) -> None:
    expected = load_checkpoint(model_file)
    contents = torch.load(model_file, weights_only=True)
    as_schema_1(contents)
    torch.save(contents, model_file)
    found = load_checkpoint(model_file)
    assert found.recipe == expected.recipe
    assert (found.input_scale, found.permutation) == (1.0, None)
    assert found.metrics == expected.metrics
    assert_same_weights(found.state_dict, expected.state_dict)


def test_a_training_state_of_schema_1_goes_on(
    dataset: Dataset, recipe: Recipe, tmp_path: Path
) -> None:
    expected = train(recipe, dataset, tmp_path / "whole.pt")
    out = tmp_path / "m.pt"
    Trainer(recipe, dataset, 0, CPU, out)._save_state()
    state = torch.load(resume_path(out), weights_only=True)
    as_schema_1(state)
    torch.save(state, resume_path(out))
    resumed = Trainer.resumed(dataset, CPU, out)
    resumed.run()
    assert_same_weights(resumed.model.state_dict(), expected.model.state_dict())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda c: c.update(format="other"), "format 'other', expected 'brf-lava-model'"),
        (lambda c: c.update(schema=99), "schema 99, this version reads 1 to 3. It was written by"),
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
    plain = import_published(published(tmp_path), dataset, recipe=recipe)
    assert plain.recipe.network.hidden == (5,)
    assert plain.origin == "imported from published.pt as BRF"
    assert plain.seed is None
    mask = torch.ones(5, 9)
    mask[2, 6] = 0  # neuron 2 no longer hears neuron 2
    mask[0, 1] = 0
    masked = import_published(
        published(tmp_path, hidden__linear__mask=mask), dataset, recipe=recipe
    )
    expected = plain.state_dict["hidden.0.recurrent_weight"].clone()
    expected[2, 2] = 0
    assert torch.equal(masked.state_dict["hidden.0.recurrent_weight"], expected)
    assert float(masked.state_dict["hidden.0.weight"][0, 1]) == 0.0
    assert isinstance(masked.metrics, Metrics)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"hidden__omega": None}, "missing hidden.omega"),
        ({"hidden__tau_adp": torch.ones(5)}, "missing hidden.tau_mem, unknown hidden.omega"),
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
        import_published(published(tmp_path, **changes), dataset, "BRF")
    assert "\n" not in str(error.value)


def test_import_refuses_what_is_no_checkpoint(
    dataset: Dataset, tmp_path: Path, model_file: Path
) -> None:
    recipe = load_recipe("ecg-brf")
    with pytest.raises(CheckpointError, match=r"expected 'model_state_dict' with .* found format"):
        import_published(model_file, dataset, recipe=recipe)
    torch.save(torch.ones(3), tmp_path / "tensor.pt")
    with pytest.raises(CheckpointError, match="found Tensor"):
        import_published(tmp_path / "tensor.pt", dataset, recipe=recipe)
    (tmp_path / "text.pt").write_text("hello")
    with pytest.raises(CheckpointError, match="not a torch file"):
        import_published(tmp_path / "text.pt", dataset, recipe=recipe)
    with pytest.raises(CheckpointError, match="needs 'brf-lava import' first"):
        load_checkpoint(published(tmp_path))
