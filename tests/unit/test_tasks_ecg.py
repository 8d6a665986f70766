"""The ECG task: where its data come from, and what a bad file leads to."""

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

REAL_DATA = os.environ.get(ecg.DATA_VARIABLE)  # read before the fixture below removes it
Arrays = dict[str, Any]

ECG = TASKS["ecg"]


@pytest.fixture(autouse=True)
def no_data_of_this_machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv(ecg.DATA_VARIABLE, raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


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


def assert_names_cause(error: pytest.ExceptionInfo[DataError], *parts: str) -> None:
    message = str(error.value)
    assert "\n" not in message
    for part in parts:
        assert part in message


# Where the data come from


@pytest.mark.parametrize("sub", ["", "qtdb"])
@pytest.mark.parametrize("name", ["", ecg.TRAIN_FILE, ecg.TEST_FILE])
def test_given_folder_or_file(tmp_path: Path, sub: str, name: str) -> None:
    folder = write(tmp_path / "data" / sub)
    data = ecg.load(folder / name if name else tmp_path / "data")
    assert data.source.kind == "qtdb"
    assert (len(data.train.x), len(data.test.x)) == (3, 2)


def test_given_path_comes_before_variable_and_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path / "cache" / "brf-lava" / "data", train=arrays(1))
    assert len(ecg.load().train.x) == 1
    monkeypatch.setenv(ecg.DATA_VARIABLE, str(write(tmp_path / "variable", train=arrays(4))))
    assert len(ecg.load().train.x) == 4
    assert len(ecg.load(write(tmp_path / "given", train=arrays(5))).train.x) == 5


@pytest.mark.parametrize("variable", [None, ""])
def test_synthetic_only_when_nothing_is_named(
    monkeypatch: pytest.MonkeyPatch, variable: str | None
) -> None:
    if variable is not None:
        monkeypatch.setenv(ecg.DATA_VARIABLE, variable)
    data = ecg.load()
    assert data.source.kind == "synthetic-ecg"
    assert "synthetic" in data.source.description
    assert (len(data.train.x), len(data.test.x)) == (618, 141)


