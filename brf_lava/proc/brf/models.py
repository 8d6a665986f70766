"""Python models of the BRF layer: ports and states; the arithmetic is `brf_lava.neurons`."""

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

from brf_lava.errors import ParameterError
from brf_lava.neurons import fixed, real
from brf_lava.proc.brf.process import BRF


@implements(proc=BRF, protocol=LoihiProtocol)
@requires(CPU)
@tag("fixed_pt")
class FixedBRFModel(PyLoihiProcessModel):
    """Integers, bit for bit what the engine and the chip compute."""

    a_in: PyInPort = LavaPyType(PyInPort.VEC_DENSE, np.int64)
    s_out: PyOutPort = LavaPyType(PyOutPort.VEC_DENSE, np.int8)
    u: NDArray[Any] = LavaPyType(np.ndarray, np.int64, precision=24)
    v: NDArray[Any] = LavaPyType(np.ndarray, np.int64, precision=24)
    q: NDArray[Any] = LavaPyType(np.ndarray, np.int64, precision=24)
    damping: NDArray[Any] = LavaPyType(np.ndarray, np.int64)
    rotation: NDArray[Any] = LavaPyType(np.ndarray, np.int64)

    def __init__(self, proc_params: Any) -> None:
        super().__init__(proc_params)
        self.constants = proc_params["constants"]
        self.probe = proc_params["probe"]
        if not isinstance(self.constants, fixed.BRFConstants):
            raise ParameterError(
                f"BRF: constants {self.constants} with the fixed_pt model; fixed.BRFConstants are "
                "needed. Select the floating_pt model or quantize."
            )

    def run_spk(self) -> None:
        states, spikes = fixed.brf_step(
            (self.u, self.v, self.q),
            self.a_in.recv(),
            (self.damping, self.rotation),
            self.constants,
        )
        self.s_out.send(spikes)
        self.u, self.v, self.q = states
        if self.probe is not None:
            self.probe.write(self.time_step, spikes, states)


@implements(proc=BRF, protocol=LoihiProtocol)
@requires(CPU)
@tag("floating_pt")
class FloatingBRFModel(PyLoihiProcessModel):
    """Real numbers, for work on algorithms."""

    a_in: PyInPort = LavaPyType(PyInPort.VEC_DENSE, float)
    s_out: PyOutPort = LavaPyType(PyOutPort.VEC_DENSE, float)
    u: NDArray[Any] = LavaPyType(np.ndarray, float)
    v: NDArray[Any] = LavaPyType(np.ndarray, float)
    q: NDArray[Any] = LavaPyType(np.ndarray, float)
    damping: NDArray[Any] = LavaPyType(np.ndarray, float)
    rotation: NDArray[Any] = LavaPyType(np.ndarray, float)

    def __init__(self, proc_params: Any) -> None:
        super().__init__(proc_params)
        self.constants = proc_params["constants"]
        if not isinstance(self.constants, real.BRFConstants):
            raise ParameterError(
                f"BRF: constants {self.constants} with the floating_pt model; real.BRFConstants "
                "are needed. Select the fixed_pt model, Loihi2SimCfg(select_tag='fixed_pt')."
            )

    def run_spk(self) -> None:
        (self.u, self.v, self.q), spikes = real.brf_step(
            (self.u, self.v, self.q),
            self.a_in.recv(),
            (self.damping, self.rotation),
            self.constants,
        )
        self.s_out.send(spikes)
