"""What several commands share: options, and loading a task's data."""

from __future__ import annotations

import os
import shlex
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from brf_lava.errors import RecipeError

if TYPE_CHECKING:
    from brf_lava.config.recipe import Recipe
    from brf_lava.data.dataset import Dataset

Command = TypeVar("Command", bound=Callable[..., Any])

PATH = click.Path(path_type=Path)
DATA, UNLABELED, PERMUTATION = "--data", "--unlabeled", "--permutation"
KEPT = "brf_lava.kept."  # of keys of click's meta


def kept_option(name: str, **settings: Any) -> Callable[[Command], Command]:
    """An option, such as ``--board``, whose value is for `kept` and no argument of the command.

    settings: as of click's option.
    """
    return click.option(name, expose_value=False, callback=_keep, **settings)


def kept_options(command: Command, options: Iterable[tuple[str, Any, str | None, str]]) -> Command:
    """Several: name, type, metavar (None: the type's own) and help of each, the last one first."""
    for name, kind, metavar, text in options:
        command = kept_option(name, type=kind, metavar=metavar, help=text)(command)
    return command


def _keep(context: click.Context, option: click.Parameter, value: Any) -> None:
    context.meta[KEPT + option.opts[0]] = value


def kept(*names: str) -> dict[str, Any]:
    """What the command that runs was given for these options, those that it was given."""
    context = click.get_current_context(silent=True)
    meta = context.meta if context else {}
    values = {name: meta.get(KEPT + name) for name in names}
    return {name: value for name, value in values.items() if value is not None}


def data_option(command: Command) -> Command:
    """--data, which the command gets, and what else says how data are read, for `load_data`."""
    for option in (
        kept_option(
            PERMUTATION,
            type=PATH,
            metavar="FILE|identity",
            help="Order of the steps, for a permuted task: .npy, .npz, .pt or .txt, or the word "
            "identity for their own. Else the model's, or drawn from the seed.",
        ),
        kept_option(
            UNLABELED,
            type=click.Choice(["first-class", "mask"]),
            help="Count steps without a label as the first class, or not at all. Default: as "
            "published with the data.",
        ),
        click.option(
            DATA,
            type=PATH,
            help="Folder with the data, or one of its files. Else BRF_LAVA_DATA, else the cache "
            "folder, else (ecg alone) synthetic data.",
        ),
    ):
        command = option(command)
    return command


device_option = click.option(
    "--device", type=click.Choice(["auto", "cpu", "cuda"]), default="auto", show_default=True
)


def located(task: str, data: Path | None, beside: Path | None = None) -> str:
    """A task's name as it is, or where the .toml of a task of one's own is found.

    It is looked for at the path itself, below --data (else BRF_LAVA_DATA), and in the folder of
    `beside`, the model, network or recipe that names it. Raises: DataError naming these.
    """
    from brf_lava.data.places import DATA_VARIABLE
    from brf_lava.tasks.own import find_file

    if not task.endswith(".toml"):
        return task
    named = str(data) if data is not None else os.environ.get(DATA_VARIABLE)
    places = ([Path(named)] if named else []) + ([beside.parent] if beside is not None else [])
    return str(find_file(Path(task), places))


def load_data(task: str, data: Path | None, beside: Path | None = None) -> Dataset:
    """The task's data, with a visible notice when it is synthetic, and what else it tells.

    task, beside: as `located` takes them. Reads --unlabeled and --permutation of the command that
    runs, see `data_option`. Raises: DataError as `Task.load` and `located`; for a permutation of a
    task that has none.
    """
    from brf_lava import report
    from brf_lava.data.permutation import read_permutation
    from brf_lava.errors import DataError
    from brf_lava.tasks.registry import find_task

    chosen = kept(UNLABELED, PERMUTATION)
    found, permutation = find_task(located(task, data, beside)), chosen.get(PERMUTATION)
    if permutation is not None and not found.permuted:
        raise DataError(
            f"--permutation {permutation}: the steps of task {found.name} are not permuted. Leave "
            "it out."
        )
    dataset = found.load(data, unlabeled=chosen.get(UNLABELED))
    for notice in dataset.notices:
        report.notice(notice)
    return dataset.permuted(read_permutation(permutation)) if permutation else dataset


def network_data(
    provenance: dict[str, Any], data: Path | None, beside: Path | None = None
) -> Dataset:
    """The data for an exported network, its steps in the order that the network was trained with.

    provenance: the network file's. beside: the file, see `located`. Raises: as `load_data`.
    """
    import numpy as np

    from brf_lava.ecg.signal import delay_notice

    stored = provenance.get("permutation")
    order = None if stored is None else np.array(stored)
    dataset = load_data(provenance["task"], data, beside).ordered_as(order)
    trained = provenance.get("data", {}).get("kind")
    notice = delay_notice(trained, dataset.source.kind) if trained else None
    if notice is not None:
        click.echo(f"Notice: {notice}", err=True)
    return dataset


def data_arguments(data: Path | None) -> tuple[str, ...]:
    """The options of this command that say how data are read, as arguments of the next one."""
    given = {} if data is None else {DATA: data}
    given.update(kept(UNLABELED, PERMUTATION))
    return tuple(part for name, value in given.items() for part in (name, str(value)))


def next_command(*words: str | Path, data: Path | None) -> str:
    """A command to be printed and pasted. words: its own; the data options of this one follow."""
    return shlex.join(["brf-lava", *map(str, words), *data_arguments(data)])


def recipe_for_task(name: str, task: str | None) -> Recipe:
    """The recipe of this name, for `task` if that is the user's own.

    Raises: RecipeError as `load_recipe`, and when it is for another task.
    """
    from brf_lava.config.recipe import load_recipe, override
    from brf_lava.config.toml import to_toml

    recipe = load_recipe(name)
    if task is not None and task.endswith(".toml"):
        return override(recipe, [f"task={to_toml(task)}"])
    if task is not None and recipe.task != task:
        raise RecipeError(
            f"--task {task}: recipe {recipe.name} is for task {recipe.task}. Name another."
        )
    return recipe
