"""What is seen while jobs run: a bar for each of them on a terminal, plain lines elsewhere."""

from __future__ import annotations

import json
import threading
from collections.abc import Sequence
from pathlib import Path

from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from brf_lava.report import LINES_PER_RUN, make_console
from brf_lava.reproduce.plan import EXPORT, RESUME, RUN, TRAIN, Job

STEPS = {TRAIN: "training", RESUME: "training goes on", EXPORT: "export", RUN: "integer engine"}


class Display:
    """Shows on standard error how far jobs are. Any thread may call it.

    Args:
        jobs: All of them, those that are done already included.
    """

    def __init__(self, jobs: Sequence[Job]) -> None:
        self.lock = threading.RLock()
        self.console = make_console(stderr=True)
        self.bars = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            TextColumn("{task.fields[state]}"),
            TimeRemainingColumn(),
            console=self.console,
        )
        self.total = len(jobs)
        self.done = [job for job in jobs if not job.steps]
        self.running: dict[Job, TaskID] = {}
        self.epochs: dict[Job, int] = {}  # how many of the running jobs have been shown
        self.all = self.bars.add_task("all", total=sum(job.epochs for job in jobs), state="")
        self.look()

    def __enter__(self) -> Display:
        if self.console.is_terminal:
            self.bars.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self.console.is_terminal:
            self.bars.stop()

    def on_step(self, job: Job, step: str) -> None:
        """A process of this job begins."""
        with self.lock:
            self.look()  # at the last epoch of a training that has just ended
            if job not in self.running:
                self.epochs[job] = 0 if step == TRAIN else last_epoch(job.folder.metrics)[0]
                self.running[job] = self.bars.add_task(job.folder.name, total=job.epochs, state="")
            self.bars.update(self.running[job], completed=self.epochs[job], state=STEPS[step])
            self._say(f"{job.folder.name}: {STEPS[step]}")

    def look(self) -> None:
        """Show the epochs that trainings have finished since the last look."""
        with self.lock:
            for job, bar in self.running.items():
                before, (epoch, accuracy) = self.epochs[job], last_epoch(job.folder.metrics)
                if epoch in (0, before):
                    continue
                self.epochs[job] = epoch
                state = f"epoch {epoch}/{job.epochs}  validation {accuracy:.2%}"
                self.bars.update(bar, completed=epoch, state=state)
                if epoch * LINES_PER_RUN // job.epochs > before * LINES_PER_RUN // job.epochs:
                    self._say(f"{job.folder.name}: {state}")
            epochs = sum(job.epochs for job in self.done) + sum(self.epochs.values())
            state = f"{len(self.done)} of {self.total} runs"
            self.bars.update(self.all, completed=epochs, state=state)

    def on_end(self, job: Job, problem: str | None) -> None:
        """The job is done, or failed with this problem."""
        with self.lock:
            if job in self.running:
                self.bars.remove_task(self.running.pop(job))
                del self.epochs[job]
            if problem is None:
                self.done.append(job)
                self._say(f"{job.folder.name}: done, {len(self.done)} of {self.total}")
            else:
                self._say(f"{job.folder.name}: failed: {problem}", on_terminals=True)
            self.look()

    def on_stop(self, running: int) -> None:
        """So many processes are being stopped."""
        text = f"Stopping {running}; finished epochs are kept. Ctrl-C once more kills them."
        self._say(text, on_terminals=True)

    def _say(self, line: str, on_terminals: bool = False) -> None:
        """Print a line; on terminals, where bars show most of it, only if asked to."""
        if on_terminals or not self.console.is_terminal:
            self.console.print(line, soft_wrap=True)


def last_epoch(metrics: Path) -> tuple[int, float]:
    """The last epoch in a metrics file and its validation accuracy; 0 and 0 without one."""
    try:
        *_, line = metrics.read_bytes().splitlines()
        epoch = json.loads(line)
        return epoch["epoch"], epoch["validation_accuracy"]
    except (OSError, ValueError, KeyError, TypeError):
        return 0, 0.0  # only for the display: the tables read the file with `read_metrics`
