"""From real numbers to integers: every rounding within its bound, every neuron still stable."""

from __future__ import annotations

import re
from dataclasses import replace
from math import exp, inf, nan
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from numpy.typing import NDArray

from brf_lava.errors import ParameterError
from brf_lava.export.quantize import (
    HEADROOM,
    WEIGHT_BITS_MAX,
    WEIGHT_BITS_MIN,
    LayerFormat,
    choose_state_bits,
    measure_peaks,
    quantize,
    quantize_layer,
    quantize_weights,
)
from brf_lava.kernels import loop
from brf_lava.kernels.layer import run_layer
from brf_lava.network.layers import (
    EXPONENT_MAX,
    FORMAT_RANGES,
    PARAMETER_BITS_MAX,
    PARAMETER_BITS_MIN,
    STATE_BITS_MAX,
    STATE_BITS_MIN,
    Connection,
    FixedLayer,
    FixedNetwork,
    RealLayer,
    RealNetwork,
)
from brf_lava.neurons import families, fixed, real
from brf_lava.neurons.boundary import (
    divergence_boundary,
    harmonic_boundary,
    is_stable,
    stabilize_resonator,
)
from brf_lava.neurons.fixed import STATE_MAX, STATE_WIDTH

DT = 0.01  # s
STATE_LIMIT = 2 ** (STATE_WIDTH - 1)  # one above the largest state
ROUNDING = 1e-12  # relative; of the few double operations between a weight and its integer

bits_of_weights = st.integers(WEIGHT_BITS_MIN, WEIGHT_BITS_MAX)
bits_of_parameters = st.integers(PARAMETER_BITS_MIN, PARAMETER_BITS_MAX)


def resonators(
    damping: Any,
    omega: Any,
    weights: Any = None,
    recurrent: Any = None,
    dt: float = DT,
    theta: float = 1.0,
    neuron: families.Neuron = families.BRF,
) -> RealLayer:
    """Resonators with `damping` [N] in 1/s and `omega` [N] in rad/s."""
    coefficients = np.stack([np.atleast_1d(damping), np.atleast_1d(omega)]).astype(float)
    kind: Any = neuron.real_constants
    values = {"dt": dt, "theta": theta, "gamma": 0.9}
    return RealLayer(
        neuron,
        np.zeros((coefficients.shape[1], 1)) if weights is None else np.asarray(weights, float),
        None if recurrent is None else np.asarray(recurrent, float),
        coefficients,
        kind(*(values[name] for name in kind._fields)),
    )


def brf_layer(omega: Any = (10.0,), b_offset: Any = 0.5, *synapses: Any, **rest: Any) -> RealLayer:
    """BRF neurons with `omega` [N] rad/s and `b_offset` 1/s."""
    omega = np.asarray(omega, float)
    damping = divergence_boundary(omega, rest.get("dt", DT)) - b_offset
    return resonators(damping, omega, *synapses, **rest)


def li_layer(decay: Any = (0.9,), weights: Any = None) -> RealLayer:
    decay = np.asarray(decay, float)
    return RealLayer(
        families.LI,
        np.zeros((len(decay), 1)) if weights is None else np.asarray(weights, float),
        None,
        decay[None],
        real.LIConstants(),
    )


def random_real_network(rng: np.random.Generator, scale: float = 30.0) -> RealNetwork:
    """3 inputs, 6 recurrent resonators, 2 readouts; spikes now and then at this scale."""
    hidden = brf_layer(
        rng.uniform(3, 30, 6),
        rng.uniform(0.1, 1, 6),
        scale * rng.standard_normal((6, 3)),
        scale / 4 * rng.standard_normal((6, 6)),
    )
    readout = li_layer(np.exp(-1 / rng.uniform(5, 20, 2)), rng.standard_normal((2, 6)) / 10)
    return RealNetwork((hidden, readout))


# Weights


