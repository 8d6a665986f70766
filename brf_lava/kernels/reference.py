"""The definition: one layer as a plain torch loop over time, differentiated by autograd.

Slow and obvious. Every other backend must agree with it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from brf_lava.neurons.binding import bound
from brf_lava.neurons.families import Neuron


class Memory(NamedTuple):
    """A layer after its last step. Detached: gradients do not pass from piece to piece."""

    states: Tensor  # [S, B, N], in the order of ``neuron.states``
    output: Tensor  # [B, N], what recurrent weights hear in the next step


class Integers(NamedTuple):
    """A layer in integers, for a run that takes its values from the neuron's integer step.

    Gradients are those of the real step at the states of the integers: rounding is passed straight
    through.
    """

    weights: NDArray[np.int64]  # [N, I]
    recurrent: NDArray[np.int64] | None  # [N, N]
    coefficients: NDArray[np.int64]  # [P, N], in the order of ``neuron.fixed_coefficients``
    constants: Any  # ``neuron.fixed_constants``
    units: NDArray[np.float64]  # [S], what the integer of each state is that stands for 1
    input_unit: float  # likewise of x


class _StraightThrough(torch.autograd.Function):
    """The value of one tensor with the gradient of another, which it stands for."""

    @staticmethod
    def forward(ctx: Any, real: Tensor, value: Tensor) -> Tensor:
        return value.to(real.device, real.dtype)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None]:
        return grads[0], None


straight_through: Any = _StraightThrough.apply


class _Spike(torch.autograd.Function):
    """The unit step, strictly greater than 0, with a surrogate for its derivative."""

    @staticmethod
    def forward(ctx: Any, s: Tensor, derivative: Callable[[Tensor], Tensor]) -> Tensor:
        ctx.save_for_backward(s)
        ctx.derivative = derivative
        return (s > 0).to(s.dtype)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None]:
        (s,) = ctx.saved_tensors
        return grads[0] * ctx.derivative(s), None


def run_layer(
    neuron: Neuron,
    x: Tensor,
    weights: Tensor | None,
    recurrent: Tensor | None,
    coefficients: Tensor,
    constants: Any,
    surrogate: Callable[..., Any],
    truncate: int = 0,
    start: Memory | None = None,
    integers: Integers | None = None,
) -> tuple[Tensor, Memory]:
    """See `layer.run_layer`; any device, any floating type."""
    steps, samples, inputs = x.shape
    output = x.new_zeros(samples, inputs if weights is None else weights.shape[0])
    states = tuple(output for _ in neuron.states)
    if start is not None:
        states, output = tuple(start.states.detach()), start.output.detach()
    derivative = bound(surrogate, exp=torch.exp)
    apply: Any = _Spike.apply
    step = bound(neuron.real_step, spike=lambda s: apply(s, derivative))
    exact = None if integers is None else _integer_step(neuron, integers, x.device)
    outputs = []
    for t in range(steps):
        if truncate and t % truncate == 0:
            states, output = tuple(state.detach() for state in states), output.detach()
        current = x[t] if weights is None else functional.linear(x[t], weights)
        if recurrent is not None:
            current = current + functional.linear(output, recurrent)
        before = (states, output)
        states, output = step(states, current, coefficients.unbind(), constants)
        if exact is not None:
            real, values = (*states, output), exact(x[t], *before)
            *passed, output = map(straight_through, real, values)
            states = tuple(passed)
        outputs.append(output)
    return torch.stack(outputs), Memory(torch.stack(states).detach(), output.detach())


def _integer_step(neuron: Neuron, integers: Integers, device: torch.device) -> Any:
    """(x, states, output) to the next states and the output, real numbers that are integers."""

    def moved(values: NDArray[Any]) -> Tensor:
        return torch.from_numpy(values).to(device)

    def whole(values: Tensor, unit: Any) -> Tensor:
        return (values.detach().double() * unit).round()

    weights = moved(integers.weights).double()  # whose products are exact below 2**53
    recurrent = None if integers.recurrent is None else moved(integers.recurrent).double()
    coefficients, units = moved(integers.coefficients).unbind(), integers.units.tolist()

    def step(x: Tensor, states: Any, output: Tensor) -> list[Tensor]:
        current = functional.linear(whole(x, integers.input_unit), weights)
        if recurrent is not None:
            current = current + functional.linear(whole(output, 1), recurrent)
        old = [whole(state, unit).long() for state, unit in zip(states, units, strict=True)]
        new, z = neuron.fixed_step(old, current.long(), coefficients, integers.constants)
        scales = (*units, 1 if neuron.spiking else units[0])
        return [value / scale for value, scale in zip((*new, z), scales, strict=True)]

    return step
