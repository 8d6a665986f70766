"""brf-lava data prepare"""

from __future__ import annotations

from functools import partial
from pathlib import Path

import click

from brf_lava.cli.command import Command, Result
from brf_lava.cli.options import PATH, Number
from brf_lava.io.printable import on_one_line

SHARE = Number(0, 1, min_open=True, max_open=True)
option = partial(click.option, show_default=True)


@click.command(cls=Command)
@click.argument("task", metavar="TASK", type=click.Choice(["ecg"]))
@option("--records", type=PATH, required=True, help="Folder with WFDB records.")
@option("--patients", type=PATH, help="CSV file of record,patient lines; else the headers say.")
@option("--leads", metavar="A,B", help="Two signals by name or number; else the first two.")
@option("-o", "--out", type=PATH, default=Path("ecg.h5"))
@option("--annotator", default="q1c", help="Suffix of the wave marks.")
@option("--threshold", default=0.32, help="In standard deviations of a lead.")
@option("--delay", default=0, help="Steps by which labels trail the signal; as published: 19.")
@option("--seed", type=click.IntRange(0), default=0, help="Of the split.")
@option("--test-share", type=SHARE, default=0.2, help="Of the records.")
@option(
    "--stride", type=click.IntRange(1, 1300), default=1300, help="Steps from segment to segment."
)
@option(
    "--unlabeled",
    type=click.Choice(["mask", "first-class"]),
    default="mask",
    help="Store steps without a label as such, or as the first class, P.",
)
@option("--all-records", is_flag=True, help="Keep the 24 sudden-death records, too.")
def prepare(
    task: str,
    records: Path,
    patients: Path | None,
    leads: str | None,
    out: Path,
    annotator: str,
    threshold: float,
    delay: int,
    seed: int,
    test_share: float,
    stride: int,
    unlabeled: str,
    all_records: bool,
) -> Result:
    """Encode and label annotated WFDB records, such as the QT database, for --data.

    TASK is ecg. No patient is in both halves.

    \b
    Examples:
      brf-lava data prepare ecg --records qtdb -o ecg.h5
      brf-lava train --task ecg --data ecg.h5
    """
    from brf_lava import report
    from brf_lava.data.dataset import summary
    from brf_lava.ecg import prepare as wfdb_prepare
    from brf_lava.ecg.prepare import read_patients
    from brf_lava.ecg.records import KIND, load_prepared, write_prepared
    from brf_lava.ecg.signal import Encoding, parse_leads
    from brf_lava.io.extras import require_extra
    from brf_lava.io.files import check_writable

    require_extra("records", "wfdb")
    check_writable(out, KIND)
    settings = wfdb_prepare.Settings(
        Encoding(threshold, delay),
        annotator=annotator,
        seed=seed,
        test_share=test_share,
        stride=stride,
        unlabeled=unlabeled,
        all_records=all_records,
        leads=parse_leads(leads),
    )
    names = wfdb_prepare.find_records(records)
    by_record = {} if patients is None else read_patients(patients, names)
    with report.step_progress("records", len(names)) as on_record:
        prepared = wfdb_prepare.prepare(records, settings, on_record, by_record)
    write_prepared(prepared, out)
    dataset = load_prepared(out)
    tables = [report.table("ECG from WFDB records", ("", ">train", ">test"), summary(dataset))]
    columns = ("half", ">left out, invalid or flat", "record (segments)")
    tables.append(report.table("Records", columns, prepared.halves()))
    if prepared.skipped:
        title = f"{len(prepared.skipped)} records left out"
        tables.append(report.table(title, ("record", "why"), prepared.left_out()))
    for notice in prepared.notices():
        report.notice(notice)
    name = on_one_line(out)
    following = f"Wrote {name}. Next: brf-lava train --task {task} --data {name}"
    values = {"data": out, "source": dataset.source, "left_out": dict(prepared.left_out())}
    return Result(values, [*tables, following])
