"""Resonate-and-fire neurons, without reset."""

from __future__ import annotations

from brf_lava.neurons import families
from brf_lava.proc.layer import NeuronLayer


class RF(NeuronLayer):
    """Resonate-and-fire neurons, without reset.

    Equations: `neurons.fixed.rf_step`, `neurons.real.rf_step`.

    damping:  [N], dt * damping, `parameter_bits` fraction bits | 1/s
    rotation: [N], dt * omega, `parameter_bits` fraction bits | rad/s

    Vars besides these: u, v. The other arguments, the ports and the number formats are
    those of `NeuronLayer`.
    """

    neuron = families.RF