def test_named_place_is_never_replaced_by_synthetic_data(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    missing = tmp_path / "nowhere"
    with pytest.raises(DataError) as error:
        ecg.load(missing)
    assert_names_cause(error, "--data: ", str(missing), "does not exist", ecg.DATA_VARIABLE)
    monkeypatch.setenv(ecg.DATA_VARIABLE, str(missing))
    with pytest.raises(DataError) as error:
        ecg.load()
    assert_names_cause(error, f"{ecg.DATA_VARIABLE}: ", str(missing), "does not exist")


def test_cache_without_both_files_is_not_used(tmp_path: Path) -> None:
    cache = write(tmp_path / "cache" / "brf-lava" / "data")
    (cache / ecg.TEST_FILE).unlink()
    assert ecg.load().source.kind == "synthetic-ecg"


def test_damaged_file_in_the_cache_is_reported(tmp_path: Path) -> None:
    cache = write(tmp_path / "cache" / "brf-lava" / "data")
    (cache / ecg.TEST_FILE).write_bytes(b"not a data file")
    with pytest.raises(DataError, match=ecg.TEST_FILE):
        ecg.load()


def test_folder_with_one_file_or_none(tmp_path: Path) -> None:
    with pytest.raises(DataError) as error:
        ecg.load(tmp_path)
    assert_names_cause(error, "neither data file", ecg.TRAIN_FILE, ecg.TEST_FILE, "Copy")
    folder = write(tmp_path / "qtdb")
    (folder / ecg.TRAIN_FILE).unlink()
    with pytest.raises(DataError) as error:
        ecg.load(tmp_path)
    assert_names_cause(error, "only ", ecg.TEST_FILE, "sub-folder qtdb", "Copy")


def test_file_without_its_sibling_or_of_another_name(tmp_path: Path) -> None:
    folder = write(tmp_path)
    (folder / ecg.TEST_FILE).unlink()
    with pytest.raises(DataError) as error:
        ecg.load(folder / ecg.TRAIN_FILE)
    assert_names_cause(error, f"{ecg.TEST_FILE} is missing", "Copy")
    other = folder / "other.mat"
    other.touch()
    with pytest.raises(DataError, match="is not a data file of the ecg task"):
        ecg.load(other)


# What is read


def test_last_step_is_dropped_and_rows_without_label_are_class_0(tmp_path: Path) -> None:
    train = arrays()
    train["y"][1, 40:50] = 0
    data = ecg.load(write(tmp_path, train))
    assert data.train.x.shape == (3, 1300, 4)
    np.testing.assert_array_equal(data.train.x, train["x"][:, :1300])
    assert not data.train.y[1, 40:50].any()
    labeled = train["y"][:, :1300].any(axis=-1)
    found = np.eye(6, dtype=np.uint8)[data.train.y]
    np.testing.assert_array_equal(found[labeled], train["y"][:, :1300][labeled])


@pytest.mark.parametrize("choice", [None, "first-class", "mask"])
def test_unlabeled_rows(tmp_path: Path, choice: str | None) -> None:
    train = arrays()
    train["y"][1, 40:50] = 0
    folder = write(tmp_path, train)
    data = ecg.load(folder, unlabeled=choice)
    assert set(data.train.y[1, 40:50]) == {UNLABELED if choice == "mask" else 0}
    assert (data.train.y == UNLABELED).sum() == (10 if choice == "mask" else 0)
    published = ecg.load(folder)
    same = data.source == published.source  # a network must know which of the two it was scored on
    assert same is (choice != "mask")
    assert ("unlabeled steps masked" in data.source.description) is (choice == "mask")


def test_masked_steps_can_be_filled_later(tmp_path: Path) -> None:
    train = arrays()
    train["y"][1, 40:50] = 0
    masked = ecg.load(write(tmp_path, train), unlabeled="mask")
    filled = masked.with_unlabeled("first-class")
    assert filled.source.fingerprint == ecg.load(tmp_path).source.fingerprint
    assert filled.source.description.endswith("unlabeled steps as P")
    assert masked.with_unlabeled("mask") is masked
    assert filled.with_unlabeled("first-class") is filled
    with pytest.raises(DataError, match="'drop'; must be one of first-class, mask"):
        ecg.load(tmp_path, unlabeled="drop")


def test_variable_without_the_files_leaves_the_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The variable may name a folder of other tasks' data; synthetic data take no named place."""
    (tmp_path / "others").mkdir()
    monkeypatch.setenv(ecg.DATA_VARIABLE, str(tmp_path / "others"))
    with pytest.raises(DataError, match="holds neither data file"):
        ecg.load()
    write(tmp_path / "cache" / "brf-lava" / "data")
    assert ecg.load().source.kind == "qtdb"


@pytest.mark.parametrize("choice", [None, "first-class", "mask"])
def test_prepared_records_are_read_as_stored(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, choice: str | None
) -> None:
    """A .h5 is one of prepared records, whatever it is called, by --data or by the variable."""
    split = Split(X, np.full_like(Y, UNLABELED))
    prepared = Dataset("ecg", ("P", "PQ"), 0.004, split, split, DataSource("records", "r", "f"))
    seen: list[Path] = []

    def load_prepared(path: Path) -> Dataset:
        seen.append(path)
        return prepared

    monkeypatch.setattr("brf_lava.ecg.records.load_prepared", load_prepared)
    path = tmp_path / "mine.h5"
    path.touch()
    label = 0 if choice == "first-class" else UNLABELED
    assert set(ecg.load(path, unlabeled=choice).train.y.ravel()) == {label}
    monkeypatch.setenv(ecg.DATA_VARIABLE, str(path))
    assert set(ecg.load(unlabeled=choice).test.y.ravel()) == {label}
    assert seen == [path, path]
    with pytest.raises(DataError, match="does not exist"):
        ecg.load(tmp_path / "none.h5")


def test_dataset_describes_itself(tmp_path: Path) -> None:
    data = ecg.load(write(tmp_path))
    assert data.task == "ecg"
    assert data.classes == ("P", "PQ", "QR", "RS", "ST", "TP")
    assert data.step_seconds == 0.004
    assert str(tmp_path) not in data.source.description
    assert ecg.TRAIN_FILE in data.source.description


def test_fingerprint_knows_every_part(tmp_path: Path) -> None:
    data = ecg.load(write(tmp_path / "a"))
    again = ecg.load(write(tmp_path / "b"))
    assert data.source.fingerprint == again.source.fingerprint
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


def test_notice_says_how_to_get_the_real_data(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    (notice,) = ecg.load_synthetic().notices
    for part in ("synthetic", "--data", ecg.DATA_VARIABLE, ecg.TRAIN_FILE, ecg.TEST_FILE):
        assert part in notice
    assert "Yin et al. 2021" in notice


def test_raw_records_are_not_enough(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever has fetched them is told what comes next, wherever they would be used."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.delenv(ecg.DATA_VARIABLE, raising=False)
    raw = tmp_path / "brf-lava" / "data" / "qtdb-raw"
    raw.mkdir(parents=True)
    (raw / "sel100.hea").touch()
    command = f"brf-lava data prepare ecg --records {raw}"
    dataset = ecg.load()
    assert dataset.source.kind == "synthetic-ecg"
    assert command in dataset.notices[0]
    for place in (raw, raw.parent):
        with pytest.raises(DataError, match="does not read raw records") as error:
            ecg.load(place)
        assert command in str(error.value)
        assert "\n" not in str(error.value)


# Damaged files


def truncate(path: Path, keep: float) -> None:
    content = path.read_bytes()
    path.write_bytes(content[: int(keep * len(content))])


@pytest.mark.parametrize("keep", [0.0, 0.003, 0.05, 0.5, 0.98])
@pytest.mark.parametrize("name", [ecg.TRAIN_FILE, ecg.TEST_FILE])
def test_truncated_file(tmp_path: Path, name: str, keep: float) -> None:
    content = arrays()
    del content["t"]  # nothing reads it, so a cut there would do no harm
    folder = write(tmp_path, content, content)
    truncate(folder / name, keep)
    with pytest.raises(DataError) as error:
        ecg.load(folder)
    assert_names_cause(error, str(folder / name), "expected", "copy it again")


@pytest.mark.parametrize("content", [b"PK\x03\x04" * 100, b"\x89HDF\r\n\x1a\n" + bytes(600), b"x"])
def test_file_of_another_kind(tmp_path: Path, content: bytes) -> None:
    folder = write(tmp_path)
    (folder / ecg.TRAIN_FILE).write_bytes(content)
    with pytest.raises(DataError) as error:
        ecg.load(folder)
    assert_names_cause(error, ecg.TRAIN_FILE, "MATLAB", "copy it again")


def test_unreadable_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = write(tmp_path)

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(DataError, match="Permission denied"):
        ecg.load(folder)


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
        (replace("x", np.zeros((3, 1300, 4), np.int16)), "shape [3, 1300, 4] in x"),
        (replace("x", np.zeros((3, 1301, 5), np.int16)), "shape [3, 1301, 5] in x"),
        (replace("x", np.zeros((1301, 4), np.int16)), "shape [1301, 4] in x"),
        (replace("x", np.zeros((0, 1301, 4), np.int16)), "shape [0, 1301, 4] in x"),
        (replace("x", np.zeros((3, 1301, 4))), "float64 in x"),
        (replace("x", "text"), "in x"),
        (replace("y", np.zeros((3, 1301, 7), np.uint8)), "shape [3, 1301, 7] in y"),
        (replace("y", np.zeros((2, 1301, 6), np.uint8)), "3 segments in x and 2 in y"),
        (set_value("x", (0, 5, 1), -1), "values from -1 to 1 in x"),
        (set_value("x", (2, 1299, 3), 2), "values from 0 to 2 in x"),
        (set_value("x", (0, 0, 0), 256), "values from 0 to 256 in x"),  # 0 as int8
        (set_value("y", (1, 7, 2), 3), "values from 0 to 3 in y"),
        (set_value("y", (1, 7), 1), "marked with 6 classes"),
    ],
)
def test_wrong_content(tmp_path: Path, change: Callable[[Arrays], None], found: str) -> None:
    train = arrays()
    change(train)
    folder = write(tmp_path, train)
    with pytest.raises(DataError) as error:
        ecg.load(folder)
    assert_names_cause(error, str(folder / ecg.TRAIN_FILE), found, "expected", "copy it again")


# The records


def test_find_task() -> None:
    assert find_task("ecg") is TASKS["ecg"] is ECG
    with pytest.raises(DataError) as error:
        find_task("EGC")
    assert_names_cause(error, "'EGC'", "Did you mean 'ecg'?")
    with pytest.raises(DataError, match="ecg, smnist, psmnist, shd, or give the path"):
        find_task("something else")


def test_task_sizes_are_those_of_its_data(tmp_path: Path) -> None:
    data = ECG.load(write(tmp_path))
    assert data.train.x.shape[1:] == (ECG.steps, ECG.inputs)
    assert (data.classes, data.step_seconds) == (ECG.classes, ECG.step_seconds)


X, Y = np.zeros((2, 5, 3), np.int8), np.zeros((2, 5), np.uint8)


@pytest.mark.parametrize(
    ("x", "y", "found"),
    [
        (X.astype(np.int16), Y, "Split.x: int16"),
        (X[0], Y, "Split.x"),
        (X[:0], Y[:0], "Split.x"),
        (X, Y.astype(np.int64), "Split.y: int64"),
        (X, Y[..., None], "Split.y"),
        (X, Y[:, :4], r"\(2, 4\)"),
    ],
)
def test_split_refuses(x: Any, y: Any, found: str) -> None:
    with pytest.raises(DataError, match=found):
        Split(x, y)


def test_dataset_refuses_halves_that_do_not_fit() -> None:
    source = DataSource("qtdb", "", "")
    split = Split(X, Y)
    with pytest.raises(DataError, match="must agree"):
        Dataset("t", ("a",), 0.004, split, Split(X[:, :4], Y[:, :4]), source)
    with pytest.raises(DataError, match="test: class 1"):
        Dataset("t", ("a",), 0.004, split, Split(X, Y + np.uint8(1)), source)


# The real files


@pytest.fixture(scope="module")
def real() -> Dataset:
    if not REAL_DATA:
        pytest.skip(f"the QT database is not here: set {ecg.DATA_VARIABLE} to its folder")
    return ecg.load(Path(REAL_DATA))


def test_real_sizes(real: Dataset) -> None:
    assert real.source.kind == "qtdb"
    assert real.train.x.shape == (618, 1300, 4)
    assert real.test.x.shape == (141, 1300, 4)


def test_real_shares_without_a_label() -> None:
    if not REAL_DATA:
        pytest.skip(f"the QT database is not here: set {ecg.DATA_VARIABLE} to its folder")
    masked = ecg.load(Path(REAL_DATA), unlabeled="mask")
    shares = [float((split.y == UNLABELED).mean()) for split in (masked.train, masked.test)]
    assert shares == pytest.approx([0.0818, 0.1038], abs=5e-5)


def test_real_densities_and_shares(real: Dataset) -> None:
    assert real.train.x.mean() == pytest.approx(0.0774, abs=5e-4)
    shares = np.bincount(real.train.y.ravel()) / real.train.y.size
    expected = (0.2068, 0.0615, 0.0579, 0.0445, 0.3020, 0.3273)  # class 0 with unlabeled steps
    np.testing.assert_allclose(shares, expected, atol=1e-4)


def test_real_channels_are_up_and_down_of_two_leads(real: Dataset) -> None:
    """As `level_cross.encode` lays them out: a lead never spikes both ways at once."""
    for up, down in ((0, 1), (2, 3)):
        assert not (real.train.x[..., up] & real.train.x[..., down]).any()
    assert (real.train.x[..., 0] & real.train.x[..., 2]).any()
