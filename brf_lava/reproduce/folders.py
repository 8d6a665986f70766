"""Where the files of a run lie: ``OUT/TASK-NEURON/seed-S``."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from brf_lava.reproduce.published import NEURONS, TASKS
from brf_lava.train.trainer import metrics_path, resume_path

SEED_FOLDER = re.compile(r"seed-(0|[1-9]\d*)")


@dataclass(frozen=True)
class RunFolder:
    """One training and what was made of it. out: of all runs; neuron: in capitals."""

    out: Path
    task: str
    neuron: str
    seed: int

    @property
    def cell(self) -> tuple[str, str]:
        """What the runs of a row of the tables have in common."""
        return self.task, self.neuron

    @property
    def recipe_name(self) -> str:
        return f"{self.task}-{self.neuron.lower()}"

    @property
    def name(self) -> str:
        return f"{self.recipe_name} seed {self.seed}"

    @property
    def path(self) -> Path:
        return self.out / self.recipe_name / f"seed-{self.seed}"

    @property
    def model(self) -> Path:
        return self.path / "model.pt"

    @property
    def state(self) -> Path:
        """Lies there while the training is not finished."""
        return resume_path(self.model)

    @property
    def metrics(self) -> Path:
        return metrics_path(self.model)

    @property
    def network(self) -> Path:
        return self.path / "net.h5"

    @property
    def result(self) -> Path:
        return self.path / "run.json"

    @property
    def shares(self) -> Path:
        """How many threads trained it, see `records.read_shares`."""
        return self.path / "threads.json"

    @property
    def trained(self) -> bool:
        return self.model.exists() and not self.state.exists()

    @property
    def complete(self) -> bool:
        """Whether all its files are there, whatever is in them."""
        return self.trained and self.network.exists() and self.result.exists()

    def log(self, step: str) -> Path:
        """What the command `step` printed."""
        return self.path / f"{step}.log"


def found(out: Path) -> list[RunFolder]:
    """All runs below `out`, finished or not, in the order of the tables."""
    folders = []
    for task in TASKS:
        for neuron in NEURONS:
            cell = RunFolder(out, task, neuron, 0).path.parent
            names = [path.name for path in cell.glob("seed-*") if path.is_dir()]
            seeds = sorted(int(match[1]) for match in map(SEED_FOLDER.fullmatch, names) if match)
            folders += [RunFolder(out, task, neuron, seed) for seed in seeds]
    return folders
