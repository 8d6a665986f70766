"""brf-lava reproduce: what runs, what is skipped, what a stop keeps, and what the tables say."""

from __future__ import annotations

import csv
import json
import math
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import click
import numpy as np
import pytest
import scipy.io
import torch
from click.testing import CliRunner, Result
from hypothesis import given, settings
from hypothesis import strategies as st

from brf_lava.cli.main import Commands
from brf_lava.cli.reproduce import reproduce
from brf_lava.config.recipe import Recipe, override, recipe_for
from brf_lava.data.dataset import Dataset, DataSource
from brf_lava.ecg import task as ecg
from brf_lava.ecg.synthetic import generate
from brf_lava.errors import BrfLavaError, DataError, RecipeError
from brf_lava.network.activity import FloatActivity
from brf_lava.reproduce import jobs, plan, tables
from brf_lava.reproduce.display import display
from brf_lava.reproduce.folders import RunFolder, found
from brf_lava.reproduce.jobs import CoreShare, Outcome, Settings, run_jobs
from brf_lava.reproduce.plan import Experiment, Job, remaining
from brf_lava.reproduce.published import FRACTIONS, NEURONS, PUBLISHED, TASKS
from brf_lava.reproduce.records import (
    IntegerResult,
    RunRecord,
    check_alike,
    differences,
    read_record,
)
from brf_lava.run import result as run_result
from brf_lava.tasks.registry import TASKS as ALL_TASKS
from brf_lava.train.checkpoint import Checkpoint, save_checkpoint, write_archive
from brf_lava.train.metrics import LIMITS
from brf_lava.train.model import Metrics, Network
from brf_lava.train.trainer import STATE_FORMAT, STATE_SCHEMA, EpochReport

ROOT = Path(__file__).resolve().parent.parent
LAST_DIGIT = 0.01  # of the published ratios; one of them is cut, not rounded
PATIENCE = 120  # s, for a process; machine code may have to be compiled first
STEPS = 1300
SMALL = ("network.hidden=[4]", "validation=2", "theta=0.02")  # reached without having learned
SOURCE = DataSource("qtdb", "records of no one", "f" * 64)


@pytest.fixture(autouse=True)
def no_data_of_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(ecg.DATA_VARIABLE, raising=False)


# What was published


def test_every_task_has_every_neuron() -> None:
    assert set(PUBLISHED) == {(task, neuron) for task in TASKS for neuron in NEURONS}
    assert len(PUBLISHED) == 16
    assert all((each.epochs is None) == (key[1] == "RF") for key, each in PUBLISHED.items())


@pytest.mark.parametrize("cell", PUBLISHED, ids="-".join)
def test_published_ratio_is_that_of_the_published_sops(cell: tuple[str, str]) -> None:
    alif = PUBLISHED[cell[0], "ALIF"].sops
    assert PUBLISHED[cell].ratio == pytest.approx(PUBLISHED[cell].sops / alif, abs=LAST_DIGIT)


@pytest.mark.parametrize("cell", PUBLISHED, ids="-".join)
def test_published_sops_per_step_are_those_printed(cell: tuple[str, str]) -> None:
    """Twice they are not the SOPs over the steps; no one may mend that by calculation."""
    steps = ALL_TASKS[cell[0]].steps
    printed = {("smnist", "BHRF"): -2.0, ("psmnist", "BHRF"): 2.0}.get(cell, 0.0)
    quotient = PUBLISHED[cell].sops / steps
    assert PUBLISHED[cell].sops_per_step - quotient == pytest.approx(printed, abs=LAST_DIGIT)


@pytest.mark.parametrize("cell", [key for key in PUBLISHED if key[1] != "ALIF"], ids="-".join)
def test_resonators_have_as_many_parameters_as_published(cell: tuple[str, str]) -> None:
    task = ALL_TASKS[cell[0]]
    network = Network(recipe_for(*cell), task.inputs, len(task.classes))
    assert sum(value.numel() for value in network.parameters()) == PUBLISHED[cell].parameters


def test_the_metrics_file_has_what_its_reader_knows() -> None:
    assert set(LIMITS) < {field.name for field in fields(EpochReport)}


# Aggregation of records made by hand


def record(task: str = "ecg", neuron: str = "BRF", seed: int = 0, **changes: Any) -> RunRecord:
    base = RunRecord(
        task=task,
        neuron=neuron,
        seed=seed,
        parameters=1734,
        epoch=4,
        epochs=4,
        accuracy=0.5,
        sops=100.0,
        loss=1.0,
        steps=STEPS,
        samples=2,
        device="a processor",
        seconds=10.0,
        validation_accuracy=(0.1, 0.2, 0.3, 0.4),
        integer=IntegerResult("engine", 0.5, 100.0, 1.0, 0),
        shares=(CoreShare(2, 1),),
        permuted=False,
        data=SOURCE,
        recipe=recipe_for(task, neuron),
        versions={"brf_lava": "0"},
    )
    return replace(base, **changes)


def test_rows_are_means_over_seeds() -> None:
    runs = [
        record("ecg", "ALIF", 0, sops=400.0),
        record("ecg", "ALIF", 1, sops=600.0),
        record(
            *("ecg", "BRF", 0),
            accuracy=0.80,
            sops=130.0,
            seconds=1.0,
            integer=IntegerResult("engine", 0.70, 120.0, None, 0),
        ),
        record(
            *("ecg", "BRF", 1),
            accuracy=0.82,
            sops=260.0,
            seconds=3.0,
            integer=IntegerResult("engine", 0.74, 240.0, None, 0),
        ),
        record(
            *("ecg", "BRF", 2),
            accuracy=0.84,
            sops=390.0,
            seconds=5.0,
            integer=IntegerResult("engine", 0.78, 360.0, None, 0),
        ),
    ]
    alif, brf = tables.rows(reversed(runs))
    assert (alif.neuron, alif.seeds, alif.sops.mean, alif.ratio) == ("ALIF", 2, 500.0, 1.0)
    assert alif.sops.std == pytest.approx(math.sqrt(2) * 100)
    assert (brf.neuron, brf.seeds, brf.parameters) == ("BRF", 3, 1734)
    assert brf.accuracy.mean == pytest.approx(82)
    assert brf.accuracy.std == pytest.approx(2)  # sqrt((4 + 0 + 4) / 2)
    assert (brf.sops.mean, brf.sops.std) == (260.0, pytest.approx(130))
    assert (brf.sops_per_step.mean, brf.sops_per_step.std) == (
        pytest.approx(0.2),
        pytest.approx(0.1),
    )
    assert brf.ratio == pytest.approx(0.52)
    assert (brf.seconds.mean, brf.seconds.std) == (3.0, 2.0)
    assert (brf.integer_accuracy.mean, brf.integer_accuracy.std) == (
        pytest.approx(74),
        pytest.approx(4),
    )
    assert (brf.integer_sops.mean, brf.integer_sops.std) == (240.0, 120.0)


