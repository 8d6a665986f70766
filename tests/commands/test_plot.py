"""Pictures: the numbers that they show, and the command that draws them."""

from __future__ import annotations

import csv
import io
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import command_line
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from brf_lava.analysis import learning, perturb, sweeps
from brf_lava.analysis.activity import Samples, run_real, score
from brf_lava.analysis.draw import style
from brf_lava.analysis.parameters import initial_network, training
from brf_lava.analysis.raster import raster
from brf_lava.analysis.resonance import (
    frequency_response,
    frequency_responses,
    relative_frequencies,
    spike_trains,
)
from brf_lava.analysis.single_neuron import VARIANTS, Drive, SingleNeuron, single_neuron
from brf_lava.analysis.stability import (
    EDGE,
    LEAST_DT,
    MOST_DT,
    PLANES,
    balanced_damping,
    spectral_radius,
    stability_map,
)
from brf_lava.backends import engine
from brf_lava.cli.main import INTERRUPTED
from brf_lava.cli.plot import plot
from brf_lava.config.recipe import Recipe, load_recipe, override
from brf_lava.data.dataset import Dataset, DataSource, Split, fingerprint
from brf_lava.ecg import synthetic as synthetic_ecg
from brf_lava.errors import BrfLavaError, CheckpointError, DataError, ParameterError
from brf_lava.export.quantize import quantize
from brf_lava.kernels import loop
from brf_lava.network.decision import Decision
from brf_lava.network.file import write_network
from brf_lava.network.layers import RealNetwork
from brf_lava.neurons import families
from brf_lava.neurons.boundary import divergence_boundary, harmonic_boundary
from brf_lava.tasks.registry import find_task
from brf_lava.train.checkpoint import Checkpoint, save_checkpoint
from brf_lava.train.model import Network, evaluate
from brf_lava.train.published import import_published
from brf_lava.train.trainer import Trainer

ROOT = Path(__file__).parents[2]
CPU = torch.device("cpu")
CLASSES = ("P", "PQ", "QR", "RS", "ST", "TP")
SPIKING = [name for name, neuron in families.NEURONS.items() if neuron.spiking]
STEPS, TRAIN, TEST = 200, 12, 3
ROUNDING = 1e-9  # of states, where only the order of float operations differs
FOLDER = os.environ.get("BRF_LAVA_DATA")
PUBLISHED = Path(FOLDER or "") / "checkpoints" / "ecg_brf.pt"


@pytest.fixture(scope="module")
def dataset() -> Dataset:
    """A second of the synthetic ECG."""
    train, test = (
        Split(split.x[:, :STEPS].copy(), split.y[:, :STEPS].copy())
        for split in synthetic_ecg.generate(train=TRAIN, test=TEST, seed=4)
    )
    source = DataSource("synthetic-ecg", "a short synthetic ECG", fingerprint(train, test))
    return Dataset("ecg", CLASSES, 1 / 250, train, test, source)


def small(name: str, *changes: str) -> Recipe:
    """A recipe for seven neurons that spike at once, trained for an epoch."""
    return override(
        load_recipe(f"ecg-{name.lower()}"),
        [
            "epochs=1",
            "validation=3",
            "batch_size=4",
            "network.hidden=[7]",
            "neuron.theta=0.02",
            *changes,
        ],
    )


def trained(recipe: Recipe, dataset: Dataset, out: Path, seed: int = 3) -> Checkpoint:
    trainer = Trainer(recipe, dataset, seed, CPU, out)
    trainer.run()
    return trainer.finish()


