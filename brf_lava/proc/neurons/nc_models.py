"""The models of the neurons on Loihi 2; none where Intel's extension for Lava is not installed.

They were written from the open parts of Lava and from models that were published with it, and have
not been run on hardware.
"""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np
from lava.magma.core.decorator import implements, requires, tag
from lava.magma.core.resources import Loihi2NeuroCore
from lava.magma.core.sync.protocols.loihi_protocol import LoihiProtocol
from lava.utils.loihi import is_installed

from brf_lava.errors import ParameterError
from brf_lava.neurons.families import NEURONS, Neuron
from brf_lava.neurons.fixed import STATE_WIDTH
from brf_lava.proc.microcode import MESSAGE_BITS
from brf_lava.proc.neurons.process import NeuronLayer, process_class

if is_installed():  # Lava imports every module next to a process in search of models
    from lava.magma.core.model.nc.model import AbstractNcProcessModel
    from lava.magma.core.model.nc.ports import NcInPort, NcOutPort
    from lava.magma.core.model.nc.type import LavaNcType
    from lava.magma.core.model.nc.var import NcVar

    class NcNeuronModel(AbstractNcProcessModel):
        """A group of neurons in the neuro cores: their program, states and output axons."""

        neuron: Neuron

        def allocate(self, net: Any) -> None:
            """Ask for what the layer needs. net: what the compiler hands out resources from."""
            neuron = self.neuron
            microcode = self.proc_params["microcode"]
            if microcode is None:
                raise ParameterError(
                    f"{neuron.name}: no neuron program; on Loihi 2 a layer needs one. Give the "
                    "process microcode=Microcode(...), or run the network with brf-lava."
                )
            names = (*neuron.states, *neuron.fixed_coefficients)
            size = prod(getattr(self, neuron.states[0]).var.shape)
            program = net.neurons_cfg.allocate_ucode(
                shape=(1,), ucode=str(microcode.path), **microcode.all_constants
            )
            neurons = net.neurons.allocate_ucode(
                shape=size, **{name: getattr(self, name) for name in names}
            )
            axons = net.ax_out.allocate(
                shape=size, num_message_bits=0 if neuron.spiking else MESSAGE_BITS
            )
            self.a_in.connect(neurons)
            neurons.connect(program)
            neurons.connect(axons)
            axons.connect(self.s_out if neuron.spiking else self.o_out)

    def nc_model_of(process: type[NeuronLayer]) -> Any:
        """The model of a process in the neuro cores, declared from its neuron's record."""
        neuron = process.neuron
        out, message_bits = ("s_out", 1) if neuron.spiking else ("o_out", MESSAGE_BITS)
        kinds = {"a_in": (NcInPort, STATE_WIDTH), out: (NcOutPort, message_bits)}
        for name in (*neuron.states, *neuron.fixed_coefficients):
            kinds[name] = NcVar, 1 if name == "z" else STATE_WIDTH  # z: a spike, kept
        types = {name: LavaNcType(kind, np.int32, bits) for name, (kind, bits) in kinds.items()}
        attributes = {"__module__": __name__, "neuron": neuron, **types}
        model = type(f"Nc{neuron.name}Model", (NcNeuronModel,), attributes)
        return implements(process, LoihiProtocol)(requires(Loihi2NeuroCore)(tag("fixed_pt")(model)))

    for _neuron in NEURONS.values():
        _model = nc_model_of(process_class(_neuron))
        globals()[_model.__name__] = _model