def test_one_seed_has_no_deviation_and_no_alif_no_ratio() -> None:
    (row,) = tables.rows([record(), record("shd", "ALIF")][:1])
    assert (row.accuracy.mean, row.accuracy.std, row.ratio) == (50.0, None, None)
    assert f"{row.accuracy:.1f}" == "50.0"
    brf, alif = tables.rows([record("shd", "ALIF"), record()])
    assert (brf.task, alif.task, brf.ratio) == ("ecg", "shd", None)  # ALIF of another task


def test_rows_are_in_the_published_order() -> None:
    mixed = [record(task, neuron) for neuron in NEURONS for task in reversed(TASKS)]
    order = [(row.task, row.neuron) for row in tables.rows(mixed)]
    assert order == [(task, neuron) for task in TASKS for neuron in NEURONS]


def test_epochs_to_a_share_of_the_final_accuracy() -> None:
    accuracy = (0.10, 0.76, 0.785, 0.80, 0.90)
    assert [tables.epochs_to(share, accuracy, kept=4) for share in FRACTIONS] == [2, 3, 4]
    assert [tables.epochs_to(share, accuracy, kept=5) for share in FRACTIONS] == [5, 5, 5]
    assert tables.epochs_to(1.0, (0.5, 0.5), kept=2) == 1
    assert tables.epochs_to(0.95, (0.0, 0.0), kept=1) == 1
    (row,) = tables.rows(
        record(seed=seed, epoch=kept, validation_accuracy=accuracy)
        for seed, kept in enumerate((4, 5))
    )
    assert [each.mean for each in row.epochs] == [3.5, 4.0, 4.5]
    assert row.epochs[0].std == pytest.approx(math.sqrt(4.5))


@settings(deadline=None)  # the machine may be busy
@given(st.lists(st.floats(0, 1), min_size=1), st.data())
def test_epochs_to_never_passes_the_kept_one(accuracy: list[float], data: st.DataObject) -> None:
    kept = data.draw(st.integers(1, len(accuracy)))
    reached = [tables.epochs_to(share, accuracy, kept) for share in FRACTIONS]
    assert reached == sorted(reached)
    assert reached[-1] <= kept
    for share, epoch in zip(FRACTIONS, reached, strict=True):
        assert accuracy[epoch - 1] >= share * accuracy[kept - 1]
        assert all(value < share * accuracy[kept - 1] for value in accuracy[: epoch - 1])


def test_runs_of_different_experiments_are_not_averaged() -> None:
    longer = override(recipe_for("ecg", "brf"), ["epochs=7"])
    check_alike([record(), record(seed=1), record(neuron="RF"), record("smnist", "BRF")])
    with pytest.raises(BrfLavaError, match=r"seed 1.*training\.epochs = 7, not 400"):
        check_alike([record(), record(seed=1, recipe=longer)])
    other = replace(SOURCE, fingerprint="0" * 64, description="other records")
    for seed, neuron in ((1, "BRF"), (0, "ALIF")):  # a ratio compares neurons
        with pytest.raises(BrfLavaError, match="data other records"):
            check_alike([record(), record(neuron=neuron, seed=seed, data=other)])
    permuted = [record("psmnist", "BRF", seed, permuted=True) for seed in (0, 1)]
    check_alike([permuted[0], replace(permuted[1], data=other)])  # each seed has its own order
    with pytest.raises(BrfLavaError, match="data"):
        check_alike([permuted[0], replace(permuted[1], data=replace(other, kind="synthetic"))])


def test_differences_name_keys_and_both_values() -> None:
    recipe = recipe_for("ecg", "brf")
    changed = override(recipe, ["hidden=[4, 5]", "epochs=7"])
    assert differences(recipe, replace(recipe, text="# other words")) == []
    assert differences(changed, recipe) == [
        "network.hidden = [4, 5], not [36]",
        "training.epochs = 7, not 400",
    ]
    assert "neuron.rho" not in " ".join(differences(recipe_for("ecg", "alif"), recipe))
    assert "neuron.omega = nothing, not [3.0, 5.0]" in differences(
        recipe_for("ecg", "alif"), recipe
    )


# Folders made by hand


def small_recipe(neuron: str = "BRF", *changes: str) -> Recipe:
    return override(recipe_for("ecg", neuron), (*SMALL, "epochs=3", *changes))


def write_model(folder: RunFolder, recipe: Recipe, accuracy: float = 0.5) -> Checkpoint:
    folder.path.mkdir(parents=True, exist_ok=True)
    network = Network(recipe, 4, 6, torch.Generator().manual_seed(folder.seed))
    checkpoint = Checkpoint(
        recipe=recipe,
        seed=folder.seed,
        origin="trained",
        inputs=4,
        classes=tuple("ABCDEF"),
        epoch=2,
        epochs_done=3,
        data=SOURCE,
        metrics=Metrics(1.5, accuracy, 100.0 * (folder.seed + 1), 2, STEPS, "a processor"),
        activity=FloatActivity(np.zeros((2, STEPS), np.uint8), np.zeros(2, np.int64)),
        state_dict=network.state_dict(),
        versions={"brf_lava": "0"},
    )
    save_checkpoint(checkpoint, folder.model)
    reports = [
        EpochReport(epoch, 0.1, 1.0, 0.5, 9.0, 1.0, 0.1 * epoch, 9.0, epoch == 2, 2.0)
        for epoch in (1, 2, 3)
    ]
    folder.metrics.write_text("".join(f"{json.dumps(vars(report))}\n" for report in reports))
    return checkpoint


def write_run(folder: RunFolder, recipe: Recipe | None = None, accuracy: float = 0.5) -> None:
    """A complete run, as far as reproduce looks into it."""
    checkpoint = write_model(folder, recipe or small_recipe(folder.neuron), accuracy)
    folder.network.write_bytes(b"net")
    folder.result.write_text(
        json.dumps(
            {
                "format": run_result.FORMAT,
                "schema": run_result.SCHEMA,
                "result": {
                    "backend": "engine",
                    "samples": 2,
                    "steps": STEPS,
                    "accuracy": accuracy / 2,
                    "cost": {"sops": 50.0},
                    "agreement": 0.9,
                    "saturations": 3,
                },
                "data": vars(SOURCE),
                "network": {"model": checkpoint.fingerprint},
            }
        )
    )


def write_state(folder: RunFolder, recipe: Recipe, **changes: Any) -> None:
    folder.path.mkdir(parents=True, exist_ok=True)
    state = {"format": STATE_FORMAT, "schema": STATE_SCHEMA, "recipe": recipe.text}
    state |= {"seed": folder.seed, "data": vars(SOURCE), **changes}
    write_archive(state, folder.state)


@pytest.fixture
def out(tmp_path: Path) -> Path:
    """Three BRF runs, one of them not complete, and one of ALIF."""
    out = tmp_path / "out"
    for seed, accuracy in enumerate((0.5, 0.7)):
        write_run(RunFolder(out, "ecg", "BRF", seed), accuracy=accuracy)
    write_run(RunFolder(out, "ecg", "ALIF", 0))
    write_model(RunFolder(out, "ecg", "BRF", 4), small_recipe())
    (out / "ecg-brf" / "seed-x").mkdir()
    (out / "ecg-brf" / "seed-007").mkdir()
    (out / "notes").mkdir()
    return out


