"""A readout of leaky integrators."""

from __future__ import annotations

from brf_lava.neurons import families
from brf_lava.proc.layer import NeuronLayer


class LI(NeuronLayer):
    """A readout of leaky integrators.

    Equations: `neurons.fixed.li_step`, `neurons.real.li_step`.

    decay: [N], per step, `parameter_bits` fraction bits | a real number

    Vars besides these: o. The other arguments, the ports and the number formats are
    those of `NeuronLayer`.
    """

    neuron = families.LI
