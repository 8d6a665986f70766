"""A whole network on Loihi 2: built from Lava's public interface, not yet run on hardware.

    host                      chip
    Source -> PyToNxAdapter -> Dense -> neurons (<-> Dense) -> ... -> Dense -> LI
    Sink   <- NxToPyAdapter <- each layer's spikes, and the readout's states as messages

The samples follow each other in one stream. Each begins with a step in which a layer drops its
input, sets its states to 0 and sends nothing, one layer after the other as the input advances, so
that nothing of one sample reaches the next.

Lava is imported inside functions, Intel's extension for it in no other module of this part.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from brf_lava.backends import engine
from brf_lava.backends.loihi2 import doctor
from brf_lava.backends.loihi2.assembler import find_assembler, machine_code
from brf_lava.backends.loihi2.hosts import Finding, Host, use_host
from brf_lava.backends.loihi2.program import network_programs
from brf_lava.backends.loihi2.values import check_values
from brf_lava.backends.sim.lava_net import exact_dense, wire_layer
from brf_lava.board.describe import network_shape
from brf_lava.board.fits import place
from brf_lava.config.profile import Loihi2Profile
from brf_lava.errors import BackendUnavailableError, BrfLavaError, LavaRunError, ParameterError
from brf_lava.io.shared_memory import shared_array
from brf_lava.network.activity import Activity
from brf_lava.network.layers import FixedLayer, FixedNetwork
from brf_lava.neurons.fixed import STATE_WIDTH

DELAY_MAX = 1000  # steps; every sample is so much longer, and memory with it
SUFFIX = ".dasm"  # of neuron programs, in Intel's public models
NEURO_CORE, EMBEDDED, HOST = "neuro core", "embedded CPU", "host CPU"


@dataclass(frozen=True)
class Loihi2Options:
    """How to run on Loihi 2.

    partitions: of the scheduler, in order of preference; the profile's
    microcode:  a TOML file that names assembled programs, else an assembler plug-in is used
    assembler:  the plug-in's name, where there are several
    delay:      steps by which the host adapters delay inputs and outputs together; 0 as in Lava's
                simulation, to be measured in bring-up
    board:      whose limits the network must keep to, and whose generation of chip it is unless the
                host names one; None: they are not looked at
    """

    host: Host = field(default_factory=Host)
    partitions: tuple[str, ...] = ()
    microcode: Path | None = None
    assembler: str | None = None
    delay: int = 0
    board: Loihi2Profile | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.delay <= DELAY_MAX:
            raise ParameterError(f"--io-delay {self.delay}; it must be 0 to {DELAY_MAX} steps.")
        if self.microcode is not None and self.assembler is not None:
            raise ParameterError(
                f"--assembler {self.assembler}: with --microcode nothing is assembled. Leave one "
                "out."
            )

    @property
    def generation(self) -> str | None:
        """Of the chip that is wanted."""
        return self.host.generation or (self.board.generation if self.board else None)

    def findings(self) -> tuple[Finding, ...]:
        """What of a run's needs is here, with these options."""
        return doctor.examine(
            self.host,
            partitions=self.partitions,
            generation=self.board.generation if self.board else None,
            microcode=self.microcode,
            assembler=self.assembler,
        )


@dataclass(frozen=True)
class Placement:
    """Where one Lava process runs: `NEURO_CORE`, `EMBEDDED` or `HOST`."""

    process: str
    model: str
    where: str

    def line(self) -> str:
        return f"{self.process}: {self.where}, {self.model}"


def require_loihi2(options: Loihi2Options | None = None) -> None:
    """Raises: BackendUnavailableError listing what a run needs, what is here and what is not."""
    findings = (options or Loihi2Options()).findings()
    if doctor.missing(findings):
        raise BackendUnavailableError(doctor.explain(findings))


def reset_interval(steps: int, delay: int = 0) -> int:
    """Steps from one sample to the next: the least power of two with room for a step of reset."""
    return 1 << (steps + delay).bit_length()


def steps_needed(network: FixedNetwork, steps: int, samples: int, delay: int = 0) -> int:
    """How many steps of the chip a stream of samples takes."""
    return (samples - 1) * reset_interval(steps, delay) + delay + steps + len(network.layers)