def brf_lava(*arguments: str | Path) -> Result:
    group = Commands(name="brf-lava", commands={"reproduce": reproduce})
    return CliRunner().invoke(group, ["reproduce", *map(str, arguments)], prog_name="brf-lava")


def assert_worked(result: Result) -> None:
    assert result.exit_code == 0, (result.output, result.exc_info)
    assert "Error" not in result.output


def assert_failed(result: Result, code: int, *parts: str) -> None:
    """No exception but the exit, that code, and one line that says all of `parts`."""
    assert isinstance(result.exception, SystemExit), (result.output, result.exc_info)
    assert result.exit_code == code, result.output
    errors = [line for line in result.output.splitlines() if line.startswith("Error:")]
    assert len(errors) == 1, result.output
    assert result.output.rstrip("\n").splitlines()[-1] == errors[0], result.output
    for part in parts:
        assert part in errors[0], result.output


def test_found_are_the_folders_of_runs(out: Path) -> None:
    assert [folder.name for folder in found(out)] == [
        "ecg-alif seed 0",
        "ecg-brf seed 0",
        "ecg-brf seed 1",
        "ecg-brf seed 4",
    ]
    assert found(out / "nowhere") == []


def test_a_record_is_what_the_files_say(out: Path) -> None:
    folder = RunFolder(out, "ecg", "BRF", 1)
    found = read_record(folder)
    assert (found.name, found.parameters) == ("ecg-brf seed 1", 4 * 4 + 4 * 4 + 4 * 2 + 6 * 4 + 6)
    assert (found.accuracy, found.sops, found.loss) == (0.7, 200.0, 1.5)
    assert (found.epoch, found.epochs, found.seconds) == (2, 3, 6.0)
    assert found.validation_accuracy == pytest.approx((0.1, 0.2, 0.3))
    assert found.integer == IntegerResult("engine", 0.35, 50.0, 0.9, 3)
    assert found.recipe == small_recipe()
    assert found.shares == ()


def test_pruned_weights_are_parameters_and_masks_are_not(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path, "ecg", "BRF", 0)
    write_run(folder, small_recipe("BRF", "recurrent_density=0.5"))
    assert read_record(folder).parameters == 70


def test_tables_from_files_alone(out: Path) -> None:
    result = brf_lava("--tables-only", "--out", out)
    assert_worked(result)
    assert "60.00 ± 14.14" in result.output
    assert "Not finished, not counted: ecg-brf seed 4." in result.output
    with (out / "table1.csv").open() as file:
        alif, brf = csv.DictReader(file)
    assert (brf["neuron"], brf["seeds"], brf["parameters"]) == ("BRF", "2", "70")
    assert float(brf["accuracy_percent_mean"]) == pytest.approx(60)
    assert float(brf["sops_mean"]) == 150
    assert float(brf["sops_vs_alif"]) == 1.5
    assert float(brf["integer_accuracy_percent_mean"]) == pytest.approx(30)
    assert (brf["published_sops"], brf["published_parameters"]) == ("6307.7", "1734")
    assert float(brf["sops_per_step_mean"]) == pytest.approx(150 / STEPS)
    assert brf["published_sops_per_step"] == "4.85"
    assert (alif["accuracy_percent_std"], alif["published_accuracy_percent"]) == ("", "85.9")
    with (out / "table2.csv").open() as file:
        line = list(csv.DictReader(file))[1]
    assert (line["epochs_to_95_percent_mean"], line["published_epochs_to_100_percent"]) == (
        "2.0",
        "75",
    )
    markdown = (out / "tables.md").read_text()
    assert (
        "| ecg | BRF | 2 | 70 | 1,734 | 60.00 ± 14.14 | 85.8 | 150.0 ± 70.7 | 6,307.7 | "
        "0.12 ± 0.05 | 4.85 | 1.50 | 0.18 |\n" in markdown
    )
    assert "| ecg | BRF | 30.00 ± 7.07 | 50.0 ± 0.0 | 6.0 s |\n" in markdown
    assert "- ecg-brf: the shipped recipe with network.hidden = [4], not [36]; " in markdown
    assert "training.epochs = 3, not 400" in markdown
    assert "biases" not in markdown  # the shape is not the shipped one either
    assert "training.epochs = 3, not 400" in brf["recipe_changes"]
    assert line["recipe_changes"] == brf["recipe_changes"]
    contents = json.loads((out / "results.json").read_text())
    assert [(run["neuron"], run["seed"]) for run in contents["runs"]] == [
        ("ALIF", 0),
        ("BRF", 0),
        ("BRF", 1),
    ]
    assert contents["runs"][2]["data"] == vars(SOURCE)
    assert contents["runs"][2]["integer"]["saturations"] == 3
    assert contents["unfinished"] == [{"task": "ecg", "neuron": "BRF", "seed": 4}]
    for name in ("table1", "table2"):
        with (out / f"{name}.csv").open() as file:
            there = [{key: str(value) for key, value in each.items()} for each in contents[name]]
            assert [
                {key: text or "None" for key, text in each.items()} for each in csv.DictReader(file)
            ] == [{key: text or "None" for key, text in each.items()} for each in there]
    before = {name: (out / name).read_bytes() for name in tables.FILES}
    assert_worked(brf_lava("ECG", "--tables-only", "--out", out))
    assert {name: (out / name).read_bytes() for name in tables.FILES} == before


@pytest.mark.parametrize("selection", [("--neurons", "brf"), ("ecg", "--neurons", "BRF"), ()])
def test_a_selection_narrows_what_is_shown_and_not_the_files(
    out: Path, selection: tuple[str, ...]
) -> None:
    result = brf_lava("--tables-only", "--out", out, *selection)
    assert_worked(result)
    contents = json.loads((out / "results.json").read_text())
    assert [run["neuron"] for run in contents["runs"]] == ["ALIF", "BRF", "BRF"]
    for name in ("table1.csv", "table2.csv"):
        with (out / name).open() as file:
            assert [line["neuron"] for line in csv.DictReader(file)] == ["ALIF", "BRF"]
    shown = [line.split() for line in result.output.splitlines()]
    assert any(line[:2] == ["ecg", "ALIF"] for line in shown) == (not selection)
    assert ("ecg-alif:" in [line[0] for line in shown if line]) == (not selection)
    assert "Not finished, not counted: ecg-brf seed 4." in result.output
    (brf,) = (line for line in shown if line[:2] == ["ecg", "BRF"] and "4.85" in line)
    assert brf[-2:] == ["1.50", "0.18"]  # the SOPs of ALIF count although it is not shown


