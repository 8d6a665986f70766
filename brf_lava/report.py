"""Tables and progress bars of the command line, drawn by rich."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from rich import progress
from rich.console import Console
from rich.table import Table
from rich.text import Text

from brf_lava.io.printable import printable, unescaped
from brf_lava.neurons.fixed import STATE_WIDTH

if TYPE_CHECKING:  # a run does not wait for torch
    from brf_lava.export.quantize import LayerReport
    from brf_lava.network.layers import FixedNetwork, RealNetwork
    from brf_lava.run.result import RunResult
    from brf_lava.train.checkpoint import Checkpoint
    from brf_lava.train.metrics import EpochReport
    from brf_lava.train.metrics import Progress as TrainingProgress

LINES_PER_RUN = 20  # epochs that are printed without a terminal


class _PlainConsole(Console):
    """A console for texts that may be a user's: they are no markup, and printable."""

    def __init__(self, *, stderr: bool, **options: Any) -> None:
        file = unescaped(sys.stderr if stderr else sys.stdout)
        super().__init__(file=file, highlight=False, markup=False, emoji=False, **options)

    def render_str(self, text: str, **options: Any) -> Text:
        return super().render_str(printable(text), **options)

    def on_broken_pipe(self) -> None:
        raise BrokenPipeError  # for the command's exit code; rich would end it with 1


def make_console(*, stderr: bool = False) -> Console:
    """Where rich draws: on stdout or stderr, 110 letters wide where that is no terminal."""
    drawn = _PlainConsole(stderr=stderr)
    return drawn if drawn.is_terminal else _PlainConsole(stderr=stderr, width=110)


def notice(text: str) -> None:
    """Print what a user should know, on stderr."""
    make_console(stderr=True).print(f"Notice: {text}", style="yellow", soft_wrap=True)


def table(title: str, columns: Sequence[str], rows: Iterable[Sequence[str]]) -> Table:
    """Return a table. A heading that begins with > is of numbers; an empty row draws a line."""
    made = Table(title=title, title_justify="left")
    for column in columns:
        justify: Any = "right" if column.startswith(">") else "left"
        made.add_column(column.removeprefix(">"), justify=justify, overflow="fold")  # nothing cut
    for row in rows:
        made.add_row(*row) if row else made.add_section()
    return made


def print_table(table: Table) -> None:
    make_console().print(table)


def _bar(left: str, *right: progress.ProgressColumn | str, transient: bool) -> progress.Progress:
    """A bar on stderr after the first column; nothing where that is no terminal."""
    console = make_console(stderr=True)
    settings: Any = {"transient": transient, "disable": not console.is_terminal}
    columns = left, progress.BarColumn(bar_width=24), *right
    return progress.Progress(*columns, console=console, **settings)


