"""brf-lava reproduce: what runs, what is skipped, what a stop keeps, and what the tables say."""

from __future__ import annotations

import csv
import json
import math
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import fields, replace
from functools import partial
from pathlib import Path
from typing import Any

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
from brf_lava.reproduce.display import Display
from brf_lava.reproduce.folders import RunFolder, run_folders
from brf_lava.reproduce.jobs import CoreShare, Outcome, Settings, run_jobs
from brf_lava.reproduce.plan import Job, remaining
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

ROOT = Path(__file__).resolve().parents[2]
LAST_DIGIT = 0.01  # of the published ratios; one of them is cut, not rounded
PATIENCE = 240  # s, for a process; machine code may have to be compiled first
STEPS = 1300
SMALL = ("network.hidden=[4]", "validation=2", "theta=0.02")  # reached without having learned
CHANGES = [part for change in SMALL for part in ("--set", change)]
ASKED = ("ecg", "--neurons", "brf", "--epochs", "3", *CHANGES)
SOURCE = DataSource("qtdb", "records of no one", "f" * 64)


@pytest.fixture(autouse=True)
def no_data_of_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(ecg.DATA_VARIABLE, raising=False)


def brf(out: Path, seed: int = 0) -> RunFolder:
    return RunFolder(out, "ecg", "BRF", seed)


# What was published


def parameters(task: str, neuron: str) -> int:
    about = ALL_TASKS[task]
    network = Network(recipe_for(task, neuron), about.inputs, len(about.classes))
    return sum(value.numel() for value in network.parameters())


def test_every_task_has_every_neuron() -> None:
    assert set(PUBLISHED) == {(task, neuron) for task in TASKS for neuron in NEURONS}
    assert len(PUBLISHED) == 16


@pytest.mark.parametrize("cell", PUBLISHED, ids="-".join)
def test_published_values_agree_with_each_other(cell: tuple[str, str]) -> None:
    """Twice the SOPs per step are not the SOPs over the steps; no one may correct that."""
    task, neuron = cell
    about, published = ALL_TASKS[task], PUBLISHED[cell]
    ratio = published.sops / PUBLISHED[task, "ALIF"].sops
    assert published.sops_vs_alif == pytest.approx(ratio, abs=LAST_DIGIT)
    printed = {("smnist", "BHRF"): -2.0, ("psmnist", "BHRF"): 2.0}.get(cell, 0.0)
    difference = published.sops_per_step - published.sops / about.steps
    assert difference == pytest.approx(printed, abs=LAST_DIGIT)
    assert (published.epochs is None) == (neuron == "RF")
    ours = parameters(task, neuron)
    if neuron != "ALIF":
        assert ours == published.parameters
    elif task in ("ecg", "shd"):  # one bias for each neuron and output
        biases = sum(recipe_for(*cell).network.hidden) + len(about.classes)
        assert ours == published.parameters - biases
    else:  # "recurrent connections in all hidden layers", as the tables explain
        assert ours > published.parameters


def test_the_metrics_file_has_what_its_reader_knows() -> None:
    assert set(LIMITS) < {field.name for field in fields(EpochReport)}


# Aggregation of records made by hand


