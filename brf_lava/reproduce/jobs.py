"""Runs jobs side by side: a thread for each of them, a process of the command line for each step.

The processes belong to the terminal's process group, so Ctrl-C interrupts them, too. A training
saves its state after every epoch, which makes a second signal harmless.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, CancelledError, Future, ThreadPoolExecutor, wait
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import brf_lava
from brf_lava.errors import INTERRUPTED, BrfLavaError, JobError
from brf_lava.reproduce.display import Display
from brf_lava.reproduce.plan import EXPORT, RESUME, RUN, TRAIN, Job
from brf_lava.reproduce.records import CoreShare, add_share

# ``python -m brf_lava`` would look for every module in the current folder first. This runs the very
# package that runs here, be it installed, on PYTHONPATH or found in the folder of its checkout.
MAIN = f"""\
import sys
sys.path[:] = [path for path in sys.path if path]  # '' is the current folder
from importlib.util import module_from_spec, spec_from_file_location
spec = spec_from_file_location("brf_lava", {str(Path(brf_lava.__file__).resolve())!r})
sys.modules["brf_lava"] = package = module_from_spec(spec)
spec.loader.exec_module(package)
from brf_lava.__main__ import main
main()
"""
PROGRAM = (sys.executable, "-c", MAIN)
THREADS = ("NUMBA_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
LOOK = 0.5  # s between two looks at the epochs, for the display
# Exit codes of an interrupted process
INTERRUPTIONS = (INTERRUPTED, -signal.SIGINT, -signal.SIGTERM)


@dataclass(frozen=True)
class Settings:
    """How to run the jobs."""

    share: CoreShare  # jobs side by side, and threads of each
    changes: Sequence[str] = ()  # of all shipped recipes, as ``--set`` takes them
    data: Sequence[str] = ()  # options for all commands that read data
    device: str = "auto"  # for the trainings


@dataclass(frozen=True)
class Outcome:
    """How jobs ended. Those that are in neither were stopped."""

    done: list[Job]
    failed: dict[Job, str]  # why


def cores() -> int:
    """Return the number of cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def core_share(jobs: int | None, runs: int) -> CoreShare:
    """Divide the cores between so many jobs, None: one per core, and no more than runs.

    Args:
        jobs: How many side by side.
        runs: All that are asked for, done or not, so that the share stays the same later on.
    """
    jobs = min(cores() if jobs is None else jobs, max(runs, 1))
    return CoreShare(jobs, max(1, cores() // jobs))


def arguments(job: Job, step: str, settings: Settings) -> list[str]:
    """Return the command line of one step."""
    folder = job.folder
    training = ("--device", settings.device, "--out", str(folder.model))
    changes = [part for change in settings.changes for part in ("--set", change)]
    recipe = ("--recipe", folder.recipe_name, *changes, "--seed", str(folder.seed))
    own = {
        TRAIN: ("train", *recipe, *training),
        RESUME: ("train", "--resume", *training),
        EXPORT: ("export", str(folder.model), str(folder.network)),
        RUN: ("run", str(folder.network), "--backend", "engine", "--out", str(folder.result)),
    }[step]
    return [*PROGRAM, *own, *settings.data]


def run_jobs(jobs: Sequence[Job], settings: Settings, display: Display) -> Outcome:
    """Do what remains of each job.

    A job that fails is given up and the others go on. Ctrl-C, or SIGTERM where it raises
    KeyboardInterrupt, stops all of them, and a second one kills them.
    """
    outcome = Outcome([job for job in jobs if not job.steps], {})
    processes = Processes()
    left: dict[Future[None], Job] = {}
    with ThreadPoolExecutor(settings.share.jobs) as pool:
        try:
            for job in jobs:
                if job.steps:
                    left[pool.submit(run_job, job, settings, processes, display.on_step)] = job
            _follow(left, outcome, display)
        except KeyboardInterrupt:
            with suppress(KeyboardInterrupt):
                display.on_stop(processes.stop(signal.SIGTERM))
                _follow(left, outcome, display)
        finally:  # none are left unless something went wrong here
            processes.stop(signal.SIGKILL)
    return outcome


def _follow(left: dict[Future[None], Job], outcome: Outcome, display: Display) -> None:
    """Take down how the jobs end until none is left. Raises: what a thread did not expect."""
    while left:
        for future in wait(left, LOOK, FIRST_COMPLETED).done:
            job, error = left.pop(future), future.exception()
            if error is None:
                outcome.done.append(job)
                display.on_end(job, None)
            elif isinstance(error, BrfLavaError):
                outcome.failed[job] = str(error)
                display.on_end(job, str(error))
            elif not isinstance(error, CancelledError):
                raise error
        display.look()


class Processes:
    """The processes at work; none starts after `stop`."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.running: set[subprocess.Popen[bytes]] = set()
        self.stopped = False

    def check(self) -> None:
        if self.stopped:
            raise CancelledError

    def call(self, command: list[str], **options: Any) -> int:
        """As `subprocess.call`. Raises: CancelledError."""
        with self.lock:
            self.check()
            process: subprocess.Popen[bytes] = subprocess.Popen(command, **options)
            self.running.add(process)
        code = process.wait()
        with self.lock:
            self.running.discard(process)
        if code:
            self.check()
        return code

    def stop(self, number: signal.Signals) -> int:
        """Send this signal to all of them. Returns how many there are."""
        with self.lock:
            self.stopped = True
            for process in self.running:
                process.send_signal(number)
            return len(self.running)


def run_job(
    job: Job, settings: Settings, processes: Processes, on_step: Callable[[Job, str], None]
) -> None:
    """Do the steps that remain of one job; `on_step` is called before each.

    Raises:
        BrfLavaError: A step failed.
        CancelledError: A step was interrupted, or must not start any more.
    """
    for step in job.steps:
        processes.check()
        on_step(job, step)
        code = _run_step(job, step, settings, processes)
        if code in INTERRUPTIONS:
            raise CancelledError
        if code:
            raise JobError(_problem(job, step, code))


def _run_step(job: Job, step: str, settings: Settings, processes: Processes) -> int:
    folder, share, log = job.folder, settings.share, job.folder.log(step)
    try:
        folder.path.mkdir(parents=True, exist_ok=True)
        if step == TRAIN:  # nothing of an old training may be taken for a part of this one
            old = (folder.state, folder.model, folder.metrics, folder.network, folder.result)
            for path in (*old, folder.shares):
                path.unlink(missing_ok=True)
        if step in (TRAIN, RESUME):
            add_share(folder.shares, share)
        with log.open("ab" if step == RESUME else "wb") as output:
            return processes.call(
                arguments(job, step, settings),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env={**os.environ, **dict.fromkeys(THREADS, str(share.threads))},
            )
    except OSError as error:
        raise BrfLavaError(f"{log}: cannot be written, or no process started ({error}).") from error


def _problem(job: Job, step: str, code: int) -> str:
    """Why a process ended, in one line."""
    log = job.folder.log(step)
    if code < 0:
        why = f"ended by {signal.Signals(-code).name}"
        if -code == signal.SIGKILL:
            why += ", which is also how a system out of memory ends a process"
        return f"'brf-lava {log.stem}' was {why}. All it said is in {log}."
    lines = [" ".join(line.split()) for line in log.read_text(errors="replace").split("\n")]
    said = next(filter(None, reversed(lines)), "it said nothing").removeprefix("Error: ")
    return f"'brf-lava {log.stem}' ended with code {code}: {said} (All it said is in {log}.)"
