"""brf-lava info and brf-lava compare"""

from __future__ import annotations

from pathlib import Path

import click

from brf_lava.cli.command import Command, Result
from brf_lava.cli.options import PATH, DataOptions, data_option, network_data
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
@click.option(
    "--limit", type=click.IntRange(1), default=500, show_default=True, help="Test samples to run."
)
def compare(first: Path, second: Path, data: DataOptions, limit: int) -> Result:
    """What differs between two models, networks or runs?

    Origin, recipe, integers, scores of each class on the test data, and the first spike that
    differs.

    \b
    Example:
      brf-lava compare model.pt net.h5
    """
    from brf_lava import report
    from brf_lava.inspection.describe import compare as differences
    from brf_lava.inspection.subjects import find_subjects

    ways = (lambda about, source: network_data(about, data, source)), limit
    pair = [find_subjects([path], *ways)[0] for path in (first, second)]
    found, problem = differences(*pair)
    cells = [["-" if value is None else str(value) for value in each] for each in found]
    verdict = f"{len(found) or 'No'} differences." + (f" Not run: {problem}" if problem else "")
    table = report.table("", ("differs", str(first), str(second)), cells)
    rows = [each._asdict() for each in found]
    return Result({"differences": rows, "not_run": problem}, [verdict, *([table] if cells else [])])
