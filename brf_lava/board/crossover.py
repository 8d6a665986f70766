"""Would a dense network of the same bits need less energy? Only relative numbers mean anything.

No energy per operation of Loihi 2 is public. Both networks are charged with the same published
costs of one technology (Horowitz 2014, "Computing's energy problem", ISSCC: 45 nm, 0.9 V), first
without memory, as most papers count, then with it. A spike reads a weight, and reads and writes the
current that it is added to; a neuron reads and writes its states and reads its coefficients, one
product for each state and coefficient. The dense network multiplies every weight in every step, has
its sums in registers, and reads and writes activations of 8 bits.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from brf_lava.board.describe import NetworkShape
from brf_lava.neurons.fixed import STATE_WIDTH

ADD_32, MULTIPLY_8, MULTIPLY_32 = 0.1, 0.2, 3.1  # pJ, integers
BIT = 20 / 64  # pJ, of an access to 32 KB of SRAM, 64 bits at a time
CURRENT_BITS, ACTIVATION_BITS = 32, 8


class Comparison(NamedTuple):
    """Energies per sample, pJ, and shares of spikes, 0..1.

    Attributes:
        proxy: Synaptic operations times an addition, without memory.
        spiking: Of the spiking network, with memory.
        idle: The part of it that does not depend on spikes.
        dense: Of a dense network of the same sizes and bits, with memory.
        share: Of its synaptic operations to those if everything spiked in every step.
        crossover: The share at which both need the same; not above 0: the dense one always wins.
    """

    proxy: float
    spiking: float
    idle: float
    dense: float
    share: float
    crossover: float


def compare_with_dense(network: NetworkShape, steps: int, means: Sequence[float]) -> Comparison:
    """Compare a network with a dense one of the same sizes and bits.

    means: Spikes per sample, of the inputs and then of each layer.
    """
    synops = full = proxy = spiking = dense = idle = 0.0
    for layer, arriving, own in zip(network.layers, means, means[1:], strict=False):
        operations = layer.neurons * (arriving + own * layer.recurrent)
        synops, full = synops + operations, full + steps * layer.synapses
        proxy += operations * ADD_32
        spiking += operations * (ADD_32 + (layer.weight_bits + 2 * CURRENT_BITS) * BIT)
        states, parameters = len(layer.record.states), len(layer.record.fixed_coefficients)
        products = states * parameters * (MULTIPLY_32 + ADD_32)
        each = products + (2 * states + parameters) * STATE_WIDTH * BIT
        idle += steps * layer.neurons * each
        multiply = MULTIPLY_8 + ADD_32 + layer.weight_bits * BIT
        dense += steps * (layer.synapses * multiply + layer.neurons * 2 * ACTIVATION_BITS * BIT)
    share = synops / full
    crossover = (dense - idle) / (spiking / share) if spiking else float("inf")
    return Comparison(proxy, spiking + idle, idle, dense, share, crossover)
