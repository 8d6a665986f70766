"""S-MNIST and PS-MNIST: a digit shown pixel by pixel, row by row, 784 steps of one 8-bit value.

Read from ``mnist.npz``, from the four IDX files of the original, gzip'ed or not, or from
torchvision's folder of these. PS-MNIST is the same data; its permutation comes with the network
(`Dataset.permuted`).
"""

from __future__ import annotations

import gzip
import math
import os
import zlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from brf_lava.data.arrays import damaged, read_npz
from brf_lava.data.dataset import Dataset, DataSource, Split, fingerprint
from brf_lava.data.places import DATA_VARIABLE, NotHereError, first_complete, look
from brf_lava.data.task import TaskSpec
from brf_lava.errors import DataError

SIDE = 28  # pixels
BRIGHTEST = 255
NPZ = "mnist.npz"
ARRAYS = ("x_train", "y_train", "x_test", "y_test")
IDX = (
    "train-images-idx3-ubyte",
    "train-labels-idx1-ubyte",
    "t10k-images-idx3-ubyte",
    "t10k-labels-idx1-ubyte",
)  # in the order of ARRAYS
FOLDERS = ("", "mnist", "MNIST/raw", "raw", "mnist/MNIST/raw")
IDX_BYTES = 0x08  # the type code of unsigned bytes, the only one MNIST uses
HOW_TO_GET = (
    f"get it with 'brf-lava data fetch smnist', or pass --data (or set {DATA_VARIABLE} to) the "
    f"folder with {NPZ} or with the four IDX files"
)

SMNIST = TaskSpec(
    name="smnist",
    inputs=1,
    classes=tuple(map(str, range(10))),
    steps=SIDE * SIDE,
    step_seconds=0.01,  # pixels have no duration: that of a neuron's step in Higuchi et al. 2024
)
PSMNIST = replace(SMNIST, name="psmnist", permuted=True)


def load(task: TaskSpec, data: Path | None = None) -> Dataset:
    """MNIST as the data of `task`, smnist or psmnist, from the first place in `places.look`.

    Labels are uint8 [B, 1]. Raises: DataError if it is nowhere or damaged.
    """
    files = look(data, find_files)
    if files is None:
        raise DataError(f"task {task.name}: MNIST is not on this computer; {HOW_TO_GET}.")
    x_train, y_train, x_test, y_test = _read(files)
    paths = files if len(files) > 1 else files * len(ARRAYS)  # of each array
    train, test = _split(paths[:2], x_train, y_train), _split(paths[2:], x_test, y_test)
    description = (
        f"MNIST, pixel by pixel ({files[0].name if len(files) == 1 else 'IDX files'}): "
        f"{len(train.x)} training and {len(test.x)} test images"
    )
    source = DataSource("mnist", description, fingerprint(train, test))
    return Dataset(
        task.name, task.classes, task.step_seconds, train, test, source, input_scale=1 / BRIGHTEST
    )


def find_files(place: Path, where: str) -> list[Path]:
    """The one .npz or the four IDX files at `place`, a folder or one of these files.

    where: how the user named the place, for the message. Raises: as `places.look` expects.
    """
    if not os.path.exists(place):
        raise DataError(f"{where}: {place} does not exist. For MNIST, {HOW_TO_GET}.")
    if os.path.isdir(place):
        for names in ((NPZ,), IDX, tuple(f"{name}.gz" for name in IDX)):
            if files := first_complete(place, FOLDERS, names):
                return files
        raise NotHereError(
            f"{where}: {place} holds neither {NPZ} nor all of {', '.join(IDX)} (or these with "
            f".gz), itself or in mnist or MNIST/raw. {HOW_TO_GET[0].upper()}{HOW_TO_GET[1:]}."
        )
    if place.suffix == ".npz":
        return [place]
    suffix = ".gz" if place.name.endswith(".gz") else ""
    names = tuple(name + suffix for name in IDX)
    if place.name not in names:
        raise DataError(
            f"{where}: {place} is not a file of MNIST; must be a .npz or one of "
            f"{', '.join(IDX)}, with or without .gz. Name one of these, or the folder."
        )
    files = first_complete(place.parent, ("",), names)
    if not files:
        raise DataError(
            f"{where}: not all of {', '.join(names)} are in the folder of {place}. Copy them there."
        )
    return files


def read_idx(path: Path) -> npt.NDArray[np.uint8]:
    """The array of an IDX file of unsigned bytes; gzip'ed where its name ends in .gz.

    Raises: DataError for a file that cannot be read, and one whose size is not that of its header.
    """
    try:
        content = path.read_bytes()
        if path.suffix == ".gz":
            content = gzip.decompress(content)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise damaged(path, f"damage ({type(error).__name__})", "a whole gzip file") from None
    except OSError as error:
        raise DataError(
            f"{path}: cannot be read ({error.strerror}). Check that you may read it."
        ) from None
    axes = content[3] if len(content) > 3 else 0
    start = 4 + 4 * axes
    if content[:3] != bytes([0, 0, IDX_BYTES]) or not axes or len(content) < start:
        raise damaged(path, f"begins with {content[:4].hex() or 'nothing'}", "IDX of bytes")
    shape = tuple(np.frombuffer(content, ">u4", axes, offset=4).tolist())
    if len(content) - start != math.prod(shape):
        raise damaged(path, f"{len(content) - start} bytes of data", f"those of shape {shape}")
    return np.frombuffer(content, np.uint8, offset=start).reshape(shape)


def _read(files: list[Path]) -> list[npt.NDArray[Any]]:
    """The arrays in the order of ARRAYS."""
    if len(files) > 1:
        return [read_idx(file) for file in files]
    arrays = read_npz(files[0], ARRAYS)
    return [arrays[name] for name in ARRAYS]


def _split(paths: list[Path], images: npt.NDArray[Any], labels: npt.NDArray[Any]) -> Split:
    """One half. paths: of the images and of the labels, for messages."""
    found = (
        f"images {images.dtype} {list(images.shape)}, labels {labels.dtype} {list(labels.shape)}"
    )
    count = len(images) if images.ndim else 0
    if (
        images.dtype != np.uint8
        or not count
        or images.shape != (count, SIDE, SIDE)
        or labels.dtype.kind not in "iu"
        or labels.shape != (count,)
    ):
        expected = f"images uint8 [B, {SIDE}, {SIDE}] and as many integer labels"
        raise damaged(paths[0], found, expected)
    if labels.min() < 0 or labels.max() > 9:
        raise damaged(paths[1], f"labels from {labels.min()} to {labels.max()}", "0 to 9")
    return Split(
        np.ascontiguousarray(images).reshape(count, SIDE * SIDE, 1),
        labels.astype(np.uint8)[:, None],
    )
