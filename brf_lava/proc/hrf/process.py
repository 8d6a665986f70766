"""Harmonic resonate-and-fire neurons, without reset."""

from __future__ import annotations

from brf_lava.neurons import families
from brf_lava.proc.layer import NeuronLayer


class HRF(NeuronLayer):
    """Harmonic resonate-and-fire neurons, without reset.

    Equations: `neurons.fixed.hrf_step`, `neurons.real.hrf_step`.

    friction: [N], 2 * dt * damping, `parameter_bits` fraction bits | damping, 1/s
    rotation: [N], dt * omega, `parameter_bits` fraction bits | rad/s

    Vars besides these: u, w. The other arguments, the ports and the number formats are
    those of `NeuronLayer`.
    """

    neuron = families.HRF
