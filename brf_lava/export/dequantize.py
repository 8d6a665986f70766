"""From integers back to the real numbers that they stand for."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from brf_lava.export.rounding import leaks
from brf_lava.kernels.loop import Integers
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


def integers_of(layer: FixedLayer, input_scale: float = 1.0) -> Integers:
    """What a run of real numbers takes its values from.

    input_scale: What the integers that the layer takes are times in that run.
    """
    unit, recurrent = 2.0**layer.constants.state_bits, layer.recurrent
    return Integers(
        layer.weights.integers,
        None if recurrent is None else recurrent.integers,
        layer.coefficients,
        layer.constants,
        np.array([1.0 if state == "z" else unit for state in layer.neuron.states]),  # z: a spike
        1 / input_scale,
    )
