"""Python in a process of its own, timed from start to end."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from brf_lava.errors import BrfLavaError

ROOT = Path(__file__).resolve().parent.parent  # as working folder it makes brf_lava importable
COMMAND = "from brf_lava.cli import main; main()"  # what the installed script brf-lava does


@dataclass(frozen=True)
class Finished:
    """seconds: wall time. stdout: what it printed."""

    seconds: float
    stdout: str


def run_python(code: str, arguments: Sequence[str] = ()) -> Finished:
    """Run ``python -c CODE ARGUMENTS``. Raises: BrfLavaError with its last words if it fails."""
    command = [sys.executable, "-c", code, *arguments]
    started = time.perf_counter()
    process = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    seconds = time.perf_counter() - started
    if process.returncode:
        last = " ".join(process.stderr.splitlines()[-3:])
        raise BrfLavaError(
            f"python -c '{code}' {' '.join(arguments)}: exit code {process.returncode}: {last}. "
            "Run it by hand to see more."
        )
    return Finished(seconds, process.stdout)
