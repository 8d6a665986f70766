"""Balanced harmonic resonate-and-fire neurons."""

from __future__ import annotations

from brf_lava.neurons import families
from brf_lava.proc.layer import NeuronLayer


class BHRF(NeuronLayer):
    """Balanced harmonic resonate-and-fire neurons.

    Equations: `neurons.fixed.bhrf_step`, `neurons.real.bhrf_step`.

    friction: [N], 2 * dt * damping, `parameter_bits` fraction bits | damping, 1/s
    rotation: [N], dt * omega, `parameter_bits` fraction bits | rad/s

    Vars besides these: u, w, q. The other arguments, the ports and the number formats are
    those of `NeuronLayer`.
    """

    neuron = families.BHRF
