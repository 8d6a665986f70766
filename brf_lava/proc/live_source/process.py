"""Feeds a stream into the network: each step waits for its input."""

from __future__ import annotations

from typing import Any, Protocol

from lava.magma.core.process.ports.ports import OutPort
from lava.magma.core.process.process import AbstractProcess
from numpy.typing import NDArray


class Feed(Protocol):
    """Called by the model, in the child process."""

    def receive(self, step: int) -> NDArray[Any]:
        """Wait for the input of a step, and return it: (B, I). step: counted from 1."""


class LiveSource(AbstractProcess):
    """Sends in step t what ``feed.receive(t)`` returns; all of the graph waits for that.

    Run its graph with `backends.sim.guard.running`: the run has no last step of its own.

    feed:  where the inputs come from, integers of 8 bits, signed or not (model fixed_pt) or real
           numbers (floating_pt)
    shape: (B, I)
    name:  what error messages call this process

    Port: s_out (B, I), int16 | float.
    """

    def __init__(self, *, feed: Feed, shape: tuple[int, int], name: str = "") -> None:
        super().__init__(feed=feed, name=name)
        self.s_out = OutPort(shape=shape)
