"""Processes that feed a network, one step at a time, and their Python models."""

from __future__ import annotations

from typing import Any

import numpy as np
from lava.magma.core.model.py.model import PyLoihiProcessModel
from lava.magma.core.model.py.ports import PyOutPort
from lava.magma.core.process.ports.ports import OutPort
from lava.magma.core.process.process import AbstractProcess
from numpy.typing import NDArray

from brf_lava.proc.hooks import Feed
from brf_lava.proc.python_models import python_models

S_OUT = (PyOutPort.VEC_DENSE, np.int16, float)


class Source(AbstractProcess):
    """Sends ``recording[t]`` in step t, and zeros once the recording is over.

    recording: [T, B, I], or [T, I] without an axis for samples; int8 or uint8 (model fixed_pt) or
    real numbers (floating_pt); read where it lies. name: what error messages call this process.

    Port: s_out (B, I), int16 | float, without delay.
    """

    def __init__(self, *, recording: NDArray[Any], name: str = "") -> None:
        super().__init__(recording=recording, name=name)
        self.s_out = OutPort(shape=recording.shape[1:])


class LiveSource(AbstractProcess):
    """Sends in step t what ``feed(t)`` returns; all of the graph waits for that.

    Run its graph with `backends.sim.launch.running`: the run has no last step of its own.

    feed: returns integers of 8 bits (model fixed_pt) or real numbers (floating_pt), of this shape,
    (B, I). name: what error messages call this process.

    Port: s_out (B, I), int16 | float, without delay.
    """

    def __init__(self, *, feed: Feed, shape: tuple[int, int], name: str = "") -> None:
        super().__init__(feed=feed, name=name)
        self.s_out = OutPort(shape=shape)


class _SourceModel(PyLoihiProcessModel):
    s_out: PyOutPort

    def __init__(self, proc_params: Any) -> None:
        super().__init__(proc_params)
        self.recording = proc_params["recording"]
        self.silence = np.zeros_like(self.recording[0])

    def run_spk(self) -> None:
        t = self.time_step - 1  # Lava counts from 1
        self.s_out.send(self.recording[t] if t < len(self.recording) else self.silence)


class _LiveSourceModel(PyLoihiProcessModel):
    s_out: PyOutPort

    def run_spk(self) -> None:
        self.s_out.send(self.proc_params["feed"](self.time_step))


FixedSourceModel, FloatingSourceModel = python_models(Source, _SourceModel, s_out=S_OUT)
FixedLiveSourceModel, FloatingLiveSourceModel = python_models(
    LiveSource, _LiveSourceModel, s_out=S_OUT
)
