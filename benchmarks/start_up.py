"""How long ``brf-lava --help`` takes to answer."""

from __future__ import annotations

from benchmarks.subprocesses import COMMAND, run_python
from benchmarks.timing import Bar, Comparison, Row, alternate

TITLE = "start-up"
ROUNDS = 9
HELP_BAR = Bar(seconds_at_most=0.4)

FLOOR, HELP = "python -c pass", "brf-lava --help"


def measure() -> list[Comparison]:
    """The command beside an interpreter that does nothing."""
    seconds = alternate(
        {
            FLOOR: lambda: run_python("pass").seconds,
            HELP: lambda: run_python(COMMAND, ["--help"]).seconds,
        },
        rounds=ROUNDS,
    )
    return [
        Comparison(
            title="Start-up, process start to end",
            rows=(Row(FLOOR, seconds[FLOOR]), Row(HELP, seconds[HELP], HELP_BAR)),
            base=FLOOR,
        )
    ]
