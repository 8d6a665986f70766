"""The integer engine: a whole network in fixed point, without Lava, bit for bit what Lava computes.

It is the compiled loop over time with the fixed-point steps of `brf_lava.neurons.fixed`.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from brf_lava.backends.states import Recording
from brf_lava.errors import ParameterError
from brf_lava.network.activity import Activity, at_limit
from brf_lava.network.forward import forward
from brf_lava.network.layers import FixedNetwork

CHUNK = 32  # samples at a time
CHUNK_BYTES = 2**28  # that their states may take: of long sequences there are fewer at a time


def check_input(network: FixedNetwork, x: NDArray[Any]) -> None:
    """Refuse inputs of another width or range than the network's.

    x: [T, B, I]. Raises: ParameterError.
    """
    if x.ndim != 3 or x.shape[2] != network.inputs:
        raise ParameterError(
            f"input: shape {x.shape}; [steps, samples, {network.inputs}] is needed for this net."
        )
    low, high = network.input_range
    if x.dtype not in (np.int8, np.uint8) or (x.size and (x.min() < low or x.max() > high)):
        raise ParameterError(
            f"input: {x.dtype} values from {x.min()} to {x.max()}; this net takes int8 or uint8 "
            f"from {low} to {high}."
        )


def run(network: FixedNetwork, x: NDArray[Any], recording: Recording | None = None) -> Activity:
    """Run the network from zero state.

    x: [T, B, I], int8 or uint8 within the range of the network. recording: where the states of
    chosen neurons go, of T steps and B samples. Raises: ParameterError for anything else.
    """
    check_input(network, x)
    steps, samples, _ = x.shape
    size = max(1, min(CHUNK, CHUNK_BYTES // state_bytes(network, max(1, steps), 1)))
    kept: list[NDArray[Any]] = [
        np.zeros((steps, samples, layer.shape[0]), np.int8 if layer.neuron.spiking else np.int64)
        for layer in network.layers
    ]
    saturations = 0
    for first in range(0, samples, size):
        part = slice(first, first + size)
        signal: Any = x[:, part]  # [T, B, ...] from layer to layer
        for index, layer in enumerate(network.layers):
            signal, states = forward(layer, signal, keep_states=True)
            kept[index][:, part] = signal
            saturations += at_limit(states[1:])
            if recording is not None and recording.index == index:
                recorded = recording.samples(first, first + size)
                recorded.write(slice(None), signal, states[1:].swapaxes(0, 1))
            del states  # before the next layer asks for its own
    *spikes, outputs = kept
    return Activity(outputs, tuple(spikes), saturations)


def state_bytes(network: FixedNetwork, steps: int, samples: int) -> int:
    """Memory of the states of the largest layer."""
    sizes = (len(layer.neuron.states) * layer.shape[0] for layer in network.layers)
    return 8 * steps * samples * max(sizes)
