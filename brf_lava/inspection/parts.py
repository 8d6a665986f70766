"""What a report says of each network, part by part.

A part yields its items: "text", "table" (headings, rows of cells; a cell is a text, or a text with
the shade of its background, 0..1), "figure", "signals", "code", and "missing", which says what it
needs to show more. An error, as for lack of data, ends it with that.
"""

from __future__ import annotations

import base64
import zlib
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from hashlib import sha256
from itertools import chain
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from brf_lava.analysis.audit import value_ranges
from brf_lava.analysis.raster import raster
from brf_lava.analysis.resonators import Resonators, training
from brf_lava.analysis.scores import class_scores, confusion, errors_per_sample
from brf_lava.board import energy
from brf_lava.board.describe import NetworkShape
from brf_lava.board.fits import LAYER_COLUMNS, TITLES, Placement, layer_rows, place
from brf_lava.config.profile import Loihi2Profile
from brf_lava.ecg.spec import ECG
from brf_lava.errors import BrfLavaError, DataError, DoesNotFitError
from brf_lava.export.dequantize import dequantize_layer
from brf_lava.inspection import figures
from brf_lava.inspection.describe import describe_network, shown
from brf_lava.inspection.subjects import Subject
from brf_lava.network.bounds import proof_lines
from brf_lava.network.decision import UNLABELED
from brf_lava.report import network_line
from brf_lava.train.metrics import LIMITS, metrics_path, read_metrics

Item = tuple[str, Any]
T = TypeVar("T")
MODEL = "name the model, a .pt file, too."
NETWORK = "name the network in integers, a .h5 file, too."
RANGE_SAMPLES = 32
UJ, MS, PJ = 1e-6, 1e-3, 1e-12  # in J and s
COLUMNS = (
    *("", "accuracy", "SOPs", "SOPs per step", "synaptic operations", "of dense"),
    *("same as float", "saturations", "samples", "equal to the engine"),
)


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


def heading(subjects: Sequence[Subject]) -> str:
    """What the page is about: the task, and the network or how many there are."""
    tasks = dict.fromkeys(Path(each.about.task or "no task").stem for each in subjects)
    one, *more = subjects
    alone = one.name if one.ready is None else network_line(one.ready)
    return f"{', '.join(tasks)}: {f'{len(subjects)} networks' if more else alone}"


def verdict(subject: Subject, board: Loihi2Profile) -> Iterator[str]:
    """One network in a few sentences, for who reads no further."""
    about, runs, best = subject.about, _results(subject), _largest(subject)
    of = "steps" if about.decision.prediction == "each-step" else "samples"
    floats = best.reference if best else about.metrics
    if floats and about.data:
        data = about.data.description.partition(": ")[0]
        yield f"As trained, it is right in {floats.accuracy:.2%} of the test {of} of {data}."
    if best is None:
        return
    if any(best.per_sample.get("counted", [1])):
        bits = " and ".join(map(str, sorted(set(about.weight_bits)))) or "unknown"
        same = "" if subject.stored is None else ", other than the trained one was measured on"
        if floats and best.agreement is not None:
            same = f", and answers like the trained one in {best.agreement:.2%}"
        right = f"right in {best.accuracy:.2%} of {best.samples:,} samples{same}"
        yield f"In integers, weights of {bits} bits, it is {right}."
    for name, run in runs.items():
        if run.checked:
            equal = "the same as the engine, in every spike and every output"
            yield f"{name} computed {equal} of {run.samples:,} samples."
    sent = f"It sends {best.cost.sops:,.1f} hidden spikes a sample"
    with suppress(DoesNotFitError):
        placement, cost = _estimate(subject, best, board)
        needs = f"{cost.dynamic.shown(UJ)} uJ dynamic and {cost.seconds.shown(MS)} ms"
        where = f"the Loihi 2 board {board.board} (cores: {placement.cores:,})"
        sent += f", and would take {needs} on {where}: an estimate, with constants of Loihi 1"
    yield f"{sent}."


