"""Tasks and their data sets: what is handed to training, quantization and deployment."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from brf_lava.data.permutation import check_permutation
from brf_lava.errors import DataError
from brf_lava.network.decision import UNLABELED

Permutation = npt.NDArray[np.int64]

UNLABELED_CHOICES = ("first-class", "mask")  # see `Dataset.with_unlabeled`


@dataclass(frozen=True, eq=False)
class Split:
    """The training or the test half of a data set.

    x: int8 or uint8 [B, T, I], as a graded spike carries it: spikes 0 or 1, or graded inputs (see
       `Dataset.input_scale`).
    y: uint8 [B, T], the class of each step, or [B, 1], that of the whole sample;
       `decision.UNLABELED` where there is none.
    Raises: DataError if dtypes, shapes or values are not these.
    """

    x: npt.NDArray[np.int8] | npt.NDArray[np.uint8]
    y: npt.NDArray[np.uint8]

    def __post_init__(self) -> None:
        x, y = self.x, self.y
        if x.dtype not in (np.int8, np.uint8) or x.ndim != 3 or x.size == 0:
            raise DataError(
                f"Split.x: {x.dtype} of shape {x.shape}; must be int8 or uint8 [B, T, I] and not "
                "empty. Convert it with astype."
            )
        if y.dtype != np.uint8 or y.shape not in (x.shape[:2], (len(x), 1)):
            raise DataError(
                f"Split.y: {y.dtype} of shape {y.shape}; must be uint8 {x.shape[:2]}, one class "
                f"per step, or ({len(x)}, 1), one per sample. Convert it with astype."
            )

    def first(self, samples: int) -> Split:
        """The first `samples` samples."""
        return Split(self.x[:samples], self.y[:samples])

    def filled(self) -> Split:
        """The same with class 0, the published convention, where there is no label."""
        return Split(self.x, np.where(self.y == UNLABELED, np.uint8(0), self.y))

    def reordered(self, order: Permutation) -> Split:
        """The same with step order[t] at step t, labels of steps along with them."""
        y = self.y[:, order] if self.y.shape[1] == len(order) else self.y
        return Split(self.x[:, order], y)

    def time_major(self) -> npt.NDArray[Any]:
        """The inputs as everything that runs a network takes them, [T, B, I]."""
        return np.ascontiguousarray(self.x.transpose(1, 0, 2))


@dataclass(frozen=True)
class DataSource:
    """Where a data set came from, kept in every report and network file made from it."""

    kind: str  # "qtdb", "synthetic-ecg", "mnist", "shd", "own", ...
    description: str  # one line for a person; file names, no absolute path
    fingerprint: str  # see `fingerprint`


@dataclass(frozen=True, eq=False)
class Dataset:
    """The data of one task, both halves, with their origin.

    step_seconds: length of one step, s.
    input_scale: the network sees ``x * input_scale``: 1 for spikes, 1 / 255 for 8-bit pixels.
    permutation: int64 [T], where the steps have been reordered: step t is step permutation[t] of
        the data as they were read; else None.
    notices: what whoever uses the data should know, a line each.
    Raises: DataError if the halves differ in steps or inputs, or a class has no name.
    """

    task: str
    classes: tuple[str, ...]
    step_seconds: float
    train: Split
    test: Split
    source: DataSource
    input_scale: float = 1.0
    permutation: Permutation | None = None
    notices: tuple[str, ...] = ()

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
                    f"for classes 0 to {len(self.classes) - 1}. Name it or correct the labels."
                )

    def permuted(self, permutation: Permutation) -> Dataset:
        """The same data with step permutation[t] at step t, labels of steps along with them.

        Raises: DataError if it is no permutation of the steps, or they are permuted already.
        """
        steps = self.train.x.shape[1]
        check_permutation(permutation, steps, f"Dataset {self.task}")
        if self.permutation is not None:
            raise DataError(f"Dataset {self.task}: its steps are permuted already. Load it anew.")
        digest = hashlib.sha256(permutation.astype("<i8").tobytes()).hexdigest()
        identity = np.array_equal(permutation, np.arange(steps))
        note = "steps in their own order" if identity else f"steps permuted ({digest[:8]})"
        halves = (self.train.reordered(permutation), self.test.reordered(permutation))
        return self._with_halves(*halves, note, permutation)

    def ordered_as(self, permutation: Permutation | None) -> Dataset:
        """`permuted` as a network was trained, unless the steps are in another order already."""
        if permutation is None or self.permutation is not None:
            return self
        return self.permuted(permutation)

    def require_sizes(self, layers: Sequence[Any], where: str) -> None:
        """Raises: DataError unless the layers of a network, in `where`, are for such data."""
        sizes = layers[0].shape[1], layers[-1].shape[0]
        found = self.train.x.shape[2], len(self.classes)
        if found != sizes:
            raise DataError(
                f"{where}: the network has {sizes[0]} inputs and {sizes[1]} classes, the data "
                f"({self.source.description}) {found[0]} and {found[1]}. Name its own with --data."
            )

    def with_unlabeled(self, choice: str | None) -> Dataset:
        """What steps without a label count as.

        choice: "first-class", as class 0, the published convention; "mask", not at all, neither in
        a loss nor in an accuracy, which is how a `Dataset` holds them; None, as they are.
        Raises: DataError for another choice.
        """
        if choice not in (None, *UNLABELED_CHOICES):
            allowed = " or ".join(UNLABELED_CHOICES)
            raise DataError(
                f"Dataset {self.task}: unlabeled steps as {choice!r}; choose {allowed}."
            )
        unlabeled = any((split.y == UNLABELED).any() for split in (self.train, self.test))
        if choice != "first-class" or not unlabeled:
            return self
        note = f"unlabeled steps as {self.classes[0]}"
        return self._with_halves(self.train.filled(), self.test.filled(), note, self.permutation)

    def _with_halves(
        self, train: Split, test: Split, note: str, permutation: Permutation | None
    ) -> Dataset:
        source = DataSource(
            self.source.kind, f"{self.source.description}, {note}", fingerprint(train, test)
        )
        return replace(self, train=train, test=test, source=source, permutation=permutation)


class Loader(Protocol):
    """Reads a data set: see `Task.load`."""

    def __call__(self, data: Path | None = None, *, unlabeled: str | None = None) -> Dataset: ...


@dataclass(frozen=True)
class TaskSpec:
    """A task by name, with the sizes a network for it needs before any data are read.

    permuted: its steps come in one random order, which is not part of the data: whoever trains
        draws it, keeps it, and calls `Dataset.permuted`.
    """

    name: str
    inputs: int
    classes: tuple[str, ...]
    steps: int  # T
    step_seconds: float
    permuted: bool = False

    def dataset(
        self, train: Split, test: Split, kind: str, origin: str, samples: str, **more: Any
    ) -> Dataset:
        """Make the data set of these halves. samples: what they are called. more: its fields."""
        sizes = f"{len(train.x)} training and {len(test.x)} test {samples}"
        source = DataSource(kind, f"{origin}: {sizes}", fingerprint(train, test))
        return Dataset(self.name, self.classes, self.step_seconds, train, test, source, **more)


@dataclass(frozen=True, kw_only=True)
class Task(TaskSpec):
    """A task with its data.

    load: takes a folder or file, or None to look in BRF_LAVA_DATA and in the cache folder; and
        what unlabeled steps count as (`Dataset.with_unlabeled`), None for the task's own custom.
        Raises: DataError when there are no data or they are damaged.
    """

    load: Loader


def fingerprint(train: Split, test: Split) -> str:
    """SHA-256, in hex, over the shapes and bytes of train.x, train.y, test.x and test.y."""
    digest = hashlib.sha256()
    for array in (train.x, train.y, test.x, test.y):
        digest.update(repr(array.shape).encode())
        digest.update(np.ascontiguousarray(array).data)  # no copy: SHD fills a gigabyte
    return digest.hexdigest()


def summary(dataset: Dataset) -> list[tuple[str, str, str]]:
    """Describe a data set: rows of a name, and its value in the training and the test half."""
    train, test = (_facts(dataset, split) for split in (dataset.train, dataset.test))
    return [(name, value, test[name]) for name, value in train.items()]


def _facts(dataset: Dataset, split: Split) -> dict[str, str]:
    largest = max(-int(split.x.min()), int(split.x.max())) * dataset.input_scale
    facts = {
        "samples": f"{len(split.x):,}",
        "steps": f"{split.x.shape[1]} of {dataset.step_seconds * 1e3:g} ms",
        "inputs": f"{split.x.shape[2]} {split.x.dtype}",
        "inputs not 0": f"{np.count_nonzero(split.x) / split.x.size:.2%}",
        "largest input": f"{largest:g}",
        "labels": "of samples" if split.y.shape[1] == 1 else "of steps",
    }
    labels = {f"  class {name}": label for label, name in enumerate(dataset.classes)}
    for name, label in (labels | {"  unlabeled": UNLABELED}).items():
        facts[name] = f"{np.count_nonzero(split.y == label) / split.y.size:.2%}"
    return facts
