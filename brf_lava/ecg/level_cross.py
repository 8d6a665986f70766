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


def encode(signal: npt.NDArray[np.floating[Any]], threshold: float) -> npt.NDArray[np.int8]:
    """Encode a whole signal.

    The first step has no spike, and the signal never leaves the band of +-threshold around its
    reference without one.

    Args:
        signal: Finite values [..., T, leads], one step or more.
        threshold: Smallest change that is not yet a spike, in the unit of the signal; positive.

    Returns:
        Spikes int8 [..., T, 2 * leads]: channel 2k holds the up spikes of lead k, channel 2k + 1
        its down spikes.
    """
    encoder = Encoder(threshold)
    return np.stack([encoder.push(values) for values in np.moveaxis(signal, -2, 0)], axis=-2)


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
