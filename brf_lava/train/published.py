"""Checkpoints of the published reference code, read into ours.

The reference code stores [W_in, W_rec] as one matrix ``hidden.linear.weight``, in some models with
a 0/1 pruning mask. The file names neither the neuron nor the task. Resonators all have the same
parameters: which one it is must be named, or is found by trying which of them solves the task.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from brf_lava.config.recipe import Recipe, override, recipe_for
from brf_lava.config.shipped import names
from brf_lava.data.dataset import Dataset
from brf_lava.errors import CheckpointError, RecipeError
from brf_lava.io.foreign import reading
from brf_lava.io.printable import brief
from brf_lava.neurons.families import DEFAULT, SPIKING
from brf_lava.train.checkpoint import Checkpoint, measured, read_torch_file

WEIGHT, MASK = "hidden.linear.weight", "hidden.linear.mask"
READOUT = {"out.tau_mem": "readout.neuron.tau", "out.linear.weight": "readout.weight"}
TRIAL_SAMPLES = 200  # enough to tell a network that works from one that does not
CHANCES = 1.5  # times the accuracy of guessing: what is below tells nothing
CPU = torch.device("cpu")
IMPORTED = {"seed": None, "epoch": 0, "epochs_done": 0}


def import_published(
    path: str | Path, dataset: Dataset, neuron: str | None = None, recipe: Recipe | None = None
) -> Checkpoint:
    """Read a checkpoint of the published reference code and measure it on the test half.

    Args:
        path: The checkpoint of Higuchi et al. 2024.
        dataset: The data of its task, for PS-MNIST in the checkpoint's order of steps.
        neuron: ``"RF"``, ``"BRF"``, ``"HRF"``, ``"BHRF"`` or ``"ALIF"``; None to find out by
            trying, which the `origin` of the result explains.
        recipe: The source of the constants, which the file does not hold; None for the shipped
            recipe of the task and the neuron.

    Returns:
        The model, as `brf_lava.load_checkpoint` returns it.

    Raises:
        CheckpointError: If the file is not such a checkpoint or does not fit the data.
        RecipeError: If the recipe is for another neuron.
    """
    path = Path(path)
    tensors = _read_tensors(path)
    own = _parameters_in(tensors)
    fitting = [name for name in SPIKING if _parameters(name) == own]
    forced = (
        f"network.hidden=[{tensors[next(iter(own))].numel()}]",
        "network.recurrent=true",
        "training.recurrent_density=1.0",  # what was pruned is 0 in the weights
    )
    if recipe is not None:
        recipe = override(recipe, forced)
        if neuron is not None and neuron.upper() != recipe.neuron_names:
            raise RecipeError(
                f"{recipe.name}: is for neuron {recipe.neuron_names}, not {neuron.upper()}."
            )
        neuron = recipe.neuron_names
    if neuron is None:  # balanced ones first, of those that there are recipes for
        fitting.sort(key=lambda name: SPIKING[name].bare is None)
        known = (name for name in fitting if f"{dataset.task}-{name}".lower() in names("training"))
        recipes = [override(recipe_for(dataset.task, name), forced) for name in known]
    elif neuron.upper() in fitting:
        recipes = [recipe or override(_shipped(dataset.task, neuron.upper()), forced)]
    else:
        raise CheckpointError(
            f"{path}: neuron {neuron!r} was named, but the file has {' and '.join(own)}, which are "
            f"parameters of {', '.join(fitting)}. Leave the neuron out, or name one of these."
        )
    inputs, classes = dataset.train.x.shape[2], len(dataset.classes)
    task = f"a checkpoint for task {dataset.task} ({inputs} inputs, {classes} classes)"
    with reading(path, task, CheckpointError, "Name the task that it was trained for."):
        state_dict = _state_dict(tensors, inputs)
        chosen, how = recipes[0], ""
        if len(recipes) > 1:
            chosen, how = _most_accurate(recipes, state_dict, dataset)
        origin = f"imported from {path.name} as {chosen.neuron_names}{how}"
        return measured(chosen, dataset, state_dict, CPU, **IMPORTED, origin=origin)


def _shipped(task: str, neuron: str) -> Recipe:
    """The shipped recipe; of a neuron that nothing was published of, that of one like it."""
    parameters, known = SPIKING[neuron].parameters, names("training")
    alike = (name for name, each in SPIKING.items() if each.parameters == parameters)
    base = next((n for n in (neuron, *alike) if f"{task}-{n}".lower() in known), neuron)
    recipe = recipe_for(task, base)
    return recipe if base == neuron else override(recipe, [f"network.neuron={neuron}"])


def _parameters(neuron: str) -> dict[str, str]:
    """The names of a hidden neuron's parameters: the reference code's and ours."""
    trained = [each.name for each in SPIKING[neuron].trained]
    return {f"hidden.{name}": f"hidden.0.neuron.{name}" for name in trained}


def _parameters_in(tensors: Iterable[str]) -> dict[str, str]:
    """Those of the neurons whose parameters are among these names."""
    present = set(tensors)
    known = map(_parameters, reversed(SPIKING))
    return next((each for each in known if present & set(each)), _parameters(DEFAULT.name))


def _most_accurate(
    recipes: Sequence[Recipe], state_dict: dict[str, Tensor], dataset: Dataset
) -> tuple[Recipe, str]:
    """The recipe whose neuron does best on the first test samples, and how all did, in words."""
    trial = replace(dataset, test=dataset.test.first(TRIAL_SAMPLES))
    tries = [measured(recipe, trial, state_dict, CPU, **IMPORTED, origin="") for recipe in recipes]
    best = max(tries, key=lambda tried: tried.metrics.accuracy)
    all_tries = ", ".join(f"{t.recipe.neuron_names} {t.metrics.accuracy:.1%}" for t in tries)
    weak = best.metrics.accuracy < CHANCES / len(dataset.classes)
    doubt = "; none is far from chance, so name the neuron if you know it" if weak else ""
    return best.recipe, f", the most accurate on {len(trial.test.x)} samples: {all_tries}{doubt}"


def _state_dict(tensors: dict[str, Tensor], inputs: int) -> dict[str, Tensor]:
    """The file's tensors under our names; pruned weights are 0."""
    weight = tensors[WEIGHT] * tensors.get(MASK, 1)
    renamed = {**_parameters_in(tensors), **READOUT}
    neurons = tensors[next(iter(renamed))].numel()
    if weight.numel() < neurons**2:  # before a network of that size is made
        raise ValueError(f"{WEIGHT} {list(weight.shape)} is not of {neurons} neurons")
    return {
        "hidden.0.weight": weight[:, :inputs].clone(),
        "hidden.0.recurrent_weight": weight[:, inputs:].clone(),
        **{ours: tensors[theirs] for theirs, ours in renamed.items()},
    }


