"""A dense connection for a whole batch, with the one step of delay that Loihi has."""

from __future__ import annotations

from typing import Any

import numpy as np
from lava.magma.core.process.ports.ports import InPort, OutPort
from lava.magma.core.process.process import AbstractProcess
from lava.magma.core.process.variable import Var
from numpy.typing import NDArray

from brf_lava.errors import ParameterError
from brf_lava.network.layers import largest_sums
from brf_lava.neurons.fixed import CURRENT_MAX

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

    Equation: `proc.dense.models.weighted_sum`. In integers no sum may pass 2**24, so that it is
    exact in the float32 of the matrix product.

    Ports: s_in (B, I), int16, spikes 0 or 1 or graded; a_out (B, N), int32 currents. Both float in
    the floating_pt model. Vars: weights (N, I), exponent (1,), a_buff (B, N), the currents that are
    sent in the next step. `get` and `set` work on them between two runs of a graph; weights that
    are set so are not checked again.

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
            _check_currents(weights, exponent, largest)
        neurons, inputs = weights.shape
        batch = () if samples is None else (samples,)
        self.s_in = InPort(shape=(*batch, inputs))
        self.a_out = OutPort(shape=(*batch, neurons))
        self.weights = Var(shape=weights.shape, init=weights)
        self.exponent = Var(shape=(1,), init=np.array([exponent]))
        self.a_buff = Var(shape=(*batch, neurons), init=0)


def _check_currents(weights: NDArray[Any], exponent: int, largest: int) -> None:
    """Refuse weights whose sum, all inputs at their largest, leaves int32 or float32's integers."""
    sums = largest_sums(weights.astype(np.int64), largest)
    allowed = min(EXACT_MAX, CURRENT_MAX >> exponent)
    if sums.size and sums.max() > allowed:
        raise ParameterError(
            f"weights: the magnitudes of row {int(sums.argmax())}, times the largest input "
            f"{largest}, add up to {int(sums.max())}; "
            f"with exponent {exponent} at most {allowed} fits an int32 current. "
            "Lower the exponent or use fewer inputs."
        )
