"""Run a Lava process graph such that it cannot hang and leaves nothing behind.

Lava itself waits for ever when a process model raises, a child is killed or loops, and Ctrl-C or an
early exit leave child processes and shared memory. Here the parent never blocks on a child: it
looks at the runtime service's channel, at the children and at the clock by turns, and in the end,
whatever that was, kills and joins all children. A child that does nothing at all, because it was
stopped or the machine swaps, ends a run by `step_limit`. Messages pass in memory without a name,
which ends with its last user, instead of in segments that a process of Lava's manages.
"""

from __future__ import annotations

import math
import multiprocessing
import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from multiprocessing import connection
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NoReturn

import numpy as np
from lava.magma.core.process.message_interface_enum import ActorType
from lava.magma.core.process.process import ProcessServer
from lava.magma.core.run_conditions import RunSteps
from lava.magma.runtime.message_infrastructure.multiprocessing import MultiProcessing
from lava.magma.runtime.mgmt_token_enums import MGMT_COMMAND, MGMT_RESPONSE, enum_equal
from lava.magma.runtime.runtime import Runtime
from numpy.typing import NDArray

from brf_lava.errors import LavaRunError, ParameterError, explained
from brf_lava.io.program import STEP_VARIABLE, step_limit
from brf_lava.io.shared_memory import shared_array as shared_array  # handed to processes, see there
from brf_lava.io.signals import end_with_parent, signals_held

# Messages a channel can hold. The processes run in lockstep, so that one is on its way; Lava's 64
# cost no less time, but 16 times the memory.
CHANNEL_SIZE = 4
POLL = 0.01  # s, between two looks at the run
STATES = {"T": "is stopped", "t": "is traced", "D": "waits for a disk", "R": "is computing"}
ENDLESS = 2**53  # steps; Lava counts them in a float64
GRACE = 2.0  # s, for a child to hand over its exception, or to end when asked to
SIGKILL_HINT = "; if not by you, then often for want of memory"
HELD_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class ChildTracebackError(Exception):
    """The traceback of an exception in a child process, as text."""


def run_graph(
    process: Any,
    run_cfg: Any,
    steps: int,
    *,
    timeout: float | None = None,
    counter: NDArray[np.int64] | None = None,
    on_progress: Callable[[int], None] | None = None,
) -> None:
    """Compile the graph that `process` belongs to and run it for a number of steps, once.

    SIGINT and SIGTERM are held back until the children are gone and then delivered: Ctrl-C raises
    KeyboardInterrupt as usual. Children die with the parent, even if it is killed (Linux).
    Whatever the models should hand over goes through `shared_array`: all processes have ended here.

    Args:
        process: Any Lava process of the graph; none of it has been compiled before.
        run_cfg: A Lava run configuration; it selects models by tag.
        steps: How many time steps.
        timeout: Seconds, for the run and its set-up; None for no limit.
        counter: [1] in shared memory, the steps done, kept by a process of the graph.
        on_progress: Called with `counter`'s value, here in the parent, when it has changed.

    Raises:
        LavaRunError: For an exception in a process model (its cause, with the child's traceback), a
            killed child, the time-out, a step past `step_limit` (with a `counter`), a graph that
            cannot be compiled, and a lack of processes or handles.
        ParameterError: For less than one step, and as `step_limit`.
    """
    deadline = math.inf if timeout is None else time.monotonic() + timeout
    if steps < 1:
        raise ParameterError(f"Lava run: {steps} steps; it needs at least 1.")

    def where() -> str:
        return "" if counter is None else f", {int(counter[0])} of {steps} steps done"

    with (
        signals_held(*HELD_SIGNALS) as held,
        running(process, run_cfg, where=where, steps=steps) as graph,
    ):
        _watch(graph, held, deadline, counter, on_progress)
    if held:  # and its handler has returned
        raise LavaRunError(f"Lava run{where()}: stopped by {signal.Signals(held[0]).name}.")


