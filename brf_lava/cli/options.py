"""What several commands share: options, and loading a task's data."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from brf_lava.errors import RecipeError

if TYPE_CHECKING:
    from brf_lava.recipes import Recipe
    from brf_lava.tasks.task import Dataset

Command = TypeVar("Command", bound=Callable[..., Any])

PATH = click.Path(path_type=Path)
UNLABELED, PERMUTATION = "brf_lava.unlabeled", "brf_lava.permutation"  # keys of click's meta


def _keep(key: str) -> Callable[[click.Context, click.Parameter, Any], None]:
    """A callback that keeps the value for `load_data`: the commands have no use for it."""

    def keep(context: click.Context, _: click.Parameter, value: Any) -> None:
        context.meta[key] = value

    return keep


def data_option(command: Command) -> Command:
    """--data, which the command gets, and what else says how data are read, for `load_data`."""
    for option in (
        click.option(
            "--permutation",
            type=PATH,
            metavar="FILE",
            expose_value=False,
            callback=_keep(PERMUTATION),
            help="Order of the steps, for a permuted task: .npy, .npz, .pt or .txt. Else the "
            "model's, or drawn from the seed.",
        ),
        click.option(
            "--unlabeled",
            type=click.Choice(["first-class", "mask"]),
            expose_value=False,
            callback=_keep(UNLABELED),
            help="Count steps without a label as the first class, or not at all. Default: as "
            "published with the data.",
        ),
        click.option(
            "--data",
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


def load_data(task: str, data: Path | None) -> Dataset:
    """The task's data, with a visible notice when it is synthetic.

    Reads --unlabeled and --permutation of the command that runs, see `data_option`.
    Raises: DataError as `Task.load`; for a permutation of a task that has none.
    """
    from brf_lava.errors import DataError
    from brf_lava.tasks.ecg import SYNTHETIC_NOTICE
    from brf_lava.tasks.permutation import read_permutation
    from brf_lava.tasks.task import find_task

    context = click.get_current_context(silent=True)
    chosen = context.meta if context else {}
    found, permutation = find_task(task), chosen.get(PERMUTATION)
    if permutation is not None and not found.permuted:
        raise DataError(
            f"--permutation {permutation}: the steps of task {found.name} are not permuted. Leave "
            "it out."
        )
    dataset = found.load(data, unlabeled=chosen.get(UNLABELED))
    if dataset.source.kind.startswith("synthetic"):
        click.secho(f"Notice: {SYNTHETIC_NOTICE}", fg="yellow", err=True)
    return dataset.permuted(read_permutation(permutation)) if permutation else dataset


def network_data(provenance: dict[str, Any], data: Path | None) -> Dataset:
    """The data for an exported network, its steps in the order that the network was trained with.

    provenance: the network file's. Raises: as `load_data`.
    """
    import numpy as np

    from brf_lava.tasks.wfdb_signal import delay_notice

    stored = provenance.get("permutation")
    order = None if stored is None else np.array(stored)
    dataset = load_data(provenance["task"], data).ordered_as(order)
    trained = provenance.get("data", {}).get("kind")
    notice = delay_notice(trained, dataset.source.kind) if trained else None
    if notice is not None:
        click.echo(f"Notice: {notice}", err=True)
    return dataset


def data_arguments(data: Path | None) -> str:
    """The options of this command that say how data are read, to be repeated with the next one."""
    context = click.get_current_context(silent=True)
    chosen = context.meta if context else {}
    given = (
        ("--data", data),
        ("--unlabeled", chosen.get(UNLABELED)),
        ("--permutation", chosen.get(PERMUTATION)),
    )
    return "".join(f" {name} {shlex.quote(str(value))}" for name, value in given if value)


def recipe_for_task(name: str, task: str | None) -> Recipe:
    """The recipe of this name, for `task` if that is the user's own.

    Raises: RecipeError as `load_recipe`, and when it is for another task.
    """
    from brf_lava.recipes import load_recipe, override
    from brf_lava.strict_toml import to_toml

    recipe = load_recipe(name)
    if task is not None and task.endswith(".toml"):
        return override(recipe, [f"task={to_toml(task)}"])
    if task is not None and recipe.task != task:
        raise RecipeError(
            f"--task {task}: recipe {recipe.name} is for task {recipe.task}. Name another."
        )
    return recipe
