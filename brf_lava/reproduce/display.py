"""What is seen while jobs run: a line per job and a bar on a terminal, plain lines elsewhere."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from brf_lava.report import LINES_PER_RUN, make_console
from brf_lava.reproduce.jobs import Display
from brf_lava.reproduce.plan import EXPORT, RESUME, TRAIN, Job

STEPS = {TRAIN: "training", RESUME: "training goes on", EXPORT: "export", "run": "integer engine"}
STOPPING = "Stopping {running}; finished epochs are kept. Ctrl-C once more kills them."


@contextmanager
def display(jobs: Sequence[Job]) -> Iterator[Display]:
    """The display for these jobs, on the standard error stream."""
    console = make_console(stderr=True)
    done = sum(not job.steps for job in jobs)
    if not console.is_terminal:
        yield Lines(console, len(jobs), done)
        return
    with Progress(
        TextColumn("{task.description}"),
        BarColumn(bar_width=24),
        TextColumn("{task.fields[state]}"),
        TimeRemainingColumn(),
        console=console,
    ) as bar:
        yield Bars(bar, jobs)


def _epoch(job: Job, epoch: int, accuracy: float) -> str:
    return f"epoch {epoch}/{job.epochs}  validation {accuracy:.2%}"


@dataclass
class Lines:
    """One line per event; of the epochs, a few. said: how many of these, of each job."""

    console: Console
    total: int
    done: int
    said: dict[Job, int] = field(default_factory=dict)

    def on_step(self, job: Job, step: str) -> None:
        self._say(f"{job.name}: {STEPS[step]}")

    def on_epoch(self, job: Job, epoch: int, accuracy: float) -> None:
        due = epoch * LINES_PER_RUN // job.epochs  # epochs may pass unseen between two looks
        if due > self.said.get(job, 0):
            self.said[job] = due
            self._say(f"{job.name}: {_epoch(job, epoch, accuracy)}")

    def on_end(self, job: Job, problem: str | None) -> None:
        self.done += problem is None
        end = f"done, {self.done} of {self.total}" if problem is None else f"failed: {problem}"
        self._say(f"{job.name}: {end}")

    def on_stop(self, running: int) -> None:
        self._say(STOPPING.format(running=running))

    def _say(self, line: str) -> None:
        self.console.print(line, soft_wrap=True, markup=False)


class Bars:
    """A line for each job at work, and a bar over the epochs of all."""

    def __init__(self, bar: Progress, jobs: Sequence[Job]) -> None:
        self.bar, self.total = bar, len(jobs)
        self.lines: dict[Job, TaskID] = {}
        self.finished = [job for job in jobs if not job.steps]
        epochs = sum(job.epochs for job in jobs)
        self.all = bar.add_task("all", total=epochs, state="")
        self._update()

    def on_step(self, job: Job, step: str) -> None:
        if job not in self.lines:
            self.lines[job] = self.bar.add_task(job.name, total=job.epochs, state="")
        self.bar.update(self.lines[job], state=STEPS[step])

    def on_epoch(self, job: Job, epoch: int, accuracy: float) -> None:
        state = _epoch(job, epoch, accuracy)
        self.bar.update(self.lines[job], completed=epoch, state=state)
        self._update()

    def on_end(self, job: Job, problem: str | None) -> None:
        if job in self.lines:
            self.bar.remove_task(self.lines.pop(job))
        if problem is None:
            self.finished.append(job)
        else:
            self.bar.console.print(f"{job.name}: failed: {problem}", soft_wrap=True, markup=False)
        self._update()

    def on_stop(self, running: int) -> None:
        self.bar.console.print(STOPPING.format(running=running), soft_wrap=True)

    def _update(self) -> None:
        running = [task for task in self.bar.tasks if task.id in self.lines.values()]
        epochs = sum(job.epochs for job in self.finished) + sum(task.completed for task in running)
        state = f"{len(self.finished)} of {self.total} runs"
        self.bar.update(self.all, completed=epochs, state=state)
