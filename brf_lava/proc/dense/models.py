"""Python models of the batched dense connection."""

from __future__ import annotations

from typing import Any

import numpy as np
from lava.magma.core.model.py.model import PyLoihiProcessModel
from lava.magma.core.model.py.ports import PyInPort, PyOutPort
from numpy.typing import NDArray

from brf_lava.proc.dense.process import BatchDense
from brf_lava.proc.python_models import python_models


def weighted_sum(spikes: Any, weights: Any, exponent: Any) -> NDArray[Any]:
    """``spikes @ weights.T * 2**exponent``, [B, N] or [N], in the float type of `weights`.

    Exact for integers: the process has checked that no sum passes 2**24, and a power of two
    changes only the exponent of a float.
    """
    currents: NDArray[Any] = np.ldexp(spikes.astype(weights.dtype) @ weights.T, exponent)
    return currents


class _DenseModel(PyLoihiProcessModel):
    s_in: PyInPort
    a_out: PyOutPort
    weights: NDArray[Any]
    exponent: NDArray[Any]
    a_buff: NDArray[Any]

    def run_spk(self) -> None:
        self.a_out.send(self.a_buff)  # before receiving, or recurrent loops would deadlock
        currents = weighted_sum(self.s_in.recv(), self.weights, self.exponent)
        self.a_buff = currents.astype(self.a_buff.dtype)


# In integers the matrix product runs in float32, where it is exact and fast.
FixedBatchDenseModel, FloatingBatchDenseModel = python_models(
    BatchDense,
    _DenseModel,
    s_in=(PyInPort.VEC_DENSE, np.int16, float),
    a_out=(PyOutPort.VEC_DENSE, np.int32, float),
    weights=(np.ndarray, np.float32, float),
    exponent=(np.ndarray, np.int32, np.int32),
    a_buff=(np.ndarray, np.int32, float),
)
