"""The ECG task: what its data are, and what a bad file leads to."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.io

from brf_lava.data.dataset import Dataset, DataSource, Split, fingerprint
from brf_lava.ecg import task as ecg
from brf_lava.errors import DataError
from brf_lava.network.decision import UNLABELED
from brf_lava.tasks.registry import TASKS, find_task

DATA = os.environ.get(ecg.DATA_VARIABLE)
Arrays = dict[str, Any]

ECG = TASKS["ecg"]


def arrays(segments: int = 3, seed: int = 0) -> Arrays:
    """Small arrays in the layout of the published files, end marker included."""
    rng = np.random.default_rng(seed)
    x = rng.integers(0, 2, (segments, 1301, 4), dtype=np.int16)
    x[:, -1] = (-1, 0, 0, 0)
    y = np.eye(6, dtype=np.uint8)[rng.integers(0, 6, (segments, 1301))]
    return {"x": x, "y": y, "t": np.arange(1301, dtype=np.uint16)}


def write(folder: Path, train: Arrays | None = None, test: Arrays | None = None) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    scipy.io.savemat(folder / ecg.TRAIN_FILE, train or arrays(3), do_compression=True)
    scipy.io.savemat(folder / ecg.TEST_FILE, test or arrays(2, seed=1), do_compression=True)
    return folder


def assert_refused(place: Path, *parts: str) -> None:
    with pytest.raises(DataError) as error:
        ecg.load(place)
    message = str(error.value)
    assert "\n" not in message
    for part in parts:
        assert part in message


def test_the_synthetic_ecg_where_nothing_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(ecg.DATA_VARIABLE, raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    data = ecg.load()
    assert data.source.kind == "synthetic-ecg"
    assert data.source.description.startswith("synthetic ECG (")
    assert (len(data.train.x), len(data.test.x)) == (618, 141)
    (notice,) = data.notices
    for part in ("synthetic", "brf-lava data list"):
        assert part in notice
    cache = write(tmp_path / "cache" / "brf-lava" / "data")
    assert ecg.load().source.kind == "qtdb"
    (cache / ecg.TEST_FILE).write_bytes(b"not a data file")
    with pytest.raises(DataError, match=ecg.TEST_FILE):  # a damaged file is not passed over
        ecg.load()


def test_published_files(tmp_path: Path) -> None:
    train = arrays()
    train["y"][1, 40:50] = 0
    data = ECG.load(write(tmp_path, train))
    assert (data.task, data.classes, data.step_seconds) == ("ecg", ECG.classes, 0.004)
    assert data.classes == ("P", "PQ", "QR", "RS", "ST", "TP")
    assert data.train.x.shape == (3, ECG.steps, ECG.inputs) == (3, 1300, 4)
    assert str(tmp_path) not in data.source.description
    assert ecg.TRAIN_FILE in data.source.description
    np.testing.assert_array_equal(data.train.x, train["x"][:, :1300])  # without the last step
    assert not data.train.y[1, 40:50].any()  # without a label: class 0
    labeled = train["y"][:, :1300].any(axis=-1)
    found = np.eye(6, dtype=np.uint8)[data.train.y]
    np.testing.assert_array_equal(found[labeled], train["y"][:, :1300][labeled])


def test_unlabeled_steps(tmp_path: Path) -> None:
    train = arrays()
    train["y"][1, 40:50] = 0
    folder = write(tmp_path, train)
    published, first, masked = (
        ecg.load(folder, unlabeled=choice) for choice in (None, "first-class", "mask")
    )
    assert published.source == first.source  # a network must know which it was scored on
    assert "masked" not in published.source.description
    assert (published.train.y != UNLABELED).all()
    assert set(masked.train.y[1, 40:50]) == {UNLABELED}
    assert (masked.train.y == UNLABELED).sum() == 10
    assert masked.source.description.endswith(", unlabeled steps masked")
    filled = masked.with_unlabeled("first-class")
    assert filled.source.fingerprint == published.source.fingerprint
    assert filled.source.description.endswith("unlabeled steps as P")
    assert masked.with_unlabeled("mask") is masked
    assert filled.with_unlabeled("first-class") is filled
    with pytest.raises(DataError, match="'drop'; choose first-class or mask"):
        ecg.load(folder, unlabeled="drop")


def test_fingerprint_knows_every_part(tmp_path: Path) -> None:
    data = ecg.load(write(tmp_path / "a"))
    assert data.source.fingerprint == ecg.load(write(tmp_path / "b")).source.fingerprint
    assert len(bytes.fromhex(data.source.fingerprint)) == 32
    seen = {data.source.fingerprint, fingerprint(data.test, data.train)}
    for half in ("train", "test"):
        for part in ("x", "y"):
            split = getattr(data, half)
            changed = {"x": split.x.copy(), "y": split.y.copy()}
            changed[part].flat[7] ^= 1
            halves = {"train": data.train, "test": data.test, half: Split(**changed)}
            seen.add(fingerprint(**halves))
    reshaped = Split(data.train.x.reshape(1, -1, 4), data.train.y.reshape(1, -1))
    seen.add(fingerprint(reshaped, data.test))
    assert len(seen) == 7


# Damaged files


@pytest.mark.parametrize("name", [ecg.TRAIN_FILE, ecg.TEST_FILE])
def test_damaged_file(tmp_path: Path, name: str) -> None:
    content = arrays()
    del content["t"]  # nothing reads it, so a cut there would do no harm
    path = write(tmp_path, content, content) / name
    whole = path.read_bytes()
    cuts = [whole[: int(keep * len(whole))] for keep in (0.0, 0.003, 0.05, 0.5, 0.98)]
    for damage in (*cuts, b"PK\x03\x04" * 100, b"\x89HDF\r\n\x1a\n" + bytes(600), b"x"):
        path.write_bytes(damage)
        assert_refused(tmp_path, f"{path}: not a MATLAB file", "damaged", "get it again")


def set_value(name: str, index: Any, value: int) -> Callable[[Arrays], None]:
    def change(content: Arrays) -> None:
        content[name] = content[name].astype(np.int16)
        content[name][index] = value

    return change


def replace(name: str, value: Any) -> Callable[[Arrays], None]:
    return lambda content: content.update({name: value})


@pytest.mark.parametrize(
    ("change", "found"),
    [
        (lambda content: content.pop("x"), "no variable x"),
        (lambda content: content.pop("y"), "no variable y"),
        (replace("x", np.zeros((3, 1300, 4), np.int16)), "x is int16 [3, 1300, 4]"),
        (replace("x", np.zeros((1301, 4), np.int16)), "x is int16 [1301, 4]"),
        (replace("x", np.zeros((0, 1301, 4), np.int16)), "zero-size"),
        (replace("x", np.zeros((3, 1301, 4))), "x is float64"),
        (replace("x", "text"), "x is <U4"),
        (replace("y", np.zeros((3, 1301, 7), np.uint8)), "y is uint8 [3, 1301, 7]"),
        (replace("y", np.zeros((2, 1301, 6), np.uint8)), "3 segments in x and 2 in y"),
        (set_value("x", (0, 5, 1), -1), "values from -1 to 1 in x"),
        (set_value("x", (0, 0, 0), 256), "values from 0 to 256 in x"),  # 0 as int8
        (set_value("y", (1, 7, 2), 3), "values from 0 to 3 in y"),
        (set_value("y", (1, 7), 1), "a step marked with several classes"),
    ],
)
def test_wrong_content(tmp_path: Path, change: Callable[[Arrays], None], found: str) -> None:
    train = arrays()
    change(train)
    folder = write(tmp_path, train)
    assert_refused(folder, f"{folder / ecg.TRAIN_FILE}: not ", found, "damaged", "get it again")


# The records of all tasks


def test_find_task() -> None:
    assert find_task("ecg") is ECG
    with pytest.raises(DataError, match=r"'EGC'.* Did you mean ecg\?"):
        find_task("EGC")
    with pytest.raises(DataError, match=r"ecg, smnist, psmnist, shd\. Name your own"):
        find_task("something else")


X, Y = np.zeros((2, 5, 3), np.int8), np.zeros((2, 5), np.uint8)


def test_halves_that_are_refused() -> None:
    for x, y, found in (
        (X.astype(np.int16), Y, "Split.x: int16"),
        (X[0], Y, "Split.x"),
        (X[:0], Y[:0], "Split.x"),
        (X, Y.astype(np.int64), "Split.y: int64"),
        (X, Y[..., None], "Split.y"),
        (X, Y[:, :4], r"\(2, 4\); must be uint8 \(2, 5\), one class per step, or \(2, 1\)"),
    ):
        with pytest.raises(DataError, match=found):
            Split(x, y)
    source = DataSource("qtdb", "", "")
    split = Split(X, Y)
    with pytest.raises(DataError, match="must agree"):
        Dataset("t", ("a",), 0.004, split, Split(X[:, :4], Y[:, :4]), source)
    with pytest.raises(DataError, match="test: class 1"):
        Dataset("t", ("a",), 0.004, split, Split(X, Y + np.uint8(1)), source)


@pytest.mark.skipif(not DATA, reason=f"the QT database is not here: set {ecg.DATA_VARIABLE}")
def test_real_files() -> None:
    real = ecg.load(Path(DATA or ""))
    assert real.source.kind == "qtdb"
    assert real.train.x.shape == (618, 1300, 4)
    assert real.test.x.shape == (141, 1300, 4)
    assert real.train.x.mean() == pytest.approx(0.0774, abs=5e-4)
    shares = np.bincount(real.train.y.ravel()) / real.train.y.size
    expected = (0.2068, 0.0615, 0.0579, 0.0445, 0.3020, 0.3273)  # class 0 with unlabeled steps
    np.testing.assert_allclose(shares, expected, atol=1e-4)
    for up, down in ((0, 1), (2, 3)):  # as `level_cross.encode` has it: never both ways at once
        assert not (real.train.x[..., up] & real.train.x[..., down]).any()
    assert (real.train.x[..., 0] & real.train.x[..., 2]).any()
    masked = ecg.load(Path(DATA or ""), unlabeled="mask")
    without = [float((split.y == UNLABELED).mean()) for split in (masked.train, masked.test)]
    assert without == pytest.approx([0.0818, 0.1038], abs=5e-5)
