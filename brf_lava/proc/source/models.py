"""Python models of the source."""

from __future__ import annotations

from typing import Any

import numpy as np
from lava.magma.core.decorator import implements, requires, tag
from lava.magma.core.model.py.model import PyLoihiProcessModel
from lava.magma.core.model.py.ports import PyOutPort
from lava.magma.core.model.py.type import LavaPyType
from lava.magma.core.resources import CPU
from lava.magma.core.sync.protocols.loihi_protocol import LoihiProtocol

from brf_lava.proc.source.process import Source


class _SourceModel(PyLoihiProcessModel):
    s_out: PyOutPort

    def __init__(self, proc_params: Any) -> None:
        super().__init__(proc_params)
        self.recording = proc_params["recording"]
        self.silence = np.zeros_like(self.recording[0])

    def run_spk(self) -> None:
        t = self.time_step - 1  # Lava counts from 1
        self.s_out.send(self.recording[t] if t < len(self.recording) else self.silence)


@implements(proc=Source, protocol=LoihiProtocol)
@requires(CPU)
@tag("fixed_pt")
class FixedSourceModel(_SourceModel):
    """Spikes, or graded inputs of 8 bits, signed or not."""

    s_out: PyOutPort = LavaPyType(PyOutPort.VEC_DENSE, np.int16)


@implements(proc=Source, protocol=LoihiProtocol)
@requires(CPU)
@tag("floating_pt")
class FloatingSourceModel(_SourceModel):
    """Real numbers."""

    s_out: PyOutPort = LavaPyType(PyOutPort.VEC_DENSE, float)
