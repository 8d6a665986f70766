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


def rf_adjoint(
    state: Any, next_state: Any, coefficients: Any, constants: Any, grad_next: Any, grad_output: Any
) -> Any:
    """Adjoint of `real.rf_step`."""
    u, v = state
    damping, omega = coefficients
    dt = constants.dt
    grad_u, grad_v = grad_next
    grad_u = grad_u + grad_output * derivative(next_state[0] - constants.theta)
    grad_state = (
        grad_u + dt * (damping * grad_u + omega * grad_v),
        grad_v + dt * (damping * grad_v - omega * grad_u),
    )
    grad_coefficients = (dt * (u * grad_u + v * grad_v), dt * (u * grad_v - v * grad_u))
    return grad_state, dt * grad_u, grad_coefficients


def brf_adjoint(
    state: Any, next_state: Any, coefficients: Any, constants: Any, grad_next: Any, grad_output: Any
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


def hrf_adjoint(
    state: Any, next_state: Any, coefficients: Any, constants: Any, grad_next: Any, grad_output: Any
) -> Any:
    """Adjoint of `real.hrf_step`."""
    u, _ = state
    damping, omega = coefficients
    dt = constants.dt
    grad_u, grad_w = grad_next
    grad_u = grad_u + grad_output * derivative(next_state[0] - constants.theta)
    grad_w = grad_w - dt * omega * grad_u
    grad_state = (grad_u + dt * (omega * grad_w - (damping + damping) * grad_u), grad_w)
    grad_damping = -(dt + dt) * u * grad_u
    grad_omega = dt * (u * grad_w - next_state[1] * grad_u)
    return grad_state, dt * grad_u, (grad_damping, grad_omega)


def bhrf_adjoint(
    state: Any, next_state: Any, coefficients: Any, constants: Any, grad_next: Any, grad_output: Any
) -> Any:
    """Adjoint of `real.bhrf_step`."""
    u, _, q = state
    damping, omega = coefficients
    dt = constants.dt
    grad_u, grad_w, grad_q = grad_next
    grad_s = (grad_output + grad_q) * derivative(next_state[0] - constants.theta - q)
    grad_u = grad_u + grad_s
    grad_w = grad_w - dt * omega * grad_u
    b = damping + q
    grad_b = -(dt + dt) * u * grad_u
    grad_state = (
        grad_u + dt * (omega * grad_w - (b + b) * grad_u),
        grad_w,
        constants.gamma * grad_q - grad_s + grad_b,
    )
    grad_omega = dt * (u * grad_w - next_state[1] * grad_u)
    return grad_state, dt * grad_u, (grad_b, grad_omega)


def alif_adjoint(
    state: Any, next_state: Any, coefficients: Any, constants: Any, grad_next: Any, grad_output: Any
) -> Any:
    """Adjoint of `real.alif_step`."""
    u, a, z = state
    decay, adaptation = coefficients
    theta, beta = constants.theta, constants.beta
    grad_u, grad_a, grad_z = grad_next
    margin = next_state[0] - theta - beta * next_state[1]
    grad_s = (grad_output + grad_z) * derivative(margin)
    grad_u = grad_u + grad_s
    grad_a = grad_a - beta * grad_s
    taken = theta + beta * a  # by the reset, if there was a spike
    grad_rest = decay * grad_u
    grad_state = (
        grad_rest,
        adaptation * grad_a - beta * z * grad_rest,
        grad_a - adaptation * grad_a - taken * grad_rest,
    )
    return grad_state, grad_u, ((u - z * taken) * grad_u, (a - z) * grad_a)


def li_adjoint(
    state: Any, next_state: Any, coefficients: Any, constants: Any, grad_next: Any, grad_output: Any
) -> Any:
    """Adjoint of `real.li_step`."""
    (o,) = state
    (decay,) = coefficients
    (grad_o,) = grad_next
    grad_o = grad_o + grad_output
    return (decay * grad_o,), grad_o, (grad_o * o,)
