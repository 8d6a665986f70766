"""The trained network that a training starts from: a model file, or the integers of an export."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from brf_lava.config.recipe import override
from brf_lava.data.dataset import DataSource
from brf_lava.errors import CheckpointError
from brf_lava.io.files import HDF5, begins
from brf_lava.io.foreign import reading
from brf_lava.network.file import read_network
from brf_lava.train.checkpoint import Checkpoint, load_checkpoint, stored_recipe
from brf_lava.train.model import Metrics, Network
from brf_lava.versions import versions

# What a network has or not, as its recipe says
OPTIONAL = ("recurrent_mask", "state_bits", "unit_share")


def read_start(path: str | Path) -> Checkpoint:
    """Read a trained network to start from: a model file, or a network file of an export.

    Of the latter, the real numbers are taken that its integers stand for.
    Raises: CheckpointError if the file is neither, or does not say how the network was trained;
    NetworkFileError if a network file is damaged.
    """
    path = Path(path)
    if not begins(path, HDF5):
        return load_checkpoint(path)
    fixed, reference = read_network(path)
    about = fixed.provenance
    remedy = "Name a file that 'brf-lava export' or 'brf-lava train' wrote."
    with reading(path, "a file that says how it was trained", CheckpointError, remedy):
        if reference is None:
            raise ValueError("no reference")
        recipe, order = stored_recipe(about, path), about["permutation"]
        sizes = [layer.shape[0] for layer in fixed.layers]
        if [*(layer.neurons for layer in recipe.layers), fixed.classes] != sizes:
            raise ValueError("its recipe is another network's")  # before that is made
        on_integers = override(recipe, ["training.weight_bits=8"])  # so that it keeps the formats
        network = Network(on_integers, fixed.inputs, fixed.classes)  # whose inputs are integers
        for block, layer in zip(network.blocks, fixed.layers, strict=True):
            block.load_fixed(layer)
        return Checkpoint(
            recipe=recipe,
            inputs=fixed.inputs,
            classes=tuple(about["classes"]),
            epochs_done=0,
            data=DataSource(**about["data"]),
            metrics=Metrics(**about["metrics"]),
            activity=reference,
            state_dict=network.state_dict(),
            versions=versions(),
            permutation=None if order is None else np.array(order),
            **{name: about[name] for name in ("seed", "origin", "epoch")},
        )


def take_over(network: Network, start: Checkpoint) -> str:
    """Set the parameters of `network` to the trained ones; a readout of another size stays.

    Returns where they come from, in words. Raises: CheckpointError if the hidden layers do not fit.
    """
    values, wanted = dict(start.state_dict), network.state_dict()
    has, needs = (
        {name: "x".join(map(str, value.shape)) for name, value in each.items()}
        for each in (values, wanted)
    )
    for name in {**has, **needs}:
        given, needed = has.get(name, "not there"), needs.get(name, "not there")
        if given != needed and name.startswith("hidden") and not name.endswith(OPTIONAL):
            raise CheckpointError(
                f"--from: {name} is {given}, and {needed} in the network to be trained. Keep the "
                "hidden layers and a task with as many inputs, or leave out --from."
            )
        if name.endswith("recurrent_mask") and name in values:
            weight = name.replace("mask", "weight")
            values[weight] = values[weight] * values[name]
    first = "hidden.0.weight"
    values[first] = values[first] * (start.input_scale / network.input_scale)
    kept = has["readout.weight"] == needs["readout.weight"]
    taken = (name for name in wanted if name in values and (kept or name.startswith("hidden")))
    network.load_state_dict({name: values[name] for name in taken}, strict=False)
    return (
        f"trained from a network for task {start.recipe.task}, seed {start.seed}, accuracy "
        f"{start.metrics.accuracy:.2%}, fingerprint {start.fingerprint}"
        f"{'' if kept else ', with a new readout'}"
    )
