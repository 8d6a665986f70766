"""Every kernel backend against the reference: outputs and every gradient, at odd sizes."""

from __future__ import annotations

import os
import signal
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from networks import SPIKING
from torch import Tensor

from brf_lava.errors import BackendUnavailableError, ParameterError
from brf_lava.export.dequantize import dequantize_layer, run_integers
from brf_lava.export.quantize import LayerFormat, quantize_layer
from brf_lava.kernels import compile, cpu, loop
from brf_lava.kernels.layer import run_layer
from brf_lava.kernels.reference import Memory
from brf_lava.network.forward import forward as fixed_forward
from brf_lava.network.layers import RealLayer
from brf_lava.neurons import fixed
from brf_lava.neurons.binding import bound
from brf_lava.neurons.families import ALIF, BHRF, BRF, LI, NEURONS, RF, Neuron

KERNELS = ("reference", "cpu")  # that for GPUs: tests/unit/test_cuda_kernel.py
GRADIENT_TOLERANCE = 1e-5  # float32, relative to the norm of the gradient
INTEGER_TOLERANCE = 1e-2  # a derivative is taken at the real or at the integer next state
GOLDEN_TOLERANCE = 1e-4  # the reference code sums in another order
FIXED = fixed.BalancedConstants(655, 1 << 14, 58982, 1 << 14, 14, 16)

# samples, steps, inputs, neurons
SIZES = [(3, 50, 7, 1), (1, 1, 1, 1), (2, 60, 4, 36), (17, 33, 5, 19), (5, 12, 3, 130)]
CASES = [("sparse", size) for size in SIZES]
CASES += [(kind, (17, 33, 5, 19)) for kind in ("real", "none", "all")]


def constants(neuron: Neuron) -> Any:
    kind: Any = neuron.real_constants
    defaults = {each.name: each.default for each in neuron.constants}
    return kind(*(defaults[name] for name in kind._fields))


EVERY_NEURON = [
    pytest.param(neuron, recurrent, id=f"{neuron.name}{'-recurrent' * recurrent}")
    for neuron in NEURONS.values()
    for recurrent in ((True, False) if neuron.spiking else (False,))
]


def make_layer(
    neuron: Neuron, size: tuple[int, int, int, int], recurrent: bool, seed: int = 0
) -> dict[str, Tensor]:
    """Random parameters that let some neurons spike, as leaves that want gradients."""
    _, _, inputs, neurons = size
    rng = np.random.default_rng(seed)
    resonator = "omega" in neuron.coefficients
    if resonator:
        rule = BRF.rule if neuron is RF else neuron.rule  # an RF neuron that does not grow
        parts = rule(rng.uniform(5, 40, neurons), rng.uniform(0.1, 3, neurons), constants(neuron))
        coefficients = np.stack(parts)
    else:
        coefficients = rng.uniform(0.5, 0.99, (len(neuron.coefficients), neurons))
    parameters = {
        "weights": rng.normal(0, 60 if resonator else 1, (neurons, inputs)),
        "coefficients": coefficients,
    }
    if recurrent:
        parameters["recurrent"] = rng.normal(0, 15 if resonator else 0.3, (neurons, neurons))
    return {
        name: torch.tensor(value, dtype=torch.float32, requires_grad=True)
        for name, value in parameters.items()
    }


def make_input(kind: str, size: tuple[int, int, int, int], seed: int = 1) -> Tensor:
    samples, steps, inputs, _ = size
    rng = np.random.default_rng(seed)
    shape = (steps, samples, inputs)
    values: dict[str, Any] = {
        "sparse": rng.random(shape) < 0.2,
        "real": rng.normal(0, 0.5, shape),
        "none": np.zeros(shape),
        "all": np.ones(shape),
    }
    return torch.tensor(values[kind], dtype=torch.float32, requires_grad=True)


def resume(
    neuron: Neuron,
    x: Tensor,
    parameters: dict[str, Tensor],
    backend: str,
    start: Memory | None = None,
    **options: Any,
) -> tuple[Tensor, Memory]:
    return run_layer(
        neuron,
        x,
        parameters.get("weights"),
        parameters.get("recurrent"),
        parameters["coefficients"],
        constants(neuron),
        start,
        backend=backend,
        **options,
    )


