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
from brf_lava.backends.states import LayerRecording, Recording
from brf_lava.errors import ParameterError
from brf_lava.io.shared_memory import shared_array
from brf_lava.lava_support import require_lava
from brf_lava.network.activity import Activity, at_limit
from brf_lava.network.layers import Connection, FixedLayer, FixedNetwork
from brf_lava.proc.blanks import Blanks
from brf_lava.proc.probe import Probe

# Messages a channel can hold. The processes run in lockstep, so that one is on its way; Lava's 64
# cost no less time, but 16 times the /dev/shm, of which a container may have no more than 64 MB.
CHANNEL_SIZE = 4


def run_on_lava(
    network: FixedNetwork,
    x: NDArray[Any],
    *,
    batch: int | None = None,
    timeout: float | None = None,
    on_progress: Callable[[int], None] | None = None,
    recording: Recording | None = None,
) -> Activity:
    """Run the network from zero state; the result equals that of `engine.run` in every integer.

    x:           [T, B, I], int8 or uint8 in the network's range; at least one step and one sample
    batch:       samples per Lava run; None: all in one, which is fastest
    timeout:     s, for all runs together; None: as long as it takes
    on_progress: called now and then with the number of steps done, of `steps_needed`
    recording:   where the states of chosen neurons go, of T steps and B samples

    Raises: ParameterError for other input, BackendUnavailableError without Lava, LavaRunError if
    the run fails or takes too long.
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
    for index, first in enumerate(range(0, samples, size)):
        parts.append(
            _run_batch(
                network,
                x[:, first : first + size],
                None if deadline is None else deadline - time.monotonic(),
                _counted_from(index * (steps + len(network.layers)), on_progress),
                None if recording is None else recording.samples(first, first + size),
            )
        )
    return Activity.of_batches(parts)


def steps_needed(network: FixedNetwork, steps: int, samples: int, batch: int | None = None) -> int:
    """How many Lava steps `run_on_lava` takes for an input of so many steps and samples."""
    return (steps + len(network.layers)) * -(-samples // (batch or samples))


def _counted_from(
    done: int, on_progress: Callable[[int], None] | None
) -> Callable[[int], None] | None:
    return None if on_progress is None else lambda steps: on_progress(done + steps)


@dataclass(frozen=True)
class _Probe:
    """What a layer's process writes in every step of Lava, into shared memory.

    outputs:     [steps, B, N], int8 spikes or int32 states of the readout
    saturations: [steps] int64, how many state variables stand at the limit of 24 bits
    counter:     [1] int64, steps done
    window:      the Lava steps, counted from 0, in which the layer computes those of the input
    recorded:    where the states of chosen neurons go in these, or None
    """

    outputs: NDArray[Any]
    saturations: NDArray[np.int64]
    counter: NDArray[np.int64]
    window: slice
    recorded: LayerRecording | None

    def write(self, step: int, outputs: NDArray[Any], states: Iterable[NDArray[Any]]) -> None:
        self.outputs[step - 1] = outputs
        states = tuple(states)
        self.saturations[step - 1] = sum(map(at_limit, states))
        if self.recorded is not None and self.window.start < step <= self.window.stop:
            self.recorded.write(step - 1 - self.window.start, outputs, states)
        self.counter[0] = step


@dataclass(frozen=True)
class _Graph:
    """The processes of one run, tied together by their ports.

    readout: the last process; probes: one per layer.
    """

    readout: Any
    probes: tuple[_Probe, ...]


def _run_batch(
    network: FixedNetwork,
    x: NDArray[Any],
    timeout: float | None,
    on_progress: Callable[[int], None] | None,
    recording: Recording | None,
) -> Activity:
    from lava.magma.core.run_configs import Loihi2SimCfg

    from brf_lava.backends.sim.guard import run_guarded

    total = len(x) + len(network.layers)
    with root_logger_kept():
        graph = _build(network, x, total, recording)
        run_guarded(
            graph.readout,
            Loihi2SimCfg(select_tag="fixed_pt"),
            total,
            timeout=timeout,
            counter=graph.probes[-1].counter,
            on_progress=on_progress,
            compile_config={"pypy_channel_size": CHANNEL_SIZE},
        )
    outputs = [probe.outputs[probe.window] for probe in graph.probes]
    return Activity(
        outputs=outputs[-1].astype(np.int64),
        spikes=tuple(outputs[:-1]),
        saturations=sum(int(probe.saturations[probe.window].sum()) for probe in graph.probes),
    )


def _build(
    network: FixedNetwork, x: NDArray[Any], total: int, recording: Recording | None
) -> _Graph:
    """x: [T, B, I]; total: steps that Lava will run."""
    from brf_lava.proc.source.process import Source

    samples = x.shape[1]
    # Every dense connection delays by one step: what the engine computes in step i comes out of
    # layer l (counted from 0) in step i + l + 1.
    probes = tuple(
        _probe(
            layer,
            samples,
            total,
            slice(index + 1, index + 1 + len(x)),
            None if recording is None else recording.of_layer(index),
        )
        for index, layer in enumerate(network.layers)
    )
    sender = Source(recording=x, name="input").s_out
    return _Graph(readout=wire(network, sender, samples, probes), probes=probes)


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
    largest = max(map(abs, network.input_range))
    dense = partial(_batch_dense, samples=samples)
    for index, layer in enumerate(network.layers):
        neurons, synapse, _, out = wire_layer(
            layer,
            f"hidden {index + 1}" if layer.neuron.spiking else "readout",
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
        dense: Called with a `Connection` and the keyword name; returns a process with the ports
            s_in and a_out.
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


def _probe(
    layer: FixedLayer, samples: int, total: int, window: slice, recorded: LayerRecording | None
) -> _Probe:
    return _Probe(
        outputs=shared_array(
            (total, samples, layer.shape[0]), np.int8 if layer.neuron.spiking else np.int32
        ),
        saturations=shared_array((total,), np.int64),
        counter=shared_array((1,), np.int64),
        window=window,
        recorded=recorded,
    )


def _batch_dense(connection: Connection, *, samples: int, name: str, largest: int = 1) -> Any:
    from brf_lava.proc.dense.process import BatchDense

    return BatchDense(
        samples=samples,
        weights=connection.mantissa,
        exponent=connection.exponent,
        largest=largest,
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
