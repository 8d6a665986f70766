"""omega and b_offset of a network's resonators, before and after training."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from brf_lava.analysis.stability import PLANES, StabilityMap, stability_map
from brf_lava.data.dataset import Dataset
from brf_lava.errors import CheckpointError, DataError
from brf_lava.neurons.families import NEURONS, Neuron
from brf_lava.train.checkpoint import Checkpoint
from brf_lava.train.model import Network
from brf_lava.train.trainer import Trainer


@dataclass(frozen=True)
class Resonators:
    """One hidden layer, `layer` of all, from 1. omega [N] rad/s; b_offset [N] 1/s, both as absolute
    values; damping [N] 1/s as the neuron uses it at rest."""

    layer: int
    record: Neuron
    dt: float  # s
    omega: NDArray[np.float64]
    b_offset: NDArray[np.float64]
    damping: NDArray[np.float64]

    @property
    def neuron(self) -> str:
        return self.record.name

    @property
    def plane(self) -> str:
        """The neuron without balance whose equation of motion these have."""
        return (self.record.bare or self.record).name

    @property
    def bare_damping(self) -> NDArray[np.float64]:
        """[N] 1/s: what the damping would be without the boundary in it."""
        bare = self.record.bare or self.record
        damping: NDArray[np.float64] = bare.rule(self.omega, self.b_offset, None)[0]
        return damping


@dataclass(frozen=True)
class Training:
    """The layers after and, where it can be known, before training."""

    after: tuple[Resonators, ...]
    before: tuple[Resonators, ...] | None
    note: str  # where the initial values come from, for the picture


def resonators(network: Network, where: str) -> tuple[Resonators, ...]:
    """The hidden layers of a network that resonate. Raises: CheckpointError when none does.

    where: what to call the network in the message, such as its file.
    """
    layers = []
    for number, block in enumerate(network.hidden_blocks, start=1):
        neuron: Any = block.neuron  # the parameters differ from neuron to neuron
        family = block.neuron.family
        if family.plane is None or (family.bare or family).name not in PLANES:
            continue
        omega, b_offset = (
            parameter.detach().abs().double().cpu().numpy()
            for parameter in (neuron.omega, neuron.b_offset)
        )
        damping = neuron.coefficients().detach().double().cpu().numpy()[0]
        layers.append(Resonators(number, family, neuron.constants.dt, omega, b_offset, damping))
    if not layers:
        having = [name for name, known in NEURONS.items() if known.plane is not None]
        families = dict.fromkeys(block.neuron.family for block in network.hidden_blocks)
        omega = any("omega" in {key.name for key in family.keys} for family in families)
        lack = "no plane of omega and damping in their record" if omega else "no omega"
        raise CheckpointError(
            f"{where}: its hidden neurons are {', '.join(each.name for each in families)}, which "
            f"have {lack}; {', '.join(having)} have. Name another model."
        )
    return tuple(layers)


def maps_around(layers: tuple[Resonators, ...]) -> list[StabilityMap]:
    """A map of stability around the neurons of each plane and step."""
    maps = []
    for plane, dt in dict.fromkeys((layer.plane, layer.dt) for layer in layers):
        there = [layer for layer in layers if (layer.plane, layer.dt) == (plane, dt)]
        omega = np.concatenate([layer.omega for layer in there])
        damping = [array for layer in there for array in (layer.damping, layer.bare_damping)]
        maps.append(stability_map(plane, dt, (omega, np.concatenate(damping))))
    return maps


def initial_network(checkpoint: Checkpoint, dataset: Dataset) -> Network:
    """The network as training began: drawn again by the trainer from recipe and seed.

    dataset: that of the training, since its size decides where in the random numbers the initial
    values begin. Raises: DataError for other data, CheckpointError for an imported model.
    """
    if checkpoint.seed is None:
        raise CheckpointError(
            f"initial values: the model was {checkpoint.origin}; only one trained here has a seed."
        )
    if dataset.source.fingerprint != checkpoint.data.fingerprint:
        raise DataError(
            f"initial values: the model was trained on {checkpoint.data.description}, the data "
            f"here is {dataset.source.description}. Name the same --data."
        )
    # A trainer writes nothing until it runs.
    trainer = Trainer(
        checkpoint.recipe, dataset, checkpoint.seed, torch.device("cpu"), Path("unwritten.pt")
    )
    return trainer.model


def training(checkpoint: Checkpoint, dataset: Dataset | None, where: str) -> Training:
    """Both states of the parameters; without `before` for an imported model.

    dataset: needed for a model with a seed. Raises: as `resonators` and `initial_network`.
    """
    after = resonators(checkpoint.model(), where)
    if checkpoint.seed is None or dataset is None:
        return Training(after, None, f"{checkpoint.origin}: initial values unknown")
    before = resonators(initial_network(checkpoint, dataset), where)
    note = (
        f"initial values drawn again from recipe and seed {checkpoint.seed}; "
        f"trained: epoch {checkpoint.epoch} of {checkpoint.epochs_done}"
    )
    return Training(after, before, note)