def gradients_of(output: Tensor, leaves: dict[str, Tensor]) -> dict[str, Tensor]:
    """Of a fixed random projection of the output."""
    projection = torch.randn(output.shape, generator=torch.Generator().manual_seed(3))
    total = (output * projection.to(output.dtype)).sum()
    return dict(zip(leaves, torch.autograd.grad(total, list(leaves.values())), strict=True))


def run(
    neuron: Neuron, x: Tensor, parameters: dict[str, Tensor], backend: str, **options: Any
) -> tuple[Tensor, dict[str, Tensor]]:
    """The output, and the gradients of all parameters and of the input."""
    output, _ = resume(neuron, x, parameters, backend, **options)
    return output.detach(), gradients_of(output, {**parameters, "x": x})


def assert_close(
    found: Tensor, expected: Tensor, tolerance: float, what: str, own_error: float = 0.0
) -> None:
    """own_error: of the expected values, by which they may be off themselves."""
    error = float((found - expected).norm())
    scale = float(expected.norm())
    assert error <= tolerance * scale + own_error + 1e-12, f"{what}: {error:.3g} of {scale:.3g}"


def rounding_errors(
    neuron: Neuron,
    x: Tensor,
    parameters: dict[str, Tensor],
    output: Tensor,
    gradients: dict[str, Tensor],
) -> dict[str, float]:
    """How far single precision took the reference from double, where both spike alike.

    A gradient whose parts cancel loses more digits than any tolerance of ours forgives.
    """
    doubles = {name: value.detach().double().requires_grad_() for name, value in parameters.items()}
    exact, exact_gradients = run(neuron, x.detach().double().requires_grad_(), doubles, "reference")
    if neuron.spiking and not torch.equal(exact, output.double()):
        return dict.fromkeys(gradients, 0.0)
    return {
        name: float((gradient.double() - exact_gradients[name]).norm())
        for name, gradient in gradients.items()
    }


@pytest.mark.parametrize(("kind", "size"), CASES, ids=str)
@pytest.mark.parametrize(("neuron", "recurrent"), EVERY_NEURON)
def test_cpu_kernel_equals_the_reference(
    neuron: Neuron, recurrent: bool, kind: str, size: tuple[int, int, int, int]
) -> None:
    parameters = make_layer(neuron, size, recurrent)
    x = make_input(kind, size)
    expected, expected_gradients = run(neuron, x, parameters, "reference")
    found, gradients = run(neuron, x, parameters, "cpu")
    if neuron.spiking:
        assert torch.equal(found, expected)
    else:
        assert_close(found, expected, GRADIENT_TOLERANCE, "output")
    own_errors = rounding_errors(neuron, x, parameters, expected, expected_gradients)
    for name, gradient in expected_gradients.items():
        what = f"gradient of {name}"
        assert_close(gradients[name], gradient, GRADIENT_TOLERANCE, what, own_errors[name])


@pytest.mark.parametrize("neuron", SPIKING, ids=lambda n: n.name)
def test_the_comparison_above_has_spikes_and_silence_in_it(neuron: Neuron) -> None:
    size = (2, 60, 4, 36)
    output, gradients = run(
        neuron, make_input("sparse", size), make_layer(neuron, size, True), "cpu"
    )
    assert 0.01 < float(output.mean()) < 0.9
    assert all(float(gradient.abs().max()) > 0 for gradient in gradients.values())


@pytest.mark.parametrize("truncate", [1, 7, 59, 60])
@pytest.mark.parametrize(("neuron", "recurrent"), EVERY_NEURON)
def test_truncated_gradients_agree(neuron: Neuron, recurrent: bool, truncate: int) -> None:
    size = (3, 60, 4, 11)
    parameters, x = make_layer(neuron, size, recurrent), make_input("sparse", size)
    _, expected = run(neuron, x, parameters, "reference", truncate=truncate)
    _, found = run(neuron, x, parameters, "cpu", truncate=truncate)
    _, full = run(neuron, x, parameters, "cpu")
    for name, gradient in expected.items():
        assert_close(found[name], gradient, GRADIENT_TOLERANCE, f"gradient of {name}")
    assert torch.equal(full["weights"], found["weights"]) == (truncate >= 60)


