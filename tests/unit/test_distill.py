"""Distillation: integers that learn to answer as the float network."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numba
import numpy as np
import pytest
import torch
from networks import random_spikes
from threadpoolctl import threadpool_info

from brf_lava.backends import engine
from brf_lava.config.recipe import load_recipe, override
from brf_lava.errors import NotEnoughMemoryError
from brf_lava.export.quantize import quantize
from brf_lava.export.rounding import mantissa_limit
from brf_lava.kernels.cpu import threads
from brf_lava.network.forward import forward
from brf_lava.network.layers import FixedNetwork
from brf_lava.train import distill as distillation
from brf_lava.train.distill import distill, samples_taught
from brf_lava.train.export import possible_rounding, rounding_steps, to_integers
from brf_lava.train.model import Network

X = random_spikes(np.random.default_rng(0), 100, 64, 4)  # [T, B, I]


def float_network(recipe: str = "ecg-brf", *changes: str) -> Network:
    """With weights large enough to spike."""
    asked = ["network.hidden=[12]", *changes]
    generator = torch.Generator().manual_seed(0)
    network = Network(override(load_recipe(recipe), asked), X.shape[2], 6, generator)
    with torch.no_grad():
        network.hidden_blocks[0].weight *= 5 if recipe == "ecg-alif" else 100
        network.readout.weight *= 50
    return network


def distance(model: Network, network: FixedNetwork, x: Any) -> float:
    """The mean cross entropy of the integers' answers and the float network's."""
    signal: Any = x.astype(float)
    for layer in model.to_real().layers:
        signal, _ = forward(layer, signal)
    ours = torch.from_numpy(engine.run(network, x).outputs / network.layers[-1].unit)
    wanted = torch.from_numpy(signal).softmax(2).flatten(0, 1)
    return float(torch.nn.functional.cross_entropy(ours.flatten(0, 1), wanted))


@pytest.mark.parametrize("recipe", ["ecg-brf", "ecg-bhrf", "ecg-rf", "ecg-alif"])
def test_answers_to_other_samples_come_closer(recipe: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(distillation, "RATE", 0.01)  # an epoch is three batches here
    monkeypatch.setattr(distillation, "RATES", 0.2)  # of few spikes
    model, done = float_network(recipe, "readout.tau_mean=5"), list[int]()
    adaptive, reports = quantize(model.to_real(), X, weight_bits=3, decision=model.decision)
    network, told = distill(model, adaptive, reports, X, done.append)
    others = X[:, samples_taught(X) :]
    assert distance(model, network, others) < distance(model, adaptive, others)
    assert done == list(range(1, distillation.EPOCHS + 1))
    for layer, before, report in zip(network.layers, adaptive.layers, told, strict=True):
        assert layer.constants == before.constants
        weights = [each for each in (layer.weights, layer.recurrent) if each is not None]
        assert max(abs(int(m)) for w in weights for m in w.mantissa.flat) <= mantissa_limit(3)
        assert report.peaks == reports[told.index(report)].peaks
    again, _ = distill(model, adaptive, reports, X, lambda _: None)
    for one, other in zip(network.layers, again.layers, strict=True):
        np.testing.assert_array_equal(one.weights.integers, other.weights.integers)
        np.testing.assert_array_equal(one.coefficients, other.coefficients)


def test_each_matrix_keeps_its_bits_and_no_neuron_grows() -> None:
    model = float_network()
    network, reports = to_integers(model, X, weight_bits=(3, 4, 5))
    assert [report.format.weight_bits for report in reports] == [(3, 4), (5,)]
    (hidden, readout), limits = network.layers, map(mantissa_limit, (3, 4, 5))
    connections = (hidden.weights, hidden.recurrent, readout.weights)
    for each, limit in zip(connections, limits, strict=True):
        assert np.abs(each.mantissa).max() <= limit
    assert not reports[0].growth


def test_sums_are_those_of_one_thread_on_any_number() -> None:
    before, seen = threads(), list[tuple[int, ...]]()

    def progress(done: int) -> None:
        blas = [pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"]
        seen.append((*threads(), *blas))

    numba.set_num_threads(2)
    torch.set_num_threads(2)
    try:
        to_integers(float_network(), X, progress=progress)
        assert threads() == (2, 2)
    finally:
        torch.set_num_threads(before[0])
        numba.set_num_threads(before[1])
    assert len(seen) == 12 + 6 + distillation.EPOCHS
    assert {number for each in seen for number in each} == {1}


def test_pruned_weights_stay_0_and_so_do_trained_integers() -> None:
    sparse = float_network("ecg-brf", "recurrent_density=0.5")
    mask = sparse.hidden_blocks[0].recurrent_mask
    network, _ = to_integers(sparse, X, weight_bits=3)
    assert not network.layers[0].recurrent.integers[mask.numpy() == 0].any()
    on_integers = float_network("ecg-brf", "weight_bits=4")
    network, _ = to_integers(on_integers, X, weight_bits=4)
    for layer, block in zip(network.layers, on_integers.blocks, strict=True):
        np.testing.assert_array_equal(layer.weights.integers, block.to_fixed().weights.integers)


def test_what_is_no_better_is_not_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither steps that ruin the network, nor any, where no sample is left to tell."""
    model = float_network()
    adaptive, reports = quantize(model.to_real(), X, weight_bits=4, decision=model.decision)
    assert distill(model, adaptive, reports, X[:, :1], lambda _: None) == (adaptive, reports)
    monkeypatch.setattr(distillation, "RATE", 1e6)  # omega leaves its range
    assert distill(model, adaptive, reports, X, lambda _: None) == (adaptive, reports)
    monkeypatch.setattr(distillation, "RATES", -1.0)  # no number of spikes is close enough
    monkeypatch.setattr(distillation, "RATE", 0.01)
    assert distill(model, adaptive, reports, X, lambda _: None) == (adaptive, reports)
    monkeypatch.setattr(distillation, "RATES", 1.0)
    assert distill(model, adaptive, reports, X, lambda _: None)[0] is not adaptive
    with monkeypatch.context() as patch:
        patch.setattr(distillation, "restless", lambda layer: [0])  # neurons do not come to rest
        assert distill(model, adaptive, reports, X, lambda _: None) == (adaptive, reports)
    monkeypatch.setattr(distillation, "RATE", 3.0)
    monkeypatch.setattr(distillation, "EPOCHS", 1)
    assert distill(model, adaptive, reports, X, lambda _: None) == (adaptive, reports)


