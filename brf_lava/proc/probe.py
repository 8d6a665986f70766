"""What a neuron process tells of itself in every step, past its ports.

A Sink behind a port can record what any process sends, but every process and every connection of a
graph costs time in every step, and states never leave through a port.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Protocol

from numpy.typing import NDArray


class Probe(Protocol):
    """Called by a fixed_pt model, in the child process: to be read in the parent, it writes to
    shared memory (`io.shared_memory.shared_array`)."""

    def write(self, step: int, outputs: NDArray[Any], states: Iterable[NDArray[Any]]) -> None:
        """step: counted from 1, as Lava does. outputs: [B, N]; states: [B, N] each, after it."""
