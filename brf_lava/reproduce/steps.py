"""The steps of one run, each a process of the command line: what an executor gets as one job.

The files of a run say which step is next, so a job that was killed and started again goes on.
Nothing here imports torch, which the jobs of a cluster would wait for.
"""

from __future__ import annotations

import os
import signal
import subprocess
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from brf_lava.errors import INTERRUPTED, TERMINATED
from brf_lava.io.program import PROGRAM, THREADS, ending
from brf_lava.train.metrics import metrics_path, resume_path

TRAIN, RESUME, EXPORT, RUN = "train", "resume", "export", "run"

INTERRUPTIONS = (INTERRUPTED, TERMINATED, -signal.SIGINT, -signal.SIGTERM)  # exit codes


class RunFolder:
    """The files of one run, in ``OUT/TASK-NEURON/seed-S``; `out` is the folder of all runs.

    variant: of a grid, the changes that the runs of a folder ``OUT/TASK-NEURON/VARIANT`` share.
    """

    def __init__(self, out: Path, task: str, neuron: str, seed: int, variant: str = "") -> None:
        self.cell, self.seed, self.variant = (task, neuron), seed, variant
        self.recipe_name = f"{task}-{neuron.lower()}"
        self.row = f"{self.recipe_name} {variant}".rstrip()  # of the tables
        self.name = f"{self.row} seed {seed}"
        self.path = out / self.recipe_name / variant / f"seed-{seed}"
        self.recipe = self.path / "recipe.toml"
        self.model = self.path / "model.pt"
        self.state = resume_path(self.model)  # exists while the training is not finished
        self.metrics = metrics_path(self.model)
        self.network = self.path / "net.h5"
        self.result = self.path / "run.json"

    @property
    def next_step(self) -> str | None:
        """What is to be done next, as its files have it, whatever they contain; None: nothing."""
        if self.state.exists():
            return RESUME
        made = {TRAIN: self.model, EXPORT: self.network, RUN: self.result}
        return next((step for step, path in made.items() if not path.exists()), None)

    def forget(self, step: str) -> None:
        """Remove what this step and those after it make: nothing old may be taken for it."""
        old = [self.result]
        old += [] if step == RUN else [self.network]
        old += [self.model, self.state, self.metrics] if step == TRAIN else []
        for path in old:
            path.unlink(missing_ok=True)

    def as_dict(self) -> dict[str, Any]:
        """Return what names this run in ``results.json``."""
        named = {"task": self.cell[0], "neuron": self.cell[1], "seed": self.seed}
        return {**named, "variant": self.variant} if self.variant else named


@dataclass(eq=False)
class Work:
    """A job: does what remains of a run when it is called. options: of `command`.

    Returns why a step failed; None if all are done, or it was interrupted.
    """

    folder: RunFolder
    threads: int
    device: str = "auto"
    data: tuple[str, ...] = ()
    stopped: bool = False
    process: subprocess.Popen[bytes] | None = None

    @property
    def active(self) -> bool:
        """Whether a step is running here."""
        return self.process is not None and self.process.poll() is None

    def command(self, step: str) -> list[str]:
        """The arguments of ``brf-lava`` for a step."""
        folder = self.folder
        training = ("--device", self.device, "--out", str(folder.model))
        own = {
            TRAIN: ("train", "--recipe", str(folder.recipe), "--seed", str(folder.seed), *training),
            RESUME: ("train", "--resume", *training),
            EXPORT: ("export", str(folder.model), str(folder.network)),
            RUN: ("run", str(folder.network), "--backend", "engine", "--out", str(folder.result)),
        }[step]
        return [*own, *self.data]

    def __call__(self) -> str | None:
        before = None
        while not self.stopped and (step := self.folder.next_step) is not None:
            code = self._run(step)
            if code in INTERRUPTIONS:
                return None
            if code or step == before:
                log = self.log(step)
                how = ending(code, log.read_text(errors="replace"))
                return f"'brf-lava {log.stem}' ended with {how} (All it said is in {log}.)"
            before = step
        return None

    def checkpoint(self) -> Any:
        """For submitit, before a time limit: the same again, in another job."""
        from submitit.helpers import DelayedSubmission

        return DelayedSubmission(replace(self, process=None))

    def end(self, kill: bool = False) -> None:
        """End the running step, and begin no other."""
        process, first = self.process, not self.stopped or kill
        self.stopped = True
        if process is not None and first:
            process.kill() if kill else process.terminate()

    def log(self, step: str) -> Path:
        """What a step prints; one file for a training that was stopped, too."""
        return self.folder.path / f"{TRAIN if step == RESUME else step}.log"

    def _run(self, step: str) -> int:
        with self.log(step).open("ab" if step == RESUME else "wb") as log:
            self.process = subprocess.Popen(
                [*PROGRAM, *self.command(step)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env={**os.environ, **dict.fromkeys(THREADS, str(self.threads))},
            )
        if self.stopped:  # meanwhile
            self.process.terminate()
        try:
            return self.process.wait()
        finally:  # submitit raises SystemExit at a time limit
            if self.active:
                self.process.terminate()
                self.process.wait()
