"""The GPU kernel in numba's simulator, which must be chosen before numba is imported.

`test_cuda_kernel.py` runs this file in a process of its own. Sizes are tiny: every thread of the
card is one of Python here.
"""

from __future__ import annotations

import sys
import threading
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from agreement.test_kernels import (
    EVERY_NEURON,
    GRADIENT_TOLERANCE,
    INTEGER_TOLERANCE,
    assert_close,
    constants,
    gradients_of,
    make_input,
    make_layer,
    resume,
    rounding_errors,
    run,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from numba.cuda.simulator.kernelapi import FakeCUDALocal, FakeCUDAShared
from numba.np.numpy_support import as_dtype
from torch import Tensor

from brf_lava.config.recipe import load_recipe, override
from brf_lava.data.dataset import Dataset, DataSource, Split
from brf_lava.errors import BackendUnavailableError, BrfLavaError, ParameterError
from brf_lava.export.dequantize import dequantize_layer, run_integers
from brf_lava.export.quantize import LayerFormat, quantize_layer
from brf_lava.kernels import cuda, cuda_check
from brf_lava.network.layers import RealLayer
from brf_lava.neurons.families import ALIF, BRF, HRF, LI, RF, Neuron
from brf_lava.train.model import Network
from brf_lava.train.trainer import Trainer, run_together, together

torch.use_deterministic_algorithms(True)  # which fills memory that nobody wrote with NaN
sys.setswitchinterval(1e-5)  # s; the simulator's threads wait for each other in turn
ARRAYS = threading.Lock()


def shared_array(self: FakeCUDAShared, shape: Any, dtype: Any, alignment: None = None) -> Any:
    """One array per line and block: of the simulator's own, two threads may each make one."""
    place = sys._getframe(1).f_lineno
    with ARRAYS:
        if place not in self._allocations:
            self._allocations[place] = np.full(shape, 77, as_dtype(dtype))  # nobody wrote it
        return self._allocations[place]


def local_array(self: FakeCUDALocal, shape: Any, dtype: Any, alignment: None = None) -> Any:
    return np.full(shape, np.nan, as_dtype(dtype))


FakeCUDAShared.array, FakeCUDALocal.array = shared_array, local_array

SIZE = (5, 9, 3, 7)  # samples, steps, inputs, neurons: more samples than a block takes


def assert_same(neuron: Neuron, recurrent: bool, size: Any = SIZE, **options: Any) -> Tensor:
    """Outputs and every gradient are those of the reference. Returns the output."""
    parameters, x = make_layer(neuron, size, recurrent), make_input("sparse", size)
    expected, expected_gradients = run(neuron, x, parameters, "reference", **options)
    found, gradients = run(neuron, x, parameters, "cuda", **options)
    if neuron.spiking:
        assert torch.equal(found, expected)
        assert 0 < found.mean() < 1
    assert_close(found, expected, GRADIENT_TOLERANCE, "output")
    for name, gradient in expected_gradients.items():
        assert gradient.any()
        assert_close(gradients[name], gradient, GRADIENT_TOLERANCE, f"gradient of {name}")
    return found


@pytest.mark.parametrize(("neuron", "recurrent"), EVERY_NEURON)
def test_it_equals_the_reference(neuron: Neuron, recurrent: bool) -> None:
    assert_same(neuron, recurrent)


@pytest.mark.parametrize("size", [(1, 1, 1, 1), (3, 6, 7, 1), (1, 5, 2, 67)], ids=str)
def test_odd_sizes(size: tuple[int, int, int, int]) -> None:
    """67 neurons: their spikes take three words."""
    parameters, x = make_layer(BRF, size, True), make_input("all", size)
    expected, expected_gradients = run(BRF, x, parameters, "reference")
    found, gradients = run(BRF, x, parameters, "cuda")
    assert torch.equal(found, expected)
    for name, gradient in expected_gradients.items():
        assert_close(gradients[name], gradient, GRADIENT_TOLERANCE, f"gradient of {name}")


@pytest.mark.parametrize("neuron", [BRF, LI], ids=lambda n: n.name)
def test_threads_may_have_several_neurons(neuron: Neuron, monkeypatch: pytest.MonkeyPatch) -> None:
    """As with more than 1024 forward, or 256 backward."""
    monkeypatch.setattr(cuda, "FORWARD_LANES", 4)
    monkeypatch.setattr(cuda, "BACKWARD_LANES", 3)
    assert_same(neuron, neuron.spiking)


@settings(max_examples=40, deadline=None, derandomize=True)
@given(
    neuron=st.sampled_from([RF, BRF, HRF, ALIF]),
    recurrent=st.booleans(),
    size=st.tuples(*(st.integers(1, most) for most in (6, 7, 3, 9))),
    lanes=st.tuples(st.integers(1, 9), st.integers(1, 9)),
    truncate=st.integers(0, 4),
)
def test_any_sizes(
    neuron: Neuron, recurrent: bool, size: Any, lanes: tuple[int, int], truncate: int
) -> None:
    """With any number of neurons a thread, too."""
    parameters, x = make_layer(neuron, size, recurrent), make_input("sparse", size)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cuda, "FORWARD_LANES", lanes[0])
        patch.setattr(cuda, "BACKWARD_LANES", lanes[1])
        found, gradients = run(neuron, x, parameters, "cuda", truncate=truncate)
    expected, expected_gradients = run(neuron, x, parameters, "reference", truncate=truncate)
    assert torch.equal(found, expected)
    own_errors = rounding_errors(neuron, x, parameters, expected, expected_gradients)
    for name, gradient in expected_gradients.items():
        assert_close(gradients[name], gradient, GRADIENT_TOLERANCE, name, own_errors[name])


