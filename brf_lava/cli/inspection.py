"""brf-lava info, compare and report"""

from __future__ import annotations

from pathlib import Path

import click

from brf_lava.cli.command import Command, Result
from brf_lava.cli.options import PATH, DataOptions, data_option, limit_option
from brf_lava.cli.target import board_profile, profile_option
from brf_lava.io.extras import require_extra
from brf_lava.io.printable import on_one_line


@click.command(cls=Command)
@click.argument("file", type=PATH)
def info(file: Path) -> Result:
    """What is FILE? A model, network, run, recipe, profile, task or metrics?

    \b
    Example:
      brf-lava info net.h5
    """
    from brf_lava.inspection.describe import describe, shown

    about = describe(file)
    width = max(map(len, about))
    lines = [f"{name:<{width}}  {on_one_line(shown(value))}" for name, value in about.items()]
    return Result({"file": file, "about": about}, lines)


@click.command(cls=Command)
@click.argument("first", type=PATH)
@click.argument("second", type=PATH)
@data_option
@limit_option
def compare(first: Path, second: Path, data: DataOptions, limit: int) -> Result:
    """What differs between two models, networks or runs?

    Origin, recipe, integers, scores of each class on the test data, and the first spike that
    differs.

    \b
    Example:
      brf-lava compare model.pt net.h5
    """
    from brf_lava import report
    from brf_lava.inspection.compare import compare as differences
    from brf_lava.inspection.subjects import find_subjects

    pair = [find_subjects([path], data.load_for, limit)[0] for path in (first, second)]
    found, problem = differences(*pair)
    cells = [["-" if value is None else str(value) for value in each] for each in found]
    verdict = f"{len(found) or 'No'} differences." + (f" Not run: {problem}" if problem else "")
    table = report.table("", ("differs", str(first), str(second)), cells)
    rows = [each._asdict() for each in found]
    return Result({"differences": rows, "not_run": problem}, [verdict, *([table] if cells else [])])


@click.command("report", cls=Command)
@click.argument("paths", type=PATH, nargs=-1, required=True, metavar="PATH...")
@click.option("-o", "--out", type=PATH, help="Default: report.html, or report.pdf.")
@click.option(
    "--format", "kind", type=click.Choice(["html", "pdf"]), help="Default: by the name of --out."
)
@data_option
@limit_option
@profile_option
def report_command(
    paths: tuple[Path, ...],
    out: Path | None,
    kind: str | None,
    data: DataOptions,
    limit: int,
    profile: str,
) -> Result:
    """Write one HTML page about networks: scores, signals, parameters, energy, provenance.

    PATH: a model (.pt), a network (.h5), a run (.json), or a folder of them, as 'brf-lava
    reproduce' makes. Files of one network are put together. The page needs no network, and can be
    sent as it is.

    \b
    Example:
      brf-lava report model.pt net.h5 run.json -o report.html
    """
    require_extra("report", "bokeh", "matplotlib")
    from brf_lava.inspection.page import KINDS, find_browser, render, write_page
    from brf_lava.inspection.subjects import find_subjects
    from brf_lava.io.files import check_writable

    kind = kind or ("pdf" if out is not None and out.suffix == ".pdf" else "html")
    out = out or Path(f"report.{kind}")
    check_writable(out, KINDS[kind])
    if kind == "pdf":
        find_browser()
    board = board_profile(profile)
    subjects = find_subjects(paths, data.load_for, limit)
    write_page(render(subjects, board), out, kind)
    size = out.stat().st_size
    text = f"Wrote {on_one_line(out)}, {size / 1e6:.1f} MB."
    return Result({"report": out, "bytes": size}, [text])
