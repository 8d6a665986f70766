"""brf-lava info and compare."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import torch
from command_line import ROOT, assert_failed, brf_lava, printed
from networks import give_commands, short_ecg

from brf_lava.backends import engine
from brf_lava.config.recipe import load_recipe, override
from brf_lava.data.dataset import Split
from brf_lava.network.file import read_network, write_network
from brf_lava.train.checkpoint import measured, save_checkpoint
from brf_lava.train.export import export_model
from brf_lava.train.model import Network
from brf_lava.train.trainer import Trainer

DATASET = short_ecg()
CPU = torch.device("cpu")
SMALL = ("network.hidden=[7]", "theta=0.02", "validation=3", "epochs=2")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("info")
    recipe = override(load_recipe("ecg-brf"), SMALL)
    weights = Network(recipe, 4, 6, torch.Generator().manual_seed(0)).state_dict()
    history = {"seed": 0, "origin": "here", "epoch": 0, "epochs_done": 0}
    model = measured(recipe, DATASET, weights, CPU, **history)
    save_checkpoint(model, folder / "model.pt")
    export_model(model, DATASET, folder / "net.h5", rounding="nearest")
    return folder


@pytest.fixture(autouse=True)
def data(monkeypatch: pytest.MonkeyPatch) -> None:
    give_commands(monkeypatch, DATASET)


def described(path: Path) -> dict[str, Any]:
    lines: dict[str, Any] = json.loads(printed("info", path, "--json"))["about"]
    assert len(printed("info", path).splitlines()) == len(lines) <= 14
    return lines


def test_models_networks_and_runs(folder: Path, tmp_path: Path) -> None:
    model, network = described(folder / "model.pt"), described(folder / "net.h5")
    assert (model["kind"], network["kind"]) == ("model", "network in integers")
    assert model["network"] == network["network"] == "4 - 7 BRF recurrent - 6 LI"
    assert model["model"] == network["model"]
    printed("run", folder / "net.h5", "--backend", "engine", "--out", tmp_path / "run.json")
    run = described(tmp_path / "run.json")
    stored = json.loads((tmp_path / "run.json").read_text())["result"]["accuracy"]
    assert f"accuracy {stored:.2%}" in run["run on engine"]


def test_all_other_files_of_ours(tmp_path: Path) -> None:
    trainer = Trainer(override(load_recipe("ecg-brf"), SMALL), DATASET, 0, CPU, tmp_path / "m.pt")
    trainer.run()
    state = described(tmp_path / "m.resume.pt")
    assert (state["kind"], state["done"]) == ("interrupted training", "2 of 2 epochs")
    assert described(tmp_path / "m.jsonl")["epochs"] == 2
    recipe = described(ROOT / "training" / "ecg-brf.toml")
    assert (recipe["kind"], recipe["hidden layers"]) == ("recipe", "36 BRF")
    assert described(ROOT / "deploy" / "loihi2-oheogulch.toml")["board"] == "oheogulch"
    assert described(ROOT / "deploy" / "sim.toml")["kind"] == "profile of sim"
    assert described(ROOT / "examples" / "own_task" / "rhythms.toml")["name"] == "rhythms"


def test_what_is_none_of_ours_is_one_line(tmp_path: Path) -> None:
    for name, text in (("a.json", "{}"), ("a.sh", ""), ("a.toml", "x = 1"), ("a.npz", "x")):
        (tmp_path / name).write_text(text)
        failed = brf_lava("info", tmp_path / name)
        assert_failed(failed, 2, name)
    with h5py.File(tmp_path / "own.h5", "w") as file:
        file["deep/x"] = np.zeros((2, 3), np.uint8)
    assert_failed(brf_lava("info", tmp_path / "own.h5"), 2, "HDF5 file of others, with ['deep']")
    torch.save({"weight": torch.ones(2)}, tmp_path / "own.pt")
    assert_failed(brf_lava("info", tmp_path / "own.pt"), 2, "torch file of others, with ['weight']")
    assert_failed(brf_lava("info", tmp_path / "no.pt"), 2, "No such file")


def differences(*arguments: Any) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(printed("compare", *arguments, "--json"))
    return found


def test_a_network_does_not_differ_from_itself(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert differences(folder / "net.h5", folder / "net.h5")["differences"] == []
    one_class = Split(DATASET.test.x, np.ones_like(DATASET.test.y))
    give_commands(monkeypatch, replace(DATASET, test=one_class))
    assert printed("compare", folder / "net.h5", folder / "net.h5") == "No differences.\n"


def test_one_changed_weight_and_its_first_spike_are_found(folder: Path, tmp_path: Path) -> None:
    network, stored = read_network(folder / "net.h5")
    layer = network.hidden[0]
    mantissa = layer.weights.mantissa.copy()
    mantissa[3] = 127 - mantissa[3] // 2
    changed = replace(layer, weights=replace(layer.weights, mantissa=mantissa))
    other = replace(network, layers=(changed, network.layers[1]))
    write_network(other, tmp_path / "other.h5", stored)
    found = differences(folder / "net.h5", tmp_path / "other.h5")
    assert found["not_run"] is None
    whats = [each["what"] for each in found["differences"]]
    assert whats[0].startswith("layer 1 weights, in states: 4 of 28 differ")
    x = DATASET.test.time_major()
    ours, theirs = (engine.run(each, x).spikes[0] for each in (network, other))
    step = int(np.argmax((ours != theirs).any((1, 2))))
    assert f"step {step}, layer 1" in whats[-1]


def test_recipes_and_missing_data(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recipe = override(load_recipe("ecg-brf"), (*SMALL, "learning_rate=0.5"))
    weights = Network(recipe, 4, 6, torch.Generator().manual_seed(1)).state_dict()
    history = {"seed": 1, "origin": "here", "epoch": 0, "epochs_done": 0}
    save_checkpoint(measured(recipe, DATASET, weights, CPU, **history), folder / "b.pt")
    rows = differences(folder / "model.pt", folder / "b.pt")["differences"]
    by_name = {each["what"]: (each["first"], each["second"]) for each in rows}
    assert by_name["recipe.training.learning_rate"] == (0.1, 0.5)
    assert by_name["seed"] == (0, 1)
    monkeypatch.undo()
    missing = ("--data", folder / "nowhere")
    assert "nowhere" in differences(folder / "model.pt", folder / "b.pt", *missing)["not_run"]
