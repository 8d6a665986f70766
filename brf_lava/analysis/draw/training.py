"""Pictures of training: curves over epochs, and what became of omega and b_offset."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.figure import Figure

from brf_lava.analysis.draw import style
from brf_lava.analysis.stability import balanced_damping, plane_of

if TYPE_CHECKING:
    from brf_lava.analysis.learning import Curves
    from brf_lava.analysis.parameters import Resonators, Training

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
            _draw_band(
                panel,
                found.epochs,
                factor * found.mean(quantity),
                factor * found.deviation(quantity),
                index,
                found.label if single else f"{found.label} (n = {found.runs})",
            )
        panel.set_xlabel("epoch")
        panel.set_ylabel(title)
        panel.xaxis.get_major_locator().set_params(integer=True)
    panels[0].legend()
    if not single:
        figure.suptitle("lines: mean; bands: one standard deviation over the runs")


def _draw_band(panel: Any, x: Any, mean: Any, deviation: Any, index: int, label: str) -> None:
    color = style.CYCLE[index % len(style.CYCLE)]
    panel.plot(
        x,
        mean,
        color=color,
        linestyle=style.DASHES[index % len(style.DASHES)],
        marker=style.MARKERS[index % len(style.MARKERS)] if len(x) < 20 else None,
        markersize=4,
        label=label,
    )
    if np.any(deviation > 0):
        panel.fill_between(
            x, mean - deviation, mean + deviation, color=color, alpha=0.2, linewidth=0
        )


def draw_parameters(figure: Figure, found: Training, title: str) -> None:
    """omega and b_offset of each hidden layer, before (if known) and after training."""
    layers = found.after
    figure.set_size_inches(5.6 * len(layers), 4.6)
    panels = figure.subplots(1, len(layers), squeeze=False)[0]
    for index, (panel, after) in enumerate(zip(panels, layers, strict=True)):
        before = found.before[index] if found.before else None
        if before is not None:
            panel.plot(
                np.stack([before.omega, after.omega]),
                np.stack([before.b_offset, after.b_offset]),
                color=style.PALE,
                linewidth=0.8,
            )
            _scatter(panel, before, "s", style.BLUE, "before training", filled=False)
        _scatter(panel, after, "o", style.RED, "after training", filled=True)
        limits = panel.get_xlim()
        omega = np.linspace(max(0.0, limits[0]), min(limits[1], 0.999 / after.dt), 200)
        edge = np.abs(balanced_damping(after.plane, omega, after.dt))
        label = plane_of(after.record).edge
        panel.plot(omega, edge, color=style.BLACK, linestyle="--", linewidth=1.0, label=label)
        panel.set_xlim(limits)
        panel.set_ylim(bottom=min(0.0, panel.get_ylim()[0]))
        panel.set_xlabel(r"angular frequency $\omega$ (rad/s)")
        panel.set_ylabel(r"damping offset $b_\mathrm{off}$ (1/s)")
        panel.set_title(f"hidden layer {after.layer}, {len(after.omega)} {after.neuron}")
        panel.legend()
    style.write_title(figure, f"{title}\n{found.note}", style.SMALL)


def _scatter(
    panel: Any, layer: Resonators, marker: str, color: str, label: str, *, filled: bool
) -> None:
    panel.plot(
        layer.omega,
        layer.b_offset,
        linestyle="none",
        marker=marker,
        markersize=5,
        markeredgecolor=color,
        markerfacecolor=color if filled else "none",
        label=label,
    )
