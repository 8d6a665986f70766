"""One step of each neuron in real numbers: the equations of the paper, and their only home.

A step is written with ``+ - *`` alone and knows no array library: it runs on Python floats, NumPy
arrays and torch tensors, and compiled by numba. Every step has the same form::

    (state, current, coefficients, constants) -> (next state, output)

state:        the neuron's variables after the step before
current:      weighted input of this step plus weighted recurrent spikes of the step before
coefficients: what each neuron has of its own, in the order of `families.Neuron.coefficients`
constants:    what all neurons of the layer share
"""

from __future__ import annotations

from typing import Any, NamedTuple


class BRFConstants(NamedTuple):
    """What the neurons of one BRF layer share."""

    dt: float  # step, s
    theta: float  # threshold without refractory current
    gamma: float  # decay of the refractory variable per step


class LIConstants(NamedTuple):
    """A leaky integrator shares nothing: its decay is per neuron."""


def spike(s: Any) -> Any:
    """The unit step, strictly above 0. Training binds one with a surrogate gradient instead."""
    return s > 0


def brf_step(state: Any, current: Any, coefficients: Any, constants: Any) -> Any:
    """Balanced resonate-and-fire (Higuchi et al. 2024, arXiv 2402.14603).

    state: (u, v, q), membrane, its conjugate and the refractory variable.
    coefficients: (damping, omega), ``damping = p(omega) - b_offset`` in 1/s, omega in rad/s.
    Returns ((u, v, q), z). u and v rotate from the old values; q of the step before raises both
    the threshold (refractory period) and the damping (smooth reset).
    """
    u, v, q = state
    damping, omega = coefficients
    b = damping - q
    u_next = u + constants.dt * (b * u - omega * v + current)
    v_next = v + constants.dt * (omega * u + b * v)
    z = spike(u_next - constants.theta - q)
    return (u_next, v_next, constants.gamma * q + z), z


def li_step(state: Any, current: Any, coefficients: Any, constants: Any) -> Any:
    """Leaky integrator, the readout of all networks: ``o <- decay * o + current``.

    state: (o,). coefficients: (decay,), ``exp(-1/tau)`` per step. The input gain ``1 - decay`` is
    part of the weights, so that the fixed-point form is the same equation.
    """
    (o,) = state
    (decay,) = coefficients
    o_next = decay * o + current
    return (o_next,), o_next