@pytest.mark.parametrize("width", [60, 80, 110, 200])
def test_a_narrow_terminal_shows_every_number(
    out: Path, monkeypatch: pytest.MonkeyPatch, width: int
) -> None:
    large = RunFolder(out, "ecg", "BRF", 999)  # so that the numbers are as long as they get
    write_run(large)
    change_metrics(large, seconds=1e9)
    records = [record("psmnist", "ALIF", seed, sops=1e4 * (seed + 5)) for seed in range(3)]
    every = tables.as_text(tables.rows(records))
    parts = [part for table in every for part in table.parts(width)]
    for part in parts:
        columns = zip(part.columns, *part.rows, strict=True)
        assert sum(max(map(len, column)) + tables.GAP for column in columns) - tables.GAP <= width
    for table in every:
        mine = [part for part in parts if part.title.startswith(table.title)]
        assert [name for part in mine for name in part.columns[2:]] == list(table.columns[2:])
        assert all(part.columns[2] != tables.THEIRS for part in mine)
        assert len({part.title for part in mine}) == min(len(mine), 2)

    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", str(width))
    result = brf_lava("--tables-only", "--out", out)
    assert_worked(result)
    shown = click.unstyle(result.output)
    assert "…" not in shown
    table_lines = shown[: shown.index("ecg: trained and tested")].splitlines()
    assert max(map(len, table_lines)) <= width
    words = shown.split()
    for text in (out / "tables.md").read_text().split("\n"):
        if text.startswith("| ecg"):
            assert all(word in words for word in text.replace("|", " ").split())


def test_a_selection_without_runs_is_refused_and_leaves_the_files(out: Path) -> None:
    assert_worked(brf_lava("--tables-only", "--out", out))
    before = {name: (out / name).read_bytes() for name in tables.FILES}
    for asked, named in ((("smnist",), "of smnist with ALIF"), (("--neurons", "rf"), "with RF")):
        assert_failed(brf_lava(*asked, "--tables-only", "--out", out), 2, "no finished run", named)
    assert {name: (out / name).read_bytes() for name in tables.FILES} == before


def test_a_selection_shows_its_own_unfinished_runs(out: Path) -> None:
    result = brf_lava("--tables-only", "--neurons", "alif", "--out", out)
    assert_worked(result)
    assert "Not finished" not in result.output
    assert "Not finished, not counted: ecg-brf seed 4." in (out / "tables.md").read_text()


def test_tables_check_the_recipes_that_are_asked_for(out: Path) -> None:
    changes = [part for change in SMALL for part in ("--set", change)]
    asked = ("ecg", "--tables-only", "--out", out)
    assert_worked(brf_lava(*asked, *changes, "--epochs", "3"))
    before = (out / "tables.md").read_bytes()
    assert_failed(
        brf_lava(*asked, *changes, "--epochs", "4"),
        2,
        f"{out / 'ecg-alif' / 'seed-0'}: is of another recipe",
        "training.epochs = 3, not 4",
    )
    write_run(RunFolder(out, "ecg", "RF", 0), small_recipe("RF", "clip_norm=100"))
    clipped = ("--set", "training.clip_norm=100")
    assert_failed(brf_lava(*asked, *changes, "--epochs", "3", *clipped), 2, "clip_norm = 0.0, not")
    assert (out / "tables.md").read_bytes() == before
    assert_worked(brf_lava(*asked, *changes, "--epochs", "3", *clipped, "--neurons", "rf"))
    assert "ecg-rf: the shipped recipe with" in (out / "tables.md").read_text()
    assert "training.clip_norm = 100.0, not 0.0" in (out / "tables.md").read_text()
    assert_failed(brf_lava(*asked, "--set", "clip=1"), 2, "--set clip=1", "no such key")


def test_alif_has_no_biases_and_other_parameters_than_published() -> None:
    (ecg,) = (line for line in tables.notes([record("ecg", "ALIF")], []) if "biases" in line)
    assert ecg == (
        "ecg-alif: our ALIF network has no biases, hence fewer parameters than published (1,734 "
        "against 1,776)."
    )
    smnist = tables.notes([record("smnist", "ALIF", parameters=220_874)], [])
    assert "all its hidden layers are recurrent, hence more parameters" in smnist[1]
    assert not any("biases" in line for line in tables.notes([record(), record("shd", "RF")], []))


@pytest.mark.parametrize("task", TASKS)
def test_the_parameters_that_alif_lacks_are_biases(task: str) -> None:
    """One bias for each neuron and output, where the layers are those published."""
    recipe, about = recipe_for(task, "alif"), ALL_TASKS[task]
    network = Network(recipe, about.inputs, len(about.classes))
    ours = sum(value.numel() for value in network.parameters())
    published = PUBLISHED[task, "ALIF"].parameters
    if ours < published:
        assert published - ours == sum(recipe.network.hidden) + len(about.classes)
    else:
        assert task in ("smnist", "psmnist")


def test_synthetic_data_are_not_passed_off(out: Path) -> None:
    record_ = replace(record(), data=replace(SOURCE, kind="synthetic-ecg"))
    assert "say nothing about the published ones" in tables.notes([record_], [])[0]
    assert "say nothing" not in tables.notes([record()], [])[0]
    assert len(tables.notes([record()], [])) == 1  # the shipped recipe needs no mention


def damage(folder: RunFolder, name: str) -> None:
    path = folder.path / name
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def change_result(folder: RunFolder, change: Callable[[dict[str, Any]], None]) -> None:
    contents = json.loads(folder.result.read_text())
    change(contents)
    folder.result.write_text(json.dumps(contents))


SPOILED: dict[str, tuple[Callable[[RunFolder], object], tuple[str, ...]]] = {
    "cut result": (lambda f: damage(f, "run.json"), ("run.json", "damaged")),
    "binary result": (lambda f: f.result.write_bytes(b"\xff\x00"), ("run.json", "text")),
    "listed result": (lambda f: f.result.write_text("[]"), ("run.json", "damaged")),
    "cut model": (lambda f: damage(f, "model.pt"), ("model.pt", "damaged")),
    "cut metrics": (lambda f: damage(f, "model.jsonl"), ("model.jsonl", "line 2")),
    "no metrics": (
        lambda f: f.metrics.unlink(),
        ("model.jsonl: cannot be read", "Put back the one that this training wrote"),
    ),
    "text in metrics": (
        lambda f: change_metrics(f, seconds="2"),
        ("model.jsonl, line 2: seconds is '2';", "a number, 0 to 1e+100"),
    ),
    "infinite metrics": (
        lambda f: change_metrics(f, seconds=math.inf),
        ("model.jsonl, line 2: seconds is inf;",),
    ),
    "metrics in percent": (
        lambda f: change_metrics(f, validation_accuracy=50.0),
        ("model.jsonl, line 2: validation_accuracy is 50.0;", "0 to 1"),
    ),
    "few metrics": (lambda f: f.metrics.write_text(""), ("model.jsonl", "0 epochs")),
    "shares": (lambda f: f.shares.write_text("{}x"), ("threads.json", "damaged")),
    "infinite shares": (
        lambda f: f.shares.write_text('[{"jobs": Infinity, "threads": 1}]'),
        ("threads.json: jobs is inf;", "whole number of 1 or more"),
    ),
    "schema": (lambda f: change_result(f, lambda c: c.update(schema=99)), ("schema 99",)),
    "limited": (
        lambda f: change_result(f, lambda c: c["result"].update(samples=1)),
        ("1 samples", "measured on 2"),
    ),
    "other model": (
        lambda f: change_result(f, lambda c: c["network"].update(model="0")),
        ("another model",),
    ),
    "moved": (
        lambda f: (
            write_run(RunFolder(f.out / "elsewhere", "ecg", "BRF", 3))
            or (f.out / "elsewhere/ecg-brf/seed-3/model.pt").replace(f.model)
        ),
        ("seed 3", "its folder is for ecg-brf seed 1"),
    ),
}


