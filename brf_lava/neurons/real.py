"""One step of each neuron in real numbers: the equations of the paper, and their only home.

A step is written with ``+ - *`` alone and knows no array library: it runs on Python floats, NumPy
arrays and torch tensors, and compiled by numba, for which an integer such as the 2 in ``2 * b``
would turn single into double precision: it is a sum here. Every step has the same form::

    (state, current, coefficients, constants) -> (next state, output)

state:        the neuron's variables after the step before
current:      weighted input of this step plus weighted recurrent spikes of the step before
coefficients: what each neuron has of its own, in the order of `families.Neuron.coefficients`
constants:    what all neurons of the layer share
"""

from __future__ import annotations

from typing import Any, NamedTuple


class ResonatorConstants(NamedTuple):
    """What the neurons of one RF or HRF layer share."""

    dt: float  # step, s
    theta: float  # threshold


class BalancedConstants(NamedTuple):
    """What the neurons of one BRF or BHRF layer share."""

    dt: float  # step, s
    theta: float  # threshold without refractory current
    gamma: float  # decay of the refractory variable per step


class ALIFConstants(NamedTuple):
    """What the neurons of one ALIF layer share."""

    theta: float  # threshold of a neuron at rest
    beta: float  # what the adaptation adds to it, per unit


class LIConstants(NamedTuple):
    """A leaky integrator shares nothing: its decay is per neuron."""


def spike(s: Any) -> Any:
    """The unit step, strictly above 0. Training binds one with a surrogate gradient instead."""
    return s > 0


def rf_step(state: Any, current: Any, coefficients: Any, constants: Any) -> Any:
    """Resonate-and-fire (Izhikevich 2001), Euler steps, without any reset.

    state: (u, v), membrane and its conjugate; both rotate from the old values.
    coefficients: (damping, omega), in 1/s, at most 0, and in rad/s. Returns ((u, v), z).
    """
    u, v = state
    damping, omega = coefficients
    u_next = u + constants.dt * (damping * u - omega * v + current)
    v_next = v + constants.dt * (omega * u + damping * v)
    return (u_next, v_next), spike(u_next - constants.theta)


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


def hrf_step(state: Any, current: Any, coefficients: Any, constants: Any) -> Any:
    """Harmonic resonate-and-fire: a damped oscillator, without any reset (Higuchi et al. 2024).

    state: (u, w), velocity, which spikes, and omega times the place: scaled so that both swing
    equally far. w moves first and u hears its new value.
    coefficients: (damping, omega), in 1/s, at least 0, and in rad/s. Returns ((u, w), z).
    """
    u, w = state
    damping, omega = coefficients
    w_next = w + constants.dt * (omega * u)
    u_next = u + constants.dt * (current - (damping + damping) * u - omega * w_next)
    return (u_next, w_next), spike(u_next - constants.theta)


def bhrf_step(state: Any, current: Any, coefficients: Any, constants: Any) -> Any:
    """Balanced harmonic resonate-and-fire (Higuchi et al. 2024).

    state: (u, w, q), as in `hrf_step`, and the refractory variable. coefficients: (damping, omega),
    ``damping = dt * omega**2 / 2 + b_offset``. q raises threshold and damping, as in `brf_step`.
    """
    u, w, q = state
    damping, omega = coefficients
    b = damping + q
    w_next = w + constants.dt * (omega * u)
    u_next = u + constants.dt * (current - (b + b) * u - omega * w_next)
    z = spike(u_next - constants.theta - q)
    return (u_next, w_next, constants.gamma * q + z), z


def alif_step(state: Any, current: Any, coefficients: Any, constants: Any) -> Any:
    """Adaptive leaky integrate-and-fire, the baseline of Higuchi et al. 2024 (Yin et al. 2021).

    state: (u, a, z), membrane before its reset, adaptation and spike of the step before.
    coefficients: (decay, adaptation), ``exp(-1/tau)`` per step of u and of a. The input gain
    ``1 - decay`` is part of the weights. The threshold ``theta + beta a`` is what a spike takes
    from the membrane, here at the beginning of the step that follows it.
    """
    u, a, z = state
    decay, adaptation = coefficients
    rest = u - z * (constants.theta + constants.beta * a)
    a_next = z + adaptation * (a - z)
    u_next = decay * rest + current
    z_next = spike(u_next - constants.theta - constants.beta * a_next)
    return (u_next, a_next, z_next), z_next


def li_step(state: Any, current: Any, coefficients: Any, constants: Any) -> Any:
    """Leaky integrator, the readout of all networks: ``o <- decay * o + current``.

    state: (o,). coefficients: (decay,), ``exp(-1/tau)`` per step. The input gain ``1 - decay`` is
    part of the weights here, of the step in `fixed.li_step`.
    """
    (o,) = state
    (decay,) = coefficients
    o_next = decay * o + current
    return (o_next,), o_next
