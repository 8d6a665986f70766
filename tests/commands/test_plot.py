"""Pictures: the numbers that they show, and the command that draws them."""

from __future__ import annotations

import csv
import io
import json
import re
import sys
from dataclasses import replace
from functools import partial
from itertools import product
from pathlib import Path
from unittest.mock import Mock

import command_line
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.figure import Figure
from networks import SPIKING
from wfdb_files import write_record

from brf_lava.analysis import learning, sweeps
from brf_lava.analysis.activity import Samples, run, score
from brf_lava.analysis.draw import style
from brf_lava.analysis.raster import draw_raster, raster
from brf_lava.analysis.resonators import (
    EDGE,
    PLANES,
    Resonators,
    spectral_radius,
    stability_map,
    training,
)
from brf_lava.analysis.single_neuron import (
    frequency_response,
    single_neuron,
    spike_trains,
)
from brf_lava.cli.main import INTERRUPTED
from brf_lava.cli.plot import plot
from brf_lava.config.recipe import Recipe, load_recipe, override
from brf_lava.data.dataset import Dataset, DataSource, Split, fingerprint
from brf_lava.ecg import synthetic as synthetic_ecg
from brf_lava.ecg.level_cross import encode
from brf_lava.ecg.signal import Encoding
from brf_lava.ecg.spec import ECG
from brf_lava.ecg.synthetic import normalize
from brf_lava.errors import BrfLavaError, DataError, ParameterError
from brf_lava.export.quantize import quantize
from brf_lava.network.decision import UNLABELED, Decision
from brf_lava.network.file import write_network
from brf_lava.network.layers import RealNetwork
from brf_lava.neurons import families
from brf_lava.neurons.boundary import divergence_boundary, harmonic_boundary
from brf_lava.train.checkpoint import Checkpoint, save_checkpoint
from brf_lava.train.model import Network, evaluate
from brf_lava.train.trainer import Trainer

CPU = torch.device("cpu")
CLASSES = ("P", "PQ", "QR", "RS", "ST", "TP")
STEPS, TRAIN, TEST = 100, 12, 3
ROUNDING = 1e-9  # of states, where only the order of float operations differs


@pytest.fixture(scope="module")
def dataset() -> Dataset:
    """Less than a second of the synthetic ECG."""
    train, test = (
        Split(split.x[:, :STEPS].copy(), split.y[:, :STEPS].copy())
        for split in synthetic_ecg.generate(train=TRAIN, test=TEST, seed=4)
    )
    source = DataSource("synthetic-ecg", "a short synthetic ECG", fingerprint(train, test))
    return Dataset("ecg", CLASSES, 1 / 250, train, test, source)


def small(name: str, *changes: str) -> Recipe:
    """A recipe for seven neurons that spike at once, trained for two epochs."""
    usual = ("epochs=2", "validation=3", "batch_size=4", "network.hidden=[7]", "theta=0.02")
    return override(load_recipe(f"ecg-{name.lower()}"), [*usual, *changes])


