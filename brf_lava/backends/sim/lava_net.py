"""A whole network in fixed point as Lava processes, simulated on the CPU, bit for bit the engine.

    source -> dense -> neurons (<-> dense) -> dense -> ... -> dense -> LI

Lava is imported inside functions, because nothing else here needs it.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from brf_lava.backends.engine import check_input
from brf_lava.backends.states import Recording
from brf_lava.io.shared_memory import shared_array
from brf_lava.lava_support import require_lava
from brf_lava.network.activity import Activity, at_limit
from brf_lava.network.layers import Connection, FixedLayer, FixedNetwork
from brf_lava.proc.hooks import Blanks, Probe


@dataclass(frozen=True)
class _Probe:
    """What a layer's process writes in every step of Lava, into shared memory.

    outputs: [steps, B, N]. saturations: [steps], states at the 24-bit limit. counter: [1], steps
    done. window: the Lava steps, counted from 0, in which the layer computes those of the input.
    """

    outputs: NDArray[Any]
    saturations: NDArray[np.int64]
    counter: NDArray[np.int64]
    window: slice
    recording: Recording | None

    def write(self, step: int, outputs: NDArray[Any], states: Iterable[NDArray[Any]]) -> None:
        """A `proc.hooks.Probe`."""
        self.outputs[step - 1] = outputs
        states = tuple(states)
        self.saturations[step - 1] = sum(map(at_limit, states))
        if self.recording is not None and self.window.start < step <= self.window.stop:
            self.recording.write(step - 1 - self.window.start, outputs, states)
        self.counter[0] = step


def run_on_lava(
    network: FixedNetwork,
    x: NDArray[Any],
    *,
    timeout: float | None = None,
    on_progress: Callable[[float], None] | None = None,
    recording: Recording | None = None,
) -> Activity:
    """Run the network from zero state; the result equals that of `engine.run` in every integer.

    Arguments and errors as of `brf_lava.backends.base.Backend.run` and `RunOptions`. x has at least
    one step and one sample.
    """
    check_input(network, x)
    require_lava()
    from lava.magma.core.run_configs import Loihi2SimCfg

    from brf_lava.backends.sim.launch import run_graph
    from brf_lava.proc.source.process import Source

    steps, samples, _ = x.shape
    total = steps + len(network.layers)
    probes = []
    for index, layer in enumerate(network.layers):
        number = np.int8 if layer.neuron.spiking else np.int32
        probe = _Probe(
            outputs=shared_array((total, samples, layer.shape[0]), number),
            saturations=shared_array((total,), np.int64),
            counter=shared_array((1,), np.int64),
            # Every dense connection delays by one step: what the engine computes in step i comes
            # out of layer l (counted from 0) in step i + l + 1.
            window=slice(index + 1, index + 1 + steps),
            recording=recording if recording is not None and recording.index == index else None,
        )
        probes.append(probe)
    with root_logger_kept():
        source = Source(recording=x, name="input")
        run_graph(
            wire(network, source.s_out, samples, [probe.write for probe in probes]),
            Loihi2SimCfg(select_tag="fixed_pt"),
            total,
            timeout=timeout,
            counter=probes[-1].counter,
            on_progress=on_progress and (lambda done: on_progress(done / total)),
        )
    *spikes, outputs = [probe.outputs[probe.window] for probe in probes]
    return Activity(
        outputs=outputs.astype(np.int64),
        spikes=tuple(spikes),
        saturations=sum(int(probe.saturations[probe.window].sum()) for probe in probes),
    )


def wire(
    network: FixedNetwork,
    sender: Any,
    samples: int,
    probes: Sequence[Probe | None],
    blanks: Sequence[Blanks] | None = None,
) -> Any:
    """The processes of all layers behind the port `sender`, (B, I); the readout's is returned.

    samples: B; probes, blanks: one per layer.
    """
    from brf_lava.proc.dense.process import BatchDense

    def dense(connection: Connection, *, name: str, largest: int = 1) -> Any:
        mantissa, exponent = connection.mantissa, connection.exponent
        return BatchDense(
            samples=samples, weights=mantissa, exponent=exponent, largest=largest, name=name
        )

    largest = network.largest_input
    for index, (layer, name) in enumerate(zip(network.layers, network.layer_names, strict=True)):
        neurons, synapse, _, out = wire_layer(
            layer,
            name,
            partial(dense, largest=largest),
            dense,
            samples=samples,
            probe=probes[index],
            blanks=blanks[index] if blanks else None,
        )
        sender.connect(synapse.s_in)
        sender, largest = out, 1
    return neurons


def wire_layer(
    layer: FixedLayer,
    name: str,
    dense: Callable[..., Any],
    recurrent_dense: Callable[..., Any],
    *,
    samples: int | None = None,
    **extra: Any,
) -> tuple[Any, Any, Any, Any]:
    """Build the processes of one layer and connect them to each other.

    dense: makes a process with the ports s_in and a_out of a `Connection` and a name;
    recurrent_dense: the same for recurrent weights. samples, extra: as of `NeuronLayer`. Returns
    the neurons, their weights, whose port s_in hears the layer before, their recurrent weights or
    None, and their output port.
    """
    from brf_lava.proc.neurons.models import process_of

    neurons = process_of(layer.neuron)(
        samples=samples,
        constants=layer.constants,
        name=name,
        **extra,
        **dict(zip(layer.neuron.fixed_coefficients, layer.coefficients, strict=True)),
    )
    out = neurons.s_out if layer.neuron.spiking else neurons.o_out
    synapse = dense(layer.weights, name=f"weights of {name}")
    synapse.a_out.connect(neurons.a_in)
    recurrent = None
    if layer.recurrent is not None:
        recurrent = recurrent_dense(layer.recurrent, name=f"recurrent weights of {name}")
        out.connect(recurrent.s_in)
        recurrent.a_out.connect(neurons.a_in)
    return neurons, synapse, recurrent, out


def exact_dense(
    connection: Connection, *, name: str, message_bits: int = 0, sparse: bool = False
) -> Any:
    """Lava's Dense or Sparse, which netx and Loihi 2 have models for, such that they are exact.

    In its mixed mode it takes even weights from -256 to 254: ours, doubled, for one exponent less.
    message_bits: of graded inputs; 0 for spikes.
    """
    from lava.proc.dense.process import Dense
    from lava.proc.sparse.process import Sparse
    from lava.utils.weightutils import SignMode
    from scipy.sparse import csr_matrix

    weights = 2 * connection.mantissa.astype(np.int32)
    return (Sparse if sparse else Dense)(
        weights=csr_matrix(weights) if sparse else weights,
        weight_exp=connection.exponent - 1,
        num_weight_bits=8,
        sign_mode=SignMode.MIXED,
        num_message_bits=message_bits,
        name=name,
    )


@contextmanager
def root_logger_kept() -> Iterator[None]:
    """Undo what each Lava process does to the root logger: one more handler that prints."""
    logger = logging.getLogger()
    handlers, level = list(logger.handlers), logger.level
    try:
        yield
    finally:
        for handler in set(logger.handlers) - set(handlers):
            logger.removeHandler(handler)
        logger.setLevel(level)
