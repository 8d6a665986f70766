"""A task and its data: what every data set hands to training, quantization and deployment."""

from __future__ import annotations

import difflib
import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from brf_lava.decision import UNLABELED
from brf_lava.errors import DataError

INPUT_TYPES = (np.int8, np.uint8)  # what a graded spike of the exported network can carry


@dataclass(frozen=True, eq=False)
class Split:
    """The training or the test half of a data set.

    x: int8 or uint8 [B, T, I], spikes 0 or 1, or graded inputs (see `Dataset.input_scale`).
    y: uint8 [B, T], the class of each step, or [B, 1], that of the whole sample;
       `decision.UNLABELED` where there is none.
    Raises: DataError if dtypes, shapes or values are not these.
    """

    x: npt.NDArray[np.int8] | npt.NDArray[np.uint8]
    y: npt.NDArray[np.uint8]

    def __post_init__(self) -> None:
        for name, array, dtypes, axes in (
            ("x", self.x, INPUT_TYPES, "[B, T, I]"),
            ("y", self.y, (np.uint8,), "[B, T] or [B, 1]"),
        ):
            dimensions = 1 + axes.split("]")[0].count(",")
            if array.dtype not in dtypes or array.ndim != dimensions or array.size == 0:
                allowed = " or ".join(np.dtype(dtype).name for dtype in dtypes)
                raise DataError(
                    f"Split.{name}: {array.dtype} of shape {array.shape}; must be {allowed} {axes} "
                    "and not empty. Convert it with astype."
                )
        if self.y.shape not in (self.x.shape[:2], (len(self.x), 1)):
            raise DataError(
                f"Split: x has shape {self.x.shape}, y {self.y.shape}; there must be one class per "
                "step or one per sample."
            )

    def first(self, samples: int) -> Split:
        """The first `samples` samples."""
        return Split(self.x[:samples], self.y[:samples])


@dataclass(frozen=True)
class DataSource:
    """Where a data set came from, kept in every report and network file made from it."""

    kind: str  # "qtdb" or "synthetic-ecg"
    description: str  # one line for a person; file names, no absolute path
    fingerprint: str  # see `fingerprint`


@dataclass(frozen=True, eq=False)
class Dataset:
    """The data of one task, both halves, with their origin.

    step_seconds: length of one step, s.
    input_scale: the network sees ``x * input_scale``: 1 for spikes, 1 / 255 for 8-bit pixels.
    Raises: DataError if the halves differ in steps or inputs, or a class has no name.
    """

    task: str
    classes: tuple[str, ...]
    step_seconds: float
    train: Split
    test: Split
    source: DataSource
    input_scale: float = 1.0

    def __post_init__(self) -> None:
        if self.train.x.shape[1:] != self.test.x.shape[1:]:
            raise DataError(
                f"Dataset {self.task}: train has [T, I] = {list(self.train.x.shape[1:])}, test "
                f"{list(self.test.x.shape[1:])}; they must agree. Encode both in the same way."
            )
        for half, split in (("train", self.train), ("test", self.test)):
            labels = split.y[split.y != UNLABELED]
            if labels.size and labels.max() >= len(self.classes):
                raise DataError(
                    f"Dataset {self.task}, {half}: class {labels.max()} found; there are names "
                    f"for classes 0 to {len(self.classes) - 1}. Name it or mend the labels."
                )


@dataclass(frozen=True)
class Task:
    """A task by name, with the sizes a network for it needs before any data are read."""

    name: str
    inputs: int
    classes: tuple[str, ...]
    steps: int  # T
    step_seconds: float
    load: Callable[[Path | None], Dataset]  # a folder or file, or None to look for it


def fingerprint(train: Split, test: Split) -> str:
    """SHA-256, in hex, over the shapes and bytes of train.x, train.y, test.x and test.y."""
    digest = hashlib.sha256()
    for array in (train.x, train.y, test.x, test.y):
        digest.update(repr(array.shape).encode())
        digest.update(array.tobytes())
    return digest.hexdigest()


def _load_ecg(data: Path | None) -> Dataset:
    from brf_lava.tasks import ecg  # here, because ecg imports this module

    return ecg.load(data)


ECG = Task(
    name="ecg",
    inputs=4,
    classes=("P", "PQ", "QR", "RS", "ST", "TP"),
    steps=1300,
    step_seconds=1 / 250,
    load=_load_ecg,
)
TASKS: dict[str, Task] = {task.name: task for task in (ECG,)}


def find_task(name: str) -> Task:
    """The task of this name. Raises: DataError with the nearest name there is."""
    try:
        return TASKS[name]
    except KeyError:
        nearest = difflib.get_close_matches(name.lower(), TASKS, n=1, cutoff=0.0)[0]
        raise DataError(
            f"task {name!r} is not known; choose one of {', '.join(TASKS)}. "
            f"Did you mean {nearest!r}?"
        ) from None
