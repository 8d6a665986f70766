"""Model of the BHRF layer on Loihi 2; none where Intel's extension is not installed."""

from __future__ import annotations

import numpy as np
from lava.magma.core.decorator import implements, requires, tag
from lava.magma.core.resources import Loihi2NeuroCore
from lava.magma.core.sync.protocols.loihi_protocol import LoihiProtocol
from lava.utils.loihi import is_installed

from brf_lava.neurons import families
from brf_lava.proc.bhrf.process import BHRF

if is_installed():  # Lava imports every module beside a process in search of models
    from lava.magma.core.model.nc.ports import NcInPort, NcOutPort
    from lava.magma.core.model.nc.type import LavaNcType
    from lava.magma.core.model.nc.var import NcVar

    from brf_lava.proc.layer_nc_models import NcNeuronModel

    @implements(proc=BHRF, protocol=LoihiProtocol)
    @requires(Loihi2NeuroCore)
    @tag("fixed_pt")
    class NcBHRFModel(NcNeuronModel):
        """Integers in the neuro cores, by the program of `backends.loihi2.program`."""

        neuron = families.BHRF
        a_in: NcInPort = LavaNcType(NcInPort, np.int32, precision=24)
        s_out: NcOutPort = LavaNcType(NcOutPort, np.int32, precision=1)
        u: NcVar = LavaNcType(NcVar, np.int32, precision=24)
        w: NcVar = LavaNcType(NcVar, np.int32, precision=24)
        q: NcVar = LavaNcType(NcVar, np.int32, precision=24)
        friction: NcVar = LavaNcType(NcVar, np.int32, precision=24)
        rotation: NcVar = LavaNcType(NcVar, np.int32, precision=24)
