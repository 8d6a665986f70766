"""Python models of the sink."""

from __future__ import annotations

from typing import Any

import numpy as np
from lava.magma.core.model.py.model import PyLoihiProcessModel
from lava.magma.core.model.py.ports import PyInPort

from brf_lava.proc.python_models import python_models
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


FixedSinkModel, FloatingSinkModel = python_models(
    Sink, _SinkModel, a_in=(PyInPort.VEC_DENSE, np.int32, float)
)
