"""Learning curves from the metrics files that training writes beside a model."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from brf_lava.errors import DataError

QUANTITIES = ("train_loss", "validation_accuracy", "validation_sops")
LARGEST = 1e100  # of a value; its square, for a standard deviation, is a number still
SHOWN = 40  # letters of a foreign value in a message
HOW_TO_GET = "Name a metrics file, .jsonl, that 'brf-lava train' wrote beside a model."


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


def read_metrics(path: Path) -> dict[str, NDArray[np.float64]]:
    """One metrics file: each of `QUANTITIES` [E] by epoch.

    Raises: DataError for a file that is none, with the line at fault.
    """
    try:
        text = path.read_bytes().decode()
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}). {HOW_TO_GET}") from error
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: not a text file. {HOW_TO_GET}") from error
    rows = [
        _row(line, f"{path}, line {number}", number)
        for number, line in enumerate(text.splitlines(), start=1)
    ]
    if not rows:
        raise DataError(f"{path}: holds no epoch yet. {HOW_TO_GET}")
    return {name: np.array([row[name] for row in rows]) for name in QUANTITIES}


def _row(line: str, where: str, epoch: int) -> dict[str, float]:
    try:
        row: Any = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise DataError(f"{where}: not JSON. {HOW_TO_GET}") from error
    wanted = ("epoch", *QUANTITIES)
    missing = [name for name in wanted if not isinstance(row, dict) or name not in row]
    if missing:
        raise DataError(f"{where}: has no {', '.join(missing)}. {HOW_TO_GET}")
    if row["epoch"] != epoch:
        raise DataError(
            f"{where}: epoch {_short(row['epoch'])}, expected {epoch}; lines must be in order from "
            f"1. {HOW_TO_GET}"
        )
    for name in QUANTITIES:
        value = row[name]
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise DataError(f"{where}: {name} is {_short(value)}, expected a number. {HOW_TO_GET}")
        if not abs(value) <= LARGEST:  # also catches NaN
            raise DataError(
                f"{where}: {name} is {_short(value)}; must be a number from -{LARGEST:g} to "
                f"{LARGEST:g}. {HOW_TO_GET}"
            )
    return {name: float(row[name]) for name in QUANTITIES}


def _short(value: Any) -> str:
    """A foreign value, for a message."""
    text = repr(value)
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}..."


def learning_curves(files: Sequence[tuple[str, Path]]) -> tuple[Curves, ...]:
    """Group files by label, in order of appearance. Raises: DataError as `read_metrics`."""
    grouped: dict[str, list[dict[str, NDArray[np.float64]]]] = {}
    for label, path in files:
        grouped.setdefault(label, []).append(read_metrics(path))
    return tuple(_curves(label, runs) for label, runs in grouped.items())


def _curves(label: str, runs: list[dict[str, NDArray[np.float64]]]) -> Curves:
    common = min(len(run[QUANTITIES[0]]) for run in runs)
    values = {name: np.stack([run[name][:common] for run in runs]) for name in QUANTITIES}
    return Curves(label, np.arange(1, common + 1), values)
