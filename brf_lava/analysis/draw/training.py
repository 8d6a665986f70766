"""Pictures of training: curves over epochs, and what became of omega and b_offset."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.figure import Figure

from brf_lava.analysis.draw import style
from brf_lava.analysis.stability import balanced_damping, plane_of

if TYPE_CHECKING:
    from brf_lava.analysis.learning import Curves
    from brf_lava.analysis.parameters import Training

PANELS = (
    ("train_loss", "training loss per sample", 1.0),
    ("validation_accuracy", "validation accuracy (%)", 100.0),
    ("validation_sops", "SOPs per validation sample (hidden spikes)", 1.0),
)


def draw_learning_curves(figure: Figure, curves: Sequence[Curves]) -> None:
    """Loss, accuracy and SOPs over epochs: the mean of each label, with a band of one s.d."""
    figure.set_size_inches(12.0, 3.8)
    panels = figure.subplots(1, len(PANELS), sharex=True)
    single = all(found.runs == 1 for found in curves)
    for panel, (quantity, title, factor) in zip(panels, PANELS, strict=True):
        for index, found in enumerate(curves):
            mean, deviation = (factor * each(quantity) for each in (found.mean, found.deviation))
            few = len(found.epochs) < 20
            panel.plot(
                found.epochs,
                mean,
                **style.look(index),
                marker=style.marker(index) if few else None,
                markersize=4,
                label=found.label if single else f"{found.label} (n = {found.runs})",
            )
            if np.any(deviation > 0):
                style.draw_band(panel, found.epochs, mean - deviation, mean + deviation, index)
        panel.set(xlabel="epoch", ylabel=title)
        panel.xaxis.get_major_locator().set_params(integer=True)
    panels[0].legend()
    if not single:
        figure.suptitle("lines: mean; bands: one standard deviation over the runs")


def draw_parameters(figure: Figure, found: Training, title: str) -> None:
    """omega and b_offset of each hidden layer, before (if known) and after training."""
    layers = found.after
    figure.set_size_inches(5.6 * len(layers), 4.6)
    panels = figure.subplots(1, len(layers), squeeze=False)[0]
    for index, (panel, after) in enumerate(zip(panels, layers, strict=True)):
        before = found.before[index] if found.before else None
        points = partial(style.draw_points, panel, size=5)
        if before is not None:
            panel.plot(
                np.stack([before.omega, after.omega]),
                np.stack([before.b_offset, after.b_offset]),
                color=style.PALE,
                linewidth=0.8,
            )
            points(before.omega, before.b_offset, "s", style.BLUE, "before training", filled=False)
        points(after.omega, after.b_offset, "o", style.RED, "after training")
        limits = panel.get_xlim()
        omega = np.linspace(max(0.0, limits[0]), min(limits[1], 0.999 / after.dt), 200)
        edge = np.abs(balanced_damping(after.plane, omega, after.dt))
        label = plane_of(after.record).edge
        panel.plot(omega, edge, color=style.BLACK, linestyle="--", linewidth=1.0, label=label)
        panel.set_ylim(bottom=min(0.0, panel.get_ylim()[0]))
        panel.set(
            xlim=limits,
            xlabel=r"angular frequency $\omega$ (rad/s)",
            ylabel=r"damping offset $b_\mathrm{off}$ (1/s)",
            title=f"hidden layer {after.layer}, {len(after.omega)} {after.neuron}",
        )
        panel.legend()
    style.write_title(figure, f"{title}\n{found.note}", style.SMALL)
