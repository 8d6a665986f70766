"""Python models of the readout: ports and states; the arithmetic is `brf_lava.neurons`."""

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
from brf_lava.proc.li.process import LI


@implements(proc=LI, protocol=LoihiProtocol)
@requires(CPU)
@tag("fixed_pt")
class FixedLIModel(PyLoihiProcessModel):
    """Integers, bit for bit what the engine and the chip compute."""

    a_in: PyInPort = LavaPyType(PyInPort.VEC_DENSE, np.int64)
    o_out: PyOutPort = LavaPyType(PyOutPort.VEC_DENSE, np.int32)
    o: NDArray[Any] = LavaPyType(np.ndarray, np.int64, precision=24)
    decay: NDArray[Any] = LavaPyType(np.ndarray, np.int64)

    def __init__(self, proc_params: Any) -> None:
        super().__init__(proc_params)
        self.constants = proc_params["constants"]
        self.probe = proc_params["probe"]
        if not isinstance(self.constants, fixed.LIConstants):
            raise ParameterError(
                f"LI: constants {self.constants} with the fixed_pt model; fixed.LIConstants are "
                "needed. Select the floating_pt model or quantize."
            )

    def run_spk(self) -> None:
        (self.o,), output = fixed.li_step(
            (self.o,), self.a_in.recv(), (self.decay,), self.constants
        )
        self.o_out.send(output)
        if self.probe is not None:
            self.probe.write(self.time_step, output, (self.o,))


@implements(proc=LI, protocol=LoihiProtocol)
@requires(CPU)
@tag("floating_pt")
class FloatingLIModel(PyLoihiProcessModel):
    """Real numbers, for work on algorithms."""

    a_in: PyInPort = LavaPyType(PyInPort.VEC_DENSE, float)
    o_out: PyOutPort = LavaPyType(PyOutPort.VEC_DENSE, float)
    o: NDArray[Any] = LavaPyType(np.ndarray, float)
    decay: NDArray[Any] = LavaPyType(np.ndarray, float)

    def __init__(self, proc_params: Any) -> None:
        super().__init__(proc_params)
        self.constants = proc_params["constants"]
        if not isinstance(self.constants, real.LIConstants):
            raise ParameterError(
                f"LI: constants {self.constants} with the floating_pt model; real.LIConstants "
                "are needed. Select the fixed_pt model, Loihi2SimCfg(select_tag='fixed_pt')."
            )

    def run_spk(self) -> None:
        (self.o,), output = real.li_step((self.o,), self.a_in.recv(), (self.decay,), self.constants)
        self.o_out.send(output)
