"""Random networks for tests, over the whole range that the fixed point allows."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from brf_lava.export.network import (
    WEIGHT_MAX,
    WEIGHT_MIN,
    Connection,
    FixedLayer,
    FixedNetwork,
)
from brf_lava.neurons import families, fixed
from brf_lava.neurons.boundary import divergence_boundary

DT = 0.01  # s
OMEGA = (3.0, 30.0)  # rad/s
B_OFFSET = (0.1, 1.0)  # 1/s
GAMMA = 0.9
TAU = (5.0, 20.0)  # steps


def random_connection(
    rng: np.random.Generator, outputs: int, inputs: int, exponent: int
) -> Connection:
    """Weights over the full range, both limits included where there is room."""
    mantissa = rng.integers(WEIGHT_MIN, WEIGHT_MAX + 1, (outputs, inputs)).astype(np.int8)
    mantissa.flat[0] = WEIGHT_MIN
    mantissa.flat[-1] = WEIGHT_MAX
    return Connection(mantissa, exponent)


def random_network(
    rng: np.random.Generator,
    sizes: Sequence[int],
    *,
    recurrent: bool | Sequence[bool] = True,
    exponent: int = 7,
    state_bits: int = 14,
    parameter_bits: int = 16,
) -> FixedNetwork:
    """BRF layers and a readout of leaky integrators.

    sizes:     inputs, neurons of each hidden layer, classes
    recurrent: of all hidden layers, or one by one
    exponent:  of input and readout weights; recurrent ones have two less. At 7 a quarter of the
               neurons spikes now and then, from about 13 on states saturate
    """
    hidden = len(sizes) - 2
    loops = [recurrent] * hidden if isinstance(recurrent, bool) else list(recurrent)
    layers = []
    for inputs, neurons, loop in zip(sizes[:-2], sizes[1:-1], loops, strict=True):
        omega = rng.uniform(*OMEGA, neurons)
        damping = divergence_boundary(omega, DT) - rng.uniform(*B_OFFSET, neurons)
        layers.append(
            FixedLayer(
                neuron=families.BRF,
                weights=random_connection(rng, neurons, inputs, exponent),
                recurrent=random_connection(rng, neurons, neurons, max(0, exponent - 2))
                if loop
                else None,
                coefficients=_integers(np.stack([DT * damping, DT * omega]), parameter_bits),
                constants=fixed.BRFConstants(
                    dt=round(DT * 2**parameter_bits),
                    theta=1 << state_bits,
                    gamma=round(GAMMA * 2**parameter_bits),
                    state_bits=state_bits,
                    parameter_bits=parameter_bits,
                ),
            )
        )
    decay = np.exp(-1 / rng.uniform(*TAU, sizes[-1]))
    layers.append(
        FixedLayer(
            neuron=families.LI,
            weights=random_connection(rng, sizes[-1], sizes[-2], exponent),
            recurrent=None,
            coefficients=_integers(decay[None], parameter_bits),
            constants=fixed.LIConstants(state_bits, parameter_bits),
        )
    )
    return FixedNetwork(tuple(layers))


def random_spikes(
    rng: np.random.Generator, steps: int, samples: int, inputs: int, rate: float = 0.1
) -> NDArray[np.int8]:
    """[T, B, I] int8."""
    return (rng.random((steps, samples, inputs)) < rate).astype(np.int8)


def _integers(values: NDArray[np.float64], bits: int) -> NDArray[np.int64]:
    integers: NDArray[np.int64] = np.rint(values * 2**bits).astype(np.int64)
    return integers
