"""brf-lava info and brf-lava compare"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from brf_lava.cli.command import Command, Result
from brf_lava.cli.options import PATH, DataOptions, data_option, network_data
from brf_lava.io.printable import on_one_line


@click.command(cls=Command)
@click.argument("file", type=PATH)
def info(file: Path) -> Result:
    """What is FILE? A model, network, run, recipe, profile, task, metrics, arrays, a record ...

    \b
    Example:
      brf-lava info net.h5
    """
    from brf_lava.inspection.describe import describe

    about = describe(file)
    width, lines = max(map(len, about)), []
    for name, value in about.items():
        text = ", ".join(map(str, value)) if isinstance(value, list) else str(value)
        lines.append(f"{name:<{width}}  {on_one_line(text)}")
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
    from brf_lava.inspection.compare import compare as differences
    from brf_lava.inspection.subjects import find_subjects

    def load(about: dict[str, Any], path: Path) -> Any:
        return network_data(about, data, path)

    pair = [find_subjects([path], load, limit)[0] for path in (first, second)]
    found, problem = differences(*pair)
    cells = [[each.what, _shown(each.first), _shown(each.second)] for each in found]
    verdict = f"{len(found) or 'No'} differences." + (f" Not run: {problem}" if problem else "")
    table = report.table("", ("differs", str(first), str(second)), cells)
    rows = [each._asdict() for each in found]
    return Result({"differences": rows, "not_run": problem}, [verdict, *([table] if cells else [])])


def _shown(value: Any) -> str:
    return "-" if value is None else str(value)
