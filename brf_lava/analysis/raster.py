"""What a network does with one sample: inputs, hidden spikes and answer over time."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.collections import LineCollection
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from numpy.typing import NDArray
from scipy.special import softmax

from brf_lava.analysis.activity import AnyNetwork, run
from brf_lava.analysis.draw import style
from brf_lava.data.dataset import Dataset
from brf_lava.ecg.level_cross import rebuild
from brf_lava.ecg.signal import Encoding, encode_windows, read_record, record_path, usable
from brf_lava.ecg.spec import ECG
from brf_lava.ecg.synthetic import normalize
from brf_lava.errors import DataError, ParameterError
from brf_lava.network.decision import UNLABELED, Decision

NAMED = 0.03  # of the time, for which a class must last to be named in its strip


@dataclass(frozen=True)
class Raster:
    """One sample.

    x [T, I] in the unit of the data; spikes: [T, N] of each hidden layer; probabilities [T, C],
    softmax of the readout; labels and predictions [P]. signal [T, leads] and the names of these, of
    an ECG; delay: steps by which labels trail it.
    """

    classes: tuple[str, ...]
    step_seconds: float
    x: NDArray[np.float64]
    spikes: tuple[NDArray[np.bool_], ...]
    probabilities: NDArray[np.float64]
    labels: NDArray[np.uint8]
    predictions: NDArray[np.int64]
    signal: NDArray[np.float64] | None
    leads: tuple[str, ...]
    delay: int

    @property
    def seconds(self) -> float:
        return len(self.x) * self.step_seconds

    @property
    def channels(self) -> list[str]:
        """The names of the inputs, of an ECG."""
        return [f"{lead} {way}" for lead in self.leads for way in ("up", "down")]

    @property
    def has_strips(self) -> bool:
        """Whether there is a class for each step."""
        return max(len(self.labels), len(self.predictions)) > 1


def raster(
    network: AnyNetwork,
    dataset: Dataset,
    decision: Decision,
    sample: int,
    record: Path | None = None,
) -> Raster:
    """Run one test sample, in real numbers or in integers as the network is.

    record: a WFDB record, of whose first two leads a window takes the place of the test sample: the
    one of this number, encoded as the data, without labels.
    Raises: ParameterError for a sample that is not there, and for a record for another task;
    DataError as `read_record`, and for a window that is not there or cannot be encoded.
    """
    is_ecg, encoding = dataset.task == ECG.name, Encoding.of(dataset.source.kind)
    test, signal = dataset.test, None
    leads: tuple[str, ...] = ("lead 1", "lead 2") if is_ecg else ()
    if record is None:
        if sample >= (count := len(test.x)):
            raise ParameterError(
                f"--sample {sample}: the test half has {count} samples; 0 to {count - 1} are "
                "allowed."
            )
        x, labels = test.x[sample], test.y[sample]
        signal = rebuild(x, encoding.threshold) if is_ecg else None
    elif not is_ecg:
        raise ParameterError(f"--input: for the ecg task; this network is for {dataset.task}.")
    else:
        source = read_record(record_path(record))
        window = source.signal[sample * ECG.steps : (sample + 1) * ECG.steps][None]
        if window.shape[1] < ECG.steps or not usable(window)[0]:
            raise DataError(
                f"{record}, --sample {sample}: no whole window of {ECG.steps} steps with two valid "
                f"leads; the record has {len(source.signal) // ECG.steps}. Choose another."
            )
        x, labels = encode_windows(window, encoding.threshold)[0], np.array([UNLABELED], np.uint8)
        signal, leads = normalize(window)[0], source.leads
    outputs, fired = run(network, x[:, None])
    return Raster(
        classes=dataset.classes,
        step_seconds=dataset.step_seconds,
        x=x * dataset.input_scale,
        spikes=tuple(layer[:, 0] > 0 for layer in fired),
        probabilities=softmax(outputs[:, 0].astype(np.float64), axis=-1),
        labels=labels,
        predictions=decision.predict(outputs)[0].astype(np.int64),
        signal=signal,
        leads=leads,
        delay=encoding.delay if is_ecg else 0,
    )


def draw_raster(figure: Figure, found: Raster, title: str) -> None:
    """Inputs, spikes of each hidden layer, readout, and label and prediction, over time."""
    hidden, has_signal = len(found.spikes), found.signal is not None
    heights = [*[1.6] * has_signal, 1.2, *[2.4] * hidden, 1.6, *[0.5] * found.has_strips]
    figure.set_size_inches(10.0, 1.6 + 1.15 * sum(heights))
    every = figure.subplots(len(heights), 1, sharex=True, height_ratios=heights)
    panels = iter(every)
    time = found.step_seconds * np.arange(1, len(found.x) + 1)
    colors = [style.CYCLE[i % len(style.CYCLE)] for i in range(len(found.classes))]
    if has_signal:
        _draw_signal(next(panels), found, time, colors)
    _draw_inputs(next(panels), found, time)
    for number, spikes in enumerate(found.spikes, start=1):
        panel = next(panels)
        _draw_spikes(panel, spikes, time)
        panel.set_ylabel("neuron" if hidden == 1 else f"neuron, layer {number}")
        panel.set_title(f"hidden spikes: {int(spikes.sum()):,}", loc="left")
    readout = next(panels)
    for index, (name, color) in enumerate(zip(found.classes, colors, strict=True)):
        dashes = style.DASHES[index // len(style.CYCLE) % len(style.DASHES)]
        look = {"color": color, "linestyle": dashes, "linewidth": 1.1}
        readout.plot(time, found.probabilities[:, index], **look, label=name)
    readout.set(ylim=(-0.03, 1.03), ylabel="softmax")
    readout.set_title("readout", loc="left")
    columns = -(-len(found.classes) // 8)
    readout.legend(loc="center left", bbox_to_anchor=(1.005, 0.5), ncols=columns)
    if found.has_strips:
        _draw_classes(next(panels), found, time, colors)
    else:
        names = {UNLABELED: "none", **dict(enumerate(found.classes))}
        label, predicted = names[int(found.labels[0])], names[int(found.predictions[0])]
        title += f"; label {label}, predicted {predicted}"
    every[-1].set(xlabel="time (s)", xlim=(0, time[-1]))
    style.write_title(figure, title)


def _draw_signal(panel: Any, found: Raster, time: Any, colors: list[str]) -> None:
    """The leads one above the other, in the colors of their labels, or of predictions."""
    labeled, signal = (found.labels != UNLABELED).any(), np.asarray(found.signal)
    classes = np.broadcast_to(found.labels if labeled else found.predictions, len(time))
    steps = np.minimum(np.arange(len(time)) + found.delay, len(time) - 1)
    shades = np.array([*colors, *[style.GRAY] * (UNLABELED + 1 - len(colors))])[classes[steps]]
    middles = -1.05 * np.ptp(signal, axis=0).max() * np.arange(len(found.leads))
    for values in (signal - np.median(signal, axis=0) + middles).T:
        points = np.stack([time, values], axis=1)
        pairs: Any = np.stack([points[:-1], points[1:]], axis=1)
        panel.add_collection(LineCollection(pairs, colors=shades[:-1], linewidth=1.3))
    panel.autoscale()
    panel.set_yticks(middles, found.leads)
    panel.grid(visible=False, axis="y")
    shown = "labels" if labeled else "predictions"
    panel.set_title(f"signal, in the colors of its {shown}", loc="left")


def _draw_inputs(panel: Any, found: Raster, time: Any) -> None:
    """Spikes, lines of a few graded inputs, or an image of many."""
    x, title, unit = found.x, "input", "channel"
    if np.isin(x, (0, 1)).all():
        _draw_spikes(panel, x > 0, time)
        title = f"input spikes: {int(x.sum()):,}"
    elif x.shape[1] <= len(style.CYCLE):
        panel.plot(time, x, linewidth=0.8)
        unit = "value"
    else:
        _draw_image(panel, x.T, time, cmap="gray_r")
    panel.set_title(title, loc="left")
    panel.set_ylabel(unit)
    if found.leads:
        panel.set_yticks(range(len(found.channels)), found.channels)
        panel.set_ylabel("")


def _draw_image(panel: Any, rows: Any, time: Any, **colors: Any) -> None:
    look = {"aspect": "auto", "origin": "lower", "interpolation": "nearest"}
    panel.imshow(rows, extent=(0, time[-1], -0.5, len(rows) - 0.5), **look, **colors)


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
    """Strips, label (if there is any) above prediction, in the colors of the readout."""
    classes = len(found.classes)
    strips: dict[str, Any] = {"predicted": found.predictions, "label": found.labels}
    if (found.labels == UNLABELED).all():
        del strips["label"]
    rows = np.stack([np.broadcast_to(row, len(time)) for row in strips.values()])
    cmap = ListedColormap([*colors, "white"])
    shown = np.where(rows == UNLABELED, classes, rows)
    _draw_image(panel, shown, time, cmap=cmap, vmin=-0.5, vmax=classes + 0.5)
    panel.set_yticks(range(len(rows)), list(strips))
    panel.grid(visible=False)
    look = {"ha": "center", "va": "center", "color": "white", "fontsize": 7, "clip_on": True}
    for y, row in enumerate(rows):  # the names of all that are long enough
        starts = np.flatnonzero(np.diff(row, prepend=-1))
        for start, end in zip(starts, [*starts[1:], len(row)], strict=True):
            if row[start] != UNLABELED and end - start > NAMED * len(row):
                panel.text(time[(start + end) // 2], y, found.classes[row[start]], **look)
