"""The equations: boundary, fixed-point arithmetic, the same code in every number system."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from networks import SPIKING, fixed_constants

from brf_lava.errors import ParameterError
from brf_lava.export.quantize import LayerFormat, quantize_layer
from brf_lava.network.layers import RealLayer, integer_ranges
from brf_lava.neurons import fixed, real
from brf_lava.neurons.binding import bound
from brf_lava.neurons.boundary import check_omega, divergence_boundary
from brf_lava.neurons.families import BRF, LI, RF, Neuron, find_neuron
from brf_lava.neurons.surrogate import double_gaussian, multi_gaussian


@given(omega=st.floats(0.1, 99.0), dt=st.sampled_from([0.001, 0.005, 0.01]))
def test_at_the_boundary_a_resonator_neither_grows_nor_decays(omega: float, dt: float) -> None:
    b = divergence_boundary(omega, dt)
    assert abs(complex(1 + dt * b, dt * omega)) == pytest.approx(1, abs=1e-12)


def test_the_boundary_depends_on_the_cells_own_step() -> None:
    # by hand: (-1 + sqrt(1 - (0.005 * 40)^2)) / 0.005
    assert divergence_boundary(40.0, 0.005) == pytest.approx((-1 + math.sqrt(0.96)) / 0.005)
    assert divergence_boundary(40.0, 0.005) != pytest.approx(divergence_boundary(40.0, 0.01))


@pytest.mark.parametrize("value", [100.0, -100.0, 240.0, math.nan, math.inf])
def test_omega_without_a_boundary_is_refused_with_its_neuron(value: float) -> None:
    with pytest.raises(ParameterError, match=r"at neuron 2; dt\*omega must stay below 1"):
        check_omega([0.0, -99.999, value, 5.0], dt=0.01)


def test_one_brf_step_by_hand() -> None:
    # damping = p - b_off with p(10) = (sqrt(1 - 0.01) - 1) / 0.01, b_off = 1
    damping = (math.sqrt(0.99) - 1) / 0.01 - 1
    constants = real.BalancedConstants(dt=0.01, theta=1.0, gamma=0.9)
    (u, v, q), z = real.brf_step((2.0, 0.5, 0.25), 30.0, (damping, 10.0), constants)
    b = damping - 0.25
    assert u == pytest.approx(2 + 0.01 * (b * 2 - 10 * 0.5 + 30))
    assert v == pytest.approx(0.5 + 0.01 * (10 * 2 + b * 0.5))
    assert z == 1.0  # u is about 2.22, the threshold 1.25
    assert q == pytest.approx(0.9 * 0.25 + 1)


def test_the_threshold_is_strict_and_includes_the_refractory_variable() -> None:
    constants = real.BalancedConstants(dt=1.0, theta=1.0, gamma=0.5)
    at_threshold = (0.0, 0.0, 0.5)
    _, z = real.brf_step(at_threshold, 1.5, (0.0, 0.0), constants)
    assert z == 0.0
    _, z = real.brf_step(at_threshold, 1.5001, (0.0, 0.0), constants)
    assert z == 1.0


@given(a=st.integers(-(2**24), 2**24), b=st.integers(-(2**22), 2**22), bits=st.integers(0, 24))
def test_mul_rounds_toward_zero(a: int, b: int, bits: int) -> None:
    exact = abs(a * b) >> bits
    assert fixed.mul(a, b, bits) == (exact if a * b >= 0 else -exact)


@given(st.integers(-(2**40), 2**40))
def test_saturate_clips_symmetrically(x: int) -> None:
    assert fixed.saturate(x) == max(-(2**23 - 1), min(2**23 - 1, x))


@pytest.mark.parametrize("neuron", SPIKING, ids=lambda neuron: neuron.name)
def test_fixed_step_follows_the_real_one(neuron: Neuron) -> None:
    """In fine formats both number systems tell the same story over many steps."""
    state_bits, parameter_bits = 16, 20
    kind: Any = neuron.real_constants
    defaults = {constant.name: constant.default for constant in neuron.constants}
    exact = kind(*(defaults[name] for name in kind._fields))
    rule = BRF.rule if neuron is RF else neuron.rule  # an RF neuron that does not grow
    real_coefficients = (0.95, 0.98) if neuron.leak else rule(12.0, 0.5, exact)
    real_layer = RealLayer(
        neuron, np.ones((1, 1)), None, np.array(real_coefficients)[:, None], exact
    )
    layer, report = quantize_layer(real_layer, LayerFormat(state_bits, parameter_bits, 8))
    assert not report.corrections
    assert not report.growth
    coefficients = tuple(int(value) for value in layer.coefficients[:, 0])
    gain = neuron.weight_gain(exact)
    ours: tuple[int, ...] = (0,) * len(neuron.states)
    theirs: tuple[float, ...] = (0.0,) * len(neuron.states)
    rng = np.random.default_rng(0)
    spikes = 0
    for _ in range(400):
        current = int(rng.integers(0, 2)) * (60 if gain < 1 else 10)
        ours, z = neuron.fixed_step(
            ours, round(gain * current * 2**state_bits), coefficients, layer.constants
        )
        weighted = current * (1 - real_coefficients[0] if neuron.leak else 1)
        theirs, expected = neuron.real_step(theirs, weighted, real_coefficients, exact)
        assert bool(z) == bool(expected)
        spikes += int(z)
        scale = [neuron.state_units.get(name, layer.unit) for name in neuron.states]
        np.testing.assert_allclose(np.array(ours) / np.array(scale), theirs, atol=0.02)
    assert 5 < spikes < 395  # the story has spikes and silence in it


@pytest.mark.parametrize("neuron", SPIKING, ids=lambda neuron: neuron.name)
@given(data=st.data())
def test_every_fixed_step_is_the_same_on_integers_and_arrays(neuron: Neuron, data: Any) -> None:
    """And its first state stays within 24 bits, wherever it starts."""
    high = [1 if name == "z" else fixed.STATE_MAX for name in neuron.states]
    low = [0 if name in ("z", "q", "a") else fixed.STATE_MIN for name in neuron.states]
    state = tuple(data.draw(st.integers(a, b)) for a, b in zip(low, high, strict=True))
    current = data.draw(st.integers(-fixed.CURRENT_MAX, fixed.CURRENT_MAX))
    ranges = integer_ranges(neuron, 14, 16)
    coefficients = tuple(
        data.draw(st.integers(*ranges[name])) for name in neuron.fixed_coefficients
    )
    constants = fixed_constants(neuron, 14, 16)
    plain, z = neuron.fixed_step(state, current, coefficients, constants)
    columns = tuple(np.array([value] * 3, np.int64) for value in state)
    arrays, zs = neuron.fixed_step(columns, current, coefficients, constants)
    for name, value, column in zip(neuron.states, plain, arrays, strict=True):
        assert column.tolist() == [value] * 3, name
    assert zs.tolist() == [bool(z)] * 3
    assert abs(plain[0]) <= fixed.STATE_MAX


def test_harmonic_neurons_are_the_paper_s_with_a_scaled_place() -> None:
    """v <- v + dt u, u <- u + dt (I - 2 b u - omega^2 v), with w = omega v."""
    dt, b, omega = 0.01, 0.7, 9.0
    constants = real.ResonatorConstants(dt, 1.0)
    u, v, state = 0.0, 0.0, (0.0, 0.0)
    rng = np.random.default_rng(3)
    for current in rng.normal(0, 50, 300):
        v = v + dt * u
        u = u + dt * (current - 2 * b * u - omega**2 * v)
        state, z = real.hrf_step(state, current, (b, omega), constants)
        assert state == pytest.approx((u, omega * v))
        assert z == (u > 1)


def test_alif_is_the_paper_s() -> None:
    """a <- rho a + (1 - rho) z, theta = 0.01 + 1.8 a, u <- alpha u + I, reset by theta."""
    alpha, rho = 0.9, 0.97
    u = a = z = 0.0
    state = (0.0, 0.0, 0.0)
    rng = np.random.default_rng(4)
    spikes = 0
    for current in rng.normal(0.05, 0.2, 300):
        a = rho * a + (1 - rho) * z
        theta = 0.01 + 1.8 * a
        u = alpha * u + current
        z = float(u > theta)
        state, found = real.alif_step(state, current, (alpha, rho), real.ALIFConstants(0.01, 1.8))
        assert (state[0], state[1], float(found)) == pytest.approx((u, a, z))
        u -= z * theta
        spikes += int(z)
    assert 20 < spikes < 280


def test_leaky_integrator_in_both_number_systems() -> None:
    _, o = real.li_step((2.0,), 0.5, (0.75,), real.LIConstants())
    assert o == 2.0
    _, o = fixed.li_step((-1000,), 70, (3 << 14,), fixed.LIConstants(14, 16))
    assert o == -750 + 70 // 4


@pytest.mark.parametrize(
    ("density", "at_zero"),
    [
        # 0.5 [(1 + p) N(0; 0.5) - 2 p N(0; 3)] with p = 0.15, N(0; s) = 1 / (s sqrt(2 pi))
        (double_gaussian, 0.5 * (1.15 / 0.5 - 0.3 / 3) / math.sqrt(2 * math.pi)),
        # the wide lobes are centered at +-0.5: exp(-0.25 / 18) of their peak
        (
            multi_gaussian,
            0.5 * (1.15 / 0.5 - 0.3 / 3 * math.exp(-0.25 / 18)) / math.sqrt(2 * math.pi),
        ),
    ],
)
def test_surrogates_by_hand(density, at_zero: float) -> None:  # type: ignore[no-untyped-def]
    assert density(0.0) == pytest.approx(at_zero)
    assert density(2.5) < 0 < density(0.5)
    assert density(1.3) == pytest.approx(density(-1.3))
    on_tensors = bound(density, exp=torch.exp)
    assert float(on_tensors(torch.tensor(0.0))) == pytest.approx(at_zero)


def test_neurons_are_found_by_name() -> None:
    assert find_neuron("BRF") is BRF
    assert find_neuron("LI") is LI
    with pytest.raises(ParameterError, match="'LIF' is not known; choose one of RF, BRF"):
        find_neuron("LIF")
