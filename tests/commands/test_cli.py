"""The command line: train, export and run as a user calls them, rightly and wrongly."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click
import numpy as np
import pytest
import torch
from click.testing import Result
from command_line import (
    PATIENCE,
    PROGRAM,
    ROOT,
    assert_ends_quietly_on_a_closed_pipe,
    assert_failed,
    assert_one_error,
    assert_worked,
    brf_lava,
    files,
    printed,
    run_process,
    start,
    write_mat,
)
from networks import random_network

from brf_lava import __version__, report
from brf_lava.analysis import bits
from brf_lava.backends import engine
from brf_lava.backends.sim import lava_net
from brf_lava.cli import main
from brf_lava.cli.options import DataOptions
from brf_lava.ecg import task as ecg
from brf_lava.ecg.synthetic import generate
from brf_lava.errors import BrfLavaError, LavaRunError
from brf_lava.export.quantize import quantize
from brf_lava.network.activity import Activity
from brf_lava.network.file import read_network, write_network
from brf_lava.network.layers import FixedNetwork
from brf_lava.train.checkpoint import Checkpoint, load_checkpoint, save_checkpoint, write_archive
from brf_lava.train.export import to_integers
from brf_lava.train.trainer import STATE_FORMAT, STATE_KIND, Trainer

TRAIN, TEST = 6, 2  # segments
STEPS = 1300
# Two samples held out, and a threshold that so small a network reaches without having learned.
SMALL = ("--task", "ecg", "--set", "training.validation=2", "--set", "neuron.theta=0.02")
LOSING = ("--set", "averaging=0", "--set", "batch_size=16")  # with which 2 bits lose accuracy
LONG = 40  # epochs: enough to be interrupted in


# What all tests share


def write_data(folder: Path, seed: int) -> Path:
    folder.mkdir()
    train, test = generate(TRAIN, TEST, seed=seed)
    write_mat(folder / ecg.TRAIN_FILE, train)
    write_mat(folder / ecg.TEST_FILE, test)
    return folder


@pytest.fixture(autouse=True)
def no_data_of_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(ecg.DATA_VARIABLE, raising=False)


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """data, and what a train and an export made of it; nothing in here may be changed."""
    folder = tmp_path_factory.mktemp("shared")
    data = write_data(folder / "data", seed=1)
    trained = brf_lava(
        "train", *SMALL, *LOSING, "--epochs", "2", "--data", data, "--out", folder / "model.pt"
    )
    assert_worked(trained)
    (folder / "train.txt").write_text(trained.output)
    exported = brf_lava("export", folder / "model.pt", folder / "net.h5", "--data", data)
    assert_worked(exported)
    (folder / "export.txt").write_text(exported.output)
    return folder


@pytest.fixture(scope="session")
def places(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Good and bad files by name, for the commands below."""
    folder = tmp_path_factory.mktemp("places")
    found = {name.split(".")[0]: shared / name for name in ("data", "model.pt", "net.h5")}
    found |= {name: folder / name for name in ("text", "nowhere", "empty")}
    found["text"].write_text("no model\n")
    found["empty"].mkdir()
    write_network(random_network(np.random.default_rng(0), (4, 3, 6)), found["nowhere"])
    return found


# Train, export, run


def test_train_writes_a_model_and_its_metrics(shared: Path) -> None:
    checkpoint = load_checkpoint(shared / "model.pt")
    assert checkpoint.recipe.training.epochs == 2
    assert checkpoint.recipe.neuron.theta == 0.02
    assert (checkpoint.seed, checkpoint.epochs_done) == (0, 2)
    assert checkpoint.data.fingerprint == ecg.load(shared / "data").source.fingerprint
    lines = [json.loads(line) for line in (shared / "model.jsonl").read_text().splitlines()]
    assert [line["epoch"] for line in lines] == [1, 2]
    assert checkpoint.epoch == 1 + int(np.argmin([line["validation_loss"] for line in lines]))
    assert not (shared / "model.resume.pt").exists()
    output = (shared / "train.txt").read_text()
    assert f"{checkpoint.metrics.accuracy:.2%}" in output
    assert f"brf-lava export {shared / 'model.pt'} net.h5 --data {shared / 'data'}" in output
    assert "synthetic" not in output  # it was given data


def test_export_writes_integers(shared: Path) -> None:
    """Adaptively rounded, as the few segments have few answers to learn from."""
    checkpoint = load_checkpoint(shared / "model.pt")
    data = ecg.load(shared / "data")
    expected, reports = to_integers(checkpoint.model(), data.train.time_major())
    network, predictions = read_network(shared / "net.h5")
    for ours, theirs in zip(network.layers, expected.layers, strict=True):
        np.testing.assert_array_equal(ours.coefficients, theirs.coefficients)
        np.testing.assert_array_equal(ours.weights.integers, theirs.weights.integers)
        assert ours.constants == theirs.constants
    assert predictions is not None
    np.testing.assert_array_equal(predictions.predictions, checkpoint.activity.predictions)
    np.testing.assert_array_equal(predictions.sops, checkpoint.activity.sops)
    assert network.provenance["recipe"] == checkpoint.recipe.text
    assert network.provenance["metrics"] == asdict(checkpoint.metrics)
    assert network.provenance["calibration"]["fingerprint"] == data.source.fingerprint
    assert network.provenance["rounding"] == "adaptive"
    output = (shared / "export.txt").read_text()
    assert "4 - 36 BRF recurrent - 6 LI, adaptive rounding; accuracy" in output
    corrections = sum(len(report.corrections) for report in reports)
    assert output.count("unstable; changed to") == corrections
    assert ("No neuron had to be changed" in output) is (corrections == 0)


