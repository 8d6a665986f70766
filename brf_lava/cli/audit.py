"""brf-lava audit"""

from __future__ import annotations

from pathlib import Path

import click

from brf_lava.cli.command import Command, Result
from brf_lava.cli.options import PATH, DataOptions, data_option, load_data
from brf_lava.errors import NetworkFileError
from brf_lava.io.extras import require_extra
from brf_lava.io.printable import on_one_line


@click.command(cls=Command, more=True)
@click.argument("model", type=PATH)
@click.argument("network", type=PATH)
@data_option
@click.option("--limit", type=click.IntRange(1), default=500, show_default=True, help="Samples.")
@click.option("-o", "--out", type=PATH, help="Also draw the ranges: .png, .svg or .pdf.")
def audit(model: Path, network: Path, data: DataOptions, limit: int, out: Path | None) -> Result:
    """Where do the integers of NETWORK differ from MODEL, which they were exported from?

    Both run the first test samples. --all shows the peaks and saturations of the states, and what
    each source of error does alone: the weights of each matrix, the coefficients of the neurons,
    the constants, the rounding of the states. --json has all neurons, steps and samples.

    \b
    Examples:
      brf-lava audit model.pt net.h5
      brf-lava audit model.pt net.h5 --all -o ranges.png
    """
    if out is not None:
        require_extra("plot", "matplotlib")
        from brf_lava.analysis.draw.style import check_picture

        check_picture(out)
    from brf_lava.analysis import audit as audits
    from brf_lava.analysis.activity import Samples
    from brf_lava.network.bounds import proof_lines
    from brf_lava.network.file import read_network
    from brf_lava.train.checkpoint import load_checkpoint

    checkpoint, (fixed, _) = load_checkpoint(model), read_network(network)
    real = checkpoint.model().to_real()
    exported, given = str(fixed.provenance.get("model")), checkpoint.fingerprint
    if exported != given:
        raise NetworkFileError(
            f"{network}: exported from model {exported[:8]}; {model} is {given[:8]}. Name the "
            "model that it was exported from."
        )
    dataset = load_data(checkpoint.recipe.task, data, model).ordered_as(checkpoint.permutation)
    test = dataset.test.first(limit)
    samples = Samples(test.time_major(), test.y, checkpoint.recipe.decision)
    found = audits.audit(real, fixed, samples)
    if out is not None:
        from brf_lava.analysis.draw.style import picture

        with picture(out) as figure:
            audits.draw_audit(figure, found, f"{network.name} against {model.name}, {dataset.task}")
        click.echo(f"Wrote {on_one_line(out)}.", err=True)
    lines = [*audits.verdict(found), *proof_lines(fixed)]
    about = {"model": given, "data": dataset.source, "summary": lines}
    return Result({**about, **vars(found)}, lines, audits.tables(found))
