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
from brf_lava.network.layers import FixedLayer
from brf_lava.train.checkpoint import load_checkpoint, stored_recipe
from brf_lava.train.model import Network


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
    values: dict[str, Tensor] | tuple[FixedLayer, ...]  # a state of `Network`, or integers

    def load_into(self, network: Network) -> str:
        """Set the parameters of `network`. A readout of another size stays as it is.

        Returns: The `origin`, and whether the readout was kept. Raises: CheckpointError if the
        hidden layers do not fit.
        """
        values, wanted = self._values(network), network.state_dict()
        for name in (name for name in {**values, **wanted} if name.startswith("hidden")):
            given, needed = (
                "x".join(map(str, each[name].shape)) if name in each else "not there"
                for each in (values, wanted)
            )
            if given != needed and not name.endswith(("_mask", "state_bits")):
                raise CheckpointError(
                    f"{self.path}: {name} is {given}, and {needed} in the network to be trained. "
                    "Keep the hidden layers and a task with as many inputs, or leave out --from."
                )
        kept = values["readout.weight"].shape == wanted["readout.weight"].shape
        for name, value in wanted.items():
            if name in values and (kept or name.startswith("hidden")):
                value.copy_(values[name])
        return self.origin if kept else f"{self.origin}, with a new readout"

    def _values(self, network: Network) -> dict[str, Tensor]:
        """The state of a network; pruned weights are 0."""
        if isinstance(self.values, dict):
            values = dict(self.values)
        else:
            sizes = self.values[0].shape[1], self.values[-1].shape[0]
            twin = Network(self.recipe, *sizes, input_scale=network.input_scale)
            for block, layer in zip(twin.blocks, self.values, strict=True):
                block.load_fixed(layer)
            values = twin.state_dict()
        for name in [name for name in values if name.endswith("recurrent_mask")]:
            weight = name.replace("mask", "weight")
            values[weight] = values[weight] * values[name]
        return values


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
    values: dict[str, Tensor] | tuple[FixedLayer, ...]
    if h5py.is_hdf5(path):
        network, _ = read_network(path)
        about = network.provenance
        if not {"recipe", "seed", "permutation", "metrics"} <= about.keys():
            raise CheckpointError(
                f"{path}: its provenance has no recipe, so that it cannot be trained. Name a file "
                "that 'brf-lava export' or 'brf-lava train' wrote."
            )
        recipe, seed, accuracy = (
            stored_recipe(about, path),
            about["seed"],
            about["metrics"]["accuracy"],
        )
        order = about["permutation"]
        permutation = None if order is None else np.array(order)
        values = network.layers
    else:
        model = load_checkpoint(path)
        recipe, seed, values = model.recipe, model.seed, model.state_dict
        permutation, accuracy = model.permutation, model.metrics.accuracy
    origin = (
        f"trained from {path.name}: task {recipe.task}, seed {seed}, accuracy {accuracy:.2%}, "
        f"SHA-256 {hashlib.sha256(path.read_bytes()).hexdigest()}"
    )
    return Start(path, recipe, seed, permutation, origin, values)
