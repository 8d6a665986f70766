"""The steps of a network one by one, by the equations of `brf_lava.neurons.fixed` and NumPy alone.

For streams, and for what verifies the integer engine.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from brf_lava.network.activity import Activity, at_limit
from brf_lava.network.layers import FixedLayer, FixedNetwork

# Takes one step: inputs [I], or None for a blank step, to the readout [C], which is that of
# `StreamingBackend.delay` steps ago. What comes before blank steps has no influence on what comes
# after them, if there are as many as that, and at least one.
Steps = Callable[[NDArray[np.int16] | None], NDArray[np.int64]]


def engine_steps(network: FixedNetwork) -> Steps:
    """The steps of one sample, in this process."""
    layers = [_LayerSteps(layer) for layer in network.layers]
    silence = np.zeros(network.classes, np.int64)

    def step(x: NDArray[np.int16] | None) -> NDArray[np.int64]:
        if x is None:
            for layer in layers:
                layer.reset()
            return silence
        signal: NDArray[Any] = x
        for layer in layers:
            signal = layer.step(signal)
        return signal

    return step


def plain_run(network: FixedNetwork, x: NDArray[Any]) -> Activity:
    """Run a whole network without the compiled loop, which this verifies. x: [T, B, I]."""
    layers = [_LayerSteps(layer, (x.shape[1],)) for layer in network.layers]
    outputs: list[list[NDArray[np.int64]]] = [[] for _ in layers]
    saturations = 0
    for signal in x:
        for layer, found in zip(layers, outputs, strict=True):
            signal = layer.step(signal)
            found.append(signal)
            saturations += sum(map(at_limit, layer.states))
    *spikes, readout = map(np.stack, outputs)
    return Activity(readout, tuple(layer.astype(np.int8) for layer in spikes), saturations)


class _LayerSteps:
    """One layer. shape: (B,) for samples along an axis; () for one without an axis of its own."""

    def __init__(self, layer: FixedLayer, shape: tuple[int, ...] = ()) -> None:
        self._neuron, self._constants = layer.neuron, layer.constants
        self._coefficients = tuple(layer.coefficients)
        self._weights = np.ascontiguousarray(layer.weights.integers.T)  # [I, N]
        self._recurrent = (
            None if layer.recurrent is None else np.ascontiguousarray(layer.recurrent.integers.T)
        )
        self._silence = np.zeros((*shape, layer.shape[0]), np.int64)
        self.reset()

    def reset(self) -> None:
        self.states = (self._silence,) * len(self._neuron.states)
        self._output = self._silence

    def step(self, signal: NDArray[Any]) -> NDArray[np.int64]:
        """The output, [N] or [B, N], for the inputs of the same step, [I] or [B, I]."""
        current = _weighted(signal, self._weights)
        if self._recurrent is not None:
            current = current + _weighted(self._output, self._recurrent)
        self.states, output = self._neuron.fixed_step(
            self.states, current, self._coefficients, self._constants
        )
        self._output = output.astype(np.int64)
        return self._output


def _weighted(signal: NDArray[Any], weights: NDArray[np.int64]) -> NDArray[np.int64]:
    """signal [I] or [B, I] @ weights [I, N]; inputs that are 0 in all samples are left out."""
    active = np.flatnonzero(signal if signal.ndim == 1 else signal.any(axis=0))
    currents: NDArray[np.int64] = signal[..., active].astype(np.int64) @ weights[active]
    return currents