def change_metrics(folder: RunFolder, **changes: Any) -> None:
    first, second, *rest = folder.metrics.read_text().splitlines()
    lines = (first, json.dumps(json.loads(second) | changes), *rest)
    folder.metrics.write_text("".join(f"{line}\n" for line in lines))


@pytest.mark.parametrize("what", SPOILED)
def test_a_damaged_file_is_named(out: Path, what: str) -> None:
    spoil, parts = SPOILED[what]
    spoil(RunFolder(out, "ecg", "BRF", 1))
    result = brf_lava("--tables-only", "--out", out)
    assert_failed(result, 2, str(out / "ecg-brf" / "seed-1"), "--restart", *parts)
    assert not (out / "tables.md").exists()


IMPOSSIBLE = {
    "accuracy": (math.nan, math.inf, -0.1, 1.5, "0.5", True, None, [0.5]),
    "agreement": (math.nan, 2, "1"),
    "saturations": (math.nan, math.inf, -1, 0.5, False, "3", None),
    "backend": (None, 3, ["engine"]),
}


@pytest.mark.parametrize(
    ("key", "value"), [(key, value) for key, values in IMPOSSIBLE.items() for value in values]
)
def test_an_impossible_result_is_named(out: Path, key: str, value: Any) -> None:
    change_result(RunFolder(out, "ecg", "BRF", 1), lambda c: c["result"].update({key: value}))
    path = out / "ecg-brf" / "seed-1" / "run.json"
    assert_failed(
        brf_lava("--tables-only", "--out", out), 2, f"{path}: {key} is ", "needed", "--restart"
    )


@pytest.mark.parametrize("value", [math.nan, math.inf, -1, "50", 10**400])
def test_impossible_sops_are_named(out: Path, value: Any) -> None:
    change_result(
        RunFolder(out, "ecg", "BRF", 1), lambda c: c["result"].update(cost={"sops": value})
    )
    assert_failed(brf_lava("--tables-only", "--out", out), 2, "run.json: sops is ", "0 or more")


def test_no_comparison_with_the_float_network_is_no_damage(out: Path) -> None:
    change_result(RunFolder(out, "ecg", "BRF", 1), lambda c: c["result"].update(agreement=None))
    assert_worked(brf_lava("--tables-only", "--out", out))


# What remains to be done


def test_what_remains(tmp_path: Path) -> None:
    recipe, folder = small_recipe(), RunFolder(tmp_path, "ecg", "BRF", 0)
    assert remaining(folder, recipe, SOURCE) == ("train", "export", "run")
    write_state(folder, recipe)
    assert remaining(folder, recipe, SOURCE) == ("resume", "export", "run")
    write_model(folder, recipe)  # the best so far, beside the state
    assert remaining(folder, recipe, SOURCE) == ("resume", "export", "run")
    folder.state.unlink()
    assert remaining(folder, recipe, SOURCE) == ("export", "run")
    folder.network.write_bytes(b"net")
    assert remaining(folder, recipe, SOURCE) == ("export", "run")
    write_run(folder, recipe)
    assert remaining(folder, recipe, SOURCE) == ()
    assert remaining(folder, replace(recipe, text="# said otherwise", name="x"), SOURCE) == ()
    folder.network.unlink()
    assert remaining(folder, recipe, SOURCE) == ("export", "run")
    folder.metrics.unlink()  # without them, a run could not go into the tables
    with pytest.raises(DataError, match=r"model\.jsonl: cannot be read.*--restart"):
        remaining(folder, recipe, SOURCE)


@pytest.mark.parametrize("stopped", [True, False])
def test_another_experiment_is_not_taken_for_this_one(tmp_path: Path, stopped: bool) -> None:
    recipe, folder = small_recipe(), RunFolder(tmp_path, "ecg", "BRF", 0)
    if stopped:
        write_state(folder, recipe)
    else:
        write_run(folder, recipe)
    named = f"{folder.path}: .*--restart"
    with pytest.raises(BrfLavaError, match=named) as error:
        remaining(folder, small_recipe("BRF", "epochs=9"), SOURCE)
    assert "training.epochs = 3, not 9" in str(error.value)
    with pytest.raises(BrfLavaError, match=named):
        remaining(folder, recipe, replace(SOURCE, fingerprint="0" * 64))


def test_a_damaged_state_is_named(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path, "ecg", "BRF", 0)
    write_state(folder, small_recipe(), seed=3)
    with pytest.raises(BrfLavaError, match="seed 3, not 0"):
        remaining(folder, small_recipe(), SOURCE)
    write_state(folder, small_recipe(), data={"kind": "qtdb"})
    with pytest.raises(BrfLavaError, match=r"model\.resume\.pt: damaged"):
        remaining(folder, small_recipe(), SOURCE)


@pytest.fixture(scope="session")
def dataset() -> Dataset:
    train, test = generate(6, 2, seed=1)
    task = ALL_TASKS["ecg"]
    return Dataset("ecg", task.classes, task.step_seconds, train, test, SOURCE)


def experiment(neuron: str = "BRF", *changes: str) -> Experiment:
    (found,) = plan.experiments(["ecg"], [neuron], (*SMALL, "epochs=3", *changes), None)
    return found


def test_the_plan_skips_what_is_done(out: Path, dataset: Dataset) -> None:
    planned = plan.plan([experiment("ALIF"), experiment()], 3, out, lambda _: dataset, False)
    fresh = ("train", "export", "run")
    assert [(job.name, job.steps) for job in planned] == [
        ("ecg-alif seed 0", ()),
        ("ecg-alif seed 1", fresh),
        ("ecg-alif seed 2", fresh),
        ("ecg-brf seed 0", ()),
        ("ecg-brf seed 1", ()),
        ("ecg-brf seed 2", fresh),
    ]


def test_restart_is_for_what_does_not_fit(out: Path, dataset: Dataset) -> None:
    damage(RunFolder(out, "ecg", "BRF", 1), "run.json")
    with pytest.raises(DataError, match="damaged"):
        plan.plan([experiment()], 2, out, lambda _: dataset, False)
    planned = plan.plan([experiment()], 2, out, lambda _: dataset, True)
    assert [len(job.steps) for job in planned] == [0, 3]


def test_a_neighbor_of_another_recipe_is_refused_at_once(out: Path, dataset: Dataset) -> None:
    write_run(RunFolder(out, "ecg", "BRF", 9))
    with pytest.raises(BrfLavaError, match=r"seed-9.*training\.epochs = 3, not 5"):
        plan.plan([experiment("BRF", "epochs=5")], 2, out, lambda _: dataset, True)


