"""Whether memory suffices, asked before it is taken: the system may kill for what it lacks."""

from __future__ import annotations

import os
import re
from contextlib import suppress
from pathlib import Path

from brf_lava.errors import NotEnoughMemoryError

# Control groups of Linux, as of containers and job schedulers, version 1 and 2: see cgroups(7)
GROUPS = Path("/sys/fs/cgroup")
V1, V2 = ("memory", "limit_in_bytes", "usage_in_bytes"), ("", "max", "current")


def require_memory(needed: int, what: str, remedy: str, free: int | None = None) -> None:
    """Raises: NotEnoughMemoryError for more bytes than are free: here, if that is known."""
    free = free_memory() if free is None else free
    if free is not None and needed > free:
        raise NotEnoughMemoryError(
            f"{what}: needs {needed / 1e6:,.0f} MB of memory, and {free / 1e6:,.0f} MB are free. "
            f"{remedy}."
        )


def free_memory() -> int | None:
    """Bytes that this process can still get, swap included; None where nothing says so (macOS)."""
    limits = []
    with suppress(OSError, KeyError):
        rows = _rows(Path("/proc/meminfo"))
        limits.append(1024 * (rows["MemAvailable"] + rows["SwapFree"]))
        for line in Path("/proc/self/cgroup").read_text().splitlines():
            _, controllers, name = line.split(":", 2)
            root, most, used = V1 if "memory" in controllers.split(",") else V2
            own = GROUPS / root / name[1:]
            for folder in (own, *own.parents):
                with suppress(OSError, ValueError, KeyError):  # no group, or no limit: "max"
                    rows = _rows(folder / "memory.stat")
                    cached = rows.get("total_inactive_file", rows["inactive_file"])  # is given up
                    taken = int((folder / f"memory.{used}").read_text()) - cached
                    limits.append(int((folder / f"memory.{most}").read_text()) - taken)
    return min(limits, default=None)


def used_memory() -> int:
    """Bytes that this process has taken; 0 where nothing says so."""
    with suppress(OSError):
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    return 0


def _rows(path: Path) -> dict[str, int]:
    return {name: int(size) for name, size in re.findall(r"(\w+):? +(\d+)", path.read_text())}
