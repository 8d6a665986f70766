"""Whether neurons come to rest: the integer step itself, run without input from random states.

Cut products can keep a resonator ringing for ever though its eigenvalues lie inside the unit
circle, so that these alone prove nothing.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from brf_lava.errors import ParameterError
from brf_lava.network.forward import forward
from brf_lava.network.layers import Connection, FixedLayer, FixedNetwork
from brf_lava.neurons.fixed import STATE_MAX

STARTS = (STATE_MAX, STATE_MAX, 2**15, 2**6)  # largest magnitude of a state, one run each
STEPS = 2**20  # about as many until a neuron is called restless
SLOW = 4e-5  # of itself a state loses per step, at least, or it need not be at rest by then


def restless(layer: FixedLayer) -> list[int]:
    """The numbers of the neurons that do not come to rest without input, those that grow left out.

    At rest all states stay as they are, and there is no spike. A neuron too slow to rest within
    `STEPS` is judged by its eigenvalues alone; one whose record has no `is_stable` is not judged.
    """
    neuron, one = layer.neuron, 1 << layer.constants.parameter_bits
    stable, growth = neuron.is_stable, neuron.growth
    if stable is None:
        return []
    columns = {k: c for k, c in enumerate(layer.coefficients.T.tolist()) if k not in layer.growing}
    unstable = [k for k, integers in columns.items() if not stable(*integers, one)]
    if growth is not None:
        real = {k: [each / one for each in integers] for k, integers in columns.items()}
        columns = {k: values for k, values in real.items() if growth(*values) <= 1 - SLOW}
    awake = np.array(sorted(columns.keys() - {*unstable}), np.int64)
    rng = np.random.default_rng(0)
    shape = (len(neuron.states), len(awake))
    states = np.stack([rng.integers(-most, most + 1, shape) for most in STARTS], axis=1)
    steps = 1024
    while len(awake) and steps < STEPS:
        silent = replace(
            layer,
            weights=Connection(np.zeros((len(awake), 1), np.int8), 0),
            recurrent=None,
            coefficients=layer.coefficients[:, awake],
        )
        no_input = np.zeros((steps, len(STARTS), 1), np.int8)
        states = forward(silent, no_input, initial=states)[1][-1]
        own = tuple(silent.coefficients)
        after, spikes = neuron.fixed_step(tuple(states), 0, own, layer.constants)
        moves = (after != states).any(axis=(0, 1)) | spikes.any(axis=0)
        awake, states, steps = awake[moves], states[..., moves], 2 * steps
    return sorted([*unstable, *awake.tolist()])


def check_rest(network: FixedNetwork) -> None:
    """Raises: ParameterError naming the first neuron that does not come to rest."""
    for name, layer in zip(network.layer_names, network.layers, strict=True):
        for k in restless(layer)[:1]:
            integers = zip(layer.neuron.fixed_coefficients, layer.coefficients[:, k], strict=True)
            raise ParameterError(
                f"{name}, neuron {k}: does not come to rest without input, with "
                f"{' and '.join(f'{name} {value}' for name, value in integers)} of "
                f"{1 << layer.constants.parameter_bits}. Export the network again."
            )
