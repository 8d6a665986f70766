"""The GPU kernel where there is no GPU: simulated, compiled to PTX, and assembled for each card.

It is not run on a card here. `python -m benchmarks gpu` checks it on one.
"""

from __future__ import annotations

import json
import logging
import os
import re
import shutil
import subprocess
import sys
from collections import defaultdict
from importlib.util import find_spec
from pathlib import Path
from types import FunctionType, SimpleNamespace
from typing import Any

import pytest
import torch
from agreement.test_kernels import GRADIENT_TOLERANCE, assert_close, make_input, make_layer, run

from brf_lava.errors import BackendUnavailableError
from brf_lava.kernels import cuda_check, cuda_loop, reference
from brf_lava.kernels.layer import choose_kernel
from brf_lava.neurons.families import BRF, LI, NEURONS, Neuron
from brf_lava.neurons.surrogate import double_gaussian, multi_gaussian
from brf_lava.train import model

CARDS = [(7, 5), (8, 0), (9, 0), (10, 0), (12, 0)]  # compute capabilities, Turing to Blackwell
REGISTERS = 65536 // cuda_loop.THREADS  # of a thread, or a whole block does not fit
KERNELS = [(neuron, (9, 0)) for neuron in NEURONS.values()]
KERNELS += [(neuron, card) for neuron in (BRF, LI) for card in CARDS if card != (9, 0)]

needs_numba_cuda = pytest.mark.skipif(
    find_spec("numba_cuda") is None, reason="needs numba-cuda: pip install -e '.[cuda]'"
)


@pytest.mark.slow
@needs_numba_cuda
def test_simulated() -> None:
    """The simulator must be chosen before the first import of numba."""
    file = Path(__file__).with_name("cuda_simulated.py")
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", str(file)]
    environment = {**os.environ, "NUMBA_ENABLE_CUDASIM": "1"}
    run = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert run.returncode == 0, run.stdout[-4000:] + run.stderr[-1000:]
    assert " passed" in run.stdout
    assert "skipped" not in run.stdout


def assembler() -> str | None:
    """The ptxas of nvidia-cuda-nvcc, or one on the path."""
    spec = find_spec("nvidia")
    folders = spec.submodule_search_locations if spec else None
    found = [path for folder in folders or () for path in Path(folder).glob("*/bin/ptxas")]
    return str(found[0]) if found else shutil.which("ptxas")


def launched(function: FunctionType, neuron: Neuron) -> tuple[Any, ...]:
    """What the kernel of `function` is launched with, for a small layer and its gradients."""
    found: dict[Any, tuple[Any, ...]] = {}

    def recorder(which: FunctionType, *key: Any) -> Any:
        return defaultdict(lambda: lambda *arguments: found.update({which: arguments}))

    size = (5, 3, 2, 4)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cuda_loop, "simulated", lambda: True)  # takes tensors that are on no card
        patch.setattr(cuda_loop, "kernel", recorder)
        run(neuron, make_input("sparse", size), make_layer(neuron, size, neuron.spiking), "cuda")
    return found[function]


def ptx(
    function: FunctionType, neuron: Neuron, card: tuple[int, int], slots: int, surrogate: Any
) -> str:
    from numba import typeof, types
    from numba.cuda import compile_ptx

    arguments = [typeof(each) for each in launched(function, neuron)]
    key = (function, neuron, surrogate, slots, neuron.spiking)
    with pytest.MonkeyPatch.context() as patch:
        declared = SimpleNamespace(jit=lambda **bounds: lambda function: bounds)
        patch.setattr(cuda_loop, "numba_cuda", lambda: declared)
        patch.setattr(cuda_loop, "kernel_function", lambda *key: None)
        bounds = cuda_loop.kernel.__wrapped__(*key)
    bound = cuda_loop.kernel_function(*key)
    text, _ = compile_ptx(bound, types.void(*arguments), cc=card, **bounds)
    return str(text)


def assembled(text: str, card: tuple[int, int], folder: Path) -> dict[str, int]:
    """What ptxas says a thread needs: registers, and bytes on the stack and spilled."""
    found = assembler()
    if found is None:
        pytest.skip("needs ptxas: pip install nvidia-cuda-nvcc")
    source = folder / "kernel.ptx"
    source.write_text(text)
    command = [found, "-v", f"-arch=sm_{card[0]}{card[1]}", "-o", os.devnull, str(source)]
    run = subprocess.run(command, capture_output=True, text=True)
    said = run.stdout + run.stderr
    if "is not defined for option" in said:
        pytest.skip(f"this ptxas is older than cards of compute capability {card}")
    assert run.returncode == 0, said
    patterns = {
        "registers": r"Used (\d+) registers",
        "stack": r"(\d+) bytes stack frame",
        "spilled": r"(\d+) bytes spill stores",
    }
    return {name: int(re.findall(pattern, said)[-1]) for name, pattern in patterns.items()}


