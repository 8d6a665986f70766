"""brf-lava reproduce"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING

import click
from click.core import ParameterSource

from brf_lava.cli.options import PATH, DataOptions, data_option, device_option, load_data
from brf_lava.errors import BrfLavaError, DataError, RecipeError
from brf_lava.io.printable import on_one_line

if TYPE_CHECKING:
    from brf_lava.config.recipe import Recipe
    from brf_lava.reproduce.jobs import Outcome, Settings
    from brf_lava.reproduce.plan import Cell, Job

DEFAULT_SEEDS = 5  # as many runs as the published means are of
FOR_TABLES = {"tasks", "neurons", "changes", "epochs", "out", "tables_only"}  # parameters


@click.command()
@click.argument("tasks", metavar="[TASK]...", nargs=-1)
@click.option("--neurons", help="Separated by commas. Default: alif,rf,brf,bhrf.")
@click.option(
    "--seeds",
    type=click.IntRange(min=1),
    help=f"Runs of each task and neuron, from seed 0 on. Default: {DEFAULT_SEEDS}.",
)
@click.option("--epochs", type=click.IntRange(min=1), help="Short for --set training.epochs=N.")
@click.option("--set", "changes", multiple=True, metavar="KEY=VALUE", help="Change all recipes.")
@click.option("--out", type=PATH, default=Path("reproduce"), show_default=True, help="A folder.")
@click.option(
    "--jobs",
    type=click.IntRange(min=1),
    help="Runs at a time, which share the cores. Default: as many as there are cores.",
)
@data_option
@device_option
@click.option(
    "--restart",
    is_flag=True,
    help="Start runs over that are damaged or of another recipe or other data.",
)
@click.option(
    "--tables-only",
    is_flag=True,
    help="Run nothing; make the tables of what is there. TASK and --neurons narrow what is shown, "
    "--set and --epochs check its recipes.",
)
def reproduce(
    tasks: tuple[str, ...],
    neurons: str | None,
    seeds: int | None,
    epochs: int | None,
    changes: tuple[str, ...],
    out: Path,
    jobs: int | None,
    data: DataOptions,
    device: str,
    restart: bool,
    tables_only: bool,
) -> None:
    """Run the published experiments on TASK again and tabulate them next to the published values.

    Each run is a training, its export and the exported network on the integer engine. What is done
    is not done again, and what was stopped goes on: after Ctrl-C, give the same command.
    """
    from brf_lava.reproduce.jobs import Settings, core_share
    from brf_lava.reproduce.plan import check_names, plan, recipes_for
    from brf_lava.reproduce.published import NEURONS, TASKS
    from brf_lava.train.model import choose_device

    if tables_only:
        _check_tables_only()
    elif not tasks:
        raise RecipeError(f"reproduce: name what to run: one or more of {', '.join(TASKS)}.")
    chosen = check_names(tasks or TASKS, TASKS, "task")
    named = NEURONS if neurons is None else [name.strip() for name in neurons.split(",")]
    cells = list(product(chosen, check_names(named, NEURONS, "neuron")))
    changes += () if epochs is None else (f"training.epochs={epochs}",)
    recipes = recipes_for(cells, changes)
    if tables_only:
        _show_tables(out, cells, recipes if changes else {})
        return
    choose_device(device)
    seeds = seeds or DEFAULT_SEEDS
    planned = plan(recipes, seeds, out, lambda task: load_data(task, data), restart)
    share = core_share(jobs, len(planned))
    settings = Settings(share, changes, data.arguments(), device)
    outcome = _run(planned, settings, out)
    if outcome.done:
        _show_tables(out, list(product(TASKS, NEURONS)), {})
    _end(planned, outcome, out)


def _check_tables_only() -> None:
    """Refuse options for a run, even with the values that they have by default."""
    context = click.get_current_context()
    given = [
        each.opts[0]
        for each in context.command.params
        if each.name not in FOR_TABLES
        and context.get_parameter_source(str(each.name)) is not ParameterSource.DEFAULT
    ]
    if given:
        raise RecipeError(
            f"--tables-only runs nothing, and does not go with {', '.join(given)}. Leave that out."
        )


def _run(planned: list[Job], settings: Settings, out: Path) -> Outcome:
    from brf_lava.io.files import check_writable, only_writer
    from brf_lava.reproduce.display import Display
    from brf_lava.reproduce.jobs import run_jobs
    from brf_lava.reproduce.tables import FILES

    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise BrfLavaError(
            f"--out {out}: cannot be made ({error.strerror}). Name another folder."
        ) from error
    for name in FILES:
        check_writable(out / name)
    done = sum(not job.steps for job in planned)
    click.echo(
        f"runs     {len(planned)}, of which {done} are done\n"
        f"at once  {settings.share.jobs}, threads of each: {settings.share.threads}",
        err=True,
    )
    with only_writer(out / FILES[-1]), Display(planned) as display:
        return run_jobs(planned, settings, display)


def _show_tables(out: Path, cells: Sequence[Cell], recipes: dict[Cell, Recipe]) -> None:
    """Write the tables of all runs in `out`, and show these cells.

    recipes: What the runs of these cells must be of; those without one are not checked.
    """
    from rich.table import Table

    from brf_lava import report
    from brf_lava.reproduce.folders import run_folders
    from brf_lava.reproduce.records import check_alike, read_record
    from brf_lava.reproduce.tables import FILES, HEAD, TABLES, columns, notes, write_tables

    folders = run_folders(out)
    records = [read_record(folder) for folder in folders if folder.complete]
    unfinished = [folder for folder in folders if not folder.complete]
    shown = [run for run in records if run.folder.cell in cells]
    if not shown:
        which = ", ".join(f"{task}-{neuron.lower()}" for task, neuron in cells)
        raise DataError(
            f"{out}: holds no finished run of {which}, so there is no table to make. Name the "
            "--out of a 'brf-lava reproduce', or run it without --tables-only."
        )
    check_alike(records, recipes, {})
    lines = write_tables(records, unfinished, out)
    lines = [line for line in lines if (line["task"], line["neuron"]) in cells]
    for title in TABLES:
        table = Table(title=title, title_justify="left", box=None, pad_edge=False)
        headings, *rows = zip(*columns(title, lines), strict=True)
        for name in headings:
            table.add_column(name, justify="left" if name in HEAD else "right", overflow="fold")
        for row in rows:
            table.add_row(*row)
        report.print_table(table)
        click.echo()
    for note in notes(shown, [folder for folder in unfinished if folder.cell in cells]):
        click.echo(note)
    click.echo(f"Wrote {', '.join(FILES)} in {on_one_line(out)}.")


def _end(planned: list[Job], outcome: Outcome, out: Path) -> None:
    """Say how to go on where not all is done. Raises: KeyboardInterrupt, JobError."""
    from brf_lava.errors import JobError

    total, done = len(planned), len(outcome.done)
    if done + len(outcome.failed) < total:
        click.echo(
            f"Stopped: {done} of {total} runs in {on_one_line(out)} are done, the others keep "
            "their finished epochs. Go on with the same command.",
            err=True,
        )
        raise KeyboardInterrupt
    failed = [job for job in planned if job in outcome.failed]
    if failed:
        first, *others = (job.folder.name for job in failed)
        also = f" Also failed: {', '.join(others)}." if others else ""
        raise JobError(
            f"{len(failed)} of {total} runs failed. {first}: {outcome.failed[failed[0]]}{also} "
            "Correct this and give the same command; what is done is not done again."
        )
