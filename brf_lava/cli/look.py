"""The commands that look closer: info, compare, report, audit and sweep-bits"""

from __future__ import annotations

from functools import partial
from pathlib import Path

import click

from brf_lava.cli import options
from brf_lava.cli.command import Command, Result
from brf_lava.cli.options import PATH
from brf_lava.cli.target import DEFAULT_PROFILE, board_profile, profile_option
from brf_lava.errors import NetworkFileError, ParameterError
from brf_lava.io.extras import require_extra
from brf_lava.io.printable import on_one_line

SAMPLES = 500  # of the test data, at most, that a sweep takes


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
@options.data_option
@options.limit_option
def compare(first: Path, second: Path, data: options.DataOptions, limit: int) -> Result:
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
@options.data_option
@options.limit_option
@profile_option
def report_command(
    paths: tuple[Path, ...],
    out: Path | None,
    kind: str | None,
    data: options.DataOptions,
    limit: int,
    profile: str,
) -> Result:
    """Write one HTML page about networks: scores, signals, parameters, energy, provenance.

    PATH: a model (.pt), a network (.h5), a run (.json), or a folder with such files at any depth.
    Files of one network are put together. The page needs no network, and can be sent as it is.

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
    text, missing = render(subjects, board)
    write_page(text, out, kind)
    size = out.stat().st_size
    lines = [f"Wrote {on_one_line(out)}, {size / 1e6:.1f} MB."]
    if len(subjects) > 1:
        names = ", ".join(on_one_line(each.name) for each in subjects)
        lines.append(f"{len(subjects)} networks, by what the files say: {names}.")
    lines += map(on_one_line, missing)
    return Result({"report": out, "bytes": size, "left_out": missing}, lines)


@click.command(cls=Command, more=True)
@click.argument("model", type=PATH)
@click.argument("network", type=PATH)
@options.data_option
@options.limit_option
@options.picture_options()
def audit(
    model: Path, network: Path, data: options.DataOptions, limit: int, look: options.PictureOptions
) -> Result:
    """Where do the integers of NETWORK differ from MODEL, which they were exported from?

    Both run the first test samples. --all shows the peaks and saturations of the states, and what
    each source of error does alone: the weights of each matrix, the coefficients of the neurons,
    the constants, the rounding of the states. --json has all neurons, steps and samples.

    \b
    Examples:
      brf-lava audit model.pt net.h5
      brf-lava audit model.pt net.h5 --all -o ranges.png
    """
    from brf_lava.analysis import audit as audits
    from brf_lava.analysis.activity import Samples
    from brf_lava.network.bounds import proof_lines
    from brf_lava.network.file import read_network
    from brf_lava.train.checkpoint import load_checkpoint

    checkpoint = load_checkpoint(model)
    fixed, _ = read_network(network)
    real = checkpoint.model().to_real()
    exported, given = str(fixed.provenance.get("model")), checkpoint.fingerprint
    if exported != given:
        raise NetworkFileError(
            f"{network}: exported from model {exported[:8]}; {model} is {given[:8]}. Name the "
            "model that it was exported from."
        )
    dataset = data.load_for(checkpoint.provenance, model)
    test = dataset.test.first(limit)
    samples = Samples(test.time_major(), test.y, checkpoint.recipe.decision)
    found = audits.audit(real, fixed, samples)
    if look.out is not None:
        with look.picture() as figure:
            audits.draw_audit(figure, found, f"{network.name} against {model.name}, {dataset.task}")
    lines = [*audits.verdict(found), *proof_lines(fixed)]
    about = {"model": given, "data": dataset.source, "summary": lines}
    return Result({**about, **vars(found)}, lines, audits.tables(found))


@click.command("sweep-bits", cls=Command)
@click.argument("model", type=PATH)
@options.data_option
@options.rounding_option
@options.picture_options()
@click.option("--full", is_flag=True, help="All 84 combinations, not 12 that change one number.")
def sweep_bits(
    model: Path, data: options.DataOptions, rounding: str, look: options.PictureOptions, full: bool
) -> Result:
    """How few bits for weights, states and parameters of MODEL keep its accuracy?

    Accuracy, or agreement with the float network without labels, is that of the first 500 test
    samples. Memory is counted in bits of all weights, states and coefficients. A board may take
    more: the cores are those of a Loihi 2 chip. Ctrl-C shows what is done.

    \b
    Examples:
      brf-lava sweep-bits model.pt -o sweep.png
      brf-lava sweep-bits model.pt --full --json > sweep.json
    """
    from brf_lava import report
    from brf_lava.analysis import bits
    from brf_lava.analysis.activity import Samples
    from brf_lava.train.export import calibration_inputs, rounding_steps, to_integers

    checkpoint, dataset = data.load_model(model)
    x, test = calibration_inputs(checkpoint, dataset), dataset.test.first(SAMPLES)
    samples = Samples(test.time_major(), test.y, checkpoint.recipe.decision)
    trained, board = checkpoint.model(), board_profile(DEFAULT_PROFILE)
    rounded = partial(to_integers, trained, x, rounding=rounding, grams={})
    steps = rounding_steps(trained, rounding, x)
    trial = bits.trials(trained.to_real(), rounded, samples, board, steps)
    points = bits.GRID if full else bits.ONE_AT_A_TIME
    title = f"{model.name}: the first {len(test.x)} test samples of {dataset.source.kind}"
    tried, stop = [trial(points[0][0])], None
    try:
        for weights, states, parameters in points[1:]:
            try:
                tried.append(trial(weights, state_bits=states, parameter_bits=parameters))
            except ParameterError as error:  # noqa: PERF203  # the other points go on
                report.notice(f"left out: {error}")
        if look.out is not None:
            with look.picture() as figure:
                bits.draw_trials(figure, tried, title)
    except BaseException as error:  # Ctrl-C, too, shows what is done
        stop = error
    best = bits.pareto(tried)
    values = {"samples": title, "trials": tried, "pareto": best}
    lines = [bits.verdict(tried, best), bits.trial_table(title, tried, best, "pareto")]
    return Result({**values, "verdict": lines[0]}, lines, error=stop)
