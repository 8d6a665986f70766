"""Python models of the live source."""

from __future__ import annotations

from typing import Any

import numpy as np
from lava.magma.core.model.py.model import PyLoihiProcessModel
from lava.magma.core.model.py.ports import PyOutPort

from brf_lava.proc.live_source.process import LiveSource
from brf_lava.proc.python_models import python_models


class _LiveSourceModel(PyLoihiProcessModel):
    s_out: PyOutPort

    def __init__(self, proc_params: Any) -> None:
        super().__init__(proc_params)
        self.feed = proc_params["feed"]

    def run_spk(self) -> None:
        self.s_out.send(self.feed.receive(self.time_step))


FixedLiveSourceModel, FloatingLiveSourceModel = python_models(
    LiveSource, _LiveSourceModel, s_out=(PyOutPort.VEC_DENSE, np.int16, float)
)
