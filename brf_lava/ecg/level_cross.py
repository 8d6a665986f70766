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

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from brf_lava.errors import DataError, ParameterError


def encode(signal: npt.NDArray[np.floating[Any]], threshold: float) -> npt.NDArray[np.int8]:
    """Spikes int8 [..., T, 2 * leads] of a signal [..., T, leads].

    threshold: smallest change that is not yet a spike, in the unit of the signal.
    Channel 2k holds the up spikes of lead k, channel 2k + 1 its down spikes. The first step has no
    spike. The signal never leaves the band of +-threshold around its reference without a spike.
    Raises: DataError for a signal without steps or with values that are not finite;
    ParameterError for a threshold that is not positive.
    """
    encoder = Encoder(threshold)
    if signal.ndim < 2 or signal.shape[-2] == 0 or not np.isfinite(signal).all():
        raise DataError(
            f"level_cross.encode: signal of shape {signal.shape}; must be [..., T, leads] with at "
            "least one step and finite values only. Remove gaps (NaN) before encoding."
        )
    by_step = np.moveaxis(signal, -2, 0)  # [T, ..., leads]
    channels = np.empty((*by_step.shape[:-1], 2 * by_step.shape[-1]), dtype=np.int8)
    for t, values in enumerate(by_step):
        channels[t] = encoder.push(values)
    return np.ascontiguousarray(np.moveaxis(channels, 0, -2))


class Encoder:
    """What `encode` does, step by step, for a signal that is still to come.

    threshold: as of `encode`. Raises: ParameterError for one that is not positive.
    """

    def __init__(self, threshold: float) -> None:
        if not (threshold > 0 and math.isfinite(threshold)):
            raise ParameterError(
                f"level_cross: threshold {threshold}; must be positive and finite, in the unit of "
                "the signal. A tenth of the signal's standard deviation is a start."
            )
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
