"""One training epoch of the shipped ECG recipe, validation included."""

from __future__ import annotations

import contextlib
import tempfile
from pathlib import Path
from statistics import median

from benchmarks import ecg
from benchmarks.timing import Comparison, Row
from brf_lava.config.recipe import load_recipe
from brf_lava.tasks.registry import find_task
from brf_lava.train.metrics import EpochReport, Progress
from brf_lava.train.model import choose_device
from brf_lava.train.trainer import Trainer

TITLE = "training epoch"
WARM_UP = 1
EPOCHS = 3  # timed, after the warm-up


class _EnoughError(Exception):
    """Ends a training run between two epochs."""


def measure() -> list[Comparison]:
    """The first epochs of the recipe as it is shipped, as the trainer itself times them."""
    recipe, dataset = load_recipe(ecg.RECIPE), find_task("ecg").load(None)
    reports: list[EpochReport] = []

    def on_epoch(report: EpochReport) -> None:
        reports.append(report)
        if len(reports) == WARM_UP + EPOCHS:
            raise _EnoughError

    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder, "model.pt")
        trainer = Trainer(recipe, dataset, ecg.SEED, choose_device("cpu"), out)
        with contextlib.suppress(_EnoughError):
            trainer.run(Progress(on_epoch=on_epoch))
    seconds = tuple(report.seconds for report in reports[WARM_UP:])
    samples, steps = len(trainer.training_samples), dataset.train.x.shape[1]
    minutes = median(seconds) * recipe.training.epochs / 60
    return [
        Comparison(
            title=f"Training epoch, recipe {ecg.RECIPE}: {samples} samples x {steps} steps",
            rows=(Row(f"one epoch, kernel {trainer.kernel}", seconds),),
            notes=(
                f"Data: {dataset.source.description}.",
                f"The recipe's {recipe.training.epochs} epochs would take {minutes:.1f} min.",
            ),
        )
    ]
