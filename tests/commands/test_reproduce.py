"""brf-lava reproduce: what runs, what is skipped, what a stop keeps, and what the tables say."""

from __future__ import annotations

import csv
import json
import math
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any

import click
import command_line
import numpy as np
import pytest
import slurm_standin
import torch
from command_line import assert_failed, assert_worked, group_is_empty, wait_until, write_mat
from hypothesis import given, settings
from hypothesis import strategies as st

from brf_lava.cli import main
from brf_lava.cli.reproduce import grid_of
from brf_lava.config.recipe import Recipe, override, published_recipe, recipe_for
from brf_lava.data.dataset import Dataset, DataSource
from brf_lava.ecg import task as ecg
from brf_lava.ecg.synthetic import generate
from brf_lava.errors import BrfLavaError, DataError, RecipeError
from brf_lava.io.files import only_writer
from brf_lava.network.activity import FloatActivity
from brf_lava.reproduce import jobs, runs, steps, tables
from brf_lava.reproduce.published import FRACTIONS, NEURONS, PUBLISHED, TASKS
from brf_lava.reproduce.runs import (
    Run,
    check_alike,
    differences,
    read_record,
    remaining,
    run_folders,
)
from brf_lava.reproduce.steps import RunFolder, Work
from brf_lava.run import result as run_result
from brf_lava.tasks.registry import TASKS as ALL_TASKS
from brf_lava.train.checkpoint import SCHEMA, Checkpoint, save_checkpoint, write_archive
from brf_lava.train.model import Metrics, Network
from brf_lava.train.trainer import STATE_FORMAT, STATE_KIND, EpochReport

ROOT = Path(__file__).resolve().parents[2]
LAST_DIGIT = 0.01  # of the published ratios; one of them is cut, not rounded
PATIENCE = 240  # s, for a process; machine code may have to be compiled first
STEPS = 1300
SMALL = ("network.hidden=[4]", "validation=2", "theta=0.02")  # reached without having learned
CHANGES = [part for change in SMALL for part in ("--set", change)]
ASKED = ("ecg", "--neurons", "brf", "--epochs", "3", *CHANGES)
SOURCE = DataSource("qtdb", "records of no one", "f" * 64)
OTHER = replace(SOURCE, fingerprint="0" * 64, description="other records")

brf_lava = partial(command_line.brf_lava, "reproduce")


def brf(out: Path, seed: int = 0) -> RunFolder:
    return RunFolder(out, "ecg", "BRF", seed)


# What was published


def test_published_values_agree_with_each_other() -> None:
    """Twice the SOPs per step are not the SOPs over the steps; no one may correct that."""
    assert set(PUBLISHED) == {(task, neuron) for task in TASKS for neuron in NEURONS}
    for (task, neuron), published in PUBLISHED.items():
        about = ALL_TASKS[task]
        ratio = published.sops / PUBLISHED[task, "ALIF"].sops
        assert published.sops_vs_alif == pytest.approx(ratio, abs=LAST_DIGIT)
        printed = {("smnist", "BHRF"): -2.0, ("psmnist", "BHRF"): 2.0}.get((task, neuron), 0.0)
        difference = published.sops_per_step - published.sops / about.steps
        assert difference == pytest.approx(printed, abs=LAST_DIGIT)
        assert (published.epochs is None) == (neuron == "RF")
        recipe = recipe_for(task, neuron)
        network = Network(recipe, about.inputs, len(about.classes))
        ours = sum(value.numel() for value in network.parameters())
        if neuron != "ALIF":
            assert ours == published.parameters
        elif task in ("ecg", "shd"):  # one bias for each neuron and output
            biases = sum(recipe.network.hidden) + len(about.classes)
            assert ours == published.parameters - biases
        else:  # "recurrent connections in all hidden layers", as the tables explain
            assert ours > published.parameters


# Aggregation of records made by hand


def record(
    task: str = "ecg",
    neuron: str = "BRF",
    seed: int = 0,
    data: DataSource = SOURCE,
    recipe: Recipe | None = None,
    **changes: Any,
) -> Run:
    values = {
        "parameters": 1734,
        "epoch": 4,
        "accuracy": 0.5,
        "sops": 100.0,
        "steps": STEPS,
        "seconds": 10.0,
        "validation_accuracy": [0.1, 0.2, 0.3, 0.4],
        "integer": {"accuracy": 0.5, "sops": 100.0},
    }
    folder = RunFolder(Path("out"), task, neuron, seed)
    values |= changes
    return Run(folder, recipe or recipe_for(task, neuron), data, values=values)


def spread(line: tables.Line, name: str) -> tuple[float, float]:
    return line[f"{name}_mean"], line[f"{name}_std"]


def test_lines_are_means_over_seeds() -> None:
    runs = [record("ecg", "ALIF", seed, sops=sops) for seed, sops in enumerate((400.0, 600.0))]
    for seed in range(3):
        integer = {"accuracy": 0.70 + 0.04 * seed, "sops": 120.0 * (seed + 1)}
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
    accuracy, spikes, *_ = (tables.table(title, [line]) for title in tables.TABLES)
    assert dict(zip(*accuracy, strict=True))[">accuracy %"] == "50.00"
    assert list(zip(*spikes, strict=True))[-2:] == [(">vs ALIF", ""), (">publ.", "0.18")]
    mixed = [record(task, neuron) for neuron in NEURONS[1:] for task in reversed(TASKS)]
    lines = tables.table_lines(mixed)  # in the published order
    assert [(line["task"], line["neuron"]) for line in lines] == [
        (task, neuron) for task in TASKS for neuron in NEURONS[1:]
    ]
    assert {line["sops_vs_alif"] for line in lines} == {None}


