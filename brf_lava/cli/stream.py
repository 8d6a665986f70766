"""brf-lava stream"""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import BinaryIO

import click

from brf_lava.backends.base import STREAMING
from brf_lava.cli.command import Command
from brf_lava.cli.options import PATH, numbers
from brf_lava.cli.target_options import TargetOptions, target_options


@click.command("stream", cls=Command, result=False)
@click.argument("network", type=PATH)
@click.argument("source", type=click.File("rb"), metavar="FILE|-")
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
def stream_command(
    network: Path,
    source: BinaryIO,
    target: TargetOptions,
    decide: float | None,
    lead_scale: tuple[float, ...] | None,
) -> None:
    """Answer the steps in FILE, - for standard input, one by one.

    A JSON line per step: a list of all inputs, or {"events": [...]} with those that spike;
    {"reset": true} between two sequences. A JSON line per answer: one step per layer late on sim,
    at once on engine; a reset or the end of the input brings the rest. Blank lines are skipped.

    \b
    Examples:
      brf-lava stream net.h5 steps.jsonl > answers.jsonl
      my-sensor | brf-lava stream net.h5 - --backend engine
    """
    from brf_lava.ecg.classify import LiveEcg
    from brf_lava.network.file import read_network
    from brf_lava.run.early import check_early
    from brf_lava.run.stream import Stream
    from brf_lava.run.stream_lines import LINE_MAX, LineReader, Session

    chosen = target.target()
    fixed, _ = read_network(network)
    if decide is not None:
        check_early(fixed, [decide], "--decide")
    reader = LineReader(fixed, None if lead_scale is None else LiveEcg(fixed, lead_scale))
    readline: Callable[[], bytes] = partial(source.readline, LINE_MAX + 1)
    stream = Stream(fixed, backend=target.backend, decide=decide, timeout=chosen.timeout)
    with stream:
        session = Session(fixed, stream, reader, sys.stdout.buffer)
        try:
            session.run(iter(readline, b""), getattr(source, "name", "<stdin>"))
        finally:
            click.echo(session.speed(), err=True)
