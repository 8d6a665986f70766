"""Where the numbers come from: processor, cores, load and versions."""

from __future__ import annotations

import os
import platform
from dataclasses import asdict, dataclass
from typing import Any

import torch

from brf_lava.train.model import device_name
from brf_lava.versions import versions


@dataclass(frozen=True)
class Machine:
    """load: average number of running processes in the minute before; above 0, others ran too."""

    processor: str
    cores: int  # that this process may use
    system: str
    load: float
    versions: dict[str, str]

    def __str__(self) -> str:
        return f"{self.processor}, {self.cores} cores, {self.system}, load {self.load:.1f}"

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def this_machine() -> Machine:
    """The machine as it is now."""
    affinity = getattr(os, "sched_getaffinity", None)  # absent on macOS
    cores = len(affinity(0)) if affinity else os.cpu_count() or 1
    return Machine(
        processor=device_name(torch.device("cpu")),
        cores=cores,
        system=platform.system(),
        load=os.getloadavg()[0],
        versions=versions(),
    )
