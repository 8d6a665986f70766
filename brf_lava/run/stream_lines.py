"""The text form of a stream: JSON, one line per step in, one line per answer out."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable
from typing import IO, Annotated, Any

import msgspec
from msgspec import Meta

from brf_lava.ecg.classify import LiveEcg
from brf_lava.ecg.synthetic import LEADS
from brf_lava.errors import DataError
from brf_lava.io.printable import shortened
from brf_lava.network.layers import FixedNetwork
from brf_lava.run.stream import Answer, Stream
from brf_lava.tasks.registry import TASKS

MOST = 1e100  # of a raw sample, in whatever unit; a change of it is still finite
LINE_MAX = 2**24  # bytes; a list of a million inputs has fewer
SHOWN = 60  # characters of a bad line that an error quotes
REAL_TIME = ("ecg", "shd")  # tasks whose steps last; a pixel of S-MNIST has no duration


class LineReader:
    """Reads the steps of a stream for a network.

    A line is a list of the inputs [I]; for a network of spikes ``{"events": [...]}``, the inputs
    that spike, counted from 0; with `ecg` ``{"signal": [...]}``, a sample of each lead; or
    ``{"reset": true}``, the end of a sequence.

    Args:
        network: The network of the stream.
        ecg: Encodes raw samples, where there may be any.
    """

    def __init__(self, network: FixedNetwork, ecg: LiveEcg | None = None) -> None:
        self._inputs, self._ecg = network.inputs, ecg
        inputs, (low, high) = network.inputs, network.input_range
        keys: list[Any] = [("reset", bool, False)]
        allowed = [f"a list of {inputs} integers from {low} to {high}"]
        if network.input_range == (0, 1):
            events = list[Annotated[int, Meta(ge=0, lt=inputs)]]
            keys.append(("events", events | None, None))
            allowed.append(f'{{"events": [...]}} with inputs from 0 to {inputs - 1}')
        if ecg is not None:
            samples = list[Annotated[float, Meta(gt=-MOST, lt=MOST)]]
            leads: Any = Annotated[samples, Meta(min_length=LEADS, max_length=LEADS)]
            keys.append(("signal", leads | None, None))
            allowed.append(f'{{"signal": [...]}} with {LEADS} numbers')
        step: Any = Annotated[
            list[Annotated[int, Meta(ge=low, le=high)]],
            Meta(min_length=inputs, max_length=inputs),
        ]
        line = msgspec.defstruct("Line", keys, forbid_unknown_fields=True)
        self._decoder: msgspec.json.Decoder[Any] = msgspec.json.Decoder(step | line)
        self._allowed = f'{", ".join(allowed)}, and {{"reset": true}}'

    def read(self, line: bytes, where: str) -> list[int] | None:
        """Read the inputs [I] of one step, or None for the end of a sequence.

        line: more than `LINE_MAX` bytes are refused, so that it may be cut there. where: what an
        error begins with, such as "events.jsonl, line 7". Raises: DataError for any other line.
        """
        try:
            if len(line) > LINE_MAX:
                raise ValueError(f"more than {LINE_MAX:,} bytes")
            return self._step(self._decoder.decode(line))
        except (ValueError, RecursionError) as error:  # msgspec's are ValueErrors
            text = line[: 4 * SHOWN].decode(errors="replace").strip()
            text = text if len(text) <= SHOWN else f"{text[:SHOWN]}..."
            raise DataError(
                f"{where}: {text}: {shortened(error)}; allowed are {self._allowed}. Correct it and "
                "start again with the sequence that it is in."
            ) from None

    def _step(self, line: Any) -> list[int] | None:
        if isinstance(line, list):
            return line
        keys = msgspec.structs.asdict(line).items()
        given = [(key, value) for key, value in keys if value not in (None, False)]
        if len(given) != 1:
            raise ValueError("one key is needed, neither null nor false")
        ((key, value),) = given
        if key == "reset":
            if self._ecg is not None:
                self._ecg.reset()
            return None
        if self._ecg is not None and key == "signal":
            return self._ecg.push(value)
        x = [0] * self._inputs
        for channel in value:
            if x[channel]:
                raise ValueError(f"event {channel} twice")
            x[channel] = 1
        return x


def write_answer(answer: Answer, state_bits: int) -> bytes:
    """One line: sequence, step, class, margin, outputs as real numbers; and decided, where a
    sequence is decided at this step. Multiplied by ``2**state_bits`` the outputs are the integers.
    """
    contents = {
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
    """An open stream from lines to lines, and the time that it took without waiting for input."""

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
        try:
            for number, line in enumerate(lines, 1):
                started = time.perf_counter()
                if line.strip():
                    x = self._reader.read(line, f"{name}, line {number}")
                    answers = self._stream.reset() if x is None else self._stream.push(x)
                    self._steps += x is not None  # before whoever reads the answer stops it
                    self._write(answers)
                self._seconds += time.perf_counter() - started
        except DataError:
            self._write(self._stream.reset())
            raise
        self._write(self._stream.reset())

    def speed(self) -> str:
        """Say how fast the network was so far, and how much faster than its signal."""
        rate = self._steps / max(self._seconds, 1e-9)
        line = f"{self._steps:,} steps in {self._seconds:.2f} s of work: {rate:,.0f} steps/s"
        task = TASKS.get(str(self._network.provenance.get("task")))
        if task is not None and task.name in REAL_TIME:
            needed = 1 / task.step_seconds
            line += f", {rate / needed:.1f} times the {needed:.0f} steps/s of task {task.name}"
        return f"{line}."

    def _write(self, answers: Iterable[Answer]) -> None:
        for answer in answers:
            left = memoryview(write_answer(answer, self._network.output_bits))
            while left:
                left = left[self._out.write(left) or 0 :]  # None: it does not block, and is full
            self._out.flush()
