"""A chip that is none: compiles a graph of Lava processes, refuses it, or runs it.

Knows the public interface and public limits alone. What it computes are the neuron programs, by
their interpreter, and sums of weights; timing is Lava's: a synapse takes one step.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from lava.magma.compiler.compiler_graphs import ProcGroupDiGraphs, find_processes
from lava.magma.core.model.py.model import AbstractPyProcessModel
from lava.utils.weightutils import SignMode

from brf_lava.backends.loihi2.machine import COEFFICIENT, STATE, run_program
from loihi2_standin.assembler import PROGRAMS

WEIGHTS = {SignMode.MIXED: (-256, 254)}  # Lava utils/weightutils.py; the others are not used here
EXPONENT_BITS = 6  # with the sign: lava-optimization, tutorial on quadratic programs
PAYLOAD_BITS = 24  # that public models use
WIDEST = 24  # bits of a state, likewise
RESET = {"reset_mask", "reset_match"}


class RefusedError(Exception):
    """What a chip could not hold, or a model may not ask for."""


@dataclass
class Allocated:
    """One process on the chip: its model, and what that asked for, by kind."""

    process: Any
    model: Any
    nodes: dict[str, Any]


@dataclass
class Chip:
    """A board.

    neurons: that it has room for; delays: steps that the adapters take, in and out; fault: a step
    it stops in; deaf: nor can it be stopped then; starts: whether it can be reached.
    """

    neurons: int = 120 * 4096
    delays: tuple[int, int] = (0, 0)
    fault: int | None = None
    deaf: bool = False
    starts: bool = True
    allocated: list[Allocated] = field(default_factory=list)
    calls: list[str] = field(default_factory=list)

    def compile(self, process: Any, run_cfg: Any) -> Executable:
        """In the place of Lava's compiler."""
        self.calls.append("compile")
        self.allocated = []
        processes = sorted(find_processes(process), key=lambda found: found.id)
        chosen = ProcGroupDiGraphs._map_proc_to_model(processes, run_cfg, [])
        for found, model in chosen.items():
            found._model_class = model
            if hasattr(model, "allocate"):
                self.allocated.append(allocate(found, model))
        groups = [item.process for item in self.allocated if "neurons" in item.nodes]
        neurons = sum(prod(group.a_in.shape) for group in groups)
        if neurons > self.neurons:
            raise RefusedError(f"{neurons} neurons; this board has {self.neurons}")
        return Executable(processes, self)


@dataclass
class Executable:
    process_list: list[Any]
    chip: Chip

    def assign_runtime_to_all_processes(self, runtime: Any) -> None:
        for process in self.process_list:
            process.runtime = runtime


class Runtime:
    """In the place of Lava's."""

    def __init__(self, executable: Executable, *_: Any, **__: Any) -> None:
        self.executable, self.chip = executable, executable.chip

    def initialize(self) -> None:
        if not self.chip.starts:
            raise RuntimeError("no board is free")
        self.chip.calls.append("initialize")

    def start(self, condition: Any) -> None:
        self.chip.calls.append("start")
        run(self.chip, self.executable.process_list, condition.num_steps)

    def stop(self) -> None:
        self.chip.calls.append("stop")
        if self.chip.fault is not None and self.chip.deaf:
            raise RuntimeError("cannot be stopped")
        self.executable.assign_runtime_to_all_processes(None)


# Compiling


def allocate(process: Any, model_class: Any) -> Allocated:
    """Make the model of a process, let it ask for what it needs, and check that."""
    from lava.magma.core.model.nc.net import NetL2

    model = model_class(process.proc_params)
    where = f"{process.name} ({model_class.__name__})"
    declare(model, process, where)
    net = NetL2()
    model.allocate(net)
    nodes = {node.kind: node for node in net.record}
    if len(nodes) != len(net.record):
        raise RefusedError(f"{where}: asked for one thing twice")
    if "synapses" in nodes:
        check_synapses(nodes["synapses"].arguments, where)
    else:
        check_neurons(model, process, nodes, where)
    return Allocated(process, model, nodes)


