"""One layer, whole batch, all steps: the one public function, and the choice of its kernel."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from brf_lava.errors import ParameterError
from brf_lava.kernels import cpu, cuda, cuda_check, reference
from brf_lava.kernels.reference import Integers, Memory
from brf_lava.neurons.families import Neuron
from brf_lava.neurons.surrogate import SURROGATES

KERNELS = {"reference": reference.run_layer, "cpu": cpu.run_layer, "cuda": cuda.run_layer}


def choose_kernel(neuron: Neuron, device: torch.device, dtype: torch.dtype) -> str:
    """What ``backend="auto"`` stands for: the fastest kernel that takes neuron and tensors."""
    if neuron.adjoint_step is None or dtype != torch.float32 or device.type not in KERNELS:
        return "reference"
    if device.type == "cuda" and cuda_check.obstacle(device) is not None:
        return "reference"
    return device.type


def run_layer(
    neuron: Neuron,
    x: Tensor,
    weights: Tensor | None,
    recurrent: Tensor | None,
    coefficients: Tensor,
    constants: Any,
    start: Memory | None = None,
    *,
    surrogate: str = "double-gaussian",
    backend: str = "auto",
    truncate: int = 0,
    integers: Integers | None = None,
    recompute: bool = False,
) -> tuple[Tensor, Memory]:
    """Run a layer of neurons over a batch of sequences; differentiable.

    Sequences may come in pieces: they give what whole ones give, on the CPU bit for bit, but
    gradients stay within a piece.

    Args:
        neuron: Such as `families.BRF` for a hidden layer, `families.LI` for a readout.
        x: [T, B, I] inputs, spikes or real values.
        weights: [N, I], or None: x [T, B, N] is the neurons' current itself.
        recurrent: [N, N], applied to the outputs of the step before, or None.
        coefficients: [P, N], in the order of ``neuron.coefficients``.
        constants: ``neuron.real_constants`` with Python numbers.
        start: What the piece before returned; None: zero state.
        surrogate: "double-gaussian" or "multi-gaussian".
        backend: "reference", "cpu", "cuda" (not run on a card yet), or "auto".
        truncate: Gradients stay within windows of so many steps, through states and recurrence
            alike (truncated back-propagation through time); 0: one window.
        integers: Where values come from, see `reference.Integers`; None: from the real step. The
            gradients are those of the real step: they pass all rounding straight through.
        recompute: Kernel "cpu" alone: compute states again in the backward pass instead of keeping
            those of all steps. Nothing but time and memory depends on it.

    Returns:
        The outputs [T, B, N], spikes 0/1 of a spiking neuron, else its first state, and the memory
        after the last step. Gradients reach x, weights, recurrent and coefficients, through time
        and through the membrane.

    Raises:
        ParameterError: For an unknown name, a `start` of another shape, and with "auto" for tensors
            that differ in dtype or device.
        BackendUnavailableError: For tensors that a named backend does not take.
    """
    if surrogate not in SURROGATES:
        raise ParameterError(f"surrogate {surrogate!r}; choose one of {', '.join(SURROGATES)}.")
    if truncate < 0:
        raise ParameterError(f"truncate: {truncate} steps; 1 or more, or 0 for all, are allowed.")
    if backend == "auto":
        backend = choose_kernel(neuron, x.device, x.dtype)
        for tensor in (weights, recurrent, coefficients):
            if tensor is not None and (tensor.dtype, tensor.device) != (x.dtype, x.device):
                raise ParameterError(
                    f"layer: an input of {x.dtype} on {x.device} for parameters of {tensor.dtype} "
                    f"on {tensor.device}; they must be alike. Convert the input with .to(...)."
                )
    if backend == "cuda" and not x.shape[1]:
        backend = "reference"  # no sample, no block to launch
    if backend not in KERNELS:
        raise ParameterError(f"kernel {backend!r}; choose one of auto, {', '.join(KERNELS)}.")
    shape = (len(neuron.states), x.shape[1], x.shape[2] if weights is None else len(weights))
    if start is not None and (start.states.shape, start.output.shape) != (shape, shape[1:]):
        raise ParameterError(
            f"start: states {tuple(start.states.shape)} and output {tuple(start.output.shape)}; "
            f"this layer and batch need {shape} and {shape[1:]}. Start another batch from None."
        )
    rule = SURROGATES[surrogate]
    options: dict[str, Any] = {"recompute": True} if recompute and backend == "cpu" else {}
    return KERNELS[backend](
        *(neuron, x, weights, recurrent, coefficients, constants, rule, truncate, start, integers),
        **options,
    )
