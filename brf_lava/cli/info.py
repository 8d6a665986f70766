"""brf-lava info and brf-lava compare"""

from __future__ import annotations

import json
from pathlib import Path

import click

from brf_lava.cli.options import PATH, DataOptions, data_option, network_data
from brf_lava.io.printable import on_one_line

json_option = click.option("--json", "as_json", is_flag=True, help="As JSON, for programs.")


@click.command()
@click.argument("file", type=PATH)
@json_option
def info(file: Path, as_json: bool) -> None:
    """What is FILE? A model, network, run, recipe, profile, task, metrics, arrays, a record ...

    --json: an object with "kind" and the lines by name.

    \b
    Example: brf-lava info net.h5
    """
    from brf_lava.inspection.describe import describe, shown

    lines = describe(file)
    if as_json:
        click.echo(json.dumps(lines))
        return
    width = max(map(len, lines))
    for name, value in lines.items():
        click.echo(f"{name:<{width}}  {on_one_line(shown(value))}")


@click.command()
@click.argument("first", type=PATH)
@click.argument("second", type=PATH)
@data_option
@click.option(
    "--limit", type=click.IntRange(1), default=500, show_default=True, help="Test samples to run."
)
@json_option
def compare(first: Path, second: Path, data: DataOptions, limit: int, as_json: bool) -> None:
    """What differs between two models, networks or runs?

    Origin, recipe, integers, scores of each class on the test data, and the first spike that
    differs. --json: {"differences": [{"what", "first", "second"}], "not run": why or null}.

    \b
    Example: brf-lava compare model.pt net.h5
    """
    from brf_lava import report
    from brf_lava.inspection.compare import compare as differences
    from brf_lava.inspection.subjects import find_subjects

    ways = (lambda about, source: network_data(about, data, source)), limit
    pair = [find_subjects([path], *ways)[0] for path in (first, second)]
    found, problem = differences(*pair)
    if as_json:
        rows = [each._asdict() for each in found]
        click.echo(json.dumps({"differences": rows, "not run": problem}))
        return
    texts = [("-" if value is None else str(value) for value in each) for each in found]
    cells = [tuple(each) for each in texts]
    if cells:
        report.print_rows("", ("differs", str(first), str(second)), cells)
    click.echo(f"{len(found) or 'No'} differences." + (f" Not run: {problem}" if problem else ""))