def test_export_obeys_its_bits(shared: Path, tmp_path: Path) -> None:
    bits = ("--weight-bits", "4", "--parameter-bits", "20", "--state-bits", "12")
    out = tmp_path / "net.h5"
    assert_worked(brf_lava("export", shared / "model.pt", out, "--data", shared / "data", *bits))
    network, _ = read_network(out)
    for layer in network.layers:
        assert (layer.constants.state_bits, layer.constants.parameter_bits) == (12, 20)
        assert np.abs(layer.weights.mantissa.astype(int)).max() <= 7


def test_export_rounds_as_asked_and_warns_where_little_agrees(shared: Path, tmp_path: Path) -> None:
    """Two bits a weight leave little of a network: that is said last, and nothing is refused."""
    out, data = tmp_path / "net.h5", shared / "data"
    asked = ("--rounding", "nearest", "--weight-bits", "2", "--data", data)
    result = brf_lava("export", shared / "model.pt", out, *asked)
    assert_worked(result)
    real = load_checkpoint(shared / "model.pt").model().to_real()
    x = ecg.load(data).train.time_major()
    network, _ = read_network(out)
    nearest, _ = quantize(real, x, weight_bits=2, rounding="nearest")
    for ours, theirs in zip(network.layers, nearest.layers, strict=True):
        np.testing.assert_array_equal(ours.weights.integers, theirs.weights.integers)
    assert network.provenance["rounding"] == "nearest"
    equal = float(re.findall(r"same prediction as float .* ([\d.]+)%", result.output)[0])
    *_, warned, _ = result.stdout.splitlines()  # the last line says how to see more
    assert warned.startswith("Warning: only ") is (equal < 90), warned
    assert equal < 90
    assert "--rounding distilled" in warned
    assert "Warning" not in (shared / "export.txt").read_text()


def test_export_obeys_bits_of_each_matrix(shared: Path, tmp_path: Path) -> None:
    out, asked = tmp_path / "net.h5", ("--weight-bits", "8,4,6", "--data", shared / "data")
    assert_worked(brf_lava("export", shared / "model.pt", out, *asked))
    network, _ = read_network(out)
    real = load_checkpoint(shared / "model.pt").model().to_real()
    x = ecg.load(shared / "data").train.time_major()
    expected, _ = quantize(real, x, weight_bits=(8, 4, 6))
    for ours, theirs in zip(network.layers, expected.layers, strict=True):
        np.testing.assert_array_equal(ours.weights.integers, theirs.weights.integers)
    assert network.provenance["weight_bits"] == [8, 4, 6]


def test_export_takes_the_fewest_bits_that_lose_no_more(shared: Path, tmp_path: Path) -> None:
    """However much may be lost: the fewest that there are, of those it begins with."""
    out, asked = tmp_path / "net.h5", ("--lose", "100", "--weight-bits", "3")
    result = brf_lava("export", shared / "model.pt", out, *asked, "--data", shared / "data")
    assert_worked(result)
    rows = [row for row in result.output.splitlines() if re.match(r"│ +\d,\d,\d ", row)]
    chosen = {row.split("│")[1].strip(): "yes" in row for row in rows}
    assert chosen == {"3,3,3": False, "2,2,2": True}
    assert "6 training samples, which the rounding used" in result.output
    assert read_network(out)[0].provenance["weight_bits"] == [2, 2, 2]


