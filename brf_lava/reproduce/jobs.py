"""Runs jobs side by side: in threads here, or through submitit on a cluster.

Processes here belong to the terminal's process group, so Ctrl-C interrupts them, too; when this one
is killed, they get SIGTERM. A training saves its state after every epoch, which makes a second
signal harmless. Jobs of a cluster go on without this process, and are found again by the manifest.
"""

from __future__ import annotations

import json
import logging
import signal
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from time import sleep
from typing import Any

from brf_lava.errors import BackendUnavailableError, DataError
from brf_lava.io.extras import require_extra
from brf_lava.io.files import JSON, Kind, write_bytes
from brf_lava.io.signals import signals_held
from brf_lava.io.text import parse_json, read_text
from brf_lava.report import LINES_PER_RUN, step_progress
from brf_lava.reproduce.runs import Run
from brf_lava.reproduce.steps import EXPORT, RESUME, RUN, TRAIN, Work
from brf_lava.train.metrics import read_metrics

ACCURACY = "validation_accuracy"  # in the metrics file
LOGGER = logging.getLogger(__name__)
PAUSE = 0.2  # s between two looks at the jobs
STEPS = {TRAIN: "training", RESUME: "training goes on", EXPORT: "export", RUN: "integer engine"}
MANIFEST = "jobs.json"
FORMAT = "brf-lava-jobs"
KIND = Kind("the jobs of a 'brf-lava reproduce'", JSON, FORMAT)


@dataclass(frozen=True)
class Cluster:
    """Where submitit runs jobs.

    name: "slurm", or submitit's "local" and "debug", which try it without a cluster. partition:
    None for the cluster's own choice. minutes: after which a job is put into the queue again.
    """

    name: str = "slurm"
    partition: str | None = None
    minutes: int = 240

    def executor(self, folder: Path, at_once: int, threads: int, device: str) -> Any:
        """An executor of submitit. Raises: BackendUnavailableError without it, or without Slurm."""
        require_extra("slurm", "submitit", "cloudpickle")
        import submitit

        try:
            executor = submitit.AutoExecutor(folder, self.name, slurm_max_num_timeout=1000)
        except RuntimeError as error:  # no srun
            raise BackendUnavailableError(
                f"executor {self.name}: {error} Run this where Slurm's commands are, or choose "
                "--executor local."
            ) from error
        more: dict[str, Any] = {} if self.partition is None else {"slurm_partition": self.partition}
        more |= {"gpus_per_node": 1} if device == "cuda" else {}
        limits = {"timeout_min": self.minutes, "slurm_array_parallelism": at_once}
        executor.update_parameters(name="brf-lava", cpus_per_task=threads, **limits, **more)
        return executor


def read_manifest(out: Path) -> dict[str, dict[str, Any]]:
    """The jobs of the last call by the name of their run; none before the first.

    Raises: DataError for a file that is damaged.
    """
    path, remedy = out / MANIFEST, "Remove it: it is made anew."
    if not path.exists():
        return {}
    try:
        contents: Any = parse_json(read_text(path, DataError, remedy), str(path), DataError, remedy)
        return {str(each["run"]): dict(each) for each in contents["jobs"]}
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(f"{path}: is not {KIND.name}, or damaged. {remedy}") from error


def _write_manifest(jobs: Sequence[Run], out: Path) -> None:
    rows = [
        {
            "run": job.folder.name,
            "folder": str(job.folder.path.relative_to(out)),
            "state": "failed" if job.problem else "unfinished" if job.step else "done",
            **({"problem": job.problem} if job.problem else {}),
            **({"job": job.number} if job.number else {}),
        }
        for job in jobs
    ]
    text = json.dumps({"format": FORMAT, "schema": 1, "jobs": rows}, indent=2)
    write_bytes(out / MANIFEST, f"{text}\n".encode(), KIND)


