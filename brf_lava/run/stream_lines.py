"""The text form of a stream: JSON, one line per step in, one line per answer out."""

from __future__ import annotations

import json
from typing import Any

from brf_lava.ecg.live import LiveEcg
from brf_lava.ecg.synthetic import LEADS
from brf_lava.errors import DataError
from brf_lava.network.layers import FixedNetwork
from brf_lava.run.stream import Answer

MOST = 1e100  # of a raw sample, in whatever unit; a change of it is still finite
LINE_MAX = 2**24  # bytes; a list of a million inputs has fewer
SHOWN = 60  # characters of a bad line that an error quotes


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
