"""The text form of a stream: JSON, one line per step in, one line per answer out."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable
from typing import IO, Any

from brf_lava.ecg.live import LiveEcg
from brf_lava.ecg.synthetic import LEADS
from brf_lava.errors import DataError
from brf_lava.network.layers import FixedNetwork
from brf_lava.run.stream import Answer, Stream
from brf_lava.tasks.registry import TASKS

MOST = 1e100  # of a raw sample, in whatever unit; a change of it is still finite
LINE_MAX = 2**24  # bytes; a list of a million inputs has fewer
SHOWN = 60  # characters of a bad line that an error quotes
REAL_TIME = ("ecg", "shd")  # tasks whose steps last; a pixel of S-MNIST has no duration


class LineReader:
    """Reads the steps of a stream for a network.

    ecg: encodes raw samples, where there may be any
    """

    def __init__(self, network: FixedNetwork, ecg: LiveEcg | None = None) -> None:
        self._network, self._ecg = network, ecg
        self._spikes = network.input_range == (0, 1)

    def read(self, line: bytes, where: str) -> list[int] | None:
        """The inputs [I] of one step, or None for the end of a sequence.

        line: what is longer than `LINE_MAX` is refused, so that a reader may cut it there.

        A list of I integers in the network's range; for a network of spikes ``{"events": [...]}``,
        the inputs that spike, counted from 0; with `ecg` ``{"signal": [...]}``, a sample of each
        lead; or ``{"reset": true}``.

        where: what an error begins with, such as "events.jsonl, line 7"
        Raises: DataError for any other line.
        """
        try:
            if len(line) > LINE_MAX:
                raise _RefusedError(f"has more than {LINE_MAX:,} bytes")
            return self._step(json.loads(line))
        except _RefusedError as error:
            problem = str(error)
        except (ValueError, RecursionError):
            problem = "is not JSON"
        text = _short(line[: 4 * SHOWN + 4].decode(errors="replace").strip())
        raise DataError(
            f"{where}: {text} {problem}; allowed are {self._allowed()}. Correct it and start again "
            "with the sequence that it is in."
        )

    def _step(self, held: Any) -> list[int] | None:
        if isinstance(held, list):
            return self._inputs(held)
        if isinstance(held, dict) and len(held) == 1:
            ((key, value),) = held.items()
            if key == "reset" and value is True:
                if self._ecg is not None:
                    self._ecg.reset()
                return None
            if key == "events" and self._spikes and isinstance(value, list):
                return self._events(value)
            if key == "signal" and self._ecg is not None and isinstance(value, list):
                return self._ecg.push(_sample(value))
        raise _RefusedError("is none of what a line may be")

    def _inputs(self, held: list[Any]) -> list[int]:
        if len(held) != self._network.inputs:
            raise _RefusedError(f"holds {len(held)} inputs")
        low, high = self._network.input_range
        for value in held:
            if type(value) is not int or not low <= value <= high:
                raise _RefusedError(f"holds {_short(json.dumps(value))}")
        return held

    def _events(self, events: list[Any]) -> list[int]:
        x = [0] * self._network.inputs
        for channel in events:
            if type(channel) is not int or not 0 <= channel < len(x):
                raise _RefusedError(f"holds the event {_short(json.dumps(channel))}")
            if x[channel]:
                raise _RefusedError(f"holds the event {channel} twice")
            x[channel] = 1
        return x

    def _allowed(self) -> str:
        inputs = self._network.inputs
        low, high = self._network.input_range
        allowed = [f"a list of {inputs} integers from {low} to {high}"]
        if self._spikes:
            allowed.append(f'{{"events": [...]}} with inputs from 0 to {inputs - 1}')
        if self._ecg is not None:
            allowed.append(f'{{"signal": [...]}} with {LEADS} numbers')
        return f'{", ".join(allowed)}, and {{"reset": true}}'


def write_answer(answer: Answer, state_bits: int) -> bytes:
    """One line: sequence, step, class, margin, outputs as real numbers; and decided, where a
    sequence is decided at this step. Multiplied by ``2**state_bits`` the outputs are the integers.
    """
    contents: dict[str, Any] = {
        "sequence": answer.sequence,
        "step": answer.step,
        "class": answer.label,
        "margin": answer.margin,
        "outputs": [int(value) / (1 << state_bits) for value in answer.outputs],
    }
    if answer.decided is not None:
        contents["decided"] = answer.decided
    return (json.dumps(contents) + "\n").encode()


class Session:
    """A stream from lines to lines, and the time that it took without waiting for its input.

    Args:
        network: The network of the stream.
        stream: Open.
        reader: Reads the lines.
        out: Where the answers go.
    """

    def __init__(
        self, network: FixedNetwork, stream: Stream, reader: LineReader, out: IO[bytes]
    ) -> None:
        # Not through the buffer: what a slow reader has not taken when Ctrl-C comes must not be
        # left for the interpreter to write at its exit.
        self._out: IO[bytes] = getattr(out, "raw", out)
        self._network, self._stream, self._reader = network, stream, reader
        self._steps = 0
        self._seconds = 0.0

    def run(self, lines: Iterable[bytes], name: str) -> None:
        """Answer lines until they end. name: what an error calls their source.

        Raises:
            DataError: For a bad line, after the answers to all lines before it.
        """
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

    def speed(self) -> str:
        """Say how fast the network was so far."""
        return speed_line(self._network, self._steps, self._seconds)

    def _write(self, answers: Iterable[Answer]) -> None:
        for answer in answers:
            left = memoryview(write_answer(answer, self._network.output_bits))
            while left:
                left = left[self._out.write(left) or 0 :]  # None: it does not block, and is full
            self._out.flush()


def speed_line(network: FixedNetwork, steps: int, seconds: float) -> str:
    """Say how fast a network took steps. seconds: without the time that input took."""
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


class _RefusedError(Exception):
    """What is wrong with a line."""


def _sample(values: list[Any]) -> list[float]:
    if len(values) != LEADS:
        raise _RefusedError(f"holds {len(values)} leads")
    for value in values:
        if type(value) not in (int, float) or not abs(value) < MOST:
            raise _RefusedError(f"holds {_short(json.dumps(value))}")
    return values


def _short(text: str) -> str:
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}..."
