"""A neuron of your own in one file: BRF whose gamma is trained, neuron by neuron.

Gamma is the decay of the refractory variable, here ``exp(-1 / tau_q)``, which BRF neurons share.
``ecg-gbrf.toml`` names this file, and all commands take it from there::

    brf-lava train --recipe ecg-gbrf.toml
    brf-lava export model.pt net.h5
    brf-lava run net.h5
    brf-lava run net.h5 --backend sim

The model and the network keep where this file is and its SHA-256: neither is read without it. The
adjoint may be left out; training then differentiates the real step with autograd, several times
slower.
"""

from __future__ import annotations

from math import exp
from typing import Any, NamedTuple

from brf_lava.neurons import boundary
from brf_lava.neurons.families import (
    B_OFFSET,
    DAMPING,
    DT,
    EULER_PLANE,
    OMEGA,
    RF,
    ROTATION,
    THETA,
)
from brf_lava.neurons.fixed import mul, saturate
from brf_lava.neurons.real import ResonatorConstants, spike
from brf_lava.neurons.record import FRACTION, POSITIVE, Coefficient, Neuron, Uniform
from brf_lava.neurons.surrogate import double_gaussian as derivative


class FixedConstants(NamedTuple):
    """What the neurons of a layer share, as integers."""

    dt: int
    theta: int
    unit: int
    state_bits: int
    parameter_bits: int


def coefficients(omega: Any, b_offset: Any, tau_q: Any, constants: Any) -> Any:
    """What the steps need of each neuron, from what is trained. [N] each."""
    damping = boundary.divergence_boundary(omega, constants.dt) - b_offset
    return damping, omega, exp(-1 / tau_q)


def real_step(state: Any, current: Any, coefficients: Any, constants: Any) -> Any:
    """`brf_lava.neurons.real.brf_step` with a gamma per neuron."""
    u, v, q = state
    damping, omega, gamma = coefficients
    b = damping - q
    u_next = u + constants.dt * (b * u - omega * v + current)
    v_next = v + constants.dt * (omega * u + b * v)
    z = spike(u_next - constants.theta - q)
    return (u_next, v_next, gamma * q + z), z


def adjoint_step(
    state: Any,
    next_state: Any,
    coefficients: Any,
    constants: Any,
    grad_next: Any,
    grad_output: Any,
) -> Any:
    """The gradients of `real_step`; see `brf_lava.neurons.adjoint` for the arguments."""
    u, v, q = state
    damping, omega, gamma = coefficients
    dt = constants.dt
    grad_u, grad_v, grad_q = grad_next
    b = damping - q
    grad_s = (grad_output + grad_q) * derivative(next_state[0] - constants.theta - q)
    grad_u = grad_u + grad_s
    grad_b = dt * (u * grad_u + v * grad_v)
    grad_state = (
        grad_u + dt * (b * grad_u + omega * grad_v),
        grad_v + dt * (b * grad_v - omega * grad_u),
        gamma * grad_q - grad_s - grad_b,
    )
    return grad_state, dt * grad_u, (grad_b, dt * (u * grad_v - v * grad_u), q * grad_q)


def fixed_step(state: Any, current: Any, coefficients: Any, constants: Any) -> Any:
    """`real_step` times `unit`, with ``+ - * << >> & >`` alone: numbers and arrays alike."""
    u, v, q = state
    damping, rotation, gamma = coefficients
    bits = constants.parameter_bits
    kept = (1 << bits) + damping - mul(q, constants.dt, constants.state_bits)
    u_next = saturate(mul(u, kept, bits) - mul(v, rotation, bits) + current)
    v_next = saturate(mul(v, kept, bits) + mul(u, rotation, bits))
    z = u_next > constants.theta + q
    return (u_next, v_next, mul(q, gamma, bits) + z * constants.unit), z


def growth(damping: float, rotation: float, gamma: float) -> float:
    return boundary.growth_per_step(damping, rotation)


def is_stable(damping: int, rotation: int, gamma: int, one: int) -> bool:
    return boundary.is_stable(damping, rotation, one)


def stabilize(damping: int, rotation: int, gamma: int, one: int) -> tuple[int, ...]:
    return (*boundary.stabilize_resonator(damping, rotation, one), gamma)


GBRF = Neuron(
    name="GBRF",
    states=("u", "v", "q"),
    per_neuron=(DAMPING, ROTATION, Coefficient("gamma", FRACTION, "per step")),
    parameters=(DT, THETA, OMEGA, B_OFFSET, Uniform("tau_q", (5.0, 15.0), POSITIVE, "steps")),
    rule=coefficients,
    real_step=real_step,
    fixed_step=fixed_step,
    adjoint_step=adjoint_step,
    real_constants=ResonatorConstants,
    fixed_constants=FixedConstants,
    weights_carry="dt",  # the integer step does not multiply its current by dt: the weights do
    growth=growth,
    is_stable=is_stable,
    stabilize=stabilize,
    plane=EULER_PLANE,
    bare=RF,
)
