"""Resonate-and-fire neurons, without reset."""

from __future__ import annotations

from brf_lava.neurons import families
from brf_lava.proc.layer import NeuronLayer


class RF(NeuronLayer):
    """Resonate-and-fire neurons, without reset.

    Equations, `neurons.fixed.rf_step` (real numbers: `neurons.real.rf_step`)::

        u' = saturate(u + mul(u, damping) - mul(v, rotation) + a_in)
        v' = saturate(v + mul(v, damping) + mul(u, rotation))
        s_out = u' > theta

    Coefficients:
    damping:  [N], dt * damping, `parameter_bits` fraction bits | 1/s
    rotation: [N], dt * omega, `parameter_bits` fraction bits | rad/s

    Vars: u, v (24 bits each), and the coefficients. Ports: a_in, s_out (1 bit).
    The other arguments, shapes, number formats and `mul` are those of `NeuronLayer`.
    """

    neuron = families.RF
