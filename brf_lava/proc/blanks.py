"""Blank steps: between two sequences of one stream, so that the second starts from zero state.

Zeroing the states alone is not exact: the recurrent connection still delivers the spikes of the
sequence before. In a blank step a layer drops what arrives, zeroes its states and sends zeros; the
layer behind it has its blank step one step later.
"""

from __future__ import annotations

from typing import Protocol


class Blanks(Protocol):
    """Asked by a layer's model in every step, in the child process."""

    def due(self, step: int) -> bool:
        """Whether this step is a blank one for the layer. step: counted from 1, as Lava does."""
