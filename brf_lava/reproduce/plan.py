"""What is asked for, and what of it remains to be done."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from brf_lava.config.recipe import Recipe, override, recipe_for
from brf_lava.config.toml import nearest
from brf_lava.data.dataset import Dataset, DataSource
from brf_lava.errors import BrfLavaError, CheckpointError, DataError, RecipeError
from brf_lava.reproduce.folders import RunFolder, found
from brf_lava.reproduce.published import NEURONS, TASKS
from brf_lava.reproduce.records import (
    RunRecord,
    check_alike,
    data_differences,
    differences,
    read_record,
    read_training,
)
from brf_lava.train.checkpoint import read_archive, stored_recipe
from brf_lava.train.trainer import STATE_FORMAT, STATE_SCHEMA, in_order

TRAIN, RESUME, EXPORT, RUN = "train", "resume", "export", "run"
FRESH, STOPPED, TRAINED = (TRAIN, EXPORT, RUN), (RESUME, EXPORT, RUN), (EXPORT, RUN)


@dataclass(frozen=True)
class Experiment:
    """What one cell of the tables is made from.

    recipe: with all changes; changes: what led to it from the shipped one, as ``--set`` takes them.
    """

    task: str
    neuron: str
    recipe: Recipe
    changes: tuple[str, ...]


@dataclass(frozen=True)
class Job:
    """A run and the steps that remain of it, none if it is done. source: of its data."""

    folder: RunFolder
    experiment: Experiment
    source: DataSource
    steps: tuple[str, ...]

    @property
    def name(self) -> str:
        return self.folder.name

    @property
    def epochs(self) -> int:
        return self.experiment.recipe.training.epochs


def check_names(names: Iterable[str], known: Sequence[str], kind: str) -> list[str]:
    """`names` as `known` spells them, each once. Raises: RecipeError with the nearest one."""
    by_lower = {name.lower(): name for name in known}
    chosen = []
    for name in names:
        if name.lower() not in by_lower:
            hint = nearest(name.lower(), list(by_lower))
            raise RecipeError(f"reproduce: no {kind} {name!r} was published. {hint}")
        chosen.append(by_lower[name.lower()])
    return list(dict.fromkeys(chosen))


def check_tasks(names: Iterable[str]) -> list[str]:
    """As `check_names`, for tasks."""
    return check_names(names, TASKS, "task")


def check_neurons(names: str) -> list[str]:
    """As `check_names`, for neurons separated by commas."""
    return check_names((name.strip() for name in names.split(",")), NEURONS, "neuron")


def experiments(
    tasks: Sequence[str], neurons: Sequence[str], changes: Sequence[str], epochs: int | None
) -> list[Experiment]:
    """Every task with every neuron, with the recipes of ``brf-lava train``.

    Raises: RecipeError as `recipes.override`, and for a change of the task or the neuron.
    """
    if epochs is not None:
        changes = (*changes, f"training.epochs={epochs}")
    found = []
    for task in tasks:
        for neuron in neurons:
            recipe = override(recipe_for(task, neuron), changes)
            if (recipe.task, recipe.neuron_names) != (task, neuron):
                raise RecipeError(
                    f"reproduce: --set makes {task}-{neuron.lower()} a recipe of task "
                    f"{recipe.task} and neuron {recipe.neuron_names}. Name tasks as arguments, "
                    "neurons with --neurons."
                )
            found.append(Experiment(task, neuron, recipe, tuple(changes)))
    return found


def plan(
    asked: Sequence[Experiment],
    seeds: int,
    out: Path,
    load: Callable[[str], Dataset],
    restart: bool,
) -> list[Job]:
    """All runs asked for, seeds 0 to `seeds` - 1, with what remains of each.

    load: gives a task's data. restart: begin those anew that are damaged, or are of another recipe
    or other data; else they are refused.
    Raises: BrfLavaError when the data are missing, and for a run that is refused.
    """
    jobs = []
    for task in dict.fromkeys(experiment.task for experiment in asked):
        dataset = load(task)  # one at a time: they may be large
        for experiment in (each for each in asked if each.task == task):
            for seed in range(seeds):
                folder = RunFolder(out, task, experiment.neuron, seed)
                source = in_order(dataset, experiment.recipe, seed).source
                try:
                    steps = remaining(folder, experiment.recipe, source)
                except BrfLavaError:
                    if not restart:
                        raise
                    steps = FRESH
                jobs.append(Job(folder, experiment, source, steps))
        del dataset
    _check_neighbors(jobs, out)
    return jobs


def remaining(folder: RunFolder, recipe: Recipe, source: DataSource) -> tuple[str, ...]:
    """The steps of a run that are still to be done.

    Raises: BrfLavaError for files that are damaged, and for a run of another recipe or other data.
    """
    if folder.state.exists():
        state = read_archive(folder.state, STATE_FORMAT, STATE_SCHEMA)
        try:
            there, data = stored_recipe(state, folder.state), DataSource(**state["data"])
            seed = state["seed"]
        except (KeyError, TypeError) as error:
            raise CheckpointError(
                f"{folder.state}: damaged training state ({type(error).__name__}). Start it over "
                "with --restart."
            ) from error
        if seed != folder.seed:
            raise _other(folder, f"seed {seed}, not {folder.seed}")
        steps: tuple[str, ...] = STOPPED
    elif folder.model.exists():
        checkpoint, _ = read_training(folder)  # before work that would be in vain
        there, data = checkpoint.recipe, checkpoint.data
        steps = () if folder.complete else TRAINED
    else:
        return FRESH
    if there != recipe:
        raise _other(folder, "; ".join(differences(there, recipe)))
    if data.fingerprint != source.fingerprint:
        raise _other(folder, f"data {data.description}, not {source.description}")
    if not steps:
        read_record(folder)
    return steps


def _other(folder: RunFolder, what: str) -> BrfLavaError:
    return BrfLavaError(
        f"{folder.path}: holds another run than the one asked for ({what}). Name another --out, or "
        "start it over with --restart."
    )


def _check_neighbors(jobs: Sequence[Job], out: Path) -> None:
    """Runs that lie there and are not asked for go into the tables, too: they must fit in."""
    asked = {job.folder: job for job in jobs}
    recipes = {job.folder.cell: job.experiment.recipe for job in jobs}
    sources = {job.folder.task: job.source for job in jobs}
    for record in records(folder for folder in found(out) if folder not in asked):
        what = [
            *differences(record.recipe, recipes.get(record.cell, record.recipe)),
            *data_differences(record, sources.get(record.task, record.data)),
        ]
        if what:
            raise BrfLavaError(
                f"{RunFolder(out, *record.cell, record.seed).path}: holds another experiment than "
                f"the one asked for ({'; '.join(what)}), and would get into its tables. Name "
                "another --out, or move that folder elsewhere."
            )


def records(folders: Iterable[RunFolder]) -> list[RunRecord]:
    """The records of those that are complete."""
    return [read_record(folder) for folder in folders if folder.complete]


@dataclass(frozen=True)
class Runs:
    """What lies in a folder: the complete runs, and those that are not."""

    out: Path
    complete: list[RunRecord]
    unfinished: list[RunFolder]

    def of(self, tasks: Sequence[str], neurons: Sequence[str]) -> Runs:
        """Those of these tasks and neurons. Raises: DataError when none of them is complete."""
        complete = [run for run in self.complete if run.task in tasks and run.neuron in neurons]
        if not complete:
            raise _nothing(self.out, f" of {', '.join(tasks)} with {', '.join(neurons)}")
        return Runs(
            self.out,
            complete,
            [run for run in self.unfinished if run.task in tasks and run.neuron in neurons],
        )


def collect(out: Path) -> Runs:
    """All that lies in `out`.

    Raises: DataError when no run is complete; BrfLavaError as `read_record` and `check_alike`.
    """
    folders = found(out)
    complete = records(folders)
    if not complete:
        raise _nothing(out)
    check_alike(complete)
    return Runs(out, complete, [folder for folder in folders if not folder.complete])


def _nothing(out: Path, which: str = "") -> DataError:
    return DataError(
        f"{out}: holds no finished run{which}, so there is no table to make. Name the --out of a "
        "'brf-lava reproduce', or run it without --tables-only."
    )


def check_changes(runs: Runs, changes: Sequence[str], epochs: int | None) -> None:
    """Whether the complete runs are of the shipped recipes with these changes.

    Raises: RecipeError as `experiments`; BrfLavaError naming a run of another recipe.
    """
    for run in runs.complete:
        (asked,) = experiments([run.task], [run.neuron], changes, epochs)
        if what := differences(run.recipe, asked.recipe):
            raise BrfLavaError(
                f"{RunFolder(runs.out, *run.cell, run.seed).path}: is of another recipe than the "
                f"one asked for ({'; '.join(what)}). Leave out --set and --epochs for the tables "
                "of what is there, or name another --out."
            )
