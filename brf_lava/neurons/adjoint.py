"""One backward step of each neuron: the adjoint of `real.py`, and its only home.

Every adjoint has the same form::

    (state, next state, coefficients, constants, grad_next, grad_output)
        -> (grad_state, grad_current, grad_coefficients)

grad_next is the gradient that reaches the next state from later steps, grad_output what reaches
this step's output from outside the neuron. `derivative` stands in for that of the unit step; the
kernels bind the one that was asked for. Every gradient is tested against autograd of
the reference backend.
"""

from __future__ import annotations

from typing import Any

from brf_lava.neurons.surrogate import double_gaussian as derivative


def brf_adjoint(
    state: Any,
    next_state: Any,
    coefficients: Any,
    constants: Any,
    grad_next: Any,
    grad_output: Any,
) -> Any:
    """Adjoint of `real.brf_step`."""
    u, v, q = state
    damping, omega = coefficients
    dt = constants.dt
    grad_u, grad_v, grad_q = grad_next
    b = damping - q
    # q_next = gamma q + z, so the spike hears from the next refractory variable too
    grad_s = (grad_output + grad_q) * derivative(next_state[0] - constants.theta - q)
    grad_u = grad_u + grad_s
    grad_b = dt * (u * grad_u + v * grad_v)
    grad_state = (
        grad_u + dt * (b * grad_u + omega * grad_v),
        grad_v + dt * (b * grad_v - omega * grad_u),
        constants.gamma * grad_q - grad_s - grad_b,
    )
    return grad_state, dt * grad_u, (grad_b, dt * (u * grad_v - v * grad_u))


def li_adjoint(
    state: Any,
    next_state: Any,
    coefficients: Any,
    constants: Any,
    grad_next: Any,
    grad_output: Any,
) -> Any:
    """Adjoint of `real.li_step`."""
    (o,) = state
    (decay,) = coefficients
    (grad_o,) = grad_next
    grad_o = grad_o + grad_output
    return (decay * grad_o,), grad_o, (grad_o * o,)