def declare(model: Any, process: Any, where: str) -> None:
    """Put variables and ports where the model declares them; it must declare all there are."""
    from lava.magma.core.model.nc.ports import NcInPort, NcOutPort
    from lava.magma.core.model.nc.type import LavaNcType
    from lava.magma.core.model.nc.var import NcVar

    declared = {
        name: value
        for kind in reversed(type(model).__mro__)
        for name, value in vars(kind).items()
        if isinstance(value, LavaNcType)
    }
    groups = {NcVar: process.vars, NcInPort: process.in_ports, NcOutPort: process.out_ports}
    there = {member.name: member for group in groups.values() for member in group.members}
    if set(declared) != set(there):
        raise RefusedError(f"{where}: declares {sorted(declared)}, the process has {sorted(there)}")
    for name, lava_type in declared.items():
        if lava_type.precision is None or not 1 <= lava_type.precision <= WIDEST:
            raise RefusedError(f"{where}: {name} with {lava_type.precision} bits")
        if there[name] not in groups[lava_type.cls].members:
            raise RefusedError(f"{where}: {name} is no {lava_type.cls.__name__}")
        made = (
            NcVar(there[name], lava_type.precision)
            if lava_type.cls is NcVar
            else lava_type.cls(name, there[name].shape, lava_type.precision)
        )
        setattr(model, name, made)


def check_bits(values: Any, bits: int, where: str) -> np.ndarray:
    """Signed, or unsigned for a single bit."""
    numbers = np.asarray(values)
    low, high = (0, 1) if bits == 1 else (-(1 << (bits - 1)), (1 << (bits - 1)) - 1)
    if not np.issubdtype(numbers.dtype, np.integer):
        raise RefusedError(f"{where}: {numbers.dtype}, not integers")
    if numbers.size and (numbers.min() < low or numbers.max() > high):
        raise RefusedError(f"{where}: {numbers.min()} to {numbers.max()} in {bits} bits")
    return numbers


def check_synapses(asked: dict[str, Any], where: str) -> None:
    weights = np.asarray(asked["weights"].var.init)
    low, high = WEIGHTS[asked["sign_mode"]]
    if weights.min() < low or weights.max() > high or (weights % 2).any():
        raise RefusedError(f"{where}: weights {weights.min()} to {weights.max()} beyond 8 bits")
    if asked["num_weight_bits"] != 8:
        raise RefusedError(f"{where}: {asked['num_weight_bits']} bits a weight")
    check_bits(asked["weight_exp"], EXPONENT_BITS, f"{where}: weight_exp")
    if not 0 <= asked["num_message_bits"] <= PAYLOAD_BITS:
        raise RefusedError(f"{where}: messages of {asked['num_message_bits']} bits")


def check_neurons(model: Any, process: Any, nodes: dict[str, Any], where: str) -> None:
    if set(nodes) != {"program", "neurons", "axons"}:
        raise RefusedError(f"{where}: asked for {sorted(nodes)}")
    program, neurons, axons = (nodes[kind] for kind in ("program", "neurons", "axons"))
    output = process.out_ports.members[0]
    wired = (
        model.a_in.connected == [neurons]
        and neurons.connected == [program, axons]
        and axons.connected == [getattr(model, output.name)]
    )
    if not wired:
        raise RefusedError(f"{where}: input, program, neurons, axons, output are not in a row")
    size = prod(process.a_in.shape)
    if not neurons.arguments["shape"] == axons.arguments["shape"] == size:
        raise RefusedError(f"{where}: {neurons.arguments['shape']} neurons, {size} are in the port")
    if program.arguments["shape"] != (1,) or len(process.a_in.shape) != 1:
        raise RefusedError(f"{where}: more than one program, or a batch")
    check_program(program, neurons, axons, where)


def check_program(program: Any, neurons: Any, axons: Any, where: str) -> None:
    path = Path(program.arguments["ucode"])
    code = PROGRAMS.get(path.read_bytes() if path.is_file() else b"")
    if code is None:
        raise RefusedError(f"{where}: {path.name} is no program that was assembled here")
    if axons.arguments["num_message_bits"] != code.message_bits:
        raise RefusedError(f"{where}: messages of {axons.arguments['num_message_bits']} bits")
    constants = {k: v for k, v in program.arguments.items() if k not in ("shape", "ucode", *RESET)}
    if constants != code.constants:
        raise RefusedError(f"{where}: constants {constants}, the program has {code.constants}")
    mask, match = (program.arguments[name] for name in sorted(RESET))
    if mask < 1 or mask & (mask + 1) or not 0 <= match <= mask:
        raise RefusedError(f"{where}: reset where counter & {mask} == {match}")
    named = {k: v for k, v in neurons.arguments.items() if k != "shape"}
    memory = {r.name: r for role in (STATE, COEFFICIENT) for r in code.of_role(role)}
    if set(named) != set(memory):
        raise RefusedError(f"{where}: variables {sorted(named)}, the program has {sorted(memory)}")
    for name, variable in named.items():
        values = check_bits(variable.var.init, variable.precision, f"{where}: {name}")
        limits = memory[name]
        if values.size and (values.min() < limits.low or values.max() > limits.high):
            raise RefusedError(f"{where}: {name} {values.min()} to {values.max()}, {limits}")


