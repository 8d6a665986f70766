"""brf-lava reproduce"""

from __future__ import annotations

import re
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from brf_lava.cli.command import Command, Result
from brf_lava.cli.options import DataOptions, PictureOptions, data_option, device_option
from brf_lava.errors import JobError, RecipeError
from brf_lava.io.printable import on_one_line
from brf_lava.reproduce.published import NEURONS, TASKS

if TYPE_CHECKING:
    from brf_lava.reproduce.runs import Run


FOLDER = click.Path(file_okay=False, path_type=Path)


def neuron_names(text: str) -> list[str]:
    """Read published neurons with commas between, as the type of an option."""
    known = {name.lower(): name for name in NEURONS}
    names = [name.strip().lower() for name in text.split(",")]
    if not known.keys() >= set(names):
        raise click.BadParameter(f"{text!r}; allowed are {', '.join(known)}, with commas between.")
    return list(dict.fromkeys(known[name] for name in names))


def grid_of(text: str) -> list[str]:
    """Read a recipe key and its values with commas between, as the type of an option."""
    key, _, values = (part.strip() for part in text.partition("="))
    points = re.findall(r"(?:\[[^\]]*\]|[^,\[\]])+", values)  # a value may be a list
    if not key or not points or "/" in values:
        raise click.BadParameter(f"{text!r}; such as training.weight_bits=2,4,8 is needed.")
    return list(dict.fromkeys(f"{key}={''.join(point.split())}" for point in points))


