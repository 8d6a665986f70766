"""brf-lava doctor"""

from __future__ import annotations

import click

from brf_lava.cli.command import Command, Result
from brf_lava.cli.loihi2_options import (
    DEFAULT_PROFILE,
    Loihi2Settings,
    board_profile,
    loihi2_options,
    loihi2_settings,
)


@click.command(cls=Command, more=True)
@click.option("--profile", default=DEFAULT_PROFILE, show_default=True, help="The board wanted.")
@loihi2_options
def doctor(profile: str, loihi2: Loihi2Settings) -> Result:
    """List what a run on Loihi 2 needs, what of it is here, and what to do about the rest.

    Exit code 0 whatever is missing. Whether a network runs, 'brf-lava verify' says.

    \b
    Examples:
      brf-lava doctor
      brf-lava doctor --all --profile loihi2-kapohopoint
    """
    from brf_lava.backends.loihi2.hosts import examine, missing

    findings, _ = examine(loihi2_settings(board_profile(profile), loihi2))
    lacking = missing(findings)
    verdict = "Nothing is missing for loihi2. Next: brf-lava verify NET.h5 --backend loihi2"
    names = [f"{'+' if each.found else '-'} {each.name}" for each in findings]
    return Result(
        {"loihi2": not lacking, "findings": findings},
        [f"Missing for loihi2: {lacking}." if lacking else verdict, *names],
        ["", *(each.line() for each in findings)],
    )
