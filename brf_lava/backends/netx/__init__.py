"""Our networks in lava-dl's netx; a folder of its own, because Lava executes all modules next to
a process in search of its models."""

from __future__ import annotations

from brf_lava.errors import BackendUnavailableError, explained
from brf_lava.lava_support import require_lava


def require_netx() -> None:
    """Import lava-dl's netx. Raises: BackendUnavailableError, which says what is missing."""
    require_lava()
    remedy = "Install or repair it: brf-lava install-lava."
    with explained(BackendUnavailableError, "lava-dl's netx cannot be imported", remedy):
        import lava.lib.dl.netx.hdf5  # noqa: F401
