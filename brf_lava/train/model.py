"""The network a recipe describes, and what is measured of it."""

from __future__ import annotations

import logging
import platform
from collections.abc import Sequence
from dataclasses import asdict
from functools import cache
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn

from brf_lava.config.recipe import Recipe
from brf_lava.data.dataset import Split
from brf_lava.errors import BackendUnavailableError, RecipeError
from brf_lava.export.quantize import choose_state_bits, growing, input_range, measure_peaks
from brf_lava.io.memory import free_memory, require_memory, used_memory
from brf_lava.io.world import World
from brf_lava.kernels import cuda
from brf_lava.kernels.cpu import piece_length, threads
from brf_lava.kernels.cuda_check import obstacle
from brf_lava.network.activity import FloatActivity
from brf_lava.network.activity import Metrics as Metrics
from brf_lava.network.decision import UNLABELED, Decision
from brf_lava.network.layers import RealNetwork
from brf_lava.neurons.families import READOUT
from brf_lava.neurons.surrogate import SURROGATES
from brf_lava.nn.blocks import Block
from brf_lava.nn.neurons import nct

LOGGER = logging.getLogger(__name__)
EVALUATION_BATCH = 64  # samples at a time; bounds memory, changes no result
IDLE_GPU = "Notice: the GPU is not used: "
SLOW_GPU = "Notice: the GPU runs a loop, which took others 55 s an epoch of ECG (the CPU: 0.3 s): "
STATE_SAMPLES = 200  # whose states, with headroom, say how many bits they get in training


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
        training = recipe.training
        self.decision = recipe.decision
        self.loss_steps = training.loss_steps
        self.input_scale = input_scale
        shared: dict[str, Any] = {
            "generator": generator,
            "truncate": training.truncate,
            "weight_bits": training.weight_bits,
        }
        self.hidden = nn.ModuleList()
        width, scale = inputs, input_scale  # of the exported weights, see `to_real`
        for layer in recipe.layers:
            params = {**asdict(layer.parameters), "surrogate": training.surrogate}
            own = {"recurrent": layer.recurrent, "input_scale": scale, **shared}
            record = recipe.record(layer.neuron)
            self.hidden.append(Block(record, params, width, layer.neurons, **own))
            width, scale = layer.neurons, 1.0
        readout = {"tau_mean": recipe.readout.tau_mean, "tau_std": recipe.readout.tau_std}
        self.readout = Block(READOUT, readout, width, classes, **shared)
        if training.recurrent_density < 1:  # drawn last: the weights stay those of the seed
            for block in self.hidden_blocks:
                if block.recurrent_weight is not None:
                    mask = torch.zeros_like(block.recurrent_weight.detach()).flatten()
                    kept = round(training.recurrent_density * len(mask))
                    mask[torch.randperm(len(mask), generator=generator)[:kept]] = 1
                    block.recurrent_mask = mask.view_as(block.recurrent_weight)

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

    @property
    def blocks(self) -> tuple[Block, ...]:
        """All layers, the readout last."""
        return (*self.hidden_blocks, self.readout)

    def choose_states(self, split: Split) -> None:
        """Choose the fraction bits of the states as the export does, if training is on integers.

        Raises: ParameterError if the states are too large for any.
        """
        if self.readout.weight_bits:
            x, real = split.first(STATE_SAMPLES).time_major(), self.to_real(rounded=False)
            widths, inputs = self.readout.weight_bits, [max(map(abs, input_range(x)))]
            inputs += [1] * len(self.hidden)
            layers = zip(real.layers, measure_peaks(real, x), inputs, strict=True)
            for block, (layer, peaks, largest) in zip(self.blocks, layers, strict=True):
                block.state_bits.fill_(choose_state_bits(layer, peaks, widths, largest))

    def growing_neurons(self) -> int:
        """How many hidden neurons grow without input as trained, as vanilla RF allows."""
        return sum(len(growing(block.to_real())) for block in self.hidden_blocks)

    def loss(self, outputs: Tensor, labels: Tensor) -> Tensor:
        """What training makes small, as the recipe says; see `loss_per_sample`."""
        return loss_per_sample(outputs, labels, self.loss_steps, self.decision.ignore_first)

    def to_real(self, *, rounded: bool = True) -> RealNetwork:
        """The network as plain arrays, see `Block.to_real`; its inputs are the data's integers."""
        return RealNetwork(tuple(block.to_real(rounded=rounded) for block in self.blocks))


