"""The commands that use a network: classify and stream"""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import click

from brf_lava.backends.base import BACKENDS, STREAMING
from brf_lava.cli.command import Command, Result
from brf_lava.cli.options import PATH, numbers
from brf_lava.cli.target import BoardOptions, TargetOptions, board_options, target_options
from brf_lava.io.printable import on_one_line

if TYPE_CHECKING:
    from rich.table import Table

    from brf_lava.ecg.classify import RecordLabels


@click.command("classify", cls=Command)
@click.argument("network", type=PATH)
@click.argument("record", type=PATH)
@click.option("--leads", metavar="A,B", help="Two signals by name or number; else the first two.")
@click.option("--csv", type=PATH, help="One line per sample with its wave.")
@click.option(
    "--annotations-out", type=PATH, help="A WFDB annotation file, NAME.brf, or a folder for it."
)
@target_options(BACKENDS)
@click.option("--batch", type=click.IntRange(min=1), help="Windows in one run; else 64.")
@board_options
def classify_command(
    network: Path,
    record: Path,
    leads: str | None,
    csv: Path | None,
    annotations_out: Path | None,
    target: TargetOptions,
    batch: int | None,
    board: BoardOptions,
) -> Result:
    """Name the wave at every sample of RECORD, an ECG in WFDB format, with NETWORK.

    \b
    Examples:
      brf-lava classify net.h5 records/sel100 --csv waves.csv
      brf-lava classify net.h5 records/sel100 --backend engine --annotations-out .
    """
    from brf_lava import report
    from brf_lava.ecg import classify
    from brf_lava.ecg.signal import parse_leads, record_path
    from brf_lava.io.extras import require_extra
    from brf_lava.io.files import check_writable
    from brf_lava.network.file import read_network
    from brf_lava.run.evaluate import check_provenance
    from brf_lava.run.execute import execute

    require_extra("records", "wfdb")
    chosen = target.target(board)
    fixed, _ = read_network(network)
    check_provenance(fixed, network)
    signals = parse_leads(leads)
    path = record_path(record)
    out = annotations_out and classify.annotation_path(annotations_out, path.name)
    for file, kind, other in ((csv, classify.TABLE, out), (out, classify.MARKS, csv)):
        if file is not None:
            check_writable(file, kind, other)
    with report.step_progress(f"{path.name}, percent", 100) as show:
        labels = classify.classify_record(
            fixed,
            path,
            lambda x: execute(fixed, x, backend=chosen.backend, timeout=chosen.timeout)[0],
            leads=signals,
            batch=batch or classify.BATCH,
            on_window=lambda done, total: show(100 * done // total),
        )
    marks = [{"step": mark.step, "symbol": mark.symbol} for mark in labels.marks()]
    lines: list[Any] = [labels_table(labels)]
    if csv is not None:
        classify.write_csv(labels, csv)
        lines.append(f"Wrote {on_one_line(csv)}: {labels.samples:,} samples.")
    if out is not None and marks:
        classify.write_annotation(labels, out)
        lines.append(f"Wrote {on_one_line(out)}: {len(marks):,} marks.")
    elif out is not None:
        report.notice(
            f"{on_one_line(out)} is not written: the classes of {labels.name} describe no wave, "
            "so there are no marks. Look at them with --csv."
        )
    if len(labels.signals) > len(labels.leads):
        default = "" if signals else ", the first two; --leads names others"
        used = " and ".join(labels.leads)
        click.echo(f"Leads: {used} of {len(labels.signals)} signals{default}.", err=True)
    if labels.skipped:
        which = "1 window has" if labels.skipped == 1 else f"{labels.skipped:,} windows have"
        report.notice(f"{which} invalid samples or a flat lead, and no class.")
    about = ("fs", "samples", "leads", "windows", "skipped", "sops")
    values = {name: getattr(labels, name) for name in about}
    return Result({"record": labels.name, **values, "marks": marks}, lines)


@click.command("stream", cls=Command, result=False)
@click.argument("network", type=PATH)
@click.argument("source", type=click.File("rb"), metavar="FILE|-")
@target_options(STREAMING)
@click.option(
    "--decide",
    type=float,
    metavar="MARGIN",
    help="For one class per sequence: say 'decided' once the best class leads by this margin.",
)
@click.option(
    "--lead-scale",
    type=numbers,
    metavar="A,B",
    help="For ecg: the standard deviation of each lead. Lines may then be "
    '{"signal": [a, b]}, raw samples at 250 Hz, encoded as the training data were.',
)
def stream_command(
    network: Path,
    source: BinaryIO,
    target: TargetOptions,
    decide: float | None,
    lead_scale: tuple[float, ...] | None,
) -> None:
    """Answer the steps in FILE, - for standard input, one by one.

    A JSON line per step: a list of all inputs, or {"events": [...]} with those that spike;
    {"reset": true} between two sequences. A JSON line per answer: one step per layer late on sim,
    at once on engine; a reset or the end of the input brings the rest. Blank lines are skipped.

    \b
    Examples:
      brf-lava stream net.h5 steps.jsonl > answers.jsonl
      my-sensor | brf-lava stream net.h5 - --backend engine
    """
    from brf_lava.ecg.classify import LiveEcg
    from brf_lava.network.file import read_network
    from brf_lava.run.early import check_early
    from brf_lava.run.stream import Stream
    from brf_lava.run.stream_lines import LINE_MAX, LineReader, Session

    chosen = target.target()
    fixed, _ = read_network(network)
    if decide is not None:
        check_early(fixed, [decide], "--decide")
    reader = LineReader(fixed, None if lead_scale is None else LiveEcg(fixed, lead_scale))
    lines = iter(partial(source.readline, LINE_MAX + 1), b"")
    stream = Stream(fixed, backend=chosen.backend.name, decide=decide, timeout=chosen.timeout)
    with stream:
        session = Session(fixed, stream, reader, sys.stdout.buffer)
        try:
            session.run(lines, getattr(source, "name", "<stdin>"))
        finally:
            click.echo(session.speed(), err=True)


def labels_table(labels: RecordLabels) -> Table:
    """How much of the record is which wave."""
    import numpy as np

    from brf_lava import report
    from brf_lava.ecg.spec import ECG
    from brf_lava.network.decision import UNLABELED

    rows: list[tuple[str, ...]] = []
    starts = np.flatnonzero(np.diff(labels.steps, prepend=-1))
    lengths = np.diff(starts, append=len(labels.steps)) * ECG.step_seconds * 1e3  # ms
    for label, name in [*enumerate(ECG.classes), (UNLABELED, "none")]:
        runs = lengths[labels.steps[starts] == label]
        if label != UNLABELED or len(runs):
            share = (labels.steps == label).mean()
            median = f"{np.median(runs):.0f} ms" if len(runs) else "-"
            rows.append((name, f"{share:.2%}", f"{len(runs):,}", median))
    peaks = [mark.step for mark in labels.marks() if mark.symbol == "N"]
    rows += [(), ("QRS complexes", "", f"{len(peaks):,}")]
    if len(peaks) > 1:
        rate = 60 / (np.median(np.diff(peaks)) * ECG.step_seconds)
        rows.append(("heart rate, median", "", f"{rate:.0f} / min"))
    rows += [
        ("windows run", "", f"{labels.windows:,}"),
        ("SOPs per window (hidden spikes)", "", f"{labels.sops:.1f}"),
    ]
    columns = ("class", ">of the record", ">runs", ">median length")
    return report.table(f"{labels.name}, {labels.samples / labels.fs:.1f} s", columns, rows)
