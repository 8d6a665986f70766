"""Python models of the source."""

from __future__ import annotations

from typing import Any

import numpy as np
from lava.magma.core.model.py.model import PyLoihiProcessModel
from lava.magma.core.model.py.ports import PyOutPort

from brf_lava.proc.python_models import python_models
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


FixedSourceModel, FloatingSourceModel = python_models(
    Source, _SourceModel, s_out=(PyOutPort.VEC_DENSE, np.int16, float)
)
