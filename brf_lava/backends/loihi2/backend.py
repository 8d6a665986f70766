"""A whole network on Loihi 2: built from Lava's public interface, not yet run on hardware.

    host                      chip
    Source -> PyToNxAdapter -> Dense -> neurons (<-> Dense) -> ... -> Dense -> LI
    Sink   <- NxToPyAdapter <- each layer's spikes, and the readout's states as messages

The samples follow each other in one stream, with a step of reset between them; deploy/README.md
explains it. Lava is imported inside functions.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from brf_lava.backends import engine
from brf_lava.backends.loihi2.assembler import find_assembler, machine_code
from brf_lava.backends.loihi2.hosts import Loihi2Options, require_loihi2, use_host
from brf_lava.backends.loihi2.program import check_values, network_programs
from brf_lava.backends.sim.lava_net import exact_dense, out_port, wire
from brf_lava.board.describe import network_shape
from brf_lava.board.fits import place
from brf_lava.errors import BackendUnavailableError, LavaRunError, ParameterError, explained
from brf_lava.io.shared_memory import shared_array
from brf_lava.network.activity import Activity
from brf_lava.network.layers import FixedNetwork
from brf_lava.neurons.fixed import STATE_WIDTH
from brf_lava.proc.microcode import INPUT_MESSAGE_BITS, MESSAGE_BITS, Microcode

OnPlacement = Callable[[Sequence[str]], None]


def reset_interval(steps: int, delay: int = 0) -> int:
    """Steps from one sample to the next: the least power of two with room for a step of reset."""
    return 1 << (steps + delay).bit_length()


def run_on_loihi2(
    network: FixedNetwork,
    x: NDArray[Any],
    options: Loihi2Options,
    *,
    on_placement: OnPlacement | None = None,
) -> Activity:
    """Run the network from zero state, sample by sample in one stream.

    States never leave the chip: the saturations are those of the integer engine for the same input.
    x: [T, B, I], int8 or uint8 in the network's range; at least one step and one sample.
    on_placement: called with where it runs, and where each process does, a line each. Raises:
    ParameterError and DoesNotFitError for other input, and a network that no board can hold;
    BackendUnavailableError if something is missing, or a process would run on the host's CPU;
    LavaRunError if the run fails.
    """
    engine.check_input(network, x)
    steps, samples, _ = x.shape
    if not steps or not samples:
        raise ParameterError(f"input: shape {x.shape}; at least one step and sample are needed.")
    interval = reset_interval(steps, options.io_delay)
    check_values(network)
    if options.profile is not None:
        place(network_shape(network, "the network"), options.profile).require_fit("the network")
    host = require_loihi2(options)
    use_host(host)
    with tempfile.TemporaryDirectory() as folder:
        assembler, programs = find_assembler(options.microcode, options.assembler), []
        for index, program in enumerate(network_programs(network)):
            path = Path(folder) / f"layer{index}-{program.fingerprint}.dasm"  # as in public models
            path.write_bytes(machine_code(assembler, program))
            programs.append(Microcode(path, program.constants, interval, reset_step=index))
        if on_placement is not None:
            on_placement([host.describe()])
        outputs, spikes = _run_stream(network, x, programs, options.io_delay, on_placement)
    return Activity(outputs, spikes, engine.run(network, x).saturations)


def _run_stream(
    network: FixedNetwork,
    x: NDArray[Any],
    programs: Sequence[Microcode],
    delay: int,
    on_placement: OnPlacement | None,
) -> tuple[NDArray[np.int64], tuple[NDArray[np.int8], ...]]:
    """Outputs [T, B, C] and spikes, one [T, B, N] per hidden layer. x: [T, B, I]."""
    from lava.magma.core.run_configs import Loihi2HwCfg

    steps, samples, _ = x.shape
    interval = programs[0].reset_interval
    total = (samples - 1) * interval + delay + steps + len(network.layers)
    stream = np.zeros((samples, interval, network.inputs), x.dtype)  # silent between samples
    stream[:, :steps] = x.transpose(1, 0, 2)
    stream = stream.reshape(-1, network.inputs)
    readout, records = _build(network, stream, programs, total)
    what = f"Loihi 2 run of {total} steps"
    with explained(LavaRunError, what, "Look at the board and at what it says."):
        executable = readout.compile(Loihi2HwCfg(select_tag="fixed_pt"))
        lines, strays = _placed(executable.process_list)
    if on_placement is not None:
        on_placement(lines)
    if strays:
        raise BackendUnavailableError(
            "backend 'loihi2': on the host's CPU instead of the chip would run "
            f"{'; '.join(strays)}. Intel's extension has no model for it here: complete its "
            "installation, or use --backend sim."
        )
    with explained(LavaRunError, what, "Look at the board and at what it says."):
        _run_and_stop(readout, executable, total)
    first = np.arange(samples)[None, :] * interval + np.arange(steps)[:, None] + delay  # [T, B]
    recorded = [
        np.ascontiguousarray(record[first + layer + 1]) for layer, record in enumerate(records)
    ]
    return sign_extended(recorded[-1]), tuple(recorded[:-1])


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


def sign_extended(messages: NDArray[Any]) -> NDArray[np.int64]:
    """Messages of 24 bits as signed numbers; those that are signed already stay as they are."""
    half = 1 << (STATE_WIDTH - 1)
    return ((messages.astype(np.int64) + half) & ((1 << STATE_WIDTH) - 1)) - half


def _placed(processes: Sequence[Any]) -> tuple[list[str], list[str]]:
    """Where compiled processes run, a line each; and those on the host that have no place there."""
    from lava.magma.core.model.nc.model import AbstractNcProcessModel
    from lava.magma.core.model.py.model import AbstractPyProcessModel

    from brf_lava.proc.io.process import Sink, Source

    kinds = {AbstractNcProcessModel: "neuro core", AbstractPyProcessModel: "host CPU"}
    lines, strays = [], []
    for process in processes:
        model = process.model_class
        where = next((kinds[kind] for kind in kinds if issubclass(model, kind)), "embedded CPU")
        lines.append(f"{process.name} ({type(process).__name__}): {where}, {model.__name__}")
        if where == "host CPU" and type(process) not in (Source, Sink):
            strays.append(lines[-1])
    return lines, strays


def _build(
    network: FixedNetwork, stream: NDArray[Any], programs: Sequence[Microcode], total: int
) -> tuple[Any, list[NDArray[Any]]]:
    """The readout's process, and what each layer sends, in shared memory [total, N]."""
    from lava.proc.embedded_io.spike import NxToPyAdapter, PyToNxAdapter

    from brf_lava.proc.io.process import Sink, Source

    bits = 0 if network.input_range == (0, 1) else INPUT_MESSAGE_BITS
    source = Source(recording=stream, name="input")
    adapter = PyToNxAdapter(shape=(network.inputs,), num_message_bits=bits)
    source.s_out.connect(adapter.inp)
    extras = [{"microcode": program} for program in programs]
    first_dense = partial(exact_dense, message_bits=bits)
    layers, records = wire(network, adapter.out, first_dense, exact_dense, extras), []
    for name, neurons in zip(network.layer_names, layers, strict=True):
        out, spiking = out_port(neurons), neurons.neuron.spiking
        record = shared_array((total, *out.shape), np.int8 if spiking else np.int32)
        back = NxToPyAdapter(shape=out.shape, num_message_bits=0 if spiking else MESSAGE_BITS)
        out.connect(back.inp)
        back.out.connect(Sink(record=record, name=f"output of {name}").a_in)
        records.append(record)
    return layers[-1], records
