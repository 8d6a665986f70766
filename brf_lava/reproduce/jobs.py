"""Runs trainings side by side, each a chain of processes, and stops them without losing any.

The processes are those of the command line, each in a session of its own: a Ctrl-C reaches this
process alone, which asks each of them once to stop and waits.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import FrameType
from typing import Any, Protocol

import brf_lava
from brf_lava.errors import BrfLavaError
from brf_lava.reproduce.folders import RunFolder
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
from brf_lava.cli import main
main(prog_name="brf-lava")
"""
# -P: from its first import on; Python 3.10 knows no such option, and imports nothing before MAIN
SAFE_PATH = ("-P",) if sys.version_info >= (3, 11) else ()
PROGRAM = (sys.executable, *SAFE_PATH, "-c", MAIN)
POLL = 0.1  # s between looks at the processes
THREAD_VARIABLES = (
    "NUMBA_NUM_THREADS",
    "OMP_NUM_THREADS",
    "MKL_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
)
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class JobError(BrfLavaError):
    """A run that failed. Exit code 1."""

    exit_code = 1


@dataclass(frozen=True)
class Settings:
    """How to run. share: jobs side by side and threads of each.

    data: options for all commands that read data; device: for the training.
    """

    share: CoreShare
    data: tuple[str, ...] = ()
    device: str = "auto"


class Display(Protocol):
    """Told what happens."""

    def on_step(self, job: Job, step: str) -> None:
        """A process of this job begins."""

    def on_epoch(self, job: Job, epoch: int, accuracy: float) -> None:
        """The job's training has done this epoch. accuracy: of the validation, 0..1."""

    def on_end(self, job: Job, problem: str | None) -> None:
        """The job is done, or failed. problem: why."""

    def on_stop(self, running: int) -> None:
        """So many jobs are being stopped."""


@dataclass(frozen=True)
class Outcome:
    """total: jobs; done: all their steps; failed: why; stopped: whether it was asked to."""

    total: int
    done: list[Job]
    failed: dict[Job, str]
    stopped: bool