def run_on_loihi2(
    network: FixedNetwork,
    x: NDArray[Any],
    options: Loihi2Options,
    *,
    batch: int | None = None,
    on_placement: Callable[[Sequence[str]], None] | None = None,
) -> Activity:
    """Run the network from zero state, sample by sample.

    x:            [T, B, I], int8 or uint8 in the network's range; at least one step and one sample
    batch:        samples in one stream, hence one use of the board; None: all
    on_placement: called with where it runs, and where each process does, a line each

    States never leave the chip: the saturations are those of the integer engine for the same input.
    Raises: ParameterError for other input or a network that does not fit; BackendUnavailableError
    when something is missing, or a process would run on the host's CPU; LavaRunError if the run
    fails.
    """
    engine.check_input(network, x)
    steps, samples, _ = x.shape
    if not steps or not samples:
        raise ParameterError(f"input: shape {x.shape}; at least one step and sample are needed.")
    if batch is not None and batch < 1:
        raise ParameterError(f"batch: {batch}; at least 1 sample per run is needed.")
    check_values(network)
    if options.board is not None:
        place(network_shape(network, "the network"), options.board).require_fit("the network")
    require_loihi2(options)
    host = options.host.resolved(options.partitions, options.generation)
    use_host(host)
    size = batch or samples
    parts = []
    with tempfile.TemporaryDirectory() as folder:
        programs = _assembled(network, options, Path(folder))
        for first in range(0, samples, size):
            show = on_placement if not first else None
            if show is not None:
                show([host.describe()])
            part = x[:, first : first + size]
            outputs, spikes = _run_stream(network, part, programs, options.delay, show)
            parts.append(
                Activity(outputs, spikes, saturations=engine.run(network, part).saturations)
            )
    return Activity.of_batches(parts)


def _assembled(
    network: FixedNetwork, options: Loihi2Options, folder: Path
) -> tuple[tuple[Path, dict[str, int]], ...]:
    """Each layer's program: the file of its machine code, and its constants by name."""
    assembler = find_assembler(options.microcode, options.assembler)
    found = []
    for index, program in enumerate(network_programs(network)):
        path = folder / f"layer{index}-{program.fingerprint}{SUFFIX}"
        path.write_bytes(machine_code(assembler, program))
        found.append((path, program.constants))
    return tuple(found)


@dataclass(frozen=True)
class _Graph:
    """The processes of one stream, and what they write down in shared memory.

    records: [steps, N] of each layer, int8 spikes or int32 states of the readout
    """

    readout: Any
    records: tuple[NDArray[Any], ...]


def _run_stream(
    network: FixedNetwork,
    x: NDArray[Any],
    programs: Sequence[tuple[Path, dict[str, int]]],
    delay: int,
    on_placement: Callable[[Sequence[str]], None] | None,
) -> tuple[NDArray[np.int64], tuple[NDArray[np.int8], ...]]:
    """Outputs [T, B, C] and spikes, one [T, B, N] per hidden layer. x: [T, B, I]."""
    from lava.magma.core.run_configs import Loihi2HwCfg

    steps, samples, _ = x.shape
    interval = reset_interval(steps, delay)
    total = steps_needed(network, steps, samples, delay)
    graph = _build(network, _stream(x, interval), programs, interval, total)
    with _faults_of(f"Loihi 2 run of {total} steps"):
        executable = graph.readout.compile(Loihi2HwCfg(select_tag="fixed_pt"))
        placed = placements(executable.process_list)
    if on_placement is not None:
        on_placement([placement.line() for placement in placed])
    _refuse_host(placed, executable.process_list)
    with _faults_of(f"Loihi 2 run of {total} steps"):
        _run_and_stop(graph.readout, executable, total)
    first = np.arange(samples)[None, :] * interval + np.arange(steps)[:, None] + delay  # [T, B]
    recorded = [
        np.ascontiguousarray(record[first + layer + 1])
        for layer, record in enumerate(graph.records)
    ]
    return sign_extended(recorded[-1]), tuple(recorded[:-1])


@contextmanager
def _faults_of(what: str) -> Iterator[None]:
    """Raises: LavaRunError for whatever Lava, its extension or a board raises meanwhile."""
    try:
        yield
    except BrfLavaError:  # of our models
        raise
    except Exception as error:
        raise LavaRunError(
            f"{what}: {type(error).__name__}: {' '.join(str(error).split())}"
        ) from error


def _run_and_stop(readout: Any, executable: Any, total: int) -> None:
    """The board is given back in any case, after a start that fails half-way too."""
    from lava.magma.core.run_conditions import RunSteps

    try:
        readout.create_runtime(executable=executable)
        readout.run(RunSteps(num_steps=total))
    except BaseException:
        with suppress(Exception):  # the first fault says more than what it makes of stopping
            readout.stop()
        raise
    readout.stop()