@pytest.mark.parametrize("truncate", [1, 4])
def test_truncated_gradients(truncate: int) -> None:
    assert_same(BRF, True, truncate=truncate)


def test_multi_gaussian() -> None:
    assert_same(BRF, True, surrogate="multi-gaussian")


@pytest.mark.parametrize("neuron", [BRF, ALIF], ids=lambda n: n.name)
def test_pieces_are_the_whole_and_have_their_gradients(neuron: Neuron) -> None:
    size = (5, 14, 3, 7)
    parameters, x = make_layer(neuron, size, True), make_input("sparse", size)
    whole, end = resume(neuron, x, parameters, "cuda")
    start = next(t for t in range(5, 14) if whole[t - 1].any())  # recurrence hears of the first
    found = {}
    for backend in ("reference", "cuda"):
        first, memory = resume(neuron, x[:start], parameters, backend)
        piece = x.detach()[start:].requires_grad_()
        second, last = resume(neuron, piece, parameters, backend, memory)
        assert torch.equal(torch.cat([first, second]), whole)
        assert_close(last.states, end.states, GRADIENT_TOLERANCE, "states")
        found[backend] = gradients_of(second, {**parameters, "x": piece})
    for name, gradient in found["reference"].items():
        assert_close(found["cuda"][name], gradient, GRADIENT_TOLERANCE, f"gradient of {name}")


def test_a_current_in_place_of_inputs() -> None:
    parameters = make_layer(BRF, SIZE, True)
    del parameters["weights"]
    generator = torch.Generator().manual_seed(4)
    current = (90 * torch.randn(9, 5, 7, generator=generator)).requires_grad_()
    expected, expected_gradients = run(BRF, current, parameters, "reference")
    found, gradients = run(BRF, current, parameters, "cuda")
    assert torch.equal(found, expected)
    for name, gradient in expected_gradients.items():
        assert_close(gradients[name], gradient, GRADIENT_TOLERANCE, f"gradient of {name}")


def test_without_gradients_no_states_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    parameters, x = make_layer(BRF, SIZE, True), make_input("sparse", SIZE)
    launch, kept = cuda._launch, []
    monkeypatch.setattr(cuda, "_launch", lambda *a: kept.append(len(a[9])) or launch(*a))
    expected, end = resume(BRF, x, parameters, "cuda")
    with torch.no_grad():
        found, last = resume(BRF, x, parameters, "cuda")
    assert torch.equal(found, expected)
    assert torch.equal(last.states, end.states)
    assert kept == [SIZE[1] + 1, 1]


