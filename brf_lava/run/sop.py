"""What a run cost, in the units in which spiking hardware and dense hardware are compared.

SOP is the paper's: spikes of hidden neurons per sample. A synaptic operation is one weight reached
by one spike; zeros of a dense matrix count, as dense synapses occupy the chip. The spikes of each
layer are kept as well: what a chip would take for them is estimated later.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from brf_lava.board.describe import LayerShape, network_shape
from brf_lava.config.toml import NotNegative, Whole
from brf_lava.network.layers import FixedNetwork


@dataclass(frozen=True)
class Spikes:
    """mean: per sample. peak: the most in one step of one sample."""

    mean: NotNegative
    peak: Whole


@dataclass(frozen=True)
class SpikeCounts:
    """Spikes of several layers: in all samples, and the most in one step of one sample."""

    samples: int
    totals: tuple[int, ...]
    peaks: tuple[int, ...]

    @classmethod
    def of(cls, signals: Sequence[NDArray[Any]]) -> SpikeCounts:
        """Count what is not zero. signals: [T, B, N] of each layer."""
        counts = [np.count_nonzero(signal, axis=2) for signal in signals]  # [T, B]
        return cls(
            samples=counts[0].shape[1],
            totals=tuple(int(count.sum()) for count in counts),
            peaks=tuple(int(count.max(initial=0)) for count in counts),
        )

    @classmethod
    def of_parts(cls, parts: Sequence[SpikeCounts]) -> SpikeCounts:
        """Those of all samples, from those of one part of them after the other."""
        return cls(
            samples=sum(part.samples for part in parts),
            totals=tuple(map(sum, zip(*(part.totals for part in parts), strict=True))),
            peaks=tuple(map(max, zip(*(part.peaks for part in parts), strict=True))),
        )

    def spikes(self) -> tuple[Spikes, ...]:
        """The mean and the peak of each layer."""
        pairs = zip(self.totals, self.peaks, strict=True)
        return tuple(Spikes(total / self.samples, peak) for total, peak in pairs)


@dataclass(frozen=True)
class SpikeCost:
    """Means per sample.

    sops: hidden spikes. input_synops, recurrent_synops, output_synops: synaptic operations of the
    input spikes, of hidden spikes within their layer, and of hidden spikes towards the next layer.
    dense_macs: multiply-accumulates of the same network as matrix products at every step, which is
    what a GPU performs.
    """

    sops: float
    input_synops: float
    recurrent_synops: float
    output_synops: float
    dense_macs: float

    @property
    def synops(self) -> float:
        """All synaptic operations per sample."""
        return self.input_synops + self.recurrent_synops + self.output_synops


def spike_cost(network: FixedNetwork, steps: int, counts: SpikeCounts) -> SpikeCost:
    """What a run cost. counts: the spikes of the inputs and of each hidden layer."""
    arriving = counts.totals  # at each layer from the one before
    synops = [
        layer.shape[0] * spikes for layer, spikes in zip(network.layers, arriving, strict=True)
    ]
    recurrent = [
        layer.shape[0] * spikes
        for layer, spikes in zip(network.hidden, arriving[1:], strict=True)
        if layer.recurrent is not None
    ]
    matrices = [layer.weights for layer in network.layers]
    matrices += [layer.recurrent for layer in network.hidden if layer.recurrent is not None]
    return SpikeCost(
        sops=sum(arriving[1:]) / counts.samples,
        input_synops=synops[0] / counts.samples,
        recurrent_synops=sum(recurrent) / counts.samples,
        output_synops=sum(synops[1:]) / counts.samples,
        dense_macs=float(sum(matrix.mantissa.size for matrix in matrices) * steps),
    )


@dataclass(frozen=True)
class LayerSpikes:
    """The sizes of a layer and the spikes that it sent; a readout sends none."""

    shape: LayerShape
    spikes: Spikes


def layer_spikes(network: FixedNetwork, spikes: Sequence[Spikes]) -> tuple[LayerSpikes, ...]:
    """Each layer's sizes and spikes, from the spikes of the hidden layers."""
    shapes = network_shape(network, "").layers
    return tuple(map(LayerSpikes, shapes, (*spikes, Spikes(0.0, 0))))
