"""brf-lava sweep-bits"""

from __future__ import annotations

import json as json_format
from pathlib import Path

import click

from brf_lava.cli.loihi2_options import DEFAULT_PROFILE, board_profile
from brf_lava.cli.options import PATH, DataOptions, data_option, load_data
from brf_lava.errors import ParameterError
from brf_lava.io.extras import require_extra
from brf_lava.io.printable import on_one_line


@click.command("sweep-bits")
@click.argument("model", type=PATH)
@data_option
@click.option("-o", "--out", type=PATH, help="Also draw it: .png, .svg or .pdf.")
@click.option("--json", is_flag=True, help="As JSON instead of a table.")
@click.option("--full", is_flag=True, help="All combinations of bits, instead of one at a time.")
@click.option("--samples", type=click.IntRange(1), default=500, show_default=True, help="To test.")
@click.option("--profile", default=DEFAULT_PROFILE, show_default=True, help="The board.")
def sweep_bits(
    model: Path,
    data: DataOptions,
    out: Path | None,
    json: bool,
    full: bool,
    samples: int,
    profile: str,
) -> None:
    """How few bits for weights, states and parameters of MODEL keep its accuracy?

    Accuracy, or agreement with the float network without labels, is that of the test data. Memory
    is counted in bits of all weights, states and coefficients. A board may take more: the cores are
    those of its profile. Ctrl-C shows what is done.
    """
    if out is not None:
        require_extra("plot", "matplotlib")
        from brf_lava.analysis.draw.style import check_picture

        check_picture(out)
    from brf_lava import report
    from brf_lava.analysis import bits
    from brf_lava.analysis.activity import Samples
    from brf_lava.train.checkpoint import load_checkpoint
    from brf_lava.train.export import calibration_inputs

    board, checkpoint = board_profile(profile), load_checkpoint(model)
    dataset = load_data(checkpoint.recipe.task, data, model).ordered_as(checkpoint.permutation)
    x, test = calibration_inputs(checkpoint, dataset), dataset.test.first(samples)
    asked = Samples(test.time_major(), test.y, checkpoint.recipe.decision)
    points, real = bits.GRID if full else bits.ONE_AT_A_TIME, checkpoint.model().to_real()
    trial, stopped = bits.trials(real, x, asked, board, "adaptive", len(points)), None
    tried = [trial(*points[0])]
    try:
        for point in points[1:]:
            try:
                tried.append(trial(*point))
            except ParameterError as error:  # noqa: PERF203  # the other points go on
                report.notice(f"left out: {error}")
    except KeyboardInterrupt as stop:
        stopped = stop
    best = bits.pareto(tried)
    title = f"{model.name}: the first {len(test.x)} test samples of {dataset.source.kind}"
    records = bits.as_records(tried, best, "pareto")
    if json:
        click.echo(json_format.dumps(records, indent=2))
    else:
        report.print_table(bits.trial_table(title, records))
    if stopped is not None:
        raise stopped
    if out is not None:
        from brf_lava.analysis.draw.bits import draw_trials
        from brf_lava.analysis.draw.style import picture

        with picture(out) as figure:
            draw_trials(figure, tried, best, title)
        click.echo(f"Wrote {on_one_line(out)}.", err=True)
