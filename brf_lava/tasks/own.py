"""A task of the user's own: a short TOML file next to the arrays it names.

::

    name = "gestures"
    classes = ["left", "right"]
    inputs = 3
    steps = 100
    step_seconds = 0.01
    train = "train.npz"   # or HDF5; paths from the folder of this file
    test = "test.npz"
    input = "x"           # the names of the arrays; in HDF5 a path
    label = "y"
    scale = 0.1           # optional: the network sees input * scale

Inputs [B, T, I] of bool, int8 or uint8 are taken as they are. Real numbers become 8-bit integers,
as only those reach a chip: uint8 if none in the training half is below 0, else int8, in steps of
`scale`, by default such that the largest absolute value of the training half just fits. What lies
beyond is clipped, and the description says how much. Where one half is int8 and the other uint8,
both become the type that holds their values. Labels are integers [B] or [B, 1], or [B, T],
one per step; -1 or 255 says that there is none.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import numpy.typing as npt
from msgspec import Meta

from brf_lava.config import toml as strict_toml
from brf_lava.config.toml import Count, Name, Positive
from brf_lava.data.arrays import read_arrays
from brf_lava.data.dataset import Dataset, DataSource, Split, fingerprint
from brf_lava.data.task import Task
from brf_lava.errors import DataError
from brf_lava.io.text import read_text
from brf_lava.network.decision import UNLABELED

BLOCK = 1024  # samples that are in memory as real numbers a second time
AUTO: Literal["auto"] = "auto"


@dataclass(frozen=True)
class OwnTask:
    """The content of the TOML file."""

    name: Name
    classes: Annotated[tuple[str, ...], Meta(min_length=1)]
    inputs: Count
    steps: Count
    step_seconds: Positive
    train: Name
    test: Name
    input: Name
    label: Name
    scale: Positive | Literal["auto"] = AUTO

    def __post_init__(self) -> None:
        names = len(self.classes), len(set(self.classes))
        if names[0] > UNLABELED or names[1] < names[0]:
            raise ValueError(
                f"classes: {names[0]} names, {names[1]} different; must be at most {UNLABELED}, "
                "all different. Correct the list."
            )


def find_file(path: Path, places: Iterable[Path]) -> Path:
    """Where the TOML file `path` is: there, else below one of the places, with its folder or bare.

    A network keeps the path as it was in the training, and may be used in any other folder.
    Raises: DataError naming where it was looked for.
    """
    below = (place / part for place in places for part in (path, Path(path.name)))
    candidates = list(dict.fromkeys((path, *below)))
    for candidate in candidates:
        if os.path.isfile(candidate):  # False, no error, where it may not look
            return candidate
    raise DataError(
        f"{path}: no such file, looked for at {', '.join(map(str, candidates))}. Name the folder "
        "that holds it and its arrays with --data."
    )


def read_task(path: Path) -> Task:
    """The task that a TOML file describes; its data are not read yet.

    Its `load` takes another folder for the arrays, or None for that of the TOML file. That is also
    taken where it is below the other one and the arrays are not there.
    Raises: DataError for a file that cannot be read, or a key that is missing, unknown or refused.
    """
    source = read_text(path, DataError, "Name the .toml of a task of your own.")
    table = strict_toml.read_table(source, str(path), DataError)
    own = strict_toml.build(OwnTask, table, str(path), DataError)
    return Task(
        own.name,
        own.inputs,
        own.classes,
        own.steps,
        own.step_seconds,
        load=partial(_load, own, path.parent),
    )


def _load(
    own: OwnTask, folder: Path, data: Path | None = None, *, unlabeled: str | None = None
) -> Dataset:
    if data is not None and not data.is_dir():
        raise DataError(
            f"--data: {data} is not a folder; task {own.name} wants the one with {own.train} and "
            f"{own.test}. Name it."
        )
    if data is not None and ((data / own.train).exists() or not _is_below(folder, data)):
        folder = data
    train_x, train_y = _read(own, folder / own.train)
    test_x, test_y = _read(own, folder / own.test)
    if (train_x.dtype.kind == "f") is not (test_x.dtype.kind == "f"):
        raise DataError(
            f"task {own.name}: {own.input} is {train_x.dtype} in {own.train}, {test_x.dtype} in "
            f"{own.test}; must be of one kind in both. Convert one of them."
        )
    if (train_y == UNLABELED).all():
        raise DataError(
            f"{folder / own.train}: {own.label}: no label, all are -1 or {UNLABELED}; nothing can "
            "be learned from that. Label some samples or steps."
        )
    scale, note = own.scale, ""
    if train_x.dtype.kind == "f":
        grid = _grid(own, train_x)
        (train_x, clipped), (test_x, clipped_too) = grid.round(train_x), grid.round(test_x)
        scale, note = grid.scale, f", real inputs as {train_x.dtype} in steps of {grid.scale:.6g}"
        if clipped + clipped_too:
            values = train_x.size + test_x.size
            note += f", {clipped + clipped_too} of {values} values clipped"
    train_x, test_x = _one_type(own, train_x, test_x)
    train, test = Split(train_x, train_y), Split(test_x, test_y)
    description = (
        f"{own.name} ({Path(own.train).name}, {Path(own.test).name}): "
        f"{len(train.x)} training and {len(test.x)} test samples{note}"
    )
    dataset = Dataset(
        own.name,
        own.classes,
        own.step_seconds,
        train,
        test,
        DataSource("own", description, fingerprint(train, test)),
        input_scale=1.0 if scale == AUTO else float(scale),
    ).with_unlabeled(unlabeled)
    return replace(dataset, source=replace(dataset.source, fingerprint=_fingerprint(dataset)))


def _is_below(folder: Path, other: Path) -> bool:
    return other.resolve() in folder.resolve().parents


def _fingerprint(dataset: Dataset) -> str:
    """That of the arrays, and of what the task says of them that a network depends on, too."""
    extra = f"step_seconds={dataset.step_seconds!r}"
    if dataset.input_scale != 1:
        extra += f",input_scale={dataset.input_scale!r}"
    arrays = fingerprint(dataset.train, dataset.test)
    return hashlib.sha256(f"{arrays},{extra}".encode()).hexdigest()


def _one_type(
    own: OwnTask, train: npt.NDArray[Any], test: npt.NDArray[Any]
) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    """Inputs of both halves in one of their two types, that of the training half if it can be.

    Raises: DataError where neither type holds the values of both.
    """
    for dtype in (train.dtype, test.dtype):
        limits = np.iinfo(dtype)
        if all(limits.min <= x.min() and x.max() <= limits.max for x in (train, test)):
            return train.astype(dtype, copy=False), test.astype(dtype, copy=False)
    found = (
        f"{x.dtype} from {x.min()} to {x.max()} in {name}"
        for name, x in ((own.train, train), (own.test, test))
    )
    raise DataError(
        f"task {own.name}: {own.input} is {', '.join(found)}; must be int8 or uint8 in both, and "
        "neither holds them all. Convert one of them."
    )


def _read(own: OwnTask, path: Path) -> tuple[npt.NDArray[Any], npt.NDArray[np.uint8]]:
    """Inputs, int8 or uint8 unless real, and labels of one half. Raises: DataError for others."""
    arrays = read_arrays(path, dict.fromkeys((own.input, own.label)))
    x, y = arrays[own.input], arrays[own.label]
    if x.dtype == np.bool_:
        x = x.astype(np.int8)
    shape = f"{x.dtype} {list(x.shape)}"
    x = _narrow(x)
    values = "bool, integers from -128 to 127 or from 0 to 255, or real numbers"
    expected = f"{values} [B, {own.steps}, {own.inputs}]"
    if x.dtype not in (np.int8, np.uint8) and x.dtype.kind != "f":
        if x.dtype.kind in "iu":
            shape += f" from {x.min()} to {x.max()}"
        raise DataError(f"{path}: {own.input}: {shape}; must be {expected}. Convert it.")
    if x.ndim != 3 or not len(x) or x.shape[1:] != (own.steps, own.inputs):
        raise DataError(
            f"{path}: {own.input}: {shape}; must be {expected}, as steps and inputs of the task "
            "say. Reshape it, or correct these."
        )
    if x.dtype.kind == "f" and not np.isfinite(x).all():
        raise DataError(
            f"{path}: {own.input}: values that are not finite; must be numbers. Remove gaps (NaN)."
        )
    return x, _labels(own, path, y, x.shape[:2])


def _narrow(x: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Wider integers, such as NumPy's own, in 8 bits where they fit; else as they are."""
    if x.dtype.kind in "iu" and x.dtype.itemsize > 1 and x.size:
        for dtype in (np.int8, np.uint8):
            limits = np.iinfo(dtype)
            if limits.min <= x.min() and x.max() <= limits.max:
                return x.astype(dtype)
    return x


