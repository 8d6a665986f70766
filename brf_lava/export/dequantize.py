"""Between real numbers and integers, for a training that computes with integers."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from brf_lava.export.quantize import LayerFormat
from brf_lava.export.rounding import bare_weights, exponents_of, leaks, mantissa_limit
from brf_lava.network.forward import forward
from brf_lava.network.layers import FixedLayer, RealLayer


def dequantize_layer(layer: FixedLayer, constants: Any) -> RealLayer:
    """The layer in real numbers that `quantize_layer` takes to these very integers.

    constants: ``neuron.real_constants``, which the integers were made from.
    """
    neuron, recurrent = layer.neuron, layer.recurrent
    scales = np.array([spec.scale(constants) for spec in neuron.per_neuron])[:, None]
    coefficients = layer.coefficients / (scales * 2.0**layer.constants.parameter_bits)
    unit = neuron.weight_gain(constants) * layer.unit
    bare = RealLayer(neuron, layer.weights.integers / unit, None, coefficients, constants)
    gains = leaks(bare)[:, None]
    return replace(
        bare,
        weights=gains * bare.weights,
        recurrent=None if recurrent is None else gains * recurrent.integers / unit,
    )


def without_outliers(layer: RealLayer, layer_format: LayerFormat) -> RealLayer:
    """Clip the largest weights where the nearest integers come closer to all of them by that."""
    unit, matrices = layer.neuron.weight_gain(layer.constants) * layer_format.unit, []
    bare_matrices = bare_weights(layer)
    widths = np.broadcast_to(layer_format.weight_bits, len(bare_matrices))
    for bare, bits in zip(bare_matrices, widths.tolist(), strict=True):
        limit = mantissa_limit(bits)
        steps = 2.0 ** np.array(exponents_of(bare * unit, bits)) / unit
        rounded = [step * np.rint(bare / step).clip(-limit, limit) for step in steps]
        bound = limit * steps[int(np.argmin([np.square(each - bare).sum() for each in rounded]))]
        matrices.append(leaks(layer)[:, None] * bare.clip(-bound, bound))
    return replace(layer, weights=matrices[0], recurrent=matrices[1] if matrices[1:] else None)


def run_integers(
    layer: FixedLayer, input_scale: float, x: Any, initial: Any, before: Any, keep_states: bool
) -> tuple[Any, Any]:
    """Run a layer in integers among real numbers, see `kernels.reference.Integers`.

    input_scale: What the layer's integer inputs are times in `x`.
    """
    units, inputs = layer.units[:, None, None], np.rint(x / input_scale).astype(np.int16)
    states = None if initial is None else np.rint(initial * units)
    output, history = forward(layer, inputs, keep_states=keep_states, initial=states, before=before)
    real = output if layer.neuron.spiking else output / layer.unit
    return real.astype(np.float32), (history / units).astype(np.float32)
