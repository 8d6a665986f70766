"""The runs of a folder: what is asked for, what of it remains, and what a finished one says."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from itertools import groupby, product
from pathlib import Path
from typing import Any

from brf_lava.config.recipe import Recipe, override, published_recipe, recipe_for
from brf_lava.config.toml import dotted, to_toml
from brf_lava.data.dataset import Dataset, DataSource
from brf_lava.errors import BrfLavaError, CheckpointError, DataError, RecipeError
from brf_lava.reproduce.published import PUBLISHED
from brf_lava.reproduce.steps import RESUME, TRAIN, RunFolder
from brf_lava.run.stored import read_file
from brf_lava.tasks.registry import is_permuted
from brf_lava.train.checkpoint import Checkpoint, load_checkpoint, read_archive, stored_recipe
from brf_lava.train.metrics import read_metrics
from brf_lava.train.trainer import STATE_FORMAT, in_order

Cell = tuple[str, str]  # task and neuron
Row = tuple[str, str, str]  # and, of a grid, the changes
METRICS = ("accuracy", "loss", "steps", "samples", "device")  # of the float network on test data
INTEGER = ("backend", "accuracy", "agreement", "saturations")
REMEDY = "Put back what this run wrote, or start it over with 'brf-lava reproduce --restart'."


@dataclass(eq=False)
class Run:
    """A run: where it is, what it trains on which data, and how far it is.

    step: the first that remains; None: it is done. problem: why it failed, if it did. number: of
    its job on a cluster. said: what was said of it last. values: of a finished one, what
    ``results.json`` says about it.
    """

    folder: RunFolder
    recipe: Recipe
    data: DataSource
    step: str | None = None
    problem: str | None = None
    number: str | None = None
    said: tuple[str, int] = ("", 0)
    values: dict[str, Any] = field(default_factory=dict)

    @property
    def epochs(self) -> int:
        return self.recipe.training.epochs


def recipes_for(
    cells: Iterable[Cell],
    changes: Sequence[str],
    grid: Sequence[Sequence[str]] = (),
    published: bool = False,
) -> dict[Row, Recipe]:
    """Return the shipped recipes, or the published settings, with these changes.

    grid: the changes of each key that a sweep takes one by one; all combinations are made.
    Raises: RecipeError as `recipe.override`, and for a change of the task or the neuron.
    """
    base = published_recipe if published else recipe_for
    recipes = {
        (*cell, ",".join(point)): override(base(*cell), (*changes, *point))
        for cell in cells
        for point in product(*grid)
    }
    for (task, neuron, _), recipe in recipes.items():
        if (recipe.task, recipe.neuron_names) != (task, neuron):
            raise RecipeError(
                f"reproduce: --set makes {task}-{neuron.lower()} a recipe of task {recipe.task}, "
                f"neuron {recipe.neuron_names}. Name tasks as arguments, neurons with --neurons."
            )
    return recipes


def plan(
    recipes: Mapping[Row, Recipe],
    seeds: int,
    out: Path,
    load: Callable[[str], Dataset],
    restart: bool,
) -> list[Run]:
    """Return all runs asked for, so many seeds of each recipe, with what remains of each.

    load: returns a task's data. restart: start over what is damaged, or of another recipe or other
    data. Raises: BrfLavaError for such a run otherwise, and as `check_alike`.
    """
    jobs = []
    for task, rows in groupby(recipes, lambda row: row[0]):
        dataset = load(task)  # one at a time: they may be large
        for row, seed in product(rows, range(seeds)):
            folder, recipe = RunFolder(out, *row[:2], seed, row[2]), recipes[row]
            source = in_order(dataset, recipe, seed).source
            try:
                step = remaining(folder, recipe, source)
            except BrfLavaError:
                if not restart:
                    raise
                step = TRAIN
            jobs.append(Run(folder, recipe, source, step))
        del dataset
    asked = {job.folder.path for job in jobs}  # the tables are of all runs, of others, too
    others = [each for each in run_folders(out) if each.path not in asked]
    check_alike([*jobs, *(read_record(each) for each in others if each.next_step is None)])
    return jobs


def remaining(folder: RunFolder, recipe: Recipe, source: DataSource) -> str | None:
    """Return the first step of a run that is still to be done.

    Raises: BrfLavaError if its files are damaged, or it is of another recipe or other data.
    """
    step = folder.next_step
    if step == TRAIN:
        return step
    if step == RESUME:
        state = read_archive(folder.state, STATE_FORMAT)
        found, data = stored_recipe(state, folder.state), DataSource(**state["data"])
        seed = state["seed"]
    else:
        checkpoint, _ = read_training(folder)  # before work that would be in vain
        found, data, seed = checkpoint.recipe, checkpoint.data, checkpoint.seed
    what = differences(found, recipe)
    if seed != folder.seed:
        what.append(f"seed {seed}, not {folder.seed}")
    if data.fingerprint != source.fingerprint:
        what.append(f"data {data.description}, not {source.description}")
    if what:
        raise BrfLavaError(
            f"{folder.path}: holds another run than the one asked for ({'; '.join(what)}). Name "
            "another --out, or start it over with --restart."
        )
    if step is None:
        read_record(folder)
    return step


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


def read_record(folder: RunFolder) -> Run:
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
        **{name: getattr(metrics, name) for name in METRICS},
        "sops": metrics.sops_per_sample,
        "seconds": sum(epochs["seconds"]),
        "validation_accuracy": epochs["validation_accuracy"],  # of every epoch
        "integer": {
            **{name: getattr(measured, name) for name in INTEGER},
            "sops": measured.cost.sops,
        },
        "permuted": checkpoint.permutation is not None,
        "data": asdict(checkpoint.data),
        "recipe": checkpoint.recipe.text,
        "versions": checkpoint.versions,
    }
    return Run(folder, checkpoint.recipe, checkpoint.data, values=values)


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
    count, done = len(epochs["seconds"]), checkpoint.epochs_done
    if count != done:
        text = f"{count} epochs, but the model was trained for {done}. {REMEDY}"
        raise DataError(f"{folder.metrics}: {text}")
    return checkpoint, epochs


def differences(recipe: Recipe, other: Recipe) -> list[str]:
    """The values in which a recipe differs from another, as ``training.epochs = 2, not 400``."""
    left, right = dotted(recipe.table), dotted(other.table)
    return [
        f"{key} = {_toml(left, key)}, not {_toml(right, key)}"
        for key in dict.fromkeys((*left, *right))
        if left.get(key) != right.get(key)
    ]


def _toml(values: dict[str, Any], key: str) -> str:
    return to_toml(values[key]) if key in values else "nothing"


def check_alike(runs: Iterable[Run]) -> None:
    """Refuse a mean over runs that differ in more than their seed, and a ratio between data.

    Steps of a permuted task are in an order of their own for each seed, so only the kinds of its
    data are compared. Raises: BrfLavaError with the folder of a run that differs from the first.
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
