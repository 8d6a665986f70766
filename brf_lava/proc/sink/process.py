"""A process that records what a port sends, in memory that the parent reads without a copy."""

from __future__ import annotations

from typing import Any

import numpy as np
from lava.magma.core.model.py.model import PyLoihiProcessModel
from lava.magma.core.model.py.ports import PyInPort
from lava.magma.core.process.ports.ports import InPort
from lava.magma.core.process.process import AbstractProcess
from numpy.typing import NDArray

from brf_lava.proc.python_models import python_models


class Sink(AbstractProcess):
    """Writes what arrives in step t to ``record[t]``; steps past its end are dropped.

    record: [steps, B, N], or [steps, N], in shared memory (`io.shared_memory`), int8 for spikes,
    int32 for readouts, float for real numbers. counter: [1] int64 in shared memory, set to the
    steps done. name: what error messages call this process.

    Port: a_in (B, N), int32 | float, without delay.
    """

    def __init__(
        self, *, record: NDArray[Any], counter: NDArray[Any] | None = None, name: str = ""
    ) -> None:
        super().__init__(record=record, counter=counter, name=name)
        self.a_in = InPort(shape=record.shape[1:])


class _SinkModel(PyLoihiProcessModel):
    a_in: PyInPort

    def run_spk(self) -> None:
        data = self.a_in.recv()
        record, counter = self.proc_params["record"], self.proc_params["counter"]
        t = self.time_step - 1  # Lava counts from 1
        if t < len(record):
            record[t] = data
        if counter is not None:
            counter[0] = self.time_step


FixedSinkModel, FloatingSinkModel = python_models(
    Sink, _SinkModel, a_in=(PyInPort.VEC_DENSE, np.int32, float)
)
