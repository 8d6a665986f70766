"""From integers back to the real numbers that they stand for."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from brf_lava.export.rounding import leaks
from brf_lava.network.layers import FixedLayer, RealLayer


def dequantize_layer(layer: FixedLayer, constants: Any) -> RealLayer:
    """The layer in real numbers that `quantize_layer` takes to these very integers.

    constants: ``neuron.real_constants``, which the integers were made from.
    """
    neuron, recurrent = layer.neuron, layer.recurrent
    scales = np.array([spec.scale(constants) for spec in neuron.per_neuron])[:, None]
    coefficients = layer.coefficients / (scales * 2.0**layer.constants.parameter_bits)
    unit = neuron.weight_gain(constants) * 2.0**layer.constants.state_bits
    bare = RealLayer(neuron, layer.weights.integers / unit, None, coefficients, constants)
    gains = leaks(bare)[:, None]
    return replace(
        bare,
        weights=gains * bare.weights,
        recurrent=None if recurrent is None else gains * recurrent.integers / unit,
    )


def state_units(layer: FixedLayer) -> NDArray[np.float64]:
    """What the integer of each state is that stands for 1, [S]. A spike is a plain 1."""
    unit = 2.0**layer.constants.state_bits
    return np.array([1.0 if state == "z" else unit for state in layer.neuron.states])
