"""Python models of the BRF layer: its ports and variables."""

from __future__ import annotations

from typing import Any

import numpy as np
from lava.magma.core.decorator import implements, requires, tag
from lava.magma.core.model.py.ports import PyInPort, PyOutPort
from lava.magma.core.model.py.type import LavaPyType
from lava.magma.core.resources import CPU
from lava.magma.core.sync.protocols.loihi_protocol import LoihiProtocol
from numpy.typing import NDArray

from brf_lava.neurons import families
from brf_lava.proc.brf.process import BRF
from brf_lava.proc.layer_models import NeuronModel


@implements(proc=BRF, protocol=LoihiProtocol)
@requires(CPU)
@tag("fixed_pt")
class FixedBRFModel(NeuronModel):
    """Integers, bit for bit what the engine and the chip compute."""

    neuron = families.BRF
    number_system = "fixed"
    a_in: PyInPort = LavaPyType(PyInPort.VEC_DENSE, np.int64)
    s_out: PyOutPort = LavaPyType(PyOutPort.VEC_DENSE, np.int8)
    u: NDArray[Any] = LavaPyType(np.ndarray, np.int64, precision=24)
    v: NDArray[Any] = LavaPyType(np.ndarray, np.int64, precision=24)
    q: NDArray[Any] = LavaPyType(np.ndarray, np.int64, precision=24)
    damping: NDArray[Any] = LavaPyType(np.ndarray, np.int64)
    rotation: NDArray[Any] = LavaPyType(np.ndarray, np.int64)


@implements(proc=BRF, protocol=LoihiProtocol)
@requires(CPU)
@tag("floating_pt")
class FloatingBRFModel(NeuronModel):
    """Real numbers, for work on algorithms."""

    neuron = families.BRF
    number_system = "real"
    a_in: PyInPort = LavaPyType(PyInPort.VEC_DENSE, float)
    s_out: PyOutPort = LavaPyType(PyOutPort.VEC_DENSE, float)
    u: NDArray[Any] = LavaPyType(np.ndarray, float)
    v: NDArray[Any] = LavaPyType(np.ndarray, float)
    q: NDArray[Any] = LavaPyType(np.ndarray, float)
    damping: NDArray[Any] = LavaPyType(np.ndarray, float)
    rotation: NDArray[Any] = LavaPyType(np.ndarray, float)
