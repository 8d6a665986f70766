"""brf-lava report"""

from __future__ import annotations

from pathlib import Path

import click

from brf_lava.cli.command import Command, Result
from brf_lava.cli.loihi2_options import DEFAULT_PROFILE, board_profile
from brf_lava.cli.options import PATH, DataOptions, data_option, network_data
from brf_lava.io.extras import require_extra
from brf_lava.io.printable import on_one_line


@click.command("report", cls=Command)
@click.argument("paths", type=PATH, nargs=-1, required=True, metavar="PATH...")
@click.option("-o", "--out", type=PATH, help="Default: report.html, or report.pdf.")
@click.option(
    "--format", "kind", type=click.Choice(["html", "pdf"]), help="Default: by the name of --out."
)
@data_option
@click.option(
    "--limit", type=click.IntRange(1), default=500, show_default=True, help="Test samples to run."
)
@click.option("--profile", default=DEFAULT_PROFILE, show_default=True, help="The board.")
def report_command(
    paths: tuple[Path, ...],
    out: Path | None,
    kind: str | None,
    data: DataOptions,
    limit: int,
    profile: str,
) -> Result:
    """Write one HTML page about networks: scores, signals, parameters, energy, provenance.

    PATH: a model (.pt), a network (.h5), a run (.json), or a folder of them, as 'brf-lava
    reproduce' makes. Files of one network are put together. The page needs no network, and can be
    sent as it is.

    \b
    Example:
      brf-lava report model.pt net.h5 run.json -o report.html
    """
    require_extra("report", "bokeh", "matplotlib")
    from brf_lava.inspection.page import KINDS, find_browser, render, write_page
    from brf_lava.inspection.subjects import find_subjects
    from brf_lava.io.files import check_writable

    kind = kind or ("pdf" if out is not None and out.suffix == ".pdf" else "html")
    out = out or Path(f"report.{kind}")
    check_writable(out, KINDS[kind])
    if kind == "pdf":
        find_browser()
    board = board_profile(profile)

    subjects = find_subjects(paths, lambda about, path: network_data(about, data, path), limit)
    write_page(render(subjects, board), out, kind)
    size = out.stat().st_size
    return Result(
        {"report": out, "bytes": size}, [f"Wrote {on_one_line(out)}, {size / 1e6:.1f} MB."]
    )