def record(task: str = "ecg", neuron: str = "BRF", seed: int = 0, **changes: Any) -> RunRecord:
    base = RunRecord(
        folder=RunFolder(Path("out"), task, neuron, seed),
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


def spread(line: tables.Line, name: str) -> tuple[float, float]:
    return line[f"{name}_mean"], line[f"{name}_std"]


def test_lines_are_means_over_seeds() -> None:
    runs = [record("ecg", "ALIF", seed, sops=sops) for seed, sops in enumerate((400.0, 600.0))]
    for seed in range(3):
        integer = IntegerResult("engine", 0.70 + 0.04 * seed, 120.0 * (seed + 1), None, 0)
        measured = {"accuracy": 0.80 + 0.02 * seed, "sops": 130.0 * (seed + 1)}
        runs += [record(seed=seed, seconds=1.0 + 2 * seed, integer=integer, **measured)]
    alif, brf = tables.table_lines(runs[::-1])
    assert (alif["neuron"], alif["seeds"], alif["sops_vs_alif"]) == ("ALIF", 2, 1.0)
    assert spread(alif, "sops") == pytest.approx((500, math.sqrt(2) * 100))
    assert (brf["neuron"], brf["seeds"], brf["parameters"]) == ("BRF", 3, 1734)
    assert spread(brf, "accuracy_percent") == pytest.approx((82, 2))  # sqrt((4 + 0 + 4) / 2)
    assert spread(brf, "sops") == pytest.approx((260, 130))
    assert spread(brf, "sops_per_step") == pytest.approx((0.2, 0.1))
    assert brf["sops_vs_alif"] == pytest.approx(0.52)
    assert spread(brf, "training_seconds") == (3.0, 2.0)
    assert spread(brf, "integer_accuracy_percent") == pytest.approx((74, 4))
    assert spread(brf, "integer_sops") == (240.0, 120.0)


def test_one_seed_has_no_deviation_and_no_alif_no_ratio() -> None:
    (line,) = tables.table_lines([record()])
    assert (*spread(line, "accuracy_percent"), line["sops_vs_alif"]) == (50.0, None, None)
    accuracy, spikes, *_ = (tables.columns(title, [line]) for title in tables.TABLES)
    assert ("accuracy %", "50.00") in accuracy
    assert spikes[-2:] == [("vs ALIF", ""), ("publ.", "0.18")]
    brf, alif = tables.table_lines([record("shd", "ALIF"), record()])
    assert (brf["task"], alif["task"], brf["sops_vs_alif"]) == ("ecg", "shd", None)


def test_lines_are_in_the_published_order() -> None:
    mixed = [record(task, neuron) for neuron in NEURONS for task in reversed(TASKS)]
    order = [(line["task"], line["neuron"]) for line in tables.table_lines(mixed)]
    assert order == [(task, neuron) for task in TASKS for neuron in NEURONS]


def test_epochs_to_a_share_of_the_final_accuracy() -> None:
    accuracy = (0.10, 0.76, 0.785, 0.80, 0.90)
    assert [tables.epochs_to(share, accuracy, kept=4) for share in FRACTIONS] == [2, 3, 4]
    assert [tables.epochs_to(share, accuracy, kept=5) for share in FRACTIONS] == [5, 5, 5]
    assert tables.epochs_to(1.0, (0.5, 0.5), kept=2) == 1
    assert tables.epochs_to(0.95, (0.0, 0.0), kept=1) == 1
    made = partial(record, validation_accuracy=accuracy)
    (line,) = tables.table_lines([made(epoch=4), made(seed=1, epoch=5)])
    means = [spread(line, f"epochs_to_{share}_percent") for share in ("95", "98", "100")]
    assert [mean for mean, _ in means] == [3.5, 4.0, 4.5]
    assert means[0][1] == pytest.approx(math.sqrt(4.5))


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
    alike = [record(), record(seed=1), record(neuron="RF"), record("smnist", "BRF")]
    check_alike(alike, {}, {})
    with pytest.raises(BrfLavaError, match=r"seed-1: .*training\.epochs = 7, not 400"):
        check_alike([record(), record(seed=1, recipe=longer)], {}, {})
    with pytest.raises(BrfLavaError, match=r"seed-0: .*training\.epochs = 400, not 7"):
        check_alike(alike, {("ecg", "BRF"): longer}, {})
    other = replace(SOURCE, fingerprint="0" * 64, description="other records")
    for seed, neuron in ((1, "BRF"), (0, "ALIF")):  # a ratio compares neurons
        with pytest.raises(BrfLavaError, match="data other records"):
            check_alike([record(), record(neuron=neuron, seed=seed, data=other)], {}, {})
    permuted = [record("psmnist", "BRF", seed, permuted=True) for seed in (0, 1)]
    check_alike([permuted[0], replace(permuted[1], data=other)], {}, {})  # each has its own order
    with pytest.raises(BrfLavaError, match="data"):
        check_alike([replace(permuted[1], data=replace(other, kind="no"))], {}, {"psmnist": SOURCE})


def test_differences_name_keys_and_both_values() -> None:
    recipe = recipe_for("ecg", "brf")
    changed = override(recipe, ["hidden=[4, 5]", "epochs=7"])
    assert differences(recipe, replace(recipe, text="# other words")) == []
    assert differences(changed, recipe) == [
        "network.hidden = [4, 5], not [36]",
        "training.epochs = 7, not 400",
    ]
    alif = differences(recipe_for("ecg", "alif"), recipe)
    assert "neuron.omega = nothing, not [3.0, 5.0]" in alif


def test_synthetic_data_are_not_passed_off() -> None:
    synthetic = replace(record(), data=replace(SOURCE, kind="synthetic-ecg"))
    assert "say nothing about the published ones" in tables.notes([synthetic], [])[0]
    (note,) = tables.notes([record()], [])  # the shipped recipe needs no mention
    assert "say nothing" not in note


# Folders made by hand


def small_recipe(neuron: str = "BRF", *changes: str) -> Recipe:
    return override(recipe_for("ecg", neuron), (*SMALL, "epochs=3", *changes))


def write_model(
    folder: RunFolder, recipe: Recipe, accuracy: float = 0.5, seed: int | None = None
) -> Checkpoint:
    folder.path.mkdir(parents=True, exist_ok=True)
    network = Network(recipe, 4, 6, torch.Generator().manual_seed(folder.seed))
    checkpoint = Checkpoint(
        recipe=recipe,
        seed=folder.seed if seed is None else seed,
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
    measured = {"backend": "engine", "samples": 2, "steps": STEPS, "accuracy": accuracy / 2}
    measured |= {"cost": {"sops": 50.0}, "agreement": 0.9, "saturations": 3}
    measured |= {"inputs": {"mean": 1.0, "peak": 1}, "layers": []}
    contents = {"format": run_result.FORMAT, "schema": run_result.SCHEMA, "result": measured}
    contents |= {"data": vars(SOURCE), "network": {"model": checkpoint.fingerprint}}
    folder.result.write_text(json.dumps(contents))


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
        write_run(brf(out, seed), accuracy=accuracy)
    write_run(RunFolder(out, "ecg", "ALIF", 0))
    write_model(brf(out, 4), small_recipe())
    for name in ("ecg-brf/seed-x", "ecg-brf/seed-007", "notes"):
        (out / name).mkdir()
    return out


def written(out: Path) -> dict[str, bytes]:
    return {name: (out / name).read_bytes() for name in tables.FILES}


def brf_lava(*arguments: str | Path) -> Result:
    group = Commands(name="brf-lava", commands={"reproduce": reproduce})
    return CliRunner().invoke(group, ["reproduce", *map(str, arguments)], prog_name="brf-lava")


def terminal(monkeypatch: pytest.MonkeyPatch, width: int) -> None:
    """Take what is written for a terminal."""
    for name, value in {"FORCE_COLOR": "1", "TERM": "xterm", "COLUMNS": str(width)}.items():
        monkeypatch.setenv(name, value)


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


def test_run_folders_are_found(out: Path) -> None:
    names = ["ecg-alif seed 0", "ecg-brf seed 0", "ecg-brf seed 1", "ecg-brf seed 4"]
    assert [folder.name for folder in run_folders(out)] == names
    assert run_folders(out / "nowhere") == []


def test_a_record_is_what_the_files_say(out: Path) -> None:
    found = read_record(brf(out, 1))
    assert (found.folder.seed, found.parameters) == (1, 4 * 4 + 4 * 4 + 4 * 2 + 6 * 4 + 6)
    assert (found.accuracy, found.sops, found.loss) == (0.7, 200.0, 1.5)
    assert (found.epoch, found.epochs, found.seconds) == (2, 3, 6.0)
    assert found.validation_accuracy == pytest.approx((0.1, 0.2, 0.3))
    assert found.integer == IntegerResult("engine", 0.35, 50.0, 0.9, 3)
    assert (found.recipe, found.shares) == (small_recipe(), ())
    write_run(brf(out, 1), small_recipe("BRF", "recurrent_density=0.5"))
    assert read_record(brf(out, 1)).parameters == 70  # pruned weights are, masks are not


def test_tables_from_files_alone(out: Path) -> None:
    result = brf_lava("--tables-only", "--out", out)
    assert_worked(result)
    assert "60.00 ± 14.14" in result.output
    assert "Not finished, not counted: ecg-brf seed 4." in result.output
    contents = json.loads((out / "results.json").read_text())
    for name in ("table1", "table2"):
        with (out / f"{name}.csv").open() as file:
            lines = list(csv.DictReader(file))
        texts = [{k: "" if v is None else str(v) for k, v in d.items()} for d in contents[name]]
        assert lines == texts
        assert "training.epochs = 3, not 400" in lines[1]["recipe_changes"]
    alif, brf_line = contents["table1"]
    assert (brf_line["neuron"], brf_line["seeds"], brf_line["parameters"]) == ("BRF", 2, 70)
    assert brf_line["accuracy_percent_mean"] == pytest.approx(60)
    assert (brf_line["sops_mean"], brf_line["sops_vs_alif"]) == (150, 1.5)
    assert brf_line["integer_accuracy_percent_mean"] == pytest.approx(30)
    assert brf_line["sops_per_step_mean"] == pytest.approx(150 / STEPS)
    ours = {key: value for key, value in brf_line.items() if key.startswith("published_")}
    assert list(ours.values()) == [1734, 85.8, 6307.7, 4.85, 0.18]
    assert (alif["accuracy_percent_std"], alif["published_accuracy_percent"]) == (None, 85.9)
    line = contents["table2"][1]
    assert line["epochs_to_95_percent_mean"] == 2
    assert line["published_epochs_to_100_percent"] == 75
    markdown = (out / "tables.md").read_text()
    for text in (
        "| ecg | BRF | 2 | 70 | 1,734 | 60.00 ± 14.14 | 85.8 |\n",
        "| ecg | BRF | 150.0 ± 70.7 | 6,307.7 | 0.12 ± 0.05 | 4.85 | 1.50 | 0.18 |\n",
        "| ecg | BRF | 30.00 ± 7.07 | 50.0 ± 0.0 | 6.0 ± 0.0 |\n",
        "| ecg | BRF | 2 | 2.0 ± 0.0 | 5 | ",
        "- ecg-brf: the shipped recipe with network.hidden = [4], not [36]; ",
    ):
        assert text in markdown
    runs = [(run["neuron"], run["seed"]) for run in contents["runs"]]
    assert runs == [("ALIF", 0), ("BRF", 0), ("BRF", 1)]
    assert contents["runs"][2]["data"] == vars(SOURCE)
    assert contents["runs"][2]["integer"]["saturations"] == 3
    assert contents["unfinished"] == [{"task": "ecg", "neuron": "BRF", "seed": 4}]
    before = written(out)
    assert_worked(brf_lava("ECG", "--tables-only", "--out", out))
    assert written(out) == before


@pytest.mark.parametrize("selection", [("--neurons", "brf"), ("ecg", "--neurons", "BRF"), ()])
def test_a_selection_narrows_what_is_shown_and_not_the_files(
    out: Path, selection: tuple[str, ...]
) -> None:
    result = brf_lava("--tables-only", "--out", out, *selection)
    assert_worked(result)
    contents = json.loads((out / "results.json").read_text())
    assert [run["neuron"] for run in contents["runs"]] == ["ALIF", "BRF", "BRF"]
    assert [line["neuron"] for line in contents["table1"]] == ["ALIF", "BRF"]
    shown = [line.split() for line in result.output.splitlines()]
    assert any(line[:2] == ["ecg", "ALIF"] for line in shown) == (not selection)
    assert ("ecg-alif:" in [line[0] for line in shown if line]) == (not selection)
    assert "Not finished, not counted: ecg-brf seed 4." in result.output
    (line,) = (line for line in shown if line[:2] == ["ecg", "BRF"] and "4.85" in line)
    assert line[-2:] == ["1.50", "0.18"]  # the SOPs of ALIF count although it is not shown


def test_a_selection_of_nothing_unfinished_or_of_nothing_at_all(out: Path) -> None:
    result = brf_lava("--tables-only", "--neurons", "alif", "--out", out)
    assert_worked(result)
    assert "Not finished" not in result.output
    assert "Not finished, not counted: ecg-brf seed 4." in (out / "tables.md").read_text()
    before = written(out)
    for asked, named in ((("smnist",), "smnist-alif, smnist-rf"), (("--neurons", "rf"), "-rf")):
        result = brf_lava(*asked, "--tables-only", "--out", out)
        assert_failed(result, 2, "holds no finished run of ", named)
    assert written(out) == before


@pytest.mark.parametrize("width", [80, 200])
def test_a_narrow_terminal_shows_every_number(
    out: Path, monkeypatch: pytest.MonkeyPatch, width: int
) -> None:
    large = brf(out, 999)  # so that the numbers are as long as they get
    write_run(large)
    change_metrics(large, seconds=1e9)
    terminal(monkeypatch, width)
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


def test_tables_check_the_recipes_that_are_asked_for(out: Path) -> None:
    asked = ("ecg", "--tables-only", "--out", out, *CHANGES, "--epochs")
    assert_worked(brf_lava(*asked, "3"))
    before = written(out)
    named = f"{out / 'ecg-alif' / 'seed-0'}: is of another experiment"
    assert_failed(brf_lava(*asked, "4"), 2, named, "training.epochs = 3, not 4")
    write_run(RunFolder(out, "ecg", "RF", 0), small_recipe("RF", "clip_norm=100"))
    clipped = ("3", "--set", "training.clip_norm=100")
    assert_failed(brf_lava(*asked, *clipped), 2, "clip_norm = 0.0, not")
    assert written(out) == before
    assert_worked(brf_lava(*asked, *clipped, "--neurons", "rf"))
    assert "training.clip_norm = 100.0, not 0.0" in (out / "tables.md").read_text()
    assert_failed(brf_lava(*asked, "3", "--set", "clip=1"), 2, "--set clip=1", "no such key")


def damage(folder: RunFolder, name: str) -> None:
    path = folder.path / name
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def change_result(folder: RunFolder, change: Callable[[dict[str, Any]], None]) -> None:
    contents = json.loads(folder.result.read_text())
    change(contents)
    folder.result.write_text(json.dumps(contents))


SPOILED: dict[str, tuple[Callable[[RunFolder], object], tuple[str, ...]]] = {
    "cut result": (lambda f: damage(f, "run.json"), ("run.json: not valid JSON (",)),
    "binary result": (lambda f: f.result.write_bytes(b"\xff\x00"), ("run.json", "text")),
    "listed result": (lambda f: f.result.write_text("[]"), ("run.json: []; allowed is a",)),
    "cut model": (lambda f: damage(f, "model.pt"), ("model.pt", "damaged")),
    "cut metrics": (lambda f: damage(f, "model.jsonl"), ("model.jsonl", "line 2")),
    "no metrics": (
        lambda f: f.metrics.unlink(),
        ("model.jsonl: cannot be read", "Put back the one that this training wrote"),
    ),
    "text in metrics": (
        lambda f: change_metrics(f, seconds="2"),
        ('model.jsonl, line 2: seconds: "2";', "a number at least 0 and at most 1e+100"),
    ),
    "infinite metrics": (
        lambda f: change_metrics(f, seconds=math.inf),
        ("model.jsonl, line 2: seconds: inf;",),
    ),
    "metrics in percent": (
        lambda f: change_metrics(f, validation_accuracy=50.0),
        ("model.jsonl, line 2: validation_accuracy: 50.0;", "at least 0 and at most 1"),
    ),
    "few metrics": (lambda f: f.metrics.write_text(""), ("model.jsonl", "0 epochs")),
    "shares": (lambda f: f.shares.write_text("{}x"), ("threads.json: not valid JSON (",)),
    "infinite shares": (
        lambda f: f.shares.write_text('[{"jobs": Infinity, "threads": 1}]'),
        ("threads.json: 1.jobs: inf;", "a whole number, 1 or more"),
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
        lambda f: write_model(f, small_recipe(), seed=3),
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
    spoil(brf(out, 1))
    result = brf_lava("--tables-only", "--out", out)
    assert_failed(result, 2, str(out / "ecg-brf" / "seed-1"), "--restart", *parts)
    assert not (out / "tables.md").exists()


IMPOSSIBLE = {
    "accuracy": (math.nan, math.inf, -0.1, 1.5, "0.5", True, None, [0.5]),
    "agreement": (math.nan, 2, "1"),
    "saturations": (math.nan, math.inf, -1, 0.5, False, "3", None),
    "backend": (None, 3, ["engine"]),
    "cost": (3, *({"sops": value} for value in (math.nan, math.inf, -1, "50", 10**400))),
}


def test_an_impossible_result_is_named(out: Path) -> None:
    path = brf(out, 1).result
    contents = json.loads(path.read_text())
    for key, value in [(key, value) for key, values in IMPOSSIBLE.items() for value in values]:
        path.write_text(json.dumps({**contents, "result": {**contents["result"], key: value}}))
        result = brf_lava("--tables-only", "--out", out)
        assert_failed(result, 2, f"{path}: result.{key}", "; allowed is ", "--restart")


def test_no_comparison_with_the_float_network_is_no_damage(out: Path) -> None:
    change_result(brf(out, 1), lambda c: c["result"].update(agreement=None))
    assert_worked(brf_lava("--tables-only", "--out", out))


# What remains to be done


def test_what_remains(tmp_path: Path) -> None:
    recipe, folder = small_recipe(), brf(tmp_path)
    assert remaining(folder, recipe, SOURCE) == ("train", "export", "run")
    write_state(folder, recipe)
    assert remaining(folder, recipe, SOURCE) == ("resume", "export", "run")
    write_run(folder, recipe)  # the best so far, from before the training went on
    assert remaining(folder, recipe, SOURCE) == ("resume", "export", "run")
    folder.state.unlink()
    assert remaining(folder, recipe, SOURCE) == ()
    assert remaining(folder, replace(recipe, text="# said otherwise", name="x"), SOURCE) == ()
    for path in (folder.result, folder.network):
        path.unlink()
        assert remaining(folder, recipe, SOURCE) == ("export", "run")
    folder.metrics.unlink()  # without them, a run could not go into the tables
    with pytest.raises(DataError, match=r"model\.jsonl: cannot be read.*--restart"):
        remaining(folder, recipe, SOURCE)


@pytest.mark.parametrize("stopped", [True, False])
def test_another_experiment_is_not_taken_for_this_one(tmp_path: Path, stopped: bool) -> None:
    recipe, folder = small_recipe(), brf(tmp_path)
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
    folder = brf(tmp_path)
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


def planned(
    dataset: Dataset, out: Path, seeds: int, *neurons: str, epochs: int = 3, restart: bool = False
) -> list[Job]:
    cells = [("ecg", neuron) for neuron in neurons or ("BRF",)]
    recipes = plan.recipes_for(cells, (*SMALL, f"epochs={epochs}"))
    return plan.plan(recipes, seeds, out, lambda _: dataset, restart)


def test_the_plan_skips_what_is_done(out: Path, dataset: Dataset) -> None:
    every = planned(dataset, out, 3, "ALIF", "BRF")
    assert [(job.folder.recipe_name, job.folder.seed, job.steps) for job in every] == [
        *(("ecg-alif", 0, ()), ("ecg-alif", 1, plan.FRESH), ("ecg-alif", 2, plan.FRESH)),
        *(("ecg-brf", 0, ()), ("ecg-brf", 1, ()), ("ecg-brf", 2, plan.FRESH)),
    ]


def test_restart_is_for_what_does_not_fit(out: Path, dataset: Dataset) -> None:
    damage(brf(out, 1), "run.json")
    with pytest.raises(DataError, match=r"run\.json: .*--restart"):
        planned(dataset, out, 2)
    assert [len(job.steps) for job in planned(dataset, out, 2, restart=True)] == [0, 3]


def test_a_neighbor_of_another_experiment_is_refused_at_once(out: Path, dataset: Dataset) -> None:
    write_run(brf(out, 9))
    with pytest.raises(BrfLavaError, match=r"seed-9.*training\.epochs = 3, not 5"):
        planned(dataset, out, 2, epochs=5, restart=True)
    other = replace(dataset, source=replace(SOURCE, fingerprint="0" * 64, description="others"))
    with pytest.raises(BrfLavaError, match=r"seed-0: .*records of no one, not others"):
        planned(other, out, 1, "RF")


def test_changes_cannot_swap_task_or_neuron() -> None:
    with pytest.raises(RecipeError, match="--neurons"):
        plan.recipes_for([("ecg", "RF")], ["network.neuron=HRF"])
    with pytest.raises(RecipeError, match="Name tasks as arguments"):
        plan.recipes_for([("ecg", "RF")], ["task=shd"])


# Jobs, with a program that only pretends


PRETEND = """
import os, pathlib, signal, sys, time
command, options = sys.argv[1], sys.argv[2:]
out = pathlib.Path(options[1] if command == "export" else options[options.index("--out") + 1])
place, all_runs = out.parent, out.parent.parent
names = ("NUMBA_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
threads = " ".join(os.environ[name] for name in names)
same_group = os.getpgrp() == os.getpgid(os.getppid())
running = list(all_runs.glob("*/running"))
with (place / "calls.txt").open("a") as file:
    file.write(f"{command} {'--resume' in options} {threads} {same_group}\\n")
behavior = (place / "behavior.txt").read_text() if (place / "behavior.txt").exists() else ""
def sleep_until(*names):
    while not all((all_runs / name).exists() for name in names):
        time.sleep(0.01)
def stop(number, _):
    (place / "stopped.txt").open("a").write(signal.Signals(number).name)
    if behavior == "stubborn":
        os.kill(os.getppid(), signal.SIGINT)
    else:
        sys.exit(130)
signal.signal(signal.SIGTERM, stop)
if behavior == f"fail {command}":
    print("all is well")
    print("Error: the well is empty.", file=sys.stderr)
    sys.exit(2)
if behavior == "killed":
    os.kill(os.getpid(), signal.SIGKILL)
if command == "train":
    (place / "pid").write_text(str(os.getpid()))
    (place / "model.jsonl").write_text('{"epoch": 1, "validation_accuracy": 0.25}\\n')
if behavior.startswith("count"):
    (place / "running").touch()
    sleep_until(*behavior.split()[1:])
    (place / "running").unlink()
    if len(running) > 1:
        sys.exit("too many at a time")
if behavior.startswith("interrupt"):
    sleep_until("seed-0/model.jsonl", "seed-1/model.jsonl")
    os.kill(os.getppid(), int(behavior.split()[1]))
while behavior == "stubborn" or behavior.split(" ")[0] in ("slow", "interrupt"):
    time.sleep(0.01)
out.write_text(command)
"""
TWO = Settings(CoreShare(jobs=2, threads=3), (*SMALL, "epochs=3"))


@pytest.fixture
def pretended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    program = tmp_path / "pretend.py"
    program.write_text(PRETEND)
    monkeypatch.setattr(jobs, "PROGRAM", (sys.executable, "-S", str(program)))
    return tmp_path / "out"


def behave(folder: RunFolder, behavior: str) -> None:
    folder.path.mkdir(parents=True, exist_ok=True)
    (folder.path / "behavior.txt").write_text(behavior)


def job(out: Path, seed: int, behavior: str = "", steps: tuple[str, ...] = plan.FRESH) -> Job:
    made = Job(brf(out, seed), small_recipe(), SOURCE, steps)
    behave(made.folder, behavior)
    return made


def run(queue: list[Job]) -> Outcome:
    with Display(queue) as display:
        return run_jobs(queue, TWO, display)


def seeds(found: list[Job] | dict[Job, str]) -> list[int]:
    return sorted(each.folder.seed for each in found)


def test_jobs_run_their_steps_in_order(pretended: Path, capsys: pytest.CaptureFixture[str]) -> None:
    left = (plan.FRESH, plan.STOPPED, plan.TRAINED, ())
    queue = [job(pretended, seed, steps=steps) for seed, steps in enumerate(left)]
    old = queue[0].folder
    for path in (old.network, old.result, old.state, old.metrics):
        path.write_text("of an older training")
    outcome = run(queue)
    assert (seeds(outcome.done), outcome.failed) == ([0, 1, 2, 3], {})
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
    lines = capsys.readouterr().err.splitlines()
    mine = [line.partition(": ")[2] for line in lines if line.startswith("ecg-brf seed 0: ")]
    *steps, end = mine
    assert steps == ["training", "epoch 1/3  validation 25.00%", "export", "integer engine"]
    assert end.startswith("done, ")
    assert any(line.endswith("done, 4 of 4") for line in lines)


def test_as_many_jobs_at_a_time_as_asked_for(pretended: Path) -> None:
    """The first two end only if both run at once; any end badly that are a third."""
    others = [job(pretended, seed, "count") for seed in (2, 3, 4)]
    pair = [job(pretended, seed, f"count seed-{1 - seed}/calls.txt") for seed in (0, 1)]
    assert seeds(run([*pair, *others]).done) == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("step", ["train", "export", "run"])
def test_a_failing_job_does_not_stop_the_others(pretended: Path, step: str) -> None:
    queue = [job(pretended, 0, f"fail {step}"), job(pretended, 1), job(pretended, 2, "killed")]
    queue += [job(pretended, 3)]
    queue[3].folder.log("export").mkdir()
    outcome = run(queue)
    assert (seeds(outcome.done), seeds(outcome.failed)) == ([1], [0, 2, 3])
    problem = outcome.failed[queue[0]]
    assert f"'brf-lava {step}' ended with code 2: the well is empty." in problem
    assert str(queue[0].folder.log(step)) in problem
    assert "ended by SIGKILL" in outcome.failed[queue[2]]
    assert "export.log: cannot be written" in outcome.failed[queue[3]]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_stops_every_job_once(
    pretended: Path, monkeypatch: pytest.MonkeyPatch, dataset: Dataset, number: signal.Signals
) -> None:
    monkeypatch.setattr("brf_lava.cli.reproduce.load_data", lambda *_: dataset)
    folders = [brf(pretended, seed) for seed in range(3)]
    for folder, behavior in zip(folders, (f"interrupt {number:d}", "slow"), strict=False):
        behave(folder, behavior)
    result = brf_lava(*ASKED, "--seeds", "3", "--jobs", "2", "--out", pretended)
    assert result.exit_code == 130, result.output
    assert "Stopping 2; finished epochs are kept." in result.output
    assert f"Stopped: 0 of 3 runs in {pretended} are done" in result.output
    assert "Go on with the same command." in result.output
    for folder in folders[:2]:
        assert (folder.path / "stopped.txt").read_text() == "SIGTERM"
    assert not folders[2].path.exists()  # was never begun


def test_a_second_ctrl_c_kills(pretended: Path) -> None:
    queue = [job(pretended, 0, "stubborn"), job(pretended, 1, f"interrupt {signal.SIGINT:d}")]
    assert run(queue) == Outcome([], {})
    assert "SIGTERM" in (queue[0].folder.path / "stopped.txt").read_text()


@pytest.mark.parametrize(
    ("method", "second"), [("look", "slow"), ("on_step", "count seed-0/pid")]
)  # of which the main thread calls the first, that of a job the second
def test_a_fault_of_the_display_leaves_no_process_behind(
    pretended: Path, method: str, second: str
) -> None:
    queue = [job(pretended, seed, each) for seed, each in enumerate(("slow", second))]
    pids = [each.folder.path / "pid" for each in queue]
    with Display(queue) as display:
        real = getattr(display, method)

        def fault(*arguments: Any) -> None:
            real(*arguments)
            if all(path.exists() for path in pids):
                raise BrokenPipeError

        setattr(display, method, fault)
        with pytest.raises(BrokenPipeError):
            run_jobs(queue, TWO, display)
    for path in pids:
        with pytest.raises(ProcessLookupError):
            os.kill(int(path.read_text()), 0)


def test_going_on_notes_other_threads(pretended: Path) -> None:
    first, second = CoreShare(2, 3), CoreShare(1, 6)
    path = job(pretended, 0).folder.shares
    for share in (first, first, second):
        jobs.add_share(path, share)
    assert json.loads(path.read_text()) == [vars(first), vars(second)]


def test_jobs_share_the_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    for cores, asked, runs, expected in (
        *((8, None, 20, (8, 1)), (8, None, 3, (3, 2)), (8, 2, 20, (2, 4))),
        *((2, 5, 20, (5, 1)), (8, 5, 1, (1, 8)), (1, None, 4, (1, 1))),
    ):
        monkeypatch.setattr(jobs, "cores", lambda cores=cores: cores)
        assert jobs.core_share(asked, runs) == CoreShare(*expected)


def test_the_children_are_given_what_train_export_and_run_take(tmp_path: Path) -> None:
    """Each command line is understood by the very command it is for."""
    from brf_lava.cli.main import main

    options = Settings(CoreShare(1, 1), (*SMALL, "epochs=3"), ("--data", "some where"), "cpu")
    made = Job(brf(tmp_path, 7), small_recipe(), SOURCE, ())
    values = {}
    for step in ("train", "resume", "export", "run"):
        name, *rest = jobs.arguments(made, step, options)[len(jobs.PROGRAM) :]
        command = main.commands[name]
        assert isinstance(command, click.Command)
        names = main.context_settings["help_option_names"]  # a command keeps those it saw first
        values[step] = command.make_context(name, rest, help_option_names=names).params
        assert values[step]["folder"] == Path("some where")
    train, resume = values["train"], values["resume"]
    assert (train["recipe"], train["seed"], train["resume"]) == ("ecg-brf", 7, False)
    assert train["changes"] == (*SMALL, "epochs=3")
    assert (train["device"], train["out"], resume["out"]) == ("cpu", *[made.folder.model] * 2)
    assert (resume["resume"], resume["recipe"], resume["seed"]) == (True, None, None)
    assert values["export"]["model"] == made.folder.model
    assert values["export"]["network"] == values["run"]["network"] == made.folder.network
    assert (values["run"]["backend"], values["run"]["out"]) == ("engine", made.folder.result)


def test_children_run_this_package_and_nothing_of_the_current_folder(tmp_path: Path) -> None:
    wrong = ("here/brf_lava", "here/random", "here/click", "here/numpy", "elsewhere/brf_lava")
    for name in wrong:
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "__init__.py").write_text(f"raise SystemExit('wrong {name}')")
    result = subprocess.run(
        [*jobs.PROGRAM, "train", "--task", "ecg", "--data", "nowhere"],
        cwd=tmp_path / "here",
        env={**os.environ, "PYTHONPATH": str(tmp_path / "elsewhere")},  # another installation
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
    terminal(monkeypatch, 120)
    queue = [job(pretended, seed) for seed in range(3)] + [job(pretended, 3, steps=())]
    with Display(queue) as shown:
        for each in queue[:3]:
            shown.on_step(each, "train")
        queue[0].folder.metrics.write_text('{"epoch": 1, "validation_accuracy": 0.25}\n')
        shown.look()
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
        *(
            (("--tables-only", *option.split()), ("--tables-only", f"{option.split()[0]}. Leave"))
            for option in ("--jobs 2", "--seeds 2", "--restart", "--data x", "--unlabeled mask")
        ),
        (("--tables-only", "--permutation", "x"), ("--tables-only", "--permutation.")),
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
    monkeypatch.setattr("brf_lava.cli.reproduce.load_data", lambda *_: dataset)
    file = tmp_path / "file"
    file.write_text("")
    for out, why in ((file, "File exists"), (file / "below", "Not a directory")):
        assert_failed(brf_lava("ecg", "--out", out), 2, f"--out {out}: cannot be made ({why})")
    monkeypatch.setattr(os, "access", lambda *_: False)
    assert_failed(brf_lava("ecg", "--out", tmp_path / "new"), 2, "cannot be written to")


def test_failed_jobs_end_in_one_line_and_the_tables_of_the_others(
    out: Path, pretended: Path, monkeypatch: pytest.MonkeyPatch, dataset: Dataset
) -> None:
    for seed in (2, 3):
        behave(brf(out, seed), "fail train")
    write_run(brf(out, 4))
    monkeypatch.setattr("brf_lava.cli.reproduce.load_data", lambda *_: dataset)
    assert_failed(
        brf_lava(*ASKED, "--out", out),
        1,
        "2 of 5 runs failed. ecg-brf seed 2: 'brf-lava train' ended with code 2",
        "the well is empty",
        str(brf(out, 2).log("train")),
        "Also failed: ecg-brf seed 3.",
    )
    contents = json.loads((out / "results.json").read_text())
    assert [run["seed"] for run in contents["runs"] if run["neuron"] == "BRF"] == [0, 1, 4]
    assert [each["seed"] for each in contents["unfinished"]] == [2, 3]


def test_a_second_reproduce_in_the_same_folder_is_refused(
    out: Path, monkeypatch: pytest.MonkeyPatch, dataset: Dataset
) -> None:
    from brf_lava.io.files import only_writer

    monkeypatch.setattr("brf_lava.cli.reproduce.load_data", lambda *_: dataset)
    with only_writer(out / "results.json"):
        asked = brf_lava(*ASKED, "--seeds", "2", "--out", out)
    assert_failed(asked, 2, "another process is writing it")


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


INTERRUPTED = """
import os, signal, time
from brf_lava.train.trainer import Trainer
save = Trainer._save_state
def interrupt(self):
    save(self)
    if (self.seed, self.epoch) == (0, 2):
        os.killpg(os.getpgrp(), signal.SIGINT)  # as a terminal's Ctrl-C: to all that run
    while self.seed == 1:
        time.sleep(0.01)
Trainer._save_state = interrupt
from brf_lava.__main__ import main
main()
"""
WITH_CTRL_C = f"""
import sys
from brf_lava.reproduce import jobs
jobs.PROGRAM = (sys.executable, "-c", {INTERRUPTED!r})
from brf_lava.__main__ import main
main()
"""


@pytest.mark.slow
def test_ctrl_c_and_the_same_command_again(tmp_path: Path, dataset: Dataset) -> None:
    data, out = tmp_path / "data", tmp_path / "new" / "out"
    data.mkdir()
    write_mat(data / ecg.TRAIN_FILE, dataset.train)
    write_mat(data / ecg.TEST_FILE, dataset.test)
    asked = [*ASKED, "--seeds", "2", "--jobs", "2", "--data", str(data), "--out", str(out)]
    folders = [brf(out, seed) for seed in (0, 1)]

    stopped = subprocess.run(
        [sys.executable, "-c", WITH_CTRL_C, "reproduce", *asked],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        start_new_session=True,  # so that the signal to the group does not reach this process
    )
    assert stopped.returncode == 130, stopped.stderr
    assert "Traceback" not in stopped.stderr
    assert f"Stopped: 0 of 2 runs in {out} are done" in stopped.stderr
    assert "Go on with the same command." in stopped.stderr
    assert len(folders[0].metrics.read_text().splitlines()) == 2
    assert folders[0].state.exists()
    log = folders[0].log("train").read_text()
    assert "Stopped after epoch 2 of 3; state saved in" in log
    assert "The best model so far is in" in log

    again = brf_lava(*asked)
    assert_worked(again)
    assert "ecg-brf seed 0: training goes on" in again.output
    assert "done, 2 of 2" in again.output
    records = [read_record(each) for each in folders]
    threads = jobs.core_share(2, 2).threads
    for seed, run in enumerate(records):
        assert (run.folder.seed, run.epochs, len(run.validation_accuracy)) == (seed, 3, 3)
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
    assert_worked(brf_lava(*asked))  # all is done: nothing runs
    assert {path: path.stat().st_mtime_ns for path in out.rglob("seed-*/*")} == before
