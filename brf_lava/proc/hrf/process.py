"""Harmonic resonate-and-fire neurons, without reset."""

from __future__ import annotations

from brf_lava.neurons import families
from brf_lava.proc.layer import NeuronLayer


class HRF(NeuronLayer):
    """Harmonic resonate-and-fire neurons, without reset.

    Equations, `neurons.fixed.hrf_step` (real numbers: `neurons.real.hrf_step`)::

        w' = saturate(w + mul(u, rotation))
        u' = saturate(u - mul(u, friction) - mul(w', rotation) + a_in)
        s_out = u' > theta

    Coefficients:
    friction: [N], 2 * dt * damping, `parameter_bits` fraction bits | damping, 1/s
    rotation: [N], dt * omega, `parameter_bits` fraction bits | rad/s

    Vars: u, w (24 bits each), and the coefficients. Ports: a_in, s_out (1 bit).
    The other arguments, shapes, number formats and `mul` are those of `NeuronLayer`.
    """

    neuron = families.HRF
