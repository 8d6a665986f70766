"""brf-lava doctor"""

from __future__ import annotations

import json as json_format
from dataclasses import asdict

import click

from brf_lava.cli.loihi2_options import (
    DEFAULT_PROFILE,
    Loihi2Settings,
    board_profile,
    loihi2_options,
    loihi2_settings,
)


@click.command()
@click.option("--profile", default=DEFAULT_PROFILE, show_default=True, help="The board wanted.")
@loihi2_options
@click.option("--json", is_flag=True, help="As JSON instead of a list.")
def doctor(profile: str, json: bool, loihi2: Loihi2Settings) -> None:
    """List what a run on Loihi 2 needs, what of it is here, and what to do about the rest.

    Exit code 0 whatever is missing. Whether a network runs, 'brf-lava verify' says.
    """
    from brf_lava.backends.loihi2.doctor import examine, missing

    findings, _ = examine(loihi2_settings(board_profile(profile), loihi2))
    lacking = missing(findings)
    if json:
        contents = {"loihi2": not lacking, "findings": list(map(asdict, findings))}
        return click.echo(json_format.dumps(contents, indent=2))
    for finding in findings:
        click.echo(f"{'+' if finding.found else '-'} {finding.line()}")
    click.echo(
        f"--backend loihi2 lacks: {lacking}."
        if lacking
        else "--backend loihi2 has what it needs. Next: brf-lava verify NET.h5 --backend loihi2"
    )
