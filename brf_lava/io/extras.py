"""The optional dependencies, the extras of ``pyproject.toml``."""

from __future__ import annotations

from importlib.util import find_spec

from brf_lava.errors import BackendUnavailableError


def require_extra(extra: str, *modules: str) -> None:
    """Check, without importing them, that modules of an extra of ``pyproject.toml`` are installed.

    Raises: BackendUnavailableError if one is missing, with the line that installs the extra.
    """
    missing = [name for name in modules if find_spec(name) is None]
    if missing:
        raise BackendUnavailableError(
            f"{', '.join(missing)}: not installed. Install the extra: pip install "
            f"'brf-lava[{extra}]', or in a checkout: pip install -e '.[{extra}]'."
        )
