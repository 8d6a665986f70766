"""Each neuron as a Lava process wired by hand, in integers: source -> dense -> neurons -> sink.

    python examples/each_neuron.py BHRF      RF, BRF, HRF, BHRF, ALIF or LI; all without a name

Three neurons with different weights receive two spikes, 16 steps apart. Needs Lava
(brf-lava install-lava).
"""

from __future__ import annotations

import sys

import numpy as np
from lava.magma.core.run_configs import Loihi2SimCfg

from brf_lava.backends.sim.launch import run_graph, shared_array
from brf_lava.neurons.families import NEURONS
from brf_lava.proc.dense.process import BatchDense
from brf_lava.proc.io.process import Sink, Source
from brf_lava.proc.neurons.models import process_of

STATE_BITS, PARAMETER_BITS = 14, 16  # fraction bits
RECORDING = np.zeros((60, 1), np.int8)  # [T, I]
RECORDING[[0, 16]] = 1
WEIGHTS = np.array([[20], [60], [120]], np.int8)  # [N, I], times 2**10
COEFFICIENTS = {  # per step
    "damping": -0.05,
    "friction": 0.1,
    "rotation": 0.3,
    "decay": 0.7,
    "adaptation": 0.95,
}
CONSTANTS = {"theta": 1 << STATE_BITS, "state_bits": STATE_BITS, "parameter_bits": PARAMETER_BITS}
CONSTANTS |= {name: round(x * 2**PARAMETER_BITS) for name, x in (("dt", 0.01), ("gamma", 0.9))}
CONSTANTS |= {"beta": round(1.8 * 2**STATE_BITS), "unit": 1 << STATE_BITS}


def constants_of(name: str) -> object:
    """What the layer shares, as integers."""
    kind = NEURONS[name].fixed_constants
    return kind(*(CONSTANTS[field] for field in kind._fields))


def coefficients_of(name: str) -> dict[str, np.ndarray]:
    """[N] each, as integers."""
    names = NEURONS[name].fixed_coefficients
    return {each: np.full(3, round(COEFFICIENTS[each] * 2**PARAMETER_BITS)) for each in names}


def main(name: str) -> np.ndarray:
    """What three neurons of this name send, [T, N]: spikes, or the states of a readout."""
    record = shared_array((len(RECORDING), 3), np.int32)  # written by the sink's process
    source = Source(recording=RECORDING)
    dense = BatchDense(samples=None, weights=WEIGHTS, exponent=10)
    process = process_of(NEURONS[name])  # the class, for example proc.neurons.process.BRF
    neurons = process(samples=None, constants=constants_of(name), **coefficients_of(name))
    sink = Sink(record=record)
    source.s_out.connect(dense.s_in)
    dense.a_out.connect(neurons.a_in)
    (neurons.s_out if NEURONS[name].spiking else neurons.o_out).connect(sink.a_in)
    run_graph(sink, Loihi2SimCfg(select_tag="fixed_pt"), len(RECORDING))
    return record


if __name__ == "__main__":
    for name in sys.argv[1:] or NEURONS:
        sent = main(name)
        said = "spikes" if NEURONS[name].spiking else "steps above 0"
        print(f"{name}: {', '.join(map(str, np.sum(sent > 0, axis=0)))} {said}")
