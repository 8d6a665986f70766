"""What a report says of each network, part by part.

A part yields its items: "text", "table" (headings, rows of cells), "figure", "signals", "code", and
"missing", which says what it needs to show more. An error, as for lack of data, ends it with that.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from hashlib import sha256
from itertools import chain
from math import pi
from typing import Any, NamedTuple, TypeVar

import numpy as np

from brf_lava.analysis.audit import value_ranges
from brf_lava.analysis.parameters import training
from brf_lava.analysis.raster import raster
from brf_lava.analysis.scores import class_scores, confusion, errors_per_sample
from brf_lava.analysis.stability import Resonators
from brf_lava.board import energy
from brf_lava.board.describe import NetworkShape
from brf_lava.board.energy import compare_with_dense
from brf_lava.board.fits import TITLES, place
from brf_lava.config.profile import Loihi2Profile
from brf_lava.ecg.spec import ECG
from brf_lava.errors import BrfLavaError, DataError
from brf_lava.export.dequantize import dequantize_layer
from brf_lava.inspection import figures
from brf_lava.inspection.describe import describe_network, shown
from brf_lava.inspection.subjects import Subject
from brf_lava.network.bounds import proof_lines
from brf_lava.network.decision import UNLABELED
from brf_lava.train.metrics import LIMITS, metrics_path, read_metrics

Item = tuple[str, Any]
T = TypeVar("T")
MODEL = "name the model, a .pt file, too."
NETWORK = "name the network in integers, a .h5 file, too."
BACKENDS = {"sim": "Lava", "loihi2": "Loihi 2"}
RANGE_SAMPLES = 32
UJ, MS, PJ = 1e-6, 1e-3, 1e-12  # in J and s
COLUMNS = (
    *("", "accuracy", "SOPs", "SOPs per step", "synaptic operations", "of dense MACs"),
    *("same as float", "saturations", "samples", "equal to the engine"),
)


class Cell(NamedTuple):
    """A cell of a table. shade: of its background, 0..1."""

    text: str
    shade: float


def parts(subject: Subject, board: Loihi2Profile, budget: int) -> list[tuple[str, list[Item]]]:
    """The titles and items of all parts about one network. budget: bytes of its signals."""
    makers: dict[str, Iterator[Item]] = {
        "What it is": about(subject),
        "Classes": classes(subject),
        "Over time": signals(subject, budget),
        "SOPs per neuron": neurons(subject),
        "omega and b_offset": parameters(subject),
        "Learning curves": curves(subject),
        "Ranges and integer formats": ranges(subject),
        "Energy": costs(subject, board),
        "Map": cores(subject, board),
        "Provenance": provenance(subject),
    }
    return [(title, list(_until_missing(items))) for title, items in makers.items()]


def _until_missing(items: Iterator[Item]) -> Iterator[Item]:
    try:
        yield from items
    except BrfLavaError as error:
        yield "missing", f"Left out: {error}"


def _need(value: T | None, remedy: str) -> T:
    if value is None:
        raise DataError(remedy)
    return value


def _optional(get: Callable[[], T]) -> T | None:
    try:
        return get()
    except BrfLavaError:
        return None


def overview(subjects: Sequence[Subject]) -> tuple[Sequence[str], list[list[str]]]:
    """A table with a row for each network as it was trained, and as integers on each backend."""
    rows = []
    for subject in subjects:
        name = f"{subject.name}: " if len(subjects) > 1 else ""
        rows += [[f"{name}{system}", *cells] for system, cells in _systems(subject)]
    return COLUMNS, rows


def _systems(subject: Subject) -> Iterator[tuple[str, list[str]]]:
    if metrics := subject.about.metrics:
        operations = ["", ""]
        if (layers := _optional(lambda: subject.float_spikes)) is not None:
            x = subject.split.x
            spikes = [np.count_nonzero(x) / len(x), *(float(layer.sum()) for layer in layers)]
            operations = _operations(subject.shapes, spikes, metrics.steps)
        cells = _scores(metrics.accuracy, metrics.sops_per_sample, metrics.steps)
        yield f"float, {metrics.device}", [*cells, *operations, "", "", f"{metrics.samples:,}", ""]
    runs: dict[str, tuple[Any, bool]] = {}
    if (here := _optional(lambda: subject.engine)) is not None:
        runs["engine"] = here[0], False
    for stored, checked in subject.runs:
        runs.setdefault(BACKENDS.get(stored.result.backend, "engine"), (stored.result, checked))
    for name, (result, checked) in runs.items():
        cells = _scores(result.accuracy, result.cost.sops, result.steps)
        shapes = [layer.shape for layer in result.layers]
        cells += _operations(shapes, _means(result), result.steps)
        cells.append("" if result.agreement is None else f"{result.agreement:.2%}")
        counts = [f"{result.saturations:,}", f"{result.samples:,}", "yes" if checked else ""]
        yield f"integers, {name}", [*cells, *counts]


def _scores(accuracy: float, sops: float, steps: int) -> list[str]:
    return [f"{accuracy:.2%}", f"{sops:,.1f}", f"{sops / steps:.3f}"]


def _means(result: Any) -> list[float]:
    """Spikes per sample, of the inputs and then of each layer. result: of a run."""
    return [result.inputs.mean, *(layer.spikes.mean for layer in result.layers)]


def _operations(shapes: Sequence[Any], spikes: Sequence[float], steps: int) -> list[str]:
    """Synaptic operations per sample, and their share of a dense network's; spikes: `_means`."""
    layers = zip(shapes, spikes, (*spikes[1:], 0.0), strict=False)
    synops = sum(each.synops(came, own) for each, came, own in layers)
    return [f"{synops:,.0f}", f"{synops / steps / sum(each.synapses for each in shapes):.1%}"]


