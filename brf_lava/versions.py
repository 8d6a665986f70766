"""The versions that every written file carries."""

from __future__ import annotations

import platform
from importlib.metadata import PackageNotFoundError, version

import brf_lava

PACKAGES = ("torch", "numpy", "numba", "h5py", "lava-nc")


def versions() -> dict[str, str]:
    """Of this package, of Python, and of the packages in use that are installed."""
    installed = {name: _installed(name) for name in PACKAGES}
    return {
        "brf_lava": brf_lava.__version__,
        "python": platform.python_version(),
        **{name: found for name, found in installed.items() if found is not None},
    }


def _installed(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None