def cores() -> int:
    """How many this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def core_share(jobs: int | None, runs: int) -> CoreShare:
    """So many jobs at a time, by default one per core and no more than runs; the cores are shared.

    runs: all that are asked for, done or not, so that going on has the same number of threads.
    """
    jobs = min(cores() if jobs is None else jobs, max(runs, 1))
    return CoreShare(jobs, max(1, cores() // jobs))


def arguments(job: Job, step: str, settings: Settings) -> list[str]:
    """The command line of one step."""
    folder, experiment = job.folder, job.experiment
    device = ("--device", settings.device)
    out = ("--out", str(folder.model))
    changes = [part for change in experiment.changes for part in ("--set", change)]
    own = {
        TRAIN: (
            *("train", "--recipe", folder.recipe_name, *changes),
            *("--seed", str(folder.seed), *device, *out),
        ),
        RESUME: ("train", "--resume", *device, *out),
        EXPORT: ("export", str(folder.model), str(folder.network)),
        RUN: ("run", str(folder.network), "--backend", "engine", "--out", str(folder.result)),
    }[step]
    return [*PROGRAM, *own, *settings.data]


@dataclass
class _Active:
    """A job at work. seen: when its metrics file had last been written, ns."""

    job: Job
    process: subprocess.Popen[bytes]
    step: str
    left: tuple[str, ...]
    seen: int = 0


@dataclass
class _Requests:
    """How often this process was asked to stop; a job scheduler that repeats itself counts once."""

    count: int = 0
    asked: bool = field(init=False, default=False)

    def add(self, number: int, frame: FrameType | None) -> None:
        if number == signal.SIGINT or not self.asked:  # only a second Ctrl-C is meant to hurry
            self.count, self.asked = self.count + 1, True


def run_jobs(jobs: Sequence[Job], settings: Settings, display: Display) -> Outcome:
    """Do what remains of each job, so many at a time as the settings say.

    A job that fails is given up, the others go on. Ctrl-C and the signals of a job scheduler stop
    all; a second one kills. Raises: OSError if no process can be started.
    """
    waiting = deque(job for job in jobs if job.steps)
    outcome = Outcome(len(jobs), [job for job in jobs if not job.steps], {}, False)
    active: list[_Active] = []
    told = 0
    with _signals() as requests:
        try:
            while active or (waiting and not requests.asked):
                while waiting and len(active) < settings.share.jobs and not requests.asked:
                    job = waiting.popleft()
                    try:
                        active.append(_start(job, job.steps, settings, display))
                    except BrfLavaError as error:
                        _give_up(job, str(error), outcome, display)
                time.sleep(POLL)
                if requests.count > told:
                    _stop(active, kill=told > 0)
                    told = requests.count
                    display.on_stop(len(active))
                active = [
                    after
                    for each in active
                    if (after := _advance(each, settings, outcome, display, requests.asked))
                ]
        finally:  # empty unless something went wrong here
            _stop(active)
            for each in active:
                each.process.wait()
    failed = {job: outcome.failed[job] for job in jobs if job in outcome.failed}
    return replace(outcome, failed=failed, stopped=requests.asked)


def _start(job: Job, steps: tuple[str, ...], settings: Settings, display: Display) -> _Active:
    step, folder = steps[0], job.folder
    folder.path.mkdir(parents=True, exist_ok=True)
    if step == TRAIN:
        _clear(folder)
    if step in (TRAIN, RESUME):
        add_share(folder.shares, settings.share)
    threads = str(settings.share.threads)
    log = folder.log(TRAIN if step == RESUME else step)
    display.on_step(job, step)
    try:
        with log.open("ab" if step == RESUME else "wb") as output:
            process = subprocess.Popen(
                arguments(job, step, settings),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env={**os.environ, **dict.fromkeys(THREAD_VARIABLES, threads)},
                start_new_session=True,
            )
    except OSError as error:
        raise BrfLavaError(f"{log}: cannot be written, or no process started ({error}).") from error
    return _Active(job, process, step, steps[1:])


def _clear(folder: RunFolder) -> None:
    """A new training: nothing of an old one may be taken for a part of it."""
    for path in (
        folder.state,
        folder.model,
        folder.metrics,
        folder.network,
        folder.result,
        folder.shares,
    ):
        path.unlink(missing_ok=True)


def _advance(
    each: _Active, settings: Settings, outcome: Outcome, display: Display, stopping: bool
) -> _Active | None:
    """What a job at work has become: itself, its next step, or nothing more to wait for."""
    code = each.process.poll()
    if each.step in (TRAIN, RESUME):
        _show_epoch(each, display)
    if code is None:
        return each
    if code == 0 and not each.left:
        outcome.done.append(each.job)
        display.on_end(each.job, None)
        return None
    if stopping:
        return None
    if code:
        _give_up(each.job, _problem(each, code), outcome, display)
        return None
    try:
        return _start(each.job, each.left, settings, display)
    except BrfLavaError as error:
        _give_up(each.job, str(error), outcome, display)
        return None


def _give_up(job: Job, problem: str, outcome: Outcome, display: Display) -> None:
    outcome.failed[job] = problem
    display.on_end(job, problem)


def _problem(each: _Active, code: int) -> str:
    """Why a process ended, in one line."""
    command = "train" if each.step == RESUME else each.step
    log = each.job.folder.log(command)
    if code < 0:
        why = f"ended by {signal.Signals(-code).name}"
        if -code == signal.SIGKILL:
            why += ", which is also how a system out of memory ends a process"
        return f"'brf-lava {command}' was {why}. All it said is in {log}."
    said = last_line(log).removeprefix("Error: ") or "it said nothing"
    return f"'brf-lava {command}' ended with code {code}: {said} (All it said is in {log}.)"


def last_line(log: Path) -> str:
    """The last line of a log that is not empty."""
    lines = log.read_text(errors="replace").split("\n")
    return next((" ".join(line.split()) for line in reversed(lines) if line.strip()), "")


def last_epoch(metrics: Path) -> dict[str, Any]:
    """The last line of a metrics file in the making; empty if there is none."""
    try:
        lines = metrics.read_bytes().splitlines()
        epoch = json.loads(lines[-1]) if lines else {}
    except (OSError, ValueError):
        return {}  # this is for a display, whoever needs the file reads it with `records`
    return epoch if isinstance(epoch, dict) else {}


def _show_epoch(each: _Active, display: Display) -> None:
    try:
        written = each.job.folder.metrics.stat().st_mtime_ns
    except OSError:
        return
    if written == each.seen:
        return
    each.seen = written
    epoch = last_epoch(each.job.folder.metrics)
    if {"epoch", "validation_accuracy"} <= epoch.keys():
        display.on_epoch(each.job, epoch["epoch"], epoch["validation_accuracy"])


def _stop(active: Sequence[_Active], kill: bool = False) -> None:
    for each in active:
        if each.process.poll() is None:
            each.process.send_signal(signal.SIGKILL if kill else signal.SIGINT)


@contextmanager
def _signals() -> Iterator[_Requests]:
    """Count requests to stop instead of being interrupted anywhere.

    A signal that was ignored, as of a process in the background, remains so; its handler must be a
    function all the same, or the processes would inherit that they ignore it.
    """
    requests = _Requests()
    before = {number: signal.getsignal(number) for number in SIGNALS}
    for number, handler in before.items():
        ignored = handler is signal.SIG_IGN
        signal.signal(number, (lambda *_: None) if ignored else requests.add)
    try:
        yield requests
    finally:
        for number, handler in before.items():
            signal.signal(number, signal.SIG_DFL if handler is None else handler)
