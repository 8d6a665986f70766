"""brf-lava data"""

from __future__ import annotations

import shlex
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from brf_lava.cli.command import Group, Result
from brf_lava.cli.options import PATH, DataOptions, Number, data_option
from brf_lava.errors import DataError
from brf_lava.io.printable import on_one_line

if TYPE_CHECKING:
    from brf_lava.data.places import DataFiles

SHARE = Number(0, 1, min_open=True, max_open=True)


@click.group(cls=Group)
def data() -> None:
    """What data the tasks need, what is here, and getting the rest."""


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

    lines: list[Any] = []
    values = []
    for source in dict.fromkeys(SOURCES.values()):
        size = "size not published" if source.size is None else f"{source.size / 1e6:.1f} MB"
        files = [f"{name} {known.replace(':', ' ')}" for name, known in source.hashes.items()]
        if source.listing:
            files = [f"{', '.join(source.wanted)}; sha256 of each in {source.listing} there"]
        here = _found(source.files)
        tasks = [TASKS[name] for name, of_task in SOURCES.items() if of_task is source]
        rows = [
            (each.name, f"{each.steps} steps{' permuted' * each.permuted}, inputs: {each.inputs}")
            for each in tasks
        ]
        rows += [
            ("needs", source.files.needs),
            ("license", source.license),
            ("address", source.url),
            ("download", "\n".join((size, *files))),
            ("here", here),
        ]
        lines.append(report.table("", ("", source.origin), rows))
        about = {name: getattr(source, name) for name in ("origin", "license", "url")}
        about |= {"bytes": source.size, "here": here}
        for task in tasks:
            sizes = {name: getattr(task, name) for name in ("steps", "inputs", "permuted")}
            values.append({"task": task.name, **sizes, **about})
    lines.append("Get what is missing with: brf-lava data fetch TASK")
    return Result({"tasks": values}, lines)


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

    dataset = data.load(task)
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
        sources.fetch(source, folder, lambda name, k, of: click.echo(f"{k}/{of}  {name}", err=True))
    except KeyboardInterrupt:
        click.echo("Stopped; complete files are kept. Continue with the same command.", err=True)
        raise
    lines = [f"Complete in {on_one_line(folder)}."]
    if source.use or out is not None:
        use = source.use or "name it with --data FOLDER"
        lines.append(f"Next: {use.replace('FOLDER', shlex.quote(str(folder)))}.")
    return Result({"folder": folder}, lines)


@data.command()
@click.argument("task", metavar="TASK", type=click.Choice(["ecg"]))
@click.option("--records", type=PATH, required=True, help="Folder with WFDB records.")
@click.option("--patients", type=PATH, help="CSV file of record,patient lines; else the headers.")
@click.option("--leads", metavar="A,B", help="Two signals by name or number; else the first two.")
@click.option("-o", "--out", type=PATH, default=Path("ecg.h5"))
@click.option("--annotator", default="q1c", help="Suffix of the wave marks.")
@click.option("--threshold", default=0.32, help="In standard deviations of a lead.")
@click.option("--delay", default=0, help="Steps that labels trail the signal; as published: 19.")
@click.option("--seed", type=click.IntRange(0), default=0, help="Of the split.")
@click.option("--test-share", type=SHARE, default=0.2, help="Of the records.")
@click.option(
    "--stride", type=click.IntRange(1, 1300), default=1300, help="Steps from segment to segment."
)
@click.option(
    "--unlabeled",
    type=click.Choice(["mask", "first-class"]),
    default="mask",
    help="Store steps without a label as such, or as class P.",
)
@click.option("--all-records", is_flag=True, help="Keep the 24 sudden-death records, too.")
def prepare(
    task: str,
    records: Path,
    patients: Path | None,
    leads: str | None,
    out: Path,
    threshold: float,
    delay: int,
    **settings: Any,
) -> Result:
    """Encode and label annotated WFDB records, such as the QT database, for --data.

    TASK is ecg. No patient is in both halves.

    \b
    Examples:
      brf-lava data prepare ecg --records qtdb -o ecg.h5
      brf-lava train --task ecg --data ecg.h5
    """
    from brf_lava import report
    from brf_lava.data.dataset import summary
    from brf_lava.ecg import prepare as wfdb_prepare
    from brf_lava.ecg.prepare import read_patients
    from brf_lava.ecg.records import KIND, load_prepared, write_prepared
    from brf_lava.ecg.signal import Encoding, parse_leads
    from brf_lava.io.extras import require_extra
    from brf_lava.io.files import check_writable

    require_extra("records", "wfdb")
    check_writable(out, KIND)
    encoding = Encoding(threshold, delay)
    chosen = wfdb_prepare.Settings(encoding, leads=parse_leads(leads), **settings)
    names = wfdb_prepare.find_records(records)
    by_record = {} if patients is None else read_patients(patients, names)
    with report.step_progress("records", len(names)) as on_record:
        prepared = wfdb_prepare.prepare(records, chosen, on_record, by_record)
    write_prepared(prepared, out)
    dataset = load_prepared(out)
    tables = [report.table("ECG from WFDB records", ("", ">train", ">test"), summary(dataset))]
    columns = ("half", ">left out, invalid or flat", "record (segments)")
    tables.append(report.table("Records", columns, prepared.halves()))
    if prepared.skipped:
        title = f"{len(prepared.skipped)} records left out"
        tables.append(report.table(title, ("record", "why"), prepared.left_out()))
    for notice in prepared.notices():
        report.notice(notice)
    name = on_one_line(out)
    following = f"Wrote {name}. Next: brf-lava train --task {task} --data {name}"
    values = {"data": out, "source": dataset.source, "left_out": dict(prepared.left_out())}
    return Result(values, [*tables, following])


def _found(files: DataFiles) -> str:
    """Where a command without --data would find the files."""
    try:
        return "\n".join(map(on_one_line, files.find(None))) or "no"
    except DataError as error:
        return f"no: {error}"