def test_epochs_to_a_share_of_the_final_accuracy() -> None:
    made = partial(record, validation_accuracy=[0.10, 0.76, 0.785, 0.80, 0.90])
    (line,) = tables.table_lines([made(epoch=4), made(seed=1, epoch=5)])
    means = [spread(line, f"epochs_to_{share}_percent") for share in ("95", "98", "100")]
    assert [mean for mean, _ in means] == [(2 + 5) / 2, (3 + 5) / 2, (4 + 5) / 2]
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
    check_alike([record(), record(seed=1), record(neuron="RF"), record("smnist", "BRF")])
    with pytest.raises(BrfLavaError, match=r"seed-1: .*training\.epochs = 7, not 400"):
        check_alike([record(), record(seed=1, recipe=longer)])
    for seed, neuron in ((1, "BRF"), (0, "ALIF")):  # a ratio compares neurons
        with pytest.raises(BrfLavaError, match="data other records"):
            check_alike([record(), record(neuron=neuron, seed=seed, data=OTHER)])
    first = record("psmnist", "BRF")
    check_alike([first, record("psmnist", "BRF", 1, data=OTHER)])  # each has its own order
    with pytest.raises(BrfLavaError, match="data"):
        check_alike([first, record("psmnist", "BRF", 1, data=replace(OTHER, kind="no"))])


def test_notes_name_the_data_and_the_changes() -> None:
    synthetic = record(data=replace(SOURCE, kind="synthetic-ecg"))
    assert "say nothing about the published ones" in tables.notes([synthetic], [], {})[0]
    changes = "training.clip_norm = 100.0, not 0.0; training.averaging = 0.99, not 0.0."
    published = record(recipe=published_recipe("ecg", "BRF"))
    for run, what in ((record(), f" but {changes}"), (published, ".")):
        settings = f"ecg-brf: the published settings{what}"
        data = f"ecg: trained and tested on {SOURCE.description}."
        assert tables.notes([run], [], {}) == [data, settings]


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
    checkpoint = write_model(folder, recipe or small_recipe(folder.cell[1]), accuracy)
    folder.network.write_bytes(b"net")
    measured = {"backend": "engine", "samples": 2, "steps": STEPS, "accuracy": accuracy / 2}
    measured |= {"cost": vars(run_result.SpikeCost(50.0, 1.0, 2.0, 3.0, 400.0)), "agreement": 0.9}
    measured |= {"saturations": 3, "seconds": 1.0, "checked": False, "reference": None}
    measured |= {"inputs": {"mean": 1.0, "peak": 1}, "layers": []}
    contents = {"format": run_result.FORMAT, "schema": run_result.SCHEMA, "result": measured}
    contents |= {"data": vars(SOURCE), "network": {"model": checkpoint.fingerprint}}
    folder.result.write_text(json.dumps(contents))


def write_state(folder: RunFolder, recipe: Recipe, seed: int = 0) -> None:
    folder.path.mkdir(parents=True, exist_ok=True)
    state = {"format": STATE_FORMAT, "schema": SCHEMA, "recipe": recipe.text}
    write_archive({**state, "seed": seed, "data": vars(SOURCE)}, folder.state, STATE_KIND)


@pytest.fixture
def out(tmp_path: Path) -> Path:
    """Three BRF runs, one of them not complete, and one of ALIF."""
    out = tmp_path / "out"
    for seed, accuracy in enumerate((0.5, 0.7)):
        write_run(brf(out, seed), accuracy=accuracy)
    write_run(RunFolder(out, "ecg", "ALIF", 0))
    write_model(brf(out, 4), small_recipe())
    for name in ("ecg-brf/seed-x", "notes"):
        (out / name).mkdir()
    return out


def test_a_record_is_what_the_files_say(out: Path) -> None:
    found = read_record(brf(out, 1))
    values = found.values
    assert (found.folder.seed, found.recipe, found.data) == (1, small_recipe(), SOURCE)
    assert (values["task"], values["neuron"], values["seed"]) == ("ecg", "BRF", 1)
    assert values["parameters"] == 4 * 4 + 4 * 4 + 4 * 2 + 6 * 4 + 6
    assert [values[name] for name in ("accuracy", "sops", "loss")] == [0.7, 200.0, 1.5]
    assert [values[name] for name in ("epoch", "epochs", "seconds")] == [2, 3, 6.0]
    assert values["validation_accuracy"] == pytest.approx([0.1, 0.2, 0.3])
    measured = {"backend": "engine", "accuracy": 0.35, "sops": 50.0}
    assert values["integer"] == {**measured, "agreement": 0.9, "saturations": 3}
    change_result(brf(out, 1), agreement=None)  # not compared with the float network
    assert read_record(brf(out, 1)).values["integer"]["agreement"] is None
    write_run(brf(out, 1), small_recipe("BRF", "recurrent_density=0.5"))
    assert read_record(brf(out, 1)).values["parameters"] == 70  # pruned weights are, masks not


