"""brf-lava reproduce"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from brf_lava.cli.options import (
    PATH,
    DataOptions,
    data_option,
    device_option,
    load_data,
)
from brf_lava.errors import BrfLavaError, RecipeError
from brf_lava.io.printable import on_one_line

if TYPE_CHECKING:
    from rich.console import JustifyMethod

    from brf_lava.reproduce.jobs import Outcome

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
    """Run the published experiments on TASK again and tabulate them beside the published values.

    Each run is a training, its export and the exported network on the integer engine. What is done
    is not done again, and what was stopped goes on: after Ctrl-C, give the same command.
    """
    from brf_lava.reproduce.plan import check_neurons, check_tasks
    from brf_lava.reproduce.published import NEURONS, TASKS

    cells = check_tasks(tasks), list(NEURONS) if neurons is None else check_neurons(neurons)
    if tables_only:
        _check_tables_only()
        _tables(out, (cells[0] or list(TASKS), cells[1]), changes, epochs)
        return
    if not tasks:
        raise RecipeError(f"reproduce: name what to run: one or more of {', '.join(TASKS)}.")
    outcome = _run(cells, seeds or DEFAULT_SEEDS, epochs, changes, out, jobs, data, device, restart)
    if outcome.done:
        _tables(out, (list(TASKS), list(NEURONS)))
    _end(outcome, out)


def _check_tables_only() -> None:
    """Refuse what only a run would heed, given although it be the default."""
    from click.core import ParameterSource

    context = click.get_current_context()
    given = [
        each.opts[0]
        for each in context.command.params
        if each.name
        and each.name not in FOR_TABLES
        and context.get_parameter_source(each.name) is not ParameterSource.DEFAULT
    ]
    if given:
        raise RecipeError(
            f"--tables-only runs nothing, and does not go with {', '.join(given)}. Leave that out."
        )


def _run(
    cells: tuple[list[str], list[str]],
    seeds: int,
    epochs: int | None,
    changes: tuple[str, ...],
    out: Path,
    jobs: int | None,
    data: DataOptions,
    device: str,
    restart: bool,
) -> Outcome:
    from brf_lava.io.files import check_writable, only_writer
    from brf_lava.reproduce.display import display
    from brf_lava.reproduce.jobs import Settings, core_share, run_jobs
    from brf_lava.reproduce.plan import experiments, plan
    from brf_lava.reproduce.tables import FILES
    from brf_lava.train.model import choose_device

    choose_device(device)
    asked = experiments(*cells, changes, epochs)
    _check_folder(out)
    planned = plan(asked, seeds, out, lambda task: load_data(task, data), restart)
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise BrfLavaError(
            f"--out {out}: cannot be made ({error.strerror}). Name another folder."
        ) from error
    for name in FILES:
        check_writable(out / name)
    settings = Settings(core_share(jobs, len(planned)), data.arguments(), device)
    left = sum(bool(job.steps) for job in planned)
    click.echo(
        f"runs     {len(planned)}, of which {len(planned) - left} are done\n"
        f"at once  {settings.share.jobs}, threads of each: {settings.share.threads}",
        err=True,
    )
    with only_writer(out / FILES[-1]), display(planned) as shown:
        return run_jobs(planned, settings, shown)


def _check_folder(out: Path) -> None:
    """Before anything is read: the nearest folder that exists must be one, and take new files."""
    import os

    nearest = next(path for path in (out, *out.absolute().parents) if path.exists())
    if not nearest.is_dir():
        raise BrfLavaError(f"--out {out}: {nearest} is not a folder. Name a folder, or a new one.")
    if not os.access(nearest, os.W_OK | os.X_OK):
        raise BrfLavaError(
            f"--out {out}: the folder {nearest} cannot be written to. Name another folder."
        )


def _tables(
    out: Path,
    cells: tuple[list[str], list[str]],
    changes: tuple[str, ...] = (),
    epochs: int | None = None,
) -> None:
    """Write the tables of all that is there, and show these cells.

    changes, epochs: where given, what the recipes of these must be the shipped ones with.
    """
    from rich.table import Table

    from brf_lava import report
    from brf_lava.reproduce.plan import check_changes, collect
    from brf_lava.reproduce.tables import FILES, HEAD, as_text, notes, write_tables

    everything = collect(out)
    runs = everything.of(*cells)
    if changes or epochs is not None:
        check_changes(runs, changes, epochs)
    rows = write_tables(everything.complete, everything.unfinished, out)
    tasks, neurons = cells
    shown = [row for row in rows if row.task in tasks and row.neuron in neurons]
    for text in (part for whole in as_text(shown) for part in whole.parts(report.width())):
        table = Table(title=text.title, title_justify="left", box=None, pad_edge=False)
        for index, name in enumerate(text.columns):
            justify: JustifyMethod = "left" if index < len(HEAD) else "right"
            table.add_column(name, justify=justify, overflow="fold")
        for row in text.rows:
            table.add_row(*row)
        report.print_table(table)
        click.echo()
    for line in notes(runs.complete, runs.unfinished):
        click.echo(line)
    click.echo(f"Wrote {', '.join(FILES)} in {on_one_line(out)}.")


def _end(outcome: Outcome, out: Path) -> None:
    """Say how to go on where not all is done. Raises: KeyboardInterrupt, JobError."""
    from brf_lava.reproduce.jobs import JobError

    total = outcome.total
    if outcome.stopped and len(outcome.done) < total:
        click.echo(
            f"Stopped: {len(outcome.done)} of {total} runs in {on_one_line(out)} are done, the "
            "others keep their finished epochs. Go on with the same command.",
            err=True,
        )
        raise KeyboardInterrupt
    if outcome.failed:
        (first, problem), *others = outcome.failed.items()
        also = f" Also failed: {', '.join(job.name for job, _ in others)}." if others else ""
        raise JobError(
            f"{len(outcome.failed)} of {total} runs failed. {first.name}: {problem}{also} Mend "
            "this and give the same command; what is done is not done again."
        )
