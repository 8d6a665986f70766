"""This package's command line as a child process."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import brf_lava

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
THREADS = ("NUMBA_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")


def cores() -> int:
    """Return the number of cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
