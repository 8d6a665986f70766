"""One step of each neuron in fixed point: what the chip computes, and its only home.

Integers only, written with ``+ - * << >> & >``: the same code runs on Python integers, NumPy int64
arrays and compiled by numba. States are signed 24-bit numbers with `state_bits` fraction bits,
parameters have `parameter_bits` fraction bits, products are taken in 64 bits.
"""

from __future__ import annotations

from typing import Any, NamedTuple

STATE_WIDTH = 24  # Loihi 2: signed state variables, see the neuron models in Lava
STATE_MAX = (1 << (STATE_WIDTH - 1)) - 1
STATE_MIN = -STATE_MAX  # symmetric, as in Lava's fixed-point resonator
CURRENT_MAX = 2**31 - 1  # currents travel as int32
SIGN_SHIFT = 63  # an arithmetic shift by this leaves 0 or -1 of a 64-bit product


class ResonatorConstants(NamedTuple):
    """What the neurons of one RF or HRF layer share, as integers."""

    theta: int  # threshold, state_bits fraction bits
    state_bits: int
    parameter_bits: int


class BalancedConstants(NamedTuple):
    """What the neurons of one BRF or BHRF layer share, as integers."""

    dt: int  # step in seconds, parameter_bits fraction bits
    theta: int  # threshold, state_bits fraction bits
    gamma: int  # decay of the refractory variable, parameter_bits fraction bits
    state_bits: int
    parameter_bits: int


class ALIFConstants(NamedTuple):
    """What the neurons of one ALIF layer share, as integers."""

    theta: int  # threshold at rest, state_bits fraction bits
    beta: int  # of the adaptation in the threshold, parameter_bits fraction bits
    state_bits: int
    parameter_bits: int
    input_gain: int  # 1 or 0, see `leaky`


class LIConstants(NamedTuple):
    """What the neurons of one readout share, as integers."""

    state_bits: int
    parameter_bits: int
    input_gain: int  # 1 or 0, see `leaky`


def mul(a: Any, b: Any, bits: Any) -> Any:
    """``a * b / 2**bits``, rounded toward zero: the rounding of Loihi's neuron models.

    A plain right shift rounds toward minus infinity; adding ``2**bits - 1`` to negative products
    first makes it truncate.
    """
    product = a * b
    return (product + ((product >> SIGN_SHIFT) & ((1 << bits) - 1))) >> bits


def saturate(x: Any) -> Any:
    """``x`` clipped to the 24-bit state range, both limits symmetric."""
    return x + (STATE_MAX - x) * (x > STATE_MAX) + (STATE_MIN - x) * (STATE_MIN > x)


def leaky(state: Any, current: Any, decay: Any, constants: Any) -> Any:
    """``decay * state + (1 - decay) * current``, the step of a leaky integrator.

    The input gain ``1 - decay`` differs between neurons. In the weights, where real numbers have
    it, it would leave some neurons few levels of the one format that all weights of a matrix share;
    files of schema 2 and before have it there, too: input_gain 0 leaves the current as it is.
    """
    bits = constants.parameter_bits
    gain = (1 << bits) - constants.input_gain * decay
    return mul(state, decay, bits) + mul(current, gain, bits)


def rf_step(state: Any, current: Any, coefficients: Any, constants: Any) -> Any:
    """Resonate-and-fire in integers; `real.rf_step` times ``2**state_bits``.

    state: (u, v). current: ``dt * W`` applied to the spikes, as state integers.
    coefficients: (damping, rotation), ``dt * damping`` and ``dt * omega`` with parameter_bits
    fraction bits. Returns ((u, v), z).
    """
    u, v = state
    damping, rotation = coefficients
    bits = constants.parameter_bits
    u_next = saturate(u + mul(u, damping, bits) - mul(v, rotation, bits) + current)
    v_next = saturate(v + mul(v, damping, bits) + mul(u, rotation, bits))
    return (u_next, v_next), u_next > constants.theta


