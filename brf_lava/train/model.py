"""The network a recipe describes, and what is measured of it."""

from __future__ import annotations

import platform
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn

from brf_lava.config.recipe import Recipe
from brf_lava.data.dataset import Split
from brf_lava.errors import BackendUnavailableError, DataError, RecipeError
from brf_lava.export.quantize import growing
from brf_lava.network.activity import FloatActivity
from brf_lava.network.decision import UNLABELED, Decision
from brf_lava.network.layers import RealNetwork
from brf_lava.neurons.families import READOUT
from brf_lava.nn.blocks import Block

EVALUATION_BATCH = 64  # samples at a time; bounds memory, changes no result


class Network(nn.Module):
    """Hidden blocks and a readout in a row.

    inputs, classes: channels in and out. generator: source of the initial values, and of which
    recurrent weights are there. input_scale: what the values of the data are times; see `as_batch`.
    """

    def __init__(
        self,
        recipe: Recipe,
        inputs: int,
        classes: int,
        generator: torch.Generator | None = None,
        input_scale: float = 1.0,
    ) -> None:
        super().__init__()
        self.decision = recipe.decision
        self.loss_steps = recipe.training.loss_steps
        self.input_scale = input_scale
        surrogate = recipe.training.surrogate
        widths = (inputs, *recipe.network.hidden)
        self.hidden = nn.ModuleList(
            Block(
                recipe.record(layer.neuron),
                {**asdict(layer.parameters), "surrogate": surrogate},
                before,
                layer.neurons,
                recurrent=layer.recurrent,
                generator=generator,
            )
            for before, layer in zip(widths[:-1], recipe.layers, strict=True)
        )
        readout = {"tau_mean": recipe.readout.tau_mean, "tau_std": recipe.readout.tau_std}
        self.readout = Block(READOUT, readout, widths[-1], classes, generator=generator)
        for index, block in enumerate((*self.hidden, self.readout)):
            block.truncate = recipe.training.truncate
            if bits := recipe.training.weight_bits:
                scale = 1.0 if index else input_scale  # part of the exported weights, see `to_real`
                block.pre_hook_fx = partial(block.neuron.quantize, bits=bits, scale=scale)
                block.recurrent_pre_hook_fx = partial(block.neuron.quantize, bits=bits)
        if recipe.training.recurrent_density < 1:  # drawn last: the weights stay those of the seed
            for block, layer in zip(self.hidden, recipe.layers, strict=True):
                if layer.recurrent:
                    density = recipe.training.recurrent_density
                    block.recurrent_mask = _random_mask(layer.neurons, density, generator)

    def forward(self, x: Tensor) -> tuple[Tensor, list[Tensor]]:
        """[B, I, T] to (readout [B, C, T], spikes [B, N, T] of each hidden block)."""
        spikes = []
        for block in self.hidden:
            x = block(x)
            spikes.append(x)
        return self.readout(x), spikes

    @property
    def hidden_blocks(self) -> tuple[Block, ...]:
        """The hidden layers, as what they are; torch's ModuleList knows them as modules only."""
        return cast(tuple[Block, ...], tuple(self.hidden))

    def growing_neurons(self) -> int:
        """How many hidden neurons grow without input as trained, as vanilla RF allows."""
        return sum(len(growing(block.to_real())) for block in self.hidden_blocks)

    def loss(self, outputs: Tensor, labels: Tensor) -> Tensor:
        """What training makes small, as the recipe says; see `loss_per_sample`."""
        return loss_per_sample(outputs, labels, self.loss_steps, self.decision.ignore_first)

    def to_real(self) -> RealNetwork:
        """The network as plain arrays, for quantization; its inputs are the data's integers."""
        first, *others = (block.to_real() for block in (*self.hidden, self.readout))
        scaled = replace(first, weights=self.input_scale * first.weights)
        return RealNetwork((scaled, *others))


def _random_mask(neurons: int, density: float, generator: torch.Generator | None) -> Tensor:
    """0/1 [N, N] with ones in a share `density` of all places, to the nearest place."""
    mask = torch.zeros(neurons * neurons)
    kept = round(density * len(mask))
    mask[torch.randperm(len(mask), generator=generator)[:kept]] = 1
    return mask.reshape(neurons, neurons)


