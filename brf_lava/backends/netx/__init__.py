"""Our networks in lava-dl's netx; a folder of its own, because Lava executes all modules next to
a process in search of its models. Importing it says what is missing: BackendUnavailableError."""

from __future__ import annotations

from brf_lava.errors import BackendUnavailableError
from brf_lava.lava_support import require_lava

require_lava()
try:
    import lava.lib.dl.netx.hdf5  # noqa: F401
except Exception as error:
    advice = f"its import raised {type(error).__name__}: {error}."
    if isinstance(error, ModuleNotFoundError):
        advice = f"{error}. Install it: brf-lava install-lava."
    raise BackendUnavailableError(f"lava-dl's netx cannot be imported: {advice}") from error