def test_sweep_bits_shows_every_point(
    shared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """But for those that do not fit, which it says."""
    points = [(8, None, 16), (3, 9, 12), (8, None, 23)]
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(bits, "ONE_AT_A_TIME", points)
    words = ("sweep-bits", shared / "model.pt", "--data", shared / "data", "-o", "sweep.svg")
    table = printed(*words)
    assert "Notice: left out: parameter_bits: 23 is out of range" in table
    assert "bits of weights" in (tmp_path / "sweep.svg").read_text()
    assert set(files(tmp_path)) == {"sweep.svg"}
    model, split = load_checkpoint(shared / "model.pt").model(), ecg.load(shared / "data")
    x, test = split.train.time_major(), split.test
    fixed, _ = to_integers(model, x, weight_bits=3, state_bits=9, parameter_bits=12)
    right = (test.y == engine.run(fixed, test.time_major()).outputs.argmax(2).T).mean()
    rows = [row for row in table.splitlines() if re.match(r"│ +\d,\d,\d ", row)]
    first, second = ([cell.strip() for cell in row.split("│")[1:-1]] for row in rows)
    assert (first[0], first[2]) == ("8,8,8", "16")
    assert second[:4] == ["3,3,3", "9,9", "12", f"{100 * right:.2f}"]
    assert "yes" in (first[-1], second[-1])
    chosen = {"8,8,8": first, "3,3,3": second}
    verdict = re.search(r"Least memory.*: weight bits (\d,\d,\d), .*; ([\d.]+)% kept, ", table)
    lost = {each: float(row[4].split(" ")[0]) for each, row in chosen.items()}
    assert lost["8,8,8"] <= bits.LOSE
    assert verdict is not None
    assert chosen[verdict[1]][3] == verdict[2]
    assert verdict[1] == ("3,3,3" if lost["3,3,3"] <= bits.LOSE else "8,8,8")
    monkeypatch.setattr(bits, "LOSE", -100)
    assert "None loses at most -100 points; least: " in printed(*words)


def test_a_stopped_sweep_shows_what_is_done(
    shared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    points = [(weight, None, 16) for weight in (8, 5, 4)]
    monkeypatch.setattr(bits, "ONE_AT_A_TIME", points)
    measure, measured = bits.measure_fidelity, iter(range(2))

    def stopped(*arguments: Any) -> Any:
        if next(measured):
            raise KeyboardInterrupt
        return measure(*arguments)

    monkeypatch.setattr(bits, "measure_fidelity", stopped)
    words = (shared / "model.pt", "--data", shared / "data", "-o", "x.png")
    result = brf_lava("sweep-bits", *words)
    assert result.exit_code == 130
    assert "8,8,8" in result.output
    assert "5,5,5" not in result.output
    assert result.output.endswith("Interrupted.\n")
    assert not files(tmp_path)


def assert_result(contents: dict[str, Any], shared: Path, samples: int, backend: str) -> None:
    """The JSON of a run against the integer engine, counted here."""
    data = ecg.load(shared / "data")
    network, reference = read_network(shared / "net.h5")
    checkpoint = load_checkpoint(shared / "model.pt")
    test = data.test.first(samples)
    activity = engine.run(network, test.time_major())
    predictions = activity.outputs.argmax(axis=2).T
    assert reference is not None
    assert (contents["format"], contents["schema"]) == ("brf-lava-run", 3)
    assert contents["versions"]["brf_lava"] == __version__
    assert contents["data"]["fingerprint"] == data.source.fingerprint
    assert contents["network"] == network.provenance
    result = contents["result"]
    assert (result["backend"], result["samples"], result["steps"]) == (backend, samples, STEPS)
    assert result["accuracy"] == np.mean(predictions == test.y)
    assert result["agreement"] == np.mean(predictions == reference.predictions[:samples])
    floats = result["reference"]  # of the very samples of the run
    assert floats["accuracy"] == np.mean(reference.predictions[:samples] == test.y)
    assert floats["sops"] == np.mean(reference.sops[:samples])
    assert result["saturations"] == activity.saturations
    spikes = int(activity.spikes[0].sum())
    assert spikes > 10  # else this test would compare nothing
    assert result["cost"]["sops"] == spikes / samples
    assert result["cost"]["input_synops"] == 36 * int(test.x.sum()) / samples
    assert result["cost"]["recurrent_synops"] == 36 * spikes / samples
    assert result["cost"]["output_synops"] == 6 * spikes / samples
    assert result["cost"]["dense_macs"] == STEPS * 36 * (4 + 36 + 6)
    assert result["sops_per_step"] == spikes / samples / STEPS
    assert result["reference"]["accuracy"] == checkpoint.metrics.accuracy
    assert result["sop_ratio"] == spikes / samples / checkpoint.metrics.sops_per_sample


def test_run_on_the_engine(shared: Path, tmp_path: Path) -> None:
    out = tmp_path / "run.json"
    data = ("--data", shared / "data")
    result = brf_lava("run", shared / "net.h5", "--backend", "engine", *data, "--out", out)
    assert_worked(result)
    contents = json.loads(out.read_text())
    assert_result(contents, shared, TEST, "engine")
    assert contents["result"]["checked"] is False
    assert f"{contents['result']['accuracy']:.2%}" in result.output
    assert f"Wrote {out}." in result.output
    assert "Lava equals" not in result.output
    assert os.listdir(tmp_path) == ["run.json"]


@pytest.mark.slow
def test_run_on_lava(shared: Path, tmp_path: Path) -> None:
    out = tmp_path / "run.json"
    arguments = ("--data", shared / "data", "--batch", "1", "--out", out)
    run = run_process("run", shared / "net.h5", *arguments)
    assert run.returncode == 0, run.stderr
    assert f"Lava equals the engine in all {TEST * STEPS * 36:,} spike slots" in run.stdout
    contents = json.loads(out.read_text())
    assert_result(contents, shared, TEST, "sim")
    assert contents["result"]["checked"] is True


def test_limit_takes_the_first_samples(shared: Path, tmp_path: Path) -> None:
    out = tmp_path / "run.json"
    arguments = ("run", shared / "net.h5", "--backend", "engine", "--data", shared / "data")
    for limit, samples in ((1, 1), (99, TEST)):
        assert_worked(brf_lava(*arguments, "--out", out, "--limit", limit))
        assert json.loads(out.read_text())["result"]["samples"] == samples


def test_other_data_are_noticed_and_can_be_measured_anew(shared: Path, tmp_path: Path) -> None:
    data = write_data(tmp_path / "data", seed=2)
    out = tmp_path / "run.json"
    arguments = ("run", shared / "net.h5", "--backend", "engine", "--data", data, "--out", out)
    result = brf_lava(*arguments)
    assert_worked(result)
    assert "Notice: the float network was measured on" in result.output
    written = json.loads(out.read_text())["result"]
    # numbers of different origin are not put side by side
    assert (written["reference"], written["agreement"], written["sop_ratio"]) == (None, None, None)
    result = brf_lava(*arguments, "--reference", shared / "model.pt", "--device", "cpu")
    assert_worked(result)
    assert "Notice" not in result.output
    assert json.loads(out.read_text())["result"]["agreement"] > 0


def test_another_model_as_reference_is_noticed(shared: Path, tmp_path: Path) -> None:
    other, checkpoint = tmp_path / "other.pt", load_checkpoint(shared / "model.pt")
    checkpoint.state_dict["readout.weight"][0, 0] += 1
    save_checkpoint(checkpoint, other)
    arguments = ("run", shared / "net.h5", "--backend", "engine", "--data", shared / "data")
    result = brf_lava(*arguments, "--reference", other, "--device", "cpu")
    assert_worked(result)
    assert f"Notice: {other} is not the model" in result.output


def test_an_output_replaces_nothing_of_another_kind(shared: Path, tmp_path: Path) -> None:
    """Inputs are of other kinds than outputs, so none is lost, whatever path leads to it."""
    model, network, recipe = tmp_path / "model.pt", tmp_path / "net.h5", tmp_path / "recipe.toml"
    data, link = tmp_path / "data", tmp_path / "link"
    shutil.copytree(shared / "data", data)
    model.write_bytes((shared / "model.pt").read_bytes())
    network.write_bytes((shared / "net.h5").read_bytes())
    shutil.copy(ROOT / "training" / "ecg-brf.toml", recipe)
    matrix, given = data / ecg.TEST_FILE, ("--data", data)
    link.symlink_to(matrix)
    run = ("run", network, "--backend", "engine", *given)
    probe = ("--probe", "u", "--probe-out")
    before = files(tmp_path)
    for words, output, kind in (
        (("train", "--recipe", recipe, *given, "--overwrite", "--out"), recipe, "a model"),
        (("train", *SMALL, *given, "--overwrite", "--out"), matrix, "a model"),
        (("import", model, "--task", "ecg", "--overwrite", "-o"), network, "a model"),
        (("export", model), model, "a network"),
        (("export", model), matrix, "a network"),
        ((*run, "--out"), network, "a run"),
        ((*run, "--out"), link, "a run"),
        ((*run, "--out"), data / ".." / "recipe.toml", "a run"),
        ((*run, *probe), network, "a file of states"),
        (("data", "prepare", "ecg", "--records", data, "--out"), network, "a file of prepared"),
    ):
        failed = brf_lava(*words, output)
        assert_failed(failed, 2, f"{output}: is not {kind}", "of brf-lava, and would be replaced.")
    assert files(tmp_path) == before


def test_a_finished_model_is_replaced_only_on_demand(shared: Path, tmp_path: Path) -> None:
    out, data = tmp_path / "model.pt", ("--data", shared / "data")
    for name in ("model.pt", "model.jsonl"):
        (tmp_path / name).write_bytes((shared / name).read_bytes())
    before, accuracy = files(tmp_path), load_checkpoint(out).metrics.accuracy
    train = ("train", *SMALL, "--epochs", "1", *data)
    what = f"{out}: a finished model, of task ecg, neuron BRF, seed 0, accuracy {accuracy:.2%}"
    for words in (train, (*train, "--restart"), ("import", out, "--task", "ecg", *data)):
        assert_failed(brf_lava(*words, "--out", out), 2, what, "--overwrite")
    assert_failed(brf_lava(*train, "--out", tmp_path / "model.b"), 2, "model.jsonl: of a finished")
    assert_failed(brf_lava(*train, "--out", tmp_path / "new.jsonl"), 2, "new.jsonl: is the metrics")
    assert files(tmp_path) == before
    assert_worked(brf_lava(*train, "--out", out, "--overwrite"))
    assert sorted(files(tmp_path)) == ["model.jsonl", "model.pt"]
    assert load_checkpoint(out).epochs_done == 1
    out.write_bytes(out.read_bytes()[:-1000])
    assert_failed(brf_lava(*train, "--out", out), 2, "a finished model, which cannot be read")


def test_train_starts_from_a_model_and_from_a_network(shared: Path, tmp_path: Path) -> None:
    options = ("--data", shared / "data", "--epochs", "1", "--set", "learning_rate=0.001")
    model, net = shared / "model.pt", shared / "net.h5"
    accuracy = load_checkpoint(model).metrics.accuracy
    for source, width in ((model, 4), (net, 8)):
        out = tmp_path / f"{width}.pt"
        changed = ("--set", f"weight_bits={width}", "--out", out)
        result = brf_lava("train", "--from", source, *options, *changed)
        assert_worked(result)
        trained = load_checkpoint(out)
        start = f"trained from a network for task ecg, seed 0, accuracy {accuracy:.2%}"
        assert trained.origin.startswith(start)
        assert f"start   {trained.origin}" in result.stderr
        recipe = trained.recipe
        assert (recipe.training.weight_bits, recipe.training.epochs) == (width, 1)
        assert recipe.neuron.theta == 0.02  # of the file
        exported = tmp_path / f"{width}.h5"
        assert_worked(brf_lava("export", out, exported, "--data", shared / "data"))
        run = brf_lava("run", exported, "--backend", "engine", "--data", shared / "data")
        assert_worked(run)
        assert "100.00%" in run.output  # same prediction as the model


def test_train_does_not_replace_what_it_starts_from(shared: Path, tmp_path: Path) -> None:
    model, data = tmp_path / "model.pt", ("--data", shared / "data", "--epochs", "1")
    shutil.copy(shared / "model.pt", model)
    again = ("train", "--from", model, *data, "--out", model)
    assert_failed(brf_lava(*again), 2, f"{model}: a finished model", "--overwrite")
    assert_worked(brf_lava(*again, "--overwrite"))
    assert load_checkpoint(model).origin.startswith("trained from a network for task ecg")


# Wrong input

HERE = ("--data", "{data}")
MODEL_OUT = ("--out", "{out}/m.pt")
TRAINING = ("train", *SMALL, *HERE, *MODEL_OUT)
EXPORT = ("export", "{model}", "{out}/n.h5", *HERE)
ENGINE = ("--backend", "engine", *HERE, "--out", "{out}/run.json")

WRONG: dict[str, tuple[Sequence[str], int, Sequence[str]]] = {
    # train
    "train nothing": (("train", *HERE, *MODEL_OUT), 2, ("--task", "--recipe")),
    "task": (("train", "--task", "egc", *HERE, *MODEL_OUT), 2, ("egc", "Did you mean ecg")),
    "recipe": (("train", "--recipe", "ecg-brv", *HERE, *MODEL_OUT), 2, ("Did you mean ecg-brf",)),
    "key": ((*TRAINING, "--set", "training.epoch=3"), 2, ("training.epoch=3", "training.epochs")),
    "memory": ((*TRAINING, "--set", "hidden=[100000000]"), 8, ("000,000 weights", "memory")),
    "epochs": ((*TRAINING, "--epochs", "0"), 2, ("--epochs",)),
    "seed": ((*TRAINING, "--seed", "-1"), 2, ("--seed",)),
    "seeds": ((*TRAINING, "--seeds", "3-x"), 2, ("3-x", "0-7")),
    "seeds, none": ((*TRAINING, "--seeds", "7-0"), 2, ("7-0", "at most 100")),
    "seeds, parts": ((*TRAINING, "--seeds", "0-99,200"), 2, ("0-99,200", "at most 100")),
    "seeds, many": ((*TRAINING, "--seeds", "0-999999999"), 2, ("0-999999999", "at most 100")),
    "seeds, seed": ((*TRAINING, "--seeds", "0-1", "--seed", "2"), 2, ("--seeds", "--seed")),
    "device": ((*TRAINING, "--device", "tpu"), 2, ("tpu", "cuda")),
    "no device": ((*TRAINING, "--device", "cuda"), 3, ("cuda", "--device cpu")),
    "no data": (("train", *SMALL, "--data", "{out}/none", *MODEL_OUT), 2, ("{out}/none",)),
    "empty data": (("train", *SMALL, "--data", "{empty}", *MODEL_OUT), 2, ("QTDB_train.mat",)),
    "out folder": (("train", *SMALL, *HERE, "--out", "{out}/no/m.pt"), 2, ("{out}/no/m.pt",)),
    "out denied": (("train", *SMALL, *HERE, "--out", "{denied}/m.pt"), 2, ("{denied}/m.pt",)),
    "out a folder": (("train", *SMALL, *HERE, "--out", "."), 2, ("not a regular file",)),
    "resume nothing": (("train", "--resume", *HERE, *MODEL_OUT), 2, ("m.resume.pt", "--out")),
    "from nothing": (("train", "--from", "{out}/n.pt", *HERE, *MODEL_OUT), 2, ("No such file",)),
    "from text": (("train", "--from", "{text}", *HERE, *MODEL_OUT), 2, ("not a torch file",)),
    "from nowhere": (
        ("train", "--from", "{nowhere}", *HERE, *MODEL_OUT),
        2,
        ("how it was trained",),
    ),
    "from resume": (("train", "--from", "{model}", "--resume", *MODEL_OUT), 2, ("--from", "--set")),
    "from other": ((*TRAINING, "--from", "{model}", "--set", "hidden=[5]"), 2, ("36x4, and 5x4",)),
    "resume recipe": ((*TRAINING, "--resume"), 2, ("--resume", "--set")),
    # import
    "import no task": (("import", "{model}", *HERE, "-o", "{out}/m.pt"), 2, ("--task",)),
    "import ours": (("import", "{model}", "--task", "ecg", *HERE), 2, ("model.pt", "published")),
    "import task": (("import", "{model}", "--task", "egc", *HERE), 2, ("egc",)),
    # export
    "export nothing": (("export", "{model}"), 2, ("NETWORK",)),
    "no model": (("export", "{out}/no.pt", "{out}/n.h5", *HERE), 2, ("{out}/no.pt", "No such")),
    "weight bits": ((*EXPORT, "--weight-bits", "9"), 2, ("9", "8")),
    "weight bits, words": ((*EXPORT, "--weight-bits", "8,4.5"), 2, ("8,4.5", "whole numbers")),
    "weight bits, count": ((*EXPORT, "--weight-bits", "8,4"), 2, ("8,4", "3 matrices: 1 BRF")),
    "lose too much": ((*EXPORT, "--lose", "0", "--weight-bits", "2"), 6, ("2 bits", "0 may be")),
    "lose, nan": ((*EXPORT, "--lose", "nan"), 2, ("nan is not a number",)),
    "sweep": (("sweep-bits", "{net}", *HERE), 2, ("{net}", "an exported network")),
    "sweep, picture": (("sweep-bits", "{model}", "-o", "{out}/x.gif"), 2, ("x.gif", ".png")),
    "parameter bits": ((*EXPORT, "--parameter-bits", "30"), 2, ("parameter_bits: 30", "10 to 22")),
    "state bits": ((*EXPORT, "--state-bits", "2"), 2, ("state_bits: 2", "6 to 18")),
    "export data": (("export", "{model}", "{out}/n.h5", "--data", "{empty}"), 2, ("--data",)),
    # run
    "no network": (("run", "{out}/no.h5", *ENGINE), 2, ("{out}/no.h5", "No such file")),
    "network of no task": (("run", "{nowhere}", *ENGINE), 2, ("nowhere",)),
    "backend": (("run", "{net}", *ENGINE, "--backend", "gpu"), 2, ("gpu", "loihi2")),
    "no loihi2": (("run", "{net}", *ENGINE, "--backend", "loihi2"), 3, ("loihi2", "--backend sim")),
    "board": (("run", "{net}", *ENGINE, "--profile", "loihi2-oheogulch"), 2, ("oheogulch", "sim")),
    "profile": (("run", "{net}", *ENGINE, "--profile", "simm"), 2, ("Did you mean sim",)),
    "two results": (
        ("run", "{net}", *HERE, "--probe", "u", "--out", "{out}/x.h5", "--probe-out", "x.h5"),
        2,
        ("x.h5", "two different results"),
    ),
    "reference": (("run", "{net}", *ENGINE, "--reference", "{text}"), 2, ("places0/text",)),
    "run data": (("run", "{net}", *ENGINE, "--data", "{empty}"), 2, ("--data",)),
    # classify and stream
    "record": (("classify", "{net}", "{out}/r"), 2, ("r.hea", "No such file")),
    "record, a folder": (("classify", "{net}", "."), 2, (".hea", "No such file")),
    "record of no task": (("classify", "{nowhere}", "{out}/r"), 2, ("nowhere",)),
    "waves": (("classify", "{net}", "{out}/r", "--csv", "{out}/no/w"), 2, ("{out}/no/w",)),
    "steps": (("stream", "{net}", "{out}/s"), 2, ("{out}/s", "No such file")),
    # all
    "command": (("rnu",), 2, ("rnu",)),
    "option": (("run", "--bakend", "sim"), 2, ("--bakend",)),
}


@pytest.fixture
def denied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that may not be written to; root may, so that it has to be told otherwise."""
    folder = tmp_path / "denied"
    folder.mkdir()
    folder.chmod(0o555)
    access = os.access

    def no_access(path: Any, mode: int, **options: Any) -> bool:
        return not (Path(path) == folder and mode & os.W_OK) and access(path, mode, **options)

    monkeypatch.setattr(os, "access", no_access)
    return folder


@pytest.mark.parametrize("name", WRONG)
def test_wrong_input_is_one_line_and_leaves_nothing(
    name: str,
    places: dict[str, Path],
    denied: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    template, code, parts = WRONG[name]
    known = {**places, "denied": denied, "out": tmp_path / "out"}
    known["out"].mkdir()
    monkeypatch.chdir(known["out"])  # where the default outputs would go
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    before = files(tmp_path)
    result = brf_lava(*(argument.format(**known) for argument in template))
    assert_failed(result, code, *(part.format(**known) for part in parts))
    assert files(tmp_path) == before


def test_wrong_input_of_a_process(tmp_path: Path) -> None:
    run = run_process("run", tmp_path / "no.h5", "--backend", "engine")
    assert (run.returncode, run.stdout) == (2, "")
    assert run.stderr.startswith("Error: ")
    assert_one_error(run.stderr, f"{tmp_path}/no.h5", "No such file")


def test_a_model_that_came_meanwhile_is_not_overwritten(
    shared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As of another training that ended while this one loaded its data."""
    model, out, load = shared / "model.pt", tmp_path / "m.pt", DataOptions.load

    def slow(*arguments: Any) -> Any:
        shutil.copy(model, out)
        return load(*arguments)

    monkeypatch.setattr(DataOptions, "load", slow)
    words = ("train", *SMALL, "--epochs", "1", "--data", shared / "data", "--out", out)
    assert_failed(brf_lava(*words), 2, f"{out}: a finished model", "--overwrite")
    assert files(tmp_path) == {"m.pt": model.read_bytes()}


def test_a_stopped_run_is_not_overwritten_unless_told_so(shared: Path, tmp_path: Path) -> None:
    state = tmp_path / "m.resume.pt"
    arguments = ("train", *SMALL, "--epochs", "1", "--data", shared / "data")
    state.write_text("something of the user's\n")
    result = brf_lava(*arguments, "--out", tmp_path / "m.pt", "--restart")
    assert_failed(result, 2, f"{state}: is not an interrupted training of brf-lava")
    write_archive({"format": STATE_FORMAT}, tmp_path / "state", STATE_KIND)
    state.write_bytes((tmp_path / "state").read_bytes()[:-100])
    (tmp_path / "state").unlink()
    (tmp_path / "m.pt").write_bytes((shared / "model.pt").read_bytes())  # the best so far
    before = files(tmp_path)
    result = brf_lava(*arguments, "--out", tmp_path / "m.pt")
    assert_failed(result, 2, str(tmp_path / "m.resume.pt"), "--resume", "--restart")
    result = brf_lava("train", "--resume", "--out", tmp_path / "m.pt")
    assert_failed(result, 2, str(tmp_path / "m.resume.pt"), "not a torch file")
    assert files(tmp_path) == before
    assert_worked(brf_lava(*arguments, "--out", tmp_path / "m.pt", "--restart"))
    assert sorted(files(tmp_path)) == ["m.jsonl", "m.pt"]
    assert load_checkpoint(tmp_path / "m.pt").epochs_done == 1


# Faults of Lava and of the disk


OnLava = Callable[..., Result]


@pytest.fixture
def on_lava(monkeypatch: pytest.MonkeyPatch, shared: Path, tmp_path: Path) -> OnLava:
    """A run, written to r.json, with something changed in what Lava computes.

    The engine stands in Lava's place.
    """

    def call(change: Callable[[Activity], None], *more: str) -> Result:
        def run_on_lava(network: FixedNetwork, x: Any, **options: Any) -> Activity:
            activity = engine.run(network, x)
            change(activity)
            return activity

        monkeypatch.setattr(lava_net, "run_on_lava", run_on_lava)
        out = tmp_path / "r.json"
        net, data = shared / "net.h5", shared / "data"
        return brf_lava("run", net, "--data", data, "--out", out, *more)

    return call


def test_what_lava_computed_is_compared(on_lava: OnLava, tmp_path: Path) -> None:
    equal = on_lava(lambda activity: None)
    assert_worked(equal)
    assert f"{TEST * STEPS * 36:,} spike slots and {TEST * STEPS * 6:,} outputs" in equal.output
    written = tmp_path / "r.json"
    assert json.loads(written.read_text())["result"]["checked"] is True
    written.unlink()

    def wrong_output(activity: Activity) -> None:
        activity.outputs[1200, 0, 0] += 1  # later
        activity.outputs[701, 1, 2] = 123456

    def wrong_spike(activity: Activity) -> None:
        activity.spikes[0][7, 1, 35] ^= 1
        activity.outputs[8:, 1] += 1

    where = ("output", "sample 1", "step 701", "neuron 2", "Lava has 123456", "the engine has")
    assert_failed(on_lava(wrong_output), 5, *where)
    where = ("spike of hidden1", "sample 1", "step 7", "neuron 35", "Lava has", "engine has")
    assert_failed(on_lava(wrong_spike), 5, *where)
    assert files(tmp_path) == {}
    unchecked = on_lava(wrong_output, "--no-check")
    assert_worked(unchecked)
    assert "Lava equals" not in unchecked.output
    assert json.loads(written.read_text())["result"]["checked"] is False


def test_a_fault_of_lava_has_its_own_exit_code(on_lava: OnLava, tmp_path: Path) -> None:
    def change(activity: Activity) -> None:
        raise LavaRunError("Lava run at step 5 of 10: hidden1 (BRF) raised\nValueError: x")

    assert_failed(on_lava(change), 4, "hidden1 (BRF) raised ValueError: x")
    assert files(tmp_path) == {}


FULL_DISK = f"""
import resource
resource.setrlimit(resource.RLIMIT_FSIZE, (1024, 1024))  # Python ignores SIGXFSZ
{PROGRAM}
"""


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["train", "export"])
def test_a_full_disk(shared: Path, tmp_path: Path, kind: str) -> None:
    data = ("--data", shared / "data")
    arguments: Sequence[str | Path] = {
        "train": ("train", *SMALL, "--epochs", "1", "--out", tmp_path / "m.pt"),
        "export": ("export", shared / "model.pt", tmp_path / "n.h5"),
    }[kind]
    run = run_process(*arguments, *data, program=FULL_DISK)
    assert run.returncode == 2, run.stderr
    assert_one_error(run.stderr, str(tmp_path), "File too large")
    assert files(tmp_path) == {}


# Ctrl-C and closed pipes


def interrupt_training(
    data: Path, out: Path, number: int = signal.SIGINT
) -> subprocess.CompletedProcess[str]:
    """A signal to a training process as soon as its first epoch is done."""
    arguments = ("train", *SMALL, "--epochs", str(LONG), "--seed", "5", "--data", data)
    process = start(*arguments, "--out", out)
    metrics = out.with_suffix(".jsonl")
    deadline = time.monotonic() + PATIENCE
    try:
        while not (metrics.exists() and metrics.read_text()):
            assert process.poll() is None, process.communicate()
            assert time.monotonic() < deadline
            time.sleep(0.005)
        process.send_signal(number)
        stdout, stderr = process.communicate(timeout=PATIENCE)
    finally:
        process.kill()
    return subprocess.CompletedProcess([], process.returncode, stdout, stderr)


@pytest.mark.slow
def test_ctrl_c_and_resume_end_like_an_undisturbed_run(shared: Path, tmp_path: Path) -> None:
    data, out = shared / "data", tmp_path / "m.pt"
    stopped = interrupt_training(data, out)
    assert stopped.returncode == 130, stopped.stderr
    assert "Traceback" not in stopped.stderr
    state = tmp_path / "m.resume.pt"
    assert state.exists()
    done = len(out.with_suffix(".jsonl").read_text().splitlines())
    assert 1 <= done < LONG
    assert f"of {LONG}; state saved in {state}" in stopped.stderr
    assert f"brf-lava train --resume --out {out}" in stopped.stderr
    assert f"The best model so far is in {out}." in stopped.stderr
    assert load_checkpoint(out).epochs_done in (done, done - 1)
    assert sorted(files(tmp_path)) == ["m.jsonl", "m.pt", "m.resume.pt"]

    assert_worked(brf_lava("train", "--resume", "--data", data, "--out", out))
    assert not state.exists()
    whole = tmp_path / "whole.pt"
    arguments = ("train", *SMALL, "--epochs", str(LONG), "--seed", "5", "--data", data)
    assert_worked(brf_lava(*arguments, "--out", whole))

    found, expected = load_checkpoint(out), load_checkpoint(whole)
    assert found.fingerprint == expected.fingerprint
    assert (found.epoch, found.epochs_done) == (expected.epoch, LONG)
    assert found.metrics == expected.metrics
    assert found.recipe.text == expected.recipe.text
    np.testing.assert_array_equal(found.activity.predictions, expected.activity.predictions)
    assert without_seconds(out) == without_seconds(whole)


def test_several_seeds_are_each_as_alone(shared: Path, tmp_path: Path) -> None:
    given = ("train", *SMALL, "--epochs", "1", "--data", shared / "data", "--out")
    result = brf_lava(*given, tmp_path / "m.pt", "--seeds", "5,0-1")
    assert_worked(result)
    names = [f"m-seed-{seed}.{kind}" for seed in (0, 1, 5) for kind in ("jsonl", "pt")]
    assert sorted(files(tmp_path)) == names
    assert_worked(brf_lava(*given, tmp_path / "alone.pt", "--seed", "5"))
    found, expected = (load_checkpoint(tmp_path / f"{n}.pt") for n in ("m-seed-5", "alone"))
    assert found.fingerprint == expected.fingerprint
    assert found.seed == 5
    assert without_seconds(tmp_path / "m-seed-5.pt") == without_seconds(tmp_path / "alone.pt")
    assert_failed(brf_lava(*given, tmp_path / "m.pt", "--seeds", "1-2"), 2, "m-seed-1.pt")


def test_several_seeds_go_on_where_they_were_stopped(
    shared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those that had not begun, too."""
    given = ("--data", shared / "data", "--out", tmp_path / "m.pt", "--seeds", "0-1")
    run = Trainer.finish

    def interrupted(trainer: Trainer) -> Checkpoint:
        if trainer.seed:
            return run(trainer)
        raise KeyboardInterrupt

    monkeypatch.setattr(Trainer, "finish", interrupted)
    assert brf_lava("train", *SMALL, "--epochs", "1", *given).exit_code == 130
    monkeypatch.setattr(Trainer, "finish", run)
    assert sorted(files(tmp_path)) == [
        *("m-seed-0.jsonl", "m-seed-0.resume.pt", "m-seed-1.jsonl", "m-seed-1.resume.pt")
    ]
    assert_worked(brf_lava("train", "--resume", *given))
    assert load_checkpoint(tmp_path / "m-seed-1.pt").epochs_done == 1
    assert not list(tmp_path.glob("*.resume.pt"))


@pytest.mark.parametrize("together", [False, True])
def test_a_seed_that_fails_leaves_the_others_be(
    shared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, together: bool
) -> None:
    given = ("--data", shared / "data", "--out", tmp_path / "m.pt", "--seeds", "0-2")
    train_batch = Trainer._train_batch

    def fails(trainer: Trainer, *batch: Any) -> Any:
        if trainer.seed == 1 and trainer.epoch == 1:
            raise BrfLavaError("training: seed 1 grows. Lower it.")
        return (yield from train_batch(trainer, *batch))

    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "_train_batch", fails)
        if together:
            patch.setattr("brf_lava.train.trainer.together", lambda trainers: [trainers])
        result = brf_lava("train", *SMALL, "--epochs", "2", *given)
    assert_failed(result, BrfLavaError.exit_code, "training: seed 1 grows. Lower it.")
    assert "Failed: training: seed 1 grows" in result.stderr
    assert ("each trains alone" in result.stderr) == together
    assert result.stdout.count("Wrote ") == 2
    assert [path.name for path in sorted(tmp_path.glob("*.pt"))] == [
        *("m-seed-0.pt", "m-seed-1.resume.pt", "m-seed-2.pt")
    ]
    assert load_checkpoint(tmp_path / "m-seed-2.pt").epochs_done == 2
    assert_worked(brf_lava("train", "--resume", *given))
    assert load_checkpoint(tmp_path / "m-seed-1.pt").epochs_done == 2


def without_seconds(model: Path) -> list[dict[str, Any]]:
    lines = model.with_suffix(".jsonl").read_text().splitlines()
    return [{**json.loads(line), "seconds": None} for line in lines]


@pytest.mark.slow
def test_a_job_scheduler_stops_a_training_like_ctrl_c(shared: Path, tmp_path: Path) -> None:
    out = tmp_path / "m.pt"
    stopped = interrupt_training(shared / "data", out, signal.SIGTERM)
    assert stopped.returncode == 143, stopped.stderr
    assert "Go on with: brf-lava train --resume" in stopped.stderr
    before = files(tmp_path)
    assert sorted(before) == ["m.jsonl", "m.pt", "m.resume.pt"]
    data = write_data(tmp_path.parent / "other data", seed=3)
    assert_failed(brf_lava("train", "--resume", "--data", data, "--out", out), 2, "--data")
    assert files(tmp_path) == before


@pytest.mark.parametrize("kind", ["run", "help"])
def test_a_closed_pipe(shared: Path, kind: str) -> None:
    run = ("run", shared / "net.h5", "--backend", "engine", "--data", shared / "data")
    assert_ends_quietly_on_a_closed_pipe(*(run if kind == "run" else ("run", "--help")))


@pytest.fixture
def nobody_reads(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is printed to stdout fails, as on a closed pipe."""

    def broken(*_: Any, err: bool = False, **__: Any) -> None:
        if not err:
            raise BrokenPipeError

    monkeypatch.setattr(click, "echo", broken)
    monkeypatch.setattr(report, "print_table", broken)


@pytest.mark.usefixtures("nobody_reads")
def test_results_are_written_before_they_are_printed(
    shared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bits, "ONE_AT_A_TIME", [(8, None, 16)])
    fewest = ("--lose", "100", "--weight-bits", "3", "--rounding", "nearest")
    data, out = ("--data", shared / "data"), tmp_path / "r.json"
    small = ("--points", "2", "--repeats", "1", "--limit", "1", "-o", tmp_path / "x.png")
    states = ("--probe", "u", "--probe-out", tmp_path / "s.h5")
    for words, written in (
        (("train", *SMALL, "--epochs", "1", *data, "--out", tmp_path / "m.pt"), {"m.pt"}),
        (("export", shared / "model.pt", tmp_path / "n.h5", *data), {"n.h5"}),
        (("export", shared / "model.pt", tmp_path / "few.h5", *data, *fewest), {"few.h5"}),
        (("sweep-bits", shared / "model.pt", *data, "-o", tmp_path / "bits.png"), {"bits.png"}),
        (("run", shared / "net.h5", "--backend", "engine", *data, "--out", out), {"r.json"}),
        (("run", shared / "net.h5", "--backend", "engine", *data, *states), {"s.h5"}),
        (("map", shared / "net.h5", "-o", tmp_path / "map.png"), {"map.png"}),
        (("plot", "robustness", shared / "model.pt", *data, *small), {"x.png"}),
    ):
        result = brf_lava(*words)
        assert result.exit_code == (0 if words[0] == "plot" else 141), result.output  # to stderr
        assert written <= set(files(tmp_path)), words


# Help


@pytest.mark.parametrize("name", [None, *sorted(main.commands)])
def test_help(name: str | None) -> None:
    arguments = [name] if name else []
    result = brf_lava(*arguments, "--help")
    assert_worked(result)
    assert brf_lava(*arguments, "-h").output == result.output
    documented: click.Command = main.commands[name] if name else main
    assert documented.help
    assert documented.help.split("\n")[0][:40] in " ".join(result.output.split())
    if name is None:
        assert all(f"  {each} " in result.output for each in main.commands)
    for parameter in documented.params:
        if isinstance(parameter, click.Option):
            assert parameter.opts[0] in result.output


def test_every_command_is_covered_here() -> None:
    tested = {arguments[0] for arguments, _, _ in WRONG.values()}
    # each in a file of its own: test_data_cli, test_plot, test_reproduce, test_loihi2_*, ...
    elsewhere = {"data", "plot", "reproduce", "loihi2", "map", "estimate", "doctor", "verify"}
    elsewhere |= {"info", "compare", "report"}
    elsewhere |= {"install-lava", "audit"}
    assert set(main.commands) <= tested | elsewhere


def test_a_command_gives_the_handler_of_sigterm_back() -> None:
    before = signal.getsignal(signal.SIGTERM)
    assert_worked(brf_lava("data", "list"))
    assert signal.getsignal(signal.SIGTERM) is before