@pytest.fixture(scope="module")
def checkpoint(dataset: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Checkpoint:
    return trained(small("brf"), dataset, tmp_path_factory.mktemp("model") / "model.pt")


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
def test_the_map_is_stable_on_one_side_of_its_boundary(plane: str) -> None:
    found = stability_map(plane, 0.01)
    assert found.radius.shape == (len(found.damping), len(found.omega))
    np.testing.assert_array_equal(found.boundary, balanced_damping(plane, found.omega, 0.01))
    if plane == "RF":
        below = found.damping[:, None] < found.boundary - 0.5
        damped = found.damping[:, None] > -2 / 0.01 - found.boundary + 0.5  # not overshooting
        assert (found.radius[below & damped] < 1).all()
        assert (found.radius[found.damping[:, None] > found.boundary + 0.5] > 1).all()


def test_the_map_makes_room_for_neurons() -> None:
    found = stability_map("RF", 0.01, (np.array([2.0, 4.0]), np.array([-3.0, -0.1])))
    assert 4 < found.omega[-1] < 6
    assert found.damping[0] < -3 < 0 < found.damping[-1]


@pytest.mark.parametrize("plane", PLANES)
@pytest.mark.parametrize("dt", [LEAST_DT, 1e-6, 1.0, MOST_DT])
def test_the_map_of_the_shortest_and_the_longest_step(plane: str, dt: float) -> None:
    """All is that of another step, but for the units."""
    found, usual = stability_map(plane, dt), stability_map(plane, 0.01)
    np.testing.assert_allclose(found.omega * dt, usual.omega * 0.01)
    np.testing.assert_allclose(found.boundary * dt, usual.boundary * 0.01, atol=1e-6)
    assert (found.radius <= EDGE).mean() == pytest.approx((usual.radius <= EDGE).mean(), abs=0.02)


# Frequency response


def test_spike_trains_are_regular() -> None:
    trains = spike_trains(np.array([2 * np.pi, 4 * np.pi, 3.0]), 0.01, 1000)
    assert trains.shape == (1000, 3, 1)
    np.testing.assert_array_equal(np.flatnonzero(trains[:, 0, 0]), np.arange(0, 1000, 100))
    np.testing.assert_array_equal(np.flatnonzero(trains[:, 1, 0]), np.arange(0, 1000, 50))
    gaps = np.diff(np.flatnonzero(trains[:, 2, 0]))
    assert set(gaps.tolist()) <= {209, 210}  # 100 * 2 pi / 3 = 209.44


@pytest.mark.parametrize("neuron", [families.BRF, families.BHRF], ids=lambda neuron: neuron.name)
@pytest.mark.parametrize("omega", [5.0, 10.0, 20.0])
def test_a_neuron_answers_most_to_its_own_frequency(neuron: families.Neuron, omega: float) -> None:
    width = 0.02
    found = frequency_response(neuron, omega, 0.01, relative_frequencies(width, 2.0))
    assert abs(found.peak - 1) <= width + ROUNDING
    at = {round(float(r), 2): a for r, a in zip(found.relative, found.amplitude, strict=True)}
    assert at[1.0] > 1.5 * max(at[0.74], at[1.4])
    assert at[0.5] > at[0.6]  # every other cycle is pushed


def test_the_peak_comes_to_omega_as_the_step_shrinks() -> None:
    relative = relative_frequencies(0.005, 1.2, start=0.9)
    offsets = []
    for dt in (0.01, 0.005, 0.001):
        found = frequency_response(families.BRF, 40.0, dt, relative)
        expected = np.arcsin(40.0 * dt) / (40.0 * dt)  # angle of 1 + dt (p + i omega) per step
        assert abs(found.peak - expected) <= 0.005 + ROUNDING
        offsets.append(abs(found.peak - 1))
    assert offsets[0] > offsets[1] > offsets[2]
    assert offsets[0] > 0.02
    assert offsets[2] <= 0.005 + ROUNDING


@pytest.mark.parametrize(
    ("neuron", "peaks"), [(families.BRF, (1.03, 1.01, 1.0)), (families.BHRF, (1.09, 1.02, 1.0))]
)
def test_the_offset_that_the_help_tells_shrinks_with_the_step(
    neuron: families.Neuron, peaks: tuple[float, ...]
) -> None:
    relative = relative_frequencies(0.01, 1.2, start=0.9)
    for dt, peak in zip((0.01, 0.005, 0.001), peaks, strict=True):
        assert frequency_response(neuron, 40.0, dt, relative).peak == pytest.approx(peak)


def test_responses_of_both_models() -> None:
    found = frequency_responses((5.0, 7.0), 0.01, relative_frequencies(0.1, 1.2), 0.1)
    assert [(r.neuron, r.omega) for r in found] == [
        ("BRF", 5.0),
        ("BRF", 7.0),
        ("BHRF", 5.0),
        ("BHRF", 7.0),
    ]
    np.testing.assert_allclose(found[0].relative, 0.1 * np.arange(2, 13))


@pytest.mark.parametrize("neuron", [families.BRF, families.BHRF], ids=lambda neuron: neuron.name)
def test_a_neuron_that_overshoots_has_no_response(neuron: families.Neuron) -> None:
    """The largest b_offset that is answered: 2 cos / dt for BRF, 1 / dt less what omega takes."""
    omega, dt, one = 5.0, 0.01, np.array([1.0])
    limit = 2 * (1 - (omega * dt) ** 2) ** 0.5 / dt
    if neuron is families.BHRF:
        limit = 1 / dt - 0.75 * dt * omega**2
    found = frequency_response(neuron, omega, dt, one, b_offset=0.999 * limit)
    assert found.amplitude[0] < 1
    for b_offset in (1.001 * limit, 1e9, 1e300):
        with pytest.raises(ParameterError, match="overshoots"):
            frequency_response(neuron, omega, dt, one, b_offset=b_offset)


# Single neuron


def run_layer(neuron: families.Neuron, found: SingleNeuron) -> tuple[Any, Any]:
    """Spikes [T] and states [T, S] of a whole neuron under the same input."""
    drive = found.drive
    values = {"dt": drive.dt, "theta": drive.theta, "gamma": drive.gamma}
    names = neuron.real_constants._fields  # type: ignore[attr-defined]
    damping = divergence_boundary(drive.omega, drive.dt) - drive.b_offset
    output, states = loop.forward(
        neuron,
        found.x[:, None, None],
        np.array([[drive.weight]]),
        None,
        np.array([[damping], [drive.omega]]),
        neuron.real_constants(*(values[name] for name in names)),
        integers=False,
        keep_states=True,
    )
    return output[:, 0, 0], states[1:, :, 0, 0]


def test_variants_are_rf_and_brf_at_the_ends() -> None:
    found = single_neuron(Drive())
    neither, refractory, reset, both = found.traces
    for trace, neuron in ((neither, families.RF), (both, families.BRF)):
        spikes, states = run_layer(neuron, found)
        assert spikes.sum() > 3
        np.testing.assert_array_equal(trace.spikes, spikes > 0)
        np.testing.assert_allclose(trace.u, states[:, 0], atol=ROUNDING)
    np.testing.assert_allclose(both.q, states[:, 2], atol=ROUNDING)
    np.testing.assert_allclose(neither.u, refractory.u, atol=ROUNDING)  # no damping by q in either
    assert len(found.traces) == len(VARIANTS)
    assert reset.u.max() < neither.u.max()


def test_each_mechanism_saves_spikes() -> None:
    neither, refractory, reset, both = (t.spikes.sum() for t in single_neuron(Drive()).traces)
    assert both < refractory < neither
    assert both < reset < neither


def test_spikes_are_where_u_is_above_the_threshold() -> None:
    for trace in single_neuron(Drive(omega=17.0, b_offset=0.3)).traces:
        np.testing.assert_array_equal(trace.spikes, trace.u > trace.threshold)
        raised = trace.threshold > 1
        assert raised.any() == trace.variant.refractory


ONE = np.array([1.0])
IN_RANGE = "must be 1e-09 to 1000"
OUT_OF_RANGE: list[tuple[Callable[..., Any], tuple[Any, ...], dict[str, float], str]] = [
    *(
        (stability_map, ("RF", dt), {}, IN_RANGE)
        for dt in (0.0, -1.0, 1e-300, 1e-10, 1e4, float("inf"), float("nan"))
    ),
    (frequency_response, (families.ALIF, 5.0, 0.01, ONE), {}, "neuron ALIF"),
    (frequency_response, (families.BRF, 100.0, 0.01, ONE), {}, "dt\\*omega"),
    (frequency_response, (families.BRF, -1.0, 0.01, ONE), {}, "above 0"),
    (frequency_response, (families.BRF, 1.0, float("nan"), ONE), {}, "dt nan"),
    (frequency_response, (families.BRF, 1.0, 1e-6, ONE), {}, "at most"),
    (frequency_response, (families.BRF, 1.0, 1e-320, ONE), {}, "at most"),
    (frequency_response, (families.BRF, 5e-324, 0.01, ONE), {}, "omega at least 1e-06"),
    *(
        (lambda **wrong: single_neuron(Drive(**wrong)), (), {name: value}, "single-neuron")
        for name, values in {
            "dt": (0.0, 1e-9, 7.0, float("nan")),
            "omega": (0.0, 100.0, 5e-324),
            "gamma": (1.0,),
            "b_offset": (-0.1, 1e5, 1e300),
            "weight": (float("inf"), 1e308),
        }.items()
        for value in values
    ),
]


@pytest.mark.parametrize(("call", "given", "named", "message"), OUT_OF_RANGE)
def test_numbers_out_of_range(
    call: Callable[..., Any], given: tuple[Any, ...], named: dict[str, float], message: str
) -> None:
    with pytest.raises(ParameterError, match=message):
        call(*given, **named)


# Learning curves


def write_metrics(path: Path, losses: list[float], **more: Any) -> Path:
    rows = [
        {
            "epoch": epoch,
            "train_loss": loss,
            "validation_accuracy": epoch / 10,
            "validation_sops": 5,
            "learning_rate": 0.1,
            **more,
        }
        for epoch, loss in enumerate(losses, start=1)
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_curves_are_means_over_the_epochs_that_all_runs_reached(tmp_path: Path) -> None:
    files = [
        ("a", write_metrics(tmp_path / "0.jsonl", [3.0, 2.0, 1.0])),
        ("b", write_metrics(tmp_path / "1.jsonl", [7.0])),
        ("a", write_metrics(tmp_path / "2.jsonl", [5.0, 6.0])),
    ]
    a, b = learning.learning_curves(files)
    assert (a.label, a.runs, b.label, b.runs) == ("a", 2, "b", 1)
    np.testing.assert_array_equal(a.epochs, [1, 2])
    np.testing.assert_allclose(a.mean("train_loss"), [4, 4])
    np.testing.assert_allclose(a.deviation("train_loss"), [2**0.5, 8**0.5])
    np.testing.assert_allclose(a.mean("validation_accuracy"), [0.1, 0.2])
    np.testing.assert_array_equal(b.deviation("train_loss"), [0])


def test_curves_read_what_training_writes(dataset: Dataset, tmp_path: Path) -> None:
    trainer = Trainer(small("brf", "epochs=2"), dataset, 0, CPU, tmp_path / "model.pt")
    trainer.run()
    (found,) = learning.learning_curves([("run", tmp_path / "model.jsonl")])
    expected = [report.validation_accuracy for report in trainer.reports]
    np.testing.assert_allclose(found.mean("validation_accuracy"), expected)


def epoch_line(train_loss: str, epoch: str = "1") -> str:
    return (
        f'{{"epoch": {epoch}, "train_loss": {train_loss}, "validation_accuracy": 1, '
        '"validation_sops": 1}'
    )


NO_METRICS = {
    "": "no epoch yet",
    "{}\n": "line 1: epoch is missing. Name a metrics file",
    '{"epoch": 1}': "line 1: train_loss is missing. Name a metrics file",
    "[]\n": "line 1: []; allowed is a table with the keys epoch, train_loss, validation_accuracy",
    "{\n": "line 1: not valid JSON (Expecting property name",
    "[" * 100_000: "line 1: not valid JSON (nested too deeply). Name a metrics file",
    '{"epoch": 1, "epoch": 1}': "line 1: not valid JSON (epoch stands there twice)",
    epoch_line("1", epoch="2"): "line 1: epoch 2; lines must be in order from 1",
    epoch_line("1", epoch="1.5"): "line 1: epoch: 1.5; allowed is a whole number",
    **{
        epoch_line(value): "allowed is a number at least -1e+100 and at most 1e+100. Name a"
        for value in ("NaN", "Infinity", "-Infinity", "1e300", "1" * 300, "1" * 400)
    },
    epoch_line('"x"'): 'line 1: train_loss: "x"; allowed is a number',
}


def test_no_metrics(tmp_path: Path) -> None:
    path = tmp_path / "bad.jsonl"
    for text, message in NO_METRICS.items():
        path.write_text(text)
        with pytest.raises(DataError, match=re.escape(message)) as error:
            learning.read_curves(path)
        assert len(str(error.value)) < len(str(path)) + 260


# Parameters before and after


@pytest.mark.parametrize("name", ["rf", "brf", "bhrf"])
def test_parameters_before_and_after_training(name: str, dataset: Dataset, tmp_path: Path) -> None:
    trainer = Trainer(small(name), dataset, 5, CPU, tmp_path / "model.pt")
    before = {key: value.clone() for key, value in trainer.model.state_dict().items()}
    trainer.run()
    checkpoint = trainer.finish()
    found = initial_network(checkpoint, dataset).state_dict()
    assert found.keys() == before.keys()
    for key, value in before.items():
        assert torch.equal(found[key], value), key
    both = training(checkpoint, dataset, "model.pt")
    assert both.before is not None
    np.testing.assert_array_equal(
        both.before[0].omega, before["hidden.0.neuron.omega"].double().numpy()
    )
    assert not np.array_equal(both.before[0].omega, both.after[0].omega)
    assert "seed 5" in both.note
    (layer,) = both.after
    extra = 0 if name == "rf" else balanced_damping(layer.plane, layer.omega, layer.dt)
    np.testing.assert_allclose(layer.damping, layer.bare_damping + extra, rtol=1e-4, atol=1e-6)
    assert layer.plane == ("HRF" if name == "bhrf" else "RF")
    assert not (tmp_path / "unwritten.pt").exists()


def test_no_initial_values_of_other_data_or_of_an_import(
    checkpoint: Checkpoint, dataset: Dataset
) -> None:
    other = replace(dataset, source=replace(dataset.source, fingerprint="another"))
    with pytest.raises(DataError, match="initial values"):
        initial_network(checkpoint, other)
    imported = replace(checkpoint, seed=None, origin="imported from x.pt")
    with pytest.raises(CheckpointError, match="imported"):
        initial_network(imported, dataset)
    found = training(imported, None, "x.pt")
    assert found.before is None
    assert "unknown" in found.note


# Disturbances


SPIKES = (np.random.default_rng(0).random((50, 3, 4)) < 0.2).astype(np.int8)


@given(st.floats(0, 1), st.integers(0, 2**32))
def test_disturbed_inputs_stay_inputs(rate: float, seed: int) -> None:
    before = SPIKES.copy()
    more = perturb.add_spikes(SPIKES, rate, np.random.default_rng(seed))
    less = perturb.delete_spikes(SPIKES, rate, np.random.default_rng(seed))
    np.testing.assert_array_equal(SPIKES, before)
    assert more.dtype == less.dtype == np.int8
    assert (less <= SPIKES).all()
    assert (more >= SPIKES).all()
    assert more.max(initial=0) <= 1
    assert less.min(initial=0) >= 0


@given(st.floats(0, 1), st.floats(0, 1), st.integers(0, 2**32))
def test_a_stronger_disturbance_contains_the_weaker(a: float, b: float, seed: int) -> None:
    for change, sign in ((perturb.add_spikes, 1), (perturb.delete_spikes, -1)):
        weak, strong = (
            change(SPIKES, rate, np.random.default_rng(seed)) for rate in sorted((a, b))
        )
        assert (sign * weak <= sign * strong).all(), change


def test_disturbances_have_their_rates() -> None:
    rng = np.random.default_rng(1)
    np.testing.assert_array_equal(perturb.add_spikes(SPIKES, 0.0, rng), SPIKES)
    np.testing.assert_array_equal(perturb.delete_spikes(SPIKES, 0.0, rng), SPIKES)
    assert perturb.add_spikes(SPIKES, 1.0, rng).all()
    assert not perturb.delete_spikes(SPIKES, 1.0, rng).any()
    graded = np.array([[[0, 200]]], dtype=np.uint8)
    np.testing.assert_array_equal(perturb.add_spikes(graded, 1.0, rng), [[[200, 200]]])
    assert perturb.add_spikes(np.zeros((1, 1, 2), np.int8), 1.0, rng).all()
    silence = np.zeros((200, 50, 10), np.int8)
    assert perturb.add_spikes(silence, 0.05, rng).mean() == pytest.approx(0.05, rel=0.05)
    assert perturb.delete_spikes(silence + 1, 0.3, rng).mean() == pytest.approx(0.7, rel=0.05)


def test_weight_noise_is_relative(network: RealNetwork) -> None:
    sparse = perturb.prune_recurrent(network, 0.5, np.random.default_rng(0))
    noisy = perturb.noisy_weights(sparse, 0.1, np.random.default_rng(1))
    same = perturb.noisy_weights(sparse, 0.0, np.random.default_rng(1))
    deviations = []
    for before, after, unchanged in zip(sparse.layers, noisy.layers, same.layers, strict=True):
        for name in ("weights", "recurrent"):
            old, new, kept = (getattr(layer, name) for layer in (before, after, unchanged))
            if old is None:
                continue
            np.testing.assert_array_equal(kept, old)
            np.testing.assert_array_equal(new == 0, old == 0)
            deviations.append((new[old != 0] / old[old != 0] - 1).ravel())
    spread = np.concatenate(deviations)
    assert spread.std() == pytest.approx(0.1, rel=0.3)
    assert abs(spread.mean()) < 0.05
    with pytest.raises(ParameterError, match="sigma -1"):
        perturb.noisy_weights(network, -1.0, np.random.default_rng(0))


@given(st.floats(0, 1), st.integers(0, 2**32))
def test_pruning_takes_exactly_its_share(network: RealNetwork, share: float, seed: int) -> None:
    hidden = network.layers[0]
    assert hidden.recurrent is not None
    pruned = perturb.prune_recurrent(network, share, np.random.default_rng(seed)).layers[0]
    assert pruned.recurrent is not None
    assert np.count_nonzero(pruned.recurrent == 0) == round(share * hidden.recurrent.size)
    left = pruned.recurrent != 0
    np.testing.assert_array_equal(pruned.recurrent[left], hidden.recurrent[left])
    np.testing.assert_array_equal(pruned.weights, hidden.weights)


def test_nothing_to_prune(network: RealNetwork) -> None:
    rng = np.random.default_rng(0)
    with pytest.raises(ParameterError, match="no recurrent weights"):
        perturb.prune_recurrent(without_recurrence(network), 0.5, rng)
    for share in (-0.1, 1.1, float("nan")):
        with pytest.raises(ParameterError, match="from 0 to 1"):
            perturb.prune_recurrent(network, share, rng)


# Running networks


def fresh(name: str) -> Network:
    """A network of that neuron that spikes."""
    base = small({"ALIF": "alif", "RF": "rf", "HRF": "rf"}.get(name, "brf"))
    recipe = replace(base, network=replace(base.network, neuron=name))
    return Network(recipe, 4, 6, torch.Generator().manual_seed(1))


@pytest.mark.parametrize("name", SPIKING)
def test_a_network_answers_as_in_torch(name: str, samples: Samples, dataset: Dataset) -> None:
    model = fresh(name).double()
    for block in (*model.hidden, model.readout):
        block.backend = "reference"
    with torch.no_grad():
        outputs, spikes = model(torch.from_numpy(dataset.test.x).double().transpose(1, 2))
    ours, fired = run_real(model.to_real(), samples.x)
    assert fired[0].sum() > 0
    np.testing.assert_array_equal(fired[0], spikes[0].permute(2, 0, 1).numpy())
    np.testing.assert_allclose(ours, outputs.permute(2, 0, 1).numpy(), atol=ROUNDING)


@pytest.mark.parametrize("name", SPIKING)
def test_losing_no_spike_changes_nothing_and_losing_all_leaves_neurons_alone(
    name: str, samples: Samples
) -> None:
    network = fresh(name).to_real()
    outputs, fired = run_real(network, samples.x)
    unrolled, also_fired = run_real(network, samples.x, lambda shape: np.ones(shape, np.bool_))
    np.testing.assert_array_equal(fired[0], also_fired[0])
    np.testing.assert_allclose(unrolled, outputs, atol=ROUNDING)
    outputs, fired = run_real(network, samples.x, lambda shape: np.zeros(shape, np.bool_))
    _, expected = run_real(without_recurrence(network), samples.x)
    np.testing.assert_array_equal(fired[0], expected[0])
    assert not outputs.any()


def test_scores_are_those_of_training(
    checkpoint: Checkpoint, network: RealNetwork, samples: Samples, dataset: Dataset
) -> None:
    metrics, _ = evaluate(checkpoint.model(), dataset.test, CPU)
    found = score(network, samples)
    assert found.accuracy == pytest.approx(metrics.accuracy, abs=2e-3)  # float32 there
    assert found.sops == pytest.approx(metrics.sops_per_sample, rel=2e-3)


def test_graded_inputs_are_scaled_once(dataset: Dataset) -> None:
    """The network in real numbers takes the integers of the data, as the exported one does."""
    scaled, plain = (
        Network(small("brf"), 4, 6, torch.Generator().manual_seed(1), input_scale=scale).to_real()
        for scale in (1 / 64, 1.0)
    )
    x = dataset.test.time_major()
    outputs, fired = run_real(scaled, (64 * x).astype(np.uint8))
    expected, also_fired = run_real(plain, x)
    np.testing.assert_array_equal(fired[0], also_fired[0])
    np.testing.assert_array_equal(outputs, expected)  # a power of two: not even rounding differs


def test_scores_count_the_labels_that_count(network: RealNetwork, samples: Samples) -> None:
    last = replace(samples, labels=samples.labels[:, -1:], decision=Decision("last"))
    outputs, _ = run_real(network, samples.x)
    expected = np.mean(outputs[-1].argmax(1) == samples.labels[:, -1])
    assert score(network, last).accuracy == pytest.approx(expected)
    with pytest.raises(ParameterError, match="none of the samples"):
        score(network, replace(samples, labels=np.full_like(samples.labels, 255)))


# Sweeps


def test_pruning_from_the_whole_network_to_one_without_recurrence(
    network: RealNetwork, samples: Samples
) -> None:
    done: list[int] = []
    found = sweeps.pruning(network, samples, points=3, repeats=2, seed=1, on_progress=done.append)
    np.testing.assert_array_equal(found.levels, [0, 0.5, 1])
    assert found.accuracy.shape == found.sops.shape == (3, 2)
    assert done == list(range(1, sweeps.runs(3, 2) + 1))
    whole = score(network, samples)
    assert (found.accuracy[0] == whole.accuracy).all()
    assert (found.sops[0] == whole.sops).all()
    assert (found.sops[2] == score(without_recurrence(network), samples).sops).all()
    again = sweeps.pruning(network, samples, points=3, repeats=2, seed=1)
    np.testing.assert_array_equal(found.sops, again.sops)
    with pytest.raises(ParameterError, match="1 points"):
        sweeps.pruning(network, samples, points=1, repeats=2)


@pytest.fixture(scope="module")
def robustness(
    network: RealNetwork, samples: Samples, dataset: Dataset
) -> tuple[sweeps.Sweep, ...]:
    done: list[int] = []
    found = sweeps.robustness(
        network, samples, dataset.train.time_major(), points=3, repeats=2, on_progress=done.append
    )
    assert done == list(range(1, 1 + sweeps.robustness_runs(3, 2)))
    return found


def test_robustness_begins_undisturbed(
    robustness: tuple[sweeps.Sweep, ...], network: RealNetwork, samples: Samples
) -> None:
    whole = score(network, samples)
    *disturbed, bits = robustness
    names = [sweep.name for sweep in disturbed]
    assert names == ["input noise", "input deletion", "hidden deletion", "weight noise"]
    for sweep in disturbed:
        assert sweep.levels[0] == 0
        assert (sweep.accuracy[0] == whole.accuracy).all(), sweep.name
        assert (sweep.sops[0] == whole.sops).all(), sweep.name
        assert not (sweep.sops[1:] == whole.sops).all(), sweep.name
    silent = replace(samples, x=np.zeros_like(samples.x))
    assert (disturbed[1].sops[-1] == score(network, silent).sops).all()
    np.testing.assert_array_equal(bits.levels, [2, 3, 4, 5, 6, 7, 8])


def test_weight_bits_are_those_of_the_export(
    robustness: tuple[sweeps.Sweep, ...], network: RealNetwork, samples: Samples, dataset: Dataset
) -> None:
    bits = robustness[-1]
    fixed, _ = quantize(network, dataset.train.time_major(), weight_bits=5)
    activity = engine.run(fixed, samples.x)
    at = int(np.flatnonzero(bits.levels == 5)[0])
    assert bits.accuracy[at, 0] == np.mean(samples.labels == activity.outputs.argmax(2).T)
    assert bits.sops[at, 0] == sum(int(layer.sum()) for layer in activity.spikes) / TEST
    assert score(fixed, samples).sops == bits.sops[at, 0]


def test_csv_holds_every_run(robustness: tuple[sweeps.Sweep, ...]) -> None:
    rows = list(csv.DictReader(io.StringIO(sweeps.as_csv(robustness))))
    assert len(rows) == sum(sweep.accuracy.size for sweep in robustness)
    row = rows[3]
    sweep = robustness[0]
    assert (row["disturbance"], row["repeat"]) == ("input noise", "1")
    assert float(row["level"]) == pytest.approx(sweep.levels[1])
    assert float(row["accuracy"]) == pytest.approx(sweep.accuracy[1, 1])
    assert float(row["sops_per_sample"]) == pytest.approx(sweep.sops[1, 1])


# Raster


def test_a_raster_shows_one_sample(network: RealNetwork, dataset: Dataset) -> None:
    found = raster(network, dataset, Decision(), 1)
    outputs, fired = run_real(network, dataset.test.time_major())
    np.testing.assert_array_equal(found.x, dataset.test.x[1])
    np.testing.assert_array_equal(found.spikes[0], fired[0][:, 1] > 0)
    np.testing.assert_allclose(found.probabilities.sum(1), 1)
    np.testing.assert_array_equal(found.predictions, outputs[:, 1].argmax(1))
    np.testing.assert_array_equal(found.probabilities.argmax(1), found.predictions)


def test_a_raster_of_integers_is_near_that_of_real_numbers(
    network: RealNetwork, dataset: Dataset
) -> None:
    fixed, _ = quantize(network, dataset.train.time_major())
    found, real = (raster(one, dataset, Decision(), 1) for one in (fixed, network))
    fired = engine.run(fixed, dataset.test.time_major()).spikes[0][:, 1] > 0
    np.testing.assert_array_equal(found.spikes[0], fired)
    assert np.abs(found.probabilities - real.probabilities).mean() < 0.1


# Real data


@pytest.mark.skipif(
    not (FOLDER and PUBLISHED.exists()),
    reason="the QT database and the published ECG checkpoint are not under BRF_LAVA_DATA",
)
def test_the_published_network_scores_as_published() -> None:
    data = find_task("ecg").load(Path(FOLDER or ""))
    model = import_published(PUBLISHED, data, "BRF")
    found = score(model.model().to_real(), Samples(data.test.time_major(), data.test.y, Decision()))
    assert found.accuracy == pytest.approx(0.8621, abs=2e-4)
    assert found.sops == pytest.approx(6913.55, rel=1e-4)


# The command


@pytest.fixture(scope="module")
def files(
    checkpoint: Checkpoint, dataset: Dataset, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Path]:
    """Models and what is beside them; nothing in here may be changed."""
    folder = tmp_path_factory.mktemp("files")
    names = ("model.pt", "alif.pt", "forward.pt", "net.h5", "nowhere.h5", "other.pt")
    found = {name: folder / name for name in names}
    save_checkpoint(checkpoint, found["model.pt"])
    trained(small("alif"), dataset, found["alif.pt"])
    trained(small("brf", "network.recurrent=false"), dataset, found["forward.pt"])
    fixed, _ = quantize(checkpoint.model().to_real(), dataset.train.time_major())
    write_network(replace(fixed, provenance={"task": "ecg"}), found["net.h5"])
    write_network(fixed, found["nowhere.h5"])
    found["other.pt"].write_text("no model\n")
    found["huge.jsonl"] = write_metrics(folder / "huge.jsonl", [3.0, 10**300])
    found["run.jsonl"] = write_metrics(folder / "run.jsonl", [3.0, 2.0])
    return found


@pytest.fixture(autouse=True)
def short_data(monkeypatch: pytest.MonkeyPatch, dataset: Dataset) -> None:
    """The command finds the short data set, whatever this machine has."""
    monkeypatch.setattr("brf_lava.cli.options.load_data", lambda *_: dataset)


brf_lava = partial(command_line.brf_lava, "plot")


# Words after the kind, and what the picture must say.
KINDS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "boundary": ((), ("(rad/s)", "(1/s)")),
    "frequency-response": (("--bin", "0.1"), ("mean |u|", "threshold = 1")),
    "single-neuron": ((), ("time (s)", "membrane u", "refractory q", "smooth reset")),
    "learning-curves": (
        ("run.jsonl", "again=run.jsonl", "again=run.jsonl"),
        ("epoch", "training loss", "(%)", "SOPs", "again (n = 2)", "run (n = 1)"),
    ),
    "parameters": (
        ("model.pt",),
        ("(rad/s)", "before training", "after training", "seed 3", "epoch 1 of 1"),
    ),
    "raster": (
        ("model.pt", "--sample", "1"),
        ("time (s)", "neuron", "softmax", "label", "predicted"),
    ),
    "pruning": (
        ("model.pt", "--points", "2", "--repeats", "1"),
        ("pruned (%)", "accuracy (%)", "SOPs"),
    ),
    "robustness": (
        ("model.pt", "--points", "2", "--repeats", "1", "--limit", "2"),
        ("weight bits", "deleted (%)", "accuracy (%)", "the first 2 test samples"),
    ),
}
MORE = {
    "boundary of a model": (("boundary", "model.pt"), ("trained BRF neurons",)),
    "raster of a network": (("raster", "net.h5"), ("net.h5 in integers",)),
    "raster of ALIF": (("raster", "alif.pt"), ("alif.pt in real numbers",)),
}
CASES = {**{kind: ((kind, *rest), says) for kind, (rest, says) in KINDS.items()}, **MORE}
STARTS = {".png": b"\x89PNG", ".svg": b"<?xml", ".pdf": b"%PDF"}


def arguments_of(case: str, files: dict[str, Path]) -> list[str]:
    """The words of a case, with the files they name in full."""
    words = []
    for word in CASES[case][0]:
        label, equals, name = word.rpartition("=")
        words.append(f"{label}{equals}{files.get(name, name)}")
    return words


def test_every_kind_is_tested() -> None:
    assert set(KINDS) == set(plot.commands)


@pytest.mark.parametrize("case", CASES)
def test_a_picture_is_written_and_nothing_else(
    case: str, files: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    result = brf_lava(*arguments_of(case, files), "-o", "picture.svg")
    assert result.exit_code == 0, result.output
    assert "picture.svg" in result.output
    found = command_line.files(tmp_path)
    assert set(found) == {"picture.svg"} | ({"picture.csv"} if case == "robustness" else set())
    text = found["picture.svg"].decode()
    for part in CASES[case][1]:
        assert part in text, part


@pytest.mark.parametrize("suffix", STARTS)
def test_the_same_picture_is_the_same_file(suffix: str, tmp_path: Path) -> None:
    for name in ("a", "b"):
        out = tmp_path / f"{name}{suffix}"
        assert brf_lava("single-neuron", "-o", out).exit_code == 0
        assert out.read_bytes().startswith(STARTS[suffix])
    assert (tmp_path / f"a{suffix}").read_bytes() == (tmp_path / f"b{suffix}").read_bytes()


@pytest.mark.parametrize(
    ("words", "parts"),
    [
        (("boundary", "nowhere.pt"), ("nowhere.pt", "no such file")),
        (("boundary", "other.pt"), ("other.pt", "not a torch file")),
        (("boundary", "net.h5"), ("net.h5", "network in integers", ".pt")),
        (("boundary", "alif.pt"), ("alif.pt", "ALIF, which have no omega")),
        (("boundary", "model.pt", "--dt", "0.02"), ("--dt 0.02", "0.01")),
        (("boundary", "--dt", "-1"), ("dt -1",)),
        (("boundary", "--dt", "1e-300"), ("dt 1e-300", "1e-09 to 1000")),
        (("frequency-response", "--b-offset", "1e9", "--omega", "5"), ("1e+09/s", "overshoots")),
        (("frequency-response", "--b-offset", "inf"), ("b_offset inf", "finite")),
        (("single-neuron", "--b-offset", "1e5"), ("b_offset 100000/s", "grows beyond")),
        (("learning-curves", "huge.jsonl"), ("huge.jsonl, line 2", "train_loss: 1000", "1e+100")),
        (("parameters", "alif.pt"), ("ALIF", "no omega")),
        (("raster", "nowhere.h5"), ("nowhere.h5", "provenance", "brf-lava export")),
        (("raster", "missing.h5"), ("missing.h5", "no such file")),
        (("raster", "other.pt"), ("other.pt", "not a torch file")),
        (("raster", "model.pt", "--sample", "3"), ("--sample 3", "0 to 2")),
        (("learning-curves", "model.pt"), ("model.pt", ".jsonl")),
        (("learning-curves", "missing.jsonl"), ("missing.jsonl", "cannot be read")),
        (("learning-curves", "=run.jsonl"), ("LABEL=FILE",)),
        (("pruning", "net.h5"), ("network in integers",)),
        (("pruning", "forward.pt"), ("no recurrent weights",)),
        (("frequency-response", "--omega", "100"), ("100 rad/s", "below 1")),
        (("single-neuron", "--gamma", "2"), ("gamma 2", "below 1")),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, tuple) else None,
)
def test_a_mistake_is_one_line_and_no_file(
    words: tuple[str, ...], parts: tuple[str, ...], files: dict[str, Path], tmp_path: Path
) -> None:
    out = tmp_path / "picture.png"
    label = words[1].startswith("=") if len(words) > 1 else False
    arguments = words if label else tuple(str(files.get(word, word)) for word in words)
    result = brf_lava(*arguments, "-o", out)
    command_line.assert_failed(result, 2, *parts)
    assert len(result.output.splitlines()) == 1
    assert command_line.files(tmp_path) == {}


@pytest.mark.parametrize("name", ["picture.jpg", "picture", "missing/picture.png", "folder.png"])
def test_no_picture_there(name: str, files: dict[str, Path], tmp_path: Path) -> None:
    (tmp_path / "folder.png").mkdir()
    for case in ("boundary", "robustness"):
        result = brf_lava(*arguments_of(case, files), "-o", tmp_path / name)
        command_line.assert_failed(result, 2, name.split("/")[0])
    assert [path.name for path in tmp_path.iterdir()] == ["folder.png"]


def test_inputs_are_not_replaced(files: dict[str, Path], tmp_path: Path) -> None:
    run = write_metrics(tmp_path / "run.png", [1.0])
    before = run.read_bytes()
    result = brf_lava("learning-curves", run, "-o", run)
    command_line.assert_failed(result, 2, "would replace")
    assert run.read_bytes() == before


@pytest.mark.parametrize("case", ["raster", "pruning", "robustness", "parameters"])
def test_data_of_another_label_delay_are_noticed(
    case: str,
    files: dict[str, Path],
    dataset: Dataset,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    late = replace(dataset, source=replace(dataset.source, kind="wfdb:threshold=0.3,delay=19"))
    notice = "Notice: the network learned labels that trail the signal by 0 steps; those of this"
    result = brf_lava(*arguments_of(case, files), "-o", tmp_path / "x.png")
    assert "Notice" not in result.output
    monkeypatch.setattr("brf_lava.cli.options.load_data", lambda *_: late)
    result = brf_lava(*arguments_of(case, files), "-o", tmp_path / "x.png")
    if case != "parameters":  # which refuses other data than those of the training
        assert result.exit_code == 0, result.output
    assert result.stderr.count(notice) == 1
    assert "'brf-lava data prepare ecg --delay 0'" in result.stderr


@pytest.mark.parametrize("case", ["single-neuron", "robustness"])
def test_an_odd_name_of_a_picture_is_one_line(
    case: str, files: dict[str, Path], tmp_path: Path
) -> None:
    out = tmp_path / "two\nlines\x1b[2J.png"
    result = brf_lava(*arguments_of(case, files), "-o", out)
    assert result.exit_code == 0, result.output
    assert out.exists()
    (line,) = result.output.splitlines()
    assert line.startswith("Wrote ")
    assert "/two\\nlines\\x1b[2J.png" in line


@pytest.mark.parametrize("size", [style.STYLE["figure.titlesize"], style.SMALL])
@pytest.mark.parametrize(
    "text",
    [
        "model.pt\nimported from /a/folder/" + "of-some-length/" * 8 + "ecg_brf.pt: unknown",
        "0123456789" * 30,
        r"costs $\frac$ and $1",
    ],
)
def test_a_title_is_broken_into_lines_that_fit(text: str, size: float, tmp_path: Path) -> None:
    with style.picture(tmp_path / "x.png") as figure:
        figure.set_size_inches(5.6, 4.6)
        figure.subplots()
        style.write_title(figure, text, size)
    (title,) = figure.texts
    box = title.get_window_extent(dpi=style.DPI)
    assert box.x0 > 0
    assert box.x1 < 5.6 * style.DPI
    assert "".join(title.get_text().split()) == "".join(text.split())


def test_the_title_of_an_imported_model_is_whole(checkpoint: Checkpoint, tmp_path: Path) -> None:
    origin = "imported from " + "a-checkpoint-with-a-long-name-" * 6 + "brf.pt"
    path = tmp_path / "imported.pt"
    save_checkpoint(replace(checkpoint, seed=None, origin=origin), path)
    result = brf_lava("parameters", path, "-o", tmp_path / "x.svg")
    assert result.exit_code == 0, result.output
    drawn = (tmp_path / "x.svg").read_text()
    assert "initial values unknown" in drawn
    assert origin not in drawn  # not on one line


def test_an_interrupted_picture_leaves_the_old_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from matplotlib.figure import Figure

    def interrupt(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    out = tmp_path / "x.png"
    out.write_bytes(b"old")
    monkeypatch.setattr(Figure, "savefig", interrupt)
    result = brf_lava("boundary", "-o", out)
    assert result.exit_code == INTERRUPTED
    assert command_line.files(tmp_path) == {"x.png": b"old"}


def test_a_failed_sweep_leaves_no_picture(
    files: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any, **__: Any) -> Any:
        raise BrfLavaError("no.")

    monkeypatch.setattr(sweeps, "quantize", fail)
    result = brf_lava(*arguments_of("robustness", files), "-o", tmp_path / "x.png")
    assert result.exit_code == 2
    assert command_line.files(tmp_path) == {}


def test_importing_the_command_is_light() -> None:
    script = "import sys, brf_lava.cli.plot; print(*{n.split('.')[0] for n in sys.modules})"
    run = subprocess.run(
        [sys.executable, "-c", script], check=True, stdout=subprocess.PIPE, cwd=ROOT
    )
    heavy = {"torch", "numpy", "numba", "matplotlib", "h5py", "scipy", "lava"}
    assert not heavy & set(run.stdout.decode().split())
