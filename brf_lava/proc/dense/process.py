"""A dense connection for a whole batch, with the one step of delay that Loihi has."""

from __future__ import annotations

from typing import Any

import numpy as np
from lava.magma.core.model.py.model import PyLoihiProcessModel
from lava.magma.core.model.py.ports import PyInPort, PyOutPort
from lava.magma.core.process.ports.ports import InPort, OutPort
from lava.magma.core.process.process import AbstractProcess
from lava.magma.core.process.variable import Var
from numpy.typing import NDArray

from brf_lava.errors import ParameterError
from brf_lava.network.layers import largest_sums
from brf_lava.neurons.fixed import CURRENT_MAX
from brf_lava.proc.python_models import python_models

EXACT_MAX = 2**24  # float32 holds every integer up to here


class BatchDense(AbstractProcess):
    """``a[t] = weights @ s[t - 1] * 2**exponent``, for every sample alike.

    Lava's own Dense knows no batch and truncates weights of mixed sign to even numbers.

    samples:  B, or None for one sample without an axis of its own: (I,) and (N,)
    weights:  [N, I], row = postsynaptic neuron; int8 mantissa (model fixed_pt) or real numbers
              (model floating_pt)
    exponent: shift of all products to the left, >= 0
    largest:  the largest absolute value that s_in will bring, 1 for spikes
    name:     what error messages call this process

    In integers no sum may pass 2**24: so it is exact in the float32 of the matrix product.

    Ports: s_in (B, I), int16 | float; a_out (B, N), int32 currents | float. Vars, to be read with
    `get` and written with `set`, unchecked, between two runs of a graph: weights (N, I), exponent
    (1,), a_buff (B, N), the currents that are sent in the next step.

    Raises: ParameterError if integer weights can add up to more than int32 holds.
    """

    def __init__(
        self,
        *,
        samples: int | None,
        weights: NDArray[Any],
        exponent: int = 0,
        largest: int = 1,
        name: str = "",
    ) -> None:
        super().__init__(name=name)  # first: Lava's destructor fails on a process without it
        if np.issubdtype(weights.dtype, np.integer):
            sums = largest_sums(weights.astype(np.int64), largest)
            allowed = min(EXACT_MAX, CURRENT_MAX >> exponent)
            if sums.max(initial=0) > allowed:
                raise ParameterError(
                    f"weights: the magnitudes of row {int(sums.argmax())}, times the largest input "
                    f"{largest}, add up to {int(sums.max())}; with exponent {exponent} at most "
                    f"{allowed} fits an int32 current. Lower the exponent or use fewer inputs."
                )
        neurons, inputs = weights.shape
        batch = () if samples is None else (samples,)
        self.s_in = InPort(shape=(*batch, inputs))
        self.a_out = OutPort(shape=(*batch, neurons))
        self.weights = Var(shape=weights.shape, init=weights)
        self.exponent = Var(shape=(1,), init=np.array([exponent]))
        self.a_buff = Var(shape=(*batch, neurons), init=0)


class _DenseModel(PyLoihiProcessModel):
    s_in: PyInPort
    a_out: PyOutPort
    weights: NDArray[Any]
    exponent: NDArray[Any]
    a_buff: NDArray[Any]

    def run_spk(self) -> None:
        self.a_out.send(self.a_buff)  # before receiving, or recurrent loops would deadlock
        spikes = self.s_in.recv().astype(self.weights.dtype)
        # exact for integers, see above: a power of two changes only the exponent of a float
        currents = np.ldexp(spikes @ self.weights.T, self.exponent)
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
