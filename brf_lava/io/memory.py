"""Whether memory suffices, asked before it is taken: the system may kill for what it lacks."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from brf_lava.errors import NotEnoughMemoryError

GROUPS = Path("/sys/fs/cgroup")  # Linux, cgroups(7): limits of containers and job schedulers


def require_memory(needed: int, what: str, remedy: str, free: int | None = None) -> None:
    """Refuse what cannot fit.

    Args:
        needed: Bytes, at the least.
        what: Where that is, for the message.
        remedy: What to do about it.
        free: Bytes; None for this computer's memory, where that is known.

    Raises:
        NotEnoughMemoryError: If `needed` is more than `free`.
    """
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
        lines = Path("/proc/meminfo").read_text().splitlines()
        kilobytes = {line.split(":")[0]: int(line.split()[1]) for line in lines}
        limits.append(1024 * (kilobytes["MemAvailable"] + kilobytes["SwapFree"]))
        limits.extend(_group_limits())
    return min(limits, default=None)


def _group_limits() -> Iterator[int]:
    """What each control group of this process, and those it is in, leave."""
    for line in Path("/proc/self/cgroup").read_text().splitlines():
        _, controllers, name = line.split(":", 2)
        v1 = "memory" in controllers.split(",")
        if controllers and not v1:
            continue
        root = GROUPS / "memory" if v1 else GROUPS
        limit, used = ("limit_in_bytes", "usage_in_bytes") if v1 else ("max", "current")
        own = root / name.lstrip("/")
        for folder in (own, *own.parents):
            with suppress(OSError, ValueError):  # of the root, or "max": no limit
                most = int((folder / f"memory.{limit}").read_text())
                rows = dict(map(str.split, (folder / "memory.stat").read_text().splitlines()))
                cached = int(rows.get("total_inactive_file", rows["inactive_file"]))  # given up
                yield most - int((folder / f"memory.{used}").read_text()) + cached
            if folder == root:
                break
