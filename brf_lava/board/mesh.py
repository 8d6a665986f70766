"""Where a core lies on its chip, and how far spikes travel between two of them.

A chip has 8 x 4 routers of 4 cores each and sends first along a row, then along a column (Timcheck
et al. 2026, arXiv 2601.10035, quoted). Which of the 128 cores software may not use is not public:
cores are numbered along the rows, every other row backwards, so that next numbers are neighbors.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

COLUMNS, ROWS = 8, 4  # routers of a chip
CORES_PER_ROUTER = 4


@dataclass(frozen=True, eq=False)
class Places:
    """Of some cores: chip, and column and row of the router; int64 arrays of one shape."""

    chip: NDArray[np.int64]
    column: NDArray[np.int64]
    row: NDArray[np.int64]


def places(cores: NDArray[np.int64], cores_per_chip: int) -> Places:
    """Where cores with these numbers lie."""
    chip, on_chip = np.divmod(cores, cores_per_chip)
    row, along = np.divmod(on_chip // CORES_PER_ROUTER, COLUMNS)
    return Places(chip, np.where(row % 2, COLUMNS - 1 - along, along), row)


@dataclass(frozen=True)
class Traffic:
    """Spike messages and their ways; numbers per sample, not whole as spikes are means.

    messages: all, one per spike and part that it reaches. local: to a core of the same router.
    hops_x, hops_y: between routers along rows and columns, of messages that stay on their chip.
    crossing: messages to another chip, whose ways are not counted.
    """

    messages: float = 0.0
    local: float = 0.0
    hops_x: float = 0.0
    hops_y: float = 0.0
    crossing: float = 0.0

    def __add__(self, other: Traffic) -> Traffic:
        return Traffic(
            self.messages + other.messages,
            self.local + other.local,
            self.hops_x + other.hops_x,
            self.hops_y + other.hops_y,
            self.crossing + other.crossing,
        )


def traffic(
    spikes: NDArray[np.float64],
    sources: NDArray[np.int64],
    targets: NDArray[np.int64],
    cores_per_chip: int,
) -> Traffic:
    """Every spike of every source goes to all targets.

    spikes: [S], of the parts on the cores `sources` [S]; targets: cores [D].
    """
    here, there = places(sources, cores_per_chip), places(targets, cores_per_chip)
    found = Traffic()
    for index, sent in enumerate(spikes.tolist()):
        same = there.chip == here.chip[index]
        x = np.abs(there.column - here.column[index])[same]
        y = np.abs(there.row - here.row[index])[same]
        found += Traffic(
            messages=sent * len(targets),
            local=sent * int(np.count_nonzero(x + y == 0)),
            hops_x=sent * int(x.sum()),
            hops_y=sent * int(y.sum()),
            crossing=sent * int(np.count_nonzero(~same)),
        )
    return found


def routers_used(cores: int) -> int:
    """How many routers of a chip so many cores occupy, numbered from 0."""
    return -(-cores // CORES_PER_ROUTER)
