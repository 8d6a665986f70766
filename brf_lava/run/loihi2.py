"""The Loihi 2 backend, as far as it exists without Intel's extension: it says what is missing."""

from __future__ import annotations

import importlib.util

from brf_lava.errors import BackendUnavailableError

EXTENSION = "lava.utils.loihi2_profiler"  # the module by which Lava itself recognizes the extension


def require_loihi2() -> None:
    """Raises: BackendUnavailableError naming what this machine lacks to run on Loihi 2."""
    if importlib.util.find_spec("lava") is None:
        raise BackendUnavailableError(
            "backend 'loihi2': Lava is not installed here (it needs Python 3.10), nor is Intel's "
            "Loihi extension for it. Install both, or use --backend sim or engine."
        )
    if importlib.util.find_spec(EXTENSION) is None:
        raise BackendUnavailableError(
            "backend 'loihi2': Intel's Loihi extension for Lava (lava-loihi, for members of the "
            "Intel Neuromorphic Research Community) is not installed here. Install it on the "
            "board's host, or use --backend sim or engine."
        )
    raise BackendUnavailableError(
        "backend 'loihi2': Intel's extension is installed, but this version of brf-lava has no "
        "hardware ProcessModels yet. Use --backend sim or engine."
    )