def run_jobs(
    jobs: Sequence[Run],
    at_once: int,
    threads: int,
    out: Path,
    device: str = "auto",
    data: Sequence[str] = (),
    cluster: Cluster | None = None,
) -> KeyboardInterrupt | None:
    """Do what remains of each job, whose `step` is then None; write the manifest into `out`.

    A job that fails gets a `problem` and the others go on. Ctrl-C, or SIGTERM where it raises
    KeyboardInterrupt, is returned. It stops all jobs here, and a second one kills them; those of a
    cluster go on.

    jobs: all, those that are done included; `at_once` run side by side, with `threads` each.
    device: for the trainings. data: options of all commands. cluster: None to run them here.
    """
    works = {job: Work(job.folder, threads, device, tuple(data)) for job in jobs if job.step}
    running: dict[Run, Any] = {}
    with ExitStack() as stack:
        stack.callback(_write_manifest, jobs, out)
        if cluster is None:
            pool = stack.enter_context(ThreadPoolExecutor(at_once))
            for work in works.values():
                stack.callback(work.end, kill=True)  # none is left unless something went wrong
            running = {job: pool.submit(_begin, job, work) for job, work in works.items()}
            _write_manifest(jobs, out)
        else:
            with signals_held(signal.SIGINT, signal.SIGTERM):  # what is submitted is written down
                running = _submit(works, at_once, threads, out, device, cluster)
                _write_manifest(jobs, out)
        try:
            with step_progress("epochs", sum(job.epochs for job in jobs)) as advance:
                while running:
                    begun = [job for job in running if works[job].log(TRAIN).exists()]
                    done = [job for job in jobs if not job.step]
                    advance(sum(map(_look, begun + done)))
                    sleep(PAUSE)
                    for job in [job for job, handle in running.items() if handle.done()]:
                        _end(job, running.pop(job))
            return None
        except KeyboardInterrupt as stop:
            if cluster is not None:
                LOGGER.info("%d jobs stay with the scheduler; scancel ends them.", len(running))
                return stop
            with suppress(KeyboardInterrupt):
                LOGGER.info(
                    "Stopping %d; finished epochs are kept. Ctrl-C once more kills them.",
                    sum(work.active for work in works.values()),
                )
                for work in works.values():
                    work.end()
                while not all(handle.done() for handle in running.values()):
                    sleep(PAUSE)
            return stop


def _begin(job: Run, work: Work) -> str | None:
    """Do a job here, unless all were stopped before its turn."""
    if work.stopped:
        return None
    _prepare(job)
    return work()


def _prepare(job: Run) -> None:
    """Make the folder of a job that is about to begin, with its recipe and nothing old."""
    job.folder.path.mkdir(parents=True, exist_ok=True)
    if job.step is not None:
        job.folder.forget(job.step)
    job.folder.recipe.write_text(job.recipe.text)


def _submit(
    works: dict[Run, Work], at_once: int, threads: int, out: Path, device: str, cluster: Cluster
) -> dict[Run, Any]:
    """Give jobs to a cluster as an array; those that it still has are not given again."""
    executor = cluster.executor(out / "scheduler", at_once, threads, device)
    import submitit

    known, running = read_manifest(out), dict[Run, Any]()
    for job in works if cluster.name == "slurm" else ():
        row = known.get(job.folder.name, {})
        if number := row.get("job"):
            handle: Any = submitit.SlurmJob(out / "scheduler", str(number))
            if not handle.done(force_check=True) and handle.state != "UNKNOWN":  # long gone
                running[job] = handle
            elif row.get("state") == "unfinished" and job.folder.next_step is None:
                job.step = None  # it ended after it was looked at
    new = [job for job in works if job.step and job not in running]
    for job in new:
        _prepare(job)
    if new:
        with executor.batch():
            submitted = [executor.submit(works[job]) for job in new]
        running |= dict(zip(new, submitted, strict=True))
    for job, handle in running.items():
        job.number = str(handle.job_id)
    return running


def _end(job: Run, handle: Any) -> None:
    """Take down how a job ended; one that was interrupted is neither done nor failed."""
    try:
        job.problem = handle.result()
    except Exception as error:  # of submitit: the job was killed, or lost
        LOGGER.info("%s: ended early: %s", job.folder.name, " ".join(str(error).split())[:200])
    if job.folder.next_step is None:
        job.step = None
        LOGGER.info("%s: done", job.folder.name)
    elif job.problem:
        LOGGER.info("%s: failed: %s", job.folder.name, job.problem)


def _look(job: Run) -> int:
    """Return the epochs that a job has done, and log what is new since the last look."""
    step = job.folder.next_step
    if step is None:
        return job.epochs
    accuracy: list[float] = []
    with suppress(DataError):  # not begun, or a line that is half written
        accuracy = read_metrics(job.folder.metrics, (ACCURACY,), "")[ACCURACY]
    if (step, job.said[0]) == (RESUME, TRAIN):  # which has only just begun
        step = TRAIN
    before, job.said = job.said, (step, len(accuracy) * LINES_PER_RUN // job.epochs)
    if before != job.said:
        state = STEPS[step]
        if before[0] == step:
            state = f"epoch {len(accuracy)}/{job.epochs}  validation {accuracy[-1]:.2%}"
        LOGGER.info("%s: %s", job.folder.name, state)
    return len(accuracy)
