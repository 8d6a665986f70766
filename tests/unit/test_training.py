"""Blocks, the training loop and model files."""

from __future__ import annotations

import json
import logging
import shutil
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from networks import random_network

from brf_lava.backends import engine
from brf_lava.config.recipe import load_recipe, override
from brf_lava.data.dataset import Dataset, DataSource, Split
from brf_lava.data.permutation import permutation_from_seed
from brf_lava.ecg import synthetic as synthetic_ecg
from brf_lava.errors import BrfLavaError, CheckpointError, ParameterError
from brf_lava.export.dequantize import without_outliers
from brf_lava.export.quantize import LayerFormat
from brf_lava.network.decision import UNLABELED
from brf_lava.network.file import write_network
from brf_lava.network.layers import FixedLayer, RealLayer
from brf_lava.neurons import families, real
from brf_lava.neurons.boundary import divergence_boundary
from brf_lava.neurons.families import SPIKING
from brf_lava.nn.blocks import Block
from brf_lava.train.checkpoint import (
    KIND,
    OPTIONAL,
    load_checkpoint,
    read_start,
    save_checkpoint,
    write_archive,
)
from brf_lava.train.export import export_model
from brf_lava.train.model import Network, as_batch, evaluate, loss_per_sample
from brf_lava.train.trainer import (
    STATE_KIND,
    Progress,
    Trainer,
    averaged_network,
    metrics_path,
    resume_path,
)

BRF_PARAMS = {"dt": 0.01, "theta": 1.0, "gamma": 0.9, "omega": (3.0, 5.0), "b_offset": (0.1, 1.0)}
LI_PARAMS = {"tau_mean": 20.0, "tau_std": 1.0}
CPU = torch.device("cpu")
STEPS = 30  # of the short waves
CLASSES = ("P", "PQ", "QR", "RS", "ST", "TP")
SHORT = ["epochs=4", "validation=3", "batch_size=4", "network.hidden=[7]"]
RECIPE = override(load_recipe("ecg-brf"), [*SHORT, "theta=0.02"])
WAVES = override(
    load_recipe("psmnist-brf"),
    ["epochs=3", "validation=6", "batch_size=5", "network.hidden=[8]", "theta=0.1"],
)


def short_ecg() -> Dataset:
    """A few seconds of the synthetic ECG, cut short."""
    train, test = synthetic_ecg.generate(train=12, test=3, seed=4)
    halves = [Split(s.x[:, :200].copy(), s.y[:, :200].copy()) for s in (train, test)]
    source = DataSource("synthetic-ecg", "a short synthetic ECG", "fingerprint")
    return Dataset("ecg", CLASSES, 1 / 250, *halves, source)


def short_waves() -> Dataset:
    """Short sequences of 8-bit values in the manner of S-MNIST: one label per sample."""
    rng = np.random.default_rng(5)

    def split(samples: int) -> Split:
        y = rng.integers(10, size=(samples, 1), dtype=np.uint8)
        wave = np.sin(np.arange(STEPS) * (0.1 + 0.05 * y)) * 120 + 128
        return Split(wave[:, :, None].astype(np.uint8), y)

    source = DataSource("mnist", "short waves", "of waves")
    digits = tuple(map(str, range(10)))
    return Dataset("psmnist", digits, 0.01, split(24), split(7), source, input_scale=1 / 255)


ECG, DIGITS = short_ecg(), short_waves()


def trainer_of(out: Path, *changes: str, seed: int = 0, dataset: Dataset = ECG) -> Trainer:
    recipe = RECIPE if dataset.task == "ecg" else WAVES
    return Trainer(override(recipe, changes), dataset, seed, CPU, out)


def train(out: Path, *changes: str, seed: int = 0, dataset: Dataset = ECG) -> Trainer:
    trainer = trainer_of(out, *changes, seed=seed, dataset=dataset)
    trainer.run()
    return trainer


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Trainer:
    """A finished run of `RECIPE`; nothing of it may be changed."""
    trainer = train(tmp_path_factory.mktemp("whole") / "model.pt")
    trainer.finish()
    return trainer


@pytest.fixture
def model_file(whole: Trainer, tmp_path: Path) -> Path:
    return shutil.copy(whole.out, tmp_path / "model.pt")


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "m.pt"


def assert_same_weights(found: dict[str, Any], expected: dict[str, Any]) -> None:
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        assert torch.equal(found[name], value), name


# Blocks


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


