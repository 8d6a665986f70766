"""``python -m benchmarks [NAME ...] [--out FILE.json] [--full]``"""

from __future__ import annotations

import importlib
import json
import os
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

import click
from rich.console import Console
from rich.table import Table

from brf_lava.errors import BackendUnavailableError, BrfLavaError
from brf_lava.io.files import Kind, check_writable, replacing

if TYPE_CHECKING:
    from benchmarks.timing import Comparison, Row

NAMES = ("start_up", "lava_run", "netx_run", "stream", "kernel", "floor", "growth", "epoch", "gpu")
OTHERS = ("peers",)  # need an environment of their own
SCHEMA = 1
KIND = Kind("a measurement of benchmarks", rb'\{\s*"schema": [0-9]+,\s*"machine"')
WIDTH = 110  # of tables where there is no terminal


@click.command()
@click.argument("names", nargs=-1, type=click.Choice(NAMES + OTHERS), metavar="[NAME]...")
@click.option("--out", type=click.Path(path_type=Path), help="Also write all samples as JSON.")
@click.option("--picture", type=click.Path(path_type=Path), help="growth: also draw it.")
@click.option("--full", is_flag=True, help="lava_run: time every sample alone; takes minutes.")
def main(names: tuple[str, ...], out: Path | None, picture: Path | None, full: bool) -> None:
    """Measure NAME, or all but peers, on this machine.

    \b
    start_up, lava_run, netx_run, stream   commands and Lava
    kernel, floor, growth, epoch           training on the CPU
    gpu                                    training on a card
    peers                                  other libraries, see make bench-peers
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # as the command line does, see there
    try:
        _run(names, out, {"lava_run": {"full": full}, "growth": {"picture": picture}})
    except BrfLavaError as error:
        click.echo(f"Error: {' '.join(str(error).split())}", err=True)
        raise SystemExit(error.exit_code) from error


def _run(names: tuple[str, ...], out: Path | None, options: dict[str, dict[str, Any]]) -> None:
    if out is not None:
        check_writable(out, KIND)
    console = Console(highlight=False)
    if not console.is_terminal:
        console = Console(highlight=False, width=WIDTH)
    from benchmarks.machine import this_machine  # after OMP_WAIT_POLICY: it imports torch

    machine = this_machine()
    console.print(f"Machine: {machine}", soft_wrap=True)
    results: dict[str, list[Comparison]] = {}
    skipped: dict[str, str] = {}
    for name in names or NAMES:
        module = importlib.import_module(f"benchmarks.{name}")
        console.print(f"\nMeasuring: {module.TITLE} ...")
        try:
            results[name] = module.measure(**options.get(name, {}))
        except BackendUnavailableError as error:
            if names:
                raise
            skipped[name] = str(error)
            console.print(f"Not measured: {error}", soft_wrap=True)
            continue
        for comparison in results[name]:
            console.print(_table(comparison))
            console.print(*comparison.notes, sep="\n", soft_wrap=True)
    if out is not None:
        contents: dict[str, Any] = {
            "schema": SCHEMA,
            "machine": machine.as_dict(),
            "benchmarks": {
                name: [comparison.as_dict() for comparison in comparisons]
                for name, comparisons in results.items()
            },
            "skipped": skipped,
        }
        with replacing(out, KIND) as temporary:
            temporary.write_text(json.dumps(contents, indent=2) + "\n")
        console.print(f"Wrote {out}.")


def _table(comparison: Comparison) -> Table:
    table = Table(title=comparison.title, title_justify="left")
    table.add_column("what")
    for column in ("median", "min - max"):
        table.add_column(column, justify="right")
    if comparison.base:
        table.add_column("ratio (min - max)", justify="right")
    table.add_column("bar")
    for row in comparison.rows:
        cells = [row.what, _time(median(row.seconds))]
        cells.append(f"{_time(min(row.seconds))} - {_time(max(row.seconds))}")
        if comparison.base:
            cells.append(_ratio(comparison.ratios(row)))
        table.add_row(*cells, _bar(comparison, row))
    return table


def _time(seconds: float) -> str:
    if seconds >= 100:
        return f"{seconds:.0f} s"
    return f"{seconds:.2f} s" if seconds >= 1 else f"{1000 * seconds:.1f} ms"


def _ratio(ratios: tuple[float, ...]) -> str:
    if not ratios:
        return "1x"
    return f"{median(ratios):.3g}x ({min(ratios):.3g} - {max(ratios):.3g})"


def _bar(comparison: Comparison, row: Row) -> str:
    met = comparison.met(row)
    return "" if met is None else f"{row.bar}, {'met' if met else 'missed'}"


if __name__ == "__main__":
    main()
