"""Balanced resonate-and-fire neurons."""

from __future__ import annotations

from brf_lava.neurons import families
from brf_lava.proc.layer import NeuronLayer


class BRF(NeuronLayer):
    """Balanced resonate-and-fire neurons.

    Equations: `neurons.fixed.brf_step`, `neurons.real.brf_step`.

    damping:  [N], dt * (p(omega) - b_offset), `parameter_bits` fraction bits | 1/s
    rotation: [N], dt * omega, `parameter_bits` fraction bits | rad/s

    Vars besides these: u, v, q. The other arguments, the ports and the number formats are
    those of `NeuronLayer`.
    """

    neuron = families.BRF
