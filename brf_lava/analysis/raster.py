"""What a network does with one sample: inputs, hidden spikes and answer over time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from brf_lava.analysis.activity import run_real
from brf_lava.backends import engine
from brf_lava.network.decision import Decision
from brf_lava.network.layers import FixedNetwork, RealNetwork


@dataclass(frozen=True)
class Raster:
    """One sample.

    x [T, I] in the unit of the data; spikes: [T, N] of each hidden layer; probabilities [T, C],
    softmax of the readout; labels and predictions [P].
    """

    classes: tuple[str, ...]
    step_seconds: float
    x: NDArray[np.float64]
    spikes: tuple[NDArray[np.bool_], ...]
    probabilities: NDArray[np.float64]
    labels: NDArray[np.uint8]
    predictions: NDArray[np.int64]


@dataclass(frozen=True)
class Question:
    """The sample to be shown.

    x: int8 or uint8 [T, 1, I]; labels: [1, P]; input_scale: what x is times where it is shown.
    """

    x: Any
    labels: NDArray[np.uint8]
    classes: tuple[str, ...]
    step_seconds: float
    decision: Decision
    input_scale: float = 1.0


def softmax(outputs: NDArray[np.float64]) -> NDArray[np.float64]:
    """Along the last axis, without overflow."""
    powers = np.exp(outputs - outputs.max(axis=-1, keepdims=True))
    result: NDArray[np.float64] = powers / powers.sum(axis=-1, keepdims=True)
    return result


def raster(network: RealNetwork | FixedNetwork, question: Question) -> Raster:
    """Run one sample, in real numbers or in integers as the network is."""
    x = np.ascontiguousarray(question.x)
    if isinstance(network, FixedNetwork):
        activity = engine.run(network, x)
        bits = network.output_bits
        outputs, fired = activity.outputs / 2.0**bits, list(activity.spikes)
    else:
        outputs, fired = run_real(network, x)
    return Raster(
        classes=question.classes,
        step_seconds=question.step_seconds,
        x=x[:, 0] * question.input_scale,
        spikes=tuple(layer[:, 0] > 0 for layer in fired),
        probabilities=softmax(outputs[:, 0].astype(np.float64)),
        labels=question.labels[0],
        predictions=question.decision.predict(outputs)[0].astype(np.int64),
    )