def overview(subjects: Sequence[Subject]) -> tuple[Sequence[str], list[list[str]]]:
    """A table with a row for each network as it was trained, and as integers on each backend."""
    rows = []
    for subject in subjects:
        name = f"{subject.name}: " if len(subjects) > 1 else ""
        rows += [[f"{name}{system}", *cells] for system, cells in _systems(subject)]
    return COLUMNS, rows


def _systems(subject: Subject) -> Iterator[tuple[str, list[str]]]:
    if metrics := subject.about.metrics:
        spikes: list[float] = []
        with suppress(BrfLavaError):
            x, layers = subject.split.x, _need(subject.float_spikes, MODEL)
            spikes = [np.count_nonzero(x) / len(x), *(float(layer.sum()) for layer in layers), 0.0]
        cells = _measures(metrics, metrics.sops_per_sample, subject.shapes, spikes)
        yield f"float, {metrics.device}", [*cells, "", "", f"{metrics.samples:,}", ""]
    for name, run in _results(subject).items():
        cells = _measures(run, run.cost.sops, [layer.shape for layer in run.layers], _means(run))
        same = "" if run.agreement is None else f"{run.agreement:.2%}"
        counts = [f"{run.saturations:,}", f"{run.samples:,}", "yes" if run.checked else ""]
        yield f"integers, {name}", [*cells, same, *counts]


def _results(subject: Subject) -> dict[str, Any]:
    """What the integers did, by backend: computed here, where that can be, and as named."""
    found: dict[str, Any] = {}
    with suppress(BrfLavaError):
        found["engine"] = _need(subject.engine, NETWORK)[0]
    names = {"sim": "Lava", "loihi2": "Loihi 2"}
    return found | {names.get(run.backend, "engine"): run for run in subject.runs}


def _largest(subject: Subject) -> Any:
    """The result over the most samples; None where there is none."""
    return max(_results(subject).values(), key=lambda run: run.samples, default=None)


def _shape(subject: Subject, run: Any) -> NetworkShape:
    """The network's sizes, of a result."""
    return NetworkShape(str(subject.about.task), tuple(layer.shape for layer in run.layers))


def _estimate(
    subject: Subject, run: Any, board: Loihi2Profile
) -> tuple[Placement, energy.Estimate]:
    """Where the network would be on a board, and its cost there. Raises: DoesNotFitError."""
    placement = place(_shape(subject, run), board)
    placement.require_fit(subject.name)
    peaks = [float(each.peak) for each in (run.inputs, *(e.spikes for e in run.layers))]
    return placement, energy.estimate(placement, run.steps, _means(run), peaks)


def _means(run: Any) -> list[float]:
    """Spikes per sample, of the inputs and then of each layer."""
    return [run.inputs.mean, *(layer.spikes.mean for layer in run.layers)]


def _measures(found: Any, sops: float, shapes: Sequence[Any], spikes: Sequence[float]) -> list[str]:
    """Accuracy, SOPs, synaptic operations and their share of all. spikes: `_means`, or empty."""
    operations = ["", ""]
    if spikes:
        work = energy.compare_with_dense(NetworkShape("", tuple(shapes)), found.steps, spikes)
        operations = [f"{work.synops:,.0f}", f"{work.share:.1%}"]
    return [f"{found.accuracy:.2%}", f"{sops:,.1f}", f"{sops / found.steps:.3f}", *operations]


def about(subject: Subject) -> Iterator[Item]:
    """What it is, in a few lines."""
    lines = describe_network(subject).items()
    yield "table", ((), [(name, shown(value)) for name, value in lines])
    samples, source = len(subject.split.x), subject.dataset.source
    yield "text", f"Run for this page: {samples:,} test samples of {source.description}."
    if not subject.has_own_data:
        yield "missing", "These are not the data of the training; name those with --data."


