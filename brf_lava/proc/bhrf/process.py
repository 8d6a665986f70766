"""Balanced harmonic resonate-and-fire neurons."""

from __future__ import annotations

from brf_lava.neurons import families
from brf_lava.proc.layer import NeuronLayer


class BHRF(NeuronLayer):
    """Balanced harmonic resonate-and-fire neurons.

    Equations, `neurons.fixed.bhrf_step` (real numbers: `neurons.real.bhrf_step`)::

        b  = friction + 2 * (q * dt / 2**state_bits)
        w' = saturate(w + mul(u, rotation))
        u' = saturate(u - mul(u, b) - mul(w', rotation) + a_in)
        s_out = u' > theta + q
        q' = mul(q, gamma) + s_out * 2**state_bits

    Coefficients:
    friction: [N], 2 * dt * damping, `parameter_bits` fraction bits | damping, 1/s
    rotation: [N], dt * omega, `parameter_bits` fraction bits | rad/s

    Vars: u, w, q (24 bits each), and the coefficients. Ports: a_in, s_out (1 bit).
    The other arguments, shapes, number formats and `mul` are those of `NeuronLayer`.
    """

    neuron = families.BHRF
