"""Tables and progress bars of the command line, drawn by rich."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskProgressColumn,
    TextColumn,
    TimeRemainingColumn,
)
from rich.table import Table
from rich.text import Text

from brf_lava.io.printable import printable, unescaped
from brf_lava.neurons.fixed import STATE_WIDTH

if TYPE_CHECKING:  # a run does not wait for torch
    from brf_lava.export.quantize import LayerReport
    from brf_lava.network.layers import FixedNetwork
    from brf_lava.run.result import RunResult
    from brf_lava.train.checkpoint import Checkpoint
    from brf_lava.train.trainer import EpochReport
    from brf_lava.train.trainer import Progress as TrainingProgress

LINES_PER_RUN = 20  # epochs that are printed without a terminal


class _PlainConsole(Console):
    """A console for texts that may be a user's: they are no markup, and printable."""

    def __init__(self, *, stderr: bool, **options: Any) -> None:
        file = unescaped(sys.stderr if stderr else sys.stdout)
        super().__init__(file=file, highlight=False, markup=False, emoji=False, **options)

    def render_str(self, text: str, **options: Any) -> Text:
        return super().render_str(printable(text), **options)


def make_console(*, stderr: bool = False) -> Console:
    """Where rich draws: on stdout or stderr, 110 letters wide where that is no terminal."""
    drawn = _PlainConsole(stderr=stderr)
    return drawn if drawn.is_terminal else _PlainConsole(stderr=stderr, width=110)


def width() -> int:
    """How many letters a line of stdout holds: as many as the terminal has, else 110."""
    return make_console().width


def print_table(table: Table) -> None:
    make_console().print(table)


def notice(text: str) -> None:
    """Print what a user should know, on stderr."""
    make_console(stderr=True).print(f"Notice: {text}", style="yellow", soft_wrap=True)


def print_rows(
    title: str, columns: Sequence[str], rows: Sequence[Sequence[str]], shown: int | None = None
) -> None:
    """Print a table.

    Args:
        title: Its title.
        columns: Their headings; one that begins with > holds numbers.
        rows: Finished cells; an empty row is a line across the table.
        shown: How many rows at most; the rest is counted below. None: all.
    """
    table = Table(title=title, title_justify="left", caption_justify="left")
    for column in columns:
        numbers = column.startswith(">")
        table.add_column(column.removeprefix(">"), justify="right" if numbers else "left")
    for row in rows[:shown]:
        table.add_row(*row) if row else table.add_section()
    if shown is not None and len(rows) > shown:
        table.caption = f"and {len(rows) - shown:,} more rows, see --all"
    print_table(table)


def _epoch_text(report: EpochReport) -> str:
    return (
        f"loss {report.train_loss:.1f} val {report.validation_loss:.1f} "
        f"acc {report.validation_accuracy:.2%} SOPs {report.validation_sops:.0f}"
    )


@contextmanager
def training_progress(done: int, epochs: int) -> Iterator[TrainingProgress]:
    """Show a bar over all epochs with metrics and the time left; without a terminal, lines."""
    from brf_lava.train.trainer import Progress as TrainingProgress

    console = make_console(stderr=True)
    if not console.is_terminal:
        every = max(1, epochs // LINES_PER_RUN)

        def on_epoch(report: EpochReport) -> None:
            if report.epoch % every == 0 or report.epoch == epochs:
                console.print(
                    f"epoch {report.epoch}/{epochs}  {_epoch_text(report)}  {report.seconds:.1f} s",
                    soft_wrap=True,
                )

        yield TrainingProgress(on_epoch=on_epoch)
        return
    with Progress(
        TextColumn("epoch {task.fields[epoch]}"),
        BarColumn(bar_width=24),
        TaskProgressColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[metrics]}"),
        console=console,
    ) as bar:
        task = bar.add_task("", total=epochs, completed=done, epoch=f"{done}/{epochs}", metrics="")

        def on_batch(epoch: int, batch: int, batches: int) -> None:
            bar.update(task, completed=epoch + batch / batches)

        def show_epoch(report: EpochReport) -> None:
            bar.update(
                task,
                completed=report.epoch,
                epoch=f"{report.epoch}/{epochs}",
                metrics=_epoch_text(report),
            )

        yield TrainingProgress(on_batch=on_batch, on_epoch=show_epoch)


@contextmanager
def step_progress(label: str, steps: int) -> Iterator[Callable[[int], None]]:
    """A bar over time steps; nothing where there is no terminal."""
    console = make_console(stderr=True)
    with Progress(
        TextColumn(label),
        BarColumn(bar_width=24),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    ) as bar:
        task = bar.add_task("", total=steps)
        yield lambda done: bar.update(task, completed=done)


def checkpoint_table(checkpoint: Checkpoint) -> Table:
    """Return the metrics of a model on the test data."""
    metrics = checkpoint.metrics
    table = Table(title=f"{checkpoint.recipe.task} test, float network", title_justify="left")
    table.add_column("")
    table.add_column("value", justify="right")
    table.add_row("accuracy", f"{metrics.accuracy:.2%}")
    table.add_row("SOPs per sample (hidden spikes)", f"{metrics.sops_per_sample:.1f}")
    table.add_row("loss", f"{metrics.loss:.1f}")
    table.add_row("samples x steps", f"{metrics.samples} x {metrics.steps}")
    if checkpoint.epochs_done:
        table.add_row("best epoch", f"{checkpoint.epoch} of {checkpoint.epochs_done}")
    table.add_row("device", metrics.device)
    return table


