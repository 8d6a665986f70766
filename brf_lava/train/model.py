"""The network a recipe describes, and what is measured of it."""

from __future__ import annotations

import platform
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from brf_lava.errors import BackendUnavailableError
from brf_lava.export.network import FloatActivity, RealNetwork
from brf_lava.recipes import Recipe
from brf_lava.slayer.blocks import Block
from brf_lava.tasks.task import Split

EVALUATION_BATCH = 64  # samples at a time; bounds memory, changes no result


class Network(nn.Module):
    """Hidden blocks and a readout in a row.

    inputs, classes: channels in and out. generator: source of the initial values.
    """

    def __init__(
        self, recipe: Recipe, inputs: int, classes: int, generator: torch.Generator | None = None
    ) -> None:
        super().__init__()
        neuron_params = {**asdict(recipe.neuron), "surrogate": recipe.training.surrogate}
        widths = (inputs, *recipe.network.hidden)
        self.hidden = nn.ModuleList(
            Block(
                recipe.network.neuron,
                neuron_params,
                widths[index],
                widths[index + 1],
                recurrent=recipe.network.recurrent,
                generator=generator,
            )
            for index in range(len(widths) - 1)
        )
        self.readout = Block("LI", asdict(recipe.readout), widths[-1], classes, generator=generator)

    def forward(self, x: Tensor) -> tuple[Tensor, list[Tensor]]:
        """[B, I, T] to (readout [B, C, T], spikes [B, N, T] of each hidden block)."""
        spikes = []
        for block in self.hidden:
            x = block(x)
            spikes.append(x)
        return self.readout(x), spikes

    def to_real(self) -> RealNetwork:
        """The network as plain arrays, for quantization."""
        blocks = [*self.hidden, self.readout]
        return RealNetwork(tuple(block.to_real() for block in blocks))


@dataclass(frozen=True)
class Metrics:
    """What a network did on one split.

    loss: summed over steps, averaged over samples. accuracy: share of steps classified correctly.
    sops_per_sample: spikes of all hidden neurons per sample, the paper's SOP.
    device: where it was measured, by the device's own name.
    """

    loss: float
    accuracy: float
    sops_per_sample: float
    samples: int
    steps: int
    device: str

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def choose_device(name: str) -> torch.device:
    """ "auto", "cpu" or "cuda". Raises: BackendUnavailableError for a device that is not there."""
    available = torch.cuda.is_available()
    if name == "auto":
        return torch.device("cuda" if available else "cpu")
    if name == "cuda" and not available:
        raise BackendUnavailableError(
            "device 'cuda': torch finds no CUDA device here. Choose --device cpu or auto."
        )
    return torch.device(name)


def device_name(device: torch.device) -> str:
    """The device's own name, e.g. a card's or a processor's."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        for line in cpuinfo.read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()


def loss_per_sample(outputs: Tensor, labels: Tensor) -> Tensor:
    """Negative log-likelihood of the log-softmax, summed over steps, averaged over the batch.

    outputs: [B, C, T], labels: [B, T].
    """
    summed = nn.functional.cross_entropy(outputs, labels, reduction="sum")
    return summed / outputs.shape[0]


def as_batch(split: Split, index: Any, device: torch.device) -> tuple[Tensor, Tensor]:
    """Samples `index` of a split as float [B, I, T] and labels [B, T] on `device`."""
    x = torch.from_numpy(split.x[index]).to(device, torch.float32)
    y = torch.from_numpy(split.y[index]).to(device, torch.int64)
    return x.transpose(1, 2), y


def evaluate(model: Network, split: Split, device: torch.device) -> tuple[Metrics, FloatActivity]:
    """Metrics of `model` on `split`, and what it did there sample by sample."""
    loss, hits = 0.0, 0
    predictions, sops = [], []
    samples, steps = split.y.shape
    with torch.no_grad():
        for first in range(0, samples, EVALUATION_BATCH):
            x, y = as_batch(split, slice(first, first + EVALUATION_BATCH), device)
            outputs, spikes = model(x)
            predicted = outputs.argmax(1)
            loss += float(loss_per_sample(outputs, y)) * len(y)
            hits += int((predicted == y).sum())
            counts = torch.stack([layer.sum((1, 2), dtype=torch.float64) for layer in spikes])
            sops.append(counts.sum(0).to(torch.int64).cpu().numpy())
            predictions.append(predicted.to(torch.uint8).cpu().numpy())
    activity = FloatActivity(np.concatenate(predictions), np.concatenate(sops))
    metrics = Metrics(
        loss=loss / samples,
        accuracy=hits / (samples * steps),
        sops_per_sample=float(activity.sops.mean()),
        samples=samples,
        steps=steps,
        device=device_name(device),
    )
    return metrics, activity