@pytest.fixture(scope="module")
def trainer(dataset: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Trainer:
    """A training of two epochs that is done."""
    trainer = Trainer(small("brf"), dataset, 3, CPU, tmp_path_factory.mktemp("model") / "model.pt")
    trainer.run()
    return trainer


@pytest.fixture(scope="module")
def checkpoint(trainer: Trainer) -> Checkpoint:
    return trainer.finish()


@pytest.fixture(scope="module")
def network(checkpoint: Checkpoint) -> RealNetwork:
    return checkpoint.model().to_real()


def without_recurrence(network: RealNetwork) -> RealNetwork:
    return RealNetwork(tuple(replace(layer, recurrent=None) for layer in network.layers))


@pytest.fixture(scope="module")
def samples(dataset: Dataset) -> Samples:
    return Samples(dataset.test.time_major(), dataset.test.y, Decision())


# Stability


@settings(deadline=None)  # the first call of all may take long
@given(st.floats(1e-4, 0.1), st.floats(0.0, 0.99))
def test_the_boundary_is_where_a_step_neither_stretches_nor_shrinks(
    dt: float, angle: float
) -> None:
    omega = angle / dt
    edge = divergence_boundary(omega, dt)
    radius = spectral_radius(families.RF, np.array([edge]), np.array([omega]), dt)
    assert radius[0] == pytest.approx(1, abs=ROUNDING)
    above, below = spectral_radius(families.RF, edge + np.array([0.1, -0.01]), omega, dt)
    assert below < 1 < above


@given(st.floats(1e-4, 0.1), st.floats(0.01, 0.99))
def test_a_harmonic_neuron_is_stable_from_no_damping_on(dt: float, angle: float) -> None:
    omega = angle / dt
    damping = np.array([-0.01 / dt, 0.0, harmonic_boundary(omega, dt), 1 / dt])
    grows, edge, balanced, overshoots = spectral_radius(families.HRF, damping, omega, dt)
    assert balanced < 1 < grows
    assert edge == pytest.approx(1, abs=1e-6)  # a double root at small angles halves the digits
    assert overshoots > 1


@pytest.mark.parametrize("plane", PLANES)
def test_the_map_is_stable_on_one_side_and_has_room_for_neurons(plane: str) -> None:
    omega, boundary, damping, radius = stability_map(plane, 0.01)
    np.testing.assert_array_equal(boundary, PLANES[plane].damping(omega, 0.01))
    if plane == "RF":
        below = damping[:, None] < boundary - 0.5
        damped = damping[:, None] > -2 / 0.01 - boundary + 0.5  # not overshooting
        assert (radius[below & damped] < 1).all()
        assert (radius[damping[:, None] > boundary + 0.5] > 1).all()
    for dt in (1e-9, 1e3):  # all is that of another step, but for the units
        other = stability_map(plane, dt)
        np.testing.assert_allclose(other[0] * dt, omega * 0.01)
        np.testing.assert_allclose(other[1] * dt, boundary * 0.01, atol=1e-6)
        share = (radius <= EDGE).mean()
        assert (other[3] <= EDGE).mean() == pytest.approx(share, abs=0.02)
    omega, damping = np.array([2.0, 4.0]), np.array([-3.0, -0.1])
    layer = Resonators(1, plane, plane, 0.01, omega, np.abs(damping), damping)
    omega, _, damping, _ = stability_map(plane, 0.01, [layer])
    assert 4 < omega[-1] < 6
    assert damping[0] < -3 < 0 < damping[-1]


# Frequency response

BALANCED = pytest.mark.parametrize(
    "neuron", [families.BRF, families.BHRF], ids=lambda neuron: neuron.name
)


def test_spike_trains_are_regular() -> None:
    trains = spike_trains(np.array([2 * np.pi, 4 * np.pi, 3.0]), 0.01, 1000)
    assert trains.shape == (1000, 3, 1)
    np.testing.assert_array_equal(np.flatnonzero(trains[:, 0, 0]), np.arange(0, 1000, 100))
    np.testing.assert_array_equal(np.flatnonzero(trains[:, 1, 0]), np.arange(0, 1000, 50))
    gaps = np.diff(np.flatnonzero(trains[:, 2, 0]))
    assert set(gaps.tolist()) <= {209, 210}  # 100 * 2 pi / 3 = 209.44


@BALANCED
def test_a_neuron_answers_most_to_its_own_frequency(neuron: families.Neuron) -> None:
    width = 0.02
    for omega in (5.0, 10.0, 20.0):
        relative = np.arange(20, 201, 2) / 100
        found = frequency_response(neuron, omega, 0.01, relative, 0.1)
        assert abs(relative[found.argmax()] - 1) <= width + ROUNDING
        at = {round(float(r), 2): a for r, a in zip(relative, found, strict=True)}
        assert at[1.0] > 1.5 * max(at[0.74], at[1.4])
        assert at[0.5] > at[0.6]  # every other cycle is pushed


def test_the_peak_comes_to_omega_as_the_step_shrinks() -> None:
    """As the help says; the angle of 1 + dt (p + i omega) per step tells where BRF has it."""
    relative = np.arange(90, 121) / 100
    for dt, brf, bhrf in ((0.01, 1.03, 1.09), (0.005, 1.01, 1.02), (0.001, 1.0, 1.0)):
        found, other = (
            relative[frequency_response(neuron, 40.0, dt, relative, 0.1).argmax()]
            for neuron in (families.BRF, families.BHRF)
        )
        assert (found, other) == (pytest.approx(brf), pytest.approx(bhrf))
        assert abs(found - np.arcsin(40.0 * dt) / (40.0 * dt)) <= 0.01 + ROUNDING


@BALANCED
def test_a_neuron_that_overshoots_has_no_response(neuron: families.Neuron) -> None:
    """The largest b_offset that is answered: 2 cos / dt for BRF, 1 / dt less what omega takes."""
    omega, dt, one = 5.0, 0.01, np.array([1.0])
    limit = 2 * (1 - (omega * dt) ** 2) ** 0.5 / dt
    if neuron is families.BHRF:
        limit = 1 / dt - 0.75 * dt * omega**2
    found = frequency_response(neuron, omega, dt, one, b_offset=0.999 * limit)
    assert found[0] < 1
    with pytest.raises(ParameterError, match="overshoots"):
        frequency_response(neuron, omega, dt, one, b_offset=1.001 * limit)


# Single neuron

DRIVE = {"omega": 10.0, "b_offset": 1.0, "dt": 0.01, "gamma": 0.9, "weight": 100.0}


def test_variants_are_rf_and_brf_at_the_ends() -> None:
    x, traces = single_neuron(**DRIVE)
    neither, refractory, reset, both = traces.values()
    coefficients = divergence_boundary(10.0, 0.01) - DRIVE["b_offset"], 10.0
    for trace, neuron in ((neither, families.RF), (both, families.BRF)):
        names = neuron.real_constants._fields  # type: ignore[attr-defined]
        constants = neuron.real_constants(*({**DRIVE, "theta": 1.0}[name] for name in names))
        state: tuple[float, ...] = (0.0,) * len(neuron.states)
        spikes, u = [], []
        for current in (DRIVE["weight"] * x).tolist():
            state, spike = neuron.real_step(state, current, coefficients, constants)
            spikes.append(bool(spike))
            u.append(state[0])
        np.testing.assert_array_equal(trace.spikes, spikes)
        np.testing.assert_allclose(trace.u, u, atol=ROUNDING)
    np.testing.assert_allclose(neither.u, refractory.u, atol=ROUNDING)  # no damping by q in either
    assert reset.u.max() < neither.u.max()
    counts = [trace.spikes.sum() for trace in traces.values()]  # each mechanism saves spikes
    assert 3 < counts[3] < min(counts[1:3]) <= max(counts[1:3]) < counts[0]


def test_spikes_are_where_u_is_above_the_threshold() -> None:
    _, traces = single_neuron(**{**DRIVE, "omega": 17.0, "gamma": 0.5})
    for index, trace in enumerate(traces.values()):
        np.testing.assert_array_equal(trace.spikes, trace.u > trace.threshold)
        assert (trace.threshold > 1).any() == (index in (1, 3))


# Learning curves


def write_metrics(path: Path, losses: list[float]) -> Path:
    rows = [
        {"epoch": epoch, "train_loss": loss, "validation_accuracy": epoch / 10, "other": 0.1}
        for epoch, loss in enumerate(losses, start=1)
    ]
    path.write_text("".join(json.dumps({**row, "validation_sops": 5}) + "\n" for row in rows))
    return path


def test_curves_reach_over_the_epochs_that_all_runs_reached(tmp_path: Path) -> None:
    files = [
        ("a", write_metrics(tmp_path / "0.jsonl", [3.0, 2.0, 1.0])),
        ("b", write_metrics(tmp_path / "1.jsonl", [7.0])),
        ("a", write_metrics(tmp_path / "2.jsonl", [5.0, 6.0])),
    ]
    found = learning.learning_curves(files)
    assert list(found) == ["a", "b"]
    np.testing.assert_array_equal(found["a"]["train_loss"], [[3, 2], [5, 6]])
    np.testing.assert_array_equal(found["a"]["validation_accuracy"], [[0.1, 0.2]] * 2)
    np.testing.assert_array_equal(found["b"]["train_loss"], [[7]])


def test_curves_read_what_training_writes(trainer: Trainer) -> None:
    found = learning.learning_curves([("run", trainer.out.with_suffix(".jsonl"))])
    expected = [report.validation_accuracy for report in trainer.reports]
    np.testing.assert_allclose(found["run"]["validation_accuracy"], [expected])


def epoch_line(train_loss: str, epoch: str = "1") -> str:
    rest = '"validation_accuracy": 1, "validation_sops": 1'
    return f'{{"epoch": {epoch}, "train_loss": {train_loss}, {rest}}}'


NO_METRICS = {
    "": "no epoch yet",
    "{}\n": "line 1: epoch is missing. Name a metrics file",
    "[]\n": "line 1: []; allowed is a table with the keys epoch, train_loss, validation_accuracy",
    "{\n": "line 1: not valid JSON (Expecting property name",
    "[" * 100_000: "line 1: not valid JSON (nested too deeply). Name a metrics file",
    '{"epoch": 1, "epoch": 1}': "line 1: not valid JSON (epoch stands there twice)",
    epoch_line("1", epoch="2"): "line 1: epoch 2; lines must be in order from 1",
    epoch_line("NaN"): "allowed is a number at least -1e+100 and at most 1e+100. Name a",
    epoch_line("1" * 400): "allowed is a number at least -1e+100 and at most 1e+100. Name a",
    epoch_line('"x"'): 'line 1: train_loss: "x"; allowed is a number',
}


def test_no_metrics(tmp_path: Path) -> None:
    path = tmp_path / "bad.jsonl"
    for text, message in NO_METRICS.items():
        path.write_text(text)
        with pytest.raises(DataError, match=re.escape(message)) as error:
            learning.learning_curves([("bad", path)])
        assert len(str(error.value)) < len(str(path)) + 260


# Parameters before and after


@pytest.mark.parametrize("name", ["rf", "brf", "bhrf"])
def test_parameters_before_and_after_training(name: str, dataset: Dataset, tmp_path: Path) -> None:
    trainer = Trainer(small(name), dataset, 5, CPU, tmp_path / "model.pt")
    omega, b_offset = (
        getattr(trainer.model.hidden_blocks[0].neuron, key).detach().abs().double().numpy().copy()
        for key in ("omega", "b_offset")
    )
    trainer.run()
    found = training(trainer.finish(), dataset, "model.pt")
    assert found.before is not None
    (before,), (after,) = found.before, found.after
    np.testing.assert_array_equal(before.omega, omega)
    np.testing.assert_array_equal(before.b_offset, b_offset)
    assert not np.array_equal(after.omega, omega)
    assert "seed 5" in found.note
    assert after.plane == ("HRF" if name == "bhrf" else "RF")
    extra = 0 if name == "rf" else PLANES[after.plane].damping(after.omega, after.dt)
    np.testing.assert_allclose(after.damping, after.bare_damping + extra, rtol=1e-4, atol=1e-6)


def test_no_initial_values_of_other_data_or_of_an_import(
    checkpoint: Checkpoint, dataset: Dataset
) -> None:
    other = replace(dataset, source=replace(dataset.source, fingerprint="another"))
    with pytest.raises(DataError, match="initial values"):
        training(checkpoint, other, "model.pt")
    imported = replace(checkpoint, seed=None, origin="imported from x.pt")
    found = training(imported, None, "x.pt")
    assert (found.before, found.note) == (None, "imported from x.pt: initial values unknown")


# Disturbances


SPIKES = (np.random.default_rng(0).random((50, 3, 4)) < 0.2).astype(np.int8)


@given(st.floats(0, 1), st.floats(0, 1), st.integers(0, 2**32))
def test_a_stronger_disturbance_contains_the_weaker(a: float, b: float, seed: int) -> None:
    before = SPIKES.copy()
    weak, strong = sorted((a, b))
    fewer, more = (
        sweeps.add_spikes(SPIKES, rate, np.random.default_rng(seed)) for rate in (weak, strong)
    )
    assert more.dtype == np.int8
    assert ((fewer >= SPIKES) & (more >= fewer) & (more <= 1)).all()
    kept, left = (sweeps.kept((50,), rate, np.random.default_rng(seed)) for rate in (weak, strong))
    assert (left <= kept).all()
    np.testing.assert_array_equal(SPIKES, before)


def test_disturbances_have_their_rates() -> None:
    rng = np.random.default_rng(1)
    np.testing.assert_array_equal(sweeps.add_spikes(SPIKES, 0.0, rng), SPIKES)
    assert sweeps.add_spikes(SPIKES, 1.0, rng).all()
    assert sweeps.kept((9,), 0.0, rng).all()
    assert not sweeps.kept((9,), 1.0, rng).any()
    graded = np.array([[[0, 200]]], dtype=np.uint8)
    np.testing.assert_array_equal(sweeps.add_spikes(graded, 1.0, rng), [[[200, 200]]])
    silence = np.zeros((200, 50, 10), np.int8)
    assert sweeps.add_spikes(silence, 0.05, rng).mean() == pytest.approx(0.05, rel=0.05)
    assert sweeps.kept(silence.shape, 0.3, rng).mean() == pytest.approx(0.7, rel=0.05)


def test_weight_noise_is_relative(network: RealNetwork) -> None:
    sparse = sweeps.prune_recurrent(network, 0.5, np.random.default_rng(0))
    same, noisy = (
        sweeps.noisy_weights(sparse, sigma, np.random.default_rng(1)) for sigma in (0.0, 0.1)
    )
    old, kept, new = (
        np.hstack([each.layers[0].weights, each.layers[0].recurrent, each.layers[1].weights.T])
        for each in (sparse, same, noisy)
    )
    np.testing.assert_array_equal(kept, old)
    np.testing.assert_array_equal(new == 0, old == 0)
    deviations = new[old != 0] / old[old != 0] - 1
    assert deviations.std() == pytest.approx(0.1, rel=0.3)
    assert abs(deviations.mean()) < 0.05


@given(st.floats(0, 1), st.integers(0, 2**32))
def test_pruning_takes_exactly_its_share(network: RealNetwork, share: float, seed: int) -> None:
    hidden = network.layers[0]
    assert hidden.recurrent is not None
    pruned = sweeps.prune_recurrent(network, share, np.random.default_rng(seed)).layers[0]
    assert pruned.recurrent is not None
    assert np.count_nonzero(pruned.recurrent == 0) == round(share * hidden.recurrent.size)
    left = pruned.recurrent != 0
    np.testing.assert_array_equal(pruned.recurrent[left], hidden.recurrent[left])
    np.testing.assert_array_equal(pruned.weights, hidden.weights)


# Running networks


def fresh(neuron: families.Neuron) -> Network:
    """A network of that neuron that spikes."""
    base = small({"ALIF": "alif", "RF": "rf", "HRF": "rf"}.get(neuron.name, "brf"))
    recipe = replace(base, network=replace(base.network, neuron=neuron.name))
    return Network(recipe, 4, 6, torch.Generator().manual_seed(1))


@pytest.mark.parametrize("neuron", SPIKING, ids=lambda neuron: neuron.name)
def test_a_network_answers_as_in_torch(
    neuron: families.Neuron, samples: Samples, dataset: Dataset
) -> None:
    model = fresh(neuron).double()
    for block in (*model.hidden, model.readout):
        block.backend = "reference"
    with torch.no_grad():
        outputs, spikes = model(torch.from_numpy(dataset.test.x).double().transpose(1, 2))
    network = model.to_real()
    ours, fired = run(network, samples.x)
    assert fired[0].sum() > 0
    np.testing.assert_array_equal(fired[0], spikes[0].permute(2, 0, 1).numpy())
    np.testing.assert_allclose(ours, outputs.permute(2, 0, 1).numpy(), atol=ROUNDING)
    # losing no spike changes nothing, losing all leaves neurons alone
    unrolled, also_fired = run(network, samples.x, lambda shape: np.ones(shape, np.bool_))
    np.testing.assert_array_equal(fired[0], also_fired[0])
    np.testing.assert_allclose(unrolled, ours, atol=ROUNDING)
    silent, fired = run(network, samples.x, lambda shape: np.zeros(shape, np.bool_))
    _, expected = run(without_recurrence(network), samples.x)
    np.testing.assert_array_equal(fired[0], expected[0])
    assert not silent.any()


def test_scores_are_those_of_training(
    checkpoint: Checkpoint, network: RealNetwork, samples: Samples, dataset: Dataset
) -> None:
    metrics, _ = evaluate(checkpoint.model(), dataset.test, CPU)
    found = score(network, samples)
    assert found.accuracy == pytest.approx(metrics.accuracy, abs=4e-3)  # float32 there
    assert found.sops == pytest.approx(metrics.sops_per_sample, rel=4e-3)


def test_scores_count_the_labels_that_count(network: RealNetwork, samples: Samples) -> None:
    last = replace(samples, labels=samples.labels[:, -1:], decision=Decision("last"))
    outputs, _ = run(network, samples.x)
    expected = np.mean(outputs[-1].argmax(1) == samples.labels[:, -1])
    assert score(network, last).accuracy == pytest.approx(expected)
    with pytest.raises(ParameterError, match="none of the samples"):
        score(network, replace(samples, labels=np.full_like(samples.labels, 255)))


# Sweeps


def test_pruning_from_the_whole_network_to_one_without_recurrence(
    network: RealNetwork, samples: Samples
) -> None:
    how = {"points": 3, "repeats": 2, "seed": 1}
    (found,) = sweeps.sweeps(sweeps.PRUNING, network, samples, **how).values()
    np.testing.assert_array_equal(found.levels, [0, 0.5, 1])
    assert found.accuracy.shape == found.sops.shape == (3, 2)
    whole = score(network, samples)
    assert (found.accuracy[0] == whole.accuracy).all()
    assert (found.sops[0] == whole.sops).all()
    assert (found.sops[2] == score(without_recurrence(network), samples).sops).all()
    (again,) = sweeps.sweeps(sweeps.PRUNING, network, samples, **how).values()
    np.testing.assert_array_equal(found.sops, again.sops)


def test_what_is_pruned_stays_so_while_the_rest_is_trained(
    checkpoint: Checkpoint, network: RealNetwork, dataset: Dataset, samples: Samples
) -> None:
    retrain = sweeps.pruned_and_retrained(checkpoint, dataset, epochs=3)
    for share in (0.5, 1.0):
        found, same = retrain(network, samples, share, np.random.default_rng(1))
        hidden, before = found.layers[0], network.layers[0]
        assert same is samples
        assert np.count_nonzero(hidden.recurrent) == round((1 - share) * before.recurrent.size)
        assert (hidden.weights != before.weights).any()


def test_robustness(network: RealNetwork, samples: Samples) -> None:
    """It begins undisturbed."""
    whole = score(network, samples)
    every = sweeps.sweeps(sweeps.ROBUSTNESS, network, samples, points=3, repeats=2)
    assert list(every) == ["input noise", "input deletion", "hidden deletion", "weight noise"]
    for name, sweep in every.items():
        assert sweep.levels[0] == 0
        assert (sweep.accuracy[0] == whole.accuracy).all(), name
        assert (sweep.sops[0] == whole.sops).all(), name
        assert not (sweep.sops[1:] == whole.sops).all(), name
    silent = replace(samples, x=np.zeros_like(samples.x))
    assert (every["input deletion"].sops[-1] == score(network, silent).sops).all()


# Raster


def test_a_raster_shows_one_sample(network: RealNetwork, dataset: Dataset) -> None:
    fixed, _ = quantize(network, dataset.train.time_major())
    real, integers = (raster(each, dataset, Decision(), 1) for each in (network, fixed))
    for found, ran in ((real, network), (integers, fixed)):
        outputs, fired = run(ran, dataset.test.time_major())
        np.testing.assert_array_equal(found.x, dataset.test.x[1])
        np.testing.assert_array_equal(found.spikes[0], fired[0][:, 1] > 0)
        np.testing.assert_allclose(found.probabilities.sum(1), 1)
        np.testing.assert_array_equal(found.predictions, outputs[:, 1].argmax(1))
        np.testing.assert_array_equal(found.probabilities.argmax(1), found.predictions)
    assert np.abs(integers.probabilities - real.probabilities).mean() < 0.1


# The command


@pytest.fixture(scope="module")
def files(
    checkpoint: Checkpoint, dataset: Dataset, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Path]:
    """Models and what is next to them; nothing in here may be changed."""
    folder = tmp_path_factory.mktemp("files")
    names = ("model.pt", "alif.pt", "forward.pt", "net.h5", "nowhere.h5")
    found = {name: folder / name for name in names}
    save_checkpoint(checkpoint, found["model.pt"])
    for name, recipe in (
        ("alif.pt", small("alif")),
        ("forward.pt", small("brf", "network.recurrent=false")),
    ):
        state = Network(recipe, 4, 6, torch.Generator().manual_seed(1)).state_dict()
        save_checkpoint(replace(checkpoint, recipe=recipe, state_dict=state), found[name])
    fixed, _ = quantize(checkpoint.model().to_real(), dataset.train.time_major())
    write_network(replace(fixed, provenance={"task": "ecg"}), found["net.h5"])
    write_network(fixed, found["nowhere.h5"])
    found["huge.jsonl"] = write_metrics(folder / "huge.jsonl", [3.0, 10**300])
    found["run.jsonl"] = write_metrics(folder / "run.jsonl", [3.0, 2.0])
    return found


@pytest.fixture(autouse=True)
def short_data(monkeypatch: pytest.MonkeyPatch, dataset: Dataset) -> None:
    """The command finds the short data set, whatever this machine has."""
    monkeypatch.setattr("brf_lava.cli.options.DataOptions.load", lambda *_: dataset)


brf_lava = partial(command_line.brf_lava, "plot")


FEW = ("--points", "2", "--repeats", "1", "--limit", "2")
# Words of the command, and what the picture must say; the first eight are of a kind each.
CASES: dict[tuple[str, ...], tuple[str, ...]] = {
    ("boundary",): ("(rad/s)", "(1/s)"),
    ("frequency-response",): ("mean |u|", "threshold = 1"),
    ("single-neuron",): ("time (s)", "membrane u", "refractory q", "smooth reset"),
    ("learning-curves", "run.jsonl", "again=run.jsonl", "again=run.jsonl"): (
        *("epoch", "training loss", "(%)", "SOPs", "again (n = 2)", "run (n = 1)"),
    ),
    ("parameters", "model.pt"): (
        *("(rad/s)", "before training", "after training", "seed 3", "of 2"),
    ),
    ("raster", "model.pt", "--sample", "1"): (
        *("time (s)", "neuron", "softmax", "label", "predicted"),
    ),
    ("pruning", "model.pt", *FEW): ("pruned (%)", "accuracy (%)", "SOPs"),
    ("robustness", "model.pt", *FEW): (
        *("additional input spikes", "deleted (%)", "accuracy (%)", "the first 2 test samples"),
    ),
    ("pruning", "model.pt", "alif.pt", *FEW): ("pruned (%)", "model.pt", "alif.pt"),
    ("pruning", "model.pt", *FEW, "--retrain", "2"): ("pruned (%), then 2 epochs of training",),
    ("robustness", "model.pt", "alif.pt", *FEW): ("alif.pt, hidden deletion", "deleted (%)"),
    ("boundary", "model.pt"): ("trained BRF neurons",),
    ("raster", "net.h5"): ("net.h5 in integers",),
    ("raster", "alif.pt"): ("alif.pt in real numbers",),
}
KINDS = {words[0]: words for words in reversed(CASES)}
STARTS = {".png": b"\x89PNG", ".svg": b"<?xml", ".pdf": b"%PDF"}


def in_full(words: tuple[str, ...], files: dict[str, Path]) -> list[str]:
    """The words of a command, with the files they name in full."""
    parts = [word.rpartition("=") for word in words]
    return [f"{label}{equals}{files.get(name, name)}" for label, equals, name in parts]


@pytest.mark.parametrize("words", CASES, ids=" ".join)
def test_a_picture_is_written_and_nothing_else(
    words: tuple[str, ...], files: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert set(KINDS) == set(plot.commands)
    monkeypatch.chdir(tmp_path)
    result = brf_lava(*in_full(words, files), "-o", "picture.svg")
    command_line.assert_worked(result)
    assert result.output.splitlines() == ["Wrote picture.svg."]
    found = command_line.files(tmp_path)
    assert set(found) == {"picture.svg"}
    for part in CASES[words]:
        assert part in found["picture.svg"].decode(), part


def test_options_that_all_pictures_have(tmp_path: Path) -> None:
    out, table = tmp_path / "picture.svg", tmp_path / "table.csv"
    words = ("plot", "single-neuron", "-o", out)
    plain = command_line.brf_lava(*words)
    command_line.assert_worked(plain)
    before = out.read_text()
    more = ("--width", "5", "--height", "4", "--no-title", "--style", "ggplot", "--csv", table)
    command_line.assert_worked(command_line.brf_lava(*words, *more))
    after = out.read_text()
    assert 'width="360pt" height="288pt"' in after
    assert "input weight" in before
    assert "input weight" not in after
    rows = list(csv.DictReader(table.open()))
    neither, *_ = single_neuron(**DRIVE)[1].values()
    u = [float(row["y"]) for row in rows if row["label"] == "membrane u" and row["panel"] == "1"]
    np.testing.assert_allclose(u, neither.u, rtol=1e-9)
    unknown = command_line.brf_lava(*words, "--style", "nowhere")
    command_line.assert_failed(unknown, 2, "--style nowhere", "ggplot")
    same = command_line.brf_lava(*words, "--csv", out)
    command_line.assert_failed(same, 2, "two different results")


def test_outliers_do_not_squeeze_the_rest() -> None:
    panel = Figure().subplots()
    values = np.append(np.linspace(0, 1, 50), 100.0)
    panel.plot(values)
    style.outliers_aside(panel, values, "y")
    assert panel.get_ylim()[1] < 3
    assert [text.get_text() for text in panel.texts] == ["1 not shown"]
    style.outliers_aside(panel, np.linspace(0, 1, 50), "x")
    assert len(panel.texts) == 1


def test_the_data_of_bands_and_images_are_in_the_table() -> None:
    panel = Figure().subplots()
    panel.imshow([[1.0, 2.0]], extent=(0, 4, 0, 1))
    panel.fill_between([0, 1], [0, 0], [1, 1], label='a "b"')
    rows = list(csv.DictReader(io.StringIO(style.table_of(panel.figure))))
    image = [
        (float(r["x"]), float(r["y"]), float(r["value"])) for r in rows if r["kind"] == "image"
    ]
    assert image == [(1.0, 0.5, 1.0), (3.0, 0.5, 2.0)]
    assert {row["label"] for row in rows if row["kind"] == "band"} == {"a 'b'"}
    assert {row["kind"] for row in rows} == {"image", "band"}


def test_an_ecg_is_shown_with_its_signal_and_named_leads(
    network: RealNetwork, dataset: Dataset
) -> None:
    found = raster(network, dataset, Decision(), 0)
    assert found.signal is not None
    assert found.signal.shape == (STEPS, 2)
    figure = Figure()
    draw_raster(figure, found, "title")
    names = [[label.get_text() for label in panel.get_yticklabels()] for panel in figure.axes]
    assert names[0] == ["lead 1", "lead 2"]
    assert names[1] == ["lead 1 up", "lead 1 down", "lead 2 up", "lead 2 down"]
    assert names[-1] == ["predicted", "label"]
    assert {text.get_text() for text in figure.axes[-1].texts} <= set(CLASSES)
    without = replace(found, labels=np.full(STEPS, UNLABELED, np.uint8))
    draw_raster(figure := Figure(), without, "title")
    assert [label.get_text() for label in figure.axes[-1].get_yticklabels()] == ["predicted"]


def test_a_record_is_drawn_window_by_window(
    network: RealNetwork, dataset: Dataset, tmp_path: Path
) -> None:
    time = np.arange(2 * ECG.steps) / 250
    signal = np.stack([np.sin(2 * np.pi * time), np.cos(3 * np.pi * time)], axis=1)
    record = write_record(tmp_path, "r1", signal)
    found = raster(network, dataset, Decision(), 1, record)
    expected = encode(normalize(signal[None, ECG.steps :]), Encoding().threshold)[0]
    assert np.mean(found.x != expected) < 0.02  # the file has 16 bits
    assert len(found.leads) == 2
    with pytest.raises(DataError, match="no whole window"):
        raster(network, dataset, Decision(), 2, record)
    with pytest.raises(ParameterError, match="for the ecg task"):
        raster(network, replace(dataset, task="x"), Decision(), 0, record)


def test_the_same_picture_is_the_same_file(tmp_path: Path) -> None:
    curves = write_metrics(tmp_path / "run.jsonl", [3.0, 2.0])
    for suffix, start in STARTS.items():
        for name in ("a", "b", "b"):  # which replaces it
            result = brf_lava("learning-curves", curves, "-o", tmp_path / f"{name}{suffix}")
            assert result.exit_code == 0, result.output
        content = (tmp_path / f"a{suffix}").read_bytes()
        assert content.startswith(start)
        assert (tmp_path / f"b{suffix}").read_bytes() == content


@pytest.mark.parametrize(
    ("words", "parts"),
    [
        (("boundary", "net.h5"), ("net.h5", "an exported network", "name its model")),
        (("boundary", "alif.pt"), ("alif.pt", "ALIF, which have no omega")),
        (("boundary", "model.pt", "--dt", "0.02"), ("--dt 0.02", "a step of its own")),
        (("boundary", "--dt", "nan"), ("--dt", "nan is not a number")),
        (("frequency-response", "--b-offset", "1e5"), ("100000/s", "overshoots")),
        (("frequency-response", "--omega", "100"), ("100 rad/s", "below 1")),
        (("single-neuron", "--b-offset", "1e5"), ("b_offset 100000/s", "grows beyond")),
        (("single-neuron", "--gamma", "2"), ("--gamma", "not in the range 0<=x<1")),
        (("learning-curves", "huge.jsonl"), ("huge.jsonl, line 2", "train_loss: 1000", "1e+100")),
        (("learning-curves", "=run"), ("LABEL=FILE",)),
        (("raster", "nowhere.h5"), ("nowhere.h5", "provenance", "brf-lava export")),
        (("raster", "missing.h5"), ("missing.h5", "No such file")),
        (("raster", "model.pt", "--sample", "3"), ("--sample 3", "0 to 2")),
        (("pruning", "net.h5"), ("network in integers",)),
        (("pruning", "forward.pt"), ("no recurrent weights",)),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, tuple) else None,
)
def test_a_mistake_is_one_line_and_no_file(
    words: tuple[str, ...], parts: tuple[str, ...], files: dict[str, Path], tmp_path: Path
) -> None:
    result = brf_lava(*in_full(words, files), "-o", tmp_path / "picture.png")
    command_line.assert_failed(result, 2, *parts)
    assert len(result.output.splitlines()) == 1
    assert command_line.files(tmp_path) == {}


def test_no_picture_there(tmp_path: Path) -> None:
    (tmp_path / "folder.png").mkdir()
    curves = write_metrics(tmp_path / "run.png", [1.0])
    for name, part in (
        ("picture.jpg", "a picture of type .jpg"),
        ("picture", "a picture of type unknown"),
        ("missing/picture.png", "does not exist"),
        ("folder.png", "is not a regular file"),
        ("run.png", "is not a .png picture of Matplotlib"),
    ):
        result = brf_lava("learning-curves", curves, "-o", tmp_path / name)
        command_line.assert_failed(result, 2, name, part)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["folder.png", "run.png"]


def test_data_of_another_label_delay_are_noticed(
    files: dict[str, Path], dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    late = replace(dataset, source=replace(dataset.source, kind="wfdb:threshold=0.3,delay=19"))
    notice = "Notice: the network learned labels that trail the signal by 0 steps; those of this"
    monkeypatch.setattr("brf_lava.cli.options.DataOptions.load", lambda *_: late)
    for kind in ("raster", "parameters"):
        result = brf_lava(*in_full(KINDS[kind], files), "-o", tmp_path / "x.png")
        assert result.stderr.count(notice) == 1
        assert "'brf-lava data prepare ecg --delay 0'" in result.stderr


def test_an_odd_name_of_a_picture_is_one_line(tmp_path: Path) -> None:
    out = tmp_path / "two\nlines\x1b[2J.png"
    curves = write_metrics(tmp_path / "run.jsonl", [3.0, 2.0])
    result = brf_lava("learning-curves", curves, "-o", out)
    assert out.exists()
    assert result.output == f"Wrote {tmp_path}/two\\nlines\\x1b[2J.png.\n"


TITLES = (
    "model.pt\nimported from /a/folder/" + "of-some-length/" * 8 + "ecg_brf.pt: unknown",
    "0123456789" * 30,
    r"costs $\frac$ and $1",
)


def test_a_title_is_broken_into_lines_that_fit(tmp_path: Path) -> None:
    for text, size in product(TITLES, (style.STYLE["figure.titlesize"], style.SMALL)):
        with style.picture(tmp_path / "x.png") as figure:
            figure.set_size_inches(5.6, 4.6)
            style.write_title(figure, text, size)
        (title,) = figure.texts
        box = title.get_window_extent(dpi=style.DPI)
        assert 0 < box.x0 < box.x1 < 5.6 * style.DPI
        assert "".join(title.get_text().split()) == "".join(text.split())


def test_a_stopped_command_leaves_the_old_picture(
    files: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "x.png"
    old = b"\x89PNG by Matplotlib"
    out.write_bytes(old)
    for kind, place, name, error, code in (
        ("boundary", Figure, "savefig", KeyboardInterrupt(), INTERRUPTED),
        ("robustness", sys.modules[sweeps.__name__], "add_spikes", BrfLavaError("no."), 2),
    ):
        monkeypatch.setattr(place, name, Mock(side_effect=error))
        result = brf_lava(*in_full(KINDS[kind], files), "-o", out)
        assert result.exit_code == code
        assert command_line.files(tmp_path) == {"x.png": old}
