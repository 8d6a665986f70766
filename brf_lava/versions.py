"""The versions that every written file carries."""

from __future__ import annotations

import platform
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version

import brf_lava

PACKAGES = ("torch", "numpy", "numba", "h5py", "lava-nc")


def versions() -> dict[str, str]:
    """Of this package, of Python, and of the packages in use that are installed."""
    found = {"brf_lava": brf_lava.__version__, "python": platform.python_version()}
    for name in PACKAGES:
        with suppress(PackageNotFoundError):
            found[name] = version(name)
    return found