def test_parameters_enter_through_their_absolute_value_and_within_their_range() -> None:
    block = Block("BRF", BRF_PARAMS, 4, 9, recurrent=True)
    before = block.neuron.coefficients()
    omega = block.neuron.omega.detach().abs()
    expected = divergence_boundary(omega, 0.01) - block.neuron.b_offset.detach()
    assert torch.equal(before[0].detach(), expected)
    with torch.no_grad():
        block.neuron.omega.neg_()
        block.neuron.b_offset.neg_()
    assert torch.equal(block.neuron.coefficients(), before)
    with torch.no_grad():
        block.neuron.omega[5] = 123.0
    with pytest.raises(ParameterError, match="123 rad/s at neuron 5"):
        block(torch.zeros(1, 4, 3))


# The training loop


def test_training_learns(out: Path) -> None:
    trainer = train(out, "epochs=12")
    losses = [report.train_loss for report in trainer.reports]
    assert losses[-1] < 0.9 * losses[0]
    rates = [report.learning_rate for report in trainer.reports]
    assert rates == pytest.approx([0.1 * (1 - epoch / 12) for epoch in range(12)])
    assert trainer.kernel == "cpu"


class StoppedError(Exception):
    pass


def resumed_after(trainer: Trainer, stop: tuple[int, int]) -> Trainer:
    """The same run, stopped at this epoch and batch and finished after that."""

    def interrupt(epoch: int, batch: int, batches: int) -> None:
        if (epoch, batch) == stop:
            raise StoppedError

    dataset = trainer.dataset
    with pytest.raises(StoppedError):
        trainer.run(Progress(on_batch=interrupt))
    resumed = Trainer.resumed(dataset, CPU, trainer.out)
    assert resumed.epoch == stop[0]
    resumed.run()
    return resumed


def assert_same_run(found: Trainer, expected: Trainer) -> None:
    assert_same_weights(found.checkpoint().state_dict, expected.checkpoint().state_dict)
    assert_same_weights(found.model.state_dict(), expected.model.state_dict())
    assert [replace(r, seconds=0) for r in found.reports] == [
        replace(r, seconds=0) for r in expected.reports
    ]


@pytest.mark.parametrize("stop", [(0, 1), (3, 3)], ids=str)
def test_a_resumed_run_ends_bit_for_bit_like_an_uninterrupted_one(
    whole: Trainer, out: Path, stop: tuple[int, int]
) -> None:
    resumed = resumed_after(trainer_of(out), stop)
    assert_same_run(resumed, whole)
    assert resume_path(out).exists()
    resumed.finish()
    assert not resume_path(out).exists()
    lines = [json.loads(line) for line in metrics_path(out).read_text().splitlines()]
    assert [line["epoch"] for line in lines] == [1, 2, 3, 4]


OPTIONS = {
    "all": ["averaging=0.9", "clip_norm=5", "recurrent_density=0.5", "truncate=9", "patience=5"],
    "sgd": ["optimizer=sgd", "learning_rate=0.001", "averaging=0.5", "weight_bits=4"],
    "rmsprop": ["optimizer=rmsprop", "learning_rate=0.01"],
    "radam": ["optimizer=radam", "loss_steps=last", "prediction=last"],
}


@pytest.mark.parametrize("changes", OPTIONS.values(), ids=OPTIONS)
def test_a_resumed_run_of_any_options_ends_the_same(tmp_path: Path, changes: list[str]) -> None:
    expected = train(tmp_path / "whole.pt", *changes, dataset=DIGITS)
    broken = trainer_of(tmp_path / "broken.pt", *changes, dataset=DIGITS)
    assert_same_run(resumed_after(broken, (1, 2)), expected)