@click.command(cls=Command)
@click.argument("tasks", type=click.Choice(TASKS, case_sensitive=False), nargs=-1)
@click.option("--neurons", type=neuron_names, metavar="NAMES", default=",".join(NEURONS).lower())
@click.option("--seeds", type=click.IntRange(1), default=5, help="Runs of each.")
@click.option("--epochs", type=click.IntRange(min=1), help="Short for --set training.epochs=N.")
@click.option("--set", "changes", multiple=True, metavar="KEY=VALUE", help="Change all recipes.")
@click.option(
    "--grid",
    type=grid_of,
    multiple=True,
    metavar="KEY=VALUE,...",
    help="Train with each of these values, and draw what they give.",
)
@click.option(
    "--published", is_flag=True, help="The published settings; not every seed trains to the end."
)
@click.option("-o", "--out", type=FOLDER, default=Path("reproduce"), help="A folder.")
@click.option("--jobs", type=click.IntRange(1), help="Runs at a time. Default: one per core.")
@click.option(
    "--executor",
    type=click.Choice(["local", "slurm"]),
    default="local",
    help="Where jobs run; slurm: as an array, extra [slurm].",
)
@click.option("--partition", help="Of Slurm.")
@click.option(
    "--time",
    "minutes",
    type=click.IntRange(min=1),
    metavar="MINUTES",
    help="After which a job of Slurm goes on in another. Default: 240.",
)
@data_option
@device_option
@click.option("--restart", is_flag=True, help="Start damaged runs and other experiments over.")
@click.option("--tables-only", is_flag=True, help="Only make the tables of the finished runs.")
def reproduce(
    tasks: tuple[str, ...],
    neurons: list[str],
    seeds: int,
    epochs: int | None,
    changes: tuple[str, ...],
    grid: tuple[list[str], ...],
    published: bool,
    out: Path,
    jobs: int | None,
    executor: str,
    partition: str | None,
    minutes: int | None,
    data: DataOptions,
    device: str,
    restart: bool,
    tables_only: bool,
) -> Result:
    """Run the published experiments on TASK again and tabulate them next to the published values.

    Each run, from seed 0 on, is a training, its export and the exported network on the integer
    engine. What is done is not done again, and what was stopped goes on: after Ctrl-C, give the
    same command.

    Recipes are the shipped ones, which train to the end; the tables say what in them is not as
    published.

    \b
    Examples:
      brf-lava reproduce ecg --seeds 5
      brf-lava reproduce smnist psmnist --neurons brf,bhrf --jobs 2
      brf-lava reproduce --tables-only
    """
    from brf_lava.io.extras import require_extra
    from brf_lava.io.files import check_writable, only_writer
    from brf_lava.io.program import cores
    from brf_lava.reproduce.jobs import KIND, MANIFEST, Cluster, run_jobs
    from brf_lava.reproduce.runs import plan, recipes_for
    from brf_lava.reproduce.tables import FILES
    from brf_lava.train.model import choose_device

    if tables_only:
        _check_tables_only()
        return _tables(out)
    if not tasks:
        raise RecipeError(f"reproduce: name what to run: one or more of {', '.join(TASKS)}.")
    changes += () if epochs is None else (f"training.epochs={epochs}",)
    slurm = executor == "slurm"
    if not slurm and (partition or minutes):
        raise RecipeError("--partition and --time are for --executor slurm. Leave them out.")
    if grid:
        require_extra("plot", "matplotlib")
    recipes = recipes_for(product(dict.fromkeys(tasks), neurons), changes, grid, published)
    if not slurm:
        choose_device(device)
    planned = plan(recipes, seeds, out, data.load, restart)
    jobs = min(jobs or (len(planned) if slurm else cores()), len(planned))
    threads = 1 if slurm else max(1, cores() // jobs)
    cluster = Cluster("slurm", partition, minutes or Cluster.minutes) if slurm else None
    out.mkdir(parents=True, exist_ok=True)
    for name, kind in {**FILES, MANIFEST: KIND}.items():
        check_writable(out / name, kind)
    click.echo(f"{len(planned)} runs, {jobs} at once with {threads} threads", err=True)
    with only_writer(out / "results.json"):
        stop = run_jobs(planned, jobs, threads, out, device, data.arguments(), cluster)
    error = _end(planned, out, stop)
    if error is not None and all(job.step for job in planned):
        raise error
    return _tables(out, error)


def _check_tables_only() -> None:
    """Refuse options for a run, even with the values that they have by default."""
    context, allowed = click.get_current_context(), {"out", "tables_only", "json", "quiet"}
    for each in context.command.params:
        default = context.get_parameter_source(str(each.name)) is ParameterSource.DEFAULT
        if not default and each.name not in allowed:
            raise RecipeError(f"--tables-only does not go with {each.opts[0]}. Leave that out.")


def _tables(out: Path, error: BaseException | None = None) -> Result:
    """Write the tables of all runs in `out`. error: what is raised after they were shown."""
    from brf_lava import report
    from brf_lava.reproduce.tables import FILES, TABLES, table, write_tables

    lines, remarks = write_tables(out)
    shown: list[Any] = []
    for title in TABLES:
        headings, *rows = table(title, lines)
        shown.append(report.table(title, headings, rows))
    if any("variant" in line for line in lines):
        from brf_lava.analysis.sweeps import draw_grid

        with PictureOptions(out / "grid.png").picture() as figure:
            draw_grid(figure, lines)
    shown += [*remarks, f"Wrote {', '.join(FILES)} in {on_one_line(out)}."]
    return Result({"folder": out, "lines": lines, "notes": remarks}, shown, error=error)


def _end(planned: list[Run], out: Path, stop: KeyboardInterrupt | None) -> BaseException | None:
    """Say how to go on where not all is done, and return what ends the command."""
    total, done = len(planned), sum(not job.step for job in planned)
    failed = [job for job in planned if job.problem is not None]
    if done + len(failed) < total:
        text = (
            f"Stopped: {done} of {total} runs in {on_one_line(out)} are done, the others keep "
            "their finished epochs. Go on with the same command."
        )
        if stop is None:  # a signal came to the process of a run alone
            return JobError(text)
        click.echo(text, err=True)
        return stop
    if failed:
        return JobError(
            f"{len(failed)} of {total} runs failed. {failed[0].folder.name}: {failed[0].problem} "
            "Correct this and give the same command; what is done is not done again."
        )
    return None
