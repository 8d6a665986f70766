"""Processes that feed a network, one step at a time, and their Python models."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from lava.magma.core.model.py.model import PyLoihiProcessModel
from lava.magma.core.model.py.ports import PyOutPort
from lava.magma.core.process.ports.ports import OutPort
from lava.magma.core.process.process import AbstractProcess
from numpy.typing import NDArray

from brf_lava.proc.python_models import python_models

S_OUT = (PyOutPort.VEC_DENSE, np.int16, float)


class LiveSource(AbstractProcess):
    """Sends in step t, counted from 1, what ``feed(t)`` returns; all of the graph waits for that.

    Run its graph with `backends.sim.launch.running`: the run has no last step of its own.

    feed: called in the child process; returns integers of 8 bits (model fixed_pt) or real numbers
    (floating_pt), of this shape, (B, I). name: what error messages call this process.

    Port: s_out (B, I), int16 | float, without delay.
    """

    def __init__(
        self, *, feed: Callable[[int], NDArray[Any]], shape: tuple[int, ...], name: str = ""
    ) -> None:
        super().__init__(feed=feed, name=name)
        self.s_out = OutPort(shape=shape)


class Source(LiveSource):
    """Sends ``recording[t]`` in step t, and zeros once the recording is over.

    recording: [T, B, I], or [T, I] without an axis for samples; int8 or uint8 (model fixed_pt) or
    real numbers (floating_pt); read where it lies. name: what error messages call this process.

    Port: s_out (B, I), int16 | float, without delay.
    """

    def __init__(self, *, recording: NDArray[Any], name: str = "") -> None:
        def feed(step: int) -> NDArray[Any]:
            return recording[step - 1] if step <= len(recording) else np.zeros_like(recording[0])

        super().__init__(feed=feed, shape=recording.shape[1:], name=name)


class _SourceModel(PyLoihiProcessModel):
    s_out: PyOutPort

    def run_spk(self) -> None:
        self.s_out.send(self.proc_params["feed"](self.time_step))


FixedSourceModel, FloatingSourceModel = python_models(Source, _SourceModel, s_out=S_OUT)
FixedLiveSourceModel, FloatingLiveSourceModel = python_models(LiveSource, _SourceModel, s_out=S_OUT)
