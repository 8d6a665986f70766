"""brf-lava sweep-bits"""

from __future__ import annotations

from functools import partial
from pathlib import Path

import click

from brf_lava.cli.command import Command, Result
from brf_lava.cli.loihi2_options import DEFAULT_PROFILE, board_profile
from brf_lava.cli.options import PATH, DataOptions, data_option, load_data, rounding_option
from brf_lava.errors import ParameterError
from brf_lava.io.extras import require_extra
from brf_lava.io.printable import on_one_line

SAMPLES = 500  # of the test data, at most


@click.command("sweep-bits", cls=Command)
@click.argument("model", type=PATH)
@data_option
@rounding_option
@click.option("-o", "--out", type=PATH, help="Also draw it: .png, .svg or .pdf.")
@click.option("--full", is_flag=True, help="All 84 combinations, not 12 that change one number.")
def sweep_bits(
    model: Path, data: DataOptions, rounding: str, out: Path | None, full: bool
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
    if out is not None:
        require_extra("plot", "matplotlib")
        from brf_lava.analysis.draw.style import check_picture

        check_picture(out)
    from brf_lava import report
    from brf_lava.analysis import bits
    from brf_lava.analysis.activity import Samples
    from brf_lava.train.checkpoint import load_checkpoint
    from brf_lava.train.export import calibration_inputs, rounding_steps, to_integers

    checkpoint = load_checkpoint(model)
    dataset = load_data(checkpoint.recipe.task, data, model).ordered_as(checkpoint.permutation)
    x, test = calibration_inputs(checkpoint, dataset), dataset.test.first(SAMPLES)
    samples = Samples(test.time_major(), test.y, checkpoint.recipe.decision)
    trained, board = checkpoint.model(), board_profile(DEFAULT_PROFILE)
    rounded = partial(to_integers, trained, x, rounding=rounding, grams={})
    steps = rounding_steps(trained, rounding)
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
        if out is not None:
            from brf_lava.analysis.draw.style import picture

            with picture(out) as figure:
                bits.draw_trials(figure, tried, title)
            click.echo(f"Wrote {on_one_line(out)}.", err=True)
    except BaseException as error:  # Ctrl-C, too, shows what is done
        stop = error
    best = bits.pareto(tried)
    values = {"samples": title, "trials": tried, "pareto": best}
    return Result(values, [bits.trial_table(title, tried, best, "pareto")], error=stop)
