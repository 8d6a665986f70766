"""Where the files of a run are: ``OUT/TASK-NEURON/seed-S``."""

from __future__ import annotations

import re
from pathlib import Path

from brf_lava.reproduce.published import PUBLISHED
from brf_lava.train.trainer import metrics_path, resume_path

SEED_FOLDER = re.compile(r"seed-(0|[1-9]\d*)")


class RunFolder:
    """One training and what is made from it; `out` is the folder of all runs."""

    def __init__(self, out: Path, task: str, neuron: str, seed: int) -> None:
        self.task, self.neuron, self.seed = task, neuron, seed
        self.cell = task, neuron  # what the runs in one row of the tables have in common
        self.recipe_name = f"{task}-{neuron.lower()}"
        self.name = f"{self.recipe_name} seed {seed}"
        self.path = out / self.recipe_name / f"seed-{seed}"
        self.model = self.path / "model.pt"
        self.state = resume_path(self.model)  # exists while the training is not finished
        self.metrics = metrics_path(self.model)
        self.network = self.path / "net.h5"
        self.result = self.path / "run.json"
        self.shares = self.path / "threads.json"  # see `records.read_shares`

    @property
    def complete(self) -> bool:
        """Whether all its files exist, whatever they contain."""
        files = (self.model, self.network, self.result)
        return not self.state.exists() and all(path.exists() for path in files)

    def log(self, step: str) -> Path:
        """What the process of this step printed; one file for a training that was stopped, too."""
        return self.path / f"{'train' if step == 'resume' else step}.log"


def run_folders(out: Path) -> list[RunFolder]:
    """Return all runs in `out`, finished or not, in the order of the tables."""
    folders = []
    for task, neuron in PUBLISHED:
        cell = RunFolder(out, task, neuron, 0).path.parent
        names = [path.name for path in cell.glob("seed-*") if path.is_dir()]
        seeds = sorted(int(match[1]) for match in map(SEED_FOLDER.fullmatch, names) if match)
        folders += [RunFolder(out, task, neuron, seed) for seed in seeds]
    return folders