def choose_device(name: str) -> torch.device:
    """ "cpu", "cuda", or "auto": a GPU if its kernel (not run on one yet) runs there, else the CPU.

    Says in one line why the kernel does not run on a GPU that is there.
    Raises: BackendUnavailableError for a device that is not there.
    """
    available = torch.cuda.is_available()
    if name == "cuda" and not available:
        raise BackendUnavailableError(
            "device 'cuda': torch finds no CUDA device here. Choose --device cpu or auto."
        )
    if name == "cpu" or not available:
        return torch.device("cpu")
    why = obstacle(torch.device("cuda"))
    if why is not None:
        _notice((SLOW_GPU if name == "cuda" else IDLE_GPU) + why)
    return torch.device("cpu" if why is not None and name == "auto" else "cuda")


@cache
def _notice(text: str) -> None:
    """Said once, however often a command asks."""
    LOGGER.warning(text)


def forward_together(
    models: Sequence[Network], inputs: Sequence[Tensor]
) -> list[tuple[Tensor, list[Tensor]]]:
    """What each of several networks of one recipe makes of its input: `Network.forward`.

    All of them are one launch of the GPU kernel per layer, and each computes what it would alone.
    """
    if len(models) == 1:
        return [models[0](inputs[0])]
    x, layers = torch.cat([each.permute(2, 0, 1) for each in inputs], 1), []
    for blocks in zip(*(model.blocks for model in models), strict=True):
        neuron, rule = blocks[0].neuron, SURROGATES[blocks[0].neuron.surrogate]
        felt = [(*block.effective_weights(), block.neuron.coefficients()) for block in blocks]
        stacked: list[Any] = [
            torch.stack(parts) if isinstance(parts[0], Tensor) else None
            for parts in zip(*felt, strict=True)
        ]
        options: list[Any] = [neuron.constants, rule, blocks[0].truncate]
        x, _ = cuda.run_layer(neuron.family, x, *stacked, *options)
        layers.append([nct(part) for part in x.chunk(len(models), 1)])
    return [(outputs, list(spikes)) for *spikes, outputs in zip(*layers, strict=True)]


