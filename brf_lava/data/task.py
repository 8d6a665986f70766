"""What a task is: the sizes a network for it needs, and how its data are read."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from brf_lava.data.dataset import Dataset, DataSource, Split, fingerprint


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
        self, train: Split, test: Split, kind: str, description: str, **more: Any
    ) -> Dataset:
        """Make the data set of these halves; `kind` and `description` are those of `DataSource`.

        more: Other fields of `Dataset`.
        """
        source = DataSource(kind, description, fingerprint(train, test))
        return Dataset(self.name, self.classes, self.step_seconds, train, test, source, **more)


@dataclass(frozen=True, kw_only=True)
class Task(TaskSpec):
    """A task with its data.

    load: takes a folder or file, or None to look in BRF_LAVA_DATA and in the cache folder; and
        what unlabeled steps count as (`Dataset.with_unlabeled`), None for the task's own custom.
        Raises: DataError when there are no data or they are damaged.
    """

    load: Loader