def classes(subject: Subject) -> Iterator[Item]:
    """Confusion matrix, precision, recall and F1, of the float network and of the integers."""
    names = subject.dataset.classes
    yield "text", "Each row is a label; its cells say what share of it was predicted as what."
    for kind, predictions in subject.predictions.items():
        matrix = confusion(subject.about.decision, subject.split.y, predictions, len(names))
        labels = matrix.sum(axis=1)
        shares = (matrix / np.maximum(labels[:, None], 1)).tolist()
        scores = class_scores(matrix)
        rows = [
            [
                name,
                *((f"{share:.1%}", share) for share in shares[k]),
                *(f"{score[k]:.3f}" for score in scores.values()),
                f"{labels[k]:,}",
            ]
            for k, name in enumerate(names)
        ]
        yield "table", ((f"{kind}: label", *names, *scores, "labels"), rows)
    if "integers" not in subject.predictions:
        yield "missing", f"Without the integers; {NETWORK}"


def signals(subject: Subject, budget: int) -> Iterator[Item]:
    """Samples over time, of which one is shown."""
    dataset, split, decision = subject.dataset, subject.split, subject.about.decision
    network: Any = _need(subject.ready, NETWORK)
    kind = "integers" if "integers" in subject.predictions else "float"
    predictions: Any = _need(subject.predictions.get(kind), NETWORK)
    errors = errors_per_sample(decision, split.y, predictions)
    low, high = int(split.x.min()), int(split.x.max())
    spikes = (low, high) in ((0, 1), (0, 0)) or split.x.shape[2] > len(figures.COLORS)
    samples: list[dict[str, Any]] = []
    worst = np.argsort(-errors, kind="stable").tolist()  # and the first ones, in turn
    for number in dict.fromkeys(chain.from_iterable(zip(worst, range(len(worst)), strict=True))):
        one = raster(network, dataset, decision, number)
        trace: Any = one.signal
        if trace is not None:
            heights = np.maximum(np.ptp(trace, axis=0), 1e-9)
            trace = np.rint(255 * (trace - trace.min(0)) / heights).T
        sample = {
            "number": number,
            "error": round(float(errors[number]), 4),
            "inputs": _text(np.packbits(one.x != 0) if spikes else split.x[number] - low),
            "spikes": [_text(np.packbits(layer)) for layer in one.spikes],
            "readout": _text(np.rint(255 * one.probabilities).T),
            "labels": _text(one.labels),
            "predicted": _text(one.predictions),
            "trace": _text([] if trace is None else trace),
        }
        samples.append(sample)
        budget -= (size := len(str(sample)))
        if budget < size:
            break
    yield "text", f"{len(samples)} of {len(errors)} samples, the worst included; answers: {kind}."
    if one.leads:
        yield "text", "The signal is rebuilt from its level crossings and colored by label."
        if one.delay:
            yield "text", f"Labels trail it by {one.delay} steps, which its colors allow for."
    ends = None if spikes else (low * dataset.input_scale, high * dataset.input_scale)
    panels = figures.time_panels(one, ends)
    (steps, inputs), hidden = one.x.shape, [layer.shape[1] for layer in one.spikes]
    sizes = {"steps": steps, "seconds": one.step_seconds, "inputs": inputs, "hidden": hidden}
    how = {"raster": spikes, "low": low, "scale": dataset.input_scale, "delay": one.delay}
    colors = figures.class_colors(len(one.classes))
    named = {"classes": one.classes, "colors": colors, "unlabeled": UNLABELED}
    samples.sort(key=lambda each: int(each["number"]))
    look = {"figure": panels.id, "lead": figures.LEAD}
    yield "signals", {"samples": samples, **sizes, **how, **named, **look}
    yield "figure", panels


def _text(values: Any) -> str:
    """Bytes as a text that is also compressed."""
    content = np.ascontiguousarray(values).astype(np.uint8).tobytes()
    return base64.b64encode(zlib.compress(content, 9)).decode()


def neurons(subject: Subject) -> Iterator[Item]:
    """Spikes of each neuron."""
    both = subject.float_spikes, subject.engine[2] if subject.engine else None
    for index, layer in enumerate(both[1] or _need(both[0], NETWORK)):
        name, silent = f"hidden layer {index + 1}", np.count_nonzero(layer == 0)
        yield "text", f"{name}: {silent} of {len(layer)} neurons never spike."
        floats, integers = (each and each[index] for each in both)
        yield "figure", figures.spikes_per_neuron(floats, integers, name)
    if subject.model is None:
        yield "missing", f"Without the float network; {MODEL}"


