"""Lava processes wired by hand: source -> dense -> BRF -> sink, in real numbers.

A neuron at 2 rad/s receives one spike and oscillates. Needs Lava: brf-lava install-lava.
"""

from __future__ import annotations

import numpy as np
from lava.magma.core.run_configs import Loihi2SimCfg

from brf_lava.backends.sim.launch import run_graph, shared_array
from brf_lava.neurons.boundary import divergence_boundary
from brf_lava.neurons.real import BalancedConstants
from brf_lava.proc.dense.process import BatchDense
from brf_lava.proc.io.process import Sink, Source
from brf_lava.proc.neurons.process import BRF

DT, OMEGA, B_OFFSET = 0.01, 2.0, 0.1
STEPS = 800


def main() -> np.ndarray:
    """Spikes [STEPS] of the neuron."""
    recording = np.zeros((STEPS, 1, 1))
    recording[0] = 1.0
    record = shared_array((STEPS, 1, 1), float)  # written by the sink's process, read here
    source = Source(recording=recording)
    dense = BatchDense(samples=1, weights=np.array([[400.0]]))
    neuron = BRF(
        samples=1,
        damping=np.array([divergence_boundary(OMEGA, DT) - B_OFFSET]),
        rotation=np.array([OMEGA]),
        constants=BalancedConstants(dt=DT, theta=1.0, gamma=0.9),
    )
    sink = Sink(record=record)
    source.s_out.connect(dense.s_in)
    dense.a_out.connect(neuron.a_in)
    neuron.s_out.connect(sink.a_in)
    run_graph(sink, Loihi2SimCfg(select_tag="floating_pt"), STEPS)
    return record[:, 0, 0]


if __name__ == "__main__":
    spikes = main()
    print(f"{int(spikes.sum())} spikes, at steps {np.flatnonzero(spikes).tolist()}")
