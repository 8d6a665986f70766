"""One recurrent BRF layer of any size that spikes at a given rate, and a training step of it."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from brf_lava.kernels.layer import run_layer
from brf_lava.neurons.families import BRF
from brf_lava.neurons.real import BalancedConstants

CONSTANTS = BalancedConstants(dt=0.01, theta=1.0, gamma=0.9)
OMEGA, B_OFFSET = (15.0, 50.0), (0.1, 1.0)  # rad/s and 1/s, of S-MNIST in Higuchi et al. 2024
SEARCHED = 8  # samples on which the weights are chosen


@dataclass(frozen=True)
class Size:
    """active: share of the inputs that are not zero. rate: of the neurons that spike in a step."""

    inputs: int
    neurons: int
    batch: int
    steps: int
    rate: float
    active: float
    gray: bool = False  # inputs between 0 and 1, else 0 or 1

    def __str__(self) -> str:
        return f"{self.inputs}-{self.neurons}, batch {self.batch} x {self.steps} steps"


@dataclass(frozen=True)
class Layer:
    """parameters: weights [N, I], recurrent ones [N, N] and coefficients [2, N]; x [T, B, I]."""

    parameters: tuple[Tensor, Tensor, Tensor]
    x: Tensor
    grad_output: Tensor  # [T, B, N]
    rate: float

    def outputs(self) -> Tensor:
        return run_layer(BRF, self.x, *self.parameters, CONSTANTS)[0]

    def step(self) -> tuple[Tensor, ...]:
        """Forward, backward, and the gradients of all parameters."""
        return torch.autograd.grad(self.outputs(), self.parameters, self.grad_output)


def layer_of(size: Size, seed: int = 0) -> Layer:
    """Initial weights of the trainer, with input weights times what makes the neurons spike."""
    generator = torch.Generator().manual_seed(seed)

    def uniform(low: float, high: float, *shape: int) -> Tensor:
        return low + (high - low) * torch.rand(*shape, generator=generator)

    neurons = size.neurons
    bound = (6 / (size.inputs + 2 * neurons)) ** 0.5
    weights = uniform(-bound, bound, neurons, size.inputs)
    recurrent = uniform(-bound, bound, neurons, neurons)
    omega = uniform(*OMEGA, neurons)
    coefficients = torch.stack(BRF.rule(omega, uniform(*B_OFFSET, neurons), CONSTANTS))
    values, chance = torch.rand(2, size.steps, size.batch, size.inputs, generator=generator)
    x = (values if size.gray else 1.0) * (chance < size.active)
    some = x[:, :SEARCHED].contiguous()
    low, high = 0.0, 8.0  # powers of ten
    for _ in range(14):
        middle = (low + high) / 2
        parameters = (10**middle * weights, recurrent, coefficients)
        with torch.no_grad():
            rate = float(run_layer(BRF, some, *parameters, CONSTANTS)[0].mean())
        low, high = (middle, high) if rate < size.rate else (low, middle)
    ready = tuple(each.requires_grad_() for each in parameters)
    layer = Layer(ready, x, torch.empty(0), 0.0)  # type: ignore[arg-type]
    output = layer.outputs().detach()
    grad_output = 0.01 * torch.randn(output.shape, generator=generator)
    return replace(layer, grad_output=grad_output, rate=float(output.mean()))
