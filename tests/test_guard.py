"""The guarded runner against every fault: it must say what happened, soon, and leave nothing."""

from __future__ import annotations

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
from multiprocessing import resource_tracker
from pathlib import Path

import pytest

from brf_lava.errors import BackendUnavailableError, LavaRunError
from brf_lava.run.lava_net import require_lava

try:
    require_lava()
except BackendUnavailableError as error:
    pytest.skip(str(error), allow_module_level=True)

from lava.magma.core.process.process import ProcessServer
from lava.magma.runtime.message_infrastructure.shared_memory_manager import SharedMemoryManager
from lava_faults import chain
from lava_faults.chain import STEPS, run_chain

from brf_lava.run import guard

pytestmark = [pytest.mark.lava, pytest.mark.timeout(60)]
SOON = 8.0  # s, generous for a busy machine; the faults are reported in under 0.2 s on an idle one
SENT = list(range(1, STEPS + 1))
TESTS = Path(__file__).parent


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


def wait_until(condition: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + SOON
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.02)
    return condition()


@pytest.fixture(autouse=True)
def nothing_left(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """After every test: no child, no segment, nothing registered, and the next run works."""
    monkeypatch.setattr(
        SharedMemoryManager, "create_shared_memory", SharedMemoryManager.create_shared_memory
    )
    segments = chain.record_segments()
    before = children()
    handlers = [signal.getsignal(number) for number in guard.HELD_SIGNALS]
    yield
    assert children() == before
    assert not multiprocessing.active_children()
    assert not set(segments) & set(os.listdir("/dev/shm"))
    assert [signal.getsignal(number) for number in guard.HELD_SIGNALS] == handlers
    assert run_chain() == SENT
    assert segments  # or the check above would see nothing


def assert_fails(message: str, upstream: str = "", downstream: str = "") -> LavaRunError:
    start = time.monotonic()
    with pytest.raises(LavaRunError, match=message) as caught:
        run_chain(upstream, downstream)
    assert time.monotonic() - start < SOON
    assert "\n" not in str(caught.value)
    return caught.value


def test_normal_run() -> None:
    assert run_chain() == SENT


@pytest.mark.parametrize("place", ["upstream", "downstream"])
def test_exception_in_run_spk(place: str) -> None:
    error = assert_fails(
        rf"4 of 10 steps done: process {place} \(Faulty\) raised ValueError: the fault",
        **{place: "raise"},
    )
    assert isinstance(error.__cause__, ValueError)
    assert "in run_spk" in str(error.__cause__.__cause__)  # the child's traceback


@pytest.mark.parametrize("place", ["upstream", "downstream"])
def test_exception_in_init(place: str, capfd: pytest.CaptureFixture[str]) -> None:
    assert_fails(rf"process {place} \(Faulty\) raised ValueError: the fault", **{place: "init"})
    assert capfd.readouterr().out == ""


def test_exceptions_in_both() -> None:
    assert_fails("raised ValueError: the fault", upstream="init", downstream="init")


def test_exception_larger_than_a_pipe() -> None:
    assert_fails(r"upstream \(Faulty\) raised ValueError: x+$", upstream="raise much")


def test_exception_that_cannot_be_pickled() -> None:
    assert_fails(
        r"process downstream \(Faulty\) ended too early, exit code 1",
        downstream="raise unpicklable",
    )


def test_exception_that_cannot_be_unpickled() -> None:
    assert_fails(r"process downstream \(Faulty\) raised", downstream="raise picky")


@pytest.mark.parametrize("place", ["upstream", "downstream"])
def test_killed_child(place: str) -> None:
    assert_fails(rf"process {place} \(Faulty\) was killed by SIGKILL", **{place: "kill"})


def test_child_that_exits() -> None:
    assert_fails(r"upstream \(Faulty\) ended too early, exit code 3", upstream="exit")


@pytest.mark.parametrize("name", ["runtime service", "SharedMemoryManager"])
def test_killed_helper_of_lava(name: str) -> None:
    def kill(step: int) -> None:
        for child in multiprocessing.active_children():
            if name in child.name:
                os.kill(child.pid or 0, signal.SIGKILL)

    with pytest.raises(LavaRunError, match=f"{name}.* was killed by SIGKILL"):
        run_chain("sleep", steps=5_000, on_progress=kill)


@pytest.mark.parametrize("place", ["upstream", "downstream"])
def test_endless_loop(place: str) -> None:
    start = time.monotonic()
    with pytest.raises(LavaRunError, match="4 of 10 steps done: not done within the time-out"):
        run_chain(*("loop", "") if place == "upstream" else ("", "loop"), timeout=1.5)
    assert time.monotonic() - start < SOON


def test_children_that_cannot_be_started(monkeypatch: pytest.MonkeyPatch) -> None:
    """All channels and processes are there, and then the last child cannot be forked."""

    def fail(runtime: guard._Runtime) -> None:
        raise BlockingIOError(11, "Resource temporarily unavailable")

    with monkeypatch.context() as patch:
        patch.setattr(guard._Runtime, "_build_runtime_services", fail)
        assert_fails("could not be started: .* temporarily unavailable.* Look at the limits")


def test_exception_in_on_progress() -> None:
    def fail(step: int) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        run_chain("sleep", steps=5_000, on_progress=fail)


def test_progress() -> None:
    seen: list[int] = []
    run_chain("sleep", steps=60, on_progress=seen.append)
    assert seen == sorted(set(seen))
    assert len(seen) > 2
    assert seen[-1] == 60


def test_ctrl_c_in_this_process() -> None:
    def interrupt(step: int) -> None:
        os.kill(os.getpid(), signal.SIGINT)

    start = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        run_chain("sleep", steps=5_000, on_progress=interrupt)
    assert time.monotonic() - start < SOON


@pytest.mark.parametrize("moment", ["_start", "_stop", "_release_memory"])
def test_ctrl_c_during_start_and_clean_up(moment: str, monkeypatch: pytest.MonkeyPatch) -> None:
    original = getattr(guard, moment)

    def interrupted(*arguments: object) -> None:
        os.kill(os.getpid(), signal.SIGINT)
        original(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(guard, moment, interrupted)
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


def test_in_a_thread() -> None:
    results: list[object] = []

    def work() -> None:
        results.append(run_chain())
        try:
            run_chain("raise")
        except LavaRunError as error:
            results.append(str(error))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join(30)
    assert results[0] == SENT
    assert "the fault" in str(results[1])


def test_no_growth_over_twenty_runs() -> None:
    run_chain()
    gc.collect()
    handles, registered = open_handles(), ProcessServer().num_processes
    threads = threading.active_count()
    for _ in range(20):
        run_chain()
    gc.collect()
    assert open_handles() <= handles
    assert ProcessServer().num_processes == registered
    assert wait_until(lambda: threading.active_count() <= threads)


def test_no_growth_over_faults() -> None:
    for fault in ("raise", "kill"):
        with pytest.raises(LavaRunError):
            run_chain(fault)
        gc.collect()
        handles = open_handles()
        for _ in range(3):
            with pytest.raises(LavaRunError):
                run_chain(fault)
        gc.collect()
        assert open_handles() <= handles


# Signals to a process of its own, with all its children in one process group.


def group_is_empty(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return True
    return False


@pytest.fixture
def script(request: pytest.FixtureRequest) -> Iterator[tuple[subprocess.Popen[str], set[str]]]:
    """A run in another interpreter, under way, and the names of its segments."""
    process = subprocess.Popen(
        [sys.executable, "-m", "lava_faults.chain", getattr(request, "param", "")],
        env={**os.environ, "PYTHONPATH": f"{TESTS.parent}{os.pathsep}{TESTS}"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        assert process.stdout is not None
        segments = set(process.stdout.readline().split())
        assert segments
        assert segments <= set(os.listdir("/dev/shm"))
        yield process, segments
    finally:
        if not group_is_empty(process.pid):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate(timeout=SOON)


def assert_all_gone(script: tuple[subprocess.Popen[str], set[str]]) -> str:
    """Also of the group's last members; returns what the run wrote to stderr."""
    process, segments = script
    _, stderr = process.communicate(timeout=SOON)
    assert wait_until(lambda: group_is_empty(process.pid))
    assert not segments & set(os.listdir("/dev/shm"))
    return stderr


def test_ctrl_c_to_the_process_group(script: tuple[subprocess.Popen[str], set[str]]) -> None:
    os.killpg(script[0].pid, signal.SIGINT)
    stderr = assert_all_gone(script)
    assert script[0].returncode == -signal.SIGINT
    assert len(re.findall("KeyboardInterrupt", stderr)) == 1  # the parent's, and no child's


def test_ctrl_c_twice(script: tuple[subprocess.Popen[str], set[str]]) -> None:
    os.killpg(script[0].pid, signal.SIGINT)
    os.killpg(script[0].pid, signal.SIGINT)
    assert_all_gone(script)
    assert script[0].returncode == -signal.SIGINT


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_signal_to_the_parent_alone(
    script: tuple[subprocess.Popen[str], set[str]], number: signal.Signals
) -> None:
    os.kill(script[0].pid, number)
    assert_all_gone(script)
    assert script[0].returncode == -number
