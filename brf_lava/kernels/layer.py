"""One layer, whole batch, all steps: the one public function, and the choice of its backend."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from brf_lava.errors import ParameterError
from brf_lava.kernels import cpu, reference
from brf_lava.kernels.memory import Memory
from brf_lava.neurons.families import Neuron
from brf_lava.neurons.surrogate import SURROGATES

BACKENDS = {"reference": reference.run_layer, "cpu": cpu.run_layer}


def choose_backend(neuron: Neuron, device: torch.device, dtype: torch.dtype) -> str:
    """What ``backend="auto"`` stands for: the fastest one that takes neuron and tensors."""
    fused = neuron.adjoint_step is not None and device.type == "cpu" and dtype == torch.float32
    return "cpu" if fused else "reference"


def _check_alike(x: Tensor, *parameters: Tensor | None) -> None:
    for tensor in parameters:
        if tensor is not None and (tensor.dtype, tensor.device) != (x.dtype, x.device):
            raise ParameterError(
                f"layer: an input of {x.dtype} on {x.device} for parameters of {tensor.dtype} on "
                f"{tensor.device}; they must be alike. Convert the input with .to(...)."
            )


def _check_memory(start: Memory, shape: tuple[int, int, int]) -> None:
    found = tuple(start.states.shape), tuple(start.output.shape)
    if found != (shape, shape[1:]):
        raise ParameterError(
            f"start: states {found[0]} and output {found[1]}; this layer and batch need {shape} "
            f"and {shape[1:]}. Start another batch from None."
        )


def run_layer(
    neuron: Neuron,
    x: Tensor,
    weights: Tensor | None,
    recurrent: Tensor | None,
    coefficients: Tensor,
    constants: Any,
    *,
    surrogate: str = "double-gaussian",
    backend: str = "auto",
    truncate: int = 0,
) -> Tensor:
    """Run a layer of neurons over a batch of sequences from zero state; differentiable.

    neuron:       which neuron, e.g. `families.BRF` for a hidden layer, `families.LI` for a readout
    x:            [T, B, I] inputs, spikes or real values
    weights:      [N, I], or None: x [T, B, N] is the neurons' current itself
    recurrent:    [N, N] applied to the outputs of the step before, or None
    coefficients: [P, N] in the order of ``neuron.coefficients``
    constants:    ``neuron.real_constants`` with Python numbers
    surrogate:    "double-gaussian" or "multi-gaussian"
    backend:      "reference", "cpu", or "auto"
    truncate:     gradients stay within windows of so many steps, through states and recurrence
                  alike (truncated back-propagation through time); 0: one window

    Returns the outputs [T, B, N]: spikes 0/1 of a spiking neuron, else its first state. Gradients
    reach x, weights, recurrent and coefficients, through time and through the membrane.
    Raises: ParameterError for an unknown name, and with "auto" for tensors that differ in dtype or
    device; BackendUnavailableError for tensors that a named backend does not take.
    """
    output, _ = resume_layer(
        neuron,
        x,
        weights,
        recurrent,
        coefficients,
        constants,
        None,
        surrogate=surrogate,
        backend=backend,
        truncate=truncate,
    )
    return output


def resume_layer(
    neuron: Neuron,
    x: Tensor,
    weights: Tensor | None,
    recurrent: Tensor | None,
    coefficients: Tensor,
    constants: Any,
    start: Memory | None,
    *,
    surrogate: str = "double-gaussian",
    backend: str = "auto",
    truncate: int = 0,
) -> tuple[Tensor, Memory]:
    """`run_layer` from where an earlier piece of the sequences ended, `start`; None: zero state.

    Returns the outputs [T, B, N] and the memory after the last step. Pieces in a row give what one
    long sequence gives, bit for bit; gradients stay within a piece.
    Raises: ParameterError if `start` is of another shape, too.
    """
    if surrogate not in SURROGATES:
        raise ParameterError(f"surrogate {surrogate!r}; choose one of {', '.join(SURROGATES)}.")
    if truncate < 0:
        raise ParameterError(f"truncate: {truncate} steps; 1 or more, or 0 for all, are allowed.")
    if backend == "auto":
        _check_alike(x, weights, recurrent, coefficients)
    name = choose_backend(neuron, x.device, x.dtype) if backend == "auto" else backend
    if name not in BACKENDS:
        raise ParameterError(f"kernel {name!r}; choose one of auto, {', '.join(BACKENDS)}.")
    if start is not None:
        neurons = x.shape[2] if weights is None else weights.shape[0]
        _check_memory(start, (len(neuron.states), x.shape[1], neurons))
    return BACKENDS[name](
        neuron,
        x,
        weights,
        recurrent,
        coefficients,
        constants,
        SURROGATES[surrogate],
        truncate,
        start,
    )
