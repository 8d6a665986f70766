"""What a network computed: the common currency of all comparisons."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from brf_lava.neurons import fixed


@dataclass(frozen=True)
class Activity:
    """What one backend computed for a batch: the common currency of all comparisons.

    outputs [T, B, C] int64 of the readout; spikes: one [T, B, N] int8 array per hidden layer;
    saturations: how often a state variable stood at the limit of the 24-bit range.
    """

    outputs: NDArray[np.int64]
    spikes: tuple[NDArray[np.int8], ...]
    saturations: int

    @property
    def signals(self) -> tuple[NDArray[Any], ...]:
        """The spikes of each hidden layer, and the outputs: all that is compared."""
        return (*self.spikes, self.outputs)

    @property
    def hidden_spikes(self) -> NDArray[np.int64]:
        """How many hidden neurons spike in each step of each sample, [T, B]."""
        counts: NDArray[np.int64] = sum(layer.sum(axis=2, dtype=np.int64) for layer in self.spikes)
        return counts


@dataclass(frozen=True)
class TestVectors:
    """Inputs, and what the integer engine made of them when the network was exported.

    inputs [T, B, I], int8 or uint8.
    """

    __test__ = False  # no test of pytest's

    inputs: NDArray[Any]
    activity: Activity


@dataclass(frozen=True)
class Metrics:
    """What a network did on one split."""

    loss: float  # summed over steps, averaged over samples
    accuracy: float  # share of the predictions that count which are right, see `decision.Decision`
    sops_per_sample: float  # spikes of all hidden neurons per sample, the paper's SOP
    samples: int
    steps: int
    device: str  # where it was measured, by the device's own name


@dataclass(frozen=True)
class FloatActivity:
    """What the float network did on the test data, sample by sample.

    predictions [B, P] uint8, the class at every step or one for all; sops [B] int64, the spikes of
    all hidden neurons.
    """

    predictions: NDArray[np.uint8]
    sops: NDArray[np.int64]

    def first(self, samples: int) -> FloatActivity:
        """That of the first `samples` samples."""
        return FloatActivity(self.predictions[:samples], self.sops[:samples])


def at_limit(states: NDArray[np.int64]) -> int:
    """How many of these state variables stand at a limit of the 24-bit range."""
    high, low = states >= fixed.STATE_MAX, states <= -fixed.STATE_MAX  # an eighth of a copy each
    return int(np.count_nonzero(high)) + int(np.count_nonzero(low))
