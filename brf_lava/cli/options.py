"""What several commands share: options, and loading a task's data."""

from __future__ import annotations

import math
import os
import re
import shlex
from collections.abc import Callable
from dataclasses import dataclass, fields
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from brf_lava.errors import DataError, NetworkFileError

if TYPE_CHECKING:
    from brf_lava.data.dataset import Dataset

Command = TypeVar("Command", bound=Callable[..., Any])

PATH = click.Path(path_type=Path)


class Number(click.FloatRange):
    """A number in a range; click would let nan pass."""

    def convert(self, value: Any, *context: Any) -> float:
        number: float = super().convert(value, *context)
        return self.fail(f"{value} is not a number.", *context) if math.isnan(number) else number


def size(text: str) -> int:
    """Read a number of bytes, with or without a unit, as the type of an option."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?) *([kMGT]?)(i?)B?", text)
    if match is None:
        raise click.BadParameter(f"{text!r}; a size such as 800MB, 1.5GB or 2GiB is needed.")
    number, prefix, binary = match.groups()
    factor: int = (1024 if binary else 1000) ** " kMGT".index(prefix or " ")
    return round(float(number) * factor)


def grouped(
    name: str, group: type[Any], title: str, *options: Callable[[Any], Any]
) -> Callable[[Any], Any]:
    """Give a command several options as one argument.

    name: of the argument. group: a dataclass, whose fields are the names of the options'
    parameters. title: of their section in the help. options: as of `click.option`, in the order of
    the help.
    """
    parameters = [field.name for field in fields(group)]

    def decorate(command: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(command)
        def with_group(*positional: Any, **arguments: Any) -> Any:
            values = {parameter: arguments.pop(parameter) for parameter in parameters}
            return command(*positional, **arguments, **{name: group(**values)})

        for option in reversed(options):
            with_group = option(with_group)
            vars(vars(with_group)["__click_params__"][-1])["section"] = title
        return with_group

    return decorate


def given(options: Any) -> list[str]:
    """Return the names of the options in a group that the user gave."""
    return [
        f"--{name.replace('_', '-')}" for name, value in vars(options).items() if value is not None
    ]


def numbers(text: str, kind: type[Any] = float) -> tuple[Any, ...]:
    """Read numbers with commas between, as the type of an option."""
    try:
        return tuple(kind(part) for part in text.split(","))
    except ValueError:
        raise click.BadParameter(
            f"{text!r}; {'whole ' if kind is int else ''}numbers with commas between are needed."
        ) from None


@dataclass(frozen=True)
class DataOptions:
    """Where the data of a task are, and how they are read."""

    folder: Path | None = None  # or one of its files; None for the default places
    unlabeled: str | None = None  # what steps without a label count as; None for what the data say
    permutation: Path | None = None  # a file with the order of the steps, or the word identity

    def arguments(self) -> tuple[str, ...]:
        """Return the options that were given, as arguments of another command."""
        options = ("--data", "--unlabeled", "--permutation")
        pairs = zip(options, (self.folder, self.unlabeled, self.permutation), strict=True)
        return tuple(str(part) for pair in pairs if pair[1] is not None for part in pair)


data_option = grouped(
    "data",
    DataOptions,
    "Options for the data",
    click.option(
        "--data",
        "folder",
        type=PATH,
        help="Folder with the data, or one of its files. Else BRF_LAVA_DATA, else the cache "
        "folder, else (ecg alone) synthetic data.",
    ),
    click.option(
        "--unlabeled",
        type=click.Choice(["first-class", "mask"]),
        help="Count steps without a label as the first class, or not at all. Default: as "
        "published with the data.",
    ),
    click.option(
        "--permutation",
        type=PATH,
        metavar="FILE|identity",
        help="Order of the steps, for a permuted task: .npy, .pt or .txt, or the word "
        "identity for their own. Else the model's, or drawn from the seed.",
    ),
)

device_option = click.option(
    "--device", type=click.Choice(["auto", "cpu", "cuda"]), default="auto", show_default=True
)

rounding_option = click.option(
    "--rounding",
    type=click.Choice(["distilled", "adaptive", "nearest"]),
    default="distilled",
    show_default=True,
    help="How weights become integers. nearest: each alone; adaptive: so that the neurons' "
    "membranes stay close to the float ones; distilled: these are then trained, without labels, to "
    "answer as the float network.",
)


def located(task: str, data: DataOptions, source: Path | None = None) -> str:
    """Return a task's name as it is, or where the .toml of a task of the user's own is.

    It is looked for at the path itself, below --data (else BRF_LAVA_DATA), and in the folder of
    `source`, the model, network or recipe that names it. Raises: DataError if it is nowhere.
    """
    from brf_lava.data.places import DATA_VARIABLE
    from brf_lava.tasks.own import find_file

    if not task.endswith(".toml"):
        return task
    named = str(data.folder) if data.folder is not None else os.environ.get(DATA_VARIABLE)
    places = ([Path(named)] if named else []) + ([source.parent] if source is not None else [])
    return str(find_file(Path(task), places))


def load_data(task: str, data: DataOptions, source: Path | None = None) -> Dataset:
    """Load the data of a task, and show their notices, such as that they are synthetic.

    task: a name, or a .toml file. source: the file that names the task, see `located`.
    Raises: DataError as `Task.load` and `located`, and for a permutation of a task that has none.
    """
    from brf_lava import report
    from brf_lava.data.permutation import read_permutation
    from brf_lava.tasks.registry import find_task

    found, permutation = find_task(located(task, data, source)), data.permutation
    if permutation is not None and not found.permuted:
        raise DataError(
            f"--permutation {permutation}: the steps of task {found.name} are not permuted. Leave "
            "it out."
        )
    with report.busy(f"reading the data of {found.name}"):
        dataset = found.load(data.folder, unlabeled=data.unlabeled)
    for notice in dataset.notices:
        report.notice(notice)
    return dataset.permuted(read_permutation(permutation)) if permutation else dataset


def network_data(provenance: dict[str, Any], data: DataOptions, source: Path) -> Dataset:
    """Load the data for an exported network, their steps in the order that it was trained with.

    provenance: the network file's. source: that file.
    Raises: NetworkFileError if the provenance names no task; DataError as `load_data`.
    """
    import numpy as np

    from brf_lava import report
    from brf_lava.ecg.signal import delay_notice

    if "task" not in provenance:
        raise NetworkFileError(
            f"{source}: its provenance has no task, so its data are not known. Name a file written "
            "by 'brf-lava export'."
        )
    stored = provenance.get("permutation")
    order = None if stored is None else np.array(stored)
    dataset = load_data(provenance["task"], data, source).ordered_as(order)
    trained = provenance.get("data", {}).get("kind")
    if trained and (notice := delay_notice(trained, dataset.source.kind)):
        report.notice(notice)
    return dataset


def next_command(*words: str | Path, data: DataOptions) -> str:
    """Return a command to be printed and pasted: these words, and the same data options."""
    return shlex.join(["brf-lava", *map(str, words), *data.arguments()])
