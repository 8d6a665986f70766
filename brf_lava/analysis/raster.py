"""What a network does with one sample: inputs, hidden spikes and answer over time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from numpy.typing import NDArray
from scipy.special import softmax

from brf_lava.analysis.activity import AnyNetwork, run
from brf_lava.analysis.draw import style
from brf_lava.data.dataset import Dataset
from brf_lava.errors import ParameterError
from brf_lava.network.decision import UNLABELED, Decision

NO_LABEL_COLOR = "#ffffff"


@dataclass(frozen=True)
class Raster:
    """One sample.

    x [T, I] in the unit of the data; spikes: [T, N] of each hidden layer; probabilities [T, C],
    softmax of the readout; labels and predictions [P].
    """

    classes: tuple[str, ...]
    step_seconds: float
    x: NDArray[np.float64]
    spikes: tuple[NDArray[np.bool_], ...]
    probabilities: NDArray[np.float64]
    labels: NDArray[np.uint8]
    predictions: NDArray[np.int64]


def raster(network: AnyNetwork, dataset: Dataset, decision: Decision, sample: int) -> Raster:
    """Run one test sample, in real numbers or in integers as the network is.

    Raises: ParameterError for a sample that is not there.
    """
    test, count = dataset.test, len(dataset.test.x)
    if sample >= count:
        raise ParameterError(
            f"--sample {sample}: the test half has {count} samples; 0 to {count - 1} are allowed."
        )
    x = test.x[sample][:, None]
    outputs, fired = run(network, x)
    return Raster(
        classes=dataset.classes,
        step_seconds=dataset.step_seconds,
        x=x[:, 0] * dataset.input_scale,
        spikes=tuple(layer[:, 0] > 0 for layer in fired),
        probabilities=softmax(outputs[:, 0].astype(np.float64), axis=-1),
        labels=test.y[sample],
        predictions=decision.predict(outputs)[0].astype(np.int64),
    )


def draw_raster(figure: Figure, found: Raster, title: str) -> None:
    """Inputs, spikes of each hidden layer, readout, and label and prediction, over time."""
    each_step = len(found.labels) > 1 or len(found.predictions) > 1
    hidden = len(found.spikes)
    heights = [1.2, *[2.4] * hidden, 1.6, *([0.5] if each_step else [])]
    figure.set_size_inches(10.0, 1.6 + 1.15 * sum(heights))
    panels = figure.subplots(len(heights), 1, sharex=True, height_ratios=heights)
    time = found.step_seconds * np.arange(1, len(found.x) + 1)
    _draw_inputs(panels[0], found.x, time)
    for index, (panel, spikes) in enumerate(zip(panels[1:], found.spikes, strict=False), start=1):
        _draw_spikes(panel, spikes, time)
        panel.set_ylabel("neuron" if hidden == 1 else f"neuron, layer {index}")
        panel.set_title(f"hidden spikes: {int(spikes.sum()):,}", loc="left")
    readout = panels[1 + hidden]
    colors = [style.CYCLE[i % len(style.CYCLE)] for i in range(len(found.classes))]
    for index, (name, color) in enumerate(zip(found.classes, colors, strict=True)):
        dashes = style.DASHES[index // len(style.CYCLE) % len(style.DASHES)]
        look = {"color": color, "linestyle": dashes, "linewidth": 1.1}
        readout.plot(time, found.probabilities[:, index], **look, label=name)
    readout.set(ylim=(-0.03, 1.03), ylabel="softmax")
    readout.set_title("readout", loc="left")
    columns = -(-len(found.classes) // 8)
    readout.legend(loc="center left", bbox_to_anchor=(1.005, 0.5), ncols=columns)
    if each_step:
        _draw_classes(panels[-1], found, time, colors)
    else:
        names = {UNLABELED: "none", **dict(enumerate(found.classes))}
        label, predicted = names[int(found.labels[0])], names[int(found.predictions[0])]
        title += f"; label {label}, predicted {predicted}"
    panels[-1].set(xlabel="time (s)", xlim=(0, time[-1]))
    style.write_title(figure, title)


def _draw_inputs(panel: Any, x: Any, time: Any) -> None:
    """Spikes, lines of a few graded inputs, or an image of many."""
    title, unit = "input", "channel"
    if np.isin(x, (0, 1)).all():
        _draw_spikes(panel, x > 0, time)
        title = f"input spikes: {int(x.sum()):,}"
    elif x.shape[1] <= len(style.CYCLE):
        panel.plot(time, x, linewidth=0.8)
        unit = "value"
    else:
        _draw_image(panel, x.T, time, (-0.5, x.shape[1] - 0.5), cmap="gray_r")
    panel.set_title(title, loc="left")
    panel.set_ylabel(unit)


def _draw_image(panel: Any, rows: Any, time: Any, ends: tuple[float, float], **colors: Any) -> None:
    look = {"aspect": "auto", "origin": "lower", "interpolation": "nearest"}
    panel.imshow(rows, extent=(0, time[-1], *ends), **look, **colors)


def _draw_spikes(panel: Any, spikes: Any, time: Any) -> None:
    channels = spikes.shape[1]
    steps, which = np.nonzero(spikes)
    height = max(0.8, channels / 120)  # rows of many channels overlap, or they would vanish
    look = {"color": style.BLACK, "linewidth": 0.7 if channels <= 80 else 0.9}
    panel.vlines(time[steps], which - height / 2, which + height / 2, **look)
    panel.set_ylim(-0.7, channels - 0.3)
    panel.yaxis.get_major_locator().set_params(integer=True)
    panel.grid(visible=False)


def _draw_classes(panel: Any, found: Raster, time: Any, colors: list[str]) -> None:
    """Two strips, label above prediction, in the colors of the readout."""
    classes = len(found.classes)
    pair = (found.predictions, found.labels)
    rows = np.stack([np.broadcast_to(row, len(time)) for row in pair])
    shown = np.where(rows == UNLABELED, classes, rows)
    cmap = ListedColormap([*colors, NO_LABEL_COLOR])
    _draw_image(panel, shown, time, (-0.5, 1.5), cmap=cmap, vmin=-0.5, vmax=classes + 0.5)
    panel.set_yticks([0, 1], ["predicted", "label"])
    panel.grid(visible=False)
