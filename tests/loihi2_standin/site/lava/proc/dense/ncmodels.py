"""Lava's Dense on the chip."""

from __future__ import annotations

from typing import Any

import numpy as np
from lava.magma.core.decorator import implements, requires, tag
from lava.magma.core.model.nc.model import AbstractNcProcessModel
from lava.magma.core.model.nc.ports import NcInPort, NcOutPort
from lava.magma.core.model.nc.type import LavaNcType
from lava.magma.core.model.nc.var import NcVar
from lava.magma.core.resources import Loihi2NeuroCore
from lava.magma.core.sync.protocols.loihi_protocol import LoihiProtocol
from lava.proc.dense.process import Dense


@implements(proc=Dense, protocol=LoihiProtocol)
@requires(Loihi2NeuroCore)
@tag("fixed_pt")
class NcDenseModel(AbstractNcProcessModel):
    s_in: NcInPort = LavaNcType(NcInPort, np.int32, precision=24)
    a_out: NcOutPort = LavaNcType(NcOutPort, np.int32, precision=24)
    weights: NcVar = LavaNcType(NcVar, np.int32, precision=9)  # 8 bits, and even numbers alone
    a_buff: NcVar = LavaNcType(NcVar, np.int32, precision=24)
    num_message_bits: NcVar = LavaNcType(NcVar, np.int32, precision=6)

    def allocate(self, net: Any) -> None:
        params = self.proc_params
        net.synapses.allocate(
            shape=self.weights.var.shape,
            weights=self.weights,
            weight_exp=params.get("weight_exp", 0),
            num_weight_bits=params.get("num_weight_bits", 8),
            sign_mode=params.get("sign_mode"),
            num_message_bits=params.get("num_message_bits", 0),
        )
