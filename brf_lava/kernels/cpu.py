"""The fused CPU backend: the compiled loop of `loop.py` as a torch operation.

The loop carries only what depends on time. Weight gradients and the input's gradient are single
matrix products over all steps and samples, taken by torch.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numba
import numpy as np
import torch
from torch import Tensor

from brf_lava.errors import BackendUnavailableError
from brf_lava.kernels import loop
from brf_lava.kernels.reference import Integers, Memory
from brf_lava.neurons.families import Neuron


def threads() -> tuple[int, int]:
    """Of torch and of the compiled loop. They decide how sums are split, and so their last bits."""
    return torch.get_num_threads(), int(numba.get_num_threads())


class _Layer(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        weights: Tensor | None,
        recurrent: Tensor | None,
        coefficients: Tensor,
        neuron: Neuron,
        constants: Any,
        surrogate: Callable[..., Any],
        truncate: int,
        start: Memory | None,
        integers: Integers | None,
    ) -> tuple[Tensor, Tensor]:
        differentiable = any(ctx.needs_input_grad)
        begin = (None, None) if start is None else [each.numpy() for each in start]
        if integers is not None:
            output, states = integers(x.numpy(), *begin, keep_states=differentiable)
        else:
            output, states = loop.forward(
                neuron,
                x.numpy(),
                None if weights is None else weights.numpy(),
                None if recurrent is None else recurrent.numpy(),
                coefficients.numpy(),
                constants,
                integers=False,
                keep_states=differentiable,
                initial=begin[0],
                before=begin[1],
            )
        result, last = torch.from_numpy(output), torch.from_numpy(states[-1].copy())
        ctx.mark_non_differentiable(last)
        if differentiable:
            ctx.save_for_backward(x, weights, recurrent, coefficients, result)
            ctx.states, ctx.neuron, ctx.constants = states, neuron, constants
            ctx.surrogate, ctx.truncate = surrogate, truncate
            ctx.before = None if start is None else start.output
        return result, last

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        x, weights, recurrent, coefficients, output = ctx.saved_tensors
        into_current, into_coefficients = loop.backward(
            ctx.neuron,
            ctx.surrogate,
            grads[0].contiguous().numpy(),
            ctx.states,
            None if recurrent is None else recurrent.contiguous().numpy(),
            coefficients.numpy(),
            ctx.constants,
            ctx.truncate,
        )
        grad_current = torch.from_numpy(into_current)
        grad_recurrent: Tensor | None = None
        if recurrent is not None:  # spikes of the step before met the current of this one
            grad_recurrent = _weight_gradient(output[:-1], grad_current[1:])
            if ctx.before is not None:
                grad_recurrent = grad_recurrent + grad_current[0].t() @ ctx.before
        grad_x: Tensor | None = grad_current
        if weights is not None:
            grad_x = grad_current @ weights if ctx.needs_input_grad[0] else None
        grad_weights = None if weights is None else _weight_gradient(x, grad_current)
        grad_coefficients = torch.from_numpy(into_coefficients)
        return grad_x, grad_weights, grad_recurrent, grad_coefficients, *(None,) * 6


def _weight_gradient(signal: Tensor, grad_current: Tensor) -> Tensor:
    """[N, I] from [T, B, I] and [T, B, N]."""
    signal, grad_current = signal.flatten(0, 1), grad_current.flatten(0, 1)
    some = signal[:: len(signal) // 64 + 1]  # tells how sparse it is
    if grad_current.shape[1] < loop.WIDE or some.count_nonzero() > loop.SPARSE * some.numel():
        return grad_current.t() @ signal
    return torch.from_numpy(loop.weight_gradient(signal.numpy(), grad_current.numpy()))


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
    """See `layer.run_layer`.

    Raises: BackendUnavailableError unless all is float32 on the CPU.
    """
    for tensor in (x, weights, recurrent, coefficients, *(start or ())):
        if tensor is not None and (tensor.device.type, tensor.dtype) != ("cpu", torch.float32):
            raise BackendUnavailableError(
                f"kernel 'cpu': got {tensor.dtype} on {tensor.device}; it takes float32 on the "
                "CPU. Choose kernel 'reference' or 'auto'."
            )
    single = type(constants)(*(np.float32(value) for value in constants))
    output, last = _Layer.apply(  # type: ignore[no-untyped-call]  # torch leaves it untyped
        x, weights, recurrent, coefficients, neuron, single, surrogate, truncate, start, integers
    )
    return output, Memory(last, output.detach()[-1].clone())
