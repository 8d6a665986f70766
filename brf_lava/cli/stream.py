"""What brf-lava run does with --stream, and the table of --early."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import IO, TYPE_CHECKING

import click

from brf_lava.backends.base import STREAMING
from brf_lava.cli.stream_options import DECIDE, StreamOptions
from brf_lava.errors import DataError, ParameterError

if TYPE_CHECKING:
    from rich.table import Table

    from brf_lava.network.layers import FixedNetwork
    from brf_lava.run.early import Early
    from brf_lava.run.stream import Answer, Stream
    from brf_lava.run.stream_lines import LineReader

REAL_TIME = ("ecg", "shd")  # tasks whose steps last; a pixel of S-MNIST has no duration


def stream_input(
    network: FixedNetwork,
    source: Path,
    options: StreamOptions,
    *,
    backend: str,
    timeout: float | None = None,
) -> None:
    """Answer every step of a file or, where it is called -, of standard input, on standard output.

    backend, timeout: as of `run.stream.Stream`. In the end, also if that is an error or Ctrl-C, a
    line on standard error says how fast the network was.
    Raises: as `Stream`; DataError for a bad line, after the answers to all lines before it.
    """
    from brf_lava.ecg.live import LiveEcg
    from brf_lava.run.early import check_early
    from brf_lava.run.stream import Stream
    from brf_lava.run.stream_lines import LineReader

    if backend not in STREAMING:
        raise ParameterError(f"--stream: backend {backend}; choose one of {', '.join(STREAMING)}.")
    if options.decide is not None:
        check_early(network, [options.decide], DECIDE)
    scale = options.lead_scale
    reader = LineReader(network, None if scale is None else LiveEcg(network, scale))
    if sys.stdout is None:
        raise ParameterError(
            "--stream: standard output is closed, where the answers go. Leave it open."
        )
    with ExitStack() as stack:
        lines = _lines(_open(source, stack))
        stream = stack.enter_context(
            Stream(network, backend=backend, decide=options.decide, timeout=timeout)
        )
        _Session(network, stream, reader, sys.stdout.buffer).run(lines, _name(source))


class _Session:
    """One stream from lines to lines; keeps the time that it did not wait for its input."""

    def __init__(
        self, network: FixedNetwork, stream: Stream, reader: LineReader, out: IO[bytes]
    ) -> None:
        # Not through the buffer: what a slow reader has not taken when Ctrl-C comes must not be
        # left for the interpreter to write at its exit.
        self._out: IO[bytes] = getattr(out, "raw", out)
        self._network, self._stream, self._reader = network, stream, reader
        self._bits = int(network.layers[-1].constants.state_bits)
        self._steps = 0
        self._seconds = 0.0

    def run(self, lines: Iterable[bytes], name: str) -> None:
        try:
            for number, line in enumerate(lines, 1):
                started = time.perf_counter()
                if line.strip():
                    try:
                        x = self._reader.read(line, f"{name}, line {number}")
                    except DataError:
                        self._write(self._stream.reset())
                        raise
                    self._write(self._stream.reset() if x is None else self._stream.push(x))
                    self._steps += x is not None
                self._seconds += time.perf_counter() - started
            self._write(self._stream.reset())
        finally:
            click.echo(speed_line(self._network, self._steps, self._seconds), err=True)

    def _write(self, answers: Iterable[Answer]) -> None:
        from brf_lava.run.stream_lines import write_answer

        for answer in answers:
            left = memoryview(write_answer(answer, self._bits))
            while left:
                left = left[self._out.write(left) or 0 :]  # None: it does not block, and is full
            self._out.flush()


def speed_line(network: FixedNetwork, steps: int, seconds: float) -> str:
    """How fast the network took so many steps. seconds: without the time that input took."""
    from brf_lava.tasks.registry import TASKS

    if not steps:
        return "0 steps."
    rate = steps / max(seconds, 1e-9)
    count = "1 step" if steps == 1 else f"{steps:,} steps"
    line = f"{count} in {seconds:.2f} s of work: {rate:,.0f} steps/s"
    name = network.provenance.get("task")
    if name in REAL_TIME:
        needed = 1 / TASKS[name].step_seconds
        line += f", {rate / needed:.1f} times the {needed:.0f} steps/s of task {name}"
    return f"{line}."


def early_table(early: Early) -> Table:
    """How early each margin decides, and what it costs, beside the whole sequence."""
    from rich.table import Table

    table = Table(title="Early decision", title_justify="left")
    for column in ("margin", "mean latency, steps", "decided", "accuracy", "cost", "SOPs"):
        table.add_column(column, justify="right")
    for row in early.rows:
        table.add_row(
            f"{row.margin:g}",
            f"{row.latency:.1f}",
            f"{row.decided:.2%}",
            f"{row.accuracy:.2%}",
            f"{100 * row.cost:.2f} points",
            f"{row.sops:.1f}",
        )
    table.add_section()
    table.add_row("none", str(early.steps), "", f"{early.accuracy:.2%}", "", f"{early.sops:.1f}")
    return table


def _lines(source: IO[bytes]) -> Iterator[bytes]:
    """Its lines, cut where they are longer than `LineReader` takes: there may be no end of one."""
    from brf_lava.run.stream_lines import LINE_MAX

    return iter(partial(source.readline, LINE_MAX + 1), b"")


def _name(source: Path) -> str:
    return "standard input" if source == Path("-") else str(source)


def _open(source: Path, stack: ExitStack) -> IO[bytes]:
    """Raises: DataError when the file cannot be read."""
    if source == Path("-"):
        if sys.stdin is None:
            raise DataError("--stream -: standard input is closed. Name a file, or leave it open.")
        return sys.stdin.buffer
    try:
        return stack.enter_context(source.open("rb"))
    except OSError as error:
        raise DataError(
            f"--stream {source}: cannot be read ({error.strerror}). Name a file, or - for standard "
            "input."
        ) from None
