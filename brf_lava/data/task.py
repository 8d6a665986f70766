"""What a task is: the sizes a network for it needs, and how its data are read."""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path
from typing import Protocol

from brf_lava.data.dataset import Dataset


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


@dataclass(frozen=True, kw_only=True)
class Task(TaskSpec):
    """A task with its data.

    load: takes a folder or file, or None to look in BRF_LAVA_DATA and in the cache folder; and
        what unlabeled steps count as (`Dataset.with_unlabeled`), None for the task's own custom.
        Raises: DataError when there are no data or they are damaged.
    """

    load: Loader

    @classmethod
    def of(cls, spec: TaskSpec, load: Loader) -> Task:
        """The task of this specification whose data `load` reads."""
        return cls(**{field.name: getattr(spec, field.name) for field in fields(spec)}, load=load)