def device_name(device: torch.device) -> str:
    """The device's own name, e.g. a card's or a processor's."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    models = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return models[0] if models else platform.processor() or platform.machine()


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
        labels = labels.expand(-1, outputs.shape[2])[:, ignore_first:]
        outputs = outputs[:, :, ignore_first:]
    summed = nn.functional.cross_entropy(outputs, labels, reduction="sum", ignore_index=UNLABELED)
    return summed / outputs.shape[0]


def training_bytes(
    recipe: Recipe, samples: int, steps: int, inputs: int, classes: int
) -> tuple[int, int, int]:
    """Bytes of a training step that keeps the states of all steps, of one that does not; weights.

    These are inputs, outputs and states of each layer, the gradients of two neighbors, and weights:
    themselves, the best, the averaged ones, two of the optimizer and the gradient, with either all
    but that again in the state that is written, or two copies for the kernel, a sum of each of its
    threads and one of all. A piece has its states, its outputs, and two gradients, twice: what is
    not in use is kept for the next.
    """
    before, weights, outputs, kept, piece, gradients = inputs, 0, 2 * inputs, 0, 0, 0
    for layer in recipe.layers:
        neurons, count = layer.neurons, len(recipe.record(layer.neuron).states)
        weights += neurons * (before + layer.recurrent * neurons)
        outputs += neurons
        kept += steps * neurons * count
        piece = max(piece, 2 * piece_length(steps, samples * neurons) * neurons * (count + 3))
        gradients = max(gradients, neurons + before * (before != inputs))
        before = neurons
    weights += before * classes
    always = samples * steps * (outputs + 2 * classes + max(gradients, before + classes))
    copies = 4 + bool(recipe.training.averaging)
    always += (copies + 1 + max(copies, 3 + threads()[1])) * weights
    return 4 * (always + samples * kept), 4 * (always + samples * piece), weights


def keeps_states(
    recipe: Recipe, samples: int, steps: int, inputs: int, classes: int, memory: int | None = None
) -> bool:
    """Whether a training on the CPU keeps all states for the backward pass, or else repeats them.

    memory: bytes that this process may take in all; None for all that is free.
    Raises: NotEnoughMemoryError for batches that do not fit even so.
    """
    kept, piece, weights = training_bytes(recipe, samples, steps, inputs, classes)
    taken = used_memory()
    free = free_memory() if memory is None else max(0, memory - taken)
    if free is None or kept <= free:
        return True
    least = "" if memory is None else f" or --memory {-(-(taken + piece) // 10**6)}MB"
    what = f"training: batches of {samples} samples, {steps:,} steps, {weights:,} weights"
    remedy = f"Lower training.batch_size, or use fewer hidden neurons{least}"
    require_memory(piece, what, remedy, free)
    return False


def check_labels(decision: Decision, split: Split) -> None:
    """Raises: RecipeError for labels that these predictions cannot be compared with."""
    steps, labels = split.x.shape[1], split.y.shape[1]
    each_step = decision.prediction == "each-step"
    if steps > 1 and each_step != (labels == steps):
        per, choice = ("sample", "last or mean") if each_step else ("step", "each-step")
        given = f"{decision.prediction}, but the data have one label per {per}"
        raise RecipeError(f"readout.prediction: {given}. Choose {choice}.")
    if decision.ignore_first >= steps:
        given = f"{decision.ignore_first} of {steps} steps; at most {steps - 1} can be ignored"
        raise RecipeError(f"training.ignore_first: {given}.")


def as_batch(
    split: Split, index: Any, device: torch.device, input_scale: float = 1.0
) -> tuple[Tensor, Tensor]:
    """Samples `index` of a split as float [B, I, T] and labels [B, T] or [B, 1] on `device`.

    The values lie in memory as the first block wants them, [T, B, I].
    """
    steps_first, scale = split.x[index].swapaxes(0, 1), np.float32(input_scale)
    x = torch.from_numpy(np.multiply(steps_first, scale, dtype=np.float32, order="C")).to(device)
    return x.permute(1, 2, 0), torch.from_numpy(split.y[index]).to(device, torch.int64)


def evaluate(
    model: Network, split: Split, device: torch.device, world: World | None = None
) -> tuple[Metrics, FloatActivity]:
    """Metrics of `model` on `split`, and what it did there. Raises: as `check_labels`.

    world: The processes that share this. The metrics are of all samples, the rest of its own part.
    """
    check_labels(model.decision, split)
    world = world or World()
    totals = np.zeros(4)  # loss, hits, what counted, spikes
    predictions, sops = [np.zeros((0, 1), np.uint8)], [np.zeros(0, np.int64)]  # of few, none is own
    samples, steps = split.x.shape[:2]
    own = world.share(np.arange(samples))
    with torch.no_grad():
        for first in range(0, len(own), EVALUATION_BATCH):
            part = own[first : first + EVALUATION_BATCH]
            index = slice(part[0], part[-1] + 1)
            x, y = as_batch(split, index, device, model.input_scale)
            outputs, spikes = model(x)
            predicted = model.decision.predict(outputs.permute(2, 0, 1))
            loss = float(model.loss(outputs, y)) * len(y)
            totals[:3] += loss, *model.decision.hits(predicted, y)
            counts = torch.stack([layer.sum((1, 2), dtype=torch.float64) for layer in spikes])
            sops.append(counts.sum(0).to(torch.int64).cpu().numpy())
            predictions.append(predicted.to(torch.uint8).cpu().numpy())
    predictions = predictions[1:] or predictions
    activity = FloatActivity(np.concatenate(predictions), np.concatenate(sops))
    totals[3] = activity.sops.sum()
    loss, hits, counted, spikes_of_all = world.add(torch.from_numpy(totals).to(device)).tolist()
    metrics = Metrics(
        loss=loss / samples,
        accuracy=hits / counted if counted else 0.0,
        sops_per_sample=spikes_of_all / samples,
        samples=samples,
        steps=steps,
        device=device_name(device),
    )
    return metrics, activity