class Running:
    """The processes of a graph that is under way. where: how far, such as ", 3 steps done"."""

    def __init__(self, runtime: _Runtime, where: Callable[[], str]) -> None:
        self.runtime, self.where = runtime, where
        self._actors = runtime._messaging_infrastructure.actors

    @property
    def handles(self) -> list[Any]:
        """What becomes ready when a process has ended or raised, for `connection.wait` and poll."""
        return [each for actor in self._actors for each in (actor.sentinel, actor._pconn)]

    def raise_late(self, seconds: float) -> NoReturn:
        """Raise LavaRunError with the processes that a step waits for, not waiting themselves."""
        found = []
        for process in self._actors:
            with suppress(OSError):
                status = Path(f"/proc/{process.pid}/stat").read_text().rpartition(") ")[2]
                if status[0] in STATES:
                    found.append(f"process {process.name} {STATES[status[0]]}")
        raise LavaRunError(
            f"Lava run{self.where()}: no step finished for {seconds:g} s, "
            f"{', '.join(found) or 'all processes wait'}. Let it go on (kill -CONT), close what "
            f"needs the memory, or allow more time (--timeout and {STEP_VARIABLE})."
        )

    def raise_fault(self) -> NoReturn:
        """Raise LavaRunError: exceptions of process models first, then children that ended."""
        run = f"Lava run{self.where()}"
        for actor in self._actors:
            try:
                report = actor._pconn.recv() if actor._pconn.poll() else None
            except Exception as error:  # an exception that can be pickled, but not unpickled
                report = error, "its own exception could not be transferred from the child process"
            if report is not None:
                fault, trace = report
                fault.__cause__ = ChildTracebackError(f"\n{trace}")
                text = f"raised {type(fault).__name__}: {' '.join(str(fault).split())}"
                raise LavaRunError(f"{run}: process {actor.name} {text}") from fault
        for actor in self._actors:
            if connection.wait([actor.sentinel], 0):
                # its pipe closes a moment before it has an exit code
                multiprocessing.Process.join(actor, GRACE)
                how = f"ended too early, exit code {actor.exitcode}; see its output"
                if (actor.exitcode or 0) < 0:
                    name = signal.Signals(-actor.exitcode).name
                    how = f"was killed by {name}{SIGKILL_HINT if name == 'SIGKILL' else ''}"
                raise LavaRunError(f"{run}: process {actor.name} {how}.")
        raise LavaRunError(
            f"{run}: a process asked to pause or stop, or did not explain its error. "
            "Only runs over a fixed number of steps are supported."
        )


@contextmanager
def running(
    process: Any, run_cfg: Any, *, where: Callable[[], str] = lambda: "", steps: int = ENDLESS
) -> Iterator[Running]:
    """Compile the graph that `process` belongs to and let it run until the ``with`` block ends.

    Arguments and errors as of `run_graph`; where: as of `Running`. Where there is no last step, a
    process of the graph must wait for its input, and so must this process for its output and for
    the `handles`. However the block is left, all processes are killed and joined. Inside it Ctrl-C
    raises KeyboardInterrupt as usual, and on Linux the processes end with the thread that entered.
    """
    remedy = "Look at its connections and the tag of run_cfg; build a new one for every run."
    with explained(LavaRunError, "Lava run: the graph cannot be compiled", remedy):
        executable = process.compile(run_cfg, {"pypy_channel_size": CHANNEL_SIZE})
    runtime = _Runtime(executable, ActorType.MultiProcessing)
    try:
        with signals_held(*HELD_SIGNALS):
            _start(runtime)
            runtime.start(RunSteps(num_steps=steps, blocking=False))
        yield Running(runtime, where)
    finally:
        with signals_held(*HELD_SIGNALS):
            _dispose(runtime)


class _Actors(MultiProcessing):
    """Lava's child processes, each tied to the life of its parent and named like its process.

    They inherit their channels' memory, so that no process has to manage it.
    """

    def start(self) -> None:
        self._smm = self

    def create_shared_memory(self, size: int) -> SimpleNamespace:
        """What Lava's channels take of a SharedMemory."""
        return SimpleNamespace(buf=shared_array((size,), np.uint8).data)

    def build_actor(self, target_fn: Any, builder: Any, exception_q: Any = None) -> Any:
        actor = super().build_actor(partial(_tied, os.getpid(), target_fn), builder, exception_q)
        actor.name = "Lava's runtime service"
        if model := getattr(builder, "proc_model", None):
            kind, name = model.implements_process.__name__, builder.proc_params.get("name")
            actor.name = f"{name} ({kind})" if name else kind
        return actor


