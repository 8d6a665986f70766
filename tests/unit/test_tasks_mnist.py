"""S-MNIST and PS-MNIST: the layouts they are read from, and what a bad file leads to."""

from __future__ import annotations

import gzip
import os
import struct
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from brf_lava.data.dataset import Dataset
from brf_lava.data.places import DATA_VARIABLE
from brf_lava.errors import DataError
from brf_lava.network.decision import UNLABELED
from brf_lava.tasks import mnist
from brf_lava.tasks.registry import TASKS

REAL_DATA = os.environ.get(DATA_VARIABLE)  # read before the fixture below removes it
SMNIST, PSMNIST = TASKS["smnist"], TASKS["psmnist"]
TRAIN, TEST = 5, 3
Arrays = dict[str, Any]


@pytest.fixture(autouse=True)
def no_data_of_this_machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv(DATA_VARIABLE, raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def arrays(seed: int = 0) -> Arrays:
    rng = np.random.default_rng(seed)

    def half(name: str, count: int) -> Arrays:
        images = rng.integers(0, 256, (count, 28, 28), dtype=np.uint8)
        return {f"x_{name}": images, f"y_{name}": rng.integers(0, 10, count, dtype=np.uint8)}

    return {**half("train", TRAIN), **half("test", TEST)}


def idx(array: np.ndarray) -> bytes:
    header = struct.pack(f">BBBB{array.ndim}I", 0, 0, 8, array.ndim, *array.shape)
    return header + array.tobytes()


def write_npz(folder: Path, content: Arrays | None = None) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    np.savez(folder / mnist.NPZ, **(content or arrays()))
    return folder


def write_idx(folder: Path, packed: bool = False, content: Arrays | None = None) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    content = arrays() if content is None else content
    for name, array in zip(mnist.IDX, mnist.ARRAYS, strict=True):
        data = idx(content[array])
        if packed:
            (folder / f"{name}.gz").write_bytes(gzip.compress(data))
        else:
            (folder / name).write_bytes(data)
    return folder


def assert_is_sample_data(dataset: Dataset) -> None:
    content = arrays()
    for half, split in (("train", dataset.train), ("test", dataset.test)):
        images = content[f"x_{half}"]
        assert split.x.dtype == np.uint8
        assert split.x.shape == (len(images), 784, 1)
        np.testing.assert_array_equal(split.x[:, 3 * 28 + 5, 0], images[:, 3, 5])  # row by row
        np.testing.assert_array_equal(split.x.reshape(images.shape), images)
        np.testing.assert_array_equal(split.y, content[f"y_{half}"][:, None])
        assert split.y.dtype == np.uint8


@pytest.mark.parametrize("sub", ["", "mnist"])
@pytest.mark.parametrize("name", ["", mnist.NPZ])
def test_npz(tmp_path: Path, sub: str, name: str) -> None:
    folder = write_npz(tmp_path / sub)
    assert_is_sample_data(SMNIST.load(folder / name if name else tmp_path))


@pytest.mark.parametrize("sub", ["", "mnist", "MNIST/raw", "mnist/MNIST/raw"])
@pytest.mark.parametrize("packed", [False, True])
def test_idx(tmp_path: Path, sub: str, packed: bool) -> None:
    write_idx(tmp_path / sub, packed)
    assert_is_sample_data(SMNIST.load(tmp_path))


@pytest.mark.parametrize("name", mnist.IDX)
def test_one_idx_file_named(tmp_path: Path, name: str) -> None:
    assert_is_sample_data(SMNIST.load(write_idx(tmp_path) / name))
    (tmp_path / next(other for other in mnist.IDX if other != name)).unlink()
    with pytest.raises(DataError, match="not all of"):
        SMNIST.load(tmp_path / name)


def test_all_layouts_are_one_data_set(tmp_path: Path) -> None:
    found = {
        SMNIST.load(folder).source.fingerprint
        for folder in (
            write_npz(tmp_path / "a"),
            write_idx(tmp_path / "b"),
            write_idx(tmp_path / "c", packed=True),
        )
    }
    assert len(found) == 1


def test_places_in_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def named(place: str, seed: int) -> Path:
        return write_npz(tmp_path / place, arrays(seed))

    given, variable = named("given", 1), named("variable", 2)
    named("cache/brf-lava/data/mnist", 3)
    expected = [SMNIST.load(tmp_path / p).source.fingerprint for p in ("given", "variable")]
    cached = SMNIST.load().source.fingerprint
    assert len({*expected, cached}) == 3
    monkeypatch.setenv(DATA_VARIABLE, str(variable))
    assert SMNIST.load().source.fingerprint == expected[1]
    assert SMNIST.load(given).source.fingerprint == expected[0]
    (variable / mnist.NPZ).unlink()  # the variable may name a folder of other tasks' data
    assert SMNIST.load().source.fingerprint == cached
    monkeypatch.setenv(DATA_VARIABLE, str(tmp_path / "nowhere"))
    with pytest.raises(DataError, match=f"{DATA_VARIABLE}: .*nowhere does not exist"):
        SMNIST.load()


def test_without_data_it_says_how_to_get_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for task in (SMNIST, PSMNIST):
        with pytest.raises(DataError) as error:
            task.load()
        for part in (task.name, "brf-lava data fetch smnist", "--data", DATA_VARIABLE):
            assert part in str(error.value)
    monkeypatch.setenv(DATA_VARIABLE, str(tmp_path))
    with pytest.raises(DataError, match=r"holds neither mnist\.npz"):
        SMNIST.load()
    other = tmp_path / "other.bin"
    other.touch()
    with pytest.raises(DataError, match="is not a file of MNIST"):
        SMNIST.load(other)


def test_dataset_describes_itself(tmp_path: Path) -> None:
    plain, permuted = (task.load(write_npz(tmp_path)) for task in (SMNIST, PSMNIST))
    assert (plain.task, permuted.task) == ("smnist", "psmnist")
    assert plain.input_scale * 255 == pytest.approx(1)
    assert plain.classes == tuple("0123456789")
    assert (plain.source.kind, str(tmp_path) in plain.source.description) == ("mnist", False)
    assert (SMNIST.permuted, PSMNIST.permuted) == (False, True)
    assert plain.permutation is None is permuted.permutation  # the model brings it
    assert plain.train.x.shape[1:] == (SMNIST.steps, SMNIST.inputs)


@pytest.mark.parametrize("choice", ["mask", "first-class"])
def test_every_image_has_a_label(tmp_path: Path, choice: str) -> None:
    dataset = SMNIST.load(write_npz(tmp_path), unlabeled=choice)
    assert not (dataset.train.y == UNLABELED).any()
    assert dataset.source == SMNIST.load(tmp_path).source
    with pytest.raises(DataError, match="'zero'; must be one of first-class, mask"):
        SMNIST.load(tmp_path, unlabeled="zero")


def changed(name: str, change: Callable[[Any], Any]) -> Arrays:
    content = arrays()
    content[name] = change(content[name])
    return content


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (changed("x_train", lambda x: x.astype(np.float32)), "images float32"),
        (changed("x_test", lambda x: x[:, :27]), "images uint8 [3, 27, 28]"),
        (changed("x_test", lambda x: x[:0]), "images uint8 [0, 28, 28]"),
        (changed("x_test", lambda x: x[0, 0, 0]), "images uint8 []"),
        (changed("y_train", lambda y: y[:-1]), "labels uint8 [4]"),
        (changed("y_train", lambda y: y.astype(float)), "labels float64"),
        (changed("y_train", lambda y: y + 10), "labels from 1"),
        (changed("y_test", lambda y: y.astype(np.int64) - 11), "labels from -1"),
        ({"x_train": np.zeros(3)}, "no array y_train; there are x_train"),
        (changed("x_train", lambda x: np.array([None, "a"])), "damage"),
    ],
)
def test_wrong_npz(tmp_path: Path, content: Arrays, found: str) -> None:
    write_npz(tmp_path, content)
    with pytest.raises(DataError) as error:
        SMNIST.load(tmp_path)
    assert str(tmp_path / mnist.NPZ) in str(error.value)
    assert found in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("half", [0, 2])
