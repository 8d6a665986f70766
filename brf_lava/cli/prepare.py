"""brf-lava data prepare"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from brf_lava.cli.options import PATH
from brf_lava.io.printable import on_one_line

if TYPE_CHECKING:
    from rich.table import Table

    from brf_lava.ecg.prepare import Prepared
    from brf_lava.report import Rows


@click.command()
@click.argument("task", metavar="TASK", type=click.Choice(["ecg"]))
@click.option("--records", type=PATH, required=True, help="Folder with WFDB records.")
@click.option(
    "--patients",
    type=PATH,
    help="CSV file, record,patient a line: records of one patient go to one half. Else what the "
    "headers say.",
)
@click.option(
    "--leads",
    metavar="A,B",
    help="Two signals by name or number, 0 the first. Default: the first two.",
)
@click.option("--out", type=PATH, default=Path("ecg.h5"), show_default=True)
@click.option("--annotator", default="q1c", show_default=True, help="Suffix of the wave marks.")
@click.option("--threshold", type=float, help="In standard deviations of a lead. Default: 0.32.")
@click.option(
    "--delay",
    type=int,
    default=0,
    show_default=True,
    help="Steps by which labels trail the signal; 19 in the files of Yin et al. 2021.",
)
@click.option("--seed", type=int, default=0, show_default=True, help="Of the split.")
@click.option("--test-share", type=float, default=0.2, show_default=True, help="Of the records.")
@click.option(
    "--stride", type=int, default=1300, show_default=True, help="Steps from segment to segment."
)
@click.option(
    "--unlabeled",
    type=click.Choice(["mask", "first-class"]),
    default="mask",
    show_default=True,
    help="Store steps without a label as such, or as the first class, P.",
)
@click.option("--all-records", is_flag=True, help="Keep the 24 sudden-death records, too.")
def prepare(
    task: str,
    records: Path,
    patients: Path | None,
    leads: str | None,
    out: Path,
    annotator: str,
    threshold: float | None,
    delay: int,
    seed: int,
    test_share: float,
    stride: int,
    unlabeled: str,
    all_records: bool,
) -> None:
    """Encode and label annotated WFDB records, such as the QT database, for --data.

    TASK is ecg.
    """
    from importlib.metadata import version

    from brf_lava import report
    from brf_lava.ecg import prepare as wfdb_prepare
    from brf_lava.ecg.patients import read_patients
    from brf_lava.ecg.records import check_suffix, write_prepared
    from brf_lava.ecg.signal import Encoding, parse_leads
    from brf_lava.ecg.synthetic import THRESHOLD
    from brf_lava.io.extras import require_extra
    from brf_lava.io.files import check_writable
    from brf_lava.versions import versions

    require_extra("records", "wfdb")
    check_suffix(out)
    check_writable(out)
    settings = wfdb_prepare.Settings(
        Encoding(THRESHOLD if threshold is None else threshold, delay),
        annotator=annotator,
        seed=seed,
        test_share=test_share,
        stride=stride,
        unlabeled=unlabeled,
        all_records=all_records,
        leads=parse_leads(leads),
    )
    names = wfdb_prepare.find_records(records)
    by_record = None if patients is None else read_patients(patients, names)
    with report.step_progress("records", len(names)) as on_record:
        prepared = wfdb_prepare.prepare(records, settings, on_record, by_record)
    packages = {name: version(name) for name in ("scipy", "wfdb")}
    write_prepared(prepared, out, {**versions(), **packages})
    report.print_rows(*_content_rows(prepared))
    report.print_table(_records_table(prepared))
    if prepared.skipped:
        report.print_table(_skipped_table(prepared))
    for notice in prepared.notices():
        report.notice(notice)
    name = on_one_line(out)
    click.echo(f"Wrote {name}. Next: brf-lava train --task {task} --data {name}")


def _content_rows(prepared: Prepared) -> Rows:
    """How much came out of the records, by half and class."""
    from brf_lava.ecg.prepare import joined
    from brf_lava.ecg.spec import ECG
    from brf_lava.network.decision import UNLABELED

    halves = (prepared.train, prepared.test)
    splits = [joined(half) for half in halves]
    rows: list[tuple[str, ...]] = [
        ("records", *(f"{len(half)}" for half in halves)),
        ("segments", *(f"{len(split.x)}" for split in splits)),
        ("spikes per input and step", *(f"{split.x.mean():.2%}" for split in splits)),
    ]
    for label, name in [*enumerate(ECG.classes), (UNLABELED, "unlabeled")]:
        counts = [(int((split.y == label).sum()), split.y.size) for split in splits]
        rows.append((f"steps {name}", *(f"{count:,} {count / of:6.2%}" for count, of in counts)))
    left_out = [sum(segments.invalid for segments in half) for half in halves]
    rows.append(("segments left out, invalid or flat", *map(str, left_out)))
    return "ECG from WFDB records", ("", ">train", ">test"), rows


def _records_table(prepared: Prepared) -> Table:
    """Which records went where."""
    from rich.table import Table

    table = Table(title="Records (segments)", title_justify="left", show_header=False)
    table.add_column()
    table.add_column(overflow="fold")
    for name, half in (("train", prepared.train), ("test", prepared.test)):
        table.add_row(name, ", ".join(f"{s.name} ({len(s.x)})" for s in half))
    return table


def _skipped_table(prepared: Prepared) -> Table:
    """Which records were left out; those of one reason together."""
    from rich.table import Table

    reasons: dict[str, list[str]] = {}
    for name, reason in prepared.skipped:
        reasons.setdefault(reason, []).append(name)
    table = Table(title=f"{len(prepared.skipped)} records left out", title_justify="left")
    table.add_column("record", overflow="fold", ratio=1)
    table.add_column("why", overflow="fold", ratio=2)
    for reason, names in reasons.items():
        table.add_row(", ".join(names), reason)
    return table
