"""The guarded runner against every fault: it must say what happened, soon, and leave nothing."""

from __future__ import annotations

import asyncio
import gc
import multiprocessing
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import resource_tracker
from multiprocessing.shared_memory import SharedMemory
from pathlib import Path

import numpy as np
import pytest
from command_line import group_is_empty, wait_until
from lava.magma.core.process.process import ProcessServer
from lava.magma.core.run_configs import Loihi2SimCfg
from lava_faults.chain import STEPS, run_chain

from brf_lava.backends.sim import launch, lava_net
from brf_lava.backends.sim.launch import run_graph, shared_array
from brf_lava.errors import LavaRunError, ParameterError
from brf_lava.proc.io.process import Sink, Source

pytestmark = pytest.mark.timeout(120)
SOON = 60.0  # s, for what takes one on an idle machine
SENT = list(range(1, STEPS + 1))
TESTS = Path(__file__).parents[1]
CFG = Loihi2SimCfg(select_tag="fixed_pt")


def children() -> set[int]:
    """Child processes of this one, ended ones too, but not Python's tracker of shared memory."""
    tracker = resource_tracker._resource_tracker._pid  # type: ignore[attr-defined]
    found = set()
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            status = (folder / "stat").read_text()
        except OSError:
            continue
        if int(status.rsplit(")", 1)[1].split()[1]) == os.getpid():
            found.add(int(folder.name))
    return found - {tracker}


def open_handles() -> int:
    return len(os.listdir("/proc/self/fd"))


@pytest.fixture(autouse=True)
def nothing_left() -> Iterator[Callable[[], None]]:
    """After every test, and when it is called: no child, all handlers as before."""
    before = children()
    handlers = [signal.getsignal(number) for number in launch.HELD_SIGNALS]

    def check() -> None:
        assert children() == before
        assert not multiprocessing.active_children()
        assert [signal.getsignal(number) for number in launch.HELD_SIGNALS] == handlers

    yield check
    check()


FAULTS = (
    ("raise", "", r"4 of 10 steps done: process upstream \(Faulty\) raised ValueError: the fault"),
    (
        "",
        "raise",
        r"4 of 10 steps done: process downstream \(Faulty\) raised ValueError: the fault",
    ),
    ("init", "", r"process upstream \(Faulty\) raised ValueError: the fault"),
    ("init", "init", r"raised ValueError: the fault"),
    ("raise much", "", r"upstream \(Faulty\) raised ValueError: x+$"),
    ("", "raise unpicklable", r"process downstream \(Faulty\) ended too early, exit code 1"),
    ("", "raise picky", r"process downstream \(Faulty\) raised"),
    ("kill", "", r"process upstream \(Faulty\) was killed by SIGKILL"),
    ("", "kill", r"process downstream \(Faulty\) was killed by SIGKILL"),
    ("exit", "", r"upstream \(Faulty\) ended too early, exit code 3"),
)


def test_every_fault_is_named_and_the_next_run_works(
    nothing_left: Callable[[], None], capfd: pytest.CaptureFixture[str]
) -> None:
    """Within the time-out of `run_chain`; Lava by itself would wait for ever."""
    for upstream, downstream, message in FAULTS:
        with pytest.raises(LavaRunError, match=message) as caught:
            run_chain(upstream, downstream)
        assert "\n" not in str(caught.value)
        nothing_left()
    assert run_chain() == SENT
    with pytest.raises(LavaRunError) as caught:
        run_chain("raise")
    assert isinstance(caught.value.__cause__, ValueError)
    assert "in run_spk" in str(caught.value.__cause__.__cause__)  # the child's traceback
    assert capfd.readouterr().out == ""


def test_killed_helper_of_lava() -> None:
    def kill(step: int) -> None:
        for child in multiprocessing.active_children():
            if "runtime service" in child.name:
                os.kill(child.pid or 0, signal.SIGKILL)

    with pytest.raises(LavaRunError, match="runtime service was killed by SIGKILL"):
        run_chain("sleep", steps=5_000, on_progress=kill)


