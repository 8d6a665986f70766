"""Learning curves from the metrics files that training writes next to a model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from brf_lava.analysis.draw import style
from brf_lava.errors import DataError
from brf_lava.train.metrics import read_metrics

QUANTITIES = {  # by the name in the file: the axis, and what values are times there
    "train_loss": ("training loss per sample", 1.0),
    "validation_accuracy": ("validation accuracy (%)", 100.0),
    "validation_sops": ("SOPs per validation sample (hidden spikes)", 1.0),
}
HOW_TO_GET = "Name a metrics file, .jsonl, that 'brf-lava train' wrote next to a model."


@dataclass(frozen=True)
class Curves:
    """Several runs, seeds of one experiment, over the epochs that all of them reached.

    values: an array [runs, epochs] for each of `QUANTITIES`.
    """

    label: str
    values: dict[str, NDArray[np.float64]]


def learning_curves(files: Sequence[tuple[str, Path]]) -> list[Curves]:
    """Read labeled metrics files and group them by label, in order of appearance.

    Raises: DataError as `read_metrics`, and for a file without any epoch.
    """
    grouped: dict[str, list[list[list[float]]]] = {}
    for label, path in files:
        values = [*read_metrics(path, tuple(QUANTITIES), HOW_TO_GET).values()]
        if not values[0]:
            raise DataError(f"{path}: holds no epoch yet. {HOW_TO_GET}")
        grouped.setdefault(label, []).append(values)
    curves = []
    for label, runs in grouped.items():
        common = min(len(run[0]) for run in runs)
        arrays = np.array([[quantity[:common] for quantity in run] for run in runs])
        curves.append(Curves(label, dict(zip(QUANTITIES, arrays.swapaxes(0, 1), strict=True))))
    return curves


def draw_learning_curves(figure: Figure, curves: Sequence[Curves]) -> None:
    """Loss, accuracy and SOPs over epochs: the mean of each label, with a band of one s.d."""
    figure.set_size_inches(12.0, 3.8)
    panels = figure.subplots(1, len(QUANTITIES), sharex=True)
    single = all(len(found.values["train_loss"]) == 1 for found in curves)
    for panel, (quantity, (title, factor)) in zip(panels, QUANTITIES.items(), strict=True):
        for index, found in enumerate(curves):
            values = factor * found.values[quantity]
            count, length = values.shape
            epochs, mean = np.arange(1, length + 1), values.mean(axis=0)
            label = found.label if single else f"{found.label} (n = {count})"
            panel.plot(epochs, mean, **style.look(index, marked=length < 20), label=label)
            if count > 1:
                deviation = values.std(axis=0, ddof=1)
                style.draw_band(panel, epochs, mean - deviation, mean + deviation, index)
        shown = np.concatenate([factor * found.values[quantity].ravel() for found in curves])
        style.outliers_aside(panel, shown, "y")
        panel.set(xlabel="epoch", ylabel=title)
        panel.xaxis.get_major_locator().set_params(integer=True)
    panels[0].legend()
    if not single:
        figure.suptitle("lines: mean; bands: one standard deviation over the runs")
