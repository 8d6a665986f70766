"""brf-lava audit and sweep-bits: how good the integers are"""

from __future__ import annotations

from functools import partial
from pathlib import Path

import click

from brf_lava.cli import options
from brf_lava.cli.command import Command, Result
from brf_lava.cli.target import DEFAULT_PROFILE, board_profile
from brf_lava.errors import NetworkFileError, ParameterError

SAMPLES = 500  # of the test data, at most, that a sweep takes


@click.command(cls=Command, more=True)
@click.argument("model", type=options.PATH)
@click.argument("network", type=options.PATH)
@options.data_option
@options.limit_option
@options.picture_option
def audit(
    model: Path, network: Path, data: options.DataOptions, limit: int, out: Path | None
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

    checkpoint, dataset = data.load_model(model)
    fixed, _ = read_network(network)
    real = checkpoint.model().to_real()
    exported, given = str(fixed.provenance.get("model")), checkpoint.fingerprint
    if exported != given:
        raise NetworkFileError(
            f"{network}: exported from model {exported[:8]}; {model} is {given[:8]}. Name the "
            "model that it was exported from."
        )
    test = dataset.test.first(limit)
    samples = Samples(test.time_major(), test.y, checkpoint.recipe.decision)
    found = audits.audit(real, fixed, samples)
    if out is not None:
        from brf_lava.analysis.draw.ranges import draw_audit

        with options.picture(out) as figure:
            draw_audit(figure, found, f"{network.name} against {model.name}, {dataset.task}")
    lines = [*audits.verdict(found), *proof_lines(fixed)]
    about = {"model": given, "data": dataset.source, "summary": lines}
    return Result({**about, **vars(found)}, lines, audits.tables(found))


@click.command("sweep-bits", cls=Command)
@click.argument("model", type=options.PATH)
@options.data_option
@options.rounding_option
@options.picture_option
@click.option("--full", is_flag=True, help="All 84 combinations, not 12 that change one number.")
def sweep_bits(
    model: Path, data: options.DataOptions, rounding: str, out: Path | None, full: bool
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
            with options.picture(out) as figure:
                bits.draw_trials(figure, tried, title)
    except BaseException as error:  # Ctrl-C, too, shows what is done
        stop = error
    best = bits.pareto(tried)
    values = {"samples": title, "trials": tried, "pareto": best}
    return Result(values, [bits.trial_table(title, tried, best, "pareto")], error=stop)
