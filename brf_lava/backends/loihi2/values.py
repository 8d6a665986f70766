"""What the variables of a neuron on the chip cannot hold, whatever the number of cores."""

from __future__ import annotations

import numpy as np

from brf_lava.errors import ParameterError
from brf_lava.network.layers import FixedNetwork
from brf_lava.neurons.fixed import STATE_MAX, STATE_WIDTH


def check_values(network: FixedNetwork) -> None:
    """Refuse what the variables of a neuron cannot hold, and what cannot be placed.

    Raises: ParameterError.
    """
    for index, layer in enumerate(network.layers):
        where = network.layer_names[index]
        for name, values in zip(layer.neuron.fixed_coefficients, layer.coefficients, strict=True):
            largest = int(np.abs(values).max(initial=0))
            if largest > STATE_MAX:
                raise ParameterError(
                    f"{where}: {name} {largest}; a variable on Loihi 2 has {STATE_WIDTH} bits, so "
                    f"at most {STATE_MAX}. Export with fewer --parameter-bits."
                )
        current = layer.largest_currents(1 if index else network.largest_input)
        if current.max(initial=0) > STATE_MAX:
            raise ParameterError(
                f"{where}: weights of neuron {int(current.argmax())} add up to "
                f"{int(current.max())} for the largest inputs; what reaches a neuron on Loihi 2 is "
                f"taken to hold {STATE_WIDTH} bits, at most {STATE_MAX}. Export with fewer "
                "--state-bits."
            )
        if not layer.weights.mantissa.any():
            raise ParameterError(
                f"{where}: all weights are 0, which Lava's compiler cannot place. Train on, or "
                "leave the layer out."
            )
