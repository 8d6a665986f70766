"""Python models of the batched dense connection."""

from __future__ import annotations

from typing import Any

import numpy as np
from lava.magma.core.decorator import implements, requires, tag
from lava.magma.core.model.py.model import PyLoihiProcessModel
from lava.magma.core.model.py.ports import PyInPort, PyOutPort
from lava.magma.core.model.py.type import LavaPyType
from lava.magma.core.resources import CPU
from lava.magma.core.sync.protocols.loihi_protocol import LoihiProtocol
from numpy.typing import NDArray

from brf_lava.proc.dense.process import BatchDense


def weighted_sum(spikes: Any, weights: Any, exponent: Any) -> NDArray[Any]:
    """``spikes @ weights.T * 2**exponent``, [B, N] or [N], in the float type of `weights`.

    Exact for integers: the process has checked that no sum passes 2**24, and a power of two
    changes only the exponent of a float.
    """
    currents: NDArray[Any] = np.ldexp(spikes.astype(weights.dtype) @ weights.T, exponent)
    return currents


@implements(proc=BatchDense, protocol=LoihiProtocol)
@requires(CPU)
@tag("fixed_pt")
class FixedDenseModel(PyLoihiProcessModel):
    """Integers; the matrix product runs in float32, where it is exact and fast."""

    s_in: PyInPort = LavaPyType(PyInPort.VEC_DENSE, np.int16)
    a_out: PyOutPort = LavaPyType(PyOutPort.VEC_DENSE, np.int32)
    weights: NDArray[Any] = LavaPyType(np.ndarray, np.float32)
    exponent: NDArray[Any] = LavaPyType(np.ndarray, np.int32)
    a_buff: NDArray[Any] = LavaPyType(np.ndarray, np.int32)

    def run_spk(self) -> None:
        self.a_out.send(self.a_buff)  # before receiving, or recurrent loops would deadlock
        self.a_buff = weighted_sum(self.s_in.recv(), self.weights, self.exponent).astype(np.int32)


@implements(proc=BatchDense, protocol=LoihiProtocol)
@requires(CPU)
@tag("floating_pt")
class FloatingDenseModel(PyLoihiProcessModel):
    """Real numbers, float64."""

    s_in: PyInPort = LavaPyType(PyInPort.VEC_DENSE, float)
    a_out: PyOutPort = LavaPyType(PyOutPort.VEC_DENSE, float)
    weights: NDArray[Any] = LavaPyType(np.ndarray, float)
    exponent: NDArray[Any] = LavaPyType(np.ndarray, np.int32)
    a_buff: NDArray[Any] = LavaPyType(np.ndarray, float)

    def run_spk(self) -> None:
        self.a_out.send(self.a_buff)  # before receiving, or recurrent loops would deadlock
        self.a_buff = weighted_sum(self.s_in.recv(), self.weights, self.exponent)