# Running


class Group:
    """Neurons while they run."""

    def __init__(self, allocated: Allocated) -> None:
        asked = allocated.nodes["program"].arguments
        self.program = PROGRAMS[Path(asked["ucode"]).read_bytes()]
        self.mask, self.match = asked["reset_mask"], asked["reset_match"]
        self.size = prod(allocated.process.a_in.shape)
        named = allocated.nodes["neurons"].arguments
        self.coefficients = [
            np.asarray(named[r.name].var.init, np.int64) for r in self.program.of_role(COEFFICIENT)
        ]
        self.clear()

    def clear(self) -> None:
        self.states = tuple(np.zeros(self.size, np.int64) for _ in self.program.of_role(STATE))

    def step(self, counter: int, current: np.ndarray) -> np.ndarray:
        """Counted from 1. In a step of reset the input is dropped and nothing sent."""
        if counter & self.mask == self.match:
            self.clear()
            return np.zeros(self.size, np.int64)
        self.states, output = run_program(self.program, self.states, current, self.coefficients)
        return output


class Port:
    """A port of a Python model."""

    data: Any = None

    def send(self, data: Any) -> None:
        self.data = np.asarray(data, np.int64)

    def recv(self) -> Any:
        return self.data


def run(chip: Chip, processes: list[Any], steps: int) -> None:
    """Every process, step by step; what is on the wires is kept by output port."""
    on_host = [p for p in processes if issubclass(p.model_class, AbstractPyProcessModel)]
    python = {p: p.model_class(p.proc_params) for p in on_host}
    for process, model in python.items():
        for port in (*process.in_ports.members, *process.out_ports.members):
            setattr(model, port.name, Port())
    groups = {a.process: Group(a) for a in chip.allocated if "neurons" in a.nodes}
    synapses = {
        a.process: a.nodes["synapses"].arguments for a in chip.allocated if a.process not in groups
    }
    adapters = [p for p in processes if p not in python and p not in groups and p not in synapses]
    delays = dict(zip(("PyToNxAdapter", "NxToPyAdapter"), chip.delays, strict=True))
    lines = {p: [np.zeros(p.inp.shape, np.int64)] * delays[type(p).__name__] for p in adapters}
    sums = {p: np.zeros(p.a_out.shape, np.int64) for p in synapses}
    for step in range(steps):
        if step == chip.fault:
            raise RuntimeError("the board does not answer")
        wires: dict[Any, np.ndarray] = {p.a_out: sums[p] for p in synapses}
        for process, model in python.items():
            if process.out_ports.members:
                model.time_step = step + 1
                model.run_spk()
                wires[process.out_ports.members[0]] = model.s_out.data
        for process, group in groups.items():
            current = sum(wires[source] for source in process.a_in.get_src_ports())
            check_bits(current, WIDEST, f"input of {process.name}")
            wires[process.out_ports.members[0]] = group.step(step + 1, current)
        for process in sorted(adapters, key=lambda p: type(p).__name__, reverse=True):
            lines[process].append(carried(process, _incoming(process.inp, wires)))
            wires[process.out] = lines[process].pop(0)
        for process, asked in synapses.items():
            sums[process] = weighted(asked, _incoming(process.s_in, wires), process.name)
        for process, model in python.items():
            if process.in_ports.members:
                model.time_step = step + 1
                model.a_in.data = _incoming(process.a_in, wires)
                model.run_spk()


def _incoming(port: Any, wires: dict[Any, np.ndarray]) -> np.ndarray:
    (source,) = port.get_src_ports()
    return wires[source]


def carried(process: Any, data: np.ndarray) -> np.ndarray:
    """What an adapter hands on. Messages of 24 bits reach the host without their sign."""
    bits = process.proc_params["num_message_bits"]
    check_bits(data, bits or 1, f"message of {process.name}")
    return data & ((1 << PAYLOAD_BITS) - 1) if bits == PAYLOAD_BITS else data


def weighted(asked: dict[str, Any], data: np.ndarray, name: str) -> np.ndarray:
    """What a step's messages add up to, in the next one."""
    bits = asked["num_message_bits"]
    check_bits(data, bits or 1, f"messages to {name}")
    total = np.asarray(asked["weights"].var.init, np.int64) @ data
    exponent = asked["weight_exp"]
    return total << exponent if exponent >= 0 else total >> -exponent
