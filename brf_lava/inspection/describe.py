"""What a file is, in a few lines, and what differs between two networks."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from brf_lava.analysis.activity import CHUNK, run
from brf_lava.analysis.scores import class_scores, confusion
from brf_lava.config.profile import KINDS, parse_profile
from brf_lava.config.recipe import Recipe, parse_recipe
from brf_lava.config.toml import dotted, read_table
from brf_lava.data.dataset import Dataset
from brf_lava.errors import BrfLavaError, DataError
from brf_lava.inspection.subjects import Subject, find_subjects, known
from brf_lava.io.foreign import reading
from brf_lava.io.hdf5 import open_hdf5
from brf_lava.io.printable import brief
from brf_lava.io.text import parse_json, read_text
from brf_lava.network.layers import FixedLayer
from brf_lava.report import network_line

Lines = dict[str, Any]
READ = ".pt, .h5, .json, .jsonl, .toml"
REMEDY = f"Name a file that brf-lava writes or reads: {READ}."


def describe(path: Path) -> Lines:
    """Describe a file: its "kind", and more by name; all values can be written as JSON.

    Raises: BrfLavaError for a file of another kind, or one that is damaged.
    """
    if known(path):
        return describe_network(find_subjects([path], _no_data, 1)[0])
    readers = {".pt": _torch, ".json": _json, ".jsonl": _metrics, ".toml": _toml, ".h5": _hdf5}
    with reading(path, "a file of brf-lava", DataError, REMEDY):
        return readers[path.suffix](path)


def _no_data(*_: Any) -> Dataset:
    raise DataError("no data are read")


def describe_network(subject: Subject) -> Lines:
    """Describe a model, a network in integers or a run."""
    about, kinds = subject.about, {".pt": "model", ".h5": "network in integers", ".json": "run"}
    lines: Lines = {"kind": " and ".join(kinds[path.suffix] for path in subject.files)}
    if subject.ready is not None:
        lines["network"] = network_line(subject.ready)
    if bits := list(about.weight_bits):
        lines["integers"] = f"{about.rounding} rounding, weights of {shown(bits)} bits"
    lines |= {"task": about.task, "classes": list(about.classes)}
    lines |= {"data": about.data and about.data.description, "seed": about.seed}
    epochs = "" if about.epochs_done is None else f" of {about.epochs_done}"
    lines["origin"] = f"{about.origin}, epoch {about.epoch}{epochs}"
    if metrics := about.metrics:
        lines["float"] = f"accuracy {metrics.accuracy:.2%}, SOPs {metrics.sops_per_sample:.1f}"
    for result in subject.runs:
        equal = ", equal to the engine" if result.checked else ""
        scores = f"accuracy {result.accuracy:.2%}, SOPs {result.cost.sops:.1f}{equal}"
        lines[f"run on {result.backend}"] = f"{result.samples} samples: {scores}"
    return {**lines, "model": about.model, "files": [path.name for path in subject.files]}


def shown(value: Any) -> str:
    """A value of a description as text."""
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def _torch(path: Path) -> Lines:
    from brf_lava.train.checkpoint import read_torch_file, stored_recipe
    from brf_lava.train.trainer import STATE_FORMAT

    contents = read_torch_file(path)
    names = sorted(map(str, contents)) if isinstance(contents, dict) else []
    if "format" in names and contents["format"] == STATE_FORMAT:
        recipe, reports = stored_recipe(contents, path), contents.get("reports", [])
        done = f"{len(reports)} of {recipe.training.epochs} epochs"
        data = contents.get("data", {}).get("description")
        return {"kind": "interrupted training", "done": done, **_of_recipe(recipe), "data": data}
    if "model_state_dict" in names:
        return {"kind": "checkpoint of the reference code, for 'brf-lava import'", "entries": names}
    raise ValueError(f"a torch file of others, with {brief(names)}")


def _hdf5(path: Path) -> Lines:
    from brf_lava.ecg.records import FORMAT, load_prepared

    with open_hdf5(path) as file:
        if file.attrs.get("format") != FORMAT.encode():
            raise ValueError(f"an HDF5 file of others, with {brief(list(file))}")
    return {"kind": "prepared ECG records", "data": load_prepared(path).source.description}


def _json(path: Path) -> Lines:
    contents = parse_json(read_text(path, DataError, REMEDY), str(path), DataError, REMEDY)
    if contents["format"] != "brf-lava-reproduce":
        raise ValueError(f"format {brief(contents['format'])}")
    runs = [f"{run['task']} {run['neuron']} seed {run['seed']}" for run in contents["runs"]]
    return {"kind": "tables of 'brf-lava reproduce'", "runs": runs, "notes": contents["notes"]}


def _metrics(path: Path) -> Lines:
    from brf_lava.train.metrics import LIMITS, read_metrics

    values = read_metrics(path, tuple(LIMITS), REMEDY)
    last = {name.replace("_", " "): each[-1] for name, each in values.items() if each}
    return {"kind": "metrics, last epoch shown", "epochs": len(values["seconds"]), **last}


def _toml(path: Path) -> Lines:
    from brf_lava.board.describe import read_description
    from brf_lava.tasks.own import read_task

    text = read_text(path, DataError, REMEDY)
    table = read_table(text, str(path), DataError)
    if table.get("kind") in KINDS:
        profile: Any = parse_profile(text, str(path))
        return {"kind": f"profile of {profile.kind}", "board": getattr(profile, "board", "none")}
    if "task" in table:
        return {"kind": "recipe", **_of_recipe(parse_recipe(text, str(path)))}
    if "layer" in table:
        shape = read_description(path)
        return {"kind": "description of a network", "name": shape.name, "neurons": shape.neurons}
    task = read_task(path)
    sizes = f"{task.inputs} inputs, {task.steps} steps of {task.step_seconds:g} s"
    return {"kind": "task", "name": task.name, "sizes": sizes, "classes": list(task.classes)}


def _of_recipe(recipe: Recipe) -> Lines:
    layers = " - ".join(f"{each.neurons} {each.neuron}" for each in recipe.layers)
    used = recipe.training
    how = f"{used.optimizer}, learning rate {used.learning_rate:g}, {used.epochs} epochs"
    return {"task": recipe.task, "hidden layers": layers, "training": how}


class Difference(NamedTuple):
    """Something that is not the same in both networks."""

    what: str
    first: Any
    second: Any


def compare(first: Subject, second: Subject) -> tuple[list[Difference], str | None]:
    """List what differs, and why the networks were not run, where they were not."""
    tables = []
    for subject in (first, second):
        about = subject.about
        recipe = read_table(about.recipe, f"{subject.name} (stored recipe)", DataError)
        digest = about.data and about.data.fingerprint
        more = {"recipe": recipe, "data, SHA-256": digest, "versions": about.versions}
        tables.append(dotted({**describe_network(subject), **more}))
    ours, theirs = tables
    found = [
        Difference(what, ours.get(what), theirs.get(what))
        for what in dict.fromkeys((*ours, *theirs))
        if ours.get(what) != theirs.get(what) and what != "files"
    ]
    pairs = zip(first.layers, second.layers, strict=False)
    for number, (one, other) in enumerate(pairs, start=1):
        if isinstance(one, FixedLayer) and isinstance(other, FixedLayer):
            found += _integers(f"layer {number}", one, other)
    try:
        return [*found, *_answers(first, second)], None
    except BrfLavaError as error:
        return found, str(error)


def _integers(name: str, one: FixedLayer, other: FixedLayer) -> Iterator[Difference]:
    """How many integers of a layer differ, and by how much."""
    pairs: dict[str, Any] = {}
    for key, value in one.integers.items():
        pairs[key] = value, other.integers.get(key)
    for key in ("weights", "recurrent"):
        ours, theirs = getattr(one, key), getattr(other, key)
        if ours is not None and theirs is not None:
            pairs[f"{key}, in states"] = ours.integers, theirs.integers
    for key, (ours, theirs) in pairs.items():
        if np.shape(ours) != np.shape(theirs):
            yield Difference(f"{name} {key}, shape", list(np.shape(ours)), list(np.shape(theirs)))
        elif count := np.count_nonzero(ours != theirs):
            what = f"{name} {key}: {count} of {np.size(ours)} differ; largest magnitude"
            yield Difference(what, int(np.abs(ours).max()), int(np.abs(theirs).max()))


def _answers(first: Subject, second: Subject) -> Iterator[Difference]:
    """What they do on the same samples. Raises: BrfLavaError where they cannot be run."""
    if first.dataset.source.fingerprint != second.dataset.source.fingerprint:
        raise DataError("their data differ, so that they were not run on the same samples.")
    split, classes = first.split, first.dataset.classes
    recalls = []
    for subject in (first, second):
        predictions = list(subject.predictions.values())
        if not predictions or subject.ready is None:
            raise DataError(f"{subject.name}: name its model or network file, to run it.")
        matrix = confusion(subject.about.decision, split.y, predictions[-1], len(classes))
        recalls.append(class_scores(matrix)["recall"].round(4).tolist())
    for name, ours, theirs in zip(classes, *recalls, strict=True):
        if abs(ours - theirs) > 0:  # both are nan where the class has no label
            yield Difference(f"accuracy of class {name}", ours, theirs)
    if [layer.shape[0] for layer in first.layers] == [layer.shape[0] for layer in second.layers]:
        yield from _first_spike(first, second)


def _first_spike(first: Subject, second: Subject) -> Iterator[Difference]:
    """The earliest step of any sample in which a hidden neuron of one alone spikes."""
    found, samples, x = [], set(), first.split.x
    for start in range(0, len(x), CHUNK):
        part = x[start : start + CHUNK].transpose(1, 0, 2)
        networks: list[Any] = [first.ready, second.ready]
        spikes = zip(*(run(network, part)[1] for network in networks), strict=True)
        for layer, (ours, theirs) in enumerate(spikes, start=1):
            differ = np.argwhere((ours > 0) != (theirs > 0))  # step, sample, neuron; in order
            samples |= set((differ[:, 1] + start).tolist())
            for step, sample, neuron in differ[:1].tolist():
                fired = bool(ours[step, sample, neuron] > 0)
                found.append((step, start + sample, layer, neuron, fired))
    if found:
        step, sample, layer, neuron, fired = min(found)
        where = f"sample {sample}, step {step}, layer {layer}, neuron {neuron}"
        what = f"first differing spike ({len(samples)} samples have one): {where}"
        words = ("spike", "none")
        yield Difference(what, *(words if fired else words[::-1]))
