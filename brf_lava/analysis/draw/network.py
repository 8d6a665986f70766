"""Pictures of a network at work: one sample, pruning, disturbances."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure

from brf_lava.analysis.draw import style
from brf_lava.network.decision import UNLABELED

if TYPE_CHECKING:
    from brf_lava.analysis.raster import Raster
    from brf_lava.analysis.sweeps import Sweep

NO_LABEL_COLOR = "#ffffff"
BITS = "weight bits"
DISTURBANCES = (  # the sweeps of a panel, its axis, and what their levels are times there
    (("input noise",), "additional input spikes (% of inputs and steps)", 100.0),
    (("input deletion", "hidden deletion"), "spikes deleted (%)", 100.0),
    (("weight noise",), r"relative weight noise $\sigma$ (%)", 100.0),
    ((BITS,), "weight bits, sign included (integer engine)", 1.0),
)


def draw_raster(figure: Figure, found: Raster, title: str) -> None:
    """Inputs, spikes of each hidden layer, readout, and label and prediction, over time."""
    each_step = len(found.labels) > 1 or len(found.predictions) > 1
    hidden = len(found.spikes)
    heights = [1.2, *[2.4] * hidden, 1.6, *([0.5] if each_step else [])]
    figure.set_size_inches(10.0, 1.6 + 1.15 * sum(heights))
    panels = figure.subplots(len(heights), 1, sharex=True, height_ratios=heights)
    time = found.step_seconds * np.arange(1, len(found.x) + 1)
    _draw_inputs(panels[0], found, time)
    for index, spikes in enumerate(found.spikes):
        panel = panels[1 + index]
        _draw_spikes(panel, spikes, time)
        panel.set_ylabel("neuron" if hidden == 1 else f"neuron, layer {index + 1}")
        panel.set_title(f"hidden spikes: {int(spikes.sum()):,}", loc="left")
    readout = panels[1 + hidden]
    colors = [style.CYCLE[i % len(style.CYCLE)] for i in range(len(found.classes))]
    for index, name in enumerate(found.classes):
        readout.plot(
            time,
            found.probabilities[:, index],
            color=colors[index],
            linestyle=style.DASHES[index // len(style.CYCLE) % len(style.DASHES)],
            linewidth=1.1,
            label=name,
        )
    readout.set(ylim=(-0.03, 1.03), ylabel="softmax")
    readout.set_title("readout", loc="left")
    columns = -(-len(found.classes) // 8)
    readout.legend(loc="center left", bbox_to_anchor=(1.005, 0.5), ncols=columns)
    if each_step:
        _draw_classes(panels[-1], found, time, colors)
    else:
        title += f"; label {_name(found, found.labels[0])}, predicted " + _name(
            found, found.predictions[0]
        )
    panels[-1].set(xlabel="time (s)", xlim=(0, time[-1]))
    style.write_title(figure, title)


def _draw_inputs(panel: Any, found: Raster, time: Any) -> None:
    inputs = found.x.shape[1]
    if np.isin(found.x, (0, 1)).all():
        _draw_spikes(panel, found.x > 0, time)
        panel.set_title(f"input spikes: {int(found.x.sum()):,}", loc="left")
        panel.set_ylabel("channel")
        return
    panel.set_title("input", loc="left")
    if inputs <= len(style.CYCLE):
        panel.plot(time, found.x, linewidth=0.8)
        panel.set_ylabel("value")
        return
    panel.imshow(
        found.x.T,
        aspect="auto",
        origin="lower",
        cmap="gray_r",
        interpolation="nearest",
        extent=(0, time[-1], -0.5, inputs - 0.5),
    )
    panel.set_ylabel("channel")


def _draw_spikes(panel: Any, spikes: Any, time: Any) -> None:
    channels = spikes.shape[1]
    steps, which = np.nonzero(spikes)
    height = max(0.8, channels / 120)  # rows of many channels overlap, or they would vanish
    panel.vlines(
        time[steps],
        which - height / 2,
        which + height / 2,
        color=style.BLACK,
        linewidth=0.7 if channels <= 80 else 0.9,
    )
    panel.set_ylim(-0.7, channels - 0.3)
    panel.yaxis.get_major_locator().set_params(integer=True)
    panel.grid(visible=False)


def _draw_classes(panel: Any, found: Raster, time: Any, colors: list[str]) -> None:
    """Two strips, label above prediction, in the colors of the readout."""
    classes = len(found.classes)
    steps = len(time)
    rows = np.stack([np.broadcast_to(row, steps) for row in (found.predictions, found.labels)])
    panel.imshow(
        np.where(rows == UNLABELED, classes, rows),
        aspect="auto",
        origin="lower",
        cmap=ListedColormap([*colors, NO_LABEL_COLOR]),
        vmin=-0.5,
        vmax=classes + 0.5,
        interpolation="nearest",
        extent=(0, time[-1], -0.5, 1.5),
    )
    panel.set_yticks([0, 1], ["predicted", "label"])
    panel.grid(visible=False)


def _name(found: Raster, index: int) -> str:
    return "none" if index == UNLABELED else found.classes[index]


def draw_pruning(figure: Figure, found: Sweep, title: str) -> None:
    """Accuracy and SOPs over the share of recurrent weights that are pruned."""
    figure.set_size_inches(8.6, 3.6)
    accuracy, sops = figure.subplots(1, 2, sharex=True)
    _draw_sweep(accuracy, found.levels * 100, found.accuracy * 100, 0)
    _draw_sweep(sops, found.levels * 100, found.sops, 0)
    pruned = "recurrent weights pruned (%), no retraining"
    accuracy.set(xlabel=pruned, ylabel="test accuracy (%)")
    sops.set(xlabel=pruned, ylabel="SOPs per sample (hidden spikes)")
    sops.set_ylim(bottom=0)
    style.write_title(figure, f"{title}\n{_repeats(found)}", style.SMALL)


def draw_robustness(figure: Figure, sweeps: Sequence[Sweep], title: str) -> None:
    """Accuracy under the four kinds of disturbance; the undisturbed network as a dashed line."""
    by_name = {sweep.name: sweep for sweep in sweeps}
    baseline = 100 * float(sweeps[0].accuracy[0, 0])
    figure.set_size_inches(10.0, 6.6)
    panels = figure.subplots(2, 2, sharey=True)
    for panel, (names, label, factor) in zip(panels.ravel(), DISTURBANCES, strict=True):
        panel.axhline(baseline, color=style.GRAY, linestyle="--", linewidth=1.0)
        for index, name in enumerate(names):
            sweep = by_name[name]
            _draw_sweep(panel, factor * sweep.levels, 100 * sweep.accuracy, index, name)
        panel.set_xlabel(label)
        if len(names) > 1:
            panel.legend()
    for panel in panels[:, 0]:
        panel.set_ylabel("test accuracy (%)")
    panels[1, 1].set_xticks(by_name[BITS].levels)
    panels[0, 0].set_ylim(0, 100)
    note = f"dashed: undisturbed, in real numbers; {_repeats(sweeps[0])}"
    style.write_title(figure, f"{title}\n{note}", style.SMALL)


def _draw_sweep(panel: Any, levels: Any, values: Any, index: int, label: str | None = None) -> None:
    """Mean over the repeats, and a band from the least to the largest."""
    line = {**style.look(index), "marker": style.marker(index), "markersize": 4}
    panel.plot(levels, values.mean(axis=1), **line, label=label)
    style.draw_band(panel, levels, values.min(axis=1), values.max(axis=1), index)


def _repeats(found: Sweep) -> str:
    repeats = found.accuracy.shape[1]
    if repeats == 1:
        return "one random draw"
    return f"lines: mean, bands: least to largest of {repeats} random draws"
