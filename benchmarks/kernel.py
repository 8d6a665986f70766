"""One training step, forward and backward: our fused CPU kernel against TorchScript loops."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from benchmarks import ecg
from benchmarks.timing import Bar, Comparison, Row, alternate, timed
from benchmarks.torchscript import run_lean, run_published
from brf_lava.config.recipe import load_recipe, override
from brf_lava.errors import MismatchError
from brf_lava.train.model import Network, as_batch, loss_per_sample

TITLE = "training step"
AGREEMENT = 1e-4  # of the largest value; float32 sums in another order
CHECKED_STEPS = 300  # over more, a spike at the threshold may flip by rounding and change the rest
WARM_UP = 2  # TorchScript's executor records the first run and optimizes in the second
ROUNDS = 7
LARGE_ROUNDS = 3
LEAST = 0.3  # s; a sample is the mean of the steps that fit in, in a row as training takes them
LARGE_INPUT_GAIN = 2000.0  # on the initial input weights, with which no neuron would spike
ECG_BAR = Bar(ratio_at_least=40)

FUSED, REFERENCE = "fused CPU kernel", "reference backend"
PUBLISHED, LEAN = "TorchScript, as published", "TorchScript, coefficients once"


@dataclass(frozen=True)
class Case:
    """What is trained: x [B, I, T], labels [B, T]."""

    title: str
    network: Network
    x: Tensor
    labels: Tensor
    notes: tuple[str, ...]


def measure() -> list[Comparison]:
    """The ECG network on ECG data, and a larger one of the size of S-MNIST for context."""
    return [
        _compare(ecg_case(), ROUNDS, ECG_BAR),
        _compare(large_case(), LARGE_ROUNDS, Bar()),
    ]


def ecg_case() -> Case:
    """4-36-6 on one batch of 16 training segments of 1300 steps."""
    experiment = ecg.load()
    size = experiment.checkpoint.recipe.training.batch_size
    x, labels = as_batch(experiment.dataset.train, slice(0, size), torch.device("cpu"))
    return Case("ECG", experiment.checkpoint.model(), x, labels, experiment.notes)


def large_case() -> Case:
    """1-256-10 on 32 sequences of 784 random gray values, a fifth of them not zero."""
    generator = torch.Generator().manual_seed(ecg.SEED)
    changes = ["network.hidden=[256]", "neuron.omega=[15.0, 50.0]"]
    network = Network(override(load_recipe(ecg.RECIPE), changes), 1, 10, generator)
    with torch.no_grad():
        network.hidden_blocks[0].weight.mul_(LARGE_INPUT_GAIN)
    gray, share = torch.rand(2, 32, 1, 784, generator=generator)
    labels = torch.randint(10, (32, 1), generator=generator).expand(-1, 784)
    note = (
        "Data: random gray values, a fifth not zero. Network: not trained, input weights "
        f"{LARGE_INPUT_GAIN:g} times their initial values, so that it spikes."
    )
    return Case("size of S-MNIST", network, gray * (share < 0.2), labels, (note,))


def _compare(case: Case, rounds: int, bar: Bar) -> Comparison:
    network, x, labels = case.network, case.x, case.labels
    runs = {
        FUSED: _run_on(network, "cpu"),
        PUBLISHED: lambda x: run_published(network, x),
        LEAN: lambda x: run_lean(network, x),
        REFERENCE: _run_on(network, "reference"),
    }
    short = x[..., :CHECKED_STEPS], labels[..., :CHECKED_STEPS]
    ours = _step(network, runs[FUSED], *short)
    worst = max(
        assert_agree(name, ours, _step(network, run, *short))
        for name, run in runs.items()
        if name != FUSED
    )
    contenders = {
        name: timed(lambda run=run: _step(network, run, x, labels), LEAST)  # type: ignore[misc]
        for name, run in runs.items()
    }
    seconds = alternate(contenders, rounds=rounds, warm_up=WARM_UP)
    samples, inputs, steps = x.shape
    widths = f"{inputs}-{len(network.hidden_blocks[0].weight)}-{len(network.readout.weight)}"
    return Comparison(
        title=f"Training step, {case.title}: {widths} recurrent, batch {samples} x {steps} steps",
        rows=tuple(
            Row(name, seconds[name], bar if name == PUBLISHED else Bar()) for name in contenders
        ),
        base=FUSED,
        notes=(
            *case.notes,
            f"Hidden spikes: {_spike_rate(network, x):.1%} of all neurons and steps.",
            f"All four agree within {worst:.0e} of the largest value, in outputs and every "
            f"gradient, over {short[0].shape[2]} steps.",
        ),
    )


def _run_on(network: Network, backend: str) -> Callable[[Tensor], Tensor]:
    def run(x: Tensor) -> Tensor:
        for block in (*network.hidden, network.readout):
            block.backend = backend
        outputs: Tensor = network(x)[0]
        return outputs

    return run


def _spike_rate(network: Network, x: Tensor) -> float:
    with torch.no_grad():
        return float(network.hidden_blocks[0](x).mean())


def _step(
    network: Network, run: Callable[[Tensor], Tensor], x: Tensor, labels: Tensor
) -> dict[str, Tensor]:
    """One forward and backward pass; the outputs [B, C, T] and the gradients by their names."""
    network.zero_grad()
    outputs = run(x)
    loss_per_sample(outputs, labels).backward()  # type: ignore[no-untyped-call]
    gradients = {
        name: parameter.grad
        for name, parameter in network.named_parameters()
        if parameter.grad is not None
    }
    return {"outputs": outputs.detach(), **gradients}


def assert_agree(name: str, ours: dict[str, Tensor], theirs: dict[str, Tensor]) -> float:
    """The largest deviation from ours, relative to each tensor's largest value.

    Raises: MismatchError if a tensor is missing or deviates by more than `AGREEMENT`.
    """
    if ours.keys() != theirs.keys():
        raise MismatchError(
            f"{name}: has {', '.join(theirs)}; the {FUSED} has {', '.join(ours)}. "
            "A parameter is not part of one of the computations; correct that first."
        )
    worst = 0.0
    for key, expected in ours.items():
        largest = max(float(expected.abs().max()), torch.finfo(expected.dtype).tiny)
        deviation = float((theirs[key] - expected).abs().max()) / largest
        if not deviation <= AGREEMENT:  # also catches NaN
            raise MismatchError(
                f"{name}: {key} deviates from the {FUSED} by {deviation:.2g} of its largest value; "
                f"allowed is {AGREEMENT:g}. The two do not compute the same; correct that first."
            )
        worst = max(worst, deviation)
    return worst
