"""This package's command line as a child process, and how long processes wait for each other."""

from __future__ import annotations

import math
import os
import signal
import sys
from contextlib import suppress
from pathlib import Path

import brf_lava
from brf_lava.errors import ParameterError

# ``python -m brf_lava`` would look for every module in the current folder first. This runs the very
# package that runs here, be it installed, on PYTHONPATH or in the folder of its checkout.
MAIN = f"""\
import sys
sys.path[:] = [{str(Path(brf_lava.__file__).resolve().parents[1])!r}, *filter(None, sys.path)]
import brf_lava
del sys.path[0]
import signal
from brf_lava.__main__ import main
from brf_lava.io.signals import end_with_parent
end_with_parent({os.getpid()}, signal.SIGTERM)
main()
"""
PROGRAM = (sys.executable, "-c", MAIN)
STEP_VARIABLE = "BRF_LAVA_STEP_SECONDS"
STEP_SECONDS = 60.0  # on a busy machine a step of 4,000 neurons was seen to take 0.3
THREADS = ("NUMBA_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")


def cores() -> int:
    """Return the number of cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def step_limit() -> float:
    """Seconds that a step may take, as `STEP_VARIABLE` says. Raises: ParameterError."""
    text = os.environ.get(STEP_VARIABLE) or STEP_SECONDS
    with suppress(ValueError):
        if (seconds := float(text)) >= 0:
            return seconds or math.inf
    raise ParameterError(f"{STEP_VARIABLE}: {text!r}; seconds, or 0 for no limit, are needed.")


def ending(code: int, said: str) -> str:
    """How a process ended: its exit code or signal, and the last line that it said."""
    lines = map(str.strip, reversed(said.split("\n")))
    last = next(filter(None, lines), "it said nothing").removeprefix("Error: ")
    return f"{f'code {code}' if code >= 0 else signal.Signals(-code).name}: {last}"
