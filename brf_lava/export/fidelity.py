"""How well a network in integers keeps to the float network, on calibration data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from brf_lava.export.activity import run_fixed, run_real
from brf_lava.network.decision import Decision
from brf_lava.network.layers import FixedNetwork, RealNetwork

CHUNK = 32  # samples at a time
SAMPLES = 200  # enough to tell a percent of agreement


@dataclass(frozen=True)
class Fidelity:
    """The float network and its integers on the same samples.

    Attributes:
        samples: How many.
        agreement: Share of equal predictions.
        accuracies: Of the float network and of the integers; None where no label counts.
        sops: Hidden spikes per sample, of the float network and of the integers.
    """

    samples: int
    agreement: float
    accuracies: tuple[float, float] | None
    sops: tuple[float, float]


def measure_fidelity(
    real: RealNetwork, fixed: FixedNetwork, x: NDArray[Any], y: NDArray[Any], decision: Decision
) -> Fidelity:
    """Run a network and its integers on the first samples.

    Args:
        real: In real numbers.
        fixed: In integers.
        x: [T, B, I], int8 or uint8 inputs; the first `SAMPLES` samples count.
        y: Their labels, [B, T] or [B, 1].
        decision: How classes are read from the outputs, and which labels count.
    """
    x, y = x[:, :SAMPLES], y[:SAMPLES]
    predicted, spikes = [], np.zeros(2)
    for first in range(0, x.shape[1], CHUNK):
        signals: list[Any] = [x[:, first : first + CHUNK]] * 2
        for layer, integers in zip(real.layers, fixed.layers, strict=True):
            signals = [run_real(layer, signals[0])[0], run_fixed(integers, signals[1])]
            if layer.neuron.spiking:
                spikes += [signal.sum(dtype=np.float64) for signal in signals]
        predicted.append([decision.predict(signal) for signal in signals])
    ours, theirs = (np.concatenate(halves) for halves in zip(*predicted, strict=True))
    (hits, counted), (integer_hits, _) = decision.hits(ours, y), decision.hits(theirs, y)
    return Fidelity(
        samples=len(y),
        agreement=float((ours == theirs).mean()),
        accuracies=(hits / counted, integer_hits / counted) if counted else None,
        sops=(spikes[0] / len(y), spikes[1] / len(y)),
    )
