"""brf-lava classify"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from brf_lava.backends.base import BACKENDS
from brf_lava.cli.loihi2_options import Loihi2Settings, loihi2_options
from brf_lava.cli.options import PATH
from brf_lava.cli.target_options import TargetOptions, target_options
from brf_lava.errors import ParameterError
from brf_lava.io.printable import on_one_line

if TYPE_CHECKING:
    from brf_lava.ecg.classify import RecordLabels
    from brf_lava.report import Rows


@click.command("classify")
@click.argument("network", type=PATH)
@click.argument("record", type=PATH)
@click.option("--leads", metavar="A,B", help="Two signals by name or number; else the first two.")
@click.option("--csv", type=PATH, help="One line per sample with its wave.")
@click.option("--annotations-out", type=PATH, help="A WFDB annotation file.")
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
) -> None:
    """Name the wave at every sample of RECORD, an ECG in WFDB format, with NETWORK."""
    from brf_lava import report
    from brf_lava.ecg import classify
    from brf_lava.ecg.signal import parse_leads, record_path
    from brf_lava.io.extras import require_extra
    from brf_lava.network.file import read_network
    from brf_lava.run.execute import execute
    from brf_lava.run.on_test_data import check_provenance

    require_extra("records", "wfdb")
    chosen = target.target(loihi2)
    fixed, _ = read_network(network)
    check_provenance(fixed, network)
    signals = parse_leads(leads)
    path = record_path(record)
    marks = annotations_out and classify.annotation_path(annotations_out, path.name)
    _check_outputs(path, csv, marks)
    classify.check_network(fixed)
    with report.step_progress(f"{path.name}, percent", 100) as show:
        labels = classify.classify_record(
            fixed,
            path,
            lambda x: execute(fixed, x, backend=chosen.backend, timeout=chosen.timeout)[0],
            leads=signals,
            batch=batch or classify.BATCH,
            on_window=lambda done, total: show(100 * done // total),
        )
    report.print_rows(*_label_rows(labels))
    if labels.signals > len(labels.leads):
        default = "" if signals else ", the first two; --leads names others"
        used = " and ".join(labels.leads)
        click.echo(f"Leads: {used} of {labels.signals} signals{default}.", err=True)
    if labels.skipped:
        which = "1 window has" if labels.skipped == 1 else f"{labels.skipped:,} windows have"
        click.echo(f"Notice: {which} invalid samples or a flat lead, and no class.", err=True)
    _write(labels, csv, marks)


def _check_outputs(record: Path, csv: Path | None, marks: Path | None) -> None:
    """Raise BrfLavaError, before the run, for files that cannot be written."""
    from brf_lava.io.files import check_writable

    sources = [record.with_name(record.name + suffix) for suffix in (".hea", ".dat")]
    for out in (csv, marks):
        if out is not None:
            check_writable(out, *sources)
    if csv is not None and marks is not None and csv.resolve() == marks.resolve():
        raise ParameterError(
            f"--csv and --annotations-out: both would be written to {csv}. Name another file for "
            "one of them."
        )


def _write(labels: RecordLabels, csv: Path | None, marks: Path | None) -> None:
    """Write the files that were asked for; none of annotations, but a notice, without a wave."""
    from brf_lava.ecg import classify

    if csv is not None:
        classify.write_csv(labels, csv)
        click.echo(f"Wrote {on_one_line(csv)}: {labels.samples:,} samples.")
    if marks is not None and not labels.marks():
        click.echo(
            f"Notice: {on_one_line(marks)} is not written: the classes of {labels.record} describe "
            "no wave, so there are no marks. Look at them with --csv.",
            err=True,
        )
    elif marks is not None:
        count = classify.write_annotation(labels, marks)
        click.echo(f"Wrote {on_one_line(marks)}: {count:,} marks.")


def _label_rows(labels: RecordLabels) -> Rows:
    """How much of the record is which wave."""
    import numpy as np

    from brf_lava.ecg.spec import ECG
    from brf_lava.network.decision import UNLABELED

    borders = np.flatnonzero(np.diff(labels.steps)) + 1
    starts = np.concatenate([[0], borders])
    lengths = np.diff(np.append(starts, len(labels.steps))) * ECG.step_seconds * 1e3  # ms
    rows: list[tuple[str, ...]] = []
    for label, name in [*enumerate(ECG.classes), (UNLABELED, "none")]:
        runs = lengths[labels.steps[starts] == label]
        share = float((labels.steps == label).mean())
        if label != UNLABELED or share:
            median = f"{np.median(runs):.0f} ms" if len(runs) else "-"
            rows.append((name, f"{share:.2%}", f"{len(runs):,}", median))
    peaks = [mark.step for mark in labels.marks() if mark.symbol == "N"]
    rows += [(), ("QRS complexes", "", f"{len(peaks):,}", "")]
    if len(peaks) > 1:
        median_rr = float(np.median(np.diff(peaks))) * ECG.step_seconds
        rows.append(("heart rate, median", "", f"{60 / median_rr:.0f} / min", ""))
    rows.append(("windows run", "", f"{labels.windows:,}", ""))
    rows.append(("SOPs per window (hidden spikes)", "", f"{labels.sops:.1f}", ""))
    title = f"{labels.record}, {labels.samples / labels.fs:.1f} s"
    return title, ("class", ">of the record", ">runs", ">median length"), rows
