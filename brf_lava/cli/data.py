"""brf-lava data"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING

import click

from brf_lava.cli.command import Group, Result
from brf_lava.cli.options import PATH, DataOptions, data_option, load_data
from brf_lava.cli.prepare import prepare
from brf_lava.errors import DataError
from brf_lava.io.printable import on_one_line

if TYPE_CHECKING:
    from rich.table import Table

    from brf_lava.data.places import DataFiles


@click.group(cls=Group)
def data() -> None:
    """What data the tasks need, what is here, and getting the rest."""


data.add_command(prepare)


@data.command("list")
def list_command() -> Result:
    """Show every task: its data, their source, license and checksums, and where they are here.

    \b
    Example:
      brf-lava data list
    """
    from brf_lava import report
    from brf_lava.tasks.fetch import SOURCES
    from brf_lava.tasks.registry import TASKS

    shown: list[str | Table] = []
    for source in dict.fromkeys(SOURCES.values()):
        size = "size not published" if source.size is None else f"{source.size / 1e6:.1f} MB"
        files = [f"{name} {known.replace(':', ' ')}" for name, known in source.hashes.items()]
        if source.listing:
            files = [f"{', '.join(source.wanted)}; sha256 of each in {source.listing} there"]
        rows = [
            (name, f"{task.steps} steps{' permuted' * task.permuted}, inputs: {task.inputs}")
            for name, task in TASKS.items()
            if SOURCES[name] is source
        ]
        rows += [
            ("needs", source.files.needs),
            ("license", source.license),
            ("address", source.url),
            ("download", "\n".join((size, *files))),
            ("here", _found(source.files)),
        ]
        shown.append(report.table("", ("", source.origin), rows))
    tasks = [
        {
            "task": name,
            "steps": task.steps,
            "inputs": task.inputs,
            "permuted": task.permuted,
            "origin": SOURCES[name].origin,
            "license": SOURCES[name].license,
            "url": SOURCES[name].url,
            "bytes": SOURCES[name].size,
            "here": _found(SOURCES[name].files),
        }
        for name, task in TASKS.items()
    ]
    shown.append("Get what is missing with: brf-lava data fetch TASK")
    return Result({"tasks": tasks}, shown)


@data.command()
@click.argument("task")
@data_option
def info(task: str, data: DataOptions) -> Result:
    """Describe the data of TASK: sizes, input rates, labels, origin.

    \b
    Examples:
      brf-lava data info ecg
      brf-lava data info rhythms.toml --data folder
    """
    from brf_lava import report
    from brf_lava.data.dataset import summary

    dataset = load_data(task, data)
    title = f"{dataset.task}: {len(dataset.classes)} classes"
    lines = [
        report.table(title, ("", ">train", ">test"), summary(dataset)),
        f"source       {dataset.source.description}",
        f"fingerprint  {dataset.source.fingerprint}",
    ]
    shapes = {
        name: dict(zip(("samples", "steps", "inputs"), half.x.shape, strict=True))
        for name, half in (("train", dataset.train), ("test", dataset.test))
    }
    about = {"task": dataset.task, "classes": dataset.classes, "source": dataset.source}
    return Result({**about, "step_seconds": dataset.step_seconds, **shapes}, lines)


@data.command()
@click.argument("task", metavar="TASK", type=click.Choice(["ecg", "smnist", "psmnist", "shd"]))
@click.option("-o", "--out", type=PATH, help="Folder for the files; default: the cache folder.")
@click.option("--mirror", metavar="URL", help="Another server that has the same files.")
def fetch(task: str, out: Path | None, mirror: str | None) -> Result:
    """Download the data of TASK, check and unpack them. Complete files are kept.

    \b
    Examples:
      brf-lava data fetch smnist
      brf-lava data fetch shd -o folder
    """
    from brf_lava.data.places import cache_folder
    from brf_lava.tasks import fetch as sources

    source = sources.SOURCES[task]
    if mirror is not None:
        source = replace(source, url=f"{mirror.rstrip('/')}/")
    folder = cache_folder() / source.folder if out is None else out
    click.echo(f"{source.origin} ({source.license}) from {source.url}", err=True)
    try:
        with _bar() as on_file:
            sources.fetch(source, folder, on_file)
    except KeyboardInterrupt:
        click.echo("Stopped; complete files are kept. Continue with the same command.", err=True)
        raise
    lines = [f"Complete in {on_one_line(folder)}."]
    if source.use or out is not None:
        use = source.use or "name it with --data FOLDER"
        lines.append(f"Next: {use.replace('FOLDER', shlex.quote(str(folder)))}.")
    return Result({"folder": folder}, lines)


def _found(files: DataFiles) -> str:
    """Where a command without --data would find the files."""
    try:
        return "\n".join(map(on_one_line, files.find(None))) or "no"
    except DataError as error:
        return f"no: {error}"


@contextmanager
def _bar() -> Iterator[Callable[[str, int, int], SimpleNamespace]]:
    """A bar per file; a line per file where there is no terminal."""
    from rich.progress import DownloadColumn, Progress

    from brf_lava import report

    console = report.make_console(stderr=True)
    columns = (*Progress.get_default_columns(), DownloadColumn())
    with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
        task = progress.add_task("")

        def show(name: str, index: int, count: int) -> SimpleNamespace:
            if not console.is_terminal:
                click.echo(f"{index}/{count}  {name}", err=True)
            progress.reset(task, description=f"{index}/{count} {name}", total=None)
            bar = SimpleNamespace(total=0, reset=lambda: progress.reset(task), close=lambda: None)
            bar.update = lambda size: progress.update(task, total=bar.total or None, advance=size)
            return bar

        yield show
