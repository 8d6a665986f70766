"""One step of each neuron in fixed point: what the chip computes, and its only home.

Integers only, written with ``+ - * << >> & >``: the same code runs on Python integers, NumPy int64
arrays and compiled by numba. States are signed 24-bit numbers, in which the integer `unit` of the
layer stands for 1; parameters have `parameter_bits` fraction bits, products are taken in 64 bits.

Without input every neuron whose eigenvalues lie within the unit circle comes to rest. That needs
more than small rounding errors: ``u + cut(u * b)`` would lose the whole damping of a small state,
which then rings for ever, and ``cut(u * (1 + b))`` does not.
"""

from __future__ import annotations

from typing import Any, NamedTuple

STATE_WIDTH = 24  # Loihi 2: signed state variables, see the neuron models in Lava
STATE_MAX = (1 << (STATE_WIDTH - 1)) - 1
STATE_MIN = -STATE_MAX  # symmetric, as in Lava's fixed-point resonator
CURRENT_MAX = 2**31 - 1  # currents travel as int32
SIGN_SHIFT = 63  # an arithmetic shift by this leaves 0 or -1 of a 64-bit product
ADAPTATION_BITS = 22  # fraction bits of an ALIF neuron's adaptation, a mean of spikes, at most 1


class ResonatorConstants(NamedTuple):
    """What the neurons of one RF or HRF layer share, as integers."""

    theta: int  # threshold, a state
    unit: int  # the state that stands for 1
    state_bits: int  # unit is at most 2**state_bits
    parameter_bits: int


class BalancedConstants(NamedTuple):
    """What the neurons of one BRF or BHRF layer share, as integers."""

    dt: int  # step in seconds, parameter_bits fraction bits, times 2**state_bits / unit
    theta: int  # threshold, a state
    gamma: int  # decay of the refractory variable, parameter_bits fraction bits
    unit: int  # the state that stands for 1
    state_bits: int  # unit is at most 2**state_bits
    parameter_bits: int


class ALIFConstants(NamedTuple):
    """What the neurons of one ALIF layer share, as integers."""

    theta: int  # threshold at rest, a state
    beta: int  # what an adaptation of 1 adds to it, a state
    unit: int  # the state that stands for 1
    state_bits: int  # unit is at most 2**state_bits
    parameter_bits: int


class LIConstants(NamedTuple):
    """What the neurons of one readout share, as integers."""

    state_bits: int  # 2**state_bits stands for 1
    parameter_bits: int


def cut(x: Any, bits: Any) -> Any:
    """``x / 2**bits``, rounded toward zero: the rounding of Loihi's neuron models.

    A plain right shift rounds toward minus infinity; adding ``2**bits - 1`` to negative numbers
    first makes it truncate.
    """
    return (x + ((x >> SIGN_SHIFT) & ((1 << bits) - 1))) >> bits


def mul(a: Any, b: Any, bits: Any) -> Any:
    """``a * b / 2**bits``, rounded toward zero."""
    return cut(a * b, bits)


def saturate(x: Any) -> Any:
    """``x`` clipped to the 24-bit state range, both limits symmetric."""
    return x + (STATE_MAX - x) * (x > STATE_MAX) + (STATE_MIN - x) * (STATE_MIN > x)


def leaky(state: Any, current: Any, decay: Any, bits: Any) -> Any:
    """``decay * state + (1 - decay) * current``, the step of a leaky integrator.

    The input gain ``1 - decay`` differs between neurons. In the weights, where real numbers have
    it, it would leave some neurons few levels of the one format that all weights of a matrix share.
    """
    return mul(state, decay, bits) + mul(current, (1 << bits) - decay, bits)


def rf_step(state: Any, current: Any, coefficients: Any, constants: Any) -> Any:
    """Resonate-and-fire in integers; `real.rf_step` times `unit`.

    state: (u, v). current: ``dt * W`` applied to the spikes, as state integers.
    coefficients: (damping, rotation), ``dt * damping`` and ``dt * omega`` with parameter_bits
    fraction bits. Returns ((u, v), z).
    """
    u, v = state
    damping, rotation = coefficients
    bits = constants.parameter_bits
    kept = (1 << bits) + damping
    u_next = saturate(mul(u, kept, bits) - mul(v, rotation, bits) + current)
    v_next = saturate(mul(v, kept, bits) + mul(u, rotation, bits))
    return (u_next, v_next), u_next > constants.theta


