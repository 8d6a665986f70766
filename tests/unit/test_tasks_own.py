"""A task of the user's own: what its TOML may say, and how its arrays are taken."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import h5py
import numpy as np
import pytest
import torch
from command_line import assert_failed, assert_worked, brf_lava
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from brf_lava.data.dataset import Dataset
from brf_lava.data.places import DATA_VARIABLE
from brf_lava.errors import DataError
from brf_lava.network.decision import UNLABELED
from brf_lava.tasks.own import round_inputs
from brf_lava.tasks.registry import find_task
from brf_lava.train.checkpoint import load_checkpoint
from brf_lava.train.metrics import Progress
from brf_lava.train.trainer import Trainer

ROOT = Path(__file__).resolve().parents[2]
EXAMPLE = ROOT / "examples" / "own_task"
STEPS, INPUTS = 6, 2
KEYS: dict[str, str] = {
    "name": '"gestures"',
    "classes": '["left", "right"]',
    "inputs": str(INPUTS),
    "steps": str(STEPS),
    "step_seconds": "0.01",
    "train": '"train.npz"',
    "test": '"test.npz"',
    "input": '"x"',
    "label": '"y"',
}
RNG = np.random.default_rng(0)
SPIKES = RNG.integers(0, 2, (4, STEPS, INPUTS), dtype=np.int8)
LABELS = np.array([0, 1, 1, 0])


def write(folder: Path, x: Any = SPIKES, y: Any = LABELS, **changes: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("train", "test"):
        np.savez(folder / f"{name}.npz", x=x, y=y)
    return write_toml(folder, **changes)


def write_toml(folder: Path, **changes: str) -> Path:
    path = folder / "gestures.toml"
    keys = {**KEYS, **changes}
    path.write_text("".join(f"{key} = {value}\n" for key, value in keys.items() if value))
    return path


def load(path: Path, **options: Any) -> Dataset:
    return find_task(str(path)).load(**options)


def assert_refused(path: Path, *parts: str) -> None:
    with pytest.raises(DataError) as error:
        load(path)
    for part in parts:
        assert part in str(error.value)
    assert "\n" not in str(error.value)


def test_the_file_says_all(tmp_path: Path) -> None:
    path = write(tmp_path)
    task = find_task(str(path))
    assert (task.name, task.inputs, task.steps) == ("gestures", INPUTS, STEPS)
    assert (task.classes, task.step_seconds) == (("left", "right"), 0.01)
    assert not task.permuted
    data = task.load(None)
    assert (data.task, data.source.kind, data.input_scale) == ("gestures", "own", 1.0)
    assert data.source.description == (
        "gestures (train.npz, test.npz): 4 training and 4 test samples"
    )
    np.testing.assert_array_equal(data.train.x, SPIKES)
    np.testing.assert_array_equal(data.train.y, LABELS[:, None])


def test_paths_start_at_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path / "task")
    monkeypatch.chdir(tmp_path)
    assert len(load(Path("task", path.name)).train.x) == 4
    elsewhere = tmp_path / "elsewhere"
    write(elsewhere, x=SPIKES[:2], y=LABELS[:2])
    assert len(load(path, data=elsewhere).train.x) == 2
    with pytest.raises(DataError, match=r"cannot be read .Not a directory"):
        load(path, data=elsewhere / "train.npz")
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="cannot be read"):
        load(path, data=tmp_path / "empty")
    assert len(load(path, data=tmp_path).train.x) == 4  # the task's folder is below that one


def test_hdf5_with_nested_names(tmp_path: Path) -> None:
    names = {"input": '"data/spikes"', "label": '"/labels"'}
    names |= {"train": '"train.h5"', "test": '"test.hdf5"'}
    path = write_toml(tmp_path, **names)
    for name in ("train.h5", "test.hdf5"):
        with h5py.File(tmp_path / name, "w") as file:
            file["data/spikes"], file["labels"] = SPIKES, LABELS
    np.testing.assert_array_equal(load(path).test.x, SPIKES)
    write_toml(tmp_path, **{**names, "label": '"data"'})
    assert_refused(path, "no array data; there are data/spikes, labels")
    (tmp_path / "train.h5").write_bytes(b"no HDF5")
    assert_refused(path, "train.h5", "damaged")


def test_labels(tmp_path: Path) -> None:
    for y in (LABELS, LABELS[:, None], np.tile(LABELS[:, None], STEPS)):
        for dtype, missing in ((np.int16, -1), (np.int64, 255), (np.uint8, 255)):
            y = y.astype(dtype)
            y[1] = missing
            path = write(tmp_path, y=y)
            labels = load(path).train.y
            assert labels.shape == (4, STEPS if y.ndim == 2 and y.shape[1] > 1 else 1)
            assert labels[:, 0].tolist() == [0, UNLABELED, 1, 0]
    assert load(path, unlabeled="mask").train.y[1, 0] == UNLABELED
    assert load(path, unlabeled="first-class").train.y[1, 0] == 0


def test_real_inputs(tmp_path: Path) -> None:
    for values, dtype, scale in (
        (np.linspace(0, 5, 12).astype(np.float16), np.uint8, 5 / 255),
        (np.linspace(-2, 5, 12).astype(np.float32), np.int8, 5 / 127),
        (np.linspace(-5, 2, 12), np.int8, 5 / 127),
        (np.zeros(12), np.uint8, 1 / 255),
    ):
        x = values.reshape(1, STEPS, INPUTS)
        data = load(write(tmp_path, x=x, y=LABELS[:1]))
        assert data.train.x.dtype == dtype
        assert data.input_scale == pytest.approx(scale, rel=1e-3)
        seen = data.train.x * data.input_scale
        assert np.abs(seen - x).max() <= data.input_scale / 2 * (1 + 1e-9)
        assert f"real inputs as {np.dtype(dtype).name} in steps of" in data.source.description
        assert "clipped" not in data.source.description


def test_the_training_half_sets_the_scale_and_the_rest_is_clipped(tmp_path: Path) -> None:
    path = write(tmp_path, x=SPIKES.astype(float))
    beyond = SPIKES.astype(float)
    beyond[0, 0] = (7.0, -3.0)
    np.savez(tmp_path / "test.npz", x=beyond, y=LABELS)
    data = load(path)
    assert data.test.x[0, 0].tolist() == [255, 0]
    assert "2 of 96 values clipped" in data.source.description
    coarse = load(write_toml(tmp_path, scale="0.5"))
    assert coarse.input_scale == 0.5
    assert coarse.test.x[0, 0].tolist() == [14, 0]
    assert "1 of 96 values clipped" in coarse.source.description


@given(
    arrays(np.float64, (3, 2, 1), elements=st.floats(-1e6, 1e6)),
    st.sampled_from([np.int8, np.uint8]),
    st.floats(1e-3, 1e3),
)
def test_rounding_is_to_the_nearest_that_fits(x: np.ndarray, dtype: Any, scale: float) -> None:
    rounded, clipped = round_inputs(x, dtype, scale)
    limits = np.iinfo(dtype)
    reachable = np.arange(limits.min, limits.max + 1) * scale
    nearest = np.abs(x[..., None] - reachable).min(axis=-1)
    assert rounded.dtype == dtype
    np.testing.assert_allclose(np.abs(x - rounded * scale), nearest, rtol=1e-9, atol=1e-9)
    outside = (np.rint(x / scale) < limits.min) | (np.rint(x / scale) > limits.max)
    assert clipped == outside.sum()


def test_wrong_inputs_and_labels(tmp_path: Path) -> None:
    for content, found in (
        ({"x": np.array(1)}, "x: int64 []; must be bool, integers or real"),
        ({"x": SPIKES.astype(complex)}, "x: complex128 [4, 6, 2]; must be bool, integers or real"),
        ({"x": SPIKES[:, :5]}, "int8 [4, 5, 2]"),
        ({"x": SPIKES[..., :1]}, "int8 [4, 6, 1]"),
        ({"x": SPIKES[0]}, "int8 [6, 2]"),
        ({"x": SPIKES[:0]}, "int8 [0, 6, 2]"),
        ({"x": np.where(SPIKES, np.nan, 0.0)}, "not finite"),
        ({"x": np.where(SPIKES, np.inf, 0.0)}, "not finite"),
        ({"x": np.array(["a", None])}, "allow_pickle=False"),
        ({"y": LABELS[:3]}, "y: int64 [3]; must be integers [4], [4, 1] or [4, 6]"),
        ({"y": LABELS.astype(float)}, "float64"),
        ({"y": LABELS[:, None, None]}, "[4, 1, 1]"),
        ({"y": np.tile(LABELS[:, None], STEPS - 1)}, "[4, 5]"),
        ({"y": LABELS + 1}, "class 2 found; must be 0 to 1, or -1 or 255"),
        ({"y": LABELS - 2}, "class -2 found"),
        ({"y": LABELS + 256}, "class 256 found"),
        ({"y": LABELS.astype(np.uint64) + np.uint64(2**63)}, "class"),
    ):
        assert_refused(write(tmp_path, **content), str(tmp_path / "train.npz"), found)


WRONG_KEYS: tuple[tuple[dict[str, str], str], ...] = (
    ({"classes": ""}, "classes is missing. Add it."),
    ({"labels": '"y"'}, "labels: no such key. Did you mean label?"),
    ({"classes": "[]"}, "classes: []; allowed is a list of one or more, each a string"),
    ({"classes": '["a", "a"]'}, "classes: 2 names, 1 different; must be at most 255, all differ"),
    ({"classes": str([str(i) for i in range(256)])}, "256 names"),
    ({"inputs": "0"}, "inputs: 0; allowed is a whole number, 1 or more"),
    ({"step_seconds": "0"}, "step_seconds: 0; allowed is a number above 0"),
    ({"scale": '"big"'}, 'scale: "big"; allowed is a number above 0, or "auto"'),
    ({"name": '"a'}, "not valid TOML"),
    ({"train": '"train.csv"'}, "arrays are read from .npz, .h5 and .hdf5"),
    ({"train": '"none.npz"'}, "none.npz: cannot be read"),
    ({"input": '"z"'}, "no array z; there are x, y"),
)


def test_wrong_keys(tmp_path: Path) -> None:
    for changes, found in WRONG_KEYS:
        assert_refused(write(tmp_path, **changes), str(tmp_path), found)
    assert_refused(tmp_path / "none.toml", "cannot be read")


def test_integers_are_taken_as_the_type_that_holds_both_halves(tmp_path: Path) -> None:
    path, unsigned = write(tmp_path, scale="0.25"), SPIKES.astype(np.uint8)
    for train, test, dtype in (
        (SPIKES, SPIKES, np.int8),
        (SPIKES.astype(bool), unsigned, np.int8),
        (unsigned, SPIKES, np.uint8),
        (SPIKES, 200 * unsigned, np.uint8),
        (200 * unsigned, SPIKES, np.uint8),
        (-SPIKES, 100 * unsigned, np.int8),
        (100 * unsigned, -SPIKES, np.int8),
        (SPIKES.astype(np.uint64), SPIKES.astype(np.int16), np.int8),  # wider ones where they fit
        (-128 * SPIKES.astype(int), 127 * SPIKES.astype(int), np.int8),
        (SPIKES.astype(np.uint64), 255 * SPIKES.astype(np.uint64), np.uint8),
    ):
        for name, x in (("train", train), ("test", test)):
            np.savez(tmp_path / f"{name}.npz", x=x, y=LABELS)
        data = load(path)
        assert data.train.x.dtype == data.test.x.dtype == dtype
        np.testing.assert_array_equal(data.train.x, train)
        np.testing.assert_array_equal(data.test.x, test)
        assert data.input_scale == 0.25


def test_halves_that_no_type_holds(tmp_path: Path) -> None:
    path = write(tmp_path, x=-SPIKES)
    for test, found in (
        (200 * SPIKES.astype(np.uint8), "uint8 in test.npz, values from -1 to 200; must be"),
        (SPIKES.astype(np.int16) - 200, "int16 in test.npz, values from -200 to 0; must be"),
        (SPIKES.astype(float), "float64 in test.npz, values from -1 to 1.0; must be real"),
    ):
        np.savez(tmp_path / "test.npz", x=test, y=LABELS)
        assert_refused(path, f"x is int8 in train.npz, {found}")


def test_a_training_half_without_any_label(tmp_path: Path) -> None:
    path, y = write(tmp_path), np.full((4, STEPS), 255)
    np.savez(tmp_path / "train.npz", x=SPIKES, y=y)
    assert_refused(path, f"{tmp_path / 'train.npz'}: y: no label", "Label some")
    with pytest.raises(DataError, match="no label"):
        load(path, unlabeled="first-class")
    write(tmp_path)
    np.savez(tmp_path / "test.npz", x=SPIKES, y=y)  # what is only to be named
    assert (load(path).test.y == UNLABELED).all()


def test_the_fingerprint_knows_the_scale_and_the_length_of_a_step(tmp_path: Path) -> None:
    """Training goes on with data of the same fingerprint alone, and its network depends on both."""
    y = np.array([0, 1, -1, 0])

    def found(**changes: str) -> str:
        return load(write(tmp_path, y=y, **changes)).source.fingerprint

    plain = found()
    assert found(scale="1", name='"other"') == plain == found()
    others = [found(scale="0.5"), found(scale="0.25"), found(step_seconds="0.02")]
    path = write(tmp_path, y=y)
    filled = load(path, unlabeled="first-class").source.fingerprint
    assert load(path, unlabeled="mask").source.fingerprint == plain
    path = write(tmp_path, y=y, scale="0.5")
    others += [filled, load(path, unlabeled="first-class").source.fingerprint]
    assert len({plain, *others}) == 6


def call(folder: Path, *arguments: str) -> str:
    """What a Python that runs in this folder prints."""
    settings = {"OMP_WAIT_POLICY": "PASSIVE", "PYTHONPATH": str(ROOT)}  # as the commands have it
    run = [sys.executable, *arguments]
    output = subprocess.check_output(run, cwd=folder, env={**os.environ, **settings})
    return output.decode()


@pytest.mark.slow
def test_the_example(tmp_path: Path) -> None:
    """As its text says: the script, then the commands, from arrays to a network of integers."""
    example, elsewhere = tmp_path / "own_task", tmp_path / "elsewhere"
    shutil.copytree(EXAMPLE, example, ignore=shutil.ignore_patterns("*.npz", "*.pt", "*.h5"))
    elsewhere.mkdir()
    data, *results, wrote = call(example, "rhythms.py").splitlines()
    assert data == "rhythms (train.npz, test.npz): 192 training and 64 test samples"
    shares = [float(line.split()[2].rstrip("%")) for line in results]
    assert shares[0] > 75  # a guess would be 50
    assert abs(shares[1] - shares[0]) < 8  # 5 of 64 samples
    assert wrote == f"Wrote train.npz, test.npz, model.pt and net.h5 in {example}."
    call(example, "rhythms.py", str(elsewhere))
    assert {file.suffix for file in elsewhere.iterdir()} >= {".toml", ".npz", ".pt", ".h5"}

    commands = re.findall(r"^    brf-lava (.*)$", (example / "rhythms.py").read_text(), re.M)
    assert [line.split()[0] for line in commands] == ["train", "export", "run"]
    for file in ("model.pt", "model.jsonl", "net.h5"):
        (example / file).unlink()
    for line in commands:
        output = call(example, "-m", "brf_lava", *line.split())
    assert "equals the engine" in output
    assert f"{shares[0]:.2f} %" in output or f"{shares[0]:.2f}%" in output


# A task that lies in another folder


def run(*words: str | Path) -> None:
    result = brf_lava(*words)
    assert_worked(result)
    assert "Notice" not in result.output


@pytest.fixture(scope="module")
def handed_over(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which gestures.toml was learned and exported."""
    folder = write(tmp_path_factory.mktemp("trained") / "task").parent
    changes = ("hidden=[4]", "validation=1", "prediction=mean", "batch_size=4", "ignore_first=0")
    words = ("--task", "gestures.toml", "--recipe", "ecg-brf", "--epochs", "1")
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv(DATA_VARIABLE, raising=False)
        patch.chdir(folder)
        run("train", *words, *(f"--set={change}" for change in changes))
        run("export", "model.pt", "net.h5")
    return folder


