"""Level-cross encoding: a signal becomes spikes wherever it has moved by a threshold.

Each lead has a reference level, at first the signal's first value. At each later step::

    change = signal - reference
    up     = change >  threshold     # strictly
    down   = change < -threshold
    reference = signal where up or down, else unchanged

So the reference moves to the value that crossed, not by one threshold, and a lead gives at most one
spike per step: a steep edge costs few spikes and none comes late. (In the QT database files of Yin
et al. 2021 up spikes outnumber down spikes by a fifth. A reference that moved by one threshold
could not do that: each of its spikes would stand for the same height.)
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

SLOW = 250  # steps: 1 s at the rate of the ECG task


def encode(signal: npt.NDArray[np.floating[Any]], threshold: float) -> npt.NDArray[np.int8]:
    """Encode a whole signal of finite values [..., T, leads]; the first step has no spike.

    threshold: largest change that is not yet a spike, in the unit of the signal; positive.
    Returns spikes int8 [..., T, 2 * leads]: channel 2k holds the up spikes of lead k, channel
    2k + 1 its down spikes.
    """
    encoder = Encoder(threshold)
    return np.stack([encoder.push(values) for values in np.moveaxis(signal, -2, 0)], axis=-2)


def rebuild(spikes: npt.NDArray[Any], threshold: float) -> npt.NDArray[np.float64]:
    """What a signal looked like, as far as its crossings tell.

    A spike moves the reference by at least the threshold; how much further is not known. So that
    the signal does not drift, the rarer direction gets the larger steps, and what is slower than
    `SLOW` steps is taken out. spikes, threshold: of `encode`. Returns the signal [T, leads], about
    0, in the unit of the threshold.
    """
    moves = spikes.astype(np.float64).reshape(len(spikes), -1, 2)
    counts = np.maximum(moves.sum(axis=0), 1)
    steps = threshold * np.maximum(counts.max(axis=1, keepdims=True) / counts, 1)
    signal = np.cumsum((moves * steps) @ np.array([1, -1]), axis=0)
    width = min(SLOW, len(signal))
    padded = np.pad(signal, ((width // 2, width - width // 2 - 1), (0, 0)), mode="reflect")
    windows = np.lib.stride_tricks.sliding_window_view(padded, width, axis=0)
    return np.asarray(signal - np.median(windows, axis=2))


class Encoder:
    """What `encode` does, step by step, for a signal that is still to come."""

    def __init__(self, threshold: float) -> None:
        self._threshold = threshold
        self._reference: npt.NDArray[np.floating[Any]] | None = None

    def push(self, values: npt.NDArray[np.floating[Any]]) -> npt.NDArray[np.int8]:
        """Spikes int8 [..., 2 * leads] at the next step of the signal, finite [..., leads]."""
        if self._reference is None:
            self._reference = values.copy()
        change = values - self._reference
        up, down = change > self._threshold, change < -self._threshold
        np.copyto(self._reference, values, where=up | down)
        spikes = np.stack([up, down], axis=-1).astype(np.int8)
        return spikes.reshape(*values.shape[:-1], 2 * values.shape[-1])