def brf_step(state: Any, current: Any, coefficients: Any, constants: Any) -> Any:
    """Balanced resonate-and-fire in integers; `real.brf_step` times `unit`.

    state: (u, v, q). current: ``dt * W`` applied to the spikes, as state integers.
    coefficients: (damping, rotation), ``dt * (p(omega) - b_offset)`` and ``dt * omega`` with
    parameter_bits fraction bits. Returns ((u, v, q), z).
    """
    u, v, q = state
    damping, rotation = coefficients
    bits = constants.parameter_bits
    kept = (1 << bits) + damping - mul(q, constants.dt, constants.state_bits)
    u_next = saturate(mul(u, kept, bits) - mul(v, rotation, bits) + current)
    v_next = saturate(mul(v, kept, bits) + mul(u, rotation, bits))
    z = u_next > constants.theta + q
    q_next = mul(q, constants.gamma, bits) + z * constants.unit
    return (u_next, v_next, q_next), z


def hrf_step(state: Any, current: Any, coefficients: Any, constants: Any) -> Any:
    """Harmonic resonate-and-fire in integers; `real.hrf_step` times `unit`.

    Each state is cut once, after the sum of its products. At rest u is 0, and w may keep a value
    below ``2**parameter_bits / rotation``, too small to move u.

    state: (u, w). coefficients: (friction, rotation), ``2 * dt * damping`` and ``dt * omega`` with
    parameter_bits fraction bits. Returns ((u, w), z).
    """
    u, w = state
    friction, rotation = coefficients
    bits = constants.parameter_bits
    one = 1 << bits
    w_next = saturate(cut(w * one + u * rotation, bits))
    u_next = saturate(cut(u * (one - friction) - w_next * rotation, bits) + current)
    return (u_next, w_next), u_next > constants.theta


def bhrf_step(state: Any, current: Any, coefficients: Any, constants: Any) -> Any:
    """Balanced harmonic resonate-and-fire in integers; `real.bhrf_step` times `unit`.

    state: (u, w, q). coefficients: (friction, rotation) of `hrf_step`. Returns ((u, w, q), z).
    """
    u, w, q = state
    friction, rotation = coefficients
    bits = constants.parameter_bits
    one = 1 << bits
    kept = one - friction - 2 * mul(q, constants.dt, constants.state_bits)
    w_next = saturate(cut(w * one + u * rotation, bits))
    u_next = saturate(cut(u * kept - w_next * rotation, bits) + current)
    z = u_next > constants.theta + q
    q_next = mul(q, constants.gamma, bits) + z * constants.unit
    return (u_next, w_next, q_next), z


def alif_step(state: Any, current: Any, coefficients: Any, constants: Any) -> Any:
    """Adaptive leaky integrate-and-fire in integers; `real.alif_step` times `unit`.

    state: (u, a, z): a has `ADAPTATION_BITS` fraction bits of its own, z is 0 or 1. current: W
    applied to the spikes, as state integers. coefficients: (decay, adaptation) with parameter_bits
    fraction bits. See `leaky`. Returns ((u, a, z), z).
    """
    u, a, z = state
    decay, adaptation = coefficients
    bits = constants.parameter_bits
    rise = mul((1 << bits) - adaptation, 1 << ADAPTATION_BITS, bits)
    rest = u - z * (constants.theta + mul(a, constants.beta, ADAPTATION_BITS))
    a_next = mul(a, adaptation, bits) + z * rise
    u_next = saturate(leaky(rest, current, decay, bits))
    z_next = u_next > constants.theta + mul(a_next, constants.beta, ADAPTATION_BITS)
    return (u_next, a_next, z_next * 1), z_next


def li_step(state: Any, current: Any, coefficients: Any, constants: Any) -> Any:
    """Leaky integrator in integers: ``o <- saturate(decay * o + (1 - decay) * current)``.

    state: (o,). current: W applied to the spikes, as state integers. coefficients: (decay,) with
    parameter_bits fraction bits.
    """
    (o,) = state
    (decay,) = coefficients
    o_next = saturate(leaky(o, current, decay, constants.parameter_bits))
    return (o_next,), o_next