def _labels(
    own: OwnTask, path: Path, y: npt.NDArray[Any], shape: tuple[int, ...]
) -> npt.NDArray[np.uint8]:
    """uint8 [B, 1] or [B, T] with UNLABELED where there is no label."""
    if y.dtype.kind not in "iu" or y.shape not in ((shape[0],), (shape[0], 1), shape):
        raise DataError(
            f"{path}: {own.label}: {y.dtype} {list(y.shape)}; must be integers [{shape[0]}], "
            f"[{shape[0]}, 1] or {list(shape)}. Convert or reshape it."
        )
    labels = np.where(y == -1, UNLABELED, y.astype(np.int64))
    wrong = (labels != UNLABELED) & ((labels < 0) | (labels >= len(own.classes)))
    if wrong.any():
        raise DataError(
            f"{path}: {own.label}: class {labels[wrong][0]} found; must be 0 to "
            f"{len(own.classes) - 1}, or -1 or {UNLABELED} for none. Correct it, or classes."
        )
    return labels.astype(np.uint8).reshape(len(y), -1)


@dataclass(frozen=True)
class Grid:
    """The 8-bit integers that real inputs are rounded to, in steps of `scale`."""

    dtype: type[np.int8] | type[np.uint8]
    scale: float

    def round(self, x: npt.NDArray[Any]) -> tuple[npt.NDArray[Any], int]:
        """``x / scale`` to the nearest integer, ties to even; and how many values were clipped."""
        low, high = np.iinfo(self.dtype).min, np.iinfo(self.dtype).max
        rounded = np.empty(x.shape, dtype=self.dtype)
        clipped = 0
        for start in range(0, len(x), BLOCK):
            nearest = np.rint(x[start : start + BLOCK].astype(np.float64) / self.scale)
            clipped += int(((nearest < low) | (nearest > high)).sum())
            rounded[start : start + BLOCK] = np.clip(nearest, low, high)
        return rounded, clipped


def _grid(own: OwnTask, x: npt.NDArray[Any]) -> Grid:
    """The grid for these training inputs, real and finite."""
    dtype: type[np.int8] | type[np.uint8] = np.int8 if x.min() < 0 else np.uint8
    if own.scale != AUTO:
        return Grid(dtype, float(own.scale))
    largest = max(abs(float(x.min())), abs(float(x.max())))
    return Grid(dtype, (largest or 1.0) / np.iinfo(dtype).max)
