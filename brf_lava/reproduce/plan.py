"""What is asked for, and what of it remains to be done."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path

from brf_lava.config.recipe import Recipe, override, published_recipe, recipe_for
from brf_lava.data.dataset import Dataset, DataSource
from brf_lava.errors import BrfLavaError, RecipeError
from brf_lava.reproduce.records import (
    Run,
    check_alike,
    differences,
    read_record,
    read_training,
    run_folders,
)
from brf_lava.reproduce.steps import EXPORT, RESUME, RUN, TRAIN, RunFolder
from brf_lava.train.checkpoint import read_archive, stored_recipe
from brf_lava.train.trainer import STATE_FORMAT, in_order

FRESH, STOPPED, TRAINED = [TRAIN, EXPORT, RUN], [RESUME, EXPORT, RUN], [EXPORT, RUN]

Cell = tuple[str, str]  # task and neuron
Row = tuple[str, str, str]  # and, of a grid, the changes


@dataclass(eq=False)
class Job(Run):
    """A run, the steps that remain of it, why it failed if it did, and what was said of it last."""

    steps: list[str]
    problem: str | None = None
    said: tuple[str, int] = ("", 0)

    @property
    def epochs(self) -> int:
        return self.recipe.training.epochs


def recipes_for(
    cells: Iterable[Cell],
    changes: Sequence[str],
    grid: Sequence[Sequence[str]] = (),
    published: bool = False,
) -> dict[Row, Recipe]:
    """Return the shipped recipes with these changes.

    Args:
        cells: Tasks and neurons.
        changes: As of `recipe.override`.
        grid: The changes of each key that a sweep takes one by one; all combinations are made.
        published: The published settings, not those that train best.

    Raises:
        RecipeError: As `recipe.override`, and for a change of the task or the neuron.
    """
    base = published_recipe if published else recipe_for
    recipes = {
        (*cell, ",".join(point)): override(base(*cell), (*changes, *point))
        for cell in cells
        for point in product(*grid)
    }
    for (*cell, _), recipe in recipes.items():
        if [recipe.task, recipe.neuron_names] != cell:
            what = f"a recipe of task {recipe.task} and neuron {recipe.neuron_names}"
            raise RecipeError(
                f"reproduce: --set makes {'-'.join(cell).lower()} {what}. Name tasks as arguments, "
                "neurons with --neurons."
            )
    return recipes


def plan(
    recipes: Mapping[Row, Recipe],
    seeds: int,
    out: Path,
    load: Callable[[str], Dataset],
    restart: bool,
) -> list[Job]:
    """Return all runs asked for, with what remains of each.

    Args:
        recipes: What to run.
        seeds: Runs of each, from seed 0 on.
        out: The folder of all runs.
        load: Returns a task's data.
        restart: Start over what is damaged, or of another recipe or other data; else refuse it.
    """
    jobs = []
    for task in dict.fromkeys(row[0] for row in recipes):
        dataset = load(task)  # one at a time: they may be large
        for (of, neuron, variant), recipe in recipes.items():
            for seed in range(seeds if of == task else 0):
                folder = RunFolder(out, task, neuron, seed, variant)
                source = in_order(dataset, recipe, seed).source
                try:
                    steps = remaining(folder, recipe, source)
                except BrfLavaError:
                    if not restart:
                        raise
                    steps = FRESH
                jobs.append(Job(folder, recipe, source, [*steps]))
        del dataset
    asked = {job.folder.path for job in jobs}  # the tables are of all runs, of others, too
    others = [each for each in run_folders(out) if each.complete and each.path not in asked]
    check_alike([*jobs, *map(read_record, others)])
    return jobs


def remaining(folder: RunFolder, recipe: Recipe, source: DataSource) -> list[str]:
    """Return the steps of a run that are still to be done.

    Raises:
        BrfLavaError: Its files are damaged, or it is of another recipe or other data.
    """
    if folder.state.exists():
        state = read_archive(folder.state, STATE_FORMAT)
        found, data = stored_recipe(state, folder.state), DataSource(**state["data"])
        seed, steps = state["seed"], STOPPED
    elif folder.model.exists():
        checkpoint, _ = read_training(folder)  # before work that would be in vain
        found, data = checkpoint.recipe, checkpoint.data
        seed, steps = checkpoint.seed, TRAINED
        if folder.network.exists():
            steps = [] if folder.complete else [RUN]
    else:
        return FRESH
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
    if not steps:
        read_record(folder)
    return steps