def test_tables_from_files_alone(out: Path) -> None:
    names = ["ecg-alif seed 0", "ecg-brf seed 0", "ecg-brf seed 1", "ecg-brf seed 4"]
    assert [folder.name for folder in run_folders(out)] == names
    result = brf_lava("--tables-only", "--out", out)
    assert_worked(result)
    assert "60.00 ± 14.14" in result.output
    assert "Not finished, not counted: ecg-brf seed 4." in result.output
    assert brf_lava("--tables-only", "--out", out).output == result.output  # they are replaced
    assert command_line.assert_documented("reproduce", "--tables-only", "--out", out)["lines"]
    contents = json.loads((out / "results.json").read_text())
    for name in ("table1", "table2"):
        with (out / f"{name}.csv").open() as file:
            lines = list(csv.DictReader(file))
        texts = [{k: "" if v is None else str(v) for k, v in d.items()} for d in contents[name]]
        assert lines == texts
        assert "training.epochs = 3, not 400" in lines[1]["recipe_changes"]
    brf_line = contents["table1"][1]
    ours = [value for key, value in brf_line.items() if key.startswith("published_")]
    assert (brf_line["sops_vs_alif"], ours) == (1.5, [1734, 85.8, 6307.7, 4.85, 0.18])
    assert contents["table2"][1]["published_epochs_to_100_percent"] == 75
    assert [run["neuron"] for run in contents["runs"]] == ["ALIF", "BRF", "BRF"]
    assert contents["unfinished"] == [{"task": "ecg", "neuron": "BRF", "seed": 4}]
    markdown = (out / "tables.md").read_text()
    for text in (
        "| task | neuron | seeds | parameters | publ. | accuracy % | publ. |\n"
        "| --- | --- | ---: | ---: | ---: | ---: | ---: |\n",
        "| ecg | BRF | 2 | 70 | 1,734 | 60.00 ± 14.14 | 85.8 |\n",
        "| ecg | BRF | 150.0 ± 70.7 | 6,307.7 | 0.12 ± 0.05 | 4.85 | 1.50 | 0.18 |\n",
        "| ecg | BRF | 30.00 ± 7.07 | 50.0 ± 0.0 | 6.0 ± 0.0 |\n",
        "| ecg | BRF | 2 | 2.0 ± 0.0 | 5 | ",
        "- ecg-brf: the published settings but network.hidden = [4], not [36]; ",
    ):
        assert text in markdown


