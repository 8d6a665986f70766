"""S-MNIST and PS-MNIST: a digit shown pixel by pixel, row by row, 784 steps of one 8-bit value.

Read from ``mnist.npz``, from the four IDX files of the original, gzip'ed or not, or from
torchvision's folder of these. PS-MNIST is the same data; its permutation comes with the network
(`Dataset.permuted`).
"""

from __future__ import annotations

import gzip
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from brf_lava.data.arrays import read_arrays
from brf_lava.data.dataset import Dataset, Split, TaskSpec
from brf_lava.data.places import DATA_VARIABLE, DataFiles
from brf_lava.io.foreign import guarded, reading

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
IDX_MAGIC = bytes((0, 0, 8))  # 8 is the type code of unsigned bytes, the only one MNIST uses
FILES = DataFiles(
    needs=f"{NPZ} or {IDX[0]} and its three siblings, with or without .gz",
    choices=((NPZ,), IDX, tuple(f"{name}.gz" for name in IDX)),
    folders=("", "mnist", "MNIST/raw", "raw", "mnist/MNIST/raw"),
    get="Get MNIST with 'brf-lava data fetch smnist', or name its folder with --data or "
    f"{DATA_VARIABLE}.",
    suffixes=(".npz",),
)

SMNIST = TaskSpec(
    name="smnist",
    inputs=1,
    classes=tuple(map(str, range(10))),
    steps=SIDE * SIDE,
    step_seconds=0.01,  # pixels have no duration: that of a neuron's step in Higuchi et al. 2024
)
PSMNIST = replace(SMNIST, name="psmnist", permuted=True)


def load(task: TaskSpec, data: Path | None = None, *, unlabeled: str | None = None) -> Dataset:
    """Load MNIST as the data of `task`, smnist or psmnist; labels uint8 [B, 1]."""
    files = FILES.require(data)
    if len(files) == 1:
        name, arrays = files[0].name, list(read_arrays(files[0], ARRAYS).values())
    else:
        name, arrays = "IDX files", [read_idx(file) for file in files]
    train, test = _split(files[0], *arrays[:2]), _split(files[-1], *arrays[2:])
    origin = f"MNIST, pixel by pixel ({name})"
    dataset = task.dataset(train, test, "mnist", origin, "images", input_scale=1 / BRIGHTEST)
    return dataset.with_unlabeled(unlabeled)


def read_idx(path: Path) -> npt.NDArray[np.uint8]:
    """Read an IDX file of unsigned bytes, gzip'ed if its name ends in .gz. Raises: DataError."""
    with reading(path, "an IDX file of unsigned bytes"):
        content = path.read_bytes()
        if path.suffix == ".gz":
            content = guarded(gzip.decompress, content)
        if content[:3] != IDX_MAGIC:
            raise ValueError(f"it begins with {content[:4].hex() or 'nothing'}")
        axes = content[3]
        shape = np.frombuffer(content, ">u4", axes, offset=4)
        return np.frombuffer(content, np.uint8, offset=4 + 4 * axes).reshape(shape)


def _split(path: Path, images: npt.NDArray[Any], labels: npt.NDArray[Any]) -> Split:
    """One half. path: of its images or its labels, for messages."""
    count = labels.size
    with reading(path, f"MNIST, images uint8 [B, {SIDE}, {SIDE}] and labels 0 to 9 [B]"):
        if images.dtype != np.uint8 or images.shape != (count, SIDE, SIDE) or not count:
            raise ValueError(f"images {images.dtype} {list(images.shape)}, {count} labels")
        if labels.dtype.kind not in "iu" or labels.min() < 0 or labels.max() > 9:
            raise ValueError(f"labels {labels.dtype} from {labels.min()} to {labels.max()}")
    x = np.ascontiguousarray(images).reshape(count, SIDE * SIDE, 1)
    return Split(x, labels.astype(np.uint8).reshape(count, 1))
