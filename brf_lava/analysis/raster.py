"""What a network does with one sample: inputs, hidden spikes and answer over time."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from brf_lava.analysis.activity import run_real
from brf_lava.backends import engine
from brf_lava.data.dataset import Dataset, Split
from brf_lava.errors import ParameterError
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


def softmax(outputs: NDArray[np.float64]) -> NDArray[np.float64]:
    """Along the last axis, without overflow."""
    powers = np.exp(outputs - outputs.max(axis=-1, keepdims=True))
    result: NDArray[np.float64] = powers / powers.sum(axis=-1, keepdims=True)
    return result


def raster(
    network: RealNetwork | FixedNetwork, dataset: Dataset, decision: Decision, sample: int
) -> Raster:
    """Run one test sample, in real numbers or in integers as the network is.

    Raises: ParameterError for a sample that there is not.
    """
    count = len(dataset.test.x)
    if not 0 <= sample < count:
        raise ParameterError(
            f"--sample {sample}: the test half has {count} samples; 0 to {count - 1} are allowed."
        )
    chosen = Split(dataset.test.x[sample : sample + 1], dataset.test.y[sample : sample + 1])
    x = chosen.time_major()
    if isinstance(network, FixedNetwork):
        activity = engine.run(network, x)
        outputs, fired = activity.outputs / 2.0**network.output_bits, list(activity.spikes)
    else:
        outputs, fired = run_real(network, x)
    return Raster(
        classes=dataset.classes,
        step_seconds=dataset.step_seconds,
        x=x[:, 0] * dataset.input_scale,
        spikes=tuple(layer[:, 0] > 0 for layer in fired),
        probabilities=softmax(outputs[:, 0].astype(np.float64)),
        labels=chosen.y[0],
        predictions=decision.predict(outputs)[0].astype(np.int64),
    )
