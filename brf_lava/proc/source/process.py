"""Feeds a recording into the network, one step at a time."""

from __future__ import annotations

from typing import Any

from lava.magma.core.process.ports.ports import OutPort
from lava.magma.core.process.process import AbstractProcess
from numpy.typing import NDArray


class Source(AbstractProcess):
    """Sends ``recording[t]`` in step t, and zeros once the recording is over.

    recording: [T, B, I], or [T, I] without an axis for samples; int8 or uint8, spikes
               or graded inputs (model fixed_pt) or real numbers (floating_pt); read where it lies,
               children share it through fork
    name:      what error messages call this process

    Port: s_out (B, I), int16 | float. It has no Var, and no delay.
    """

    def __init__(self, *, recording: NDArray[Any], name: str = "") -> None:
        super().__init__(recording=recording, name=name)
        self.s_out = OutPort(shape=recording.shape[1:])
