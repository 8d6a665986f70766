"""Counting, comparing and reporting runs; the integer engine; the choice of backends."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from networks import random_network, random_spikes

from brf_lava.backends import engine
from brf_lava.data.dataset import DataSource
from brf_lava.errors import (
    MismatchError,
    NetworkFileError,
    NotEnoughMemoryError,
    ParameterError,
)
from brf_lava.network.activity import Activity, FloatActivity
from brf_lava.network.decision import UNLABELED, Decision
from brf_lava.network.layers import FixedLayer, FixedNetwork
from brf_lava.neurons import fixed
from brf_lava.run.evaluate import predict
from brf_lava.run.execute import assert_equal, execute, work
from brf_lava.run.result import (
    accuracy,
    contents,
    decision_of,
    measure,
    reference_from,
    summarize,
    write_result,
)


@pytest.fixture
def network() -> FixedNetwork:
    return random_network(np.random.default_rng(0), (4, 7, 3))


@pytest.fixture
def x() -> np.ndarray:
    return random_spikes(np.random.default_rng(1), 40, 5, 4)


# The engine


def test_samples_are_independent_however_many_at_a_time(
    network: FixedNetwork, monkeypatch: pytest.MonkeyPatch
) -> None:
    x = random_spikes(np.random.default_rng(2), 30, 11, 4)
    together = engine.run(network, x)
    monkeypatch.setattr(engine, "CHUNK", 4)
    assert_equal(engine.run(network, x), together, "chunks", "all at once")
    alone = engine.run(network, x[:, 7:8])
    assert np.array_equal(alone.outputs, together.outputs[:, 7:8])
    assert np.array_equal(alone.spikes[0], together.spikes[0][:, 7:8])


def test_long_sequences_are_run_fewer_at_a_time(
    network: FixedNetwork, monkeypatch: pytest.MonkeyPatch
) -> None:
    x = random_spikes(np.random.default_rng(2), 30, 5, 4)
    together = engine.run(network, x)
    sizes: list[int] = []
    original = engine.forward

    def seen(layer: FixedLayer, x: Any, **options: Any) -> Any:
        sizes.append(x.shape[1])
        return original(layer, x, **options)

    monkeypatch.setattr(engine, "forward", seen)
    for allowed, expected in ((2 * 30 * 3 * 7 * 8, [2, 2, 2, 2, 1, 1]), (1, [1] * 10)):
        sizes.clear()
        monkeypatch.setattr(engine, "CHUNK_BYTES", allowed)
        assert_equal(engine.run(network, x), together, "chunks", "all at once")
        assert sizes == expected


def test_engine_refuses_what_are_no_spikes(network: FixedNetwork) -> None:
    for bad, message in (
        (np.zeros((5, 2, 3), np.int8), r"\[steps, samples, 4\] is needed"),
        (np.zeros((5, 4), np.int8), r"\[steps, samples, 4\] is needed"),
        (np.zeros((5, 2, 4), np.float32), "float32 values from 0.0 to 0.0; this net takes int8"),
        (np.full((5, 2, 4), 2, np.int8), "values from 2 to 2; this net takes int8 or uint8 from 0"),
        (np.full((5, 2, 4), -1, np.int8), "values from -1 to -1"),
    ):
        with pytest.raises(ParameterError, match=message):
            engine.run(network, bad)


def test_saturation_is_counted(network: FixedNetwork) -> None:
    """A readout without leak that is driven at every step ends at the 24-bit limit."""
    hidden, readout = network.layers
    strong = replace(readout.weights, mantissa=np.full((3, 7), 127, np.int8), exponent=15)
    network = FixedNetwork((hidden, replace(readout, weights=strong)))
    x = np.ones((300, 2, 4), np.int8)
    activity = engine.run(network, x)
    at_limit = np.abs(activity.outputs) == fixed.STATE_MAX
    assert activity.saturations >= int(at_limit.sum()) > 0


# Counting


def test_synaptic_operations_by_hand() -> None:
    network = random_network(np.random.default_rng(0), (4, 7, 5, 3), recurrent=[True, False])
    x = np.zeros((10, 2, 4), np.int8)
    x[0, 0, :3] = 1  # three input spikes
    first, second = np.zeros((10, 2, 7), np.int8), np.zeros((10, 2, 5), np.int8)
    first[4, 1, 2:4] = first[6, 0, 0] = 1  # three of the first layer, two of the second
    second[5, 1, 1] = second[6, 0, 1] = 1
    activity = Activity(np.zeros((10, 2, 3), np.int64), (first, second), 0)
    part = measure(network, x, activity, 0.1)
    assert (part.totals.tolist(), part.peaks.tolist()) == ([3, 3, 2], [3, 2, 1])
    labels = np.zeros((2, 10), np.uint8)
    cost = summarize(network, [part], labels, None, backend="engine", checked=False).cost
    assert cost.sops == 5 / 2
    assert cost.input_synops == 3 * 7 / 2
    assert cost.recurrent_synops == 3 * 7 / 2
    assert cost.output_synops == (3 * 5 + 2 * 3) / 2
    assert cost.synops == (21 + 21 + 21) / 2
    assert cost.dense_macs == 10 * (4 * 7 + 7 * 7 + 7 * 5 + 5 * 3)


# Comparing


def test_the_first_difference_in_time_is_reported(network: FixedNetwork, x: np.ndarray) -> None:
    activity = engine.run(network, x)
    assert_equal(activity, activity, "Lava", "the engine")
    outputs, late, spikes = (
        array.copy() for array in (activity.outputs, activity.outputs, activity.spikes[0])
    )
    outputs[12, 1, 2] += 5
    late[30, 0, 0] += 1
    spikes[20, 3, 4] ^= 1
    first = (
        rf"output: first difference in sample 1, step 12, neuron 2: Lava has {outputs[12, 1, 2]}, "
        rf"the engine has {activity.outputs[12, 1, 2]}\."
    )
    for changes, message in (
        ({"outputs": outputs, "spikes": (spikes,)}, first),
        ({"outputs": late, "spikes": (spikes,)}, r"spike of hidden1: .* sample 3, step 20"),
        ({"saturations": activity.saturations + 1}, "saturations: Lava counted"),
        ({"outputs": outputs[:-1]}, "shape"),
    ):
        with pytest.raises(MismatchError, match=message):
            assert_equal(replace(activity, **changes), activity, "Lava", "the engine")


# Reporting


def test_a_result_says_what_the_numbers_say(
    network: FixedNetwork, x: np.ndarray, tmp_path: Path
) -> None:
    activity = engine.run(network, x)
    predictions = activity.outputs.argmax(2).T.astype(np.uint8)
    labels = predictions.copy()
    labels[0, :10] = (labels[0, :10] + 1) % 3  # ten of 200 steps wrong
    theirs = predictions.copy()
    theirs[:, :4] = (theirs[:, :4] + 1) % 3  # twenty of 200 steps different
    float_activity = FloatActivity(theirs, np.array([40, 50, 60, 45, 55, 1000]))
    reference = reference_from(float_activity.first(5), labels, "a card", Decision())
    assert reference.accuracy == np.mean(theirs == labels)
    halves = [
        measure(network, x[:, part], engine.run(network, x[:, part]), seconds)
        for part, seconds in ((slice(0, 2), 1.0), (slice(2, 5), 0.5))
    ]
    result = summarize(network, halves, labels, reference, backend="engine", checked=False)
    assert (result.samples, result.steps, result.seconds) == (5, 40, 1.5)
    sops = activity.spikes[0].sum() / 5
    assert result.accuracy == pytest.approx(190 / 200)
    assert result.agreement == pytest.approx(180 / 200)
    assert result.cost.sops == pytest.approx(sops)
    assert result.sops_per_step == pytest.approx(sops / 40)
    assert result.sop_ratio == pytest.approx(sops / 50)
    source = DataSource("qtdb", "some data", "abc")
    write_result(contents(result, source, {"task": "ecg"}), tmp_path / "run.json")
    stored = json.loads((tmp_path / "run.json").read_text())
    assert stored["format"] == "brf-lava-run"
    assert stored["schema"] == 3
    assert stored["result"]["accuracy"] == result.accuracy
    assert stored["result"]["cost"]["sops"] == pytest.approx(sops)
    assert stored["result"]["reference"] == {
        "accuracy": reference.accuracy,
        "sops": 50.0,
        "device": "a card",
    }
    assert "per_sample" not in stored["result"]
    each = stored["per_sample"]
    assert each["sops"] == activity.spikes[0].sum(axis=(0, 2)).tolist()
    assert each["counted"] == [40] * 5
    assert each["hits"] == [30, 40, 40, 40, 40]
    assert each["same"] == [36] * 5
    digests = [hashlib.sha256(row.tobytes()).hexdigest()[:16] for row in predictions]
    assert each["predictions"] == digests
    assert stored["data"]["fingerprint"] == "abc"
    assert stored["network"] == {"task": "ecg"}


@pytest.mark.parametrize("prediction", ["last", "mean"])
def test_one_answer_per_sample(network: FixedNetwork, x: np.ndarray, prediction: str) -> None:
    activity = engine.run(network, x)
    read = activity.outputs[-1] if prediction == "last" else activity.outputs[10:].mean(0)
    labels = read.argmax(1)[:, None].astype(np.uint8)
    labels[3] = (labels[3] + 1) % 3
    labels[4] = UNLABELED
    told = {"decision": {"prediction": prediction, "ignore_first": 10}}
    network = replace(network, provenance=told)
    result = summarize(
        network,
        [measure(network, x, activity, 0.1)],
        labels,
        reference_from(FloatActivity(labels, np.ones(5)), labels, "", Decision(prediction)),
        backend="engine",
        checked=False,
    )
    assert result.accuracy == 3 / 4
    assert result.agreement == 3 / 4  # of the labels that count
    assert result.reference is not None
    assert result.reference.accuracy == 1
    each = result.per_sample
    assert (each["counted"], each["hits"]) == ([1, 1, 1, 1, 0], [1, 1, 1, 0, 0])
    assert each["predictions"] == read.argmax(1).tolist()


@pytest.mark.parametrize("wrong", [{"prediction": "best"}, {"first": 1}, [], {"ignore_first": -1}])
def test_another_decision_is_refused(network: FixedNetwork, wrong: Any) -> None:
    with pytest.raises(NetworkFileError, match=r"provenance\.decision"):
        decision_of(replace(network, provenance={"decision": wrong}))


def test_ignored_steps_are_in_no_mean() -> None:
    """The first step alone would decide for class 0."""
    outputs = np.array([[[9, 0]], [[0, 1]], [[0, 1]]])  # [T, B, C]
    assert Decision("mean").predict(outputs).tolist() == [[0]]
    assert Decision("mean", ignore_first=1).predict(outputs).tolist() == [[1]]


def test_unlabeled_and_ignored_steps_do_not_count() -> None:
    labels = np.array([[0, 1, 2, UNLABELED], [2, 2, UNLABELED, 0]], np.uint8)
    predictions = np.array([[0, 1, 1, 1], [0, 2, 2, 0]], np.uint8)
    assert Decision().hits(predictions, labels) == (4, 6)
    assert Decision(ignore_first=1).hits(predictions, labels) == (3, 4)
    assert accuracy(Decision(), predictions[:, 3:], np.full((2, 1), UNLABELED, np.uint8)) == 0


def test_a_result_without_reference(network: FixedNetwork, x: np.ndarray) -> None:
    parts = [measure(network, x, engine.run(network, x), 0.1)]
    labels = np.zeros((5, 40), np.uint8)
    result = summarize(network, parts, labels, None, backend="engine", checked=False)
    assert (result.agreement, result.sop_ratio) == (None, None)
    assert (result.spike_slots, result.outputs) == (5 * 40 * 7, 5 * 40 * 3)


# Backends


def test_backends_are_obeyed_or_refused(network: FixedNetwork, x: np.ndarray) -> None:
    activity, seconds = execute(network, x, backend="engine")
    assert_equal(activity, engine.run(network, x), "execute", "the engine")
    assert seconds > 0
    with pytest.raises(ParameterError, match="choose one of sim, engine, loihi2"):
        execute(network, x, backend="gpu")
    assert work(network, 40, 5) == 5 * 40 * (7 + 3)


def test_samples_come_in_runs_of_one_or_more(network: FixedNetwork, x: np.ndarray) -> None:
    samples = x.transpose(1, 0, 2)
    found = predict(network, samples, backend="engine", batch=2)
    assert (found == predict(network, samples, backend="engine")).all()
    with pytest.raises(ParameterError, match="batch: -1; at least 1"):
        predict(network, samples, backend="engine", batch=-1)


# Memory


@pytest.mark.parametrize(("backend", "check", "runs"), [("engine", False, 1), ("sim", True, 2)])
def test_a_run_that_does_not_fit_is_refused(
    backend: str,
    check: bool,
    runs: int,
    network: FixedNetwork,
    x: np.ndarray,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """By one byte; and with that byte it runs."""
    states = 8 * 3 * 7 * 5 // 4  # of the engine, and a quarter to count saturations
    needed = 5 * 40 * (runs * (7 + 8 * 3) + states)  # spikes and outputs, too
    monkeypatch.setattr("brf_lava.io.memory.free_memory", lambda: needed - 1)
    with pytest.raises(NotEnoughMemoryError, match=r"5 samples of 40 steps: needs .* \(--batch\)"):
        execute(network, x, backend=backend, check=check)
    monkeypatch.setattr("brf_lava.io.memory.free_memory", lambda: needed)
    execute(network, x, backend=backend, check=check)