def test_changes_cannot_swap_task_or_neuron() -> None:
    with pytest.raises(RecipeError, match="--neurons"):
        plan.experiments(["ecg"], ["RF"], ["network.neuron=HRF"], None)
    with pytest.raises(RecipeError, match="Name tasks as arguments"):
        plan.experiments(["ecg"], ["RF"], ["task=shd"], None)


def test_a_neighbor_on_other_data_is_refused_at_once(out: Path, dataset: Dataset) -> None:
    other = replace(dataset, source=replace(SOURCE, fingerprint="0" * 64, description="others"))
    with pytest.raises(BrfLavaError, match=r"seed-0: .*records of no one, not others"):
        plan.plan([experiment("RF")], 1, out, lambda _: other, False)


# Jobs, with a program that only pretends


PRETEND = """
import os, pathlib, signal, sys, time
command, options = sys.argv[1], sys.argv[2:]
out = pathlib.Path(options[1] if command == "export" else options[options.index("--out") + 1])
names = ("NUMBA_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
threads = " ".join(os.environ[name] for name in names)
place = out.parent
with (place / "calls.txt").open("a") as file:
    file.write(f"{command} {'--resume' in options} {threads} {os.getsid(0) == os.getpid()}\\n")
behavior = (place / "behavior.txt").read_text() if (place / "behavior.txt").exists() else ""
if behavior == f"fail {command}":
    print("all is well")
    print("Error: the well is empty.", file=sys.stderr)
    sys.exit(2)
if behavior == "killed":
    os.kill(os.getpid(), signal.SIGKILL)
if command == "train":
    def stop(*_):
        (place / "stopped.txt").open("a").write("x")
        if behavior != "stubborn":
            sys.exit(130)
    signal.signal(signal.SIGINT, stop)
    (place / "model.jsonl").write_text('{"epoch": 1, "validation_accuracy": 0.25}\\n')
    while behavior in ("slow", "stubborn"):
        time.sleep(0.01)
out.write_text(command)
"""


@dataclass
class Watcher:
    """A display that keeps what it is told, and may act on it."""

    on: Callable[[str], None] = lambda _: None
    told: list[str] = field(default_factory=list)

    def _tell(self, what: str) -> None:
        self.told.append(what)
        self.on(what)

    def on_step(self, job: Job, step: str) -> None:
        self._tell(f"{job.folder.seed} {step}")

    def on_epoch(self, job: Job, epoch: int, accuracy: float) -> None:
        self._tell(f"{job.folder.seed} epoch {epoch} {accuracy}")

    def on_end(self, job: Job, problem: str | None) -> None:
        self._tell(f"{job.folder.seed} {problem or 'done'}")

    def on_stop(self, running: int) -> None:
        self._tell(f"stop {running}")


@pytest.fixture
def pretended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    program = tmp_path / "pretend.py"
    program.write_text(PRETEND)
    monkeypatch.setattr(jobs, "PROGRAM", (sys.executable, "-S", str(program)))
    monkeypatch.setattr(jobs, "POLL", 0.005)
    return tmp_path / "out"


def job(out: Path, seed: int, behavior: str = "", steps: tuple[str, ...] = plan.FRESH) -> Job:
    made = Job(RunFolder(out, "ecg", "BRF", seed), experiment(), SOURCE, steps)
    made.folder.path.mkdir(parents=True)
    if behavior:
        (made.folder.path / "behavior.txt").write_text(behavior)
    return made


def names(found: Iterator[Job] | list[Job] | dict[Job, str]) -> list[int]:
    return sorted(each.folder.seed for each in found)


TWO = Settings(CoreShare(jobs=2, threads=3))


def test_jobs_run_their_steps_in_order(pretended: Path) -> None:
    queue = [
        job(pretended, 0),
        job(pretended, 1, steps=plan.STOPPED),
        job(pretended, 2, steps=plan.TRAINED),
        job(pretended, 3, steps=()),
    ]
    old = queue[0].folder
    for path in (old.network, old.result, old.state):
        path.write_text("of an older training")
    watcher = Watcher()
    outcome = run_jobs(queue, TWO, watcher)
    assert (outcome.total, names(outcome.done), outcome.failed) == (4, [0, 1, 2, 3], {})
    assert not outcome.stopped
    assert not old.state.exists()
    assert old.network.read_text() == "export"
    calls = {seed: (queue[seed].folder.path / "calls.txt").read_text() for seed in (0, 1, 2)}
    rest = "export False 3 3 3 3 True\nrun False 3 3 3 3 True\n"
    assert calls[0] == f"train False 3 3 3 3 True\n{rest}"
    assert calls[1] == f"train True 3 3 3 3 True\n{rest}"
    assert calls[2] == rest
    assert not queue[3].folder.result.exists()
    assert json.loads(old.shares.read_text()) == [{"jobs": 2, "threads": 3}]
    assert not queue[2].folder.shares.exists()
    mine = [event for event in watcher.told if event.startswith("0")]
    assert mine == ["0 train", "0 epoch 1 0.25", "0 export", "0 run", "0 done"]


def test_no_more_jobs_at_a_time_than_asked_for(pretended: Path) -> None:
    active: set[str] = set()
    peak = 0

    def count(event: str) -> None:
        nonlocal peak
        seed, what = event.split(maxsplit=1)
        active.discard(seed) if what == "done" else active.add(seed)
        peak = max(peak, len(active))

    run_jobs([job(pretended, seed) for seed in range(5)], TWO, Watcher(count))
    assert (peak, active) == (2, set())


@pytest.mark.parametrize("step", ["train", "export", "run"])
def test_a_failing_job_does_not_stop_the_others(pretended: Path, step: str) -> None:
    queue = [job(pretended, 0, f"fail {step}"), job(pretended, 1), job(pretended, 2, "killed")]
    outcome = run_jobs(queue, TWO, Watcher())
    assert (names(outcome.done), names(outcome.failed)) == ([1], [0, 2])
    problem = outcome.failed[queue[0]]
    assert f"'brf-lava {step}' ended with code 2: the well is empty." in problem
    assert str(queue[0].folder.log(step)) in problem
    assert "ended by SIGKILL" in outcome.failed[queue[2]]


def test_a_log_that_cannot_be_written_fails_that_job_alone(pretended: Path) -> None:
    queue = [job(pretended, 0), job(pretended, 1)]
    queue[0].folder.log("export").mkdir()
    outcome = run_jobs(queue, TWO, Watcher())
    assert (names(outcome.done), names(outcome.failed)) == ([1], [0])
    assert "export.log" in outcome.failed[queue[0]]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_stops_every_job_once(pretended: Path, number: int) -> None:
    queue = [job(pretended, seed, "slow") for seed in range(3)]
    running: set[str] = set()

    def act(event: str) -> None:
        if "epoch" in event:
            running.add(event)
            if len(running) == 2:
                os.kill(os.getpid(), number)

    watcher = Watcher(act)
    before = signal.getsignal(number)
    outcome = run_jobs(queue, TWO, watcher)
    assert signal.getsignal(number) is before
    assert (outcome.stopped, outcome.done, outcome.failed) == (True, [], {})
    stopped = [each.folder.path / "stopped.txt" for each in queue]
    assert [path.exists() and path.read_text() for path in stopped] == ["x", "x", False]
    assert "stop 2" in watcher.told
    assert not any(event.startswith("2") for event in watcher.told)  # was never begun