@pytest.fixture
def trained(handed_over: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of that folder, in the one where commands are called."""
    monkeypatch.delenv(DATA_VARIABLE, raising=False)
    monkeypatch.chdir(tmp_path)
    return Path(shutil.copytree(handed_over, tmp_path / "task"))


def test_a_network_runs_from_any_folder(
    trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    alone = tmp_path / "alone"
    alone.mkdir()
    for name in ("net.h5", "model.pt"):
        shutil.copy(trained / name, alone)
    engine = ("run", "--backend", "engine")
    run(*engine, trained / "net.h5")  # the task is next to it
    run("export", trained / "model.pt", "again.h5")
    run("plot", "raster", trained / "net.h5", "-o", "a.png")
    run(*engine, alone / "net.h5", "--data", trained)
    run("export", alone / "model.pt", "again.h5", "--data", trained)
    run("data", "info", "gestures.toml", "--data", trained)
    result = brf_lava(*engine, alone / "net.h5")
    assert_failed(result, 2, "gestures.toml: no such file", str(alone / "gestures.toml"), "--data")
    monkeypatch.setenv(DATA_VARIABLE, str(trained))
    run(*engine, alone / "net.h5")


def test_training_from_another_folder(trained: Path, tmp_path: Path) -> None:
    """The task lies next to the recipe, or below --data; its model works where it is."""
    checkpoint = load_checkpoint(trained / "model.pt")
    recipe = Path("task", "recipe.toml")
    recipe.write_text(checkpoint.recipe.text)
    run("train", "--recipe", recipe, "--overwrite")
    assert load_checkpoint(Path("model.pt")).recipe.task == "task/gestures.toml"
    run("export", "model.pt", "net.h5")
    moved = recipe.rename(tmp_path / "recipe.toml")
    run("train", "--recipe", moved, "--data", "task", "--overwrite")
    result = brf_lava("train", "--recipe", moved, "--overwrite")
    assert_failed(result, 2, "gestures.toml: no such file, looked for at gestures.toml")

    dataset = find_task("task/gestures.toml").load(None)  # a stopped training goes on
    late = trained / "late.pt"
    stopped = Trainer(checkpoint.recipe, dataset, 0, torch.device("cpu"), late)
    with pytest.raises(KeyboardInterrupt):
        stopped.run(Progress(on_epoch=Mock(side_effect=KeyboardInterrupt)))
    run("train", "--resume", "--out", late)
