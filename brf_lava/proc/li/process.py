"""A readout of leaky integrators."""

from __future__ import annotations

from brf_lava.neurons import families
from brf_lava.proc.layer import NeuronLayer


class LI(NeuronLayer):
    """A readout of leaky integrators.

    Equations, `neurons.fixed.li_step` (real numbers: `neurons.real.li_step`, where the input gain
    ``1 - decay`` is part of the weights instead)::

        o' = o_out = saturate(mul(o, decay) + mul(a_in, 1 - input_gain * decay))

    ``input_gain``, one of the constants, is 1, or 0 where the weights carry ``1 - decay`` already.

    Coefficients:
    decay: [N], per step, `parameter_bits` fraction bits | a real number

    Vars: o (24 bits), and the coefficients. Ports: a_in, o_out (24 bits).
    The other arguments, shapes, number formats and `mul` are those of `NeuronLayer`.
    """

    neuron = families.LI