def test_values_of_integers_have_the_gradients_of_the_real_step() -> None:
    parameters, shared = make_layer(BRF, SIZE, True), constants(BRF)
    x = (make_input("sparse", SIZE).detach() * 8).round().div(8).requires_grad_()
    given = {name: value.detach().double().numpy() for name, value in parameters.items()}
    matrices = given["weights"] / 8, given["recurrent"]
    layer = RealLayer(BRF, *matrices, given["coefficients"], shared)
    fixed, _ = quantize_layer(layer, LayerFormat(state_bits=10, weight_bits=5))
    real = dequantize_layer(fixed, shared)
    with torch.no_grad():
        parameters["weights"].copy_(torch.from_numpy(8 * real.weights))
        parameters["coefficients"].copy_(torch.from_numpy(real.coefficients))
        parameters["recurrent"].copy_(torch.from_numpy(real.recurrent))
    integers = partial(run_integers, fixed, 1 / 8)
    expected, expected_gradients = run(BRF, x, parameters, "reference", integers=integers)
    found, gradients = run(BRF, x, parameters, "cuda", integers=integers)
    assert torch.equal(found, expected)
    for name, gradient in expected_gradients.items():
        assert_close(gradients[name], gradient, INTEGER_TOLERANCE, f"gradient of {name}")


def test_networks_in_one_launch_are_each_as_alone() -> None:
    """Bit for bit, with five samples each: their last block has one."""
    alone, sets = [], []
    for seed in range(2):
        parameters, x = make_layer(BRF, SIZE, True, seed), make_input("sparse", SIZE, seed)
        sets.append({**parameters, "x": x})
        alone.append(run(BRF, x, parameters, "cuda"))
    stacked = {name: torch.stack([each[name] for each in sets]) for name in sets[0] if name != "x"}
    x = torch.cat([each["x"] for each in sets], 1)
    rule = cuda_check.double_gaussian
    order = (stacked["weights"], stacked["recurrent"], stacked["coefficients"])
    together, _ = cuda.run_layer(BRF, x, *order, constants(BRF), rule)
    outputs = together.chunk(2, 1)
    total = torch.zeros(())
    for output in outputs:
        projection = torch.randn(output.shape, generator=torch.Generator().manual_seed(3))
        total = total + (output * projection).sum()
    total.backward()  # type: ignore[no-untyped-call]
    for output, own, (expected, gradients) in zip(outputs, sets, alone, strict=True):
        assert torch.equal(output, expected)
        for name, gradient in gradients.items():
            assert torch.equal(own[name].grad, gradient), name


def test_a_batch_without_a_sample_is_empty() -> None:
    size = (0, 5, 3, 4)
    found, gradients = run(BRF, make_input("sparse", size), make_layer(BRF, size, True), "cuda")
    assert found.shape == (5, 0, 4)
    assert not any(bool(each.any()) for each in gradients.values())


@pytest.mark.parametrize("recipe", ["ecg-brf", "ecg-bhrf", "ecg-alif", "ecg-rf"])
def test_two_masked_layers_of_a_network_agree(recipe: str) -> None:
    """Losses and the gradients of all parameters, with gradients cut after five steps."""
    changes = ["network.hidden=[9, 6]", "recurrent_density=0.5", "truncate=5", "clip_norm=0"]
    network = Network(
        override(load_recipe(recipe), changes), 3, 4, torch.Generator().manual_seed(0)
    )
    draws = torch.Generator().manual_seed(1)
    x = (torch.rand(5, 3, 14, generator=draws) < 0.3).float()
    y = torch.randint(4, (5, 14), generator=draws)
    found: dict[str, list[Tensor]] = {}
    for block in network.hidden_blocks:
        block.weight.data.mul_(300)
    for backend in ("reference", "cuda"):
        network.zero_grad()
        for block in network.blocks:
            block.backend = backend
        outputs, spikes = network(x)
        loss = network.loss(outputs, y)
        loss.backward()  # type: ignore[no-untyped-call]
        gradients = [each.grad for each in network.parameters() if each.grad is not None]
        found[backend] = [loss.detach(), *(each.detach() for each in spikes), *gradients]
    assert len(found["cuda"]) > 8
    assert all(bool(each.any()) for each in found["cuda"])
    for value, expected in zip(found["cuda"], found["reference"], strict=True):
        assert_close(value, expected, GRADIENT_TOLERANCE, "of a network")
    for block in network.hidden_blocks:
        weight, mask = block.recurrent_weight, block.recurrent_mask
        if weight is not None and mask is not None and weight.grad is not None:
            assert not bool(weight.grad[mask == 0].any())