def test_both_surrogates_agree_across_backends_and_differ_from_each_other() -> None:
    size = (3, 40, 4, 8)
    parameters, x = make_layer(BRF, size, True), make_input("sparse", size)
    gradients = []
    for surrogate in ("double-gaussian", "multi-gaussian"):
        _, expected = run(BRF, x, parameters, "reference", surrogate=surrogate)
        _, found = run(BRF, x, parameters, "cpu", surrogate=surrogate)
        for name in expected:
            assert_close(found[name], expected[name], GRADIENT_TOLERANCE, name)
        gradients.append(found["weights"])
    assert float((gradients[0] - gradients[1]).norm()) > 1e-3 * float(gradients[0].norm())


def test_without_gradients_the_output_is_the_same_and_no_states_are_kept(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    size = (5, 40, 4, 8)
    parameters, x = make_layer(BRF, size, True), make_input("sparse", size)
    forward, kept = loop.forward, []
    monkeypatch.setattr(
        loop,
        "forward",
        lambda *a, **named: kept.append(named["keep_states"]) or forward(*a, **named),
    )
    expected, _ = run(BRF, x, parameters, "cpu")
    with torch.no_grad():
        found, _ = resume(BRF, x, parameters, "auto", recompute=True)
    assert torch.equal(found, expected)
    assert kept == [True, False]


def test_named_backends_are_obeyed_or_refused() -> None:
    size = (2, 3, 4, 5)
    parameters, x = make_layer(BRF, size, True), make_input("sparse", size)
    double = {name: value.detach().double().requires_grad_() for name, value in parameters.items()}
    with pytest.raises(BackendUnavailableError, match="takes float32 on the CPU"):
        run(BRF, x.detach().double().requires_grad_(), double, "cpu")
    mixed = {**parameters, "recurrent": double["recurrent"]}
    with pytest.raises(BackendUnavailableError, match=r"got torch.float64"):
        run(BRF, x, mixed, "cpu")
    with pytest.raises(ParameterError, match=r"an input of torch.float32 .* must be alike"):
        run(BRF, x, mixed, "auto")
    run(BRF, x.detach().double().requires_grad_(), double, "auto")
    with pytest.raises(ParameterError, match="kernel 'tpu'; choose one of auto, reference, cpu"):
        run(BRF, x, parameters, "tpu")
    with pytest.raises(ParameterError, match="surrogate 'sigmoid'"):
        run(BRF, x, parameters, "cpu", surrogate="sigmoid")


@pytest.mark.parametrize("keep_states", [True, False])
def test_integer_loop_equals_the_step_in_python_integers(keep_states: bool) -> None:
    """The compiled loop against fixed.py on plain Python integers, one neuron at a time."""
    rng = np.random.default_rng(5)
    steps, samples, inputs, neurons = 70, 3, 4, 5
    x = (rng.random((steps, samples, inputs)) < 0.3).astype(np.int8)
    w_in = rng.integers(-3000, 9000, (neurons, inputs))
    w_rec = rng.integers(-3000, 3000, (neurons, neurons))
    coefficients = np.stack([rng.integers(-900, -10, neurons), rng.integers(1000, 9000, neurons)])
    output, states = loop.forward(
        BRF, w_in, w_rec, coefficients, FIXED, x, integers=True, keep_states=keep_states
    )
    assert output.dtype == np.int8
    assert 0 < output.mean() < 1
    for b in range(samples):
        state = [(0, 0, 0)] * neurons
        spikes = [0] * neurons
        for t in range(steps):
            currents = [
                sum(int(x[t, b, i]) * int(w_in[k, i]) for i in range(inputs))
                + sum(spikes[j] * int(w_rec[k, j]) for j in range(neurons))
                for k in range(neurons)
            ]
            stepped = [
                fixed.brf_step(
                    state[k], currents[k], tuple(int(c) for c in coefficients[:, k]), FIXED
                )
                for k in range(neurons)
            ]
            state = [s for s, _ in stepped]
            spikes = [int(z) for _, z in stepped]
            assert output[t, b].tolist() == spikes
            if keep_states:
                assert states[t + 1, :, b].T.tolist() == [list(s) for s in state]
        assert states[-1, :, b].T.tolist() == [list(s) for s in state]


def golden(name: str) -> Any:
    folder = os.environ.get("BRF_LAVA_DATA")
    path = Path(folder or "") / "golden" / f"{name}.npz"
    if not folder or not path.exists():
        pytest.skip(f"golden/{name}.npz of the reference code is not under BRF_LAVA_DATA")
    return np.load(path)


def hidden_layer(neuron: Neuron, parameters: dict[str, Tensor], inputs: int) -> dict[str, Tensor]:
    """From the reference code's parameters."""
    weight = parameters["hidden.linear.weight"]
    names = ("tau_mem", "tau_adp") if neuron is ALIF else ("omega", "b_offset")
    trained = [parameters[f"hidden.{name}"].abs() for name in names]
    coefficients = torch.stack(bound(neuron.rule, exp=torch.exp)(*trained, constants(neuron)))
    if neuron is ALIF:
        weight = (1 - coefficients[0])[:, None] * weight
    weights, recurrent = weight[:, :inputs], weight[:, inputs:]
    return {"weights": weights, "recurrent": recurrent, "coefficients": coefficients}


@pytest.mark.parametrize("backend", KERNELS)
@pytest.mark.parametrize("kind", ["", "_real"])
@pytest.mark.parametrize("neuron", [RF, BRF, BHRF, ALIF], ids=lambda n: n.name)
def test_outputs_and_gradients_of_the_reference_code(
    neuron: Neuron, kind: str, backend: str
) -> None:
    """An independent truth: the published code's own numbers on small networks."""
    file = golden(neuron.name.lower() + kind)
    parameters = {
        key.removeprefix("param."): torch.from_numpy(file[key]).requires_grad_()
        for key in file
        if key.startswith("param.")
    }
    x = torch.from_numpy(file["x"]).transpose(0, 1).contiguous()
    spikes, _ = resume(neuron, x, hidden_layer(neuron, parameters, x.shape[2]), backend)
    decay = torch.exp(-1 / parameters["out.tau_mem"].abs())
    weights = (1 - decay)[:, None] * parameters["out.linear.weight"]
    output, _ = resume(LI, spikes, {"weights": weights, "coefficients": decay[None]}, backend)
    skip = int(file["skip"])
    output, labels = output[skip:], torch.from_numpy(file["y"]).T[skip:]
    loss = torch.nn.functional.cross_entropy(
        output.flatten(0, 1), labels.flatten(), reduction="sum"
    )
    loss = loss / x.shape[1]
    gradients = torch.autograd.grad(loss, list(parameters.values()))
    assert float(spikes.sum()) == float(file["spikes"]) > 0
    assert float(loss.detach()) == pytest.approx(float(file["loss"]), rel=GOLDEN_TOLERANCE)
    expected = torch.from_numpy(file["out"])
    assert_close(output.detach().transpose(0, 1), expected, GOLDEN_TOLERANCE, "output")
    for key, gradient in zip(parameters, gradients, strict=True):
        assert_close(gradient, torch.from_numpy(file[f"grad.{key}"]), GOLDEN_TOLERANCE, key)


# Pieces of a sequence, and currents in place of inputs


@pytest.mark.parametrize("backend", KERNELS)
@pytest.mark.parametrize(("neuron", "recurrent"), EVERY_NEURON)
def test_pieces_in_a_row_equal_the_whole_sequence_in_every_bit(
    neuron: Neuron, recurrent: bool, backend: str
) -> None:
    size = (3, 40, 4, 11)
    parameters, x = make_layer(neuron, size, recurrent), make_input("sparse", size)
    whole, end = resume(neuron, x, parameters, backend)
    pieces, memory = [], None
    for piece in x.split([1, 17, 1, 21]):
        output, memory = resume(neuron, piece, parameters, backend, memory)
        pieces.append(output)
    assert torch.equal(torch.cat(pieces), whole)
    assert memory is not None
    assert torch.equal(memory.states, end.states)
    assert torch.equal(memory.output, whole[-1])
    afresh, _ = resume(neuron, x[18:], parameters, backend)
    assert not torch.equal(afresh, whole[18:]), "the memory made no difference"


@pytest.mark.parametrize("truncate", [0, 7])
@pytest.mark.parametrize(("neuron", "recurrent"), EVERY_NEURON)
def test_states_computed_again_give_the_same_gradients_in_every_bit(
    neuron: Neuron, recurrent: bool, truncate: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The backward pass goes piece by piece, whether it kept the states of a piece or not."""
    monkeypatch.setattr(cpu, "PIECE", 1)
    size = (3, 53, 4, loop.WIDE + 2)
    parameters, x = make_layer(neuron, size, recurrent), make_input("sparse", size)
    _, start = resume(neuron, x.detach()[:20], parameters, "cpu")
    lengths, found = [], {}
    run_piece = loop.Backward.run
    monkeypatch.setattr(loop.Backward, "run", lambda *a: lengths.append(len(a[1])) or run_piece(*a))
    for name, options in (
        ("kept", {"backend": "cpu"}),
        ("again", {"backend": "cpu", "recompute": True}),
        ("reference", {"backend": "reference", "recompute": True}),
    ):
        output, end = resume(neuron, x, parameters, start=start, truncate=truncate, **options)
        found[name] = gradients_of(output, {**parameters, "x": x}) | {
            "output": output.detach(),
            "states": end.states,
        }
    assert lengths == 2 * [1, *13 * [4]]
    for name, expected in found["reference"].items():
        assert torch.equal(found["again"][name], found["kept"][name]), name
        assert_close(found["again"][name], expected, GRADIENT_TOLERANCE, name)


@pytest.mark.parametrize("neurons", [11, loop.WIDE + 2])
@pytest.mark.parametrize(("neuron", "recurrent"), EVERY_NEURON)
def test_gradients_of_a_piece_agree_and_stay_in_it(
    neuron: Neuron, recurrent: bool, neurons: int
) -> None:
    """The spikes of the step before the piece met its first current, so W_rec hears of them."""
    size = (3, 30, 4, neurons)
    parameters, x = make_layer(neuron, size, recurrent), make_input("sparse", size)
    found = {}
    for backend in KERNELS:
        first = next(  # ends in a step with spikes
            steps
            for steps in range(12, 30)
            if resume(neuron, x[:steps], parameters, backend)[1].output.any()
        )
        _, memory = resume(neuron, x[:first], parameters, backend)
        assert not memory.states.requires_grad
        assert not memory.output.requires_grad
        piece = x.detach()[first:].requires_grad_()
        output, _ = resume(neuron, piece, parameters, backend, memory)
        found[backend] = gradients_of(output, {**parameters, "x": piece})
    for name, gradient in found["reference"].items():
        assert_close(found["cpu"][name], gradient, GRADIENT_TOLERANCE, f"gradient of {name}")


@pytest.mark.parametrize("backend", KERNELS)
@pytest.mark.parametrize(("neuron", "recurrent"), EVERY_NEURON)
def test_a_current_is_an_input_through_the_identity(
    neuron: Neuron, recurrent: bool, backend: str
) -> None:
    size = (3, 40, 9, 9)
    parameters = make_layer(neuron, size, recurrent)
    generator = torch.Generator().manual_seed(4)
    current = (60 * torch.randn(40, 3, 9, generator=generator)).requires_grad_()
    parameters["weights"] = torch.eye(9, requires_grad=True)
    expected, expected_gradients = run(neuron, current, parameters, backend)
    del parameters["weights"]
    output, gradients = run(neuron, current, parameters, backend)
    assert torch.equal(output, expected)
    for name, gradient in gradients.items():
        assert_close(gradient, expected_gradients[name], GRADIENT_TOLERANCE, name)


@pytest.mark.parametrize("kind", ["sparse", "real"])
@pytest.mark.parametrize(("neuron", "recurrent"), EVERY_NEURON)
def test_values_of_integers_have_the_gradients_of_the_real_step(
    neuron: Neuron, recurrent: bool, kind: str
) -> None:
    """Values are those of the integers, bit for bit; in pieces, too."""
    size = (3, 40, 4, 11)
    parameters, shared = make_layer(neuron, size, recurrent), constants(neuron)
    x = (make_input(kind, size).detach() * 8).round().div(8).requires_grad_()
    plain, _ = run(neuron, x, parameters, "cpu")
    given = {name: value.detach().double().numpy() for name, value in parameters.items()}
    matrices = given["weights"] / 8, given.get("recurrent")
    layer = RealLayer(neuron, *matrices, given["coefficients"], shared)
    fixed, _ = quantize_layer(layer, LayerFormat(state_bits=10, weight_bits=5))
    integers, real = partial(run_integers, fixed, 1 / 8), dequantize_layer(fixed, shared)
    exact, _ = fixed_forward(fixed, (8 * x.detach()).numpy().astype(np.int8))
    expected = torch.from_numpy(exact / (1 if neuron.spiking else 2**10)).float()
    with torch.no_grad():
        parameters["weights"].copy_(torch.from_numpy(8 * real.weights))
        parameters["coefficients"].copy_(torch.from_numpy(real.coefficients))
        if real.recurrent is not None:
            parameters["recurrent"].copy_(torch.from_numpy(real.recurrent))
    gradients = {}
    for backend in KERNELS:
        found, gradients[backend] = run(neuron, x, parameters, backend, integers=integers)
        assert torch.equal(found, expected)
        _, again = run(neuron, x, parameters, backend, integers=integers, recompute=True)
        assert all(torch.equal(again[name], value) for name, value in gradients[backend].items())
        first, memory = resume(neuron, x[:17], parameters, backend, integers=integers)
        second, _ = resume(neuron, x[17:], parameters, backend, memory, integers=integers)
        assert torch.equal(torch.cat([first, second]), expected)
    assert not torch.equal(plain, expected), "rounding made no difference"
    for name, gradient in gradients["reference"].items():
        assert_close(gradients["cpu"][name], gradient, INTEGER_TOLERANCE, f"gradient of {name}")


def test_integers_come_in_pieces_and_as_currents_too() -> None:
    rng = np.random.default_rng(2)
    x = rng.integers(-3000, 6000, (20, 2, 5))
    w_rec = rng.integers(-3000, 3000, (5, 5))
    coefficients = np.stack([rng.integers(-900, -10, 5), rng.integers(1000, 9000, 5)])

    def forward(x: Any, w_in: Any, **start: Any) -> tuple[Any, Any]:
        return loop.forward(
            BRF, w_in, w_rec, coefficients, FIXED, x, integers=True, keep_states=False, **start
        )

    whole, end = forward(x, np.eye(5, dtype=np.int64))
    assert whole.dtype == np.int8
    assert 0 < whole.mean() < 1
    first, states = forward(x[:9], None)
    second, last = forward(x[9:], None, initial=states[-1], before=first[-1])
    assert np.array_equal(np.concatenate([first, second]), whole)
    assert np.array_equal(last, end)


@pytest.mark.parametrize("backend", KERNELS)
def test_a_memory_of_another_batch_is_refused(backend: str) -> None:
    size = (3, 5, 4, 6)
    parameters, x = make_layer(BRF, size, True), make_input("sparse", size)
    _, memory = resume(BRF, x, parameters, backend)
    with pytest.raises(ParameterError, match=r"start: states \(3, 3, 6\).* need \(3, 2, 6\)"):
        resume(BRF, x[:, :2], parameters, backend, memory)
    double = Memory(memory.states.double(), memory.output.double())
    with pytest.raises(BackendUnavailableError, match="takes float32"):
        resume(BRF, x, parameters, "cpu", double)


def test_memory_is_used_again_once_nothing_refers_to_it() -> None:
    shape, other = (300, 1000), (300, 1001)
    first = loop._aligned(shape, np.float32)
    view, address = torch.from_numpy(first)[3:], first.ctypes.data
    assert address % loop.LINE == 0
    del first
    second = loop._aligned(shape, np.float32)
    assert second.ctypes.data != address, "the view is still there"
    del view
    assert loop._aligned(shape, np.float32).ctypes.data == address
    held = len(loop._rooms)
    loop._aligned(other, np.float32)  # another size: what is idle is given up
    assert len(loop._rooms) < held + 1
    assert any(second.base is room for room in loop._rooms)


def _doubled(x: Any) -> Any:
    return 2 * x


def test_ctrl_c_waits_until_a_kernel_is_compiled(monkeypatch: pytest.MonkeyPatch) -> None:
    """Inside, LLVM would swallow it."""
    from numba.core import event

    class CtrlC(event.Listener):
        def on_start(self, event: Any) -> None:
            signal.raise_signal(signal.SIGINT)

        def on_end(self, event: Any) -> None:
            pass

    monkeypatch.setattr(compile, "_cache_folder", lambda: None)
    handler = signal.getsignal(signal.SIGINT)
    doubled = compile.specialized(_doubled, "doubled", parallel=True)
    with event.install_listener("numba:compile", CtrlC()), pytest.raises(KeyboardInterrupt):
        doubled(np.ones(3))
    assert doubled.signatures
    assert doubled(np.ones(3)).tolist() == [2, 2, 2]
    assert signal.getsignal(signal.SIGINT) is handler
