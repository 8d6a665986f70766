"""brf-lava classify"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from brf_lava.backends.base import BACKENDS
from brf_lava.cli.command import Command, Result
from brf_lava.cli.loihi2_options import Loihi2Settings, loihi2_options
from brf_lava.cli.options import PATH
from brf_lava.cli.target_options import TargetOptions, target_options
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
@loihi2_options
def classify_command(
    network: Path,
    record: Path,
    leads: str | None,
    csv: Path | None,
    annotations_out: Path | None,
    target: TargetOptions,
    batch: int | None,
    loihi2: Loihi2Settings,
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
    chosen = target.target(loihi2)
    fixed, _ = read_network(network)
    check_provenance(fixed, network)
    classify.check_network(fixed)
    signals = parse_leads(leads)
    path = record_path(record)
    marks = annotations_out and classify.annotation_path(annotations_out, path.name)
    for out, kind, other in ((csv, classify.TABLE, marks), (marks, classify.MARKS, csv)):
        if out is not None:
            check_writable(out, kind, other)
    with report.step_progress(f"{path.name}, percent", 100) as show:
        labels = classify.classify_record(
            fixed,
            path,
            lambda x: execute(fixed, x, backend=chosen.backend, timeout=chosen.timeout)[0],
            leads=signals,
            batch=batch or classify.BATCH,
            on_window=lambda done, total: show(100 * done // total),
        )
    if csv is not None:
        classify.write_csv(labels, csv)
    count = 0
    if marks is not None and labels.marks():
        count = classify.write_annotation(labels, marks)
    if len(labels.signals) > len(labels.leads):
        default = "" if signals else ", the first two; --leads names others"
        used = " and ".join(labels.leads)
        click.echo(f"Leads: {used} of {len(labels.signals)} signals{default}.", err=True)
    if labels.skipped:
        which = "1 window has" if labels.skipped == 1 else f"{labels.skipped:,} windows have"
        report.notice(f"{which} invalid samples or a flat lead, and no class.")
    lines: list[str | Table] = [labels_table(labels)]
    if csv is not None:
        lines.append(f"Wrote {on_one_line(csv)}: {labels.samples:,} samples.")
    if marks is not None and count:
        lines.append(f"Wrote {on_one_line(marks)}: {count:,} marks.")
    elif marks is not None:
        report.notice(
            f"{on_one_line(marks)} is not written: the classes of {labels.name} describe no "
            "wave, so there are no marks. Look at them with --csv."
        )
    about = ("fs", "samples", "leads", "windows", "skipped", "sops")
    return Result(
        {
            "record": labels.name,
            **{name: getattr(labels, name) for name in about},
            "marks": [{"step": mark.step, "symbol": mark.symbol} for mark in labels.marks()],
        },
        lines,
    )


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
        median_rr = np.median(np.diff(peaks)) * ECG.step_seconds
        rows.append(("heart rate, median", "", f"{60 / median_rr:.0f} / min"))
    rows.append(("windows run", "", f"{labels.windows:,}"))
    rows.append(("SOPs per window (hidden spikes)", "", f"{labels.sops:.1f}"))
    columns = ("class", ">of the record", ">runs", ">median length")
    return report.table(f"{labels.name}, {labels.samples / labels.fs:.1f} s", columns, rows)
