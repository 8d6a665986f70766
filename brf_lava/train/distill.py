"""Distillation: the integers of an export learn to answer as the float network does.

Rounding looks at one layer at a time, along the float network's spikes, while a recurrent network
of integers soon spikes otherwise. So what is rounded is trained further, with the integer step in
the forward pass and the float network's own predictions as the goal (self-distillation, after
Hinton et al. 2015). Labels are not needed, and formats stay as they are.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from brf_lava.errors import ParameterError
from brf_lava.export.adaptive import Progress
from brf_lava.export.quantize import LayerReport
from brf_lava.io.memory import require_memory
from brf_lava.network.layers import FixedNetwork
from brf_lava.network.rest import restless
from brf_lava.train.model import Network

SAMPLE_STEPS = 1_000_000  # of calibration, all samples together
TAUGHT = 0.75  # share of the samples that is trained on; the others tell which epoch is best
EPOCHS = 20
ANSWERS = 15  # that are taught for each parameter; networks with fewer are not distilled
BATCH = 16
AVERAGING = 0.98  # per batch: integers that flip back and forth make single epochs noisy
RATES = 0.02  # by what share of the float network's the number of hidden spikes may differ
RATE = 0.002  # Adam's at the start, of the root mean square of each parameter; falls to 0

Quantized = tuple[FixedNetwork, tuple[LayerReport, ...]]


def steps_taught(model: Network) -> slice:
    """The steps whose answers count, as in the training."""
    return slice(-1 if model.loss_steps == "last" else model.decision.ignore_first, None)


def samples_taught(x: NDArray[Any]) -> int:
    """How many samples of `x` [T, B, I], from the first, `distill` trains on."""
    return max(1, int(TAUGHT * _samples(x)))


def _samples(x: NDArray[Any]) -> int:
    return min(int(x.shape[1]), max(2, SAMPLE_STEPS // len(x)))


def distill(
    model: Network,
    fixed: FixedNetwork,
    reports: Sequence[LayerReport],
    x: NDArray[Any],
    progress: Progress,
) -> Quantized:
    """Train a network in integers, weights and neurons, to answer as the float one.

    Args:
        model: The float network.
        fixed, reports: What `quantize` made of it.
        x: [T, B, I] calibration inputs, int8 or uint8.
        progress: Called with the number of epochs that are done.

    Returns:
        The integers of the epoch whose answers to samples that are not trained on were the most
        like the float network's, or the given ones. An epoch does not count if a neuron would not
        come to rest, or if there are many more or fewer spikes than in the float network.

    Raises:
        NotEnoughMemoryError: If a batch does not fit.
    """
    width = sum(block.out_neurons * (len(block.neuron.family.states) + 4) for block in model.blocks)
    require_memory(
        4 * BATCH * len(x) * width,
        f"distillation: batches of {BATCH} samples, {len(x):,} steps",
        "Export with --rounding adaptive",
    )
    inputs = torch.from_numpy(x[:, : _samples(x)]).permute(1, 2, 0)  # [B, I, T]
    inputs = inputs.float() * model.input_scale
    taught, generator = samples_taught(x), np.random.default_rng(0)
    held_out = np.arange(taught, len(inputs))

    def answers(network: Network, samples: NDArray[Any]) -> tuple[Tensor, float]:
        """Outputs [B, C, T] at the steps that count, and the number of hidden spikes."""
        outputs, spikes = network(inputs[samples])
        count = sum(float(layer.detach().sum()) for layer in spikes)
        return outputs[..., steps_taught(model)], count

    with torch.no_grad():
        everything = [answers(model, batch)[0] for batch in _batches(np.arange(len(inputs)))]
        wanted = torch.cat(everything).softmax(1)
        usual = sum(answers(model, batch)[1] for batch in _batches(held_out))

    integers = copy.deepcopy(model)
    for block, layer, report in zip(integers.blocks, fixed.layers, reports, strict=True):
        block.compute_in_integers(layer, report.format.weight_bits)
    parameters = list(integers.parameters())
    sizes = [float(each.detach().square().mean().sqrt()) for each in parameters]
    optimizer = torch.optim.Adam([{"params": [each]} for each in parameters])

    averaged = AveragedModel(integers, avg_fn=lambda old, new, _: old.lerp(new, 1 - AVERAGING))
    mean = cast(Network, averaged.module)

    def loss(network: Network, samples: NDArray[Any]) -> tuple[Tensor, float]:
        """The cross entropy of the answers and the float network's, and the hidden spikes."""
        given, spikes = answers(network, samples)
        return nn.functional.cross_entropy(given, wanted[samples], reduction="sum"), spikes

    def distance(network: Network) -> tuple[float, bool]:
        """On the samples that are not trained on, and whether there are as many spikes."""
        total, count = 0.0, 0.0
        with torch.no_grad():
            for batch in _batches(held_out):
                apart, spikes = loss(network, batch)
                total, count = total + float(apart), count + spikes
        return total, abs(count - usual) <= RATES * usual

    best, (least, _) = None, distance(integers)
    for epoch in range(EPOCHS):
        for group, size in zip(optimizer.param_groups, sizes, strict=True):
            group["lr"] = RATE * size * (1 - epoch / EPOCHS)
        try:
            for batch in _batches(generator.permutation(taught)):
                optimizer.zero_grad()
                torch.autograd.backward(loss(integers, batch)[0])
                nn.utils.clip_grad_norm_(parameters, 1.0)  # all batches count alike
                optimizer.step()
                averaged.update_parameters(integers)
            now, as_active = distance(mean)
        except ParameterError:  # a parameter has left its range, and would not come back
            break
        if now < least and as_active:
            found = [block.quantized() for block in mean.blocks]
            if not any(restless(layer) for layer, _ in found):
                best, least = found, now
        progress(epoch + 1)
    if best is None:
        return fixed, tuple(reports)
    return replace(fixed, layers=tuple(layer for layer, _ in best)), tuple(
        replace(after, peaks=before.peaks) for (_, after), before in zip(best, reports, strict=True)
    )


def _batches(samples: NDArray[Any]) -> list[NDArray[Any]]:
    return [samples[start : start + BATCH] for start in range(0, len(samples), BATCH)]
