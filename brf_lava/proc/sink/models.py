"""Python models of the sink."""

from __future__ import annotations

from typing import Any

import numpy as np
from lava.magma.core.decorator import implements, requires, tag
from lava.magma.core.model.py.model import PyLoihiProcessModel
from lava.magma.core.model.py.ports import PyInPort
from lava.magma.core.model.py.type import LavaPyType
from lava.magma.core.resources import CPU
from lava.magma.core.sync.protocols.loihi_protocol import LoihiProtocol

from brf_lava.proc.sink.process import Sink


class _SinkModel(PyLoihiProcessModel):
    a_in: PyInPort

    def __init__(self, proc_params: Any) -> None:
        super().__init__(proc_params)
        self.record = proc_params["record"]
        self.counter = proc_params["counter"]

    def run_spk(self) -> None:
        data = self.a_in.recv()
        t = self.time_step - 1  # Lava counts from 1
        if t < len(self.record):
            self.record[t] = data
        if self.counter is not None:
            self.counter[0] = self.time_step


@implements(proc=Sink, protocol=LoihiProtocol)
@requires(CPU)
@tag("fixed_pt")
class FixedSinkModel(_SinkModel):
    """Integers."""

    a_in: PyInPort = LavaPyType(PyInPort.VEC_DENSE, np.int32)


@implements(proc=Sink, protocol=LoihiProtocol)
@requires(CPU)
@tag("floating_pt")
class FloatingSinkModel(_SinkModel):
    """Real numbers."""

    a_in: PyInPort = LavaPyType(PyInPort.VEC_DENSE, float)
