"""What the Loihi 2 models of all neurons have in common: what they ask the compiler for.

Importable only where Intel's extension for Lava is. It was written from the open parts of Lava and
from models that were published with it, and has not been run on hardware.
"""

from __future__ import annotations

from math import prod
from typing import Any

from lava.magma.core.model.nc.model import AbstractNcProcessModel

from brf_lava.errors import ParameterError
from brf_lava.neurons.families import Neuron
from brf_lava.proc.microcode import MESSAGE_BITS


class NcNeuronModel(AbstractNcProcessModel):
    """A group of neurons in the neuro cores: their program, states and output axons."""

    neuron: Neuron

    def allocate(self, net: Any) -> None:
        """Ask for what the layer needs. net: what the compiler hands out resources from.

        Raises: ParameterError where the process was not given a program.
        """
        neuron = self.neuron
        microcode = self.proc_params["microcode"]
        if microcode is None:
            raise ParameterError(
                f"{neuron.name}: no neuron program; on Loihi 2 a layer needs one. Give the process "
                "microcode=Microcode(...), or run the network with brf-lava."
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
