"""The fused GPU backend: the loop of `cuda_loop.py` as a torch operation.

The loop carries only what depends on time. The current of the inputs, the weight gradients and the
input's gradient are single matrix products over all steps and samples, taken by torch.

Compiled and simulated in the tests, not run on a card.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import linear

from brf_lava.errors import BackendUnavailableError
from brf_lava.kernels import cuda_loop, loop
from brf_lava.kernels.cuda_loop import BACKWARD_LANES, FORWARD_LANES, GROUP
from brf_lava.kernels.reference import Integers, Memory
from brf_lava.neurons.families import Neuron


def _launch(function: Any, key: tuple[Any, ...], grid: Any, block: Any, *arguments: Any) -> None:
    """Tensors pass as they are, on torch's current stream."""
    cuda, kernel = cuda_loop.numba_cuda(), cuda_loop.kernel(function, *key)
    device = arguments[0].device
    as_array = np.asarray if device.type == "cpu" else cuda.as_cuda_array
    arrays = (as_array(a.detach()) if isinstance(a, Tensor) else a for a in arguments)
    if device.type == "cpu":
        kernel[grid, block](*arrays)
        return
    with cuda.gpus[device.index], loop._compiling(key[0]):
        stream = cuda.external_stream(torch.cuda.current_stream(device).cuda_stream)
        kernel[grid, block, stream](*arrays)


class _Layer(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        current: Tensor,
        recurrent: Tensor | None,
        coefficients: Tensor,
        neuron: Neuron,
        constants: Any,
        surrogate: Callable[..., Any],
        truncate: int,
        start: Memory | None,
        values: tuple[Any, Any] | None,
        recorded: bool,  # by autograd, which does not tell
    ) -> tuple[Tensor, Tensor]:
        """current [T, R * B, N], recurrent [R, N, N], coefficients [R, P, N], of R networks."""
        steps, samples, neurons = current.shape
        differentiable = recorded and any(ctx.needs_input_grad)
        shape = (steps + 1 if differentiable else 1, len(neuron.states), samples * neurons)
        if values is not None:
            output, states = (torch.from_numpy(each).to(current) for each in values)
            states = states.view(-1, *shape[1:])
        else:
            output, states = torch.empty_like(current), current.new_empty(shape)
            states[0] = 0 if start is None else start.states.flatten(1)
            before = current.new_zeros(samples, neurons) if start is None else start.output
            rows = coefficients if recurrent is None else recurrent.transpose(1, 2)
            lanes, slots = cuda_loop.lanes_and_slots(neurons, FORWARD_LANES)
            _launch(
                cuda_loop.forward,
                (neuron, surrogate, slots, recurrent is not None),
                samples,
                lanes,
                current.view(steps, -1),
                rows.contiguous(),
                coefficients,
                constants,
                before.flatten(),
                states,
                output.view(steps, -1),
                samples // len(coefficients),
            )
        last = states[-1].view(-1, samples, neurons).clone()
        ctx.mark_non_differentiable(last)
        if differentiable:
            ctx.save_for_backward(recurrent, coefficients, output)
            ctx.states, ctx.neuron, ctx.constants = states, neuron, constants
            ctx.surrogate, ctx.truncate = surrogate, truncate
            ctx.before = None if start is None else start.output
        return output, last

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        recurrent, coefficients, output = ctx.saved_tensors
        steps, samples, neurons = output.shape
        networks, numbers, _ = coefficients.shape
        each = samples // networks
        into_current = torch.empty_like(output)
        into_coefficients = output.new_empty(numbers, samples * neurons)
        lanes, slots = cuda_loop.lanes_and_slots(neurons, BACKWARD_LANES)
        _launch(
            cuda_loop.backward,
            (ctx.neuron, ctx.surrogate, slots, recurrent is not None),
            (-(-each // GROUP), networks),
            (lanes, GROUP),
            grads[0].reshape(steps, -1),
            coefficients if recurrent is None else recurrent.contiguous(),
            coefficients,
            ctx.constants,
            ctx.states,
            into_current.view(steps, -1),
            into_coefficients,
            each,
            ctx.truncate or steps,
        )
        by_sample = into_coefficients.view(numbers, networks, each, neurons)
        sums = [by_sample[:, network].contiguous().sum(1) for network in range(networks)]
        into_recurrent: list[Tensor] = []
        for network in range(networks if recurrent is not None else 0):
            own = slice(network * each, (network + 1) * each)  # all sums are those of one alone
            heard, current = output[:-1, own].flatten(0, 1), into_current[1:, own].flatten(0, 1)
            into_recurrent.append(current.t() @ heard)
            if ctx.before is not None:
                into_recurrent[-1] += into_current[0, own].t() @ ctx.before[own]
        return (
            into_current,
            torch.stack(into_recurrent) if into_recurrent else None,
            torch.stack(sums),
            *(None,) * 7,
        )


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

    Coefficients [R, P, N], with weights [R, N, I] and recurrent [R, N, N], are those of R networks,
    of which each runs on its share of the samples, in order. Each computes what it would alone.

    Raises: BackendUnavailableError unless all is float32 on one CUDA device, and where numba-cuda
        is not installed.
    """
    kind = "cpu" if cuda_loop.simulated() else "cuda"
    device = x.device if x.device.type == kind else torch.device(kind)
    for tensor in (x, weights, recurrent, coefficients, *(start or ())):
        if tensor is not None and (tensor.device, tensor.dtype) != (device, torch.float32):
            raise BackendUnavailableError(
                f"kernel 'cuda': got {tensor.dtype} on {tensor.device}; it takes float32 on one "
                "CUDA device. Choose kernel 'reference' or 'auto'."
            )
    if coefficients.dim() == 2:
        coefficients = coefficients[None]
        weights, recurrent = (m if m is None else m[None] for m in (weights, recurrent))
    current = x
    if weights is not None:
        pairs = zip(x.chunk(len(weights), 1), weights, strict=True)
        parts = [linear(part.contiguous(), own) for part, own in pairs]  # the same product as alone
        current = parts[0] if len(parts) == 1 else torch.cat(parts, 1)
    values = None
    if integers is not None:
        begin = (None, None) if start is None else [each.cpu().numpy() for each in start]
        values = integers(x.detach().cpu().numpy(), *begin, keep_states=True)
    single = type(constants)(*(np.float32(value) for value in constants))
    output, last = _Layer.apply(  # type: ignore[no-untyped-call]  # torch leaves it untyped
        current.contiguous(),
        recurrent,
        coefficients.contiguous(),
        neuron,
        single,
        surrogate,
        truncate,
        start,
        values,
        torch.is_grad_enabled(),
    )
    return output, Memory(last, output.detach()[-1].clone())
