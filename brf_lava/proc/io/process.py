"""Processes that feed a network and record what it sends, and their Python models."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from lava.magma.core.model.py.model import PyLoihiProcessModel
from lava.magma.core.model.py.ports import PyInPort, PyOutPort
from lava.magma.core.process.ports.ports import InPort, OutPort
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


class _SourceModel(PyLoihiProcessModel):
    s_out: PyOutPort

    def run_spk(self) -> None:
        self.s_out.send(self.proc_params["feed"](self.time_step))


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


FixedSourceModel, FloatingSourceModel = python_models(Source, _SourceModel, s_out=S_OUT)
FixedLiveSourceModel, FloatingLiveSourceModel = python_models(LiveSource, _SourceModel, s_out=S_OUT)
FixedSinkModel, FloatingSinkModel = python_models(
    Sink, _SinkModel, a_in=(PyInPort.VEC_DENSE, np.int32, float)
)
