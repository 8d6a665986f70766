"""How a training step grows with steps, batch, neurons and spikes, and the exponents of that."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from benchmarks.layers import Size, layer_of
from benchmarks.timing import Comparison, Row, alternate, timed

TITLE = "growth of a training step"
ROUNDS = 7
BASE = Size(1, 256, 32, 784, rate=0.05, active=0.2, gray=True)
SERIES: dict[str, tuple[Any, ...]] = {
    "steps": (98, 196, 392, 784, 1568),
    "batch": (8, 16, 32, 64, 128),
    "neurons": (32, 64, 128, 256, 512),
    "rate": (0.02, 0.05, 0.1, 0.2, 0.4),
}


def measure(picture: Path | None = None) -> list[Comparison]:
    """One series for each, the others as in `BASE`; picture: a file to draw it into."""
    comparisons = []
    points: dict[str, tuple[list[float], list[float]]] = {}
    for name, values in SERIES.items():
        layers = {value: layer_of(replace(BASE, **{name: value})) for value in values}
        contenders = {f"{name} {value:g}": timed(layers[value].step) for value in values}
        seconds = alternate(contenders, rounds=ROUNDS)
        places = [layer.rate if name == "rate" else float(v) for v, layer in layers.items()]
        medians = [median(series) for series in seconds.values()]
        exponent = float(np.polyfit(np.log(places), np.log(medians), 1)[0])
        points[f"{name}, exponent {exponent:.2f}"] = places, medians
        comparisons.append(
            Comparison(
                title=f"One layer {BASE}, {BASE.rate:.0%} spikes, by {name}",
                rows=tuple(Row(what, series) for what, series in seconds.items()),
                notes=(f"Time grows with the power {exponent:.2f} of {name}.",),
            )
        )
    if picture is not None:
        _draw(points, picture)
    return comparisons


def _draw(points: dict[str, tuple[list[float], list[float]]], picture: Path) -> None:
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, len(points), figsize=(3 * len(points), 3), sharey=True)
    for axis, (name, (places, seconds)) in zip(axes, points.items(), strict=True):
        axis.loglog(places, [1000 * each for each in seconds], "o-")
        axis.set_xlabel(name)
    axes[0].set_ylabel("training step, ms")
    figure.tight_layout()
    figure.savefig(picture)