def about(subject: Subject) -> Iterator[Item]:
    """What it is, in a few lines."""
    lines = describe_network(subject).items()
    yield "table", ((), [(name, shown(value)) for name, value in lines])
    for key, title in BACKENDS.items():
        if not any(stored.result.backend == key for stored, _ in subject.runs):
            how = f"name a run of 'brf-lava run --backend {key} --out RUN.json'"
            yield "missing", f"{title}: {how}."
    used = subject.dataset.source.description
    yield "text", f"Run for this page: {len(subject.split.x):,} test samples of {used}."
    if not subject.has_own_data:
        yield "missing", "These are not the data of the training; name those with --data."


def classes(subject: Subject) -> Iterator[Item]:
    """Confusion matrix, precision, recall and F1, of the float network and of the integers."""
    names = subject.dataset.classes
    yield "text", "Each row is a label; its cells say what share of it was predicted as what."
    for kind, predictions in subject.predictions.items():
        matrix = confusion(subject.about.decision, subject.split.y, predictions, len(names))
        shares = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
        scores = class_scores(matrix)
        rows: list[list[Any]] = []
        for k, name in enumerate(names):
            cells = [Cell(f"{share:.1%}", share) for share in shares[k].tolist()]
            numbers = [f"{score[k]:.3f}" for score in scores.values()]
            rows.append([name, *cells, *numbers, f"{matrix[k].sum():,}"])
        yield "table", ((f"{kind}: label", *names, *scores, "labels"), rows)
    if "integers" not in subject.predictions:
        yield "missing", f"Of the integers: {NETWORK}"


def signals(subject: Subject, budget: int) -> Iterator[Item]:
    """Samples over time, of which one is shown."""
    dataset, split, found = subject.dataset, subject.split, subject.predictions
    _need((subject.layers and found) or None, NETWORK)
    kind, predictions = list(found.items())[-1]
    errors = errors_per_sample(subject.about.decision, split.y, predictions)
    (steps, inputs), ends = split.x.shape[1:], (int(split.x.min()), int(split.x.max()))
    spikes = ends in ((0, 1), (0, 0)) or inputs > len(figures.COLORS)
    samples: list[dict[str, Any]] = []
    worst = np.argsort(-errors, kind="stable").tolist()  # and the first ones, in turn
    for number in dict.fromkeys(chain.from_iterable(zip(worst, range(len(worst)), strict=True))):
        network: Any = subject.ready
        one = raster(network, dataset, subject.about.decision, number)
        sample = {
            "number": number,
            "error": round(float(errors[number]), 4),
            "inputs": _text(np.packbits(one.x != 0) if spikes else split.x[number] - ends[0]),
            "spikes": [_text(np.packbits(layer)) for layer in one.spikes],
            "readout": _text(np.rint(255 * one.probabilities).T),
            "labels": _text(one.labels),
            "predicted": _text(one.predictions),
        }
        if one.signal is not None:
            heights = np.maximum(np.ptp(one.signal, axis=0), 1e-9)
            sample["trace"] = _text(np.rint(255 * (one.signal - one.signal.min(0)) / heights).T)
        samples.append(sample)
        budget -= (size := len(str(sample)))
        if budget < size:
            break
    hidden = [layer.shape[0] for layer in subject.layers[:-1]]
    yield "text", f"{len(samples)} of {len(errors)} samples, the worst included; answers: {kind}."
    if one.leads:
        late = f" Labels trail it by {one.delay} steps, which its colors allow for."
        yield "text", f"The signal is rebuilt from its level crossings and colored by label.{late}"
    sizes = {"steps": steps, "seconds": dataset.step_seconds, "inputs": inputs, "hidden": hidden}
    colors = figures.class_colors(len(dataset.classes))
    sent = {"raster": spikes, "low": ends[0], "scale": dataset.input_scale, "delay": one.delay}
    sent["lead"] = figures.LEAD
    named = {"classes": dataset.classes, "colors": colors, "unlabeled": UNLABELED}
    samples.sort(key=lambda each: int(each["number"]))
    yield "signals", {"samples": samples, **sizes, **sent, **named}
    channels = [f"{lead} {way}" for lead in one.leads for way in ("up", "down")]
    look = {"raster": spikes, "strips": max(split.y.shape[1], predictions.shape[1]) > 1}
    look |= {"leads": one.leads, "ends": [end * dataset.input_scale for end in ends]}
    channels = channels or [str(number) for number in range(inputs)]
    yield "figure", figures.time_panels(channels, hidden, dataset.classes, one.seconds, **look)


