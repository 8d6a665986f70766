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

Inputs are [B, T, I]. Bool and integers become the 8-bit type that holds both halves. Real numbers
become 8-bit integers, as only those reach a chip: uint8 if none in the training half is below 0,
else int8, in steps of `scale`, by default such that the largest absolute value of the training half
just fits. What lies beyond is clipped, and the description says how much. Labels are integers [B]
or [B, 1], or [B, T], one per step; -1 or 255 says that there is none.
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
from brf_lava.data.dataset import Dataset, Split, Task, TaskSpec
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
        count, different = len(self.classes), len(set(self.classes))
        if count > UNLABELED or different < count:
            allowed = f"at most {UNLABELED}, all different. Correct the list."
            raise ValueError(f"classes: {count} names, {different} different; must be {allowed}")


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
    """Read the task that a TOML file describes; its data are not read yet.

    Its `load` takes another folder for the arrays, or None for that of the TOML file. That is also
    taken where it is below the other one and the arrays are not there.
    Raises: DataError if the file cannot be read, or a key is missing, unknown or refused.
    """
    source = read_text(path, DataError, "Name the .toml of a task of your own.")
    table = strict_toml.read_table(source, str(path), DataError)
    own = strict_toml.build(OwnTask, table, str(path), DataError)
    spec = TaskSpec(own.name, own.inputs, own.classes, own.steps, own.step_seconds)
    return Task(**vars(spec), load=partial(_load, own, spec, path.parent))


def _load(
    own: OwnTask,
    spec: TaskSpec,
    folder: Path,
    data: Path | None = None,
    *,
    unlabeled: str | None = None,
) -> Dataset:
    if data is not None:
        is_below = data.resolve() in folder.resolve().parents
        folder = folder if is_below and not (data / own.train).exists() else data
    (train_x, train_y), (test_x, test_y) = (
        _read(own, folder / name) for name in (own.train, own.test)
    )
    if (train_y == UNLABELED).all():
        raise DataError(
            f"{folder / own.train}: {own.label}: no label, all are -1 or {UNLABELED}; nothing can "
            "be learned from that. Label some samples or steps."
        )
    train_x, test_x, scale, note = _eight_bits(own, train_x, test_x)
    train, test = Split(train_x, train_y), Split(test_x, test_y)
    origin = f"{own.name} ({Path(own.train).name}, {Path(own.test).name})"
    dataset = spec.dataset(train, test, "own", origin, f"samples{note}", input_scale=scale)
    dataset = dataset.with_unlabeled(unlabeled)
    # A network depends on these, too; training goes on only with data of the same fingerprint.
    extra = f",step_seconds={own.step_seconds!r}"
    extra += f",input_scale={scale!r}" if scale != 1 else ""
    digest = hashlib.sha256(f"{dataset.source.fingerprint}{extra}".encode()).hexdigest()
    return replace(dataset, source=replace(dataset.source, fingerprint=digest))


def _read(own: OwnTask, path: Path) -> tuple[npt.NDArray[Any], npt.NDArray[np.uint8]]:
    """The inputs of one half as they are, and its labels, uint8 [B, 1] or [B, T]."""
    arrays = read_arrays(path, dict.fromkeys((own.input, own.label)))
    x, y = arrays[own.input], arrays[own.label]
    if x.dtype.kind not in "biuf" or not x.size or x.shape[1:] != (own.steps, own.inputs):
        raise DataError(
            f"{path}: {own.input}: {x.dtype} {list(x.shape)}; must be bool, integers or real "
            f"numbers [B, {own.steps}, {own.inputs}], as steps and inputs of the task say. Convert "
            "or reshape it, or correct these."
        )
    if not np.isfinite(x).all():
        raise DataError(f"{path}: {own.input}: values that are not finite. Remove gaps (NaN).")
    samples, steps = x.shape[:2]
    if y.dtype.kind not in "iu" or y.shape not in ((samples,), (samples, 1), (samples, steps)):
        raise DataError(
            f"{path}: {own.label}: {y.dtype} {list(y.shape)}; must be integers [{samples}], "
            f"[{samples}, 1] or [{samples}, {steps}]. Convert or reshape it."
        )
    labels = np.where(y == -1, UNLABELED, y.astype(np.int64))
    wrong = (labels != UNLABELED) & ((labels < 0) | (labels >= len(own.classes)))
    if wrong.any():
        raise DataError(
            f"{path}: {own.label}: class {labels[wrong][0]} found; must be 0 to "
            f"{len(own.classes) - 1}, or -1 or {UNLABELED} for none. Correct it, or classes."
        )
    return x, labels.astype(np.uint8).reshape(samples, -1)


def _eight_bits(
    own: OwnTask, train: npt.NDArray[Any], test: npt.NDArray[Any]
) -> tuple[npt.NDArray[Any], npt.NDArray[Any], float, str]:
    """The inputs of both halves in 8 bits, what one unit of these stands for, and a note on it.

    Integers become the type that holds those of both halves, that of the training half if it can.
    """
    if train.dtype.kind == test.dtype.kind == "f":
        low, high = float(train.min()), float(train.max())
        kind: type[np.int8] | type[np.uint8] = np.int8 if low < 0 else np.uint8
        scale = own.scale if own.scale != AUTO else (max(-low, high) or 1.0) / np.iinfo(kind).max
        (train, clipped), (test, clipped_too) = (
            round_inputs(x, kind, scale) for x in (train, test)
        )
        note = f", real inputs as {train.dtype} in steps of {scale:.6g}"
        if clipped + clipped_too:
            note += f", {clipped + clipped_too} of {train.size + test.size} values clipped"
        return train, test, scale, note
    lowest, highest = min(train.min(), test.min()), max(train.max(), test.max())
    integers = "f" not in (train.dtype.kind, test.dtype.kind)
    for dtype in (train.dtype, np.dtype(np.int8), np.dtype(np.uint8)):
        fits = np.iinfo(dtype) if integers and dtype in (np.int8, np.uint8) else None
        if fits and fits.min <= lowest and highest <= fits.max:
            scale = 1.0 if own.scale == AUTO else own.scale
            return train.astype(dtype, copy=False), test.astype(dtype, copy=False), scale, ""
    raise DataError(
        f"task {own.name}: {own.input} is {train.dtype} in {own.train}, {test.dtype} in "
        f"{own.test}, values from {lowest} to {highest}; must be real numbers in both, or bool and "
        "integers from -128 to 127 or from 0 to 255. Convert one of them."
    )


def round_inputs(
    x: npt.NDArray[Any], dtype: type[np.int8] | type[np.uint8], scale: float
) -> tuple[npt.NDArray[Any], int]:
    """Return ``x / scale`` as the nearest integers, ties to even, and how many were clipped."""
    low, high = np.iinfo(dtype).min, np.iinfo(dtype).max
    rounded = np.empty(x.shape, dtype=dtype)
    clipped = 0
    for start in range(0, len(x), BLOCK):
        nearest = np.rint(x[start : start + BLOCK].astype(np.float64) / scale)
        clipped += int(((nearest < low) | (nearest > high)).sum())
        rounded[start : start + BLOCK] = np.clip(nearest, low, high)
    return rounded, clipped
