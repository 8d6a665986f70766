"""Python models of the LI layer: its ports and variables."""

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
from brf_lava.proc.layer_models import NeuronModel
from brf_lava.proc.li.process import LI


@implements(proc=LI, protocol=LoihiProtocol)
@requires(CPU)
@tag("fixed_pt")
class FixedLIModel(NeuronModel):
    """Integers, bit for bit what the engine and the chip compute."""

    neuron = families.LI
    number_system = "fixed"
    a_in: PyInPort = LavaPyType(PyInPort.VEC_DENSE, np.int64)
    o_out: PyOutPort = LavaPyType(PyOutPort.VEC_DENSE, np.int32)
    o: NDArray[Any] = LavaPyType(np.ndarray, np.int64, precision=24)
    decay: NDArray[Any] = LavaPyType(np.ndarray, np.int64)


@implements(proc=LI, protocol=LoihiProtocol)
@requires(CPU)
@tag("floating_pt")
class FloatingLIModel(NeuronModel):
    """Real numbers, for work on algorithms."""

    neuron = families.LI
    number_system = "real"
    a_in: PyInPort = LavaPyType(PyInPort.VEC_DENSE, float)
    o_out: PyOutPort = LavaPyType(PyOutPort.VEC_DENSE, float)
    o: NDArray[Any] = LavaPyType(np.ndarray, float)
    decay: NDArray[Any] = LavaPyType(np.ndarray, float)