def _text(values: Any) -> str:
    return base64.b64encode(np.ascontiguousarray(values).astype(np.uint8).tobytes()).decode()


def neurons(subject: Subject) -> Iterator[Item]:
    """Spikes of each neuron."""
    both = subject.float_spikes, subject.engine[2] if subject.engine else None
    for index, layer in enumerate(both[1] or _need(both[0], NETWORK)):
        name, silent = f"hidden layer {index + 1}", np.count_nonzero(layer == 0)
        yield "text", f"{name}: {silent} of {len(layer)} neurons never spike."
        floats, integers = (each and each[index] for each in both)
        yield "figure", figures.spikes_per_neuron(floats, integers, name)
    if subject.model is None:
        yield "missing", f"Of the float network: {MODEL}"


def parameters(subject: Subject) -> Iterator[Item]:
    """omega and b_offset before and after training, and after rounding."""
    model, dataset = _need(subject.model, MODEL), subject.dataset
    found = training(model, dataset if subject.has_own_data else None, subject.name)
    for index, after in enumerate(found.after):
        states = {"before training": found.before[index]} if found.before else {}
        states |= {"after training": after}
        if subject.network is not None:
            states["after rounding"] = _rounded(subject, after)
        hertz = after.dt / (2 * pi * dataset.step_seconds)
        middle = float(np.median(after.omega)) * hertz
        beats = f", {60 * middle:.0f} beats a minute" if dataset.task == ECG.name else ""
        yield "text", f"Hidden layer {after.layer}: the median neuron is at {middle:.2f} Hz{beats}."
        steps = f"{after.dt / MS:g} ms, one of the data {dataset.step_seconds / MS:g} ms"
        yield "text", f"A step of the recipe is {steps}."
        yield "figure", figures.resonators(states, hertz)
    yield "text", f"{found.note[0].upper()}{found.note[1:]}."
    if subject.network is None:
        yield "missing", f"After rounding: {NETWORK}"


def _rounded(subject: Subject, after: Resonators) -> Resonators:
    """What the integers of a layer stand for."""
    network, real = _need(subject.network, NETWORK), _need(subject.real, MODEL)
    fixed, like = network.layers[after.layer - 1], real.layers[after.layer - 1]
    damping, omega = dequantize_layer(fixed, like.constants).coefficients
    inverse: Any = fixed.neuron.inverse
    pairs = zip(damping.tolist(), omega.tolist(), strict=True)
    offsets = [inverse(fixed.neuron.rule, pair, like.constants)[1] for pair in pairs]
    return replace(after, omega=omega, b_offset=np.abs(offsets), damping=damping)


def curves(subject: Subject) -> Iterator[Item]:
    """Learning curves, from the metrics next to the model."""
    models = [path for path in subject.files if path.suffix == ".pt"]
    metrics = metrics_path(_need(next(iter(models), None), MODEL))
    if not metrics.is_file():
        raise DataError(f"{metrics.name} next to the model is needed.")
    values = read_metrics(metrics, tuple(LIMITS), "It is written next to a model.")
    yield "text", f"{len(values['seconds'])} epochs in {sum(values['seconds']):,.0f} s."
    for key, label in (("loss", "loss per sample"), ("accuracy",) * 2, ("sops", "SOPs per sample")):
        yield (
            "figure",
            figures.learning_curves(values, label, (f"train_{key}", f"validation_{key}")),
        )


