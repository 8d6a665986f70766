"""What a file is, in a few lines: any file that brf-lava writes or reads."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from brf_lava.config.profile import KINDS, parse_profile
from brf_lava.config.recipe import Recipe, parse_recipe
from brf_lava.config.toml import read_table
from brf_lava.data.dataset import Dataset
from brf_lava.errors import DataError
from brf_lava.inspection.subjects import Subject, find_subjects, known
from brf_lava.io.foreign import reading
from brf_lava.io.hdf5 import open_hdf5
from brf_lava.io.printable import brief
from brf_lava.io.text import parse_json, read_text
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
    with reading(path, f"one of {READ}", DataError, REMEDY):
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
        lines["integers"] = f"{about.rounding} rounding, weights of {bits} bits"
    lines |= {"task": about.task, "classes": list(about.classes)}
    lines |= {"data": about.data and about.data.description, "seed": about.seed}
    epochs = "" if about.epochs_done is None else f" of {about.epochs_done}"
    lines["origin"] = f"{about.origin}, epoch {about.epoch}{epochs}"
    if metrics := about.metrics:
        lines["float"] = f"accuracy {metrics.accuracy:.2%}, SOPs {metrics.sops_per_sample:.1f}"
    for stored, checked in subject.runs:
        result, equal = stored.result, ", equal to the engine" if checked else ""
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
    return {"kind": "torch file of others", "entries": names or type(contents).__name__}


def _hdf5(path: Path) -> Lines:
    from brf_lava.ecg.records import FORMAT, load_prepared

    arrays: Lines = {}
    with open_hdf5(path) as file:
        if file.attrs.get("format") == FORMAT.encode():
            return {"kind": "prepared ECG records", "data": load_prepared(path).source.description}
        file.visititems(lambda name, item: arrays.update({name: _array(item)}))
    return {"kind": "arrays in HDF5", **{name: text for name, text in arrays.items() if text}}


def _array(values: Any) -> str:
    return f"{values.dtype} {list(values.shape)}" if hasattr(values, "dtype") else ""


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
