"""Adaptive rounding: the cost is that of the membrane, and the search lowers it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from itertools import combinations, product
from typing import Any

import numpy as np
import pytest

from brf_lava.analysis.activity import Samples, answers
from brf_lava.analysis.bits import GRID, ONE_AT_A_TIME, Trial, fewest_weight_bits, pareto, trials
from brf_lava.analysis.scores import ENOUGH_SAMPLES, fidelity_samples, measure_fidelity
from brf_lava.backends import engine
from brf_lava.board.describe import network_shape
from brf_lava.board.fits import place
from brf_lava.cli.target import board_profile
from brf_lava.data.dataset import Split
from brf_lava.errors import DoesNotFitError, ParameterError
from brf_lava.export import adaptive
from brf_lava.export.adaptive import round_network
from brf_lava.export.quantize import UNITS, quantize
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
        layer.weights if weights is None else weights,
        None,
        layer.coefficients,
        layer.constants,
        x,
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


@pytest.mark.parametrize("bits", [[2], [4], [8], [2, 2], [8, 8], [8, 3], [2, 5]])
def test_rounding_never_costs_more_than_the_nearest(bits: list[int]) -> None:
    gram, matrix = gram_and_matrix(bits[0])
    parts = [matrix] if len(bits) == 1 else [matrix[:, :3], matrix[:, 3:]]
    limit = np.concatenate(
        [np.full(p.shape[1], 2 ** (b - 1) - 1) for p, b in zip(parts, bits, strict=True)]
    )
    roundings = round_rows(gram, parts, bits)
    assert [r.cost for r in roundings] == sorted(r.cost for r in roundings)
    for rounding in roundings:
        steps = np.concatenate(
            [np.full(p.shape[1], 2.0**e) for p, e in zip(parts, rounding.exponents, strict=True)]
        )
        mantissa = np.concatenate(rounding.mantissas, axis=1).astype(float)
        assert (np.abs(mantissa) <= limit).all()
        found = cost(gram, mantissa * steps - matrix)
        nearest = np.clip(np.rint(matrix / steps), -limit, limit) * steps
        assert found <= cost(gram, nearest - matrix)
        assert rounding.cost == pytest.approx(found)


@pytest.mark.parametrize("seed", range(4))
def test_no_single_change_and_no_pair_improves_a_rounding(seed: int) -> None:
    gram, matrix = gram_and_matrix(seed, neurons=1, columns=12)
    rounding = round_rows(gram, [matrix], [4])[0]
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
    rounding = round_rows(np.tile(phi.T @ phi, (4, 1, 1)), [matrix], [4])[0]
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
    layers = [[layer] for layer in nearest.layers]
    first, again = (
        round_network(network, layers, x, [(4, 4), (4,)], Decision(), counted.append)
        for _ in range(2)
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


def test_a_layer_takes_the_unit_that_suits_its_weights() -> None:
    network = small_network(np.random.default_rng(4), BRF, 40.0)
    x = spikes(np.random.default_rng(5))
    units = set()
    for bits in (3, 4, 5, 6):
        fixed, reports = quantize(network, x, weight_bits=bits)
        hidden, report = fixed.layers[0], reports[0]
        largest = 1 << hidden.constants.state_bits
        assert hidden.unit in [round(largest / 2**less) for less in UNITS]
        assert report.format.unit == hidden.unit == hidden.constants.theta
        assert hidden.constants.dt == round(
            network.layers[0].constants.dt * 2**16 * largest / hidden.unit
        )
        real = network.layers[0].weights
        error = np.abs(hidden.weights.integers / (0.01 * hidden.unit) - real).max()
        assert error < 2 ** (2 - bits) * np.abs(real).max()
        units.add(hidden.unit / largest)
    assert len(units) > 1


NETWORK = small_network(np.random.default_rng(0), BRF, 40.0)


@pytest.mark.parametrize("rounding", ["adaptive", "nearest"])
def test_each_matrix_has_bits_of_its_own(rounding: str) -> None:
    x = spikes(np.random.default_rng(5))
    fixed, reports = quantize(NETWORK, x, weight_bits=[8, 3, 5], rounding=rounding)
    hidden, readout = fixed.layers
    found = [hidden.weights, hidden.recurrent, readout.weights]
    largest = [int(np.abs(each.mantissa).max()) for each in found if each]
    assert [value.bit_length() + 1 for value in largest] == [8, 3, 5]
    assert [report.format.weight_bits for report in reports] == [(8, 3), (5,)]


def test_grams_that_were_kept_give_the_same_integers(monkeypatch: pytest.MonkeyPatch) -> None:
    network, x = NETWORK, spikes(np.random.default_rng(5))
    asked: Any = {"weight_bits": 3, "state_bits": 9}
    fresh, _ = quantize(network, x, **asked)
    grams: dict[int, Any] = {}
    quantize(network, x, grams=grams)
    assert list(grams) == [0]  # the readout's follows the integers before it
    measured = []
    gram = adaptive._gram
    monkeypatch.setattr(adaptive, "_gram", lambda *of: measured.append(of) or gram(*of))
    again, _ = quantize(network, x, grams=grams, **asked)
    assert len(measured) == 1
    for one, two in zip(fresh.layers, again.layers, strict=True):
        assert (one.weights.integers == two.weights.integers).all()


def test_a_wide_layer_is_fitted_on_fewer_samples_than_choices_are_compared_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    x, fitted, compared = spikes(np.random.default_rng(5)), [], []
    gram, run = adaptive._gram, adaptive._run
    monkeypatch.setattr(adaptive, "_gram", lambda *of: fitted.append(of[1]) or gram(*of))
    monkeypatch.setattr(adaptive, "_run", lambda *of: compared.append(of[1]) or run(*of))
    columns = INPUTS + HIDDEN
    monkeypatch.setattr(adaptive, "WORK", 2 * STEPS * HIDDEN * columns**2)  # of two samples
    quantize(NETWORK, x, weight_bits=3)
    assert fitted[0].shape[1] == 2
    assert {each.shape[1] for each in compared} == {SAMPLES}


def test_a_readout_of_few_samples_stays_close_to_the_trained_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    moved, refit = [], adaptive._refit

    def measured(gram: Any, product: Any, weights: Any, strength: float) -> Any:
        refitted = refit(gram, product, weights, strength)
        moved.append(np.abs(refitted - weights).max())
        return refitted

    monkeypatch.setattr(adaptive, "_refit", measured)
    for few in (adaptive.FEW, 0):
        monkeypatch.setattr(adaptive, "FEW", few)
        quantize(NETWORK, spikes(np.random.default_rng(5)), weight_bits=3)
    assert 0 < moved[0] < 0.1 * moved[1]


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
    for rounding in round_rows(gram, [np.where(pruned, 0.0, matrix)], [4]):
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
    samples = Samples(x, y, Decision())
    fidelity = measure_fidelity(answers(network, samples), fixed, samples)
    activity = engine.run(fixed, x)
    predictions = activity.outputs.argmax(2).T
    assert fidelity.samples == SAMPLES
    assert fidelity.sops[1] == activity.spikes[0].sum() / SAMPLES
    assert 0 < fidelity.agreement <= 1
    assert fidelity.accuracies is None or fidelity.accuracies[1] == (predictions == y).mean()
    assert (fidelity.accuracies is not None) == labeled
    floats, _ = answers(network, samples)
    lost = (floats != predictions).sum(1)
    if fidelity.accuracies is not None:
        lost = ((floats == y).astype(int) - (predictions == y)).sum(1)
        assert fidelity.lost == pytest.approx(100 * -np.subtract(*fidelity.accuracies[::-1]))
    assert fidelity.lost == pytest.approx(100 * lost.sum() / y.size)
    assert fidelity.error == pytest.approx(100 / STEPS * lost.std() / np.sqrt(SAMPLES))


@pytest.mark.parametrize("spare", [ENOUGH_SAMPLES - 1, ENOUGH_SAMPLES])
def test_fidelity_is_measured_on_other_samples_than_rounding_used(spare: int) -> None:
    used = 3
    y = np.arange(used + spare, dtype=np.uint8)[:, None]
    train = Split(np.broadcast_to(y[:, :, None], (used + spare, 2, 1)).copy(), y)
    samples, what = fidelity_samples(train, used, Decision())
    first = used if spare == ENOUGH_SAMPLES else 0
    assert samples.labels.ravel().tolist() == list(range(first, used + spare))
    assert samples.x[1, :, 0].tolist() == list(range(first, used + spare))
    assert ("did not use" in what) == (first > 0)


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


# The search for few bits, and the sweep over them

Try = Callable[[Any], Trial]


def trial(memory: int = 0, accuracy: float | None = 0.5, **values: Any) -> Trial:
    usual = {"weight_bits": (8, 8, 8), "state_bits": (14, 14), "parameter_bits": 16, "cores": 1}
    found = {"samples": 9, "agreement": 0.5, "lost": 0.0, "error": 0.0, "sops": (0.0, 0.0)}
    found["accuracies"] = None if accuracy is None else (0.5, accuracy)
    return Trial(**{**usual, **found, "memory_bits": memory, **values})


def losing(needed: tuple[int, int, int]) -> tuple[Try, list[tuple[int, ...]]]:
    """A network that loses a point for each bit that a matrix is below those it needs."""
    asked: list[tuple[int, ...]] = []

    def rounded(bits: Any) -> Trial:
        bits = tuple(bits) * (3 // len(bits))
        asked.append(bits)
        short = sum(max(0, n - b) for n, b in zip(needed, bits, strict=True))
        return trial(weight_bits=bits, lost=float(short))

    return rounded, asked


@pytest.mark.parametrize("needed", [(8, 8, 8), (2, 2, 2), (5, 7, 3), (3, 2, 6)])
def test_the_fewest_bits_are_those_that_are_needed(needed: tuple[int, int, int]) -> None:
    rounded, asked = losing(needed)
    best, tried = fewest_weight_bits(NETWORK, rounded, (8,), lose=0.5)
    assert best.weight_bits == needed
    assert [each.weight_bits for each in tried] == asked
    together = list(range(8, max(2, max(needed) - 1) - 1, -1))
    assert asked[: len(together)] == [(bits,) * 3 for bits in together]
    assert len(asked) == len(set(asked))


def test_the_largest_matrix_gets_fewer_bits_first() -> None:
    """Of one point that may be lost: the recurrent weights are the most."""
    rounded, _ = losing((5, 5, 5))
    assert fewest_weight_bits(NETWORK, rounded, (8,), lose=1)[0].weight_bits == (5, 4, 5)
    assert fewest_weight_bits(NETWORK, rounded, (6, 7, 3), lose=3)[0].weight_bits == (5, 5, 2)


def test_more_than_may_be_lost_is_refused() -> None:
    rounded, asked = losing((8, 8, 8))
    with pytest.raises(
        DoesNotFitError, match=r"7 bits a weight lose 3\.00 points.*2\.5 may be lost"
    ):
        fewest_weight_bits(NETWORK, rounded, (7,), lose=2.5)
    assert asked == [(7, 7, 7)]


def test_only_a_trial_that_keeps_more_than_all_smaller_ones_is_in_the_front() -> None:
    tried = [trial(*each) for each in ((5, 0.8), (3, 0.7), (4, 0.7), (3, 0.6), (6, 0.9), (7, 0.9))]
    assert pareto(tried) == [tried[1], tried[0], tried[4]]
    unlabeled = [trial(3, None, agreement=0.7), trial(4, None, agreement=0.6)]
    assert pareto(unlabeled) == unlabeled[:1]


def test_a_sweep_changes_one_number_at_a_time() -> None:
    assert ONE_AT_A_TIME[0] == (8, None, 16)
    values = [{8, 7, 6, 5, 4, 3, 2}, {None, 12, 10, 8}, {16, 12, 10}]
    assert [set(each) for each in zip(*ONE_AT_A_TIME, strict=True)] == values
    assert (len(ONE_AT_A_TIME), len(set(GRID))) == (7 + 3 + 2, 7 * 4 * 3)


@pytest.mark.parametrize(("neuron", "a_unit"), [(BRF, None), (ALIF, 2**22)])
def test_a_trial_is_what_quantize_and_fidelity_give(neuron: Neuron, a_unit: int | None) -> None:
    network = small_network(np.random.default_rng(0), neuron, 1.0 if a_unit else 40.0)
    rng = np.random.default_rng(1)
    x, y = spikes(rng), rng.integers(0, CLASSES, (SAMPLES, STEPS)).astype(np.uint8)
    samples, board = Samples(x, y, Decision()), board_profile("loihi2-oheogulch")
    nearest = partial(quantize, network, x, rounding="nearest")
    rounded = trials(network, nearest, samples, board, HIDDEN + CLASSES)
    asked: dict[str, Any] = {"state_bits": 10, "parameter_bits": 12}
    found = rounded((8, 3, 5), **asked)
    fixed, reports = quantize(network, x, weight_bits=(8, 3, 5), rounding="nearest", **asked)
    fidelity = measure_fidelity(answers(network, samples), fixed, samples)
    assert vars(fidelity).items() <= vars(found).items()
    assert found.kept == (fidelity.accuracies or (0, 0))[1]
    assert (found.weight_bits, found.state_bits) == ((8, 3, 5), (10, 10))
    assert (found.parameter_bits, found.cores) == (12, place(network_shape(fixed, ""), board).cores)
    memory = HIDDEN * INPUTS * 8 + HIDDEN * HIDDEN * 3 + CLASSES * HIDDEN * 5
    for layer, report in zip(fixed.layers, reports, strict=True):
        values = [np.abs(row).max() for row in layer.coefficients]
        units = {"a": a_unit, "z": 1}
        values += [peak * (units.get(name) or 2**10) for name, peak in report.peaks.items()]
        widths = [1 + (int(np.floor(np.log2(value))) + 1 if value >= 1 else 0) for value in values]
        memory += len(layer.weights.mantissa) * sum(widths)
    assert found.memory_bits == memory
