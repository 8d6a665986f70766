"""brf-lava data"""

from __future__ import annotations

import os
import shlex
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from brf_lava.cli.options import PATH, DataOptions, data_option, load_data
from brf_lava.cli.prepare import prepare
from brf_lava.io.printable import on_one_line

if TYPE_CHECKING:
    from brf_lava.data.dataset import Dataset, Split
    from brf_lava.data.download import Bar
    from brf_lava.tasks.fetch import Source


@click.group()
def data() -> None:
    """What data the tasks need, what is here, and getting the rest."""


data.add_command(prepare)


@data.command("list")
def list_command() -> None:
    """Show every task: its data, their source, license and checksums, and where they are here."""
    from rich.table import Table

    from brf_lava import report
    from brf_lava.tasks.fetch import SOURCES
    from brf_lava.tasks.registry import TASKS

    shown: dict[int, str] = {}  # sources, and the first task of each
    for task in TASKS.values():
        source = SOURCES[task.name]
        table = Table(title=task.name, title_justify="left", show_header=False)
        table.add_column(style="bold", no_wrap=True)
        table.add_column(overflow="fold")
        inputs = "1 input" if task.inputs == 1 else f"{task.inputs} inputs"
        shape = f"{inputs}, {task.steps} steps, {len(task.classes)} classes"
        table.add_row("shape", shape + (", steps permuted" if task.permuted else ""))
        first = shown.setdefault(id(source), task.name)
        if first == task.name:
            table.add_row("needs", source.needs)
            table.add_row("source", source.origin)
            table.add_row("license", source.license)
            table.add_row("address", source.url)
            size = "size not published" if source.size is None else f"{source.size / 1e6:.1f} MB"
            table.add_row("download", "\n".join((size, *_files(source))))
        else:
            table.add_row("needs", f"the files of {first}, from the same source")
        table.add_row("here", _found(task.name))
        report.print_table(table)
    click.echo("Get what is missing with: brf-lava data fetch TASK")


@data.command()
@click.argument("task")
@data_option
def info(task: str, data: DataOptions) -> None:
    """Describe the data of TASK: sizes, input rates, labels, origin."""
    from brf_lava import report

    dataset = load_data(task, data)
    halves = dataset.train, dataset.test
    rows = [(name, *map(values, halves)) for name, values in _facts(dataset)]
    title = f"{dataset.task}: {len(dataset.classes)} classes"
    report.print_rows(title, ("", ">train", ">test"), rows)
    click.echo(f"source       {dataset.source.description}")
    click.echo(f"fingerprint  {dataset.source.fingerprint}")


@data.command()
@click.argument("task")
@click.option("--to", type=PATH, help="Folder for the files; default: the cache folder.")
@click.option("--mirror", metavar="URL", help="Another server that has the same files.")
def fetch(task: str, to: Path | None, mirror: str | None) -> None:
    """Download the data of TASK, check and unpack them. Files that are there already are kept."""
    from brf_lava.tasks import fetch as sources

    source = sources.find_source(task)
    if mirror is not None:
        source = source.mirrored(mirror)
    folder = source.target if to is None else to
    click.echo(f"{source.origin} ({source.license}) from {source.url}", err=True)
    try:
        with _bar() as on_file:
            sources.fetch(source, folder, on_file)
    except KeyboardInterrupt:
        click.echo("Stopped; complete files are kept. Continue with the same command.", err=True)
        raise
    click.echo(f"Complete in {on_one_line(folder)}.")
    if source.prepared or to is not None:
        use = source.use.format(folder=shlex.quote(str(folder)))
        click.echo(f"Next: {use}.")


def _files(source: Source) -> Iterator[str]:
    """A line for each file that is fetched, with its checksum."""
    if source.listing:
        yield f"{', '.join(source.wanted)}; sha256 of each in {source.listing} at that address"
    longest = max(map(len, source.files), default=0)
    for name, known_hash in source.files.items():
        yield f"{name:{longest}} {known_hash.replace(':', ' ')}"


def _found(task: str) -> str:
    """Where a command without --data would find the files of a task; or what it would do."""
    from brf_lava.data.places import DATA_VARIABLE, NotHereError, cache_folder, look
    from brf_lava.ecg import task as ecg
    from brf_lava.errors import DataError
    from brf_lava.tasks import mnist, shd

    search = {"ecg": ecg.find, "shd": shd.find_files}.get(task, mnist.find_files)
    try:
        files = look(None, search)
    except NotHereError:
        files = None
    except DataError as error:
        return f"no: {error}"
    if files is None:
        named = bool(os.environ.get(DATA_VARIABLE))  # then nothing synthetic takes its place
        if task != "ecg" or named:
            return "no"
        raw = ecg.raw_records(cache_folder())
        synthetic = "no; synthetic data are used"
        return synthetic if raw is None else f"{synthetic}. For real ones, {ecg.advice(raw)}"
    return "\n".join(map(on_one_line, files))


def _facts(dataset: Dataset) -> Iterator[tuple[str, Callable[[Split], str]]]:
    """Name and value, of a half, of what there is to say about a data set."""
    import numpy as np

    from brf_lava.network.decision import UNLABELED

    yield "samples", lambda split: f"{len(split.x):,}"
    yield "steps", lambda split: f"{split.x.shape[1]} of {dataset.step_seconds * 1e3:g} ms"
    yield "inputs", lambda split: f"{split.x.shape[2]} {split.x.dtype}"
    yield "inputs not 0", lambda split: f"{np.count_nonzero(split.x) / split.x.size:.2%}"
    yield "largest input", lambda split: f"{_largest(split) * dataset.input_scale:g}"
    yield "labels", lambda split: "of samples" if split.y.shape[1] == 1 else "of steps"

    def share(label: int) -> Callable[[Split], str]:
        return lambda split: f"{np.count_nonzero(split.y == label) / split.y.size:.2%}"

    for label, name in enumerate(dataset.classes):
        yield f"  class {name}", share(label)
    yield "  unlabeled", share(UNLABELED)


def _largest(split: Split) -> int:
    return max(abs(int(split.x.min())), abs(int(split.x.max())))


@contextmanager
def _bar() -> Iterator[Callable[[str, int, int], Bar | None]]:
    """A bar per file; a line per file where there is no terminal."""
    from rich.progress import (
        BarColumn,
        DownloadColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
        TransferSpeedColumn,
    )

    from brf_lava import report

    console = report.make_console(stderr=True)
    if not console.is_terminal:
        yield lambda name, index, count: click.echo(f"{index}/{count}  {name}", err=True)
        return
    columns = BarColumn(bar_width=24), DownloadColumn(), TransferSpeedColumn()
    with Progress(
        TextColumn("{task.description}"), *columns, TimeRemainingColumn(), console=console
    ) as progress:
        task = progress.add_task("")

        class FileBar:
            total = 0

            def update(self, amount: int) -> None:
                progress.update(task, total=self.total or None, advance=amount)

            def reset(self) -> None:
                progress.reset(task)

            def close(self) -> None:
                pass

        def show(name: str, index: int, count: int) -> Bar:
            progress.reset(task, description=f"{index}/{count} {name}", total=None)
            return FileBar()

        yield show