def brf_step(state: Any, current: Any, coefficients: Any, constants: Any) -> Any:
    """Balanced resonate-and-fire in integers; `real.brf_step` times ``2**state_bits``.

    state: (u, v, q). current: ``dt * W`` applied to the spikes, as state integers.
    coefficients: (damping, rotation), ``dt * (p(omega) - b_offset)`` and ``dt * omega`` with
    parameter_bits fraction bits. Returns ((u, v, q), z).
    """
    u, v, q = state
    damping, rotation = coefficients
    bits = constants.parameter_bits
    b = damping - mul(q, constants.dt, constants.state_bits)
    u_next = saturate(u + mul(u, b, bits) - mul(v, rotation, bits) + current)
    v_next = saturate(v + mul(v, b, bits) + mul(u, rotation, bits))
    z = u_next > constants.theta + q
    q_next = mul(q, constants.gamma, bits) + z * (1 << constants.state_bits)
    return (u_next, v_next, q_next), z


def hrf_step(state: Any, current: Any, coefficients: Any, constants: Any) -> Any:
    """Harmonic resonate-and-fire in integers; `real.hrf_step` times ``2**state_bits``.

    state: (u, w). coefficients: (friction, rotation), ``2 * dt * damping`` and ``dt * omega`` with
    parameter_bits fraction bits. Returns ((u, w), z).
    """
    u, w = state
    friction, rotation = coefficients
    bits = constants.parameter_bits
    w_next = saturate(w + mul(u, rotation, bits))
    u_next = saturate(u - mul(u, friction, bits) - mul(w_next, rotation, bits) + current)
    return (u_next, w_next), u_next > constants.theta


def bhrf_step(state: Any, current: Any, coefficients: Any, constants: Any) -> Any:
    """Balanced harmonic resonate-and-fire in integers; `real.bhrf_step` times ``2**state_bits``.

    state: (u, w, q). coefficients: as in `hrf_step`. Returns ((u, w, q), z).
    """
    u, w, q = state
    friction, rotation = coefficients
    bits = constants.parameter_bits
    b = friction + 2 * mul(q, constants.dt, constants.state_bits)
    w_next = saturate(w + mul(u, rotation, bits))
    u_next = saturate(u - mul(u, b, bits) - mul(w_next, rotation, bits) + current)
    z = u_next > constants.theta + q
    q_next = mul(q, constants.gamma, bits) + z * (1 << constants.state_bits)
    return (u_next, w_next, q_next), z


def alif_step(state: Any, current: Any, coefficients: Any, constants: Any) -> Any:
    """Adaptive leaky integrate-and-fire in integers; `real.alif_step` times ``2**state_bits``.

    state: (u, a, z), z being 0 or 1. current: W applied to the spikes, as state integers.
    coefficients: (decay, adaptation) with parameter_bits fraction bits. See `leaky`.
    Returns ((u, a, z), z).
    """
    u, a, z = state
    decay, adaptation = coefficients
    bits = constants.parameter_bits
    rise = mul((1 << bits) - adaptation, 1 << constants.state_bits, bits)
    rest = u - z * (constants.theta + mul(a, constants.beta, bits))
    a_next = mul(a, adaptation, bits) + z * rise
    u_next = saturate(leaky(rest, current, decay, constants))
    z_next = u_next > constants.theta + mul(a_next, constants.beta, bits)
    return (u_next, a_next, z_next * 1), z_next


def li_step(state: Any, current: Any, coefficients: Any, constants: Any) -> Any:
    """Leaky integrator in integers: ``o <- saturate(decay * o + (1 - decay) * current)``.

    state: (o,). current: W applied to the spikes, as state integers. coefficients: (decay,) with
    parameter_bits fraction bits.
    """
    (o,) = state
    (decay,) = coefficients
    o_next = saturate(leaky(o, current, decay, constants))
    return (o_next,), o_next