def format_table(reports: tuple[LayerReport, ...]) -> Table:
    """Return the number format of every state, with its measured range."""
    table = Table(title="States: formats from measured ranges", title_justify="left")
    for column in (
        "layer",
        "state",
        "peak |x|",
        "fraction bits",
        "limit",
        "headroom",
        "bits used",
    ):
        table.add_column(column, justify="left" if column in ("layer", "state") else "right")
    for index, report in enumerate(reports, start=1):
        bits = report.format.state_bits
        limit = 2 ** (STATE_WIDTH - 1 - bits)
        for state, peak in report.peaks.items():
            used = int(peak * 2**bits).bit_length() + 1
            table.add_row(
                f"{index} {report.neuron}",
                state,
                f"{peak:.2f}",
                str(bits),
                f"{limit:.0f}",
                f"{limit / peak:.1f} x" if peak else "-",
                f"{used} of {STATE_WIDTH}",
            )
    return table


def deviation_table(reports: tuple[LayerReport, ...]) -> Table:
    """Return how far the integers are from the trained parameters."""
    table = Table(title="Parameters: quantization error", title_justify="left")
    for column in ("layer", "parameter", "bits", "largest error", "of largest value"):
        table.add_column(column, justify="left" if column in ("layer", "parameter") else "right")
    for index, report in enumerate(reports, start=1):
        for deviation in report.deviations:
            table.add_row(
                f"{index} {report.neuron}",
                deviation.parameter,
                str(deviation.bits),
                f"{deviation.absolute:.3g}",
                f"{deviation.relative:.3%}",
            )
    return table


def correction_lines(reports: tuple[LayerReport, ...]) -> list[str]:
    """Return one line per neuron that rounding made unstable."""
    return [
        f"layer {index}, neuron {change.neuron}: {', '.join(change.parameters)} rounded to "
        f"{change.rounded} would be unstable; changed to {change.corrected}"
        for index, report in enumerate(reports, start=1)
        for change in report.corrections
    ]


def growth_lines(reports: tuple[LayerReport, ...]) -> list[str]:
    """Return one line per layer with neurons that were trained to diverge, as RF allows."""
    return [
        f"layer {index}: {len(report.growth)} of the {report.neuron} neurons were trained beyond "
        f"the divergence boundary. Without input, neuron {fastest} grows fastest, by "
        f"{report.growth[fastest] - 1:.2%} per step. They are kept; watch the saturations of a run."
        for index, report in enumerate(reports, start=1)
        if report.growth
        for fastest in [max(report.growth, key=lambda k: report.growth[k])]
    ]


def network_line(network: FixedNetwork) -> str:
    """Return the network in one line, such as ``4 - 36 BRF recurrent - 6 LI``."""
    parts = [str(network.inputs)]
    for layer in network.layers:
        recurrent = " recurrent" if layer.recurrent is not None else ""
        parts.append(f"{layer.shape[0]} {layer.neuron.name}{recurrent}")
    return " - ".join(parts)


def comparison_table(result: RunResult) -> Table:
    """Return the run next to the float reference."""
    reference, cost = result.reference, result.cost
    table = Table(title=f"{result.samples} samples of {result.steps} steps", title_justify="left")
    table.add_column("")
    table.add_column(f"float on {reference.device}" if reference else "float", justify="right")
    table.add_column(f"fixed point, {result.backend}", justify="right")
    table.add_column("ratio", justify="right")

    def ratio(value: float, base: float | None) -> str:
        return f"{value / base:.3f}" if base else ""

    accuracy, sops = (reference.accuracy, reference.sops) if reference else (None, None)
    table.add_row(
        "accuracy",
        f"{accuracy:.2%}" if accuracy is not None else "",
        f"{result.accuracy:.2%}",
        ratio(result.accuracy, accuracy),
    )
    table.add_row(
        "SOPs per sample (hidden spikes)",
        f"{sops:.1f}" if sops is not None else "",
        f"{cost.sops:.1f}",
        ratio(cost.sops, sops),
    )
    table.add_row(
        "SOPs per step",
        f"{sops / result.steps:.3f}" if sops is not None else "",
        f"{result.sops_per_step:.3f}",
        ratio(cost.sops, sops),
    )
    macs = cost.dense_macs
    table.add_row(
        "synaptic operations per sample",
        f"{macs:,.0f} MACs",
        f"{cost.synops:,.0f}",
        ratio(cost.synops, macs),
    )
    for name, value in (
        ("  of input spikes", cost.input_synops),
        ("  of hidden spikes, recurrent", cost.recurrent_synops),
        ("  of hidden spikes, to the next layer", cost.output_synops),
    ):
        table.add_row(name, "", f"{value:,.0f}", "")
    if result.agreement is not None:
        table.add_row("same prediction as float", "", f"{result.agreement:.2%}", "")
    table.add_row("saturation events", "", f"{result.saturations:,}", "")
    table.add_row("wall time", "", f"{result.seconds:.2f} s", "")
    return table
