"""The fused CPU backend: the compiled loop of `loop.py` as a torch operation.

The loop carries only what depends on time. Weight gradients and the input's gradient are single
matrix products over all steps and samples, taken by torch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import numba
import numpy as np
import torch
from threadpoolctl import threadpool_limits
from torch import Tensor

from brf_lava.errors import BackendUnavailableError
from brf_lava.kernels import loop
from brf_lava.kernels.reference import Integers, Memory
from brf_lava.neurons.families import Neuron

PIECES = 16  # of a sequence, at most
PIECE = 1 << 20  # neurons, times steps and samples, at least


def threads() -> tuple[int, int]:
    """Of torch and of the compiled loop. They decide how sums are split, and so their last bits."""
    of_loop = int(numba.get_num_threads())  # first: its start can change those of torch
    return torch.get_num_threads(), of_loop


@contextmanager
def one_thread() -> Iterator[None]:
    """Sums in one order, and so the same bits, on any number of cores."""
    of_torch, of_loop = threads()
    with threadpool_limits(1):  # NumPy's BLAS
        torch.set_num_threads(1)
        numba.set_num_threads(1)
        try:
            yield
        finally:
            torch.set_num_threads(of_torch)
            numba.set_num_threads(of_loop)


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
        recompute: bool,
        recorded: bool,  # by autograd, which does not tell
    ) -> tuple[Tensor, Tensor]:
        differentiable, steps = recorded and any(ctx.needs_input_grad), len(x)
        states, before = (None, None) if start is None else [each.numpy() for each in start]
        matrices = (None if each is None else each.numpy() for each in (weights, recurrent))
        layer = (neuron, *matrices, coefficients.numpy(), constants)
        run = integers or partial(loop.forward, *layer, integers=False)
        kept, again = differentiable and not recompute, differentiable and recompute
        length = piece_length(steps, x.shape[1] * coefficients.shape[1]) if again else steps
        begins, whole = {}, length == steps
        result = x.new_empty(0 if whole else steps, x.shape[1], coefficients.shape[1])
        for first in range(0, steps, length):
            begins[first], last = (states, before), min(first + length, steps)
            output, history = run(x[first:last].numpy(), states, before, keep_states=kept)
            if whole:
                result = torch.from_numpy(output)
            else:
                result[first:last] = torch.from_numpy(output)
            states, before = history[-1].copy(), output[-1].copy()
        end = torch.from_numpy(states)
        ctx.mark_non_differentiable(end)
        if differentiable:
            ctx.save_for_backward(x, weights, recurrent, coefficients, result)
            ctx.run, ctx.begins, ctx.states = run, begins, history if kept else None
            ctx.neuron, ctx.constants = neuron, constants
            ctx.surrogate, ctx.truncate = surrogate, truncate
            ctx.before = None if start is None else start.output
        return result, end

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        x, weights, recurrent, coefficients, output = ctx.saved_tensors
        adjoint = loop.Backward(
            ctx.neuron,
            ctx.surrogate,
            None if recurrent is None else recurrent.contiguous().numpy(),
            coefficients.numpy(),
            ctx.constants,
            x.shape[1],
            ctx.truncate,
        )
        grad_output, (steps, samples, _) = grads[0].contiguous(), x.shape
        grad_x = torch.empty_like(x) if ctx.needs_input_grad[0] else None
        grad_weights = None if weights is None else torch.zeros_like(weights)
        grad_recurrent = None if recurrent is None else torch.zeros_like(recurrent)
        length = piece_length(steps, samples * coefficients.shape[1])
        for first in reversed(range(0, steps, length)):
            last = min(first + length, steps)
            if ctx.states is not None:
                states = ctx.states[first : last + 1]
            else:
                begin = ctx.begins[first]
                _, states = ctx.run(x[first:last].numpy(), *begin, keep_states=True)
            gradient = adjoint.run(grad_output[first:last].numpy(), states, first)
            grad_current = torch.from_numpy(gradient)
            if grad_recurrent is not None:  # spikes of the step before met the current of this one
                heard = output[max(first - 1, 0) : last - 1]
                if len(heard):
                    grad_recurrent += _weight_gradient(heard, grad_current[-len(heard) :])
            if grad_weights is not None:
                grad_weights += _weight_gradient(x[first:last], grad_current)
            if grad_x is not None and weights is not None:
                whole = grad_x[first:last].flatten(0, 1)
                torch.mm(grad_current.flatten(0, 1), weights, out=whole)
            elif grad_x is not None:
                grad_x[first:last] = grad_current
        if grad_recurrent is not None and ctx.before is not None:
            grad_recurrent += grad_current[0].t() @ ctx.before
        grad_coefficients = torch.from_numpy(adjoint.grad_coefficients())
        return grad_x, grad_weights, grad_recurrent, grad_coefficients, *(None,) * 8


def piece_length(steps: int, neurons: int) -> int:
    """Steps that the backward pass takes at a time, for so many neurons of all samples.

    A piece pays for its calls, and its states are a small part of those of all steps.
    """
    return min(steps, max(-(-steps // PIECES), -(-PIECE // max(neurons, 1))))


def _weight_gradient(signal: Tensor, grad_current: Tensor) -> Tensor:
    """[N, I] from [T, B, I] and [T, B, N]."""
    signal, grad_current = signal.flatten(0, 1), grad_current.flatten(0, 1)
    some = signal[:: len(signal) // 64 + 1]  # tells how sparse it is
    if grad_current.shape[1] < loop.WIDE or some.count_nonzero() > loop.SPARSE * some.numel():
        if signal.shape[1] < grad_current.shape[1]:  # BLAS wants the narrow one first
            return (signal.t() @ grad_current).t()
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
    recompute: bool = False,
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
        *(x, weights, recurrent, coefficients, neuron, single, surrogate, truncate, start),
        integers,
        recompute,
        torch.is_grad_enabled(),
    )
    return output, Memory(last, output.detach()[-1].clone())
