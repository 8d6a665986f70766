"""Python models of the live source."""

from __future__ import annotations

from typing import Any

import numpy as np
from lava.magma.core.decorator import implements, requires, tag
from lava.magma.core.model.py.model import PyLoihiProcessModel
from lava.magma.core.model.py.ports import PyOutPort
from lava.magma.core.model.py.type import LavaPyType
from lava.magma.core.resources import CPU
from lava.magma.core.sync.protocols.loihi_protocol import LoihiProtocol

from brf_lava.proc.live_source.process import LiveSource


class _LiveSourceModel(PyLoihiProcessModel):
    s_out: PyOutPort

    def __init__(self, proc_params: Any) -> None:
        super().__init__(proc_params)
        self.feed = proc_params["feed"]

    def run_spk(self) -> None:
        self.s_out.send(self.feed.receive(self.time_step))


@implements(proc=LiveSource, protocol=LoihiProtocol)
@requires(CPU)
@tag("fixed_pt")
class FixedLiveSourceModel(_LiveSourceModel):
    """Spikes, or graded inputs of 8 bits, signed or not."""

    s_out: PyOutPort = LavaPyType(PyOutPort.VEC_DENSE, np.int16)


@implements(proc=LiveSource, protocol=LoihiProtocol)
@requires(CPU)
@tag("floating_pt")
class FloatingLiveSourceModel(_LiveSourceModel):
    """Real numbers."""

    s_out: PyOutPort = LavaPyType(PyOutPort.VEC_DENSE, float)