def _stream(x: NDArray[Any], interval: int) -> NDArray[Any]:
    """All samples one after the other, [.., I], each at the start of an interval. x: [T, B, I]."""
    steps, samples, inputs = x.shape
    stream = np.zeros((samples, interval, inputs), x.dtype)
    stream[:, :steps] = x.transpose(1, 0, 2)
    return stream.reshape(samples * interval, inputs)


def sign_extended(messages: NDArray[Any]) -> NDArray[np.int64]:
    """Messages of 24 bits as signed numbers; those that are signed already stay as they are."""
    half = 1 << (STATE_WIDTH - 1)
    return ((messages.astype(np.int64) + half) & ((1 << STATE_WIDTH) - 1)) - half


def placements(processes: Iterable[Any]) -> tuple[Placement, ...]:
    """Where the compiled processes run, from the models that were selected for them."""
    from lava.magma.core.model.nc.model import AbstractNcProcessModel
    from lava.magma.core.model.py.model import AbstractPyProcessModel

    found = []
    for process in processes:
        model = process.model_class
        where = EMBEDDED
        if issubclass(model, AbstractNcProcessModel):
            where = NEURO_CORE
        elif issubclass(model, AbstractPyProcessModel):
            where = HOST
        found.append(Placement(_label(process), model.__name__, where))
    return tuple(found)


def _label(process: Any) -> str:
    return f"{process.name} ({type(process).__name__})"


def _refuse_host(placed: Sequence[Placement], processes: Sequence[Any]) -> None:
    """Raises: BackendUnavailableError for a process on the host that is not input or output."""
    from brf_lava.proc.sink.process import Sink
    from brf_lava.proc.source.process import Source

    strays = [
        placement
        for placement, process in zip(placed, processes, strict=True)
        if placement.where == HOST and type(process) not in (Source, Sink)
    ]
    if strays:
        raise BackendUnavailableError(
            "backend 'loihi2': on the host's CPU instead of the chip would run "
            f"{'; '.join(stray.line() for stray in strays)}. Intel's extension has no model for it "
            "here: complete its installation, or use --backend sim."
        )


def _build(
    network: FixedNetwork,
    stream: NDArray[Any],
    programs: Sequence[tuple[Path, dict[str, int]]],
    interval: int,
    total: int,
) -> _Graph:
    """stream: [steps, I]; programs: file and constants of each layer; total: steps of the run."""
    from lava.proc.embedded_io.spike import PyToNxAdapter

    from brf_lava.proc.microcode import INPUT_MESSAGE_BITS, MESSAGE_BITS, Microcode
    from brf_lava.proc.source.process import Source

    bits = 0 if network.input_range == (0, 1) else INPUT_MESSAGE_BITS
    source = Source(recording=stream, name="input")
    adapter = PyToNxAdapter(shape=(network.inputs,), num_message_bits=bits)
    source.s_out.connect(adapter.inp)
    sender = adapter.out
    records = []
    for index, (layer, (path, constants)) in enumerate(zip(network.layers, programs, strict=True)):
        name = network.layer_names[index]
        if layer.recurrent is not None and not layer.recurrent.mantissa.any():
            layer = replace(layer, recurrent=None)
        neurons, synapse, _, out = wire_layer(
            layer,
            name,
            partial(exact_dense, message_bits=bits),
            exact_dense,
            microcode=Microcode(path, constants, interval, index),
        )
        sender.connect(synapse.s_in)
        sender, bits = out, 0
        records.append(_record(sender, layer, total, MESSAGE_BITS, f"output of {name}"))
    return _Graph(readout=neurons, records=tuple(records))


def _record(sender: Any, layer: FixedLayer, total: int, bits: int, name: str) -> NDArray[Any]:
    """Send a layer's output to the host, which writes it down."""
    from lava.proc.embedded_io.spike import NxToPyAdapter

    from brf_lava.proc.sink.process import Sink

    neurons = layer.shape[0]
    spiking = layer.neuron.spiking
    record = shared_array((total, neurons), np.int8 if spiking else np.int32)
    adapter = NxToPyAdapter(shape=(neurons,), num_message_bits=0 if spiking else bits)
    sender.connect(adapter.inp)
    adapter.out.connect(Sink(record=record, name=name).a_in)
    return record
