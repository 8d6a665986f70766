"""The tasks a network is trained on, by name."""

from __future__ import annotations

import difflib
from functools import partial
from pathlib import Path

from brf_lava.data.task import Task
from brf_lava.ecg import task as ecg
from brf_lava.ecg.spec import ECG
from brf_lava.errors import DataError
from brf_lava.tasks import mnist, own, shd
from brf_lava.tasks.mnist import PSMNIST, SMNIST
from brf_lava.tasks.shd import SHD

TASKS: dict[str, Task] = {
    spec.name: Task(**vars(spec), load=load)
    for spec, load in (
        (ECG, ecg.load),
        (SMNIST, partial(mnist.load, SMNIST)),
        (PSMNIST, partial(mnist.load, PSMNIST)),
        (SHD, shd.load),
    )
}


def is_permuted(name: str) -> bool:
    """Whether the task of this name is `TaskSpec.permuted`; one of the user's own never is."""
    return name in TASKS and TASKS[name].permuted


def find_task(name: str) -> Task:
    """Look up a task, a shipped one or your own.

    Args:
        name: ``"ecg"``, ``"smnist"``, ``"psmnist"`` or ``"shd"``, or the path of the .toml file
            that describes a task of your own.

    Returns:
        The task; its `load` reads the data.

    Raises:
        DataError: If there is no such task, with the nearest name, or the file is not valid.
    """
    if name.endswith(".toml"):
        return own.read_task(Path(name))
    if name in TASKS:
        return TASKS[name]
    close = difflib.get_close_matches(name.lower(), TASKS, n=1, cutoff=0.5)
    hint = f" Did you mean {close[0]!r}?" if close else ""
    raise DataError(
        f"task {name!r} is not known; choose one of {', '.join(TASKS)}, or give the path of a "
        f".toml that describes a task of your own.{hint}"
    )
