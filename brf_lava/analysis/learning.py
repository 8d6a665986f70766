"""Learning curves from the metrics files that training writes next to a model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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
Curves = dict[str, NDArray[np.float64]]


def learning_curves(files: Sequence[tuple[str, Path]]) -> dict[str, Curves]:
    """Read labeled metrics files: several of one label are runs, or seeds, of one experiment.

    Returns:
        By label, for each of `QUANTITIES` an array [runs, epochs], over the epochs that all of the
        runs reached.

    Raises:
        DataError: As `read_metrics`, and for a file without any epoch.
    """
    grouped: dict[str, list[dict[str, list[float]]]] = {}
    for label, path in files:
        values = read_metrics(path, tuple(QUANTITIES), HOW_TO_GET)
        if not values["train_loss"]:
            raise DataError(f"{path}: holds no epoch yet. {HOW_TO_GET}")
        grouped.setdefault(label, []).append(values)
    curves = {}
    for label, runs in grouped.items():
        end = min(len(run["train_loss"]) for run in runs)
        curves[label] = {name: np.array([run[name][:end] for run in runs]) for name in QUANTITIES}
    return curves


def draw_learning_curves(figure: Figure, curves: Mapping[str, Curves]) -> None:
    """Loss, accuracy and SOPs over epochs: the mean of each label, with a band of one s.d."""
    figure.set_size_inches(12.0, 3.8)
    panels = figure.subplots(1, len(QUANTITIES), sharex=True)
    single = all(len(found["train_loss"]) == 1 for found in curves.values())
    for panel, (quantity, (title, factor)) in zip(panels, QUANTITIES.items(), strict=True):
        for index, (label, found) in enumerate(curves.items()):
            values = factor * found[quantity]
            count, length = values.shape
            epochs, mean = np.arange(1, length + 1), values.mean(axis=0)
            text = label if single else f"{label} (n = {count})"
            panel.plot(epochs, mean, **style.look(index, marked=length < 20), label=text)
            if count > 1:
                deviation = values.std(axis=0, ddof=1)
                style.draw_band(panel, epochs, mean - deviation, mean + deviation, index)
        shown = np.concatenate([factor * found[quantity].ravel() for found in curves.values()])
        style.outliers_aside(panel, shown, "y")
        panel.set(xlabel="epoch", ylabel=title)
        panel.xaxis.get_major_locator().set_params(integer=True)
    panels[0].legend()
    if not single:
        figure.suptitle("lines: mean; bands: one standard deviation over the runs")
