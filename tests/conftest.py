"""What holds for all tests."""

from __future__ import annotations

import signal

from brf_lava.lava_support import require_lava

require_lava()  # before any test runs a parallel loop of numba, and before tests import Lava


def pytest_configure() -> None:
    """Hear signals that a suite in the background would ignore, as would all that it starts."""
    for number, heard in (
        (signal.SIGINT, signal.default_int_handler),
        (signal.SIGHUP, signal.SIG_DFL),
    ):
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, heard)