def test_another_number_of_threads_is_said(
    whole: Trainer, out: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It splits sums otherwise. With the same number a run ends bit for bit alike, in silence."""
    monkeypatch.setattr(logging.getLogger("brf_lava"), "propagate", True)  # as without commands
    stopped = trainer_of(out)
    before = torch.get_num_threads()
    stopped._save_state()
    Trainer.resumed(ECG, CPU, out)
    assert not caplog.messages
    try:
        torch.set_num_threads(before + 1)
        resumed = Trainer.resumed(ECG, CPU, out)
    finally:
        torch.set_num_threads(before)
    (said,) = caplog.messages
    assert f"ran on ({before}, " in said
    assert f"now on ({before + 1}, " in said
    resumed.run()
    losses = [report.train_loss for report in resumed.reports]
    assert losses == pytest.approx([report.train_loss for report in whole.reports], rel=1e-3)


def test_the_next_batch_is_loaded_while_the_one_before_trains(
    out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trainer = trainer_of(out, "epochs=1")  # nine samples, four a batch
    load, turns, loads = trainer._load, trainer._train_batch, threading.Semaphore(0)
    trained = []

    def counted(index: Any) -> Any:
        batch = load(index)
        loads.release()
        return batch

    def once_the_next_is_there(index: Any, batch: int, *tensors: Any) -> Any:
        for _ in {1: "12", 2: "3", 3: ""}[batch]:
            assert loads.acquire(timeout=60)
        trained.append(len(index))
        return (yield from turns(index, batch, *tensors))

    monkeypatch.setattr(trainer, "_load", counted)
    monkeypatch.setattr(trainer, "_train_batch", once_the_next_is_there)
    trainer.run()
    assert trained == [4, 4, 1]


def test_the_best_epoch_by_validation_loss_is_kept(whole: Trainer) -> None:
    losses = [report.validation_loss for report in whole.reports]
    assert whole.best_epoch == 1 + int(np.argmin(losses))
    measured, _ = evaluate(load_checkpoint(whole.out).model(), whole.validation, CPU)
    assert measured.loss == pytest.approx(min(losses))


def test_resume_needs_the_same_data_and_a_whole_state(out: Path) -> None:
    with pytest.raises(CheckpointError, match="no training state to resume"):
        Trainer.resumed(ECG, CPU, out)
    trainer_of(out)._save_state()
    other = replace(ECG, source=DataSource("qtdb", "the real thing", "another"))
    with pytest.raises(CheckpointError, match="was trained on a short synthetic ECG"):
        Trainer.resumed(other, CPU, out)
    state = torch.load(resume_path(out), weights_only=True)
    for key in ("model", "optimizer", "generator", "reports", "data", "best_epoch"):
        write_archive({**state, key: "3"}, resume_path(out), STATE_KIND)
        with pytest.raises(CheckpointError, match=r"m.resume.pt: .*--restart"):
            Trainer.resumed(ECG, CPU, out)


BLANK = Split(ECG.test.x, np.full_like(ECG.test.y, UNLABELED))


@pytest.mark.parametrize(
    ("dataset", "changes", "message"),
    [
        (replace(ECG, train=ECG.train.first(1)), [], "3 samples of 1; add samples"),
        (ECG, ["validation=12"], "12 samples of 12; set 1 to 11"),
        (replace(ECG, train=BLANK), [], "training half: none of its"),
        (replace(ECG, test=BLANK), [], "test half: none of its"),
        (ECG, ["prediction=mean"], "mean, but the data have one label per step"),
        (DIGITS, ["prediction=each-step"], "each-step, .* per sample. Choose last or"),
        (DIGITS, ["ignore_first=30"], "training.ignore_first: 30 of 30 steps; at most 29 can"),
    ],
)
def test_data_that_do_not_fit_the_recipe(
    out: Path, dataset: Dataset, changes: list[str], message: str
) -> None:
    with pytest.raises(BrfLavaError, match=message):
        trainer_of(out, *changes, dataset=dataset)


def gradients_without_end(trainer: Trainer, batches: set[int]) -> None:
    """Make the gradient of these batches, counted over the whole run, infinite."""
    loss, done = trainer.model.loss, iter(range(10**6))

    def failing(outputs: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        value = loss(outputs, labels)
        return value * (value / value.detach()) * float("inf") if next(done) in batches else value

    trainer.model.loss = failing  # type: ignore[method-assign]


def test_where_gradients_are_clipped_a_batch_without_a_finite_one_is_left_out(out: Path) -> None:
    """9 training samples in batches of 1: the first epoch loses one of them."""
    trainer = trainer_of(out, "clip_norm=100", "batch_size=1", "epochs=2")
    gradients_without_end(trainer, {3})
    trainer.run()
    assert [report.skipped for report in trainer.reports] == [1, 0]
    assert all(np.isfinite(report.train_loss) for report in trainer.reports)
    assert all(bool(p.isfinite().all()) for p in trainer.model.parameters())
    assert json.loads(metrics_path(out).read_text().splitlines()[0])["skipped"] == 1


@pytest.mark.parametrize(("clip_norm", "failing"), [(100, {1, 2}), (0, {3})])
def test_many_such_batches_or_one_without_clipping_end_the_run(
    out: Path, clip_norm: int, failing: set[int]
) -> None:
    trainer = trainer_of(out, f"clip_norm={clip_norm}", "batch_size=1", "epochs=1")
    gradients_without_end(trainer, failing)
    message = r"epoch 1, batch \d: loss .*; both must be finite. Lower .* --restart"
    with pytest.raises(BrfLavaError, match=message):
        trainer.run()


def test_neurons_beyond_the_divergence_boundary_are_named_as_the_cause(out: Path) -> None:
    """|1 + dt (-b + i omega)| of up to 1.34, to the power 1300, leaves single precision."""
    train_half, test_half = synthetic_ecg.generate(train=8, test=2, seed=4)
    data = replace(ECG, train=train_half, test=test_half)
    changes = ["neuron.omega=[80, 95]", "validation=2", "network.hidden=[5]", "epochs=1"]
    trainer = Trainer(override(load_recipe("ecg-rf"), changes), data, 0, CPU, out)
    with pytest.raises(BrfLavaError, match=r"5 hidden neurons grow .* raise neuron.b_offset"):
        trainer.run()


def test_an_omega_that_training_drives_out_of_range_is_its_own_doing(out: Path) -> None:
    message = r"epoch 1, batch 2: BRF.omega: .* Lower training.learn"
    with pytest.raises(BrfLavaError, match=message):
        train(out, "learning_rate=999")


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


def test_both_names_of_the_loss_are_one_number(whole: Trainer, out: Path) -> None:
    other = train(out, "loss=cross-entropy")
    assert other.reports[-1].train_loss == whole.reports[-1].train_loss


def test_unlabeled_and_ignored_steps_do_not_count() -> None:
    y = ECG.test.y.copy()
    y[:, 50:90] = UNLABELED
    model = Network(override(RECIPE, ["ignore_first=10"]), 4, 6)
    metrics, activity = evaluate(model, Split(ECG.test.x, y), CPU)
    counted = np.r_[10:50, 90:200]
    expected = (activity.predictions == ECG.test.y)[:, counted].mean()
    assert metrics.accuracy == pytest.approx(float(expected))
    y[:, :10] = 0
    assert evaluate(model, Split(ECG.test.x, y), CPU)[0] == metrics
    nothing, _ = evaluate(model, BLANK, CPU)
    assert (nothing.loss, nothing.accuracy) == (0.0, 0.0)


@pytest.mark.parametrize("prediction", ["last", "mean"])
def test_one_prediction_per_sample(prediction: str) -> None:
    recipe = override(WAVES, [f"prediction={prediction}", "ignore_first=4"])
    model = Network(recipe, 1, 10, input_scale=DIGITS.input_scale)
    metrics, activity = evaluate(model, DIGITS.test, CPU)
    with torch.no_grad():
        x = torch.from_numpy(DIGITS.test.x.astype(np.float32)).transpose(1, 2) * (1 / 255)
        outputs, _ = model(x)
    chosen = outputs[:, :, -1] if prediction == "last" else outputs[:, :, 4:].mean(2)
    expected = chosen.argmax(1).numpy()
    assert activity.predictions.shape == (7, 1)
    assert np.array_equal(activity.predictions[:, 0], expected)
    assert metrics.accuracy == pytest.approx((expected == DIGITS.test.y[:, 0]).mean())
    assert (metrics.samples, metrics.steps) == (7, STEPS)


# Options of training


@pytest.mark.parametrize("name", ["ecg-rf", "ecg-bhrf", "ecg-alif"])
def test_every_neuron_trains(out: Path, name: str) -> None:
    recipe = override(load_recipe(name), [*SHORT, "theta=0.01"])
    trainer = Trainer(recipe, ECG, 0, CPU, out)
    trainer.run()
    assert trainer.reports[-1].train_loss < trainer.reports[0].train_loss


def test_the_gradient_is_clipped_to_the_norm(out: Path) -> None:
    changes = ["optimizer=sgd", "learning_rate=0.5", "epochs=1", "batch_size=12", "clip_norm=0.01"]
    trainer = trainer_of(out, *changes)
    before = torch.nn.utils.parameters_to_vector(trainer.model.parameters()).detach()
    trainer.run()
    after = torch.nn.utils.parameters_to_vector(trainer.model.parameters()).detach()
    assert float((after - before).norm()) == pytest.approx(0.5 * 0.01, rel=1e-3)


@pytest.mark.parametrize("density", [0.0, 0.3])
def test_recurrent_weights_that_are_left_out_stay_out(out: Path, density: float) -> None:
    sparse = [f"recurrent_density={density}", "epochs=2", "hidden=[7, 5]"]
    trainer = trainer_of(out, *sparse, seed=1)
    generator = torch.Generator().manual_seed(1)  # as it was when the trainer made its network
    torch.randperm(len(ECG.train.x), generator=generator)
    full = Network(override(RECIPE, ["hidden=[7, 5]"]), 4, 6, generator)
    for name, parameter in full.named_parameters():
        assert torch.equal(parameter, trainer.model.get_parameter(name)), name
    trainer.run()
    layers = trainer.finish().model().to_real().layers
    for layer, neurons in zip(layers, (7, 5), strict=False):
        assert layer.recurrent is not None
        assert np.count_nonzero(layer.recurrent) == round(density * neurons**2)
    other = trainer_of(out, *sparse, seed=2).model.hidden_blocks[0]
    assert not torch.equal(other.weight, full.hidden_blocks[0].weight)
    if density:
        assert not torch.equal(other.recurrent_mask, trainer.model.hidden_blocks[0].recurrent_mask)


def test_truncated_gradients_differ_but_not_the_network(out: Path) -> None:
    losses = [
        train(out, "epochs=1", f"truncate={steps}").reports[0].validation_loss
        for steps in (0, 200, 10)
    ]
    assert losses[0] == losses[1]  # all 200 steps are one window
    assert losses[0] != losses[2]


def test_averaged_weights_are_the_weighted_mean_of_all() -> None:
    model, rng = Network(RECIPE, 4, 6), torch.Generator().manual_seed(0)
    averaged, history = averaged_network(model, 0.8), []
    for _ in range(5):
        with torch.no_grad():
            model.readout.weight.copy_(torch.randn(6, 7, generator=rng))
        history.append(model.readout.weight.detach().clone())
        averaged.update_parameters(model)
    shares = torch.tensor([0.8 ** (4 - i) for i in range(5)])
    expected = sum(share * weight for share, weight in zip(shares, history, strict=True))
    assert torch.allclose(averaged.module.readout.weight, expected / shares.sum(), atol=1e-6)
    assert not torch.equal(averaged.module.readout.weight, model.readout.weight)


def test_the_averaged_network_is_validated_and_kept(whole: Trainer, out: Path) -> None:
    trainer = train(out, "averaging=0.9")
    assert_same_weights(trainer.model.state_dict(), whole.model.state_dict())
    assert trainer.averaged is not None
    assert trainer.averaged.n_averaged == 12
    kept, _ = evaluate(trainer.checkpoint().model(), trainer.validation, CPU)
    best = trainer.reports[trainer.best_epoch - 1]
    assert kept.loss == pytest.approx(best.validation_loss)
    assert best.validation_loss != whole.reports[trainer.best_epoch - 1].validation_loss


def test_early_stopping(out: Path) -> None:
    stuck = ["epochs=50", "patience=3", "optimizer=sgd", "learning_rate=1e-30"]
    trainer = train(out, *stuck)
    assert (trainer.best_epoch, trainer.epoch, trainer.finished) == (1, 4, True)
    again = Trainer.resumed(ECG, CPU, out)
    again.run()
    assert again.epoch == 4
    again.finish()
    assert not resume_path(out).exists()
    assert load_checkpoint(out).epochs_done == 4


def test_a_permuted_task_keeps_its_order(out: Path) -> None:
    trainer = trainer_of(out, "epochs=1", seed=3, dataset=DIGITS)
    order = permutation_from_seed(3, STEPS)
    assert np.array_equal(trainer.dataset.train.x, DIGITS.train.x[:, order])
    trainer.run()
    resumed = Trainer.resumed(DIGITS, CPU, out)
    assert np.array_equal(resumed.dataset.train.x, trainer.dataset.train.x)
    trainer.finish()
    loaded = load_checkpoint(out)
    assert loaded.permutation is not None
    assert np.array_equal(loaded.permutation, order)
    assert loaded.data.fingerprint == trainer.dataset.source.fingerprint != "of waves"
    assert loaded.input_scale == 1 / 255
    shown = DIGITS.permuted(loaded.permutation)
    assert evaluate(loaded.model(), shown.test, CPU)[0] == loaded.metrics


def test_an_order_that_was_given_is_kept(out: Path) -> None:
    given = DIGITS.permuted(np.arange(STEPS)[::-1].copy())
    trainer_of(out, seed=3, dataset=given)._save_state()
    assert np.array_equal(Trainer.resumed(DIGITS, CPU, out).dataset.train.x, given.train.x)
    with pytest.raises(CheckpointError, match="was trained on short waves"):
        Trainer.resumed(DIGITS.permuted(permutation_from_seed(1, STEPS)), CPU, out)


# Training on integers


def assert_same_integers(found: FixedLayer, expected: FixedLayer) -> None:
    assert found.constants == expected.constants
    assert np.array_equal(found.coefficients, expected.coefficients)
    for ours, theirs in (
        (found.weights, expected.weights),
        (found.recurrent, expected.recurrent),
    ):
        assert (ours is None) == (theirs is None)
        if ours is not None and theirs is not None:
            assert np.array_equal(ours.integers, theirs.integers)


INTEGERS = [
    ("ecg-bhrf", ECG, 4),
    ("ecg-rf", ECG, 5),
    ("psmnist-brf", DIGITS, 8),
    ("psmnist-alif", DIGITS, 4),
]


@pytest.mark.parametrize("less", [0.0, 0.25, 0.5, 0.75])
def test_a_unit_that_other_state_bits_had_is_rounded_as_the_export_does(less: float) -> None:
    recipe = override(load_recipe("ecg-brf"), ["network.hidden=[7]", "weight_bits=5"])
    block = Network(recipe, 4, 6).blocks[0]
    for before in range(8, 19):
        for now in range(8, 15):
            block.unit_share.fill_(round(2 ** (before - less)) / 2**before)
            block.state_bits.fill_(now)
            assert block.to_fixed().unit == round(2 ** (now - less))


@pytest.mark.parametrize(("name", "dataset", "bits"), INTEGERS)
def test_a_network_trained_on_integers_is_what_is_exported_and_run(
    out: Path, name: str, dataset: Dataset, bits: int
) -> None:
    """Averaged, pruned, in two layers, with inputs that are spikes or in units of 1 / 255."""
    changes = ["epochs=2", "validation=3", "batch_size=8", "network.hidden=[7, 5]", "theta=0.003"]
    changes += ["recurrent_density=0.5", "averaging=0.9", f"weight_bits={bits}"]
    recipe = override(load_recipe(name), changes)
    trainer = Trainer(recipe, dataset, 0, CPU, out)
    before = [parameter.detach().clone() for parameter in trainer.model.parameters()]
    trainer.run()
    for old, parameter in zip(before, trainer.model.parameters(), strict=True):
        assert not torch.equal(old, parameter), "a parameter that no gradient reached"
    trainer.finish()
    model, net = load_checkpoint(out), out.with_suffix(".h5")
    network, _ = export_model(model, dataset, net, weight_bits=bits)
    for block, layer in zip(model.model().blocks, network.layers, strict=True):
        assert_same_integers(layer, block.to_fixed())
        for weights in filter(None, (layer.weights, layer.recurrent)):
            assert 1 < np.abs(weights.mantissa).max() < 2 ** (bits - 1)
    activity = engine.run(network, trainer.dataset.test.time_major())
    predictions = recipe.decision.predict(activity.outputs)
    assert (predictions == model.activity.predictions).mean() >= 0.999
    sops = sum(layer.sum((0, 2), dtype=np.int64) for layer in activity.spikes)
    assert sops.sum() > 0
    assert np.array_equal(sops, model.activity.sops)
    x, _ = as_batch(trainer.dataset.test, slice(None), CPU, dataset.input_scale)
    outputs, _ = model.model()(x)
    exact = outputs.detach().permute(2, 0, 1).numpy() * 2.0**network.output_bits
    assert np.array_equal(exact, activity.outputs)
    plain = Network(override(recipe, ["weight_bits=0"]), model.inputs, len(model.classes))
    stored = {k: v for k, v in model.state_dict.items() if not k.endswith(OPTIONAL[1:])}
    plain.load_state_dict(stored)
    assert not torch.equal(plain(x)[0], outputs), "rounding made no difference"


def test_an_outlier_is_clipped_where_the_others_gain_by_it() -> None:
    weights = np.random.default_rng(0).uniform(-10, 10, (20, 20))
    bits = LayerFormat(10, weight_bits=(4,))
    layer = RealLayer(families.LI, weights, None, np.full((1, 20), 0.0), real.LIConstants())
    assert np.array_equal(without_outliers(layer, bits).weights, weights)
    weights[3, 3] = 40.0
    clipped = without_outliers(layer, bits).weights
    assert 20 < clipped[3, 3] < 40
    weights[3, 3] = clipped[3, 3]
    assert np.array_equal(clipped, weights)


# Starting from a trained network


def started(out: Path, source: Path, *changes: str, dataset: Dataset = ECG) -> Trainer:
    start = read_start(source)
    return Trainer(override(start.recipe, changes), dataset, start.seed or 0, CPU, out, start)


def test_a_training_starts_from_a_model(whole: Trainer, model_file: Path, out: Path) -> None:
    model = load_checkpoint(model_file)
    trainer = started(out, model_file, "learning_rate=0.01")
    assert_same_weights(trainer.model.state_dict(), model.state_dict)
    assert trainer.best_loss == whole.best_loss
    named = f"seed 0, accuracy {model.metrics.accuracy:.2%}, fingerprint {model.fingerprint}"
    origin = f"trained from a network for task ecg, {named}"
    trainer._save_state()
    trainer = Trainer.resumed(ECG, CPU, out)
    trainer.run()
    assert trainer.best_loss < whole.best_loss
    trainer.finish()
    assert load_checkpoint(out).origin == origin
    exported, _ = export_model(load_checkpoint(out), ECG, out.with_suffix(".h5"))
    assert exported.provenance["origin"] == origin


def test_a_start_that_no_epoch_improves_is_kept(model_file: Path, out: Path) -> None:
    trainer = started(out, model_file, "learning_rate=1e-12", "epochs=1")
    trainer.run()
    assert trainer.finish().epoch == 0
    assert_same_weights(load_checkpoint(out).state_dict, load_checkpoint(model_file).state_dict)


@pytest.mark.parametrize("neuron", SPIKING)
@pytest.mark.parametrize("dataset", [ECG, DIGITS], ids=lambda d: d.task)
def test_a_training_starts_from_the_integers_of_an_export(
    out: Path, neuron: str, dataset: Dataset
) -> None:
    base = {"ALIF": "alif", "RF": "rf", "HRF": "rf"}.get(neuron, "brf")
    name = f"{dataset.task}-{base}"
    changes = [f"neuron={neuron}", "network.hidden=[7, 5]", "validation=3", "recurrent_density=0.7"]
    trainer = Trainer(override(load_recipe(name), changes), dataset, 0, CPU, out)
    trainer._save_state()
    trainer.best_state = trainer.model.state_dict()
    trainer.finish()
    net = out.with_suffix(".h5")
    network, _ = export_model(load_checkpoint(out), dataset, net, weight_bits=4)
    again = started(out, net, "weight_bits=4", dataset=dataset)
    assert again.origin.startswith(f"trained from a network for task {dataset.task}, seed 0")
    for block, layer in zip(again.model.blocks, network.layers, strict=True):
        block.state_bits.fill_(layer.constants.state_bits)
        assert_same_integers(block.to_fixed(), layer)
    for ours, theirs in zip(again.model.hidden_blocks, trainer.model.hidden_blocks, strict=True):
        for name, parameter in theirs.neuron.named_parameters():
            close = torch.allclose(ours.neuron.get_parameter(name), parameter.abs(), rtol=0.05)
            assert close or name == "b_offset", name


def test_a_readout_of_another_size_starts_anew(model_file: Path, out: Path) -> None:
    halves = [replace(half, y=half.y % 4) for half in (ECG.train, ECG.test)]
    other = replace(ECG, classes=CLASSES[:4], train=halves[0], test=halves[1])
    trainer = started(out, model_file, "epochs=1", dataset=other)
    assert trainer.origin.endswith(", with a new readout")
    assert trainer.model.readout.weight.shape == (4, 7)
    for name, value in load_checkpoint(model_file).state_dict.items():
        if name.startswith("hidden"):
            assert torch.equal(trainer.model.state_dict()[name], value)
    trainer.run()
    assert len(trainer.finish().classes) == 4


def test_a_network_that_does_not_fit_is_refused(model_file: Path, out: Path) -> None:
    for change, message in (
        ("hidden=[5]", r"--from: hidden.0.weight is 7x4, and 5x4 in the network to be trained."),
        ("hidden=[7, 5]", r"hidden.1.weight is not there, and 5x7"),
        ("recurrent=false", r"hidden.0.recurrent_weight is 7x7, and not there"),
    ):
        with pytest.raises(CheckpointError, match=message):
            started(out, model_file, change)
    other = replace(load_checkpoint(model_file), recipe=override(RECIPE, ["neuron=BHRF"]))
    save_checkpoint(other, out)
    started(out, out, "neuron=BRF")  # of the same parameters
    write_network(random_network(np.random.default_rng(0), (4, 3, 6)), out.with_suffix(".h5"))
    with pytest.raises(CheckpointError, match=r"m.h5: not a file that says how"):
        read_start(out.with_suffix(".h5"))


# Model files


def test_model_file_round_trip(model_file: Path, tmp_path: Path) -> None:
    plain = torch.load(model_file, weights_only=True)
    assert (plain["format"], plain["schema"]) == ("brf-lava-model", 4)
    loaded = load_checkpoint(model_file)
    assert (loaded.recipe, loaded.recipe.text, loaded.seed) == (RECIPE, RECIPE.text, 0)
    assert loaded.metrics.device
    assert {"brf_lava", "torch", "numpy", "numba", "python"} <= set(loaded.versions)
    metrics, activity = evaluate(loaded.model(), ECG.test, CPU)
    assert metrics == loaded.metrics
    assert metrics.accuracy == float(np.mean(loaded.activity.predictions == ECG.test.y))
    assert np.array_equal(activity.sops, loaded.activity.sops)
    save_checkpoint(loaded, tmp_path / "again.pt")
    again = load_checkpoint(tmp_path / "again.pt")
    assert_same_weights(again.state_dict, loaded.state_dict)
    assert (again.metrics, again.recipe.text) == (loaded.metrics, loaded.recipe.text)


Damage = Callable[[dict[str, Any]], Any]
DAMAGES: tuple[tuple[Damage, str], ...] = (
    (lambda c: c.update(format="other"), "format 'other', expected 'brf-lava-model'"),
    (lambda c: c.update(schema=99), "schema 99, this version reads 4. It was written by"),
    (lambda c: c.pop("recipe"), "not a file with its recipe"),
    (lambda c: c["state_dict"].pop("readout.weight"), "not a whole model"),
    (lambda c: c["metrics"].pop("loss"), r"missing required field `loss`"),
    (lambda c: c.update(input_scale="1"), r"Expected `float`, got `str` - at `\$.input_scale`"),
    (lambda c: c.update(seed=torch.ones(3)), r"got `Tensor` - at `\$.seed`"),
    (lambda c: c.update(schema=torch.ones(10**5)), "schema Tensor"),
    (lambda c: c.update(sops=c["sops"].float()), "sops float32"),
    (lambda c: c.update(predictions=c["predictions"][:, 0]), "of shapes"),
    (lambda c: c.update(sops=torch.ones(1).expand(10**9)), "declares 4,000,0.* more than it has"),
    (lambda c: c.update(inputs=2**31), "bytes, more than it has"),
    (lambda c: c.update(recipe="task = 'ecg'"), "is missing"),
)


def test_damaged_model_files_are_refused_in_one_line(model_file: Path) -> None:
    whole = model_file.read_bytes()
    for damage, message in DAMAGES:
        model_file.write_bytes(whole)
        contents = torch.load(model_file, weights_only=True)
        damage(contents)
        write_archive(contents, model_file, KIND)
        with pytest.raises(BrfLavaError, match=message) as error:
            load_checkpoint(model_file)
        assert "\n" not in str(error.value)
        assert str(model_file) in str(error.value)
    for size in (0, 10, len(whole) // 2, len(whole) - 100):
        model_file.write_bytes(whole[:size])
        with pytest.raises(CheckpointError, match=r"model.pt: not a torch file") as error:
            load_checkpoint(model_file)
        assert "\n" not in str(error.value)
    torch.save(contents, model_file)
    with pytest.raises(
        CheckpointError, match=r"model.pt: not a torch file .*damaged or edited: .* SHA-256"
    ):
        load_checkpoint(model_file)
    model_file.unlink()
    with pytest.raises(CheckpointError, match="No such file"):
        load_checkpoint(model_file)


def test_every_flipped_bit_of_a_model_is_noticed(model_file: Path) -> None:
    whole = model_file.read_bytes()
    load_checkpoint(model_file)
    for place in np.random.default_rng(0).integers(0, 8 * len(whole), 2000).tolist():
        damaged = bytearray(whole)
        damaged[place // 8] ^= 1 << place % 8
        model_file.write_bytes(damaged)
        with pytest.raises(CheckpointError) as error:
            load_checkpoint(model_file)
        assert "\n" not in str(error.value)


def test_a_failed_write_leaves_the_old_file(
    model_file: Path, monkeypatch: pytest.MonkeyPatch
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
    assert list(model_file.parent.iterdir()) == [model_file]