def test_endless_loop() -> None:
    with pytest.raises(LavaRunError, match="of 10 steps done: not done within the time-out"):
        run_chain("loop", timeout=1.0)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("downstream", r"\d+ of 5000 steps done: no step finished for 1 s, process downstream "),
        ("runtime service", "no step finished for 1 s, process Lava's runtime service is stopped"),
    ],
)
def test_stopped_child(name: str, message: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """No time-out is given; without a limit for a step this would wait for ever."""
    monkeypatch.setenv(launch.STEP_VARIABLE, "1")

    def stop(step: int) -> None:
        for child in multiprocessing.active_children():
            if name in child.name and step < 20:
                os.kill(child.pid or 0, signal.SIGSTOP)

    with pytest.raises(LavaRunError, match=message) as caught:
        run_chain("sleep", steps=5_000, timeout=None, on_progress=stop)
    assert "is stopped. Let it go on (kill -CONT)" in str(caught.value)


@pytest.mark.parametrize(
    ("moment", "ends"),
    [
        ("_build_channels", False),  # nothing that could be stopped is needed yet
        ("_build_sync_channels", False),
        ("_build_runtime_services", True),
        ("_start_ports", True),
    ],
)
def test_children_stopped_while_the_graph_starts(
    moment: str, ends: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(launch.STEP_VARIABLE, "1")
    original = getattr(launch._Runtime, moment)

    def stopping(runtime: launch._Runtime) -> None:
        for child in multiprocessing.active_children():
            os.kill(child.pid or 0, signal.SIGSTOP)
        original(runtime)

    monkeypatch.setattr(launch._Runtime, moment, stopping)
    if not ends:
        assert run_chain(timeout=None) == SENT
        return
    late = ", 0 of 10 steps done: no step finished for 1 s, process .* is stopped"
    with pytest.raises(LavaRunError, match=late):
        run_chain(timeout=None)


def test_slow_steps_and_a_clock_that_jumps(monkeypatch: pytest.MonkeyPatch) -> None:
    """Steps within the limit go on for longer than it; time that the parent slept counts little."""
    monkeypatch.setenv(launch.STEP_VARIABLE, "1.5")
    assert run_chain("slow", steps=8, timeout=None) == SENT[:8]

    def jump(step: int) -> None:
        now = time.monotonic()
        monkeypatch.setattr(time, "monotonic", lambda: real() + 3600 * (real() > now + 0.1))

    real = time.monotonic
    assert run_chain("slow", steps=8, timeout=None, on_progress=jump) == SENT[:8]


@pytest.mark.parametrize("text", ["-1", "nan", "soon"])
def test_limit_of_a_step(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(launch.STEP_VARIABLE, raising=False)
    assert launch.step_limit() == 60
    monkeypatch.setenv(launch.STEP_VARIABLE, "0")
    assert launch.step_limit() == float("inf")
    monkeypatch.setenv(launch.STEP_VARIABLE, text)
    with pytest.raises(ParameterError, match=f"BRF_LAVA_STEP_SECONDS: '{text}'; seconds, or 0"):
        run_chain()


def test_children_that_cannot_be_started(monkeypatch: pytest.MonkeyPatch) -> None:
    """All channels and processes are there, and then the last child cannot be forked."""

    def fail(runtime: launch._Runtime) -> None:
        raise BlockingIOError(11, "Resource temporarily unavailable")

    with monkeypatch.context() as patch:
        patch.setattr(launch._Runtime, "_build_runtime_services", fail)
        message = "could not be started: .* temporarily unavailable.* Look at the limits"
        with pytest.raises(LavaRunError, match=message):
            run_chain()


def test_exception_in_on_progress() -> None:
    def fail(step: int) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        run_chain("sleep", steps=5_000, on_progress=fail)


def test_progress() -> None:
    """Meanwhile the memory of messages has no name that could be left, or /dev/shm that is full."""
    seen: list[int] = []

    def look(step: int) -> None:
        seen.append(step)
        maps = Path("/proc/self/maps").read_text()
        assert not re.search(r"/dev/shm/(?!.*\(deleted\)$)", maps, re.MULTILINE)

    run_chain("sleep", steps=60, on_progress=look)
    assert seen == sorted(set(seen))
    assert len(seen) > 2
    assert seen[-1] == 60


def test_ctrl_c_in_this_process() -> None:
    with pytest.raises(KeyboardInterrupt):
        run_chain("sleep", steps=5_000, on_progress=lambda _: os.kill(os.getpid(), signal.SIGINT))


@pytest.mark.parametrize("moment", ["_start", "_stop", "_dispose"])
def test_ctrl_c_during_start_and_clean_up(moment: str, monkeypatch: pytest.MonkeyPatch) -> None:
    original = getattr(launch, moment)

    def interrupted(*arguments: object) -> None:
        os.kill(os.getpid(), signal.SIGINT)
        original(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(launch, moment, interrupted)
        with pytest.raises(KeyboardInterrupt):
            run_chain()


def test_signal_whose_handler_returns() -> None:
    seen: list[int] = []
    before = signal.signal(signal.SIGTERM, lambda number, _: seen.append(number))
    try:
        with pytest.raises(LavaRunError, match="stopped by SIGTERM"):
            run_chain(
                "sleep", steps=5_000, on_progress=lambda _: os.kill(os.getpid(), signal.SIGTERM)
            )
    finally:
        signal.signal(signal.SIGTERM, before)
    assert seen == [signal.SIGTERM]


RUNS = 100
RSS_ALLOWED = 4 * 2**20  # bytes, for the allocator's own caches; 100 runs were seen to take 0.4 MiB


def resident() -> int:
    """Bytes of memory that this process has."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGESIZE")


def run_tiny() -> None:
    """The least graph there is: a source and a sink, three steps."""
    record = shared_array((3, 1), np.int32)
    source = Source(recording=np.arange(1, 4, dtype=np.int8)[:, None])
    sink = Sink(record=record)
    source.s_out.connect(sink.a_in)
    run_graph(sink, CFG, 3, timeout=SOON)
    assert record[:, 0].tolist() == [1, 2, 3]


@pytest.mark.slow
@pytest.mark.timeout(180)  # takes 15 s on an idle machine
def test_no_growth_over_a_hundred_runs_and_faults() -> None:
    """Of handles, threads, children and registered processes; hardly any of memory."""

    def counts() -> tuple[int, int, int]:
        gc.collect()
        return open_handles(), len(children()), ProcessServer().num_processes

    with lava_net.root_logger_kept():
        for _ in range(5):  # until every cache is filled
            run_tiny()
        before, threads, memory = counts(), threading.active_count(), resident()
        for _ in range(RUNS):
            run_tiny()
        for fault in ("raise", "kill"):
            with pytest.raises(LavaRunError):
                run_chain(fault)
    assert counts() == before
    assert wait_until(lambda: threading.active_count() <= threads)
    assert resident() - memory < RSS_ALLOWED


# Graphs that cannot be run


def test_graphs_that_cannot_be_run() -> None:
    source = Source(recording=np.ones((3, 1), np.int8))
    sink = Sink(record=shared_array((3, 1), np.int32))
    source.s_out.connect(sink.a_in)
    with pytest.raises(ParameterError, match="0 steps; it needs at least 1"):
        run_graph(sink, CFG, 0)
    run_graph(sink, CFG, 3, timeout=SOON)
    for process in (source, sink):
        process.stop()  # has nothing to stop, and must not wait
        with pytest.raises(LavaRunError, match=r"compiled already.*build a new one"):
            run_graph(process, CFG, 3, timeout=SOON)
    other = Sink(record=shared_array((3, 1), np.int32))
    with pytest.raises(LavaRunError, match=r"cannot be compiled.*'fixed'.* Look at its") as caught:
        run_graph(other, Loihi2SimCfg(select_tag="fixed"), 3)
    assert "\n" not in str(caught.value)


# Other users of processes, threads and signals in the same program


def test_beside_pools_queues_and_shared_memory() -> None:
    """They work before, during and after runs that succeed and runs that fail."""
    memory = SharedMemory(create=True, size=16)
    queue: multiprocessing.Queue[str] = multiprocessing.Queue()
    queue.put("before")
    with multiprocessing.Pool(2) as pool, ProcessPoolExecutor(1) as executor:
        assert executor.submit(abs, -1).result(SOON) == 1
        meanwhile = pool.map_async(time.sleep, [0.3] * 4, chunksize=1)
        others = children()
        assert run_chain() == SENT
        with pytest.raises(LavaRunError, match="was killed by SIGKILL"):
            run_chain("kill")
        assert children() == others
        meanwhile.get(SOON)
        assert pool.map(abs, range(-3, 0)) == [3, 2, 1]
        assert executor.submit(abs, -2).result(SOON) == 2
    assert queue.get(timeout=SOON) == "before"
    queue.put("after")
    assert queue.get(timeout=SOON) == "after"
    queue.close()
    queue.join_thread()
    memory.buf[0] = 7
    again = SharedMemory(memory.name)
    assert again.buf[0] == 7
    again.close()
    memory.close()
    memory.unlink()


def test_a_process_started_during_a_run_can_be_ended() -> None:
    """It has the parent's handlers, which must not keep SIGTERM back in it."""
    other = multiprocessing.Process(target=time.sleep, args=(40.0,))

    def start(step: int) -> None:
        if other.pid is None:
            other.start()

    run_chain("sleep", steps=60, on_progress=start)
    try:
        assert other.is_alive()
        other.terminate()
        other.join(SOON)
        assert other.exitcode == -signal.SIGTERM
    finally:
        other.kill()
        other.join()


def test_in_the_worker_of_an_executor() -> None:
    with ProcessPoolExecutor(1) as executor:
        assert executor.submit(run_chain).result(SOON) == SENT
        with pytest.raises(LavaRunError, match=r"upstream \(Faulty\) raised ValueError"):
            executor.submit(run_chain, "raise").result(SOON)


def test_in_a_worker_that_may_have_no_children() -> None:
    with (
        multiprocessing.Pool(1) as pool,
        pytest.raises(LavaRunError, match=r"daemonic process.*ProcessPoolExecutor"),
    ):
        pool.apply_async(run_chain).get(SOON)


def test_in_an_event_loop() -> None:
    """As in a notebook: the loop is in the main thread, and a run blocks it or is in a thread."""

    async def main() -> tuple[list[int], list[int], int]:
        beats = 0

        async def beat() -> None:
            nonlocal beats
            while True:
                await asyncio.sleep(0.01)
                beats += 1

        task = asyncio.create_task(beat())
        blocking = run_chain()
        with pytest.raises(LavaRunError, match="the fault"):
            run_chain("raise")
        threaded = await asyncio.to_thread(run_chain, "sleep", steps=60)
        with pytest.raises(LavaRunError, match="the fault"):
            await asyncio.to_thread(run_chain, "raise")
        task.cancel()
        return blocking, threaded, beats

    blocking, threaded, beats = asyncio.run(main())
    assert blocking == SENT
    assert threaded == list(range(1, 61))
    assert beats > 2


NOTEBOOK = (
    "from lava_faults import chain",
    "print('ran', chain.run_chain())",
    "chain.run_chain('raise')",
    "chain.run_chain('sleep', steps=100_000, timeout=50.0)",  # is interrupted
    "print('again', chain.run_chain())",
    "import multiprocessing; print('left', multiprocessing.active_children())",
)


@pytest.mark.slow
@pytest.mark.timeout(180)
def test_in_jupyter(monkeypatch: pytest.MonkeyPatch) -> None:
    """Cells run, fail and are interrupted, and the next one finds nothing left of it."""
    pytest.importorskip("ipykernel", reason="needs ipykernel and nbclient")
    nbclient = pytest.importorskip("nbclient", reason="needs ipykernel and nbclient")
    nbformat = pytest.importorskip("nbformat", reason="needs ipykernel and nbclient")
    path = [str(TESTS.parent), str(TESTS), os.environ.get("PYTHONPATH", "")]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, path)))
    v4 = nbformat.v4
    notebook = v4.new_notebook(cells=[v4.new_code_cell(source) for source in NOTEBOOK])
    client = nbclient.NotebookClient(
        notebook,
        kernel_name="python3",
        allow_errors=True,
        interrupt_on_timeout=True,
        timeout_func=lambda cell: 4 if "100_000" in cell.source else 30,
    )
    client.execute()
    outputs = [
        "".join(each.get("text", "") or each.get("ename", "") for each in cell.outputs)
        for cell in notebook.cells
    ]
    assert outputs[1].splitlines()[-1] == f"ran {SENT}"
    assert outputs[2].endswith("LavaRunError")
    assert outputs[3].endswith("KeyboardInterrupt")
    assert outputs[4].splitlines()[-1] == f"again {SENT}"
    assert outputs[5].splitlines()[-1] == "left []"


# Signals to a process of its own, with all its children in one process group.


@pytest.fixture
def script() -> Iterator[subprocess.Popen[str]]:
    """A run in another interpreter, under way."""
    process = subprocess.Popen(
        [sys.executable, "-m", "lava_faults.chain"],
        env={**os.environ, "PYTHONPATH": f"{TESTS.parent}{os.pathsep}{TESTS}"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline()
        yield process
    finally:
        if not group_is_empty(process.pid):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate(timeout=SOON)


def assert_all_gone(process: subprocess.Popen[str]) -> str:
    """Also the group's last members; returns what the run wrote to stderr."""
    _, stderr = process.communicate(timeout=SOON)
    assert wait_until(lambda: group_is_empty(process.pid))
    return stderr


@pytest.mark.parametrize("times", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_ctrl_c_to_the_process_group(script: subprocess.Popen[str], times: int) -> None:
    for _ in range(times):
        os.killpg(script.pid, signal.SIGINT)
    stderr = assert_all_gone(script)
    assert script.returncode == -signal.SIGINT
    assert times > 1 or len(re.findall("KeyboardInterrupt", stderr)) == 1  # the parent's alone


@pytest.mark.parametrize(
    "number", [pytest.param(signal.SIGTERM, marks=pytest.mark.slow), signal.SIGKILL]
)
def test_signal_to_the_parent_alone(script: subprocess.Popen[str], number: signal.Signals) -> None:
    os.kill(script.pid, number)
    assert_all_gone(script)
    assert script.returncode == -number
