"""brf-lava audit: its numbers, counted here in another way, and the command."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from command_line import assert_failed, assert_worked, brf_lava, printed
from matplotlib.figure import Figure
from networks import SPIKING, give_commands, short_ecg

from brf_lava.analysis.activity import CHUNK, Samples, run, score
from brf_lava.analysis.audit import (
    ARITHMETIC,
    CONSTANTS,
    INTEGERS,
    PARAMETERS,
    RECURRENT,
    WEIGHTS,
    Audit,
    audit,
    draw_audit,
    integer_parts,
    layer_of,
    real_parts,
    source_networks,
    verdict,
)
from brf_lava.config.recipe import load_recipe, override
from brf_lava.errors import NetworkFileError, ParameterError
from brf_lava.export.quantize import quantize
from brf_lava.network.decision import UNLABELED
from brf_lava.network.file import read_network
from brf_lava.network.forward import forward
from brf_lava.network.layers import FixedNetwork, RealNetwork
from brf_lava.neurons.families import Neuron
from brf_lava.neurons.fixed import STATE_MAX
from brf_lava.train.checkpoint import Checkpoint, measured, save_checkpoint
from brf_lava.train.export import export_model
from brf_lava.train.model import Network

DATASET = short_ecg()
SMALL = 0.1  # of a threshold: what the rounding of states makes in a few steps


def checkpoint_of(neuron: Neuron, seed: int = 0, *changes: str) -> Checkpoint:
    """A network with its first weights, which are enough to spike."""
    spikes = () if neuron.name == "ALIF" else ("theta=0.02",)
    like = "rf" if neuron.name == "HRF" else neuron.name.lower()  # HRF has no recipe
    shape = ("network.hidden=[7]", f"network.neuron={neuron.name}", *spikes, *changes)
    recipe = override(load_recipe(f"ecg-{like}"), shape)
    weights = Network(recipe, 4, 6, torch.Generator().manual_seed(seed)).state_dict()
    history = {"seed": seed, "origin": "here", "epoch": 0, "epochs_done": 0}
    return measured(recipe, DATASET, weights, torch.device("cpu"), **history)


@pytest.fixture(scope="module", params=SPIKING, ids=lambda neuron: neuron.name)
def model(request: pytest.FixtureRequest) -> Checkpoint:
    return checkpoint_of(request.param)


@pytest.fixture(scope="module")
def brf() -> Checkpoint:
    return checkpoint_of(SPIKING[1])


def inputs() -> Any:
    return DATASET.train.time_major()


def coarse(checkpoint: Checkpoint) -> tuple[RealNetwork, FixedNetwork]:
    """The float network, and integers that are far from it."""
    network = checkpoint.model().to_real()
    return network, quantize(
        network, inputs(), parameter_bits=10, weight_bits=4, rounding="nearest"
    )[0]


def labeled(decision: Any, repeats: int = 1) -> Samples:
    test = DATASET.test
    x = np.tile(test.time_major(), (1, repeats, 1))
    return Samples(x, np.tile(test.y, (repeats, 1)), decision)


# The float network with some of the integers


def test_the_parts_of_a_layer_are_the_layer(model: Checkpoint) -> None:
    for layer in model.model().to_real().layers:
        again = layer_of(layer, real_parts(layer))
        assert again.constants == layer.constants
        for name in ("weights", "recurrent", "coefficients"):
            theirs, ours = getattr(layer, name), getattr(again, name)
            assert (theirs is None) == (ours is None)
            if theirs is not None:
                np.testing.assert_allclose(ours, theirs, rtol=1e-12)


def test_the_parts_of_the_integers_do_what_the_integers_do(model: Checkpoint) -> None:
    """Until a spike differs, only the rounding of the states is between them."""
    network, fixed = coarse(model)
    layer, integers = network.layers[0], fixed.layers[0]
    theta = layer.constants.theta
    spikes, states = forward(integers, inputs(), keep_states=True)
    found, real_states = forward(
        layer_of(layer, integer_parts(integers, layer)),
        inputs().astype(float),
        keep_states=True,
    )
    _, before = forward(layer, inputs().astype(float), keep_states=True)
    differs = (spikes != found).any(axis=(1, 2))
    same = int(differs.argmax()) if differs.any() else len(differs)
    assert same > 5
    part = slice(1, min(same, 40))
    u = states[part, 0] * 2.0**-integers.constants.state_bits
    error = np.abs(u - real_states[part, 0]).max() / theta
    assert error < SMALL
    assert np.abs(u - before[part, 0]).max() / theta > 2 * error


def test_each_source_is_changed_alone(model: Checkpoint) -> None:
    network, fixed = coarse(model)
    found = source_networks(network, fixed)
    exact = found.pop(PARAMETERS)
    assert list(source_networks(exact, fixed)) == [PARAMETERS]  # the integers hold all of it
    labels = [each.label for each in network.layers[0].neuron.per_neuron]
    expected = {f"hidden1 {source}" for source in (WEIGHTS, RECURRENT, *labels)}
    expected |= {"readout weights", "readout decay"}
    assert expected <= set(found) <= expected | {"hidden1 constants"}
    for name, changed in found.items():
        where, source = name.split(" ", 1)
        for layer, ours, theirs, integers in zip(
            fixed.layer_names, changed.layers, network.layers, fixed.layers, strict=True
        ):
            was, now = real_parts(theirs), real_parts(ours)
            swapped = integer_parts(integers, theirs)
            for part in was:
                right = swapped if (layer, part) == (where, source) else was
                if part == CONSTANTS:
                    assert now[part] == right[part]
                else:
                    np.testing.assert_allclose(now[part], right[part], rtol=1e-9, atol=1e-15)


# The audit


def assert_audit(found: Audit, network: RealNetwork, fixed: FixedNetwork, samples: Samples) -> None:
    """Against runs of all samples at once."""
    whole, integers = run(network, samples.x), run(fixed, samples.x)
    answers = [samples.decision.predict(each[0]) for each in (whole, integers)]
    ours, theirs = (score(judged, samples) for judged in (network, fixed))
    assert found.sources[INTEGERS].accuracies == (ours.accuracy, theirs.accuracy)
    assert found.sources[INTEGERS].sops == (ours.sops, theirs.sops)
    assert found.sources[INTEGERS].agreement == np.mean(answers[0] == answers[1])
    steps, count = samples.x.shape[:2]
    for b in range(count):
        spikes = [t for t in range(steps) if (whole[1][0][t, b] != integers[1][0][t, b]).any()]
        answer = [t for t in range(steps) if answers[0][b, t] != answers[1][b, t]]
        assert found.first_spike[b] == min(spikes, default=steps)
        assert found.first_prediction[b] == min(answer, default=steps)
    signals: list[Any] = [samples.x.astype(float), samples.x]
    for k, name in enumerate(fixed.layer_names):
        (spikes, real_states), (integers_out, states) = (
            forward(each.layers[k], signal, keep_states=True)
            for each, signal in zip((network, fixed), signals, strict=True)
        )
        signals = [spikes, integers_out]
        layer = fixed.layers[k]
        for s, state in enumerate(layer.neuron.states):
            if state == "z":
                continue
            told = found.states[f"{name} {state}"]
            scale = layer.neuron.state_units.get(state, layer.unit)
            each = np.abs(states[1:, s])
            full = each >= STATE_MAX
            first = np.where(full.any((0, 1)), full.any(1).argmax(0), steps)
            for values, right in (
                (told["float"], np.abs(real_states[1:, s]).max((0, 1))),
                (told["integers"], each.max((0, 1)) / scale),
                (told["saturations"], full.sum((0, 1))),
                (told["first"], first),
            ):
                np.testing.assert_array_equal(values, right)
        theta = getattr(network.layers[k].constants, "theta", 1)
        error = (states[1:, 0] / layer.unit - real_states[1:, 0]) / theta
        rms = np.sqrt(np.square(error).mean((1, 2)))
        np.testing.assert_allclose(found.membrane[k], rms, rtol=1e-9)


def test_an_audit_says_what_two_runs_say(model: Checkpoint) -> None:
    network, fixed = coarse(model)
    repeats = CHUNK // len(DATASET.test.x) + 2  # more than one part
    samples = labeled(model.recipe.decision, repeats)
    found = audit(network, fixed, samples)
    assert_audit(found, network, fixed, samples)
    assert found.sources[INTEGERS].agreement < 1
    both = [
        run(each, samples.x)[0] for each in (source_networks(network, fixed)[PARAMETERS], fixed)
    ]
    ours, theirs = map(samples.decision.predict, both)
    assert found.sources[ARITHMETIC].agreement == np.mean(ours == theirs)


def test_saturations_are_found_where_and_when_they_are(brf: Checkpoint) -> None:
    """Without labels, of which then nothing is said."""
    network = brf.model().to_real()
    loud = replace(network.layers[0], weights=1000 * network.layers[0].weights)
    network = RealNetwork((loud, network.layers[1]))
    fixed, _ = quantize(network, inputs(), state_bits=18)
    samples = labeled(brf.recipe.decision)
    found = audit(network, fixed, samples)
    assert_audit(found, network, fixed, samples)
    assert "accuracy" in verdict(found)[0]
    state = found.states["hidden1 u"]
    assert state["saturations"].any()
    count = np.count_nonzero(state["saturations"])
    line = f"Saturated: hidden1 u ({count} neurons, first in step {state['first'].min()})"
    samples = replace(samples, labels=np.full_like(samples.labels, UNLABELED))
    found = audit(network, fixed, samples)
    assert found.sources[INTEGERS].accuracies is None
    first, second, _ = verdict(found)
    assert "accuracy" not in first
    assert second.startswith(line)


def test_ranges_are_those_of_the_data_and_of_the_integers(brf: Checkpoint) -> None:
    network = brf.model().to_real()
    fixed, _ = quantize(network, inputs())
    samples = labeled(brf.recipe.decision)
    found = audit(network, fixed, samples)
    layer, integers = network.layers[0], fixed.layers[0]
    unit = 2.0**-integers.constants.state_bits
    spikes, states = forward(layer, samples.x.astype(float), keep_states=True)
    u = np.abs(states[1:, 0])
    *_, middle, _, most, least, limit = found.ranges["hidden1 u"]
    assert (middle, most) == (np.median(u[u != 0]), u.max())
    assert (least, limit) == (unit, STATE_MAX * unit)
    *_, most, least, limit = found.ranges["hidden1 weights"]
    assert most == pytest.approx(layer.constants.dt * np.abs(layer.weights).max())
    assert least == unit * 2**integers.weights.exponent
    assert limit == 127 * least
    before = np.concatenate([np.zeros_like(spikes[:1]), spikes[:-1]])
    current = samples.x @ layer.weights.T + before @ layer.recurrent.T
    most = found.ranges["hidden1 currents"][4]
    assert most == pytest.approx(layer.constants.dt * np.abs(current).max())
    assert list(found.ranges)[-3:] == ["readout weights", "readout currents", "readout o"]
    with pytest.raises(ParameterError, match=r"\[steps, samples, 4\] is needed"):
        audit(network, fixed, replace(samples, x=samples.x[..., :3]))


# The command


@pytest.fixture(scope="module")
def folder(brf: Checkpoint, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("audit")
    save_checkpoint(brf, folder / "model.pt")
    export_model(brf, DATASET, folder / "net.h5")
    return folder


@pytest.fixture(autouse=True)
def its_data(monkeypatch: pytest.MonkeyPatch) -> None:
    give_commands(monkeypatch, DATASET)


@pytest.fixture
def found(folder: Path, brf: Checkpoint) -> Audit:
    fixed, _ = read_network(folder / "net.h5")
    return audit(brf.model().to_real(), fixed, labeled(brf.recipe.decision))


def test_the_command_shows_the_verdict_first(folder: Path, found: Audit) -> None:
    short = printed("audit", folder / "model.pt", folder / "net.h5").splitlines()
    lines = printed("audit", folder / "model.pt", folder / "net.h5", "--all").splitlines()
    assert lines[:3] == short[:3] == verdict(found)
    assert len(short) < 10
    assert "Cannot overflow" in lines[3]
    assert len(lines) < 32
    assert max(map(len, lines[5:])) <= 80
    kept = f"{found.sources[INTEGERS].agreement:.2%}"
    assert kept in lines[0]
    assert any("the integers" in line and kept in line for line in lines[5:])
    assert any("hidden1 u" in line for line in lines)


def test_json_has_all_of_it(folder: Path, brf: Checkpoint) -> None:
    short = ("--limit", 2, "--json")
    found = json.loads(printed("audit", folder / "model.pt", folder / "net.h5", *short))
    assert found["model"] == brf.fingerprint
    assert found["data"]["fingerprint"] == DATASET.source.fingerprint
    assert len(found["first_spike"]) == 2
    assert len(found["states"]["hidden1 q"]["integers"]) == 7
    assert np.shape(found["membrane"]) == (2, 200)
    assert len(found["sources"][INTEGERS]["accuracies"]) == 2
    assert len(found["ranges"]["readout o"]) == 7
    assert found["summary"][0].startswith("The integers ")


def test_the_picture_has_a_grey_box_for_every_range(
    folder: Path, found: Audit, tmp_path: Path
) -> None:
    out = tmp_path / "audit.png"
    words, table = ("audit", folder / "model.pt", folder / "net.h5"), tmp_path / "audit.csv"
    assert_worked(brf_lava(*words, "-o", out, "--csv", table))
    assert out.read_bytes().startswith(b"\x89PNG")
    for part in ('\n2,line,"hidden1",', '\n1,bar,"hidden1 u",', '\n1,segments,"readout o",'):
        assert part in table.read_text()
    assert_failed(brf_lava(*words, "--csv", table), 2, "Name that with -o")
    figure = Figure()
    draw_audit(figure, found, "a title")
    upper, lower = figure.axes
    for box, (*_, least, most) in zip(upper.containers[0], found.ranges.values(), strict=True):
        assert box.get_x() == least
        assert box.get_x() + box.get_width() == pytest.approx(most)
    assert [label.get_text() for label in upper.get_yticklabels()] == list(found.ranges)
    np.testing.assert_array_equal(lower.lines[0].get_ydata(), found.membrane[0])


def test_files_that_do_not_belong_together_are_refused(folder: Path, brf: Checkpoint) -> None:
    other = checkpoint_of(SPIKING[1], 1)
    save_checkpoint(other, folder / "other.pt")
    failed = brf_lava("audit", folder / "other.pt", folder / "net.h5")
    problem = f"model {brf.fingerprint[:8]}; {folder / 'other.pt'} is {other.fingerprint[:8]}"
    assert_failed(failed, NetworkFileError.exit_code, f"net.h5: exported from {problem}")
    failed = brf_lava("audit", folder / "model.pt", folder / "net.h5", "-o", folder / "a.txt")
    assert_failed(failed, 2, "a picture of type .txt")
