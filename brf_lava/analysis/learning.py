"""Learning curves from the metrics files that training writes next to a model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from brf_lava.errors import DataError
from brf_lava.train.metrics import read_metrics

QUANTITIES = ("train_loss", "validation_accuracy", "validation_sops")
HOW_TO_GET = "Name a metrics file, .jsonl, that 'brf-lava train' wrote next to a model."


@dataclass(frozen=True)
class Curves:
    """Several runs, seeds of one experiment, over the epochs that all of them reached.

    epochs [E], from 1; values: an array [runs, E] for each of `QUANTITIES`.
    """

    label: str
    epochs: NDArray[np.int64]
    values: dict[str, NDArray[np.float64]]

    @property
    def runs(self) -> int:
        return len(self.values[QUANTITIES[0]])

    def mean(self, quantity: str) -> NDArray[np.float64]:
        """[E], over the runs."""
        mean: NDArray[np.float64] = self.values[quantity].mean(axis=0)
        return mean

    def deviation(self, quantity: str) -> NDArray[np.float64]:
        """[E], sample standard deviation over the runs; 0 for a single one."""
        if self.runs == 1:
            return np.zeros(len(self.epochs))
        deviation: NDArray[np.float64] = self.values[quantity].std(axis=0, ddof=1)
        return deviation


def read_curves(path: Path) -> dict[str, NDArray[np.float64]]:
    """One metrics file: each of `QUANTITIES` [E] by epoch.

    Raises: DataError as `read_metrics`, and for a file without any epoch.
    """
    values = read_metrics(path, QUANTITIES, HOW_TO_GET)
    if not values[QUANTITIES[0]]:
        raise DataError(f"{path}: holds no epoch yet. {HOW_TO_GET}")
    return {name: np.array(numbers) for name, numbers in values.items()}


def learning_curves(files: Sequence[tuple[str, Path]]) -> tuple[Curves, ...]:
    """Group files by label, in order of appearance. Raises: DataError as `read_curves`."""
    grouped: dict[str, list[dict[str, NDArray[np.float64]]]] = {}
    for label, path in files:
        grouped.setdefault(label, []).append(read_curves(path))
    return tuple(_curves(label, runs) for label, runs in grouped.items())


def _curves(label: str, runs: list[dict[str, NDArray[np.float64]]]) -> Curves:
    common = min(len(run[QUANTITIES[0]]) for run in runs)
    values = {name: np.stack([run[name][:common] for run in runs]) for name in QUANTITIES}
    return Curves(label, np.arange(1, common + 1), values)
