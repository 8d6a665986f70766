"""Adaptive rounding: the cost is that of the membrane, and the search lowers it."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations, product
from typing import Any

import numpy as np
import pytest

from brf_lava.analysis.activity import Samples
from brf_lava.analysis.fidelity import measure_fidelity
from brf_lava.backends import engine
from brf_lava.errors import ParameterError
from brf_lava.export import adaptive
from brf_lava.export.adaptive import round_network
from brf_lava.export.quantize import quantize
from brf_lava.export.rounding import RIDGE, bare_weights, filtered, linear_states, round_rows
from brf_lava.kernels import loop
from brf_lava.network.decision import UNLABELED, Decision
from brf_lava.network.forward import forward
from brf_lava.network.layers import RealLayer, RealNetwork
from brf_lava.neurons.families import ALIF, BHRF, BRF, HRF, LI, NEURONS, RF, Neuron

STEPS, SAMPLES, INPUTS, HIDDEN, CLASSES = 60, 3, 5, 7, 4
LINEAR = {RF: "uv", BRF: "uv", HRF: "uw", BHRF: "uw", ALIF: "u", LI: "o"}


def real_layer(
    neuron: Neuron, rng: np.random.Generator, shape: tuple[int, int], scale: float = 1.0
) -> RealLayer:
    """A stable layer with the default constants."""
    neurons, _ = shape
    drawn = [
        rng.uniform(*p.default, neurons) if hasattr(p, "default") else rng.uniform(5, 30, neurons)
        for p in neuron.trained
    ]
    constants: Any = {c.name: c.default for c in neuron.constants}
    constants = neuron.real_constants(**constants)
    rule = neuron.rule
    coefficients = np.array(
        [rule(*(float(values[k]) for values in drawn), constants) for k in range(neurons)]
    ).T
    recurrent = rng.normal(0, scale, (neurons, neurons)) if neuron.spiking else None
    return RealLayer(neuron, rng.normal(0, scale, shape), recurrent, coefficients, constants)


def run(layer: RealLayer, x: Any, weights: Any = None) -> tuple[Any, Any]:
    """Outputs, and the states before each step."""
    outputs, states = loop.forward(
        layer.neuron,
        x,
        layer.weights if weights is None else weights,
        None,
        layer.coefficients,
        layer.constants,
        integers=False,
        keep_states=True,
    )
    return outputs, states


def spikes(rng: np.random.Generator, inputs: int = INPUTS, share: float = 0.3) -> Any:
    return (rng.random((STEPS, SAMPLES, inputs)) < share).astype(np.int8)


@pytest.mark.parametrize("neuron", NEURONS.values(), ids=lambda neuron: neuron.name)
def test_the_states_that_a_current_reaches(neuron: Neuron) -> None:
    layer = real_layer(neuron, np.random.default_rng(0), (HIDDEN, INPUTS))
    assert "".join(neuron.states[i] for i in linear_states(layer)) == LINEAR[neuron]


@pytest.mark.parametrize("neuron", NEURONS.values(), ids=lambda neuron: neuron.name)
def test_a_changed_weight_changes_the_membrane_as_filtered_says(neuron: Neuron) -> None:
    """As long as no spike changes: the first state of two runs differs by the filtered input."""
    rng = np.random.default_rng(1)
    scale = 1e-3 if "theta" in neuron.real_constants._fields else 1.0  # type: ignore[attr-defined]
    layer = real_layer(neuron, rng, (HIDDEN, INPUTS), scale)
    x, change = spikes(rng), 1e-4 * rng.normal(size=(HIDDEN, INPUTS))
    gains = 1 - layer.coefficients[0] if neuron.leak else np.ones(HIDDEN)
    _, before = run(layer, x)
    _, after = run(layer, x, layer.weights + gains[:, None] * change)
    for k in range(HIDDEN):
        membrane = filtered(layer, k, x.astype(np.float32), before[:-1, ..., k]) @ change[k]
        difference = (after - before)[1:, 0, :, k]
        np.testing.assert_allclose(membrane, difference, rtol=1e-3, atol=1e-7)


def gram_and_matrix(seed: int, neurons: int = 6, columns: int = 8) -> tuple[Any, Any]:
    rng = np.random.default_rng(seed)
    phi = rng.normal(size=(neurons, 40, columns)) @ rng.normal(size=(columns, columns))
    return phi.transpose(0, 2, 1) @ phi, 100 * rng.normal(size=(neurons, columns))


def cost(gram: Any, error: Any) -> float:
    columns = gram.shape[1]
    ridge = RIDGE * np.einsum("kjj->k", gram)[:, None, None] / columns * np.eye(columns)
    return float(np.einsum("kj,kjl,kl->", error, gram + ridge, error))


@pytest.mark.parametrize("bits", [2, 4, 8])
@pytest.mark.parametrize("split", [None, 3])
def test_rounding_never_costs_more_than_the_nearest(bits: int, split: int | None) -> None:
    gram, matrix = gram_and_matrix(bits)
    parts = [matrix] if split is None else [matrix[:, :split], matrix[:, split:]]
    limit = 2 ** (bits - 1) - 1
    roundings = round_rows(gram, parts, bits)
    assert [r.cost for r in roundings] == sorted(r.cost for r in roundings)
    for rounding in roundings:
        steps = np.concatenate(
            [np.full(p.shape[1], 2.0**e) for p, e in zip(parts, rounding.exponents, strict=True)]
        )
        mantissa = np.concatenate(rounding.mantissas, axis=1).astype(float)
        assert np.abs(mantissa).max() <= limit
        found = cost(gram, mantissa * steps - matrix)
        nearest = np.clip(np.rint(matrix / steps), -limit, limit) * steps
        assert found <= cost(gram, nearest - matrix)
        assert rounding.cost == pytest.approx(found)


@pytest.mark.parametrize("seed", range(4))
def test_no_single_change_and_no_pair_improves_a_rounding(seed: int) -> None:
    gram, matrix = gram_and_matrix(seed, neurons=1, columns=12)
    rounding = round_rows(gram, [matrix], 4)[0]
    step, mantissa = 2.0 ** rounding.exponents[0], rounding.mantissas[0].astype(float)
    for i, j in combinations(range(12), 2):
        for changes in product((-1, 0, 1), repeat=2):
            other = mantissa.copy()
            other[0, [i, j]] += changes
            if np.abs(other).max() <= 7:
                assert cost(gram, other * step - matrix) >= rounding.cost * (1 - 1e-6)


def test_an_outlier_is_clipped_where_that_costs_less() -> None:
    """One weight of an input that is nearly silent must not take the bits of all others."""
    rng = np.random.default_rng(3)
    matrix = rng.normal(0, 10, (4, 8))
    matrix[0, 0] = 100
    phi = rng.normal(size=(200, 8))
    phi[:, 0] *= 1e-3
    rounding = round_rows(np.tile(phi.T @ phi, (4, 1, 1)), [matrix], 4)[0]
    assert rounding.mantissas[0][0, 0] == 7
    assert 7 * 2 ** rounding.exponents[0] < 100


def test_the_readout_of_a_silent_network_keeps_the_nearest_integers() -> None:
    network = small_network(np.random.default_rng(2), BRF, scale=1e-6)
    x = spikes(np.random.default_rng(2))
    nearest, _ = quantize(network, x, state_bits=14, rounding="nearest")
    adaptive, _ = quantize(network, x, state_bits=14)
    assert (adaptive.layers[1].weights.integers == nearest.layers[1].weights.integers).all()


def small_network(rng: np.random.Generator, neuron: Neuron, scale: float) -> RealNetwork:
    hidden = real_layer(neuron, rng, (HIDDEN, INPUTS), scale)
    readout = real_layer(LI, rng, (CLASSES, HIDDEN))
    return RealNetwork((hidden, readout))


@pytest.mark.parametrize("neuron", [BRF, ALIF, BHRF, RF], ids=lambda neuron: neuron.name)
def test_a_network_is_rounded_alike_twice_and_in_its_weights_alone(neuron: Neuron) -> None:
    network = small_network(np.random.default_rng(4), neuron, 40.0 if neuron is not ALIF else 1.0)
    x = spikes(np.random.default_rng(5))
    nearest, _ = quantize(network, x, weight_bits=4, rounding="nearest")
    counted: list[int] = []
    first, again = (
        round_network(network, nearest.layers, x, 4, Decision(), counted.append) for _ in range(2)
    )
    assert counted == 2 * list(range(1, HIDDEN + CLASSES + 1))
    assert any(
        (a.weights.mantissa != b.weights.mantissa).any()
        for a, b in zip(first, nearest.layers, strict=True)
    )
    for one, two, old in zip(first, again, nearest.layers, strict=True):
        assert (one.weights.integers == two.weights.integers).all()
        assert (one.coefficients == old.coefficients).all()
        assert one.constants == old.constants
        assert (one.recurrent is None) == (old.recurrent is None)


def test_a_neuron_that_grows_keeps_its_nearest_integers() -> None:
    """However far: its membrane overflows, and must not choose the exponents of the others."""
    rng = np.random.default_rng(6)
    network = small_network(rng, RF, 1.0)
    coefficients = network.layers[0].coefficients.copy()
    coefficients[:, 0] = 0.0, 50.0  # no damping: it grows by 12 % a step; the others are stable
    hidden = replace(network.layers[0], coefficients=coefficients)
    for repeats in (2, 20):
        x = np.tile(spikes(rng), (repeats, 1, 1))
        grown = quantize(RealNetwork((hidden, network.layers[1])), x, weight_bits=4, state_bits=6)
        layer = grown[0].layers[0]
        assert layer.recurrent is not None
        for matrix, connection in zip(
            bare_weights(hidden), (layer.weights, layer.recurrent), strict=True
        ):
            wanted = matrix[0] * hidden.constants.dt * 2.0**6 / 2.0**connection.exponent
            np.testing.assert_array_equal(connection.mantissa[0], np.clip(np.rint(wanted), -7, 7))


def test_of_the_cheapest_choices_the_one_that_agrees_best_is_kept(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    gains = []
    for seed in range(6):
        network = small_network(np.random.default_rng(seed), BRF, 40.0)
        x = spikes(np.random.default_rng(seed + 100))
        agreement = []
        for kept in (1, 4):
            monkeypatch.setattr(adaptive, "KEPT", kept)
            fixed, _ = quantize(network, x, weight_bits=3)
            answers = [
                forward(network.layers[1], forward(hidden, x)[0])[0].argmax(2)
                for hidden in (network.layers[0], fixed.layers[0])
            ]
            agreement.append(float((answers[0] == answers[1]).mean()))
        gains.append(agreement[1] - agreement[0])
    assert min(gains) >= 0
    assert max(gains) > 0


def test_weights_of_0_stay_0() -> None:
    gram, matrix = gram_and_matrix(7)
    pruned = np.random.default_rng(7).random(matrix.shape) < 0.5
    for rounding in round_rows(gram, [np.where(pruned, 0.0, matrix)], 4):
        assert not rounding.mantissas[0][pruned].any()


@pytest.mark.parametrize("bits", [4, 8])
def test_weights_that_are_integers_already_are_kept(bits: int) -> None:
    """Those of a network that was trained with rounded weights."""
    network = small_network(np.random.default_rng(8), BRF, 40.0)
    x = spikes(np.random.default_rng(8))
    asked = {"weight_bits": bits, "state_bits": 8}  # so coarse that spikes differ
    fixed, _ = quantize(network, x, rounding="nearest", **asked)  # type: ignore[arg-type]
    unit = network.layers[0].constants.dt * 2.0**8
    hidden = replace(
        network.layers[0],
        weights=fixed.layers[0].weights.integers / unit,
        recurrent=fixed.layers[0].recurrent.integers / unit,  # type: ignore[union-attr]
    )
    gains = 1 - network.layers[1].coefficients[0]
    weights = gains[:, None] * fixed.layers[1].weights.integers / 2.0**8
    readout = replace(network.layers[1], weights=weights)
    again, _ = quantize(RealNetwork((hidden, readout)), x, **asked)  # type: ignore[arg-type]
    for new, old in zip(again.layers, fixed.layers, strict=True):
        assert (new.weights.integers == old.weights.integers).all()


def test_an_unknown_rounding_is_refused() -> None:
    network = small_network(np.random.default_rng(0), BRF, 1.0)
    with pytest.raises(ParameterError, match="'up'; choose one of adaptive, nearest"):
        quantize(network, spikes(np.random.default_rng(0)), rounding="up")


@pytest.mark.parametrize("labeled", [True, False])
def test_fidelity_is_that_of_two_runs(labeled: bool) -> None:
    rng = np.random.default_rng(9)
    network, x = small_network(rng, BRF, 40.0), spikes(rng)
    y = rng.integers(0, CLASSES, (SAMPLES, STEPS)).astype(np.uint8)
    if not labeled:
        y[:] = UNLABELED
    fixed, _ = quantize(network, x, weight_bits=4)
    fidelity = measure_fidelity(network, fixed, Samples(x, y, Decision()))
    activity = engine.run(fixed, x)
    predictions = activity.outputs.argmax(2).T
    assert fidelity.samples == SAMPLES
    assert fidelity.sops[1] == activity.spikes[0].sum() / SAMPLES
    assert 0 < fidelity.agreement <= 1
    assert fidelity.accuracies is None or fidelity.accuracies[1] == (predictions == y).mean()
    assert (fidelity.accuracies is not None) == labeled


def test_weights_of_a_neuron_that_leaks_nothing_are_refused() -> None:
    layer = real_layer(LI, np.random.default_rng(0), (CLASSES, HIDDEN))
    with pytest.raises(ParameterError, match="neuron 0"):
        bare_weights(replace(layer, coefficients=np.ones_like(layer.coefficients)))


def test_readout_weights_of_0_stay_0() -> None:
    rng = np.random.default_rng(11)
    network, x = small_network(rng, BRF, 40.0), spikes(rng)
    pruned = rng.random((CLASSES, HIDDEN)) < 0.5
    readout = replace(network.layers[1], weights=np.where(pruned, 0, network.layers[1].weights))
    fixed, _ = quantize(RealNetwork((network.layers[0], readout)), x, weight_bits=8)
    assert not fixed.layers[1].weights.mantissa[pruned].any()
