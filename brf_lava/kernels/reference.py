"""The definition: one layer as a plain torch loop over time, differentiated by autograd.

Slow and obvious. Every other backend must agree with it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from brf_lava.neurons.binding import bound
from brf_lava.neurons.families import Neuron

# A run of a layer in integers, in arrays of real numbers: takes x [T, B, I], and of `loop.forward`
# the initial states, the outputs before and keep_states; returns what that does.
Integers = Callable[..., tuple[Any, Any]]


class Memory(NamedTuple):
    """A layer after its last step. Detached: gradients do not pass from piece to piece."""

    states: Tensor  # [S, B, N], in the order of ``neuron.states``
    output: Tensor  # [B, N], what recurrent weights hear in the next step


def straight_through(real: Tensor, values: Any) -> Tensor:
    """The values of an array, exactly, with the gradient of the tensor that it stands for."""
    return torch.from_numpy(values).to(real) + (real - real.detach())


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
    if integers is not None:
        arrays = (each.detach().cpu().numpy() for each in (x, torch.stack(states), output))
        exact, history = integers(*arrays, keep_states=True)
    outputs = []
    for t in range(steps):
        if truncate and t % truncate == 0:
            states, output = tuple(state.detach() for state in states), output.detach()
        current = x[t] if weights is None else functional.linear(x[t], weights)
        if recurrent is not None:
            current = current + functional.linear(output, recurrent)
        states, output = step(states, current, coefficients.unbind(), constants)
        if integers is not None:
            states = tuple(map(straight_through, states, history[t + 1]))
            output = straight_through(output, exact[t])
        outputs.append(output)
    return torch.stack(outputs), Memory(torch.stack(states).detach(), output.detach())
