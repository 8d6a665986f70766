"""The runs in a folder: where their files are, and what a finished run says about itself."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from brf_lava.config.recipe import Recipe
from brf_lava.config.toml import to_toml
from brf_lava.data.dataset import DataSource
from brf_lava.errors import BrfLavaError, CheckpointError, DataError
from brf_lava.reproduce.published import PUBLISHED
from brf_lava.reproduce.steps import RunFolder
from brf_lava.run.stored import read_file
from brf_lava.tasks.registry import is_permuted
from brf_lava.train.checkpoint import Checkpoint, load_checkpoint
from brf_lava.train.metrics import read_metrics

REMEDY = "Put back what this run wrote, or start it over with 'brf-lava reproduce --restart'."


@dataclass(eq=False)
class Run:
    """A run that is planned or finished: where it is, and what it trains on which data."""

    folder: RunFolder
    recipe: Recipe
    data: DataSource


@dataclass(eq=False)
class RunRecord(Run):
    """A finished run, and what ``results.json`` says about it."""

    values: dict[str, Any]


def run_folders(out: Path) -> list[RunFolder]:
    """Return all runs in `out`, finished or not, in the order of the tables."""
    folders = []
    for task, neuron in PUBLISHED:
        cell = RunFolder(out, task, neuron, 0).path.parent
        variants = ["", *sorted(path.name for path in cell.glob("*=*"))]
        for variant in variants:
            seeds = [path.name.removeprefix("seed-") for path in (cell / variant).glob("seed-*")]
            numbers = sorted(int(seed) for seed in seeds if seed.isdecimal())
            folders += [RunFolder(out, task, neuron, number, variant) for number in numbers]
    return folders


def read_record(folder: RunFolder) -> RunRecord:
    """Read a complete run.

    Raises: CheckpointError, DataError for a file that is damaged or belongs to another run.
    """
    checkpoint, epochs = read_training(folder)
    stored = read_file(folder.result, REMEDY)
    metrics, measured = checkpoint.metrics, stored.result
    tested = checkpoint.fingerprint, checkpoint.data.fingerprint, metrics.samples
    if (stored.network.model, stored.data.fingerprint, measured.samples) != tested:
        raise DataError(
            f"{folder.result}: is of another model, or of other samples than {folder.model.name} "
            f"next to it was tested on. {REMEDY}"
        )
    values = {
        **folder.as_dict(),
        "parameters": sum(value.numel() for value in checkpoint.model().parameters()),
        "epoch": checkpoint.epoch,  # the one that was kept, from 1
        "epochs": checkpoint.epochs_done,
        "accuracy": metrics.accuracy,  # of the float network on the test split, as what follows
        "sops": metrics.sops_per_sample,
        "loss": metrics.loss,
        "steps": metrics.steps,
        "samples": metrics.samples,
        "device": metrics.device,
        "seconds": sum(epochs["seconds"]),
        "validation_accuracy": epochs["validation_accuracy"],  # of every epoch
        "integer": {
            "backend": measured.backend,
            "accuracy": measured.accuracy,
            "sops": measured.cost.sops,
            "agreement": measured.agreement,
            "saturations": measured.saturations,
        },
        "permuted": checkpoint.permutation is not None,
        "data": asdict(checkpoint.data),
        "recipe": checkpoint.recipe.text,
        "versions": checkpoint.versions,
    }
    return RunRecord(folder, checkpoint.recipe, checkpoint.data, values)


def read_training(folder: RunFolder) -> tuple[Checkpoint, dict[str, list[float]]]:
    """Read the model of a finished training, and the metrics of every epoch.

    Raises: as `read_record`.
    """
    try:
        checkpoint = load_checkpoint(folder.model)
    except CheckpointError as error:
        raise CheckpointError(f"{error} {REMEDY}") from error
    task, neuron, seed = checkpoint.recipe.task, checkpoint.recipe.neuron_names, checkpoint.seed
    if (task, neuron, seed) != (*folder.cell, folder.seed):
        what = f"task {task}, neuron {neuron}, seed {seed}; its folder is for {folder.name}"
        raise CheckpointError(f"{folder.model}: is of {what}. {REMEDY}")
    epochs = read_metrics(folder.metrics, ("seconds", "validation_accuracy"), REMEDY)
    count = len(epochs["seconds"])
    if count != checkpoint.epochs_done:
        raise DataError(
            f"{folder.metrics}: {count} epochs, but the model was trained for "
            f"{checkpoint.epochs_done}. {REMEDY}"
        )
    return checkpoint, epochs


def differences(recipe: Recipe, other: Recipe) -> list[str]:
    """The values in which a recipe differs from another, as ``training.epochs = 2, not 400``."""
    left, right = dict(_values(recipe.table)), dict(_values(other.table))
    return [
        f"{key} = {left.get(key, 'nothing')}, not {right.get(key, 'nothing')}"
        for key in dict.fromkeys((*left, *right))
        if left.get(key) != right.get(key)
    ]


def _values(table: dict[str, Any], prefix: str = "") -> Iterable[tuple[str, str]]:
    """The dotted keys of a recipe, and their values as TOML."""
    for key, value in table.items():
        if isinstance(value, tuple) and isinstance(value[0], dict):  # of each layer
            value = {str(number): part for number, part in enumerate(value, start=1)}
        if isinstance(value, dict):
            yield from _values(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", to_toml(value)


def check_alike(runs: Iterable[Run]) -> None:
    """Refuse a mean over runs that differ in more than their seed, and a ratio between data.

    Steps of a permuted task are in an order of their own for each seed, so only the kinds of its
    data are compared.

    Raises:
        BrfLavaError: Names the folder of a run that differs from the first one of its kind.
    """
    recipes: dict[str, Recipe] = {}
    sources: dict[str, DataSource] = {}
    for run in runs:
        task, data = run.folder.cell[0], run.data
        what = differences(run.recipe, recipes.setdefault(run.folder.row, run.recipe))
        source = sources.setdefault(task, data)
        permuted = is_permuted(task) and data.kind == source.kind
        if not permuted and data.fingerprint != source.fingerprint:
            what.append(f"data {data.description}, not {source.description}")
        if what:
            raise BrfLavaError(
                f"{run.folder.path}: is of another experiment ({'; '.join(what)}), and would get "
                "into the same tables. Name another --out, change --set or --epochs, or move this "
                "folder elsewhere."
            )
