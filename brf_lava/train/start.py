"""The trained network that a training starts from: a model file, or the integers of an export."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from brf_lava.config.recipe import Recipe
from brf_lava.errors import CheckpointError
from brf_lava.network.file import read_network
from brf_lava.train.checkpoint import load_checkpoint, stored_recipe
from brf_lava.train.model import Network

OPTIONAL = ("recurrent_mask", "state_bits")  # what a network has or not, as its recipe says


@dataclass(frozen=True)
class Start:
    """What a training takes over from a trained network: all that is trained, and no history.

    Made by `read_start`, for `trainer.Trainer`.
    """

    path: Path
    recipe: Recipe  # as it was trained
    seed: int | None  # None where it was imported
    permutation: NDArray[np.int64] | None  # [T], the order of steps that it was trained with
    origin: str  # the file, its SHA-256, and the task, seed and accuracy of the network, in words
    values: dict[str, Tensor]  # of `Network.state_dict`; pruned weights are 0
    of_integers: bool  # the first weights are for the data's integers, not for `input_scale` times

    def load_into(self, network: Network) -> str:
        """Set the parameters of `network`; a readout of another size stays as it is.

        Returns the `origin` and whether the readout stayed. Raises: CheckpointError if the hidden
        layers do not fit.
        """
        values, wanted = dict(self.values), network.state_dict()
        for name in {**values, **wanted}:
            given, needed = (
                "x".join(map(str, each[name].shape)) if name in each else "not there"
                for each in (values, wanted)
            )
            if given != needed and not name.startswith("readout") and not name.endswith(OPTIONAL):
                raise CheckpointError(
                    f"{self.path}: {name} is {given}, and {needed} in the network to be trained. "
                    "Keep the hidden layers and a task with as many inputs, or leave out --from."
                )
        if self.of_integers:
            values["hidden.0.weight"] = values["hidden.0.weight"] / network.input_scale
        kept = values["readout.weight"].shape == wanted["readout.weight"].shape
        for name, value in wanted.items():
            if name in values and (kept or not name.startswith("readout")):
                value.copy_(values[name])
        return self.origin if kept else f"{self.origin}, with a new readout"


def read_start(path: str | Path) -> Start:
    """Read a trained network to start from.

    Args:
        path: A model file, or a network file of ``brf-lava export``, of which the real numbers are
            taken that its integers stand for.

    Raises:
        CheckpointError: If the file is neither, or does not say how the network was trained.
        NetworkFileError: If a network file is damaged.
    """
    path = Path(path)
    of_integers = h5py.is_hdf5(path)
    if of_integers:
        fixed, _ = read_network(path)
        about = fixed.provenance
        if not {"recipe", "seed", "permutation", "metrics"} <= about.keys():
            raise CheckpointError(
                f"{path}: its provenance does not say how it was trained. Name a file that "
                "'brf-lava export' or 'brf-lava train' wrote."
            )
        recipe, seed, order = stored_recipe(about, path), about["seed"], about["permutation"]
        permutation = None if order is None else np.array(order)
        accuracy = about["metrics"]["accuracy"]
        network = Network(recipe, fixed.inputs, fixed.classes)
        for block, layer in zip(network.blocks, fixed.layers, strict=True):
            block.load_fixed(layer)
    else:
        model = load_checkpoint(path)
        recipe, seed, permutation = model.recipe, model.seed, model.permutation
        accuracy, network = model.metrics.accuracy, model.model()
    values = network.state_dict()
    for name in [name for name in values if name.endswith("recurrent_mask")]:
        values[name.replace("mask", "weight")] *= values[name]
    origin = (
        f"trained from {path.name}: task {recipe.task}, seed {seed}, accuracy {accuracy:.2%}, "
        f"SHA-256 {hashlib.sha256(path.read_bytes()).hexdigest()}"
    )
    return Start(path, recipe, seed, permutation, origin, values, of_integers)
