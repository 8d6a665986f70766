"""A whole network in fixed point as Lava processes, simulated on the CPU, bit for bit the engine.

    source -> dense -> neurons (<-> dense) -> dense -> ... -> dense -> LI

Lava is imported inside functions, because nothing else here needs it.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from brf_lava.backends.engine import check_input
from brf_lava.backends.states import Recording
from brf_lava.errors import ParameterError
from brf_lava.io.shared_memory import shared_array
from brf_lava.lava_support import require_lava
from brf_lava.network.activity import Activity, at_limit
from brf_lava.network.layers import Connection, FixedLayer, FixedNetwork
from brf_lava.proc.hooks import Blanks, Probe


def run_on_lava(
    network: FixedNetwork,
    x: NDArray[Any],
    *,
    batch: int | None = None,
    timeout: float | None = None,
    on_progress: Callable[[float], None] | None = None,
    recording: Recording | None = None,
) -> Activity:
    """Run the network from zero state; the result equals that of `engine.run` in every integer.

    Args:
        network: What to run.
        x: Inputs [T, B, I], int8 or uint8 in its range; at least one step and one sample.
        batch: Samples in one Lava run; None for all, which is fastest.
        timeout: Seconds, for all runs together; None for no limit.
        on_progress: Called now and then with the share of the run that is done, 0 to 1.
        recording: Where the states of chosen neurons go, T steps of B samples.

    Raises:
        ParameterError: For other inputs.
        BackendUnavailableError: Without Lava.
        LavaRunError: If the run fails or takes too long.
    """
    check_input(network, x)
    steps, samples, _ = x.shape
    if not steps or not samples:
        raise ParameterError(
            f"input: shape {x.shape}; Lava needs at least one step and one sample."
        )
    if batch is not None and batch < 1:
        raise ParameterError(f"batch: {batch}; at least 1 sample per run is needed.")
    require_lava()
    deadline = None if timeout is None else time.monotonic() + timeout
    size = batch or samples
    parts = []
    for first in range(0, samples, size):
        part = x[:, first : first + size]
        parts.append(
            _run_batch(
                network,
                part,
                None if deadline is None else deadline - time.monotonic(),
                on_progress and partial(_share_of_all, on_progress, first, samples),
                recording and recording.samples(first, first + size),
            )
        )
    return Activity.of_batches(parts)


def _share_of_all(
    on_progress: Callable[[float], None], first: int, samples: int, done: float
) -> None:
    """done: samples of the part that begins at sample `first`."""
    on_progress((first + done) / samples)


@dataclass(frozen=True)
class _Probe:
    """What a layer's process writes in every step of Lava, into shared memory.

    outputs:     [steps, B, N], int8 spikes or int32 states of the readout
    saturations: [steps] int64, how many state variables stand at the limit of 24 bits
    counter:     [1] int64, steps done
    window:      the Lava steps, counted from 0, in which the layer computes those of the input
    recording:   where the states of chosen neurons go in these, or None
    """

    outputs: NDArray[Any]
    saturations: NDArray[np.int64]
    counter: NDArray[np.int64]
    window: slice
    recording: Recording | None

    def write(self, step: int, outputs: NDArray[Any], states: Iterable[NDArray[Any]]) -> None:
        """As `proc.hooks.Probe`."""
        self.outputs[step - 1] = outputs
        states = tuple(states)
        self.saturations[step - 1] = sum(map(at_limit, states))
        if self.recording is not None and self.window.start < step <= self.window.stop:
            self.recording.write(step - 1 - self.window.start, outputs, states)
        self.counter[0] = step


def _run_batch(
    network: FixedNetwork,
    x: NDArray[Any],
    timeout: float | None,
    on_progress: Callable[[float], None] | None,
    recording: Recording | None,
) -> Activity:
    from lava.magma.core.run_configs import Loihi2SimCfg

    from brf_lava.backends.sim.guard import run_guarded
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
        run_guarded(
            wire(network, source.s_out, samples, probes),
            Loihi2SimCfg(select_tag="fixed_pt"),
            total,
            timeout=timeout,
            counter=probes[-1].counter,
            on_progress=on_progress and (lambda done: on_progress(samples * done / total)),
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

    Args:
        layer: What to build.
        name: What error messages call it.
        dense: Makes a process with the ports s_in and a_out of a `Connection` and a name.
        recurrent_dense: The same for the recurrent weights.
        samples: As of `brf_lava.proc.neurons.process.NeuronLayer`.
        extra: Other arguments of the neurons' process.

    Returns:
        The neurons, their weights, whose port s_in hears the layer before, their recurrent weights
        or None, and their output port.
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
