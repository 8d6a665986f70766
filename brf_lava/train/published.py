"""Checkpoints of the published reference code, read into ours.

The reference code stores [W_in, W_rec] as one matrix ``hidden.linear.weight``, in some models with
a 0/1 pruning mask of the same shape.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from brf_lava.errors import CheckpointError
from brf_lava.recipes import Recipe, override
from brf_lava.tasks.task import Dataset
from brf_lava.train.checkpoint import Checkpoint, read_torch_file
from brf_lava.train.model import Network, choose_device, evaluate
from brf_lava.versions import versions

REQUIRED = (
    "hidden.omega",
    "hidden.b_offset",
    "hidden.linear.weight",
    "out.tau_mem",
    "out.linear.weight",
)
OPTIONAL = ("hidden.linear.mask",)


def import_published(path: Path, recipe: Recipe, dataset: Dataset) -> Checkpoint:
    """Read a published BRF checkpoint and measure it on the test split of `dataset`.

    recipe: gives the constants dt, theta and gamma, which the file does not hold.
    Raises: CheckpointError saying what was expected and found.
    """
    tensors = _read_tensors(path)
    inputs, classes = dataset.train.x.shape[2], len(dataset.classes)
    neurons = len(tensors["hidden.omega"])
    shapes = {
        "hidden.omega": (neurons,),
        "hidden.b_offset": (neurons,),
        "hidden.linear.weight": (neurons, inputs + neurons),
        "hidden.linear.mask": (neurons, inputs + neurons),
        "out.tau_mem": (classes,),
        "out.linear.weight": (classes, neurons),
    }
    for name, tensor in tensors.items():
        if tuple(tensor.shape) != shapes[name]:
            raise CheckpointError(
                f"{path}: {name} has shape {list(tensor.shape)}, expected {list(shapes[name])} for "
                f"task {dataset.task} ({inputs} inputs, {classes} classes) with {neurons} neurons."
            )
        if not bool(torch.isfinite(tensor).all()):
            raise CheckpointError(f"{path}: {name} holds values that are not finite numbers.")

    weight = tensors["hidden.linear.weight"]
    if "hidden.linear.mask" in tensors:
        weight = weight * tensors["hidden.linear.mask"]
    state_dict = {
        "hidden.0.weight": weight[:, :inputs].clone(),
        "hidden.0.recurrent_weight": weight[:, inputs:].clone(),
        "hidden.0.neuron.omega": tensors["hidden.omega"],
        "hidden.0.neuron.b_offset": tensors["hidden.b_offset"],
        "readout.weight": tensors["out.linear.weight"],
        "readout.neuron.tau": tensors["out.tau_mem"],
    }
    if list(recipe.network.hidden) != [neurons]:
        recipe = override(recipe, [f"network.hidden=[{neurons}]"])
    model = Network(recipe, inputs, classes)
    model.load_state_dict(state_dict)
    metrics, activity = evaluate(model, dataset.test, choose_device("cpu"))
    return Checkpoint(
        recipe=recipe,
        seed=None,
        origin=f"imported from {path.name}",
        inputs=inputs,
        classes=dataset.classes,
        epoch=0,
        epochs_done=0,
        data=dataset.source,
        metrics=metrics,
        activity=activity,
        state_dict=state_dict,
        versions=versions(),
    )


def _read_tensors(path: Path) -> dict[str, Tensor]:
    contents: Any = read_torch_file(path)
    found = contents.get("model_state_dict") if isinstance(contents, dict) else None
    expected = f"expected 'model_state_dict' with {', '.join(REQUIRED)}"
    if not isinstance(found, dict):
        keys = (
            ", ".join(map(str, contents)) if isinstance(contents, dict) else type(contents).__name__
        )
        raise CheckpointError(f"{path}: not a published checkpoint: {expected}; found {keys}.")
    missing = [name for name in REQUIRED if not isinstance(found.get(name), Tensor)]
    unknown = [name for name in found if name not in REQUIRED + OPTIONAL]
    if missing or unknown:
        kind = " (an ALIF network)" if "hidden.tau_adp" in found else ""
        raise CheckpointError(
            f"{path}: not a BRF checkpoint: {expected}; missing {', '.join(missing) or 'nothing'}, "
            f"unknown {', '.join(map(str, unknown)) or 'nothing'}{kind}."
        )
    return {name: tensor.float() for name, tensor in found.items()}
