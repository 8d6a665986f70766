"""The tasks a network is trained on, by name."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from brf_lava.config.toml import nearest
from brf_lava.data.dataset import Task
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
    known = nearest(name, TASKS, every=True)
    raise DataError(f"task {name!r}: no such task. {known} Name your own as a .toml file.")
