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

from brf_lava.data.places import DATA_VARIABLE
from brf_lava.errors import DataError
from brf_lava.tasks import mnist
from brf_lava.tasks.registry import TASKS

DATA = os.environ.get(DATA_VARIABLE)
SMNIST, PSMNIST = TASKS["smnist"], TASKS["psmnist"]
TRAIN, TEST = 5, 3
Arrays = dict[str, Any]


def arrays() -> Arrays:
    rng = np.random.default_rng(0)

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


def assert_refused(folder: Path, *parts: str) -> None:
    with pytest.raises(DataError) as error:
        SMNIST.load(folder)
    assert "\n" not in str(error.value)
    for part in parts:
        assert part in str(error.value)


def test_all_layouts_are_one_data_set(tmp_path: Path) -> None:
    content = arrays()
    packed = write_idx(tmp_path / "packed", packed=True)
    for place in (write_npz(tmp_path / "npz"), write_idx(tmp_path / "idx"), packed):
        dataset = SMNIST.load(place)
        for half, split in (("train", dataset.train), ("test", dataset.test)):
            images = content[f"x_{half}"]
            assert split.x.dtype == np.uint8
            assert split.x.shape == (len(images), 784, 1)
            np.testing.assert_array_equal(split.x[:, 3 * 28 + 5, 0], images[:, 3, 5])  # by row
            np.testing.assert_array_equal(split.x.reshape(images.shape), images)
            np.testing.assert_array_equal(split.y, content[f"y_{half}"][:, None])
            assert split.y.dtype == np.uint8


def test_dataset_describes_itself(tmp_path: Path) -> None:
    plain, permuted = (task.load(write_npz(tmp_path)) for task in (SMNIST, PSMNIST))
    assert (plain.task, permuted.task) == ("smnist", "psmnist")
    assert plain.input_scale * 255 == pytest.approx(1)
    assert plain.classes == tuple("0123456789")
    assert plain.source.kind == "mnist"
    assert plain.source.description == (
        "MNIST, pixel by pixel (mnist.npz): 5 training and 3 test images"
    )
    assert (SMNIST.permuted, PSMNIST.permuted) == (False, True)
    assert plain.permutation is None is permuted.permutation  # the model brings it
    assert plain.train.x.shape[1:] == (SMNIST.steps, SMNIST.inputs)
    for choice in ("mask", "first-class"):  # every image has a label
        assert SMNIST.load(tmp_path, unlabeled=choice).source == plain.source
    with pytest.raises(DataError, match="'zero'; choose first-class or mask"):
        SMNIST.load(tmp_path, unlabeled="zero")


def changed(name: str, change: Callable[[Any], Any]) -> Arrays:
    content = arrays()
    content[name] = change(content[name])
    return content


def test_wrong_npz(tmp_path: Path) -> None:
    for content, found in (
        (changed("x_train", lambda x: x.astype(np.float32)), "images float32"),
        (changed("x_test", lambda x: x[:, :27]), "images uint8 [3, 27, 28]"),
        (changed("x_test", lambda x: x[:0]), "images uint8 [0, 28, 28]"),
        (changed("x_test", lambda x: x[0, 0, 0]), "images uint8 []"),
        (changed("y_train", lambda y: y[:-1]), "4 labels"),
        (changed("y_train", lambda y: y.astype(float)), "labels float64"),
        (changed("y_train", lambda y: y + 10), "labels uint8 from 1"),
        (changed("y_test", lambda y: y.astype(np.int64) - 11), "labels int64 from -1"),
        ({"x_train": np.zeros(3)}, "no array y_train; there are x_train"),
        (changed("x_train", lambda x: np.array([None, "a"])), "allow_pickle=False"),
    ):
        assert_refused(write_npz(tmp_path, content), f"{tmp_path / mnist.NPZ}: not ", found)


@pytest.mark.parametrize("packed", [False, True])
def test_damaged_idx(tmp_path: Path, packed: bool) -> None:
    folder = write_idx(tmp_path, packed)
    for name in mnist.IDX[1:3]:
        path = folder / (name + (".gz" if packed else ""))
        whole = path.read_bytes()
        cuts = [whole[: int(keep * len(whole))] for keep in (0, 0.1, 0.6, 0.99)]
        for damage in (*cuts, whole + b"x", b"\1" + whole[1:]):
            path.write_bytes(damage)
            assert_refused(folder, f"{path}: not an IDX file of unsigned bytes", "damaged")
        path.write_bytes(whole)
    write_idx(tmp_path, content=changed("y_train", lambda y: y + 10))
    assert_refused(folder / mnist.IDX[0], str(tmp_path / mnist.IDX[0]), "labels uint8 from 1")


def test_damaged_npz_and_a_header_that_promises_too_much(tmp_path: Path) -> None:
    path = write_npz(tmp_path / "npz") / mnist.NPZ
    whole = path.read_bytes()
    for keep in (0.0, 0.01, 0.5, 0.99):
        path.write_bytes(whole[: int(keep * len(whole))])
        assert_refused(path, "damaged")
    path = write_idx(tmp_path / "idx") / mnist.IDX[0]
    path.write_bytes(struct.pack(">BBBBIII", 0, 0, 8, 3, 2**31, 28, 28))
    assert_refused(path, "damaged")


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


@pytest.mark.skipif(not DATA, reason=f"MNIST is not here: set {DATA_VARIABLE} to its folder")
def test_real_mnist() -> None:
    real = SMNIST.load(Path(DATA or ""))
    assert real.train.x.shape == (60_000, 784, 1)
    assert real.test.x.shape == (10_000, 784, 1)
    assert np.bincount(real.train.y.ravel()).tolist() == [
        *(5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949)
    ]
    assert real.train.x.mean() * real.input_scale == pytest.approx(0.1307, abs=5e-5)
