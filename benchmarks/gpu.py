"""One training step on a GPU: our kernel, one network and eight, against loops over time.

Compiled and simulated in the tests, not run on a card.
Takes at most eight minutes: a case that would not fit is left out, and the notes say so.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from statistics import median
from typing import Any

import numpy as np
import torch
from torch import Tensor

from benchmarks.kernel import LEAN, PUBLISHED, REFERENCE
from benchmarks.timing import Bar, Comparison, Row, alternate, timed
from benchmarks.torchscript import run_lean, run_published
from brf_lava.config.recipe import load_recipe
from brf_lava.errors import BackendUnavailableError
from brf_lava.kernels import cuda_check
from brf_lava.kernels.cuda_loop import GROUP
from brf_lava.train.model import Network, device_name, forward_together, loss_per_sample

TITLE = "training step on a GPU"
SEEDS = 8
ROUNDS = 3
LEAST = 0.3  # s; a sample is the mean of the steps that fit in
LAST_START = 330  # s after the first; a case takes 150 at most
CHECKED_STEPS, CHECKED_SAMPLES = 60, 4  # more spikes than these may flip at the threshold
OURS, TOGETHER, SCAN = "GPU kernel", f"GPU kernel, {SEEDS} networks in one launch", "JAX scan"
BARS = {
    PUBLISHED: Bar(ratio_at_least=50),
    SCAN: Bar(ratio_at_least=8),
    TOGETHER: Bar(ratio_at_most=1.5),
}


@dataclass(frozen=True)
class Case:
    """Random inputs of the sizes of a task. gain: on the input weights, so that neurons spike."""

    title: str
    recipe: str
    batch: int
    steps: int
    inputs: int
    classes: int
    density: float  # share of the inputs that are not zero
    gain: float
    batches: int  # of an epoch

    def network(self, seed: int, device: torch.device) -> Network:
        generator = torch.Generator().manual_seed(seed)
        network = Network(load_recipe(self.recipe), self.inputs, self.classes, generator)
        with torch.no_grad():
            network.hidden_blocks[0].weight.mul_(self.gain)
        return network.to(device)

    def data(self, device: torch.device) -> tuple[Tensor, Tensor]:
        """x [B, I, T] and labels [B, T]."""
        generator = torch.Generator().manual_seed(0)
        shape = (self.batch, self.inputs, self.steps)
        gray, share = torch.rand(2, *shape, generator=generator)
        if self.inputs > 1:
            gray = torch.ones(shape)  # spikes
        labels = torch.randint(self.classes, (self.batch, 1), generator=generator)
        x = gray * (share < self.density)
        return x.to(device), labels.expand(-1, self.steps).to(device)


CASES = (
    Case("ECG", "ecg-brf-published", 16, 1300, 4, 6, 0.1, 800.0, 35),
    Case("S-MNIST", "smnist-brf", 256, 784, 1, 10, 0.2, 2000.0, 211),
    Case("PS-MNIST", "psmnist-brf", 256, 784, 1, 10, 0.2, 2000.0, 211),
    Case("SHD", "shd-brf", 32, 250, 700, 20, 0.02, 200.0, 230),
)


def measure() -> list[Comparison]:
    """All cases. Raises: BackendUnavailableError without a GPU that the kernel agrees on."""
    if not torch.cuda.is_available():
        raise BackendUnavailableError("gpu: torch finds no CUDA device here. Run it on one.")
    device, started = torch.device("cuda"), time.perf_counter()
    found: list[Comparison] = []
    if why := cuda_check.obstacle(device):
        raise BackendUnavailableError(f"gpu: {why}")
    for case in CASES:
        late = time.perf_counter() - started > LAST_START
        left_out = Comparison(f"{case.title}: left out, {LAST_START} s are over", ())
        found.append(left_out if late else _compare_if_it_fits(case, device))
    return found


def _compare_if_it_fits(case: Case, device: torch.device) -> Comparison:
    try:
        return compare(case, device)
    except torch.OutOfMemoryError:
        return Comparison(f"{case.title}: left out, it does not fit into the card's memory", ())


def compare(case: Case, device: torch.device, rounds: int = ROUNDS) -> Comparison:
    """All contenders on one case."""
    networks = [case.network(seed, device) for seed in range(SEEDS)]
    network, (x, labels) = networks[0], case.data(device)
    short = x[:CHECKED_SAMPLES, :, :CHECKED_STEPS], labels[:CHECKED_SAMPLES, :CHECKED_STEPS]
    own: dict[str, Callable[[Tensor], Tensor]] = {
        OURS: partial(_outputs, network, "cuda"),
        PUBLISHED: partial(run_published, network),
        LEAN: partial(run_lean, network),
        REFERENCE: partial(_outputs, network, "reference"),
    }
    steps: dict[str, Callable[[], Any]] = {
        name: partial(_step, [network], _alone(run), x, labels) for name, run in own.items()
    }
    checks = {name: _step([network], _alone(run), *short) for name, run in own.items()}
    steps[TOGETHER] = partial(_step, networks, partial(_together, networks), x, labels)
    if find_spec("jax") is not None:
        os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")  # else it takes all memory
        from benchmarks.jax_scan import make_step

        steps[SCAN] = make_step(network, x, labels)
        checks[SCAN] = make_step(network, *short)()
    deviations = {
        name: max(deviation(checks[OURS][key], found[key]) for key in checks[OURS])
        for name, found in checks.items()
        if name != OURS
    }
    contenders = {name: timed(partial(_waited, run), LEAST) for name, run in steps.items()}
    seconds = alternate(contenders, rounds=rounds, warm_up=2)
    with torch.no_grad():
        rate = float(networks[0].hidden_blocks[0](x).mean())
    ours, eight = median(seconds[OURS]), median(seconds[TOGETHER])
    neurons = len(network.hidden_blocks[0].weight)
    return Comparison(
        title=f"Training step, size of {case.title}: {case.inputs}-{neurons}-{case.classes} "
        f"recurrent, batch {case.batch} x {case.steps} steps",
        rows=tuple(Row(name, each, BARS.get(name, Bar())) for name, each in seconds.items()),
        base=OURS,
        notes=(
            f"On {device_name(device)}, random inputs; hidden spikes: {rate:.1%}.",
            "Deviation from the GPU kernel, of the largest value of an output or gradient, over "
            f"{CHECKED_STEPS} steps: "
            + ", ".join(f"{name} {value:.0e}" for name, value in deviations.items())
            + ".",
            f"{case.batches} batches, an epoch without validation: {case.batches * ours:.2f} s; "
            f"{SEEDS} networks: {case.batches * eight:.2f} s, {eight / ours:.2f} times as long.",
            _achieved(case, neurons, rate, ours),
        ),
    )


def _alone(run: Callable[[Tensor], Tensor]) -> Callable[[Tensor], list[Tensor]]:
    return lambda x: [run(x)]


def _outputs(network: Network, backend: str, x: Tensor) -> Tensor:
    for block in network.blocks:
        block.backend = backend
    outputs: Tensor = network(x)[0]
    return outputs


def _together(networks: Sequence[Network], x: Tensor) -> list[Tensor]:
    return [outputs for outputs, _ in forward_together(networks, [x] * len(networks))]


def _step(
    networks: Sequence[Network], run: Callable[[Tensor], list[Tensor]], x: Tensor, labels: Tensor
) -> dict[str, Any]:
    """Forward and backward; of the first network the outputs [B, C, T] and all gradients."""
    for network in networks:
        network.zero_grad()
    outputs = run(x)
    losses = [loss_per_sample(each, labels) for each in outputs]
    torch.stack(losses).sum().backward()  # type: ignore[no-untyped-call]
    named = networks[0].named_parameters()
    return {"outputs": outputs[0].detach(), **{name: value.grad for name, value in named}}


def _waited(run: Callable[[], object]) -> None:
    run()
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def deviation(expected: Any, found: Any) -> float:
    """The largest, relative to the largest expected value."""
    exact, other = (np.asarray(v.cpu() if isinstance(v, Tensor) else v) for v in (expected, found))
    return float(abs(other - exact).max() / max(abs(exact).max(), np.finfo(np.float32).tiny))


def _achieved(case: Case, neurons: int, rate: float, seconds: float) -> str:
    """Traffic and arithmetic that a step cannot do without, over the time that it took."""
    samples, states = case.batch * case.steps, 3
    hidden = samples * neurons  # values of one kind, of which states are written and read, and
    traffic = 4 * hidden * (2 * states + 6)  # current, spikes, two gradients in and out
    weights = 4 * case.steps * -(-case.batch // GROUP) * neurons**2  # read by the backward loop
    products = hidden * (neurons * (rate + 2) + 2 * case.inputs + 3 * case.classes)
    return (
        f"Achieved: {traffic / seconds / 1e9:.0f} GB/s of memory, {weights / seconds / 1e9:.0f} "
        f"GB/s of recurrent weights from the cache, {2 * products / seconds / 1e9:.0f} GFLOP/s."
    )