def ranges(subject: Subject) -> Iterator[Item]:
    """Values against what their integers hold."""
    network = _need(subject.network, NETWORK)
    yield from (("text", line) for line in proof_lines(network))
    x = subject.split.first(RANGE_SAMPLES).time_major()
    yield "figure", figures.ranges(value_ranges(_need(subject.real, MODEL), network, x))


def costs(subject: Subject, board: Loihi2Profile) -> Iterator[Item]:
    """Energy: without and with memory, next to a dense network, and estimated for a board."""
    result: Any = subject.runs[0][0].result if subject.runs else _need(subject.engine, NETWORK)[0]
    shape = NetworkShape(str(subject.about.task), tuple(e.shape for e in result.layers))
    found = compare_with_dense(shape, result.steps, _means(result))
    rows = {
        "spike count proxy, no memory": found.proxy,
        "spiking, memory included": found.spiking,
        "dense network of the same bits": found.dense,
    }
    cells = [(name, f"{value * PJ / UJ:,.4g}") for name, value in rows.items()]
    yield "table", (("45 nm, Horowitz 2014", "uJ per sample"), cells)
    times = (
        f"{found.spiking / found.dense:.2f} times the energy of a dense network of the same bits"
    )
    yield "text", f"This network does {found.share:.1%} of all synaptic operations: {times}."
    less = f"Up to {found.crossover:.1%} it would need less than the dense one."
    yield "text", less if found.crossover > 0 else "Its neurons alone need more than that."
    yield "figure", figures.energy_over_spikes(found)
    placement = place(shape, board)
    placement.require_fit(subject.name)
    peaks = [float(each.peak) for each in (result.inputs, *(e.spikes for e in result.layers))]
    cost = energy.estimate(placement, result.steps, _means(result), peaks)
    yield (
        "text",
        f"Estimate for {board.board}, not measured: {_range(cost.dynamic, UJ)} uJ dynamic, "
        f"{_range(cost.static, UJ)} uJ static, {_range(cost.seconds, MS)} ms per sample. No energy "
        "of Loihi 2 is public; two sets of constants of Loihi 1 stand in.",
    )
    groups = cost.energies.values()
    table = [
        (
            name,
            f"{count:,.0f}",
            *(_range(each[name], UJ) if name in each else "" for each in groups),
        )
        for name, count in cost.counts.items()
    ]
    together = ("together", "", *(_range(energy.total(each.values()), UJ) for each in groups))
    headings = ("operations", "per sample", *(f"uJ, {group}" for group in cost.energies))
    yield "table", (headings, [*table, together])


def _range(value: energy.Range, unit: float) -> str:
    low, high = f"{value.low / unit:,.3g}", f"{value.high / unit:,.3g}"
    return low if low == high else f"{low} to {high}"


def cores(subject: Subject, board: Loihi2Profile) -> Iterator[Item]:
    """How the network is divided over cores."""
    _need(subject.layers or None, NETWORK)
    placement = place(NetworkShape(str(subject.about.task), subject.shapes), board)
    rows = []
    for number, split in enumerate(placement.splits, start=1):
        layer, name = split.layer, f"{number} {split.layer.neuron}"
        sizes = (f"{size:,}" for size in (layer.neurons, layer.synapses, split.parts))
        rows.append((f"{name} recurrent" if layer.recurrent else name, *sizes, split.reason))
    yield "table", (("layer", "neurons", "synapses", "cores", "why not fewer"), rows)
    placement.require_fit(subject.name)
    fullest = zip(TITLES, placement.utilization.max(axis=0).tolist(), strict=True)
    shares = [(name, Cell(f"{share:.1%}", share)) for name, share in fullest]
    yield "table", (("of a core", "fullest core"), shares)
    yield "text", f"Fits {board.board}: cores {placement.cores:,}, chips {placement.chips:,}."


def provenance(subject: Subject) -> Iterator[Item]:
    """Digests, versions and the recipe."""
    about = subject.about
    digests = {path.name: sha256(path.read_bytes()).hexdigest() for path in subject.files}
    digests["parameters of the model"] = str(about.model)
    digests["data of the training"] = str(about.data and about.data.fingerprint)
    rows = [(name, f"SHA-256 {digest}") for name, digest in digests.items()]
    for what, versions in about.versions.items():
        rows.append((f"versions, {what}", ", ".join(f"{k} {v}" for k, v in versions.items())))
    yield "table", ((), rows)
    yield "code", about.recipe