def test_a_second_ctrl_c_kills(pretended: Path) -> None:
    queue = [job(pretended, 0, "stubborn")]

    def act(event: str) -> None:
        if "epoch" in event or event == "stop 1":
            os.kill(os.getpid(), signal.SIGINT)

    started = time.monotonic()
    outcome = run_jobs(queue, TWO, Watcher(act))
    assert (outcome.stopped, outcome.done, outcome.failed) == (True, [], {})
    assert time.monotonic() - started < PATIENCE


def test_a_fault_of_the_display_leaves_no_process_behind(pretended: Path) -> None:
    queue = [job(pretended, seed, "slow") for seed in range(2)]

    def act(event: str) -> None:
        if "epoch" in event:
            raise BrokenPipeError

    with pytest.raises(BrokenPipeError):
        run_jobs(queue, TWO, Watcher(act))
    pids = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True).stdout
    assert str(pretended) not in pids


def test_going_on_notes_other_threads(pretended: Path) -> None:
    first, second = CoreShare(2, 3), CoreShare(1, 6)
    folder = job(pretended, 0).folder
    for share in (first, first, second):
        jobs.add_share(folder.shares, share)
    assert json.loads(folder.shares.read_text()) == [vars(first), vars(second)]


@pytest.mark.parametrize(
    ("cores", "asked", "runs", "expected"),
    [
        (8, None, 20, (8, 1)),
        (8, None, 3, (3, 2)),
        (8, 2, 20, (2, 4)),
        (2, 5, 20, (5, 1)),
        (8, 5, 1, (1, 8)),
        (1, None, 4, (1, 1)),
    ],
)
def test_jobs_share_the_cores(
    monkeypatch: pytest.MonkeyPatch, cores: int, asked: int | None, runs: int, expected: Any
) -> None:
    monkeypatch.setattr(jobs, "cores", lambda: cores)
    assert jobs.core_share(asked, runs) == CoreShare(*expected)


def test_the_children_are_given_what_train_export_and_run_take(tmp_path: Path) -> None:
    """Each command line is understood by the very command it is for."""
    from brf_lava.cli.main import main

    options = Settings(CoreShare(1, 1), ("--data", "some where"), "cpu")
    made = Job(RunFolder(tmp_path, "ecg", "BRF", 7), experiment(), SOURCE, ())
    values = {}
    for step in ("train", "resume", "export", "run"):
        name, *rest = jobs.arguments(made, step, options)[len(jobs.PROGRAM) :]
        command = main.commands[name]
        assert isinstance(command, click.Command)
        values[step] = command.make_context(name, rest).params
        assert values[step]["folder"] == Path("some where")
    train, resume = values["train"], values["resume"]
    assert (train["recipe"], train["seed"], train["resume"]) == ("ecg-brf", 7, False)
    assert train["changes"] == (*SMALL, "epochs=3")
    assert (train["device"], train["out"], resume["out"]) == ("cpu", *[made.folder.model] * 2)
    assert (resume["resume"], resume["recipe"], resume["seed"]) == (True, None, None)
    assert values["export"]["model"] == made.folder.model
    assert values["export"]["network"] == values["run"]["network"] == made.folder.network
    assert (values["run"]["backend"], values["run"]["out"]) == ("engine", made.folder.result)


@pytest.mark.parametrize(
    "program", [jobs.PROGRAM, (sys.executable, "-c", jobs.MAIN)], ids=["as run", "as on 3.10"]
)
def test_children_run_this_package_and_nothing_of_the_current_folder(
    tmp_path: Path, program: tuple[str, ...]
) -> None:
    here, elsewhere = tmp_path / "here", tmp_path / "elsewhere"
    for folder, names in (
        (here, ("brf_lava", "random", "click", "numpy")),
        (elsewhere, ["brf_lava"]),
    ):
        for name in names:
            (folder / name).mkdir(parents=True)
            (folder / name / "__init__.py").write_text(f"raise SystemExit('wrong {name}')")
    result = subprocess.run(
        [*program, "train", "--task", "ecg", "--data", "nowhere"],
        cwd=here,
        env={**os.environ, "PYTHONPATH": str(elsewhere)},  # even another installation
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )
    assert result.returncode == 2, result.stderr  # has loaded NumPy and torch by then
    assert "wrong" not in result.stderr
    assert result.stderr.startswith("Error: ")
    assert "nowhere" in result.stderr


def test_the_display_on_a_terminal(
    pretended: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "120")
    queue = [job(pretended, seed) for seed in range(3)] + [job(pretended, 3, steps=())]
    with display(queue) as shown:
        for each in queue[:3]:
            shown.on_step(each, "train")
        shown.on_epoch(queue[0], 1, 0.25)
        shown.on_end(queue[1], None)
        shown.on_end(queue[2], "the well is [empty]")
        shown.on_stop(1)
    lines = click.unstyle(capsys.readouterr().err).splitlines()
    (last,) = (line for line in lines[-2:] if line.lstrip().startswith("ecg-brf seed 0"))
    assert "epoch 1/3  validation 25.00%" in last
    assert "2 of 4 runs" in lines[-2]
    assert not any("seed 1" in line for line in lines[-2:])  # done: no line of its own any more
    assert any("ecg-brf seed 2: failed: the well is [empty]" in line for line in lines)
    assert any("Stopping 1; finished epochs are kept." in line for line in lines)


# Wrong usage


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        (("egc",), ("'egc'", "Did you mean ecg?")),
        (("mnist",), ("'mnist'", "smnist")),
        (("ecg", "--neurons", "bfr"), ("'bfr'", "Did you mean brf?")),
        (("ecg", "--neurons", "brf,"), ("neuron ''", "alif, rf, brf, bhrf")),
        ((), ("name what to run", "ecg")),
        (("ecg", "--set", "epoch=3"), ("--set epoch=3", "training.epochs")),
        (("ecg", "--set", "omega=[1, 2]"), ("neuron.omega",)),  # ALIF has none
        (("--tables-only", "--jobs", "2"), ("--tables-only", "--jobs. Leave that out")),
        (("--tables-only", "--seeds", "2"), ("--tables-only", "--seeds.")),
        (("--tables-only", "--restart"), ("--tables-only", "--restart.")),
        (("--tables-only", "--data", "x"), ("--tables-only", "--data. Leave that out")),
        (("--tables-only", "--unlabeled", "mask"), ("--tables-only", "--unlabeled.")),
        (("--tables-only", "--permutation", "x"), ("--tables-only", "--permutation.")),
        (("--tables-only", "--device", "cpu"), ("--tables-only", "--device.")),
        (("--tables-only", "--device", "auto"), ("--tables-only", "--device.")),  # the default
        (("--tables-only",), ("holds no finished run",)),
        (("ecg", "shd"), ("shd",)),  # the data of one are synthetic, of the other missing
        (("ecg", "--data", "nowhere"), ("--data", "nowhere")),
    ],
)
def test_wrong_usage(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: tuple[str, ...],
    parts: tuple[str, ...],
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))  # there are no data either
    out = tmp_path / "out"
    assert_failed(brf_lava(*arguments, "--out", out), 2, *parts)
    assert not out.exists()