@st.composite
def weights_in_range(draw: st.DrawFn) -> tuple[NDArray[np.float64], float, int]:
    """Weights, their unit and a mantissa width in which they fit at some exponent."""
    bits = draw(bits_of_weights)
    shape = draw(arrays.array_shapes(min_dims=2, max_dims=2, max_side=5))
    weights = draw(arrays.arrays(np.float64, shape, elements=st.floats(-1, 1)))
    largest = (2 ** (bits - 1) - 1) * 2**EXPONENT_MAX
    return weights, largest * 2.0 ** -draw(st.floats(0, 26)), bits


@given(weights_in_range())
@settings(max_examples=100, deadline=None)
def test_weights_are_rounded_to_the_finest_mantissas_that_fit(
    case: tuple[NDArray[np.float64], float, int],
) -> None:
    weights, unit, bits = case
    connection = quantize_weights("w", weights, unit, bits, 14)
    limit = 2 ** (bits - 1) - 1
    step = 2**connection.exponent
    assert connection.mantissa.dtype == np.int8
    assert np.abs(connection.mantissa.astype(int)).max() <= limit
    error = np.abs(connection.integers - weights * unit).max()
    assert error <= step / 2
    if connection.exponent:
        assert np.rint(np.abs(weights * unit) / (step // 2)).max() > limit


@pytest.mark.parametrize(
    ("weights", "mantissa", "exponent"),
    [
        ([[0.0, 0.0], [0.0, -0.0]], [[0, 0], [0, 0]], 0),
        ([[127.49]], [[127]], 0),
        ([[127.5]], [[64]], 1),  # would round to 128
        ([[-127.5]], [[-64]], 1),  # -128 would fit eight bits, but the range is symmetric
        ([[-3.0, -300.0]], [[-1, -75]], 2),
        ([[5.0, 80.0]], [[5, 80]], 0),
        ([[0.5, -1.5, 2.5, -2.51]], [[0, -2, 2, -3]], 0),  # halves to even
    ],
)
def test_weights_by_hand(weights: Any, mantissa: Any, exponent: int) -> None:
    connection = quantize_weights("w", np.array(weights), 1.0, 8, 14)
    assert connection.mantissa.tolist() == mantissa
    assert connection.exponent == exponent


@pytest.mark.parametrize("bits", [WEIGHT_BITS_MIN, WEIGHT_BITS_MAX])
def test_the_largest_weight_that_fits_and_those_beyond(bits: int) -> None:
    """Past 63 bits a cast to integers would wrap, and make the largest weight the smallest."""
    largest = (2 ** (bits - 1) - 1) * 2**EXPONENT_MAX
    connection = quantize_weights("w", np.array([[1.0, -1.0]]), largest, bits, 14)
    assert connection.exponent == EXPONENT_MAX
    assert connection.integers.tolist() == [[largest, -largest]]
    for beyond in (largest + 2**EXPONENT_MAX / 2, 1e19, 1e300):
        with pytest.raises(ParameterError, match=rf"at most {largest} fit.*now 14"):
            quantize_weights("w", np.array([[beyond, 1.0]]), 1.0, bits, 14)


@pytest.mark.parametrize("value", [nan, -inf])
def test_weights_that_are_not_finite_are_refused(value: float) -> None:
    layer = brf_layer(weights=[[value]])
    with pytest.raises(ParameterError, match=r"^weight: .*not finite"):
        quantize_layer(layer, LayerFormat())
    layer = brf_layer(weights=[[1.0]], recurrent=[[value]])
    with pytest.raises(ParameterError, match=r"^recurrent weight: .*not finite"):
        quantize_layer(layer, LayerFormat())


# Formats


@pytest.mark.parametrize("name", ["state_bits", "parameter_bits", "weight_bits"])
def test_bits_are_within_their_range(name: str) -> None:
    low, high = {**FORMAT_RANGES, "weight_bits": (WEIGHT_BITS_MIN, WEIGHT_BITS_MAX)}[name]
    for value in (low, high):
        assert getattr(LayerFormat(**{name: value}), name) == value
    network = RealNetwork((brf_layer(), li_layer()))
    for value in (low - 1, high + 1, -3):
        with pytest.raises(ParameterError, match=f"^{name}: {value} .* {low} to {high}"):
            quantize(network, np.zeros((2, 1, 1), np.int8), **{name: value})


@given(
    st.floats(1e-6, STATE_LIMIT / HEADROOM / 2**STATE_BITS_MIN),
    st.sampled_from(families.BRF.states),
)
def test_state_bits_leave_the_head_room_and_not_twice_that(peak: float, state: str) -> None:
    bits = choose_state_bits(brf_layer(), {**dict.fromkeys(families.BRF.states, 0.0), state: peak})
    # The logarithm may round a peak a few units in the last place above a power of two down to it.
    assert HEADROOM * peak * 2**bits <= STATE_LIMIT * (1 + ROUNDING)
    if bits < STATE_BITS_MAX:
        assert HEADROOM * peak * 2 ** (bits + 1) > STATE_LIMIT * (1 - ROUNDING)


@pytest.mark.parametrize("peak", [32769.0, 1e300, inf, nan])
def test_states_too_large_for_any_format_are_refused(peak: float) -> None:
    with pytest.raises(
        ParameterError, match=r"^BRF: a state or the threshold reaches .* at most 32768 leaves"
    ):
        choose_state_bits(brf_layer(), {"u": 0.5, "v": peak, "q": 0.0})


def naive_peaks(network: RealNetwork, x: NDArray[np.int8]) -> list[dict[str, float]]:
    """The largest states, step by step on the reference kernel."""
    peaks = []
    signal = torch.from_numpy(x).double()
    for layer in network.layers:
        arrays = (layer.weights, layer.recurrent, layer.coefficients)
        tensors: list[Any] = [None if a is None else torch.from_numpy(a) for a in arrays]
        memory, outputs, reached = None, [], []
        for step in signal:
            layer_and_start = (*tensors, layer.constants, memory)
            output, memory = run_layer(layer.neuron, step[None], *layer_and_start)
            outputs.append(output)
            reached.append(memory.states.abs().amax((1, 2)))
        largest = torch.stack(reached).amax(0).tolist()
        peaks.append(dict(zip(layer.neuron.states, largest, strict=True)))
        signal = torch.cat(outputs)
    return peaks


def test_peaks_are_the_largest_states_of_all_samples() -> None:
    rng = np.random.default_rng(3)
    network = random_real_network(rng)
    x = (rng.random((60, 40, 3)) < 0.2).astype(np.int8)
    x[:, 37] = 1  # beyond the first chunk, and far above the others
    for found, expected in zip(measure_peaks(network, x), naive_peaks(network, x), strict=True):
        assert found == pytest.approx(expected, rel=1e-9)
    assert measure_peaks(network, x)[0]["u"] > 2 * measure_peaks(network, x[:, :32])[0]["u"]


def integer_run(layer: FixedLayer, signal: Any, initial: Any = None) -> tuple[Any, Any]:
    """The output and all states of an integer layer."""
    return loop.forward(
        layer.neuron,
        layer.weights.integers,
        None if layer.recurrent is None else layer.recurrent.integers,
        layer.coefficients,
        layer.constants,
        signal,
        integers=True,
        keep_states=True,
        initial=initial,
    )


@pytest.mark.parametrize("scale", [3.0, 300.0])
def test_head_room_holds_in_the_quantized_network(scale: float) -> None:
    rng = np.random.default_rng(11)
    network = random_real_network(rng, scale)
    x = (rng.random((200, 20, 3)) < 0.2).astype(np.int8)
    result, reports = quantize(network, x)
    signal: Any = x
    for layer, report in zip(result.layers, reports, strict=True):
        bits = report.format.state_bits
        assert (layer.constants.state_bits, layer.constants.parameter_bits) == (bits, 16)
        assert HEADROOM * max(report.peaks.values()) * 2**bits <= STATE_LIMIT
        signal, states = integer_run(layer, signal)
        peak = int(np.abs(states).max())
        # A spike that rounding moved shifts a whole trajectory; a factor of two is left for that.
        assert HEADROOM / 2 * peak < STATE_LIMIT
    assert scale < 30 or peak > 0


def test_formats_that_are_given_are_obeyed_and_the_real_network_stays() -> None:
    network = random_real_network(np.random.default_rng(0))
    before = [(layer.weights.copy(), layer.coefficients.copy()) for layer in network.layers]
    x = np.ones((5, 1, 3), np.int8)
    result, reports = quantize(network, x, state_bits=9, parameter_bits=20, weight_bits=4)
    for layer, report in zip(result.layers, reports, strict=True):
        bits = report.format.weight_bits
        assert report.format == LayerFormat(9, 20, bits)
        assert set(np.atleast_1d(bits)) == {4}
        assert (layer.constants.state_bits, layer.constants.parameter_bits) == (9, 20)
        assert np.abs(layer.weights.mantissa.astype(int)).max() <= 7
    assert result.layers[0].constants.dt == round(DT * 2**20)
    for real_layer, (weights, coefficients) in zip(network.layers, before, strict=True):
        np.testing.assert_array_equal(real_layer.weights, weights)
        np.testing.assert_array_equal(real_layer.coefficients, coefficients)


# Stability of resonators


def assert_nearest_stable(damping: int, rotation: int, one: int) -> None:
    """Against all integers that are changed less, in every direction."""
    found = stabilize_resonator(damping, rotation, one)
    assert is_stable(*found, one)
    change = abs(found[0] - damping) + abs(found[1] - rotation)
    d, r = np.mgrid[-change : change + 1, -change : change + 1]
    nearer = np.abs(d) + np.abs(r) < change
    assert not is_stable(damping + d[nearer], rotation + r[nearer], one).any()


def test_no_smaller_change_is_stable() -> None:
    one = 16
    for damping in range(-one, one // 2):
        for rotation in range(3 * one // 2):
            assert_nearest_stable(damping, rotation, one)


def test_stability_by_hand() -> None:
    for damping, rotation in ((-1, 0), (-1, 1), (-199, 0)):
        assert is_stable(damping, rotation, 100)
    for damping, rotation in ((0, 0), (0, 1), (-200, 0)):  # on the circle none comes to rest
        assert not is_stable(damping, rotation, 100)
    one = 2**16
    assert stabilize_resonator(0, 20, one) == (-1, 20)  # (0, 0) would be further
    assert stabilize_resonator(-one, one + 2, one) == (-one, one - 1)  # damping cannot help here
    for damping, rotation in ((-101, 90), (0, -1)):
        with pytest.raises(ParameterError, match="at least -100 and 0 are needed"):
            stabilize_resonator(damping, rotation, 100)


BOUNDARY_OMEGA = np.concatenate([[0.0, 0.1, 1.0], np.linspace(3, 99.9, 40)])  # rad/s


@pytest.mark.parametrize(("state_bits", "parameter_bits"), [(14, 16), (18, 22), (6, 10)])
def test_resonators_at_the_boundary_stay_bounded(state_bits: int, parameter_bits: int) -> None:
    """b_offset is zero: in real numbers the free resonator neither grows nor decays."""
    layer, _ = quantize_layer(
        brf_layer(BOUNDARY_OMEGA, 1e-9),
        LayerFormat(state_bits=state_bits, parameter_bits=parameter_bits),
    )
    one = 2**parameter_bits
    assert all(is_stable(int(d), int(r), one) for d, r in layer.coefficients.T)
    theta = layer.constants.theta
    initial = np.zeros((3, 1, len(BOUNDARY_OMEGA)), np.int64)
    initial[0] = 9 * theta // 10
    _, states = integer_run(layer, np.zeros((20_000, 1, 1), np.int8), initial)
    largest = int(np.abs(states[:, :2]).max())
    assert largest < STATE_MAX
    # Products are cut toward zero, damping included, so amplitudes may creep up; the smooth reset
    # of the spike at theta then brakes them.
    assert largest < 3 * theta


def test_a_changed_resonator_is_reported_and_no_other() -> None:
    one = 2**10
    omega = np.linspace(3, 99, 60)
    layer, report = quantize_layer(brf_layer(omega, 0.0), LayerFormat(parameter_bits=10))
    real_values = DT * np.stack([divergence_boundary(omega, DT), omega]) * one
    rounded = np.rint(real_values).astype(int)
    unstable = {k for k in range(60) if not is_stable(*map(int, rounded[:, k]), one)}
    assert 5 < len(unstable) < 55
    assert {change.neuron for change in report.corrections} == unstable
    for change in report.corrections:
        assert change.parameters == ("damping", "rotation")
        assert change.rounded == tuple(rounded[:, change.neuron])
        assert change.corrected == tuple(layer.coefficients[:, change.neuron])
        assert change.corrected != change.rounded
    kept = [k for k in range(60) if k not in unstable]
    np.testing.assert_array_equal(layer.coefficients[:, kept], rounded[:, kept])


# Readouts


@pytest.mark.parametrize("bits", [PARAMETER_BITS_MIN, PARAMETER_BITS_MAX])
def test_a_readout_always_decays(bits: int) -> None:
    one = 2**bits
    decay = [1.0, 1 - 0.4 / one, 1 - 0.6 / one, exp(-1 / 20), 0.0]
    layer, report = quantize_layer(li_layer(decay), LayerFormat(parameter_bits=bits))
    assert layer.coefficients.tolist() == [
        [one - 1, one - 1, one - 1, round(exp(-1 / 20) * one), 0]
    ]
    assert [change.neuron for change in report.corrections] == [0, 1]
    for change in report.corrections:
        assert change.parameters == ("decay",)
        assert (change.rounded, change.corrected) == ((one,), (one - 1,))


# Reports and whole neurons


def test_the_report_names_the_neuron_and_its_peaks() -> None:
    real_layer = brf_layer([10.0, 20.0], 0.5, [[0.3], [-0.7]], [[0.0, 0.1], [0.2, 0.0]])
    _, report = quantize_layer(real_layer, LayerFormat(), {"u": 1.5, "v": 1.0, "q": 2.0})
    assert report.neuron == "BRF"
    assert report.peaks == {"u": 1.5, "v": 1.0, "q": 2.0}


def test_a_resonator_by_hand() -> None:
    """omega = 10 rad/s, b_offset = 0.5 1/s, dt = 0.01 s, 14 state and 16 parameter bits."""
    layer, report = quantize_layer(
        brf_layer([10.0], 0.5, [[0.5, 2.0, -1.0]], [[-3.0]]), LayerFormat()
    )
    # p = (sqrt(1 - 0.1**2) - 1) / 0.01 = -0.5012563; dt (p - 0.5) 65536 = -656.18
    assert layer.coefficients.tolist() == [[-656], [6554]]  # 0.1 * 65536 = 6553.6
    assert layer.constants == fixed.BalancedConstants(
        dt=655,  # 655.36
        theta=16384,
        gamma=58982,  # 58982.4
        unit=16384,
        state_bits=14,
        parameter_bits=16,
    )
    # dt * w * 16384 = 81.92, 327.68, -163.84; 327.68 / 4 = 81.92 is the first below 127.5
    assert layer.weights.exponent == 2
    assert layer.weights.mantissa.tolist() == [[20, 82, -41]]
    assert layer.recurrent is not None  # -491.52 / 4 = -122.88
    assert (layer.recurrent.mantissa.tolist(), layer.recurrent.exponent) == ([[-123]], 2)
    assert report.corrections == ()


def test_a_readout_by_hand() -> None:
    """tau = 20 steps; the real weights carry the gain, the integer ones do not."""
    gain = 1 - exp(-1 / 20)
    layer, _ = quantize_layer(li_layer([1 - gain], [[0.1 * gain, -0.05 * gain]]), LayerFormat())
    assert layer.coefficients.tolist() == [[62340]]  # 0.9512294 * 65536 = 62339.77
    assert layer.constants == fixed.LIConstants(14, 16)
    # 1638.4 / 16 = 102.4, -819.2 / 16 = -51.2
    assert (layer.weights.mantissa.tolist(), layer.weights.exponent) == ([[102, -51]], 4)


def test_constants_that_the_format_cannot_hold_are_refused() -> None:
    """40 * 2**18 is above the state range, 1e-6 * 2**16 rounds to no time at all."""
    for name, layer in (("theta", brf_layer(theta=40.0)), ("dt", brf_layer([1.0], dt=1e-6))):
        with pytest.raises(ParameterError, match=name):
            quantize_layer(layer, LayerFormat(state_bits=18))


def test_currents_beyond_24_bits_still_fit_an_int32_if_they_can() -> None:
    """255 * 1000 weights of 1: 2**5 times that fits 24 bits, 2**13 times that an int32."""
    layer = li_layer([0.5], np.full((1, 1000), 0.5).tolist())
    bits = choose_state_bits(layer, {"o": 1.0}, largest_input=255)
    fixed_layer, _ = quantize_layer(layer, LayerFormat(bits))
    fixed_layer.weights.check_currents(255)
    assert bits == 13


# The other neurons


def test_an_rf_neuron_that_was_trained_to_diverge_is_kept_and_reported() -> None:
    """damping -0.2 at 10 rad/s lies above p(10) = -0.501: |1 + dt (-0.2 + 10i)| is above 1."""
    stable, edge = -0.6, divergence_boundary(10.0, DT)
    layer, report = quantize_layer(
        resonators([-0.2, stable, edge], [10.0] * 3, neuron=families.RF), LayerFormat()
    )
    assert report.growth == {0: pytest.approx(abs(complex(1 - 0.002, 0.1)))}
    assert layer.coefficients[:, 0].tolist() == [round(-0.002 * 2**16), round(0.1 * 2**16)]
    for k in (1, 2):
        assert is_stable(*(int(value) for value in layer.coefficients[:, k]), 2**16)
    assert is_stable(*map(int, layer.coefficients[:, 0]), 2**16) is False


@given(
    omega=st.floats(0.0, 99.0),
    offset=st.floats(0.0, 20.0),
    bits=bits_of_parameters,
    balanced=st.booleans(),
)
def test_harmonic_neurons_are_stable_in_integers(
    omega: float, offset: float, bits: int, balanced: bool
) -> None:
    damping = offset + (harmonic_boundary(omega, DT) if balanced else 0.0)
    neuron = families.BHRF if balanced else families.HRF
    layer_format = LayerFormat(parameter_bits=bits)
    if 2 * DT * damping > 1:
        with pytest.raises(ParameterError, match="at least 0 and at most 1"):
            quantize_layer(resonators(damping, omega, neuron=neuron), layer_format)
        return
    layer, report = quantize_layer(resonators(damping, omega, neuron=neuron), layer_format)
    friction, rotation = (int(value) / 2**bits for value in layer.coefficients[:, 0])
    # w' = w + r u, u' = u - f u - r w': the matrix of one step on (u, w)
    step = np.array([[1 - friction - rotation**2, -rotation], [rotation, 1.0]])
    assert np.abs(np.linalg.eigvals(step)).max() <= 1 + 1e-7
    changed = 2 * DT * damping * 2**bits <= 0.5  # would round to no friction at all
    assert abs(friction - 2 * DT * damping) <= (0.5 + changed) / 2**bits + ROUNDING
    assert bool(report.corrections) == changed


@pytest.mark.parametrize(
    ("damping", "omega", "what"),
    [
        (-0.1, 10.0, "2 * dt * damping = -0.002"),
        (1.0, 100.0, "dt * omega = 1"),
        (nan, 1.0, "2 * dt * damping = nan"),
        (1.0, inf, "dt * omega = inf"),
    ],
)
def test_impossible_harmonic_neurons_are_refused(damping: float, omega: float, what: str) -> None:
    with pytest.raises(ParameterError, match=re.escape(f"HRF: {what} at neuron 0")):
        quantize_layer(resonators(damping, omega, neuron=families.HRF), LayerFormat())


def test_an_alif_layer_by_hand() -> None:
    decay, adaptation = [exp(-1 / 20), 1 - 1e-9], [exp(-1 / 7), 0.5]
    layer, report = quantize_layer(
        RealLayer(
            families.ALIF,
            (1 - np.array(decay))[:, None] * [[0.5], [-1.0]],
            None,
            np.array([decay, adaptation]),
            real.ALIFConstants(0.01, 1.8),
        ),
        LayerFormat(state_bits=17),
    )
    one = 2**16
    assert layer.coefficients.tolist() == [
        [round(decay[0] * one), one - 1],
        [round(adaptation[0] * one), one // 2],
    ]
    assert [change.neuron for change in report.corrections] == [1]
    assert layer.constants == fixed.ALIFConstants(
        round(0.01 * 2**17), round(1.8 * 2**17), 1 << 17, 17, 16
    )
    np.testing.assert_allclose(layer.weights.integers, [[2**16], [-(2**17)]], rtol=0.01)


def test_a_neuron_that_leaks_nothing_hears_nothing() -> None:
    layer, _ = quantize_layer(li_layer([1.0, 0.9], [[0.0], [0.05]]), LayerFormat())
    assert layer.weights.integers[:, 0].tolist() == [0, pytest.approx(0.5 * 2**14, rel=0.01)]
    with pytest.raises(ParameterError, match=r"^LI: decay 1 at neuron 1, .* must be below 1"):
        quantize_layer(li_layer([0.9, 1.0], [[0.0], [0.05]]), LayerFormat())


def test_every_neuron_has_all_levels_whatever_its_gain() -> None:
    """Two classes with the same weights, one of them 40 times slower: the same mantissas."""
    decay = np.exp(-1 / np.array([3.0, 120.0]))
    weights = (1 - decay)[:, None] * np.linspace(-1, 1, 9)
    layer, _ = quantize_layer(li_layer(decay, weights), LayerFormat())
    assert layer.weights.mantissa[0].tolist() == layer.weights.mantissa[1].tolist()
    assert len(set(layer.weights.mantissa[1].tolist())) == 9


@pytest.mark.parametrize(
    ("dtype", "values", "expected"),
    [
        (np.int8, (0, 1), (0, 1)),
        (np.uint8, (0, 1), (0, 1)),
        (np.uint8, (0, 2), (0, 255)),
        (np.int8, (-1, 1), (-128, 127)),
    ],
)
def test_the_input_range_is_that_of_spikes_or_of_the_type(
    dtype: type, values: tuple[int, int], expected: tuple[int, int]
) -> None:
    x = np.zeros((3, 2, 1), dtype)
    x[1, 0], x[2, 1] = values
    network, _ = quantize(RealNetwork((brf_layer(), li_layer())), x)
    assert network.input_range == expected


def test_input_ranges_that_are_refused() -> None:
    network, _ = quantize(RealNetwork((brf_layer(), li_layer())), np.ones((3, 2, 1), np.int8))
    for bad in ((0, 0), (1, 5), (-129, 1), (0, 256)):
        with pytest.raises(ParameterError, match="input range"):
            FixedNetwork(network.layers, input_range=bad)
    hidden, readout = network.layers
    wide = replace(hidden, weights=Connection(np.full((1, 600), 127, np.int8), 14))
    FixedNetwork((wide, readout))
    with pytest.raises(ParameterError, match="for the largest inputs"):
        FixedNetwork((wide, readout), input_range=(0, 255))
