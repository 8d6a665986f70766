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

Dense = Callable[..., Any]  # of connections, see `wire_layer`


@dataclass(frozen=True)
class _Probe:
    """What a layer's process writes in the steps of the input, into shared memory.

    outputs: [T, B, N]. saturations: [1], states at the 24-bit limit. counter: [1], Lava's steps
    done. delay: steps of Lava from an input to what the layer makes of it.
    """

    outputs: NDArray[Any]
    saturations: NDArray[np.int64]
    counter: NDArray[np.int64]
    delay: int
    recording: Recording | None

    def write(self, step: int, outputs: NDArray[Any], states: Iterable[NDArray[Any]]) -> None:
        """A `proc.neurons.process.Probe`."""
        own = step - 1 - self.delay
        if 0 <= own < len(self.outputs):
            states = tuple(states)
            self.outputs[own] = outputs
            self.saturations[0] += sum(map(at_limit, states))
            if self.recording is not None:
                self.recording.write(own, outputs, states)
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
    from brf_lava.proc.io.process import Source

    steps, samples, _ = x.shape
    total = steps + len(network.layers)
    probes = [
        _Probe(
            shared_array(
                (steps, samples, layer.shape[0]), np.int8 if layer.neuron.spiking else np.int32
            ),
            saturations=shared_array((1,), np.int64),
            counter=shared_array((1,), np.int64),
            delay=index + 1,  # every dense connection delays by one step
            recording=recording if recording is not None and recording.index == index else None,
        )
        for index, layer in enumerate(network.layers)
    ]
    with root_logger_kept():
        source = Source(recording=x, name="input")
        extras = [{"samples": samples, "probe": probe.write} for probe in probes]
        *_, readout = wire(network, source.s_out, *batch_dense(network, samples), extras)
        run_graph(
            readout,
            Loihi2SimCfg(select_tag="fixed_pt"),
            total,
            timeout=timeout,
            counter=probes[-1].counter,
            on_progress=on_progress and (lambda done: on_progress(done / total)),
        )
    *spikes, outputs = (probe.outputs for probe in probes)
    saturations = sum(int(probe.saturations[0]) for probe in probes)
    return Activity(outputs.astype(np.int64), tuple(spikes), saturations)


def batch_dense(network: FixedNetwork, samples: int) -> tuple[Dense, Dense]:
    """What makes the first layer's connections of so many samples, and those of all others."""
    from brf_lava.proc.dense.process import BatchDense

    def dense(connection: Connection, *, name: str, largest: int = 1) -> Any:
        mantissa, exponent = connection.mantissa, connection.exponent
        return BatchDense(
            samples=samples, weights=mantissa, exponent=exponent, largest=largest, name=name
        )

    return partial(dense, largest=network.largest_input), dense


def wire(
    network: FixedNetwork,
    sender: Any,
    first_dense: Dense,
    dense: Dense,
    extras: Sequence[dict[str, Any]],
) -> list[Any]:
    """Build the processes of all layers behind the port `sender`; the neurons of each are returned.

    first_dense, dense: as of `wire_layer`, of weights from the input and of all others. extras: of
    each layer, as of `wire_layer`.
    """
    layers = []
    for layer, name, extra in zip(network.layers, network.layer_names, extras, strict=True):
        neurons, synapse, _ = wire_layer(layer, name, first_dense, dense, **extra)
        sender.connect(synapse.s_in)
        sender, first_dense = out_port(neurons), dense
        layers.append(neurons)
    return layers


def wire_layer(
    layer: FixedLayer,
    name: str,
    dense: Dense,
    recurrent_dense: Dense,
    *,
    samples: int | None = None,
    **extra: Any,
) -> tuple[Any, Any, Any]:
    """Build the processes of one layer and connect them to each other.

    dense: makes a process with the ports s_in and a_out of a `Connection` and a name;
    recurrent_dense: the same for recurrent weights. samples, extra: as of `NeuronLayer`. Returns
    the neurons, their weights, whose port s_in hears the layer before, and their recurrent weights
    or None, where there are none but zeros.
    """
    from brf_lava.proc.neurons.models import process_of

    neurons = process_of(layer.neuron)(
        samples=samples,
        constants=layer.constants,
        name=name,
        **extra,
        **dict(zip(layer.neuron.fixed_coefficients, layer.coefficients, strict=True)),
    )
    synapse = dense(layer.weights, name=f"weights of {name}")
    synapse.a_out.connect(neurons.a_in)
    recurrent = None
    if layer.recurrent is not None and layer.recurrent.mantissa.any():
        recurrent = recurrent_dense(layer.recurrent, name=f"recurrent weights of {name}")
        out_port(neurons).connect(recurrent.s_in)
        recurrent.a_out.connect(neurons.a_in)
    return neurons, synapse, recurrent


def out_port(neurons: Any) -> Any:
    """The port of a `NeuronLayer` with its spikes, or else its states."""
    return neurons.s_out if neurons.neuron.spiking else neurons.o_out


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