def test_wrong_labels_are_those_of_their_file(tmp_path: Path, half: int) -> None:
    write_idx(tmp_path, content=changed(mnist.ARRAYS[half + 1], lambda y: y + 10))
    with pytest.raises(DataError, match="labels from 1") as error:
        SMNIST.load(tmp_path)
    assert str(error.value).startswith(f"{tmp_path / mnist.IDX[half + 1]}: ")


def cut(keep: float) -> Callable[[bytes], bytes]:
    return lambda content: content[: int(keep * len(content))]


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("number", range(4))
@pytest.mark.parametrize(
    "damage", [cut(0), cut(0.1), cut(0.6), cut(0.99), lambda c: c + b"x", lambda c: b"\1" + c[1:]]
)
def test_damaged_idx(
    tmp_path: Path, packed: bool, number: int, damage: Callable[[bytes], bytes]
) -> None:
    folder = write_idx(tmp_path, packed)
    path = folder / (mnist.IDX[number] + (".gz" if packed else ""))
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(DataError) as error:
        SMNIST.load(tmp_path)
    assert str(path) in str(error.value)
    assert "damaged" in str(error.value)


@pytest.mark.parametrize("keep", [0.0, 0.01, 0.5, 0.99])
def test_truncated_npz(tmp_path: Path, keep: float) -> None:
    path = write_npz(tmp_path) / mnist.NPZ
    path.write_bytes(cut(keep)(path.read_bytes()))
    with pytest.raises(DataError, match="damaged"):
        SMNIST.load(tmp_path)


def test_idx_header_that_promises_too_much(tmp_path: Path) -> None:
    path = write_idx(tmp_path) / mnist.IDX[0]
    path.write_bytes(struct.pack(">BBBBIII", 0, 0, 8, 3, 2**31, 28, 28))
    with pytest.raises(DataError, match="0 bytes of data"):
        SMNIST.load(tmp_path)


def test_the_tasks_load_no_torch() -> None:
    script = (
        "import sys, brf_lava.tasks.registry, brf_lava.tasks.mnist, brf_lava.tasks.shd,"
        "brf_lava.ecg.task, brf_lava.tasks.own, brf_lava.tasks.fetch; print(*sys.modules)"
    )
    root = Path(__file__).resolve().parents[2]
    done = subprocess.run(
        [sys.executable, "-c", script], check=True, stdout=subprocess.PIPE, cwd=root
    )
    loaded = done.stdout.decode().split()
    assert not {"torch", "h5py", "scipy", "wfdb", "click"} & set(loaded)


# The real files


@pytest.fixture(scope="module")
def real() -> Dataset:
    if not REAL_DATA:
        pytest.skip(f"MNIST is not here: set {DATA_VARIABLE} to its folder")
    return SMNIST.load(Path(REAL_DATA))


def test_real_mnist(real: Dataset) -> None:
    assert real.train.x.shape == (60_000, 784, 1)
    assert real.test.x.shape == (10_000, 784, 1)
    assert np.bincount(real.train.y.ravel()).tolist() == [
        *(5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949)
    ]
    assert real.train.x.mean() * real.input_scale == pytest.approx(0.1307, abs=5e-5)
