"""Run a network: integer engine, Lava, and what their results mean.

`Network`, a network file as a Lava process, is imported when it is asked for: it needs Lava and
lava-dl, which nothing else here does. Raises: BackendUnavailableError where they are missing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from brf_lava.backends.netx.process import Network as Network


def __getattr__(name: str) -> Any:
    if name != "Network":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from brf_lava.backends.netx import require_netx

    require_netx()
    from brf_lava.backends.netx.process import Network

    return Network
