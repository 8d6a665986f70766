"""What several commands share: options, loading a task's data, and drawing a picture."""

from __future__ import annotations

import math
import os
import re
import shlex
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import Field, dataclass, field, fields
from functools import partial, wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from brf_lava.cli.command import Option
from brf_lava.errors import DataError, NetworkFileError, ParameterError
from brf_lava.io.extras import require_extra
from brf_lava.io.printable import on_one_line

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from brf_lava.data.dataset import Dataset
    from brf_lava.train.checkpoint import Checkpoint

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


def option(*names: str, default: Any = None, **settings: Any) -> Any:
    """An option of a group, as of `click.option`; without names it is called as the field."""
    return field(default=default, metadata={"names": names, **settings})


def _names(option: Field[Any]) -> tuple[str, ...]:
    return option.metadata["names"] or (f"--{option.name.replace('_', '-')}",)


def grouped(
    name: str, group: type[Any], title: str, **changes: dict[str, Any]
) -> Callable[[Any], Any]:
    """Give a command several options as one argument.

    name: of the argument. group: a dataclass, whose fields are made by `option`. title: of their
    section in the help. changes: what is other for this command, by the field's name.
    """

    def decorate(command: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(command)
        def with_group(*positional: Any, **arguments: Any) -> Any:
            values = {each.name: arguments.pop(each.name) for each in fields(group)}
            return command(*positional, **arguments, **{name: group(**values)})

        for each in reversed(fields(group)):
            settings = {**each.metadata, "default": each.default, **changes.get(each.name, {})}
            del settings["names"]
            names = (*_names(each), each.name)
            with_group = click.option(*names, cls=Option, section=title, **settings)(with_group)
        return with_group

    return decorate


def given(options: Any) -> dict[str, Any]:
    """Return the options of a group that the user gave, by their names."""
    values = {_names(each)[0]: getattr(options, each.name) for each in fields(options)}
    return {name: value for name, value in values.items() if value is not None}


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

    folder: Path | None = option(
        "--data",
        type=PATH,
        help="Folder with the data, or one of its files. Else BRF_LAVA_DATA, the cache folder, or "
        "(ecg alone) synthetic data.",
    )
    unlabeled: str | None = option(
        type=click.Choice(["first-class", "mask"]),
        help="Count steps without a label as the first class, or not at all. Default: the data's.",
    )
    permutation: Path | None = option(
        type=PATH,
        metavar="FILE|identity",
        help="Order of the steps, for a permuted task: .npy, .pt, .txt, or identity for their own. "
        "Else the model's, or drawn from the seed.",
    )

    def locate(self, task: str, source: Path | None = None) -> str:
        """Return a task's name as it is, or where the .toml of a task of the user's own is.

        It is looked for at the path itself, below --data (else BRF_LAVA_DATA), and in the folder of
        `source`, the model, network or recipe that names it. Raises: DataError if it is nowhere.
        """
        from brf_lava.data.places import DATA_VARIABLE
        from brf_lava.tasks.own import find_file

        if not task.endswith(".toml"):
            return task
        named = self.folder or os.environ.get(DATA_VARIABLE)
        places = [Path(named)] if named else []
        return str(find_file(Path(task), places + ([source.parent] if source else [])))

    def load(self, task: str, source: Path | None = None) -> Dataset:
        """Load the data of a task, and show their notices, such as that they are synthetic.

        task: a name, or a .toml file. source: the file that names the task, see `locate`.
        Raises: DataError as `Task.load` and `locate`; for a permutation of a task without one.
        """
        from brf_lava import report
        from brf_lava.data.permutation import read_permutation
        from brf_lava.tasks.registry import find_task

        found, permutation = find_task(self.locate(task, source)), self.permutation
        if permutation is not None and not found.permuted:
            raise DataError(
                f"--permutation {permutation}: the steps of task {found.name} are not permuted. "
                "Leave it out."
            )
        with report.busy(f"reading the data of {found.name}"):
            dataset = found.load(self.folder, unlabeled=self.unlabeled)
        for notice in dataset.notices:
            report.notice(notice)
        return dataset.permuted(read_permutation(permutation)) if permutation else dataset

    def load_for(self, provenance: dict[str, Any], source: Path) -> Dataset:
        """Load the data for a network, their steps in the order that it was trained with.

        provenance: the network file's, or a model's as if it were one. source: that file.
        Raises: NetworkFileError if the provenance names no task; DataError as `load`.
        """
        import numpy as np

        from brf_lava import report
        from brf_lava.ecg.signal import delay_notice

        if "task" not in provenance:
            raise NetworkFileError(
                f"{source}: its provenance has no task, so its data are not known. Name a file "
                "written by 'brf-lava export'."
            )
        stored = provenance.get("permutation")
        order = None if stored is None else np.array(stored)
        dataset = self.load(provenance["task"], source).ordered_as(order)
        trained = provenance.get("data", {}).get("kind")
        if trained and (notice := delay_notice(trained, dataset.source.kind)):
            report.notice(notice)
        return dataset

    def load_model(self, path: Path) -> tuple[Checkpoint, Dataset]:
        """Load a model, and its data as `load_for` does."""
        from brf_lava.train.checkpoint import load_checkpoint

        model = load_checkpoint(path)
        return model, self.load_for(model.provenance, path)

    def arguments(self) -> tuple[str, ...]:
        """Return the options that were given, as arguments of another command."""
        return tuple(str(part) for pair in given(self).items() for part in pair)

    def next_command(self, *words: str | Path) -> str:
        """Return a command to be printed and pasted: these words, and the same data options."""
        return on_one_line(shlex.join(["brf-lava", *map(str, words), *self.arguments()]))


data_option = grouped("data", DataOptions, "Options for the data")

device_option = click.option("--device", type=click.Choice(["auto", "cpu", "cuda"]), default="auto")

rounding_option = click.option(
    "--rounding",
    type=click.Choice(["distilled", "adaptive", "nearest"]),
    default="distilled",
    help="How weights become integers. nearest: each alone; adaptive: so that membranes stay close "
    "to the float ones; distilled: these, then trained, without labels, to answer as float, where "
    "there are enough data.",
)

limit_option = click.option(
    "--limit", type=click.IntRange(1), default=500, help="Test samples to run."
)


@dataclass(frozen=True)
class PictureOptions:
    """As of `brf_lava.analysis.draw.style.picture`; nothing is drawn without `out`."""

    out: Path | None = option(
        "-o", "--out", type=PATH, help="Also draw a picture: .png, .svg or .pdf."
    )
    width: float | None = option(type=Number(0.5, 100), help="Inches. Default: by what is shown.")
    height: float | None = option(type=Number(0.5, 100), help="Inches. Default: by what is shown.")
    title: bool = option("--title/--no-title", default=True, help="Above the picture.")
    style: str | None = option(help="Style of Matplotlib, by name or as a .mplstyle file.")
    csv: Path | None = option(type=PATH, help="Also write the data behind the picture here.")

    def __post_init__(self) -> None:
        """Find out before long work that no picture could be written."""
        if self.out is None:
            more = [each.name for each in fields(self) if getattr(self, each.name) != each.default]
            if more:
                raise ParameterError(f"--{more[0]}: goes with a picture. Name that with -o.")
            return
        require_extra("plot", "matplotlib")
        from brf_lava.analysis.draw.style import check_picture

        check_picture(self.out, self.style, self.csv)

    @contextmanager
    def picture(self) -> Iterator[Figure]:
        """A figure that is written in the end, and said to be."""
        from brf_lava.analysis.draw import style

        with style.picture(**vars(self)) as figure:
            yield figure
        for path in filter(None, (self.out, self.csv)):
            click.echo(f"Wrote {on_one_line(path)}.", err=True)


picture_options = partial(grouped, "look", PictureOptions, "The picture")