def _read_tensors(path: Path) -> dict[str, Tensor]:
    """All tensors of the file, exactly those that one kind of network has."""
    contents: Any = read_torch_file(path)
    found = contents.get("model_state_dict") if isinstance(contents, dict) else None
    found = found if isinstance(found, dict) else {}
    required = (*_parameters_in(found), WEIGHT, *READOUT, *({MASK} & set(found)))
    missing = [name for name in required if not isinstance(found.get(name), Tensor)]
    unknown = [name for name in found if name not in required]
    if missing or unknown:
        lacks = f" lacks {', '.join(missing)}" if missing else ""
        more = f" has unknown {brief(unknown)}" if unknown else ""
        raise CheckpointError(
            f"{path}: not a published checkpoint of one hidden layer: its 'model_state_dict'"
            f"{' and'.join(filter(None, [lacks, more]))}. Name one, or use the file as it is if "
            "'brf-lava train' or 'brf-lava import' wrote it."
        )
    for name, tensor in found.items():
        with suppress(RuntimeError):  # torch's, of a sparse tensor and others that are not plain
            if tensor.is_contiguous() and bool(torch.isfinite(tensor).all()):
                continue
        raise CheckpointError(f"{path}: {name} holds values that are not finite numbers.")
    return {name: tensor.float() for name, tensor in found.items()}