def parameters(subject: Subject) -> Iterator[Item]:
    """omega and b_offset before and after training, and after rounding."""
    model, dataset = _need(subject.model, MODEL), subject.dataset
    found = training(model, dataset if subject.has_own_data else None, subject.name)
    for index, after in enumerate(found.after):
        states = {"before training": found.before[index]} if found.before else {}
        states |= {"after training": after}
        if subject.network is not None:
            states["after rounding"] = _rounded(subject, after)
        hertz = after.hertz(dataset.step_seconds)
        middle = float(np.median(after.omega)) * hertz
        beats = f", {60 * middle:.0f} beats a minute" if dataset.task == ECG.name else ""
        yield "text", f"Hidden layer {after.layer}: the median neuron is at {middle:.2f} Hz{beats}."
        steps = f"{after.dt / MS:g} ms, one of the data {dataset.step_seconds / MS:g} ms"
        yield "text", f"A step of the recipe is {steps}."
        yield "figure", figures.resonators(states, hertz)
    yield "text", f"{found.note[0].upper()}{found.note[1:]}."
    if subject.network is None:
        yield "missing", f"Without the values after rounding; {NETWORK}"


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
        pair = {half: values[f"{half}_{key}"] for half in ("train", "validation")}
        yield "figure", figures.learning_curves(pair, label)


def ranges(subject: Subject) -> Iterator[Item]:
    """Values against what their integers hold."""
    network = _need(subject.network, NETWORK)
    yield from (("text", line) for line in proof_lines(network))
    x = subject.split.first(RANGE_SAMPLES).time_major()
    yield "figure", figures.ranges(value_ranges(_need(subject.real, MODEL), network, x))


def costs(subject: Subject, board: Loihi2Profile) -> Iterator[Item]:
    """Energy: without and with memory, next to a dense network, and estimated for a board."""
    run: Any = _need(_largest(subject), NETWORK)
    found = energy.compare_with_dense(_shape(subject, run), run.steps, _means(run))
    rows = {
        "spike count proxy, no memory": found.proxy,
        "spiking, memory included": found.spiking,
        "dense network of the same bits": found.dense,
    }
    cells = [(name, f"{value * PJ / UJ:,.4g}") for name, value in rows.items()]
    yield "table", (("45 nm, Horowitz 2014", "uJ per sample"), cells)
    less = "Updating its neurons alone takes more than the dense one."
    if found.crossover > 0:
        less = f"With at most {found.crossover:.1%} of them it would need less than the dense one."
    yield "text", f"It does {found.share:.1%} of all synaptic operations. {less}"
    yield "figure", figures.energy_over_spikes(found)
    _, cost = _estimate(subject, run, board)
    yield (
        "text",
        f"Estimate for {board.board}, not measured: {cost.dynamic.shown(UJ)} uJ dynamic, "
        f"{cost.static.shown(UJ)} uJ static, {cost.seconds.shown(MS)} ms per sample. No energy "
        "of Loihi 2 is public; two sets of constants of Loihi 1 stand in.",
    )
    groups = (f"uJ, {group}" for group in cost.energies)
    yield "table", (("operations", "per sample", "per step", *groups), energy.rows(cost, run.steps))


def cores(subject: Subject, board: Loihi2Profile) -> Iterator[Item]:
    """How the network is divided over cores."""
    _need(subject.ready, NETWORK)
    placement = place(NetworkShape(str(subject.about.task), subject.shapes), board)
    yield "table", (LAYER_COLUMNS, layer_rows(placement))
    placement.require_fit(subject.name)
    fullest = zip(TITLES, placement.utilization.max(axis=0).tolist(), strict=True)
    shares = [(name, (f"{share:.1%}", share)) for name, share in fullest]
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
