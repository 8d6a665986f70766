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
from brf_lava.network.activity import Activity
from brf_lava.network.layers import FixedNetwork


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


def spike_cost(network: FixedNetwork, x: NDArray[Any], activity: Activity) -> SpikeCost:
    """Count the spikes of one run. x: [T, B, I], the run's input spikes."""
    steps, samples, _ = x.shape
    fired = [int(layer.sum(dtype=np.int64)) for layer in activity.spikes]
    recurrent = output = macs = 0
    for index, layer in enumerate(network.layers):
        neurons, inputs = layer.shape
        macs += neurons * inputs
        if layer.recurrent is not None:
            macs += neurons * neurons
            recurrent += neurons * fired[index]
        if index:
            output += neurons * fired[index - 1]
    return SpikeCost(
        sops=sum(fired) / samples,
        input_synops=network.layers[0].shape[0] * int(np.count_nonzero(x)) / samples,
        recurrent_synops=recurrent / samples,
        output_synops=output / samples,
        dense_macs=float(macs * steps),
    )


@dataclass(frozen=True)
class Spikes:
    """mean: per sample. peak: the most in one step of one sample."""

    mean: NotNegative
    peak: Whole

    @classmethod
    def of(cls, signal: NDArray[Any]) -> Spikes:
        """Count what is not zero. signal: [T, B, N]."""
        found = np.count_nonzero(signal, axis=2)
        return cls(mean=float(found.sum() / found.shape[1]), peak=int(found.max(initial=0)))

    @classmethod
    def of_parts(cls, parts: Sequence[Spikes], shares: Sequence[float]) -> Spikes:
        """Those of a whole run. shares: of its samples, in each part."""
        mean = sum(share * part.mean for share, part in zip(shares, parts, strict=True))
        return cls(mean=mean, peak=max(part.peak for part in parts))


@dataclass(frozen=True)
class LayerSpikes:
    """The sizes of a layer and the spikes that it sent; a readout sends none."""

    shape: LayerShape
    spikes: Spikes


def layer_spikes(network: FixedNetwork, activity: Activity) -> tuple[LayerSpikes, ...]:
    """The spikes of one run, layer by layer."""
    found = [*map(Spikes.of, activity.spikes), Spikes(0.0, 0)]
    shapes = network_shape(network, "").layers
    return tuple(LayerSpikes(*pair) for pair in zip(shapes, found, strict=True))