def test_seeds_train_at_once_and_each_as_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Bit for bit: weights, metrics and the order of the samples."""
    recipe = override(
        load_recipe("ecg-brf"),
        ["epochs=2", "validation=1", "batch_size=2", "network.hidden=[3, 2]", "theta=0.02"],
    )
    rng = np.random.default_rng(0)
    x = (rng.random((4, 7, 2)) < 0.4).astype(np.int8)
    half = Split(x, rng.integers(3, size=x.shape[:2]).astype(np.uint8))
    data = Dataset("ecg", tuple("abc"), 0.004, half, half, DataSource("own", "noise", "0"))

    def trainer(name: str, seed: int) -> Trainer:
        found = Trainer(recipe, data, seed, torch.device("cpu"), tmp_path / f"{name}{seed}.pt")
        for block in found.model.blocks:
            block.backend = "cuda"
        return found

    alone = [trainer("alone", seed) for seed in (0, 3)]
    for each in alone:
        each.run()
    monkeypatch.setattr(Trainer, "kernel", "cuda")
    (group,) = together([trainer("group", seed) for seed in (0, 3)])
    run_together(group)
    for found, expected in zip(group, alone, strict=True):
        assert found.epoch == 2
        for name, value in expected.model.state_dict().items():
            assert torch.equal(found.model.state_dict()[name], value), name
        assert [replace(report, seconds=0) for report in found.reports] == [
            replace(report, seconds=0) for report in expected.reports
        ]
    assert not torch.equal(group[0].model.readout.weight, group[1].model.readout.weight)


def test_the_seed_that_leaves_its_range_is_named_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = override(load_recipe("ecg-brf"), ["epochs=1", "validation=1", "network.hidden=[2]"])
    x = np.ones((3, 2, 2), np.int8)
    half = Split(x, np.zeros((3, 2), np.uint8))
    data = Dataset("ecg", tuple("ab"), 0.004, half, half, DataSource("own", "noise", "0"))
    monkeypatch.setattr(Trainer, "kernel", "cuda")
    cpu = torch.device("cpu")
    trainers = [Trainer(recipe, data, seed, cpu, tmp_path / f"{seed}.pt") for seed in (4, 5)]
    trainers[1].model.hidden_blocks[0].neuron.omega.data.fill_(150)
    with pytest.raises(ParameterError, match=r"BRF\.omega: 150"):
        run_together(trainers)
    alone = Trainer.resumed(data, cpu, trainers[1].out)
    with pytest.raises(BrfLavaError, match=r"training: seed 5, epoch 1, batch 1: BRF\.omega: 150"):
        alone.run()


def test_all_that_the_benchmark_compares_agrees(monkeypatch: pytest.MonkeyPatch) -> None:
    from benchmarks import gpu, kernel

    monkeypatch.setattr(gpu, "LEAST", 0)
    monkeypatch.setattr(gpu, "SEEDS", 2)
    recipe = override(load_recipe("ecg-brf"), ["network.hidden=[5]"])
    monkeypatch.setattr(gpu, "load_recipe", lambda name: recipe)
    compared: list[float] = []
    deviation = gpu.deviation
    monkeypatch.setattr(gpu, "deviation", lambda *p: compared.append(deviation(*p)) or compared[-1])
    case = gpu.Case("tiny", "", 3, 20, 4, 3, 0.3, 800.0, 7)
    found = gpu.compare(case, torch.device("cpu"), rounds=1)
    names = {row.what for row in found.rows}
    assert names >= {gpu.OURS, gpu.TOGETHER, kernel.PUBLISHED, kernel.LEAN, kernel.REFERENCE}
    assert len(compared) >= 21
    assert max(compared) < 1e-5
    assert "hidden spikes: 0.0%" not in found.notes[0]


def test_the_check_of_a_card_agrees() -> None:
    assert cuda_check.deviation(torch.device("cpu"), 7, 5, 6) <= cuda_check.AGREEMENT


def test_double_precision_is_refused() -> None:
    parameters, x = make_layer(BRF, SIZE, True), make_input("sparse", SIZE)
    with pytest.raises(BackendUnavailableError, match=r"kernel 'cuda': got torch.float64 on cpu"):
        resume(BRF, x.double(), parameters, "cuda")