def test_a_narrow_terminal_shows_every_number(out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_run(brf(out, 999))  # so that the numbers are as long as they get
    change_metrics(brf(out, 999), seconds=1e9)
    for name, value in {"FORCE_COLOR": "1", "TERM": "xterm", "COLUMNS": "80"}.items():
        monkeypatch.setenv(name, value)
    result = brf_lava("--tables-only", "--out", out)
    assert_worked(result)
    shown = click.unstyle(result.output).partition("ecg: trained and tested")[0]
    assert max(map(len, shown.splitlines())) <= 80
    number = re.compile(r"[\d.,]*\d")
    in_file = number.findall((out / "tables.md").read_text().partition("Measured: ")[0])
    assert set(number.findall(shown)) >= set(in_file)


def change_result(folder: RunFolder, **changes: Any) -> None:
    contents = json.loads(folder.result.read_text())
    contents["result"] |= changes
    folder.result.write_text(json.dumps({**contents, **changes}))


def change_metrics(folder: RunFolder, **changes: Any) -> None:
    first, second, *rest = folder.metrics.read_text().splitlines()
    lines = (first, json.dumps(json.loads(second) | changes), *rest)
    folder.metrics.write_text("".join(f"{line}\n" for line in lines))


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


SPOILED: dict[str, tuple[Callable[[RunFolder], object], tuple[str, ...]]] = {
    "cut result": (lambda f: cut(f.result), ("run.json: not valid JSON (",)),
    "cut model": (lambda f: cut(f.model), ("model.pt", "damaged")),
    "no metrics": (lambda f: f.metrics.unlink(), ("model.jsonl: cannot be read",)),
    "few metrics": (lambda f: f.metrics.write_text(""), ("model.jsonl", "0 epochs")),
    "impossible": (lambda f: change_result(f, accuracy=1.5), ("result.accuracy: 1.5; allowed",)),
    "limited": (lambda f: change_result(f, samples=1), ("run.json: is of another model, or",)),
    "other model": (lambda f: change_result(f, network={"model": "0"}), ("of another model",)),
    "moved": (
        lambda f: write_model(f, small_recipe(), seed=3),
        ("seed 3", "its folder is for ecg-brf seed 1"),
    ),
}


@pytest.mark.parametrize("what", SPOILED)
def test_a_damaged_file_is_named(out: Path, what: str) -> None:
    spoil, parts = SPOILED[what]
    spoil(brf(out, 1))
    result = brf_lava("--tables-only", "--out", out)
    assert_failed(result, 2, str(out / "ecg-brf" / "seed-1"), "--restart", *parts)
    assert not (out / "tables.md").exists()


# What remains to be done


def test_what_remains(tmp_path: Path) -> None:
    recipe, folder = small_recipe(), brf(tmp_path)
    assert remaining(folder, recipe, SOURCE) == "train"
    write_state(folder, recipe)
    assert remaining(folder, recipe, SOURCE) == "resume"
    write_run(folder, recipe)  # the best so far, from before the training went on
    assert remaining(folder, recipe, SOURCE) == "resume"
    folder.state.unlink()
    assert remaining(folder, recipe, SOURCE) is None
    assert remaining(folder, replace(recipe, text="# said otherwise", name="x"), SOURCE) is None
    folder.result.unlink()
    assert remaining(folder, recipe, SOURCE) == "run"
    folder.network.unlink()
    assert remaining(folder, recipe, SOURCE) == "export"
    folder.metrics.unlink()  # without them, a run could not go into the tables
    with pytest.raises(DataError, match=r"model\.jsonl: cannot be read.*--restart"):
        remaining(folder, recipe, SOURCE)


def test_another_experiment_is_not_taken_for_this_one(tmp_path: Path) -> None:
    recipe, folder = small_recipe(), brf(tmp_path)
    for write in (write_run, write_state):
        write(folder, recipe)
        for asked, source, what in (
            (small_recipe("BRF", "epochs=9"), SOURCE, "training.epochs = 3, not 9"),
            (recipe, OTHER, "data records of no one, not other records"),
        ):
            with pytest.raises(BrfLavaError, match=f"{folder.path}: .*{what}.*--restart"):
                remaining(folder, asked, source)
    write_state(folder, recipe, seed=3)
    with pytest.raises(BrfLavaError, match="seed 3, not 0"):
        remaining(folder, recipe, SOURCE)


@pytest.fixture(scope="session")
def dataset() -> Dataset:
    train, test = generate(6, 2, seed=1)
    task = ALL_TASKS["ecg"]
    return Dataset("ecg", task.classes, task.step_seconds, train, test, SOURCE)


@pytest.fixture
def small_data(monkeypatch: pytest.MonkeyPatch, dataset: Dataset) -> None:
    """The command reads these."""
    monkeypatch.setattr("brf_lava.cli.options.DataOptions.load", lambda *_: dataset)


def planned(
    dataset: Dataset, out: Path, seeds: int, *neurons: str, epochs: int = 3, restart: bool = False
) -> list[Run]:
    cells = [("ecg", neuron) for neuron in neurons or ("BRF",)]
    recipes = runs.recipes_for(cells, (*SMALL, f"epochs={epochs}"))
    return runs.plan(recipes, seeds, out, lambda _: dataset, restart)


def test_the_plan_skips_what_is_done_and_restarts_damage(out: Path, dataset: Dataset) -> None:
    every = planned(dataset, out, 3, "ALIF", "BRF")
    assert [(job.folder.recipe_name, job.folder.seed, job.step) for job in every] == [
        *(("ecg-alif", 0, None), ("ecg-alif", 1, "train"), ("ecg-alif", 2, "train")),
        *(("ecg-brf", 0, None), ("ecg-brf", 1, None), ("ecg-brf", 2, "train")),
    ]
    cut(brf(out, 1).result)
    with pytest.raises(DataError, match=r"run\.json: .*--restart"):
        planned(dataset, out, 2)
    assert [job.step for job in planned(dataset, out, 2, restart=True)] == [None, "train"]


def test_a_neighbor_of_another_experiment_is_refused_at_once(out: Path, dataset: Dataset) -> None:
    write_run(brf(out, 9))
    with pytest.raises(BrfLavaError, match=r"seed-9.*training\.epochs = 3, not 5"):
        planned(dataset, out, 2, epochs=5, restart=True)
    with pytest.raises(BrfLavaError, match=r"seed-0: .*records of no one, not other"):
        planned(replace(dataset, source=OTHER), out, 1, "RF")


def test_published_settings_are_taken_where_they_are_asked_for() -> None:
    cells = [("ecg", "ALIF"), ("shd", "BRF")]
    plain, published = (runs.recipes_for(cells, (), published=each) for each in (False, True))
    assert [recipe.name for recipe in plain.values()] == ["ecg-alif", "shd-brf"]
    assert [recipe.name for recipe in published.values()] == ["ecg-alif-published", "shd-brf"]


def test_changes_cannot_swap_task_or_neuron() -> None:
    for change in ("network.neuron=HRF", "task=shd"):
        with pytest.raises(RecipeError, match="Name tasks as arguments, neurons with --neurons"):
            runs.recipes_for([("ecg", "RF")], [change])


# Jobs, with a program that only pretends


PRETEND = """
import os, pathlib, signal, sys, time
command, options = sys.argv[1], sys.argv[2:]
out = pathlib.Path(options[1] if command == "export" else options[options.index("--out") + 1])
place, all_runs = out.parent, out.parent.parent
threads = os.environ["NUMBA_NUM_THREADS"] + os.environ["OMP_NUM_THREADS"]
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
    print("Error: the well is [empty].", file=sys.stderr)
    sys.exit(2)
if behavior == "stopped":
    sys.exit(143)
if behavior == "killed":
    os.kill(os.getpid(), signal.SIGKILL)
if behavior == f"lost {command}":  # with the job that it is of
    (place / "behavior.txt").unlink()
    os.kill(os.getppid(), signal.SIGKILL)
    os.kill(os.getpid(), signal.SIGKILL)
if behavior == "long" and command == "train" and "--resume" not in options:
    (place / "model.resume.pt").touch()
    while True:
        time.sleep(0.01)
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
(place / "model.resume.pt").unlink(missing_ok=True)
with (place / "ended.txt").open("a") as file:
    file.write(f"{command}\\n")
"""


@pytest.fixture
def pretended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    program = tmp_path / "pretend.py"
    program.write_text(PRETEND)
    monkeypatch.setattr(steps, "PROGRAM", (sys.executable, "-S", str(program)))
    monkeypatch.setattr(jobs, "PAUSE", 0.02)
    return tmp_path / "out"


def behave(folder: RunFolder, behavior: str) -> None:
    folder.path.mkdir(parents=True, exist_ok=True)
    (folder.path / "behavior.txt").write_text(behavior)


def job(out: Path, seed: int, behavior: str = "", step: str | None = "train") -> Run:
    made = Run(brf(out, seed), small_recipe(), SOURCE, step)
    behave(made.folder, behavior)
    folder = made.folder
    before = {"resume": [folder.state], "export": [folder.model], "train": []}
    every = [folder.model, folder.network, folder.result]
    for path in before[step] if step else every:
        path.write_text("of an older call")
    return made


def run(queue: list[Run]) -> tuple[list[int], list[int]]:
    """Run two at a time, with three threads each. Returns the seeds that are done and failed."""
    jobs.run_jobs(queue, 2, 3, queue[0].folder.path.parents[1])
    done = [each.folder.seed for each in queue if not each.step]
    return done, [each.folder.seed for each in queue if each.problem]


def test_jobs_run_their_steps_in_order(pretended: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    monkeypatch.setattr(jobs.LOGGER, "info", lambda text, *given: said.append(text % given))
    left = ("train", "resume", "export", None)
    queue = [job(pretended, seed, step=step) for seed, step in enumerate(left)]
    old = queue[0].folder
    for path in (old.network, old.result, old.state, old.metrics):
        path.write_text("of an older training")
    assert run(queue) == ([0, 1, 2, 3], [])
    assert not old.state.exists()
    assert old.network.read_text() == "export"
    calls = {seed: (queue[seed].folder.path / "calls.txt").read_text() for seed in (0, 1, 2)}
    rest = "export False 33 True\nrun False 33 True\n"
    assert calls[0] == f"train False 33 True\n{rest}"
    assert calls[1] == f"train True 33 True\n{rest}"
    assert calls[2] == rest
    assert queue[3].folder.result.read_text() == "of an older call"
    steps = ["training", "export", "integer engine", "done"]
    mine = [text for text in said if text.startswith("ecg-brf seed 0") and "epoch" not in text]
    order = [steps.index(text.removeprefix("ecg-brf seed 0: ")) for text in mine]
    assert order == sorted(order)  # it is looked at now and then: a short step may be missed
    assert order[-1] == steps.index("done")


def test_epochs_are_shown_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    monkeypatch.setattr(jobs.LOGGER, "info", lambda text, *given: said.append(text % given))
    made = job(tmp_path, 0)
    for text, count in (("", 0), ('{"epoch": 1, "validation_accuracy": 0.25}\n', 1)):
        made.folder.metrics.write_text(text)
        assert [jobs._look(made) for _ in range(2)] == [count, count]
    made.folder.state.touch()  # written when a training begins
    assert jobs._look(made) == 1
    shown = ("training", "epoch 1/3  validation 25.00%")
    assert said == [f"ecg-brf seed 0: {text}" for text in shown]


def test_as_many_jobs_at_a_time_as_asked_for(pretended: Path) -> None:
    """The first two end only if both run at once; any end badly that are a third."""
    pair = [job(pretended, seed, f"count seed-{1 - seed}/calls.txt") for seed in (0, 1)]
    others = [job(pretended, seed, "count") for seed in (2, 3, 4)]
    assert run([*pair, *others]) == ([0, 1, 2, 3, 4], [])


def test_a_failing_job_does_not_stop_the_others(pretended: Path) -> None:
    steps = ("train", "export", "run")
    queue = [job(pretended, seed, f"fail {step}") for seed, step in enumerate(steps)]
    queue += [job(pretended, 3), job(pretended, 4, "killed")]
    assert run(queue) == ([3], [0, 1, 2, 4])
    for failed, step in zip(queue, steps, strict=False):
        assert failed.problem == (
            f"'brf-lava {step}' ended with code 2: the well is [empty]. (All it said is in "
            f"{failed.folder.path / f'{step}.log'}.)"
        )
    assert "'brf-lava train' ended with SIGKILL: it said nothing" in (queue[4].problem or "")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_stops_every_job_once(
    pretended: Path, small_data: None, number: signal.Signals
) -> None:
    folders = [brf(pretended, seed) for seed in range(3)]
    behave(folders[0], f"interrupt {number:d}")
    behave(folders[1], "slow")
    result = brf_lava(*ASKED, "--seeds", "3", "--jobs", "2", "--out", pretended)
    assert result.exit_code == 128 + number, result.output
    assert "Stopping 2; finished epochs are kept." in result.output
    assert f"Stopped: 0 of 3 runs in {pretended} are done" in result.output
    assert "Go on with the same command." in result.output
    for folder in folders[:2]:
        assert (folder.path / "stopped.txt").read_text() == "SIGTERM"
    assert not folders[2].path.exists()  # was never begun


def test_a_run_that_is_stopped_alone_is_no_ctrl_c(pretended: Path, small_data: None) -> None:
    behave(brf(pretended, 0), "stopped")
    result = brf_lava(*ASKED, "--seeds", "1", "--out", pretended)
    assert_failed(result, 7, "0 of 1 runs", "Go on with the same command.")


def test_a_second_ctrl_c_kills(pretended: Path) -> None:
    queue = [job(pretended, 0, "stubborn"), job(pretended, 1, f"interrupt {signal.SIGINT:d}")]
    assert run(queue) == ([], [])
    assert "SIGTERM" in (queue[0].folder.path / "stopped.txt").read_text()


def test_a_fault_leaves_no_process_behind(pretended: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    queue = [job(pretended, seed, "slow") for seed in (0, 1)]
    pids = [each.folder.path / "pid" for each in queue]

    def fault(*_: Any) -> int:
        return 0 if not all(path.exists() and path.read_text() for path in pids) else 1 // 0

    monkeypatch.setattr(jobs, "_look", fault)
    with pytest.raises(ZeroDivisionError):
        run(queue)
    for path in pids:
        with pytest.raises(ProcessLookupError):
            os.kill(int(path.read_text()), 0)


def test_jobs_share_the_cores(
    tmp_path: Path, small_data: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    shares = []
    monkeypatch.setattr(jobs, "run_jobs", lambda queue, *share: shares.append(share[:2]))
    for cores, asked, seeds in ((8, (), 20), (8, (), 3), (8, ("--jobs", 2), 20), (2, (), 1)):
        monkeypatch.setattr("brf_lava.io.program.cores", lambda cores=cores: cores)
        brf_lava(*ASKED, *asked, "--seeds", seeds, "--out", tmp_path)
    assert shares == [(8, 1), (3, 2), (2, 4), (1, 2)]


def test_the_children_are_given_what_train_export_and_run_take(tmp_path: Path) -> None:
    """Each command line is understood by the very command it is for."""
    folder = brf(tmp_path, 7)
    work = Work(folder, 1, "cpu", ("--data", "some where"))
    for step, expected in {
        "train": {"recipe": str(folder.recipe), "seed": 7, "changes": (), "device": "cpu"},
        "resume": {"resume": True, "recipe": None, "seed": None, "out": folder.model},
        "export": {"model": folder.model, "network": folder.network},
        "run": {"network": folder.network, "backend": "engine", "out": folder.result},
    }.items():
        name, *rest = work.command(step)
        names = main.context_settings["help_option_names"]  # a command keeps those it saw first
        context = main.commands[name].make_context(name, rest, help_option_names=names)
        assert context.params.items() >= {**expected, "folder": Path("some where")}.items()


def test_children_run_this_package_and_nothing_of_the_current_folder(tmp_path: Path) -> None:
    wrong = ("here/brf_lava", "here/random", "here/click", "here/numpy", "elsewhere/brf_lava")
    for name in wrong:
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "__init__.py").write_text(f"raise SystemExit('wrong {name}')")
    result = subprocess.run(
        [*steps.PROGRAM, "map", "nowhere"],
        cwd=tmp_path / "here",
        env={**os.environ, "PYTHONPATH": str(tmp_path / "elsewhere")},  # another installation
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )
    assert result.returncode == 2, result.stderr  # has loaded NumPy by then
    assert "wrong" not in result.stderr
    assert result.stderr.startswith("Error: nowhere")


# Clusters


@pytest.fixture
def by_value(pretended: Path) -> Iterator[Path]:
    """What is pretended here is so in the jobs of submitit, too."""
    cloudpickle = pytest.importorskip("cloudpickle")
    pytest.importorskip("submitit")
    cloudpickle.register_pickle_by_value(steps)
    yield pretended
    cloudpickle.unregister_pickle_by_value(steps)


@pytest.fixture
def slurm(by_value: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of all runs, with a stand-in for Slurm at hand. Its spool is next to it."""
    folder = tmp_path / "slurm"
    folder.mkdir()
    for name, value in slurm_standin.install(folder).items():
        monkeypatch.setenv(name, value)
    import submitit

    monkeypatch.setattr(submitit.SlurmJob.watcher, "_delay_s", 0.2)
    submitit.SlurmJob.watcher.clear()
    submitit.SlurmJob.watcher._registered.clear()  # numbers begin anew
    return by_value


def calls(folder: RunFolder) -> list[str]:
    """What was called in it."""
    return [line.split()[0] for line in (folder.path / "calls.txt").read_text().splitlines()]


def run_on(cluster: jobs.Cluster, queue: list[Run]) -> tuple[list[int], list[int]]:
    """As `run`, on a cluster."""
    jobs.run_jobs(queue, 2, 3, queue[0].folder.path.parents[1], cluster=cluster)
    done = [each.folder.seed for each in queue if not each.step]
    return done, [each.folder.seed for each in queue if each.problem]


@pytest.mark.parametrize("name", ["local", "debug"])
def test_submitit_runs_the_same_jobs(by_value: Path, name: str) -> None:
    queue = [job(by_value, 0), job(by_value, 1, "fail train")]
    assert run_on(jobs.Cluster(name), queue) == ([0], [1])
    assert calls(queue[0].folder) == ["train", "export", "run"]
    states = {run: row["state"] for run, row in jobs.read_manifest(by_value).items()}
    assert states == {"ecg-brf seed 0": "done", "ecg-brf seed 1": "failed"}
    assert "the well is [empty]" in jobs.read_manifest(by_value)["ecg-brf seed 1"]["problem"]


def test_an_array_of_slurm(slurm: Path) -> None:
    queue = [job(slurm, seed) for seed in range(3)] + [job(slurm, 3, "fail run")]
    cluster = jobs.Cluster(partition="boards", minutes=7)
    assert run_on(cluster, queue) == ([0, 1, 2], [3])
    script = (slurm.parent / "slurm" / "spool" / "1.sh").read_text()
    for option in ("--array=0-3%2", "--partition=boards", "--time=7", "--cpus-per-task=3"):
        assert f"#SBATCH {option}\n" in script
    numbers = {row["job"] for row in jobs.read_manifest(slurm).values()}
    assert numbers == {f"1_{task}" for task in range(4)}
    for each in queue[:3]:
        assert calls(each.folder) == ["train", "export", "run"]


def test_a_job_at_its_time_limit_goes_on_in_another(slurm: Path) -> None:
    import submitit

    queue = [job(slurm, 0, "long"), job(slurm, 1)]
    waiting = queue[0].folder

    def time_out() -> None:
        assert wait_until(waiting.state.exists, PATIENCE)
        submitit.SlurmJob(slurm / "scheduler", "1_0")._interrupt(timeout=True)

    limit = threading.Thread(target=time_out)
    limit.start()
    assert run_on(jobs.Cluster(), queue) == ([0, 1], [])
    limit.join()
    assert calls(waiting) == ["train", "train", "export", "run"]
    lines = (waiting.path / "calls.txt").read_text().splitlines()
    assert [line.split()[1] for line in lines] == ["False", "True", "False", "False"]  # --resume


def test_a_killed_job_is_neither_done_nor_failed_and_ends_in_the_next_call(slurm: Path) -> None:
    queue = [job(slurm, 0, "long"), job(slurm, 1)]
    waiting = queue[0].folder

    def kill() -> None:
        assert wait_until(waiting.state.exists, PATIENCE)
        subprocess.run(["scancel", "1_0"], check=True)

    killer = threading.Thread(target=kill)
    killer.start()
    assert run_on(jobs.Cluster(), queue) == ([1], [])
    killer.join()
    again = [Run(waiting, small_recipe(), SOURCE, "resume")]
    assert run_on(jobs.Cluster(), again) == ([0], [])
    assert calls(waiting) == ["train", "train", "export", "run"]


def test_jobs_that_the_scheduler_has_are_waited_for_and_not_given_again(
    slurm: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    queue = [job(slurm, 0, "count seed-0/go"), job(slurm, 1)]

    def leave(*_: Any) -> int:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(jobs, "_look", leave)
        stop = jobs.run_jobs(queue, 2, 3, slurm, cluster=jobs.Cluster())
    assert isinstance(stop, KeyboardInterrupt)
    (queue[0].folder.path / "go").touch()
    again = [job(slurm, 0, "count seed-0/go"), job(slurm, 1)]
    assert run_on(jobs.Cluster(), again) == ([0, 1], [])
    for each in again:
        assert calls(each.folder) == ["train", "export", "run"]
    assert len((slurm.parent / "slurm" / "spool" / "started").read_text().split()) == 2


@pytest.mark.slow
@pytest.mark.timeout(1200)  # 200 processes of Python
@pytest.mark.parametrize(("cluster", "at_once"), [("slurm", 200), ("local", 25)])
def test_two_hundred_jobs_of_which_a_tenth_is_killed(
    slurm: Path, cluster: str, at_once: int
) -> None:
    """All are done after a second call, and no step twice. Submitit's own starts all at once."""

    def run_all() -> tuple[list[int], list[int]]:
        groups = [queue[first : first + at_once] for first in range(0, len(queue), at_once)]
        ends = [run_on(jobs.Cluster(cluster), group) for group in groups]
        done, failed = (list(chain.from_iterable(each)) for each in zip(*ends, strict=True))
        return done, failed

    kills = {10 * k: ("train", "export", "run")[k % 3] for k in range(20)}
    queue = [job(slurm, seed, f"lost {kills.get(seed)}") for seed in range(200)]
    done, failed = run_all()
    assert (len(done), failed) == (180, [])
    assert not set(done) & set(kills)
    for each in queue:
        each.step = each.folder.next_step
    done, failed = run_all()
    assert (len(done), failed) == (200, [])
    for each in queue:
        assert (each.folder.path / "ended.txt").read_text().split() == ["train", "export", "run"]
    if cluster == "slurm":
        started = (slurm.parent / "slurm" / "spool" / "started").read_text().split()
        assert len(started) == 220


def test_a_grid_is_every_value_of_every_key(tmp_path: Path, small_data: None) -> None:
    assert grid_of(" hidden = [4, 5],[6] ") == ["hidden=[4,5]", "hidden=[6]"]
    for text in ("training.weight_bits", "epochs=", "=3", "task=a/b.toml"):
        with pytest.raises(click.BadParameter, match="such as training"):
            grid_of(text)
    grid = [grid_of("weight_bits=0,4"), grid_of("epochs=3,5")]
    recipes = runs.recipes_for([("ecg", "BRF")], SMALL, grid)
    assert [name for _, _, name in recipes] == [
        f"weight_bits={bits},epochs={epochs}" for bits in (0, 4) for epochs in (3, 5)
    ]
    last = recipes["ecg", "BRF", "weight_bits=4,epochs=5"]
    assert (last.training.weight_bits, last.training.epochs) == (4, 5)
    for (*_, variant), recipe in recipes.items():
        for seed in range(2):
            accuracy = 0.5 + 0.1 * seed + 0.01 * recipe.training.weight_bits
            write_run(RunFolder(tmp_path, "ecg", "BRF", seed, variant), recipe, accuracy)
    result = brf_lava("--tables-only", "--out", tmp_path)
    assert_worked(result)
    assert "grid.png" in result.output
    assert (tmp_path / "grid.png").read_bytes().startswith(b"\x89PNG")
    with (tmp_path / "table1.csv").open() as file:
        rows = {row["variant"]: row for row in csv.DictReader(file)}
    assert {row["seeds"] for row in rows.values()} == {"2"}
    assert float(rows["weight_bits=4,epochs=3"]["accuracy_percent_mean"]) == pytest.approx(59)
    assert "| ecg | BRF | weight_bits=0,epochs=5 | 2 |" in (tmp_path / "tables.md").read_text()


def test_without_slurm_one_line_says_what_to_do(
    tmp_path: Path, small_data: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    asked = brf_lava(*ASKED, "--executor", "slurm", "--out", tmp_path / "out")
    assert_failed(asked, 3, "srun", "--executor local")
    asked = brf_lava(*ASKED, "--partition", "boards", "--out", tmp_path / "out")
    assert_failed(asked, 2, "--partition and --time are for --executor slurm")


# Wrong usage


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        (("egc",), ("'egc'", "'ecg'")),
        (("ecg", "--neurons", "brf,"), ("'brf,'; allowed are alif, rf, brf, bhrf",)),
        ((), ("name what to run", "ecg")),
        (("ecg", "--set", "epoch=3"), ("--set epoch=3", "training.epochs")),
        (("--tables-only", "--jobs", "2"), ("--tables-only", "--jobs. Leave")),
        (("--tables-only", "--device", "auto"), ("--tables-only", "--device.")),  # the default
        (("--tables-only",), ("holds no finished run",)),
        (("ecg", "--data", "nowhere"), ("--data", "nowhere")),
    ],
)
def test_wrong_usage(tmp_path: Path, arguments: tuple[str, ...], parts: tuple[str, ...]) -> None:
    out = tmp_path / "out"
    assert_failed(brf_lava(*arguments, "--out", out), 2, *parts)
    assert not out.exists()


def test_failed_jobs_end_in_one_line_and_the_tables_of_the_others(
    out: Path, pretended: Path, small_data: None
) -> None:
    for seed in (2, 3):
        behave(brf(out, seed), "fail train")
    write_run(brf(out, 4))
    result = brf_lava(*ASKED, "--out", out)
    problem = "2 of 5 runs failed. ecg-brf seed 2: 'brf-lava train' ended with code 2: the well"
    assert_failed(result, 7, problem, str(brf(out, 2).path / "train.log"))
    assert "ecg-brf seed 3: failed: 'brf-lava train' ended with code 2" in result.output
    contents = json.loads((out / "results.json").read_text())
    assert [run["seed"] for run in contents["runs"] if run["neuron"] == "BRF"] == [0, 1, 4]
    assert [each["seed"] for each in contents["unfinished"]] == [2, 3]


def test_a_folder_of_another_reproduce_or_a_file_is_refused(out: Path, small_data: None) -> None:
    with only_writer(out / "results.json"):
        asked = brf_lava(*ASKED, "--seeds", "2", "--out", out)
    assert_failed(asked, 2, "another process is writing it")
    (out / "table1.csv").write_text("of the user's own\n")
    asked = brf_lava(*ASKED, "--seeds", "2", "--out", out)
    assert_failed(asked, 2, "table1.csv: is not a table of 'brf-lava reproduce'")
    file = brf(out).model
    assert_failed(brf_lava("ecg", "--out", file), 2, "'--out': Directory", "is a file. See")


# The real thing


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
from brf_lava.reproduce import steps
steps.PROGRAM = (sys.executable, "-c", {INTERRUPTED!r})
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
    assert len(folders[0].metrics.read_text().splitlines()) == 2
    assert folders[0].state.exists()
    assert "Stopped after epoch 2 of 3" in (folders[0].path / "train.log").read_text()

    again = brf_lava(*asked)
    assert_worked(again)
    assert "ecg-brf seed 0: training goes on" in again.output
    records = [read_record(each) for each in folders]
    for seed, run in enumerate(records):
        values = run.values
        assert (values["seed"], len(values["validation_accuracy"])) == (seed, 3)
        assert values["integer"]["accuracy"] == pytest.approx(values["accuracy"], abs=0.2)
        assert run.data.fingerprint == ecg.load(data).source.fingerprint
    expected = sorted([*tables.FILES, jobs.MANIFEST, "ecg-brf"])
    assert sorted(path.name for path in out.iterdir()) == expected

    before = {path: path.stat().st_mtime_ns for path in out.rglob("seed-*/*")}
    assert_worked(brf_lava(*asked))  # all is done: nothing runs
    assert {path: path.stat().st_mtime_ns for path in out.rglob("seed-*/*")} == before


@pytest.mark.slow
def test_runs_end_with_the_command_that_is_killed(tmp_path: Path, dataset: Dataset) -> None:
    """They belong to nobody then; none goes on training."""
    write_mat(tmp_path / ecg.TRAIN_FILE, dataset.train)
    write_mat(tmp_path / ecg.TEST_FILE, dataset.test)
    options = ("--epochs", "100000", "--seeds", "2", "--jobs", "2")
    process = subprocess.Popen(
        [sys.executable, "-m", "brf_lava", "reproduce", *ASKED, *options, "--data", tmp_path],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        states = [brf(tmp_path / "reproduce", seed).state for seed in (0, 1)]
        assert wait_until(lambda: all(state.exists() for state in states), PATIENCE)
        process.kill()
        process.wait(PATIENCE)
        assert wait_until(lambda: group_is_empty(process.pid), PATIENCE)
        assert all(state.exists() for state in states)
    finally:
        if not group_is_empty(process.pid):
            os.killpg(process.pid, signal.SIGKILL)
