"""Adaptive leaky integrate-and-fire neurons."""

from __future__ import annotations

from brf_lava.neurons import families
from brf_lava.proc.layer import NeuronLayer


class ALIF(NeuronLayer):
    """Adaptive leaky integrate-and-fire neurons.

    Equations, `neurons.fixed.alif_step` (real numbers: `neurons.real.alif_step`, where the input
    gain ``1 - decay`` is part of the weights instead)::

        r  = u - z * (theta + mul(a, beta))
        a' = mul(a, adaptation) + z * (1 - adaptation)
        u' = saturate(mul(r, decay) + mul(a_in, 1 - input_gain * decay))
        z' = s_out = u' > theta + mul(a', beta)

    ``input_gain``, one of the constants, is 1, or 0 where the weights carry ``1 - decay`` already.

    Coefficients:
    decay:      [N], of the membrane per step, `parameter_bits` fraction bits | a real number
    adaptation: [N], decay of the adaptation per step, likewise

    Vars: u, a (24 bits each), z (1 bit), and the coefficients. Ports: a_in, s_out (1 bit).
    The other arguments, shapes, number formats and `mul` are those of `NeuronLayer`.
    """

    neuron = families.ALIF