@pytest.fixture
def card_of(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Lets device functions be compiled for a card that is not there: they ask for its kind."""

    def choose(card: tuple[int, int]) -> None:
        from numba.cuda import compiler, dispatcher

        device = SimpleNamespace(compute_capability=card)
        for module in (compiler, dispatcher):
            monkeypatch.setattr(module, "get_current_device", lambda: device)

    return choose


@needs_numba_cuda
@pytest.mark.parametrize("function", [cuda_loop.forward, cuda_loop.backward], ids=["fwd", "bwd"])
@pytest.mark.parametrize(("neuron", "card"), KERNELS, ids=lambda p: getattr(p, "name", str(p)))
def test_it_is_compiled_for_every_card(
    neuron: Neuron, card: tuple[int, int], function: FunctionType, card_of: Any, tmp_path: Path
) -> None:
    """In single precision alone, and with all that a thread keeps in registers."""
    card_of(card)
    text = ptx(function, neuron, card, 1, double_gaussian)
    assert ".f32" in text
    assert ".f64" not in text
    assert f".maxntid {cuda_loop.THREADS}" in text
    needs = assembled(text, card, tmp_path)
    assert needs["registers"] <= REGISTERS
    assert needs["stack"] == needs["spilled"] == 0


@needs_numba_cuda
def test_several_neurons_a_thread_fit_too(card_of: Any, tmp_path: Path) -> None:
    card_of((9, 0))
    for function in (cuda_loop.forward, cuda_loop.backward):
        text = ptx(function, BRF, (9, 0), 4, multi_gaussian)
        assert ".f64" not in text
        assert assembled(text, (9, 0), tmp_path)["registers"] <= REGISTERS


@needs_numba_cuda
def test_one_load_brings_what_all_samples_of_a_block_pass(card_of: Any) -> None:
    card_of((9, 0))
    assert "ld.shared.v4.f32" in ptx(cuda_loop.backward, BRF, (9, 0), 1, double_gaussian)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("neurons", [5, 256, 700])
@pytest.mark.parametrize("neuron", NEURONS.values(), ids=lambda n: n.name)
def test_on_a_card(neuron: Neuron, neurons: int) -> None:
    """Every neuron against the reference on the same card; a spike may flip by rounding."""
    size, device = (9, 30, 4, neurons), torch.device("cuda")
    made = make_layer(neuron, size, neuron.spiking)
    parameters = {name: each.detach().to(device).requires_grad_() for name, each in made.items()}
    if "recurrent" in parameters:
        parameters["recurrent"].data *= (5 / neurons) ** 0.5
    x = make_input("sparse", size).detach().to(device).requires_grad_()
    expected, expected_gradients = run(neuron, x, parameters, "reference")
    for _ in range(2):
        found, gradients = run(neuron, x, parameters, "cuda")
        assert_close(found, expected, GRADIENT_TOLERANCE, "output")
        for name, gradient in expected_gradients.items():
            assert_close(gradients[name], gradient, 10 * GRADIENT_TOLERANCE, name)
    assert_close(run(neuron, x, parameters, "cuda")[0], found, 0.0, "the same again")


# Which device and kernel are chosen; the card is made up


@pytest.fixture
def card(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> Any:
    """A card, numba-cuda, and a comparison that finds this deviation, and counts."""
    monkeypatch.setattr(logging.getLogger("brf_lava"), "propagate", True)  # as without commands
    caplog.set_level(logging.WARNING, logger="brf_lava")
    found = SimpleNamespace(deviation=1e-7, calls=0)

    def deviation(device: torch.device, neurons: int) -> float:
        found.calls += 1
        if isinstance(found.deviation, Exception):
            raise found.deviation
        return float(found.deviation)

    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "current_device", lambda: 0)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "Made Up 1")
    monkeypatch.setattr(cuda_loop, "numba_cuda", lambda: None)
    monkeypatch.setattr(cuda_check, "version", lambda name: "1.0")
    monkeypatch.setattr(cuda_check, "deviation", deviation)
    monkeypatch.setattr(cuda_check.compile, "_cache_folder", lambda: str(tmp_path))
    cuda_check._obstacle.cache_clear()
    model._notice.cache_clear()
    yield found
    cuda_check._obstacle.cache_clear()


def chosen(name: str) -> tuple[str, str]:
    device = model.choose_device(name)
    return device.type, choose_kernel(BRF, device, torch.float32)


def test_a_card_is_compared_once(card: Any, caplog: pytest.LogCaptureFixture) -> None:
    for _ in range(2):
        assert chosen("auto") == chosen("cuda") == ("cuda", "cuda")
        assert card.calls == len(cuda_check.WIDTHS)
        cuda_check._obstacle.cache_clear()  # as in another process
    assert not caplog.messages


@pytest.mark.parametrize(
    "kept",
    ['{"a": 1}', "[1]", "3", '{"deviation": null}', '{"deviation": -5.0}', "[" * 9999, "\0\xff"],
)
def test_a_kept_comparison_that_says_nothing_is_made_again(
    card: Any, tmp_path: Path, kept: str
) -> None:
    assert cuda_check.obstacle(torch.device("cuda", 0)) is None
    (file,) = tmp_path.iterdir()
    before = file.read_text()
    file.write_text(kept)
    for _ in range(2):
        cuda_check._obstacle.cache_clear()
        assert cuda_check.obstacle(torch.device("cuda", 0)) is None
    assert file.read_text() == before
    assert card.calls == 2 * len(cuda_check.WIDTHS)


@pytest.mark.parametrize(
    ("deviation", "says"),
    [
        (2e-3, "differs from the reference on Made Up 1, by 0.002 of an output"),
        (float("nan"), "differs from the reference on Made Up 1, by nan"),
        (RuntimeError("no\nimage"), r"does not run on Made Up 1 \(RuntimeError: no image\)"),
    ],
)
def test_a_card_that_differs_is_left_alone(
    card: Any, deviation: Any, says: str, caplog: pytest.LogCaptureFixture
) -> None:
    card.deviation = deviation
    for _ in range(2):
        assert chosen("auto") == ("cpu", "cpu")
        assert chosen("cuda") == ("cuda", "reference")
    first, second = caplog.messages
    assert re.search(f"Notice: the GPU is not used: .*{says}", first)
    assert re.search(f"Notice: the GPU runs a loop, .* 55 s .*: .*{says}", second)


@pytest.mark.parametrize("error", [BackendUnavailableError, ImportError])  # also of a part of it
def test_without_numba_cuda_it_says_what_to_install(
    card: Any,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    error: type[Exception],
) -> None:
    def missing() -> None:
        raise error("numba_cuda: install the extra brf-lava[cuda]")

    monkeypatch.setattr(cuda_loop, "numba_cuda", missing)
    assert chosen("auto") == ("cpu", "cpu")
    assert chosen("cuda") == ("cuda", "reference")
    assert all("brf-lava[cuda]" in message for message in caplog.messages)
    assert len(caplog.messages) == 2


def test_no_spike_of_the_comparison_is_decided_by_rounding(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    margins, rates = [], []
    apply: Any = reference._Spike.apply
    run = reference.run_layer

    def spike(s: torch.Tensor, derivative: Any) -> torch.Tensor:
        margins.append(float(s.detach().abs().min()))
        rates.append(float((s.detach() > 0).float().mean()))
        return apply(s, derivative)  # type: ignore[no-any-return]

    monkeypatch.setattr(reference._Spike, "apply", spike)

    def hidden_layer_alone(*layer: Any) -> Any:
        with torch.no_grad():
            run(*layer)
        raise KeyboardInterrupt

    monkeypatch.setattr(reference, "run_layer", hidden_layer_alone)
    for neurons in cuda_check.WIDTHS:
        with pytest.raises(KeyboardInterrupt):
            cuda_check.deviation(torch.device("cpu"), neurons)
    assert min(margins) > 5e-5  # some hundred times the error of single precision
    assert 0.05 < sum(rates) / len(rates) < 0.3


def test_what_the_comparison_found_is_kept_with_its_versions(card: Any, tmp_path: Path) -> None:
    assert cuda_check.obstacle(torch.device("cuda", 0)) is None
    (file,) = tmp_path.iterdir()
    kept = json.loads(file.read_text())
    assert kept["card"] == "Made Up 1"
    assert kept["deviation"] == card.deviation
    assert kept["torch"] == kept["numba-cuda"] == "1.0"


def test_the_benchmark_needs_a_card(monkeypatch: pytest.MonkeyPatch) -> None:
    from click.testing import CliRunner

    from benchmarks.__main__ import main

    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    result = CliRunner().invoke(main, ["gpu"])
    assert result.exit_code == BackendUnavailableError.exit_code
    assert result.stderr == "Error: gpu: torch finds no CUDA device here. Run it on one.\n"


def test_other_types_and_neurons_run_on_the_reference(card: Any) -> None:
    from dataclasses import replace

    device = torch.device("cuda", 0)
    assert choose_kernel(BRF, device, torch.float64) == "reference"
    assert choose_kernel(replace(BRF, adjoint_step=None), device, torch.float32) == "reference"
