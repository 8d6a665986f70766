"""A live ECG as spikes, sample by sample, as the training data of the ecg task were encoded.

There each window of 5.2 s was divided by its own standard deviation, which nobody knows before the
window is over. So a live signal is divided by a scale that is given: the standard deviation of each
lead, from some seconds recorded before. The mean need not be known: only changes count.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from brf_lava.ecg.classify import encoding_of
from brf_lava.ecg.level_cross import Encoder
from brf_lava.ecg.spec import ECG
from brf_lava.ecg.synthetic import LEADS
from brf_lava.errors import ParameterError
from brf_lava.network.layers import FixedNetwork


class LiveEcg:
    """The encoder of one signal after the other.

    Args:
        network: One for the ecg task; the threshold is that of its training data.
        scale: Standard deviation of each lead, in the unit of the signal.

    Raises:
        ParameterError: The network is another one, or the scale not `LEADS` positive numbers.
    """

    def __init__(self, network: FixedNetwork, scale: Sequence[float]) -> None:
        task = network.provenance.get("task")
        if task != ECG.name or network.inputs != 2 * LEADS:
            raise ParameterError(
                f"--lead-scale: the network is for task {task!r}, {network.inputs} inputs; a "
                f"signal is encoded for {ECG.name}, {2 * LEADS} inputs. Give inputs or events."
            )
        if len(scale) != LEADS or not all(0 < value < np.inf for value in scale):
            raise ParameterError(
                f"--lead-scale {','.join(f'{value:g}' for value in scale)}: {LEADS} positive "
                "numbers are needed, the standard deviation of each lead."
            )
        self._scale = np.array(scale, dtype=np.float64)
        self._threshold = encoding_of(network).threshold
        self.reset()

    def reset(self) -> None:
        """The next sample is the first one of another signal."""
        self._encoder = Encoder(self._threshold)

    def push(self, sample: Sequence[float]) -> list[int]:
        """The inputs of the step, from the next sample, one finite number per lead, at 250 Hz."""
        spikes: list[int] = self._encoder.push(np.array(sample, np.float64) / self._scale).tolist()
        return spikes