@contextmanager
def training_progress(done: int, epochs: int) -> Iterator[TrainingProgress]:
    """Show a bar over all epochs with metrics and the time left; without a terminal, lines."""
    from brf_lava.train.metrics import Progress as TrainingProgress

    every = max(1, epochs // LINES_PER_RUN)
    epoch, metrics = "epoch {task.fields[epoch]}", "{task.fields[metrics]}"
    columns = progress.TaskProgressColumn(), progress.TimeRemainingColumn(), metrics
    with _bar(epoch, *columns, transient=False) as bar:
        task = bar.add_task("", total=epochs, completed=done, epoch=f"{done}/{epochs}", metrics="")

        def on_batch(epoch: int, batch: int, batches: int) -> None:
            bar.update(task, completed=epoch + batch / batches)

        def on_epoch(report: EpochReport) -> None:
            count = f"{report.epoch}/{epochs}"
            text = (
                f"loss {report.train_loss:.1f} val {report.validation_loss:.1f} "
                f"acc {report.validation_accuracy:.2%} SOPs {report.validation_sops:.0f}"
            )
            bar.update(task, completed=report.epoch, epoch=count, metrics=text)
            if bar.disable and (report.epoch % every == 0 or report.epoch == epochs):
                line = f"epoch {count}  {text}  {report.seconds:.1f} s"
                bar.console.print(line, soft_wrap=True)

        yield TrainingProgress(on_batch=on_batch, on_epoch=on_epoch)


@contextmanager
def step_progress(label: str, steps: int) -> Iterator[Callable[[int], None]]:
    """A bar over steps; nothing where there is no terminal."""
    times = progress.TimeElapsedColumn(), progress.TimeRemainingColumn()
    with _bar(label, progress.MofNCompleteColumn(), *times, transient=True) as bar:
        task = bar.add_task("", total=steps)
        yield lambda done: bar.update(task, completed=done)


@contextmanager
def busy(label: str) -> Iterator[None]:
    """A moving bar while something without steps is done; nothing where there is no terminal."""
    with _bar(label, progress.TimeElapsedColumn(), transient=True) as bar:
        bar.add_task("", total=None)
        yield


def checkpoint_table(checkpoint: Checkpoint) -> Table:
    """Return the metrics of a model on the test data."""
    metrics = checkpoint.metrics
    epoch = ("best epoch", f"{checkpoint.epoch} of {checkpoint.epochs_done}")
    rows = [
        ("accuracy", f"{metrics.accuracy:.2%}"),
        ("SOPs per sample (hidden spikes)", f"{metrics.sops_per_sample:.1f}"),
        ("loss", f"{metrics.loss:.1f}"),
        ("samples x steps", f"{metrics.samples} x {metrics.steps}"),
        *([epoch] if checkpoint.epochs_done else []),  # none was trained here
        ("device", metrics.device),
    ]
    return table(f"{checkpoint.recipe.task} test, float network", ("", ">value"), rows)


def format_table(reports: tuple[LayerReport, ...]) -> Table:
    """Return the number format of every state, with its measured range."""
    rows = []
    for index, report in enumerate(reports, start=1):
        for state, peak in report.peaks.items():
            unit = report.units[state]
            limit = 2 ** (STATE_WIDTH - 1) / unit
            headroom = f"{limit / peak:.1f} x" if peak else "-"
            used = f"{int(peak * unit).bit_length() + 1} of {STATE_WIDTH}"
            cells = (f"{peak:.2f}", f"{unit:,}", f"{limit:.0f}", headroom, used)
            rows.append((f"{index} {report.neuron}", state, *cells))
    columns = (">peak |x|", ">1 is", ">limit", ">headroom", ">bits used")
    return table("States: formats from measured ranges", ("layer", "state", *columns), rows)


def stability_lines(reports: tuple[LayerReport, ...]) -> list[str]:
    """Say what rounding made unstable, and which neurons were trained to diverge, as RF allows."""
    corrected: list[str] = []
    growing: list[str] = []
    for index, report in enumerate(reports, start=1):
        corrected += [
            f"layer {index}, neuron {change.neuron}: {', '.join(change.parameters)} rounded to "
            f"{change.rounded} would be unstable; changed to {change.corrected}"
            for change in report.corrections
        ]
        if growth := report.growth:
            fastest, numbers = max(growth, key=lambda k: growth[k]), ", ".join(map(str, growth))
            growing.append(
                f"layer {index}: {report.neuron} neurons {numbers} were trained beyond the "
                f"divergence boundary. Without input, neuron {fastest} grows fastest, by "
                f"{growth[fastest] - 1:.2%} per step. They are kept, and saturate."
            )
    return [*(corrected or ["No neuron had to be changed to stay stable."]), *growing]


def network_line(network: FixedNetwork | RealNetwork) -> str:
    """Return the network in one line, such as ``4 - 36 BRF recurrent - 6 LI``."""
    parts = [str(network.layers[0].shape[1])]
    for layer in network.layers:
        recurrent = " recurrent" if layer.recurrent is not None else ""
        parts.append(f"{layer.shape[0]} {layer.neuron.name}{recurrent}")
    return " - ".join(parts)


def comparison_table(result: RunResult) -> Table:
    """Return the run next to the float reference."""
    reference, cost, steps = result.reference, result.cost, result.steps

    def row(name: str, base: float | None, value: float, form: str) -> tuple[str, ...]:
        """A value next to that of the reference, and their ratio."""
        ratio = f"{value / base:.3f}" if base else ""
        return name, "" if base is None else f"{base:{form}}", f"{value:{form}}", ratio

    accuracy, sops = (reference.accuracy, reference.sops) if reference else (None, None)
    macs = cost.dense_macs
    share = f"{cost.synops / macs:.3f}" if macs else ""
    agreement = "" if result.agreement is None else f"{result.agreement:.2%}"
    rows = [
        row("accuracy", accuracy, result.accuracy, ".2%"),
        row("SOPs per sample (hidden spikes)", sops, cost.sops, ".1f"),
        row("SOPs per step", sops and sops / steps, result.sops_per_step, ".3f"),
        ("synaptic operations per sample", f"{macs:,.0f} MACs", f"{cost.synops:,.0f}", share),
        ("  of input spikes", "", f"{cost.input_synops:,.0f}"),
        ("  of hidden spikes, recurrent", "", f"{cost.recurrent_synops:,.0f}"),
        ("  of hidden spikes, to the next layer", "", f"{cost.output_synops:,.0f}"),
        *([("same prediction as float", "", agreement)] if agreement else []),
        ("saturation events", "", f"{result.saturations:,}"),
        ("wall time", "", f"{result.seconds:.2f} s"),
    ]
    floats = f">float on {reference.device}" if reference else ">float"
    columns = ("", floats, f">fixed point, {result.backend}", ">ratio")
    return table(f"{result.samples} samples of {steps} steps", columns, rows)
