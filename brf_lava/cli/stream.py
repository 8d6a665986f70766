"""brf-lava stream"""

from __future__ import annotations

import sys
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import IO

import click

from brf_lava.backends.base import STREAMING
from brf_lava.cli.options import PATH, numbers
from brf_lava.cli.target_options import TargetOptions, target_options
from brf_lava.errors import DataError, ParameterError


@click.command()
@click.argument("network", type=PATH)
@click.argument("source", type=PATH, metavar="FILE|-")
@target_options(STREAMING)
@click.option(
    "--decide",
    type=float,
    metavar="MARGIN",
    help="For one class per sequence: say 'decided' at the first step where the lead of the best "
    "class reaches this margin.",
)
@click.option(
    "--lead-scale",
    type=numbers,
    metavar="A,B",
    help="For ecg: the standard deviation of each lead. Lines may then be "
    '{"signal": [a, b]}, raw samples at 250 Hz, and are encoded as the training data were.',
)
def stream(
    network: Path,
    source: Path,
    target: TargetOptions,
    decide: float | None,
    lead_scale: tuple[float, ...] | None,
) -> None:
    """Answer the steps in FILE, - for standard input, one by one.

    A JSON line per step: a list of all inputs, or {"events": [...]} with those that spike;
    {"reset": true} between two sequences. A JSON line per answer: one step per layer late on sim,
    at once on engine; a reset or the end of the input brings the rest. Blank lines are skipped.
    """
    from brf_lava.ecg.live import LiveEcg
    from brf_lava.network.file import read_network
    from brf_lava.run.early import check_early
    from brf_lava.run.stream import Stream
    from brf_lava.run.stream_lines import LINE_MAX, LineReader, Session

    chosen = target.target()
    fixed, _ = read_network(network)
    if decide is not None:
        check_early(fixed, [decide], "--decide")
    reader = LineReader(fixed, None if lead_scale is None else LiveEcg(fixed, lead_scale))
    if sys.stdout is None:
        raise ParameterError(
            "stream: standard output is closed, where the answers go. Leave it open."
        )
    with ExitStack() as stack:
        readline = partial(_open(source, stack).readline, LINE_MAX + 1)
        answers = stack.enter_context(
            Stream(fixed, backend=target.backend, decide=decide, timeout=chosen.timeout)
        )
        session = Session(fixed, answers, reader, sys.stdout.buffer)
        try:
            session.run(iter(readline, b""), _name(source))
        finally:
            click.echo(session.speed(), err=True)


def _name(source: Path) -> str:
    return "standard input" if source == Path("-") else str(source)


def _open(source: Path, stack: ExitStack) -> IO[bytes]:
    """Raises: DataError when the file cannot be read."""
    if source == Path("-"):
        if sys.stdin is None:
            raise DataError("-: standard input is closed. Name a file, or leave it open.")
        return sys.stdin.buffer
    try:
        return stack.enter_context(source.open("rb"))
    except OSError as error:
        raise DataError(
            f"{source}: cannot be read ({error.strerror}). Name a file, or - for standard input."
        ) from None
