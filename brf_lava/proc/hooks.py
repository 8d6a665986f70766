"""What processes of the models call in every step, in their child process, past all ports.

What the parent should read of it lies in shared memory (`io.shared_memory.shared_array`). Steps are
counted from 1, as Lava does.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Protocol

from numpy.typing import NDArray


class Probe(Protocol):
    """Told what the neurons of a layer computed.

    A process behind a port could record it too, but every process and connection costs time in each
    step, and states never leave through a port.
    """

    def write(self, step: int, outputs: NDArray[Any], states: Iterable[NDArray[Any]]) -> None:
        """outputs: [B, N]; states: [B, N] each, after the step."""


class Blanks(Protocol):
    """Knows the blank steps of a layer, which separate two sequences of one stream.

    Zeroing the states alone is not exact: the recurrent connection still delivers the spikes of the
    sequence before. In a blank step a layer drops what arrives, zeroes its states and sends zeros;
    the layer behind it has its blank step one step later.
    """

    def due(self, step: int) -> bool:
        """Whether this step is a blank one."""


class Feed(Protocol):
    """Delivers the inputs of a live source."""

    def receive(self, step: int) -> NDArray[Any]:
        """Wait for the input of a step, and return it: (B, I)."""
