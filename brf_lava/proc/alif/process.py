"""Adaptive leaky integrate-and-fire neurons."""

from __future__ import annotations

from brf_lava.neurons import families
from brf_lava.proc.layer import NeuronLayer


class ALIF(NeuronLayer):
    """Adaptive leaky integrate-and-fire neurons.

    Equations: `neurons.fixed.alif_step`, `neurons.real.alif_step`.

    decay:      [N], of the membrane per step, `parameter_bits` fraction bits | a real number
    adaptation: [N], decay of the adaptation per step, likewise

    Vars besides these: u, a, z. The other arguments, the ports and the number formats are
    those of `NeuronLayer`.
    """

    neuron = families.ALIF