@dataclass(frozen=True)
class Metrics:
    """What a network did on one split.

    loss: summed over steps, averaged over samples. accuracy: share of predictions that are right,
    of those that count (see `decision.Decision`).
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


def loss_per_sample(
    outputs: Tensor, labels: Tensor, loss_steps: str = "all", ignore_first: int = 0
) -> Tensor:
    """Negative log-likelihood of the log-softmax, summed over steps, averaged over the batch.

    outputs: [B, C, T]. labels: [B, T], or [B, 1] for every step; `UNLABELED` ones count as 0.
    loss_steps: "all", or "last" for that step alone. ignore_first: steps without loss, of "all".
    """
    if loss_steps == "last":
        outputs, labels = outputs[:, :, -1:], labels[:, -1:]
    else:
        labels = labels.expand(-1, outputs.shape[2])
        if ignore_first:
            outputs, labels = outputs[:, :, ignore_first:], labels[:, ignore_first:]
    summed = nn.functional.cross_entropy(outputs, labels, reduction="sum", ignore_index=UNLABELED)
    return summed / outputs.shape[0]


def require_labels(decision: Decision, split: Split, half: str) -> None:
    """Refuse a half of the data, called so in the message, in which no label counts.

    Raises: DataError.
    """
    if not decision.counted(split.y).any():
        raise DataError(
            f"{half} half: none of its {split.y.size} labels counts; nothing can be learned or "
            "measured. Label it, or lower training.ignore_first."
        )


def check_labels(decision: Decision, split: Split) -> None:
    """Refuse data whose labels these predictions cannot be compared with.

    Raises: RecipeError naming the key to change.
    """
    steps, labels = split.x.shape[1], split.y.shape[1]
    each_step = decision.prediction == "each-step"
    if steps > 1 and each_step != (labels == steps):
        per, choice = ("sample", "last or mean") if each_step else ("step", "each-step")
        raise RecipeError(
            f"readout.prediction: {decision.prediction}, but the data has one label per {per}. "
            f"Choose {choice}."
        )
    if decision.ignore_first >= steps:
        raise RecipeError(
            f"training.ignore_first: {decision.ignore_first} of {steps} steps; at least one must "
            f"count, so {steps - 1} or fewer can be ignored."
        )


def as_batch(
    split: Split, index: Any, device: torch.device, input_scale: float = 1.0
) -> tuple[Tensor, Tensor]:
    """Samples `index` of a split as float [B, I, T] and labels [B, T] or [B, 1] on `device`.

    input_scale: see `data.dataset.Dataset`.
    """
    x = torch.from_numpy(split.x[index]).to(device).to(torch.float32)
    if input_scale != 1:
        x = x * input_scale
    y = torch.from_numpy(split.y[index]).to(device, torch.int64)
    return x.transpose(1, 2), y


def evaluate(model: Network, split: Split, device: torch.device) -> tuple[Metrics, FloatActivity]:
    """Metrics of `model` on `split`, and what it did there sample by sample.

    Raises: RecipeError as `check_labels`.
    """
    check_labels(model.decision, split)
    loss, hits, counted = 0.0, 0, 0
    predictions, sops = [], []
    samples, steps = split.x.shape[:2]
    with torch.no_grad():
        for first in range(0, samples, EVALUATION_BATCH):
            index = slice(first, first + EVALUATION_BATCH)
            x, y = as_batch(split, index, device, model.input_scale)
            outputs, spikes = model(x)
            loss += float(model.loss(outputs, y)) * len(y)
            predicted = model.decision.predict(outputs.permute(2, 0, 1))
            right, of = model.decision.hits(predicted, y)
            hits, counted = hits + right, counted + of
            counts = torch.stack([layer.sum((1, 2), dtype=torch.float64) for layer in spikes])
            sops.append(counts.sum(0).to(torch.int64).cpu().numpy())
            predictions.append(predicted.to(torch.uint8).cpu().numpy())
    activity = FloatActivity(np.concatenate(predictions), np.concatenate(sops))
    metrics = Metrics(
        loss=loss / samples,
        accuracy=hits / counted if counted else 0.0,
        sops_per_sample=float(activity.sops.mean()),
        samples=samples,
        steps=steps,
        device=device_name(device),
    )
    return metrics, activity
