"""Early decision: what each margin decides, when, and what it costs."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import click
import numpy as np
import pytest
from command_line import assert_failed, assert_worked, brf_lava
from hypothesis import given, settings
from hypothesis import strategies as st
from networks import random_network, random_spikes

from brf_lava.cli.options import numbers
from brf_lava.cli.run import early_table
from brf_lava.errors import ParameterError
from brf_lava.network.activity import Activity
from brf_lava.network.decision import UNLABELED, Decision
from brf_lava.network.file import write_network
from brf_lava.network.layers import FixedNetwork
from brf_lava.run.early import (
    check_early,
    decide_early,
    early_rows,
    leaders,
    totals_so_far,
)

LAST, MEAN = Decision("last"), Decision("mean", ignore_first=2)


def with_decision(network: FixedNetwork, decision: Decision) -> FixedNetwork:
    return replace(network, provenance={"decision": asdict(decision)})


@pytest.fixture
def network() -> FixedNetwork:
    return random_network(np.random.default_rng(3), (4, 7, 3), exponent=10)


def activity_of(outputs: Any, spikes: Any = None) -> Activity:
    """outputs [T, B, C] in units of the readout; spikes [T, B] of one neuron."""
    values = np.asarray(outputs)
    found = np.zeros(values.shape[:2], np.int8) if spikes is None else np.asarray(spikes, np.int8)
    return Activity((values * 2**14).astype(np.int64), (found[:, :, None],), 0)


def test_a_margin_is_the_lead_of_the_best_class() -> None:
    classes, leads = leaders(np.array([[5, 1, 3], [-4, -4, -9], [0, 0, 8]]), 2)
    assert classes.tolist() == [0, 0, 2]
    assert leads.tolist() == [1.0, 0.0, 4.0]


@pytest.mark.parametrize("decision", [LAST, MEAN, Decision("mean")])
def test_what_is_there_at_the_last_step_names_the_class(decision: Decision) -> None:
    outputs = np.random.default_rng(0).integers(-99, 99, (12, 50, 4))
    totals, counts = totals_so_far(decision, outputs)
    assert totals.shape == outputs.shape
    assert counts[-1] == (12 - decision.ignore_first if decision.prediction == "mean" else 1)
    for step in range(decision.ignore_first, 12):
        expected = decision.predict(outputs[: step + 1])[:, 0]
        assert (totals[step].argmax(-1) == expected).all()


def test_a_decision_by_hand(network: FixedNetwork) -> None:
    """One sample, best leads 0, 1, 3, 2, of classes 0, 1, 2, 2."""
    outputs = [[[0, 0, 0]], [[0, 1, 0]], [[0, 0, 3]], [[0, 0, 2]]]
    decided, latency, classes, sops = decide_early(
        with_decision(network, LAST),
        activity_of(outputs, [[1], [0], [1], [1]]),
        [0, 0.5, 1, 1.5, 3, 3.5, np.inf],
    )
    assert decided[:, 0].tolist() == [True, True, True, True, True, False, False]
    assert latency[:, 0].tolist() == [1, 2, 2, 3, 3, 4, 4]
    assert classes[:, 0].tolist() == [0, 1, 1, 2, 2, 2, 2]
    assert sops[:, 0].tolist() == [1, 1, 1, 2, 2, 3, 3]


def test_a_mean_decides_after_its_ignored_steps_only(network: FixedNetwork) -> None:
    outputs = [[[9, 0, 0]], [[9, 0, 0]], [[0, 1, 0]], [[0, 3, 0]]]
    margins, own = [0, 1.5, 2, 2.5], with_decision(network, MEAN)
    decided, latency, classes, _ = decide_early(own, activity_of(outputs), margins)
    assert latency[:, 0].tolist() == [3, 4, 4, 4]
    assert decided[:, 0].tolist() == [True, True, True, False]
    assert classes[:, 0].tolist() == [1, 1, 1, 1]


def test_the_table_counts_labels_and_undecided_samples(network: FixedNetwork) -> None:
    """Three samples: decided at once and wrong, late and right, never; a fourth has no label."""
    outputs = np.zeros((4, 4, 3))
    outputs[0, 0] = [2, 0, 0]
    outputs[1:, 0] = [0, 2, 0]
    outputs[2:, 1] = [2, 0, 0]
    outputs[:, 2] = [0, 0, 1]
    own, margins = with_decision(network, LAST), (2.0, 0.0, np.inf)
    halves = [activity_of(outputs[:, part], np.ones((4, 2))) for part in (slice(2), slice(2, 4))]
    parts = [decide_early(own, half, margins) for half in halves]
    rows = early_rows(own, margins, parts, np.array([[1], [0], [2], [UNLABELED]], np.uint8))
    two, zero, end = rows
    assert (end.latency, end.decided, end.accuracy, end.sops) == (4.0, 0.0, 1.0, 4.0)
    assert (two.margin, two.decided, two.latency) == (2.0, 0.5, (1 + 3 + 4 + 4) / 4)
    assert two.accuracy == pytest.approx(2 / 3)  # of the labels that count
    assert two.sops == (1 + 3 + 4 + 4) / 4
    assert (zero.decided, zero.latency) == (1.0, 1.0)
    assert early_table(rows).row_count == 3


@settings(deadline=None)
@given(
    seed=st.integers(0, 10_000),
    ignored=st.integers(0, 5),
    prediction=st.sampled_from(["last", "mean"]),
)
def test_larger_margins_wait_longer(seed: int, ignored: int, prediction: str) -> None:
    rng = np.random.default_rng(seed)
    network = random_network(rng, (2, 3, 4))
    decision = Decision(prediction, ignored)
    outputs = rng.integers(-(2**20), 2**20, (8, 6, 4))
    activity = Activity(outputs, (np.ones((8, 6, 3), np.int8),), 0)
    margins = [0, 1, 10, 50, np.inf]
    own = with_decision(network, decision)
    decided, latency, classes, sops = decide_early(own, activity, margins)
    assert (np.diff(latency, axis=0) >= 0).all()
    assert (np.diff(decided, axis=0) <= 0).all()
    assert (sops == 3 * latency).all()
    assert not decided[-1].any()
    assert (classes[-1] == decision.predict(outputs)[:, 0]).all()


def test_what_cannot_be_decided_early(network: FixedNetwork) -> None:
    one_class = random_network(np.random.default_rng(0), (2, 3, 1))
    for each, decision, margin, message in (
        (network, Decision(), 1.0, "class at every step"),
        (one_class, LAST, 1.0, "1 class; a margin needs two"),
        *((network, LAST, margin, f"{margin}; a margin is") for margin in (-0.1, np.nan, np.inf)),
    ):
        with pytest.raises(ParameterError, match=f"--early: .*{message}"):
            check_early(with_decision(each, decision), [1.0, margin], "--early")


def test_margins_are_read() -> None:
    assert numbers("0.5,1, 2e1") == (0.5, 1.0, 20.0)
    with pytest.raises(click.BadParameter, match=r"'0\.5;1'; numbers with commas"):
        numbers("0.5;1")


# The command, on a small task of one's own with one class per sample

STEPS, SAMPLES = 30, 6


@pytest.fixture
def own(tmp_path: Path) -> Path:
    """A network file for a task beside it."""
    rng = np.random.default_rng(5)
    x = random_spikes(rng, SAMPLES, STEPS, 4, rate=0.3)
    y = rng.integers(0, 3, SAMPLES)
    for half in ("train", "test"):
        np.savez(tmp_path / f"{half}.npz", x=x, y=y)
    task = tmp_path / "own.toml"
    task.write_text(
        f'name = "own"\nclasses = ["a", "b", "c"]\ninputs = 4\nsteps = {STEPS}\n'
        'step_seconds = 0.01\ntrain = "train.npz"\ntest = "test.npz"\ninput = "x"\nlabel = "y"\n'
    )
    provenance = {
        "task": str(task),
        "data": {"kind": "own", "description": "none", "fingerprint": "none"},
        "metrics": {"device": "a card"},
        "decision": {"prediction": "mean", "ignore_first": 2},
    }
    network = random_network(np.random.default_rng(3), (4, 7, 3), exponent=10)
    write_network(replace(network, provenance=provenance), tmp_path / "net.h5")
    return tmp_path / "net.h5"


def test_run_shows_what_each_margin_costs(own: Path) -> None:
    result = brf_lava("run", own, "--backend", "engine", "--early", "0,1,1e6")
    assert_worked(result)
    lines = [line.replace("\u2502", " ").split() for line in result.stdout.splitlines()]
    rows = {line[0]: line[1:] for line in lines if line}
    full = rows["accuracy"][0]
    assert rows["none"][:2] == [str(STEPS), full]
    assert rows["0"][:2] == ["3.0", "100.00%"]  # the first step that is not ignored
    assert rows["1e+06"][:5] == ["30.0", "0.00%", full, "0.00", "points"]
    assert 3.0 <= float(rows["1"][0]) <= 30.0


def test_early_is_refused_before_the_run(own: Path) -> None:
    for text, message in (
        ("", "'--early': ''; numbers with"),
        ("-1", "--early: -1.0; a margin is"),
    ):
        assert_failed(brf_lava("run", own, "--backend", "engine", "--early", text), 2, message)