def test_progress_counts_neurons_and_epochs() -> None:
    model = float_network()
    for rounding in ("distilled", "adaptive"):
        done: list[int] = []
        to_integers(model, X, rounding=rounding, progress=done.append)
        assert done[-1] == rounding_steps(model, rounding, X) == 18 + 20 * (rounding == "distilled")


def test_a_neuron_without_an_adjoint_is_rounded_adaptively() -> None:
    model = float_network()
    block = model.hidden_blocks[0]
    block.neuron.family = replace(block.neuron.family, adjoint_step=None)
    assert rounding_steps(model, "distilled", X) == 18
    network, _ = to_integers(model, X)
    adaptive, _ = to_integers(model, X, rounding="adaptive")
    np.testing.assert_array_equal(*(each.layers[0].coefficients for each in (network, adaptive)))


def test_a_network_that_would_learn_the_answers_by_heart_is_rounded_adaptively() -> None:
    model = float_network()
    parameters = sum(each.numel() for each in model.parameters())
    enough = -(-distillation.ANSWERS * parameters // len(X))  # samples to be taught
    samples = next(b for b in range(1, X.shape[1]) if samples_taught(X[:, :b]) >= enough)
    assert possible_rounding(model, "distilled", X[:, :samples]) == "distilled"
    assert possible_rounding(model, "distilled", X[:, : samples - 1]) == "adaptive"
    model.decision = replace(model.decision, ignore_first=len(X) // 2)
    assert possible_rounding(model, "distilled", X[:, :samples]) == "adaptive"
    model.loss_steps = "last"  # one answer a sample
    assert possible_rounding(model, "distilled", X) == "adaptive"
    network, _ = to_integers(model, X)
    adaptive, _ = to_integers(model, X, rounding="adaptive")
    np.testing.assert_array_equal(*(each.layers[0].coefficients for each in (network, adaptive)))


def test_a_batch_that_does_not_fit_names_the_other_rounding(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("brf_lava.io.memory.free_memory", lambda: 10**5)
    with pytest.raises(NotEnoughMemoryError, match=r"needs 1 MB .* --rounding adaptive"):
        distill(float_network(), None, (), X, lambda _: None)
