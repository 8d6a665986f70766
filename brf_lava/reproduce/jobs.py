"""Runs jobs side by side, each of their steps as a process of the command line.

The processes belong to the terminal's process group, so Ctrl-C interrupts them, too; when this one
is killed, they get SIGTERM. A training saves its state after every epoch, which makes a second
signal harmless.
"""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

import brf_lava
from brf_lava.errors import INTERRUPTED, TERMINATED, DataError
from brf_lava.io.signals import signals_held
from brf_lava.report import LINES_PER_RUN, step_progress
from brf_lava.reproduce.plan import EXPORT, RESUME, RUN, TRAIN, Job
from brf_lava.train.metrics import read_metrics

ACCURACY = "validation_accuracy"  # in the metrics file
LOGGER = logging.getLogger(__name__)
# ``python -m brf_lava`` would look for every module in the current folder first. This runs the very
# package that runs here, be it installed, on PYTHONPATH or in the folder of its checkout.
MAIN = f"""\
import sys
sys.path[:] = [{str(Path(brf_lava.__file__).resolve().parents[1])!r}, *filter(None, sys.path)]
import brf_lava
del sys.path[0]
import signal
from brf_lava.__main__ import main
from brf_lava.io.signals import end_with_parent
end_with_parent({os.getpid()}, signal.SIGTERM)
main()
"""
PROGRAM = (sys.executable, "-c", MAIN)
THREADS = ("NUMBA_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
PAUSE = 0.2  # s between two looks at the processes
INTERRUPTIONS = (INTERRUPTED, TERMINATED, -signal.SIGINT, -signal.SIGTERM)  # exit codes
STEPS = {TRAIN: "training", RESUME: "training goes on", EXPORT: "export", RUN: "integer engine"}


def cores() -> int:
    """Return the number of cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def command(
    job: Job, changes: Sequence[str] = (), data: Sequence[str] = (), device: str = "auto"
) -> list[str]:
    """Return the command line of the next step of a job.

    Args:
        job: The job.
        changes: Of the shipped recipe, as ``--set`` takes them.
        data: Options of all commands that read data.
        device: For the training.
    """
    folder = job.folder
    training = ("--device", device, "--out", str(folder.model))
    settings = [part for change in changes for part in ("--set", change)]
    recipe = ("--recipe", folder.recipe_name, *settings, "--seed", str(folder.seed))
    own = {
        TRAIN: ("train", *recipe, *training),
        RESUME: ("train", "--resume", *training),
        EXPORT: ("export", str(folder.model), str(folder.network)),
        RUN: ("run", str(folder.network), "--backend", "engine", "--out", str(folder.result)),
    }[job.steps[0]]
    return [*PROGRAM, *own, *data]


def log_of(job: Job) -> Path:
    """What the process of the next step prints; one file for a training that was stopped, too."""
    return job.folder.path / f"{'train' if job.steps[0] == RESUME else job.steps[0]}.log"


def run_jobs(
    jobs: Sequence[Job], at_once: int, threads: int, command: Callable[[Job], list[str]]
) -> KeyboardInterrupt | None:
    """Do what remains of each job, and remove from it the steps that are done.

    A job that fails gets a `problem` and the others go on. Ctrl-C, or SIGTERM where it raises
    KeyboardInterrupt, stops all of them, is returned, and a second one kills them.

    Args:
        jobs: All of them, those that are done already included.
        at_once: How many run side by side.
        threads: Of each.
        command: Returns the command line of the next step of a job.
    """
    waiting = [job for job in jobs if job.steps]
    running: dict[Job, subprocess.Popen[bytes]] = {}
    try:
        with step_progress("epochs", sum(job.epochs for job in jobs)) as advance:
            while waiting or running:
                while waiting and len(running) < at_once:
                    with signals_held(signal.SIGINT, signal.SIGTERM):
                        running[waiting[0]] = _start(waiting[0], threads, command(waiting[0]))
                    del waiting[0]
                advance(sum(_look(job) for job in jobs if job in running or not job.steps))
                time.sleep(PAUSE)
                for job, code in {job: process.poll() for job, process in running.items()}.items():
                    if code is not None:
                        del running[job]
                        _end(job, code)
                        waiting[:0] = [job] if code == 0 and job.steps else []
        return None
    except KeyboardInterrupt as stop:
        with suppress(KeyboardInterrupt):
            LOGGER.info(
                "Stopping %d; finished epochs are kept. Ctrl-C once more kills them.", len(running)
            )
            for process in running.values():
                process.terminate()
            for process in running.values():
                process.wait()
        return stop
    finally:  # none are left unless something went wrong here
        for process in running.values():
            process.kill()
            process.wait()


def _start(job: Job, threads: int, arguments: list[str]) -> subprocess.Popen[bytes]:
    folder, step = job.folder, job.steps[0]
    folder.path.mkdir(parents=True, exist_ok=True)
    if step == TRAIN:  # nothing of an old training may be taken for a part of this one
        for path in (folder.state, folder.model, folder.metrics, folder.network, folder.result):
            path.unlink(missing_ok=True)
    with log_of(job).open("ab" if step == RESUME else "wb") as log:
        return subprocess.Popen(
            arguments,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            env={**os.environ, **dict.fromkeys(THREADS, str(threads))},
        )


def _end(job: Job, code: int) -> None:
    """Take down how a step ended; one that was interrupted is neither done nor failed."""
    log = log_of(job)
    if code == 0:
        del job.steps[0]
        if not job.steps:
            LOGGER.info("%s: done", job.folder.name)
    elif code not in INTERRUPTIONS:
        lines = map(str.strip, reversed(log.read_text(errors="replace").split("\n")))
        last = next(filter(None, lines), "it said nothing").removeprefix("Error: ")
        how = f"code {code}" if code > 0 else signal.Signals(-code).name
        job.problem = f"'brf-lava {log.stem}' ended with {how}: {last} (All it said is in {log}.)"
        LOGGER.info("%s: failed: %s", job.folder.name, job.problem)


def _look(job: Job) -> int:
    """Return the epochs that a job has done, and log what is new since the last look."""
    if not job.steps:
        return job.epochs
    accuracy: list[float] = []
    with suppress(DataError):  # not begun, or a line that is half written
        accuracy = read_metrics(job.folder.metrics, (ACCURACY,), "")[ACCURACY]
    step, epoch = job.steps[0], len(accuracy)
    before, job.said = job.said, (step, epoch * LINES_PER_RUN // job.epochs)
    if before[0] != step:
        LOGGER.info("%s: %s", job.folder.name, STEPS[step])
    elif before != job.said:
        state = f"epoch {epoch}/{job.epochs}  validation {accuracy[-1]:.2%}"
        LOGGER.info("%s: %s", job.folder.name, state)
    return epoch
