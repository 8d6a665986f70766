"""A stream of sequences through one running network, from Python.

Two sequences of 100 random steps go through a small BRF network, which answers each step. The
argument is ``sim`` for Lava (default) or ``engine``; both give the same answers.
"""

from __future__ import annotations

import sys

import numpy as np

from brf_lava import Stream
from brf_lava.network.layers import Connection, FixedLayer, FixedNetwork
from brf_lava.neurons import families, fixed

STATE_BITS, PARAMETER_BITS = 14, 16
ONE = 1 << PARAMETER_BITS


def network() -> FixedNetwork:
    """Three inputs, eight BRF neurons, two classes; 'brf-lava export' makes one from a model."""
    rng = np.random.default_rng(0)

    def weights(rows: int, columns: int) -> Connection:
        return Connection(rng.integers(-100, 101, (rows, columns)).astype(np.int8), 7)

    hidden = FixedLayer(
        neuron=families.BRF,
        weights=weights(8, 3),
        recurrent=weights(8, 8),
        coefficients=np.array([[-ONE // 100] * 8, np.linspace(ONE // 30, ONE // 4, 8).astype(int)]),
        constants=fixed.BalancedConstants(
            dt=ONE // 100,
            theta=1 << STATE_BITS,
            gamma=9 * ONE // 10,
            unit=1 << STATE_BITS,
            state_bits=STATE_BITS,
            parameter_bits=PARAMETER_BITS,
        ),
    )
    readout = FixedLayer(
        neuron=families.LI,
        weights=weights(2, 8),
        recurrent=None,
        coefficients=np.array([[9 * ONE // 10] * 2]),
        constants=fixed.LIConstants(STATE_BITS, PARAMETER_BITS),
    )
    return FixedNetwork((hidden, readout))


def main(backend: str) -> None:
    sequences = np.random.default_rng(1).integers(0, 2, (2, 100, 3))
    with Stream(network(), backend=backend) as stream:  # starts it, once
        for x in sequences:
            answers = [answer for step in x for answer in stream.push(step)]
            answers += stream.reset()  # the last answers; the next sequence starts from zero state
            last = answers[-1]
            print(
                f"sequence {last.sequence}: {len(answers)} answers, the last one class "
                f"{last.label}, outputs {last.outputs.tolist()}"
            )


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "sim")
