"""Balanced resonate-and-fire neurons."""

from __future__ import annotations

from brf_lava.neurons import families
from brf_lava.proc.layer import NeuronLayer


class BRF(NeuronLayer):
    """Balanced resonate-and-fire neurons.

    Equations, `neurons.fixed.brf_step` (real numbers: `neurons.real.brf_step`)::

        b  = damping - q * dt / 2**state_bits
        u' = saturate(u + mul(u, b) - mul(v, rotation) + a_in)
        v' = saturate(v + mul(v, b) + mul(u, rotation))
        s_out = u' > theta + q
        q' = mul(q, gamma) + s_out * 2**state_bits

    Coefficients:
    damping:  [N], dt * (p(omega) - b_offset), `parameter_bits` fraction bits | 1/s
    rotation: [N], dt * omega, `parameter_bits` fraction bits | rad/s

    Vars: u, v, q (24 bits each), and the coefficients. Ports: a_in, s_out (1 bit).
    The other arguments, shapes, number formats and `mul` are those of `NeuronLayer`.
    """

    neuron = families.BRF