def test_an_out_that_cannot_be(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, dataset: Dataset
) -> None:
    file = tmp_path / "file"
    file.write_text("")
    for out in (file, file / "below"):
        assert_failed(brf_lava("ecg", "--out", out), 2, "is not a folder")
    monkeypatch.setattr(Path, "mkdir", Mock(side_effect=OSError(28, "No space left")))
    monkeypatch.setattr("brf_lava.cli.reproduce.load_data", lambda *_: dataset)
    new = tmp_path / "new"
    assert_failed(brf_lava("ecg", "--out", new), 2, f"--out {new}: cannot be made (No space left).")
    monkeypatch.undo()
    monkeypatch.setattr(os, "access", lambda *_: False)
    assert_failed(brf_lava("ecg", "--out", tmp_path / "new"), 2, "cannot be written to")


def test_failed_jobs_end_in_one_line_and_the_tables_of_the_others(
    out: Path, pretended: Path, monkeypatch: pytest.MonkeyPatch, dataset: Dataset
) -> None:
    for seed in (2, 3):
        folder = RunFolder(out, "ecg", "BRF", seed).path
        folder.mkdir()
        (folder / "behavior.txt").write_text("fail train")
    write_run(RunFolder(out, "ecg", "BRF", 4))
    monkeypatch.setattr("brf_lava.cli.reproduce.load_data", lambda *_: dataset)
    changes = [part for change in SMALL for part in ("--set", change)]
    asked = ("ecg", "--neurons", "brf", "--epochs", "3", "--out", out)
    assert_failed(
        brf_lava(*asked, *changes),
        1,
        "2 of 5 runs failed. ecg-brf seed 2: 'brf-lava train' ended with code 2",
        "the well is empty",
        str(RunFolder(out, "ecg", "BRF", 2).log("train")),
        "Also failed: ecg-brf seed 3.",
    )
    contents = json.loads((out / "results.json").read_text())
    assert [run["seed"] for run in contents["runs"] if run["neuron"] == "BRF"] == [0, 1, 4]
    assert [each["seed"] for each in contents["unfinished"]] == [2, 3]


def test_a_second_reproduce_in_the_same_folder_is_refused(
    out: Path, pretended: Path, monkeypatch: pytest.MonkeyPatch, dataset: Dataset
) -> None:
    from brf_lava.io.files import only_writer

    monkeypatch.setattr("brf_lava.cli.reproduce.load_data", lambda *_: dataset)
    changes = [part for change in (*SMALL, "epochs=3") for part in ("--set", change)]
    with only_writer(out / "results.json"):
        asked = brf_lava("ecg", "--neurons", "brf", "--seeds", "2", "--out", out, *changes)
    assert_failed(asked, 2, "another process is writing it")


def test_the_outcome_decides_the_end(tmp_path: Path) -> None:
    from brf_lava.cli.reproduce import _end

    finished = Job(RunFolder(tmp_path, "ecg", "BRF", 0), experiment(), SOURCE, ())
    _end(Outcome(1, [finished], {}, stopped=True), tmp_path)  # the signal came too late to matter
    with pytest.raises(KeyboardInterrupt):
        _end(Outcome(2, [finished], {}, stopped=True), tmp_path)


# The real thing


def write_mat(path: Path, split: Any) -> None:
    """In the layout of the published files: a last step that only marks the end, one-hot labels."""
    samples = len(split.x)
    x = np.zeros((samples, STEPS + 1, 4), np.int16)
    x[:, :STEPS] = split.x
    x[:, -1, 0] = -1
    y = np.zeros((samples, STEPS + 1, 6), np.uint8)
    y[:, :STEPS] = np.eye(6, dtype=np.uint8)[split.y]
    scipy.io.savemat(path, {"x": x, "y": y}, do_compression=True)


PROGRAM = """
from brf_lava.cli.main import main
from brf_lava.cli.reproduce import reproduce
main.add_command(reproduce)
main(prog_name="brf-lava")
"""
LONG = 150  # epochs, some 3 s: enough to be interrupted in


@pytest.mark.slow
def test_ctrl_c_and_the_same_command_again(tmp_path: Path, dataset: Dataset) -> None:
    data, out = tmp_path / "data", tmp_path / "new" / "out"
    data.mkdir()
    write_mat(data / ecg.TRAIN_FILE, dataset.train)
    write_mat(data / ecg.TEST_FILE, dataset.test)
    changes = [part for change in SMALL for part in ("--set", change)]
    command = [sys.executable, "-c", PROGRAM, "reproduce", "ecg", "--neurons", "brf"]
    command += ["--seeds", "2", "--epochs", str(LONG), "--jobs", "2", *changes]
    command += ["--data", str(data), "--out", str(out)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    folders = [RunFolder(out, "ecg", "BRF", seed) for seed in (0, 1)]

    process = subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    deadline = time.monotonic() + PATIENCE
    try:
        while not all(each.metrics.exists() and each.metrics.read_text() for each in folders):
            assert process.poll() is None, process.communicate()
            assert time.monotonic() < deadline
            time.sleep(0.01)
        process.send_signal(signal.SIGINT)
        _, stderr = process.communicate(timeout=PATIENCE)
    finally:
        process.kill()
    assert process.returncode == 130, stderr
    assert "Traceback" not in stderr
    assert f"Stopped: 0 of 2 runs in {out} are done" in stderr
    assert "Go on with the same command." in stderr
    assert all(each.state.exists() for each in folders)
    assert all("state saved" in each.log("train").read_text() for each in folders)

    again = subprocess.run(
        command, env=environment, capture_output=True, text=True, timeout=PATIENCE
    )
    assert again.returncode == 0, again.stderr
    assert "ecg-brf seed 1: training goes on" in again.stderr
    assert "done, 2 of 2" in again.stderr
    records = [read_record(each) for each in folders]
    threads = jobs.core_share(2, 2).threads
    for seed, run in enumerate(records):
        assert (run.seed, run.epochs, len(run.validation_accuracy)) == (seed, LONG, LONG)
        assert run.shares == (CoreShare(2, threads),)
        assert run.integer.backend == "engine"
        assert run.integer.accuracy == pytest.approx(run.accuracy, abs=0.2)
        assert run.data.fingerprint == ecg.load(data).source.fingerprint
    with (out / "table1.csv").open() as file:
        (line,) = csv.DictReader(file)
    mean = 50 * (records[0].accuracy + records[1].accuracy)
    assert float(line["accuracy_percent_mean"]) == pytest.approx(mean)
    assert sorted(path.name for path in out.iterdir()) == sorted([*tables.FILES, "ecg-brf"])

    before = {path: path.stat().st_mtime_ns for path in out.rglob("seed-*/*")}
    assert_worked(brf_lava(*command[4:]))  # all is done: nothing runs
    assert {path: path.stat().st_mtime_ns for path in out.rglob("seed-*/*")} == before