class _Runtime(Runtime):
    """Lava's runtime without the wait for the children's set-up, which a killed child would make
    endless; `_watch` sees their faults."""

    def _build_message_infrastructure(self) -> None:
        self._messaging_infrastructure = _Actors()
        self._messaging_infrastructure.start()

    def initialize(self, node_cfg_idx: int = 0) -> None:
        self._build_watchdog_manager()
        self._build_message_infrastructure()
        self._build_channels()
        self._build_sync_channels()
        self._build_processes()
        self._build_runtime_services()
        self._start_ports()
        self._is_initialized = True


def _tied(parent: int, target: Callable[..., None], **arguments: Any) -> None:
    """In a child: leave Ctrl-C to the parent, do not outlive it, and do what it is there for."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    end_with_parent(parent, signal.SIGKILL)
    target(**arguments)


def _start(runtime: _Runtime) -> None:
    remedy = (
        "Look at the limits on processes, open files and memory. A worker of multiprocessing.Pool "
        "may have no children: use concurrent.futures.ProcessPoolExecutor."
    )
    with explained(LavaRunError, "Lava run: its processes could not be started", remedy):
        runtime.initialize()


def _watch(
    graph: Running,
    held: list[int],
    deadline: float,
    counter: NDArray[np.int64] | None,
    on_progress: Callable[[int], None] | None,
) -> None:
    """Return when all steps are done or a signal came; raise on a fault or past the deadline."""
    limit = math.inf if counter is None else step_limit()
    handles, waiting = graph.handles, list(graph.runtime.service_to_runtime)
    reported = looks = 0  # since a step was done: a time in which this process was stopped is one
    while not held:
        for port in [port for port in waiting if port.probe()]:
            if not enum_equal(port.recv(), MGMT_RESPONSE.DONE):
                connection.wait(handles, GRACE)
                graph.raise_fault()
            waiting.remove(port)
        looks += 1
        if counter is not None and counter[0] != reported:
            reported, looks = int(counter[0]), 0
            if on_progress:
                on_progress(reported)
        if not waiting:
            _stop(graph.runtime)
            return
        if connection.wait(handles, POLL):
            graph.raise_fault()
        if looks * POLL > limit:
            graph.raise_late(limit)
        if time.monotonic() > deadline:
            raise LavaRunError(
                f"Lava run{graph.where()}: not done within the time-out. Allow more time, or look "
                "for an endless loop in a process model."
            )


def _stop(runtime: _Runtime) -> None:
    """Let the children end by themselves; `_dispose` kills those that do not."""
    for port in runtime.runtime_to_service:
        port.send(MGMT_COMMAND.STOP)
    deadline = time.monotonic() + GRACE
    for actor in runtime._messaging_infrastructure.actors:
        multiprocessing.Process.join(actor, max(0.0, deadline - time.monotonic()))


def _dispose(runtime: _Runtime) -> None:
    """Kill and join all children, give back handles, and forget the graph."""
    infrastructure = runtime._messaging_infrastructure
    runtime._is_started = False  # or its destructor would wait for the children
    actors = infrastructure.actors if infrastructure else []
    for actor in actors:
        actor.kill()
    for actor in actors:
        # not SystemProcess.join: it reads a pipe that a killed child may have half filled
        multiprocessing.Process.join(actor)
        multiprocessing.Process.close(actor)
        actor._is_done = True
        actor._pconn.close()
        actor._cconn.close()
    runtime.join()  # ends the threads of our own ports
    for queue in runtime.exception_q:
        queue.close()
        queue._writer.close()
    if runtime._watchdog_manager:  # or the runtime did not get that far
        runtime._watchdog_manager.stop()
    known = ProcessServer().processes
    for process in runtime._executable.process_list:
        process.runtime = None
        known.remove(process)
