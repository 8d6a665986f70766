"""Checkpoints of the published reference code, read into ours.

The reference code stores [W_in, W_rec] as one matrix ``hidden.linear.weight``, in some models with
a 0/1 pruning mask of the same shape. The file names neither the neuron nor the task. Its
parameters tell the kind of neuron; the resonators all have the same ones, so that the neuron has to
be named, or is found by trying which of them solves the task.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from brf_lava.config.recipe import Recipe, override, recipe_for
from brf_lava.config.shipped import names
from brf_lava.data.dataset import Dataset
from brf_lava.errors import CheckpointError, ParameterError, RecipeError
from brf_lava.neurons.families import DEFAULT, SPIKING, Neuron
from brf_lava.train.checkpoint import Checkpoint, read_torch_file
from brf_lava.train.model import Network, choose_device, evaluate
from brf_lava.versions import versions

READOUT = ("out.tau_mem", "out.linear.weight")
WEIGHT, MASK = "hidden.linear.weight", "hidden.linear.mask"
TRIAL_SAMPLES = 200  # enough to tell a network that works from one that does not
CHANCES = 1.5  # times the accuracy of guessing: what is below tells nothing


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
    if recipe is not None:
        if isinstance(recipe.neuron, tuple) or isinstance(recipe.network.neuron, tuple):
            raise RecipeError(
                f"{recipe.name}: has a neuron for each layer, but a published checkpoint has one "
                "hidden layer. Name a recipe with one network.neuron and one [neuron]."
            )
        if neuron is not None and neuron.upper() != recipe.neuron_names:
            raise RecipeError(
                f"{recipe.name}: is for neuron {recipe.neuron_names}, not {neuron.upper()}. Name "
                "another recipe, or no neuron."
            )
        neuron = recipe.neuron_names
    candidates = _candidates(path, tensors, neuron)
    _check_shapes(path, tensors, dataset)
    state_dict = _state_dict(tensors, dataset.train.x.shape[2])
    forced = (
        f"network.hidden=[{len(tensors[READOUT[1]][0])}]",
        "network.recurrent=true",
        "training.recurrent_density=1.0",  # what was pruned is 0 in the weights
    )
    recipes = [override(recipe or _shipped(dataset.task, name), forced) for name in candidates]
    chosen, how = recipes[0], ""
    try:
        if len(recipes) > 1:
            chosen, how = _most_accurate(recipes, state_dict, dataset)
        model = _model(chosen, state_dict, dataset)
        metrics, activity = evaluate(model, dataset.test, choose_device("cpu"))
    except ParameterError as error:
        raise CheckpointError(f"{path}: {error}") from error
    return Checkpoint(
        recipe=chosen,
        seed=None,
        origin=f"imported from {path.name} as {chosen.neuron_names}{how}",
        inputs=dataset.train.x.shape[2],
        classes=dataset.classes,
        epoch=0,
        epochs_done=0,
        data=dataset.source,
        metrics=metrics,
        activity=activity,
        state_dict=state_dict,
        versions=versions(),
        input_scale=dataset.input_scale,
        permutation=dataset.permutation,
    )


def _own(neuron: Neuron) -> dict[str, str]:
    """The names of a hidden neuron's parameters: the reference code's and ours."""
    return {f"hidden.{trained.name}": trained.name for trained in neuron.trained}


def _own_in(tensors: Iterable[str]) -> dict[str, str]:
    """Those of the neurons whose parameters are among these names."""
    there = set(tensors)
    known = (_own(neuron) for neuron in reversed(SPIKING.values()))
    return next((own for own in known if there & set(own)), _own(DEFAULT))


def _candidates(path: Path, tensors: dict[str, Tensor], neuron: str | None) -> tuple[str, ...]:
    """Which neurons the file may hold, of all or of the one that was named; balanced ones first."""
    own = _own_in(tensors)
    fitting = [name for name, each in SPIKING.items() if _own(each) == own]
    if neuron is None:
        published = filter(_is_published, fitting)
        return tuple(sorted(published, key=lambda name: SPIKING[name].bare is None))
    if neuron.upper() not in SPIKING:
        raise CheckpointError(
            f"{path}: neuron {neuron!r} was named; choose one of {', '.join(SPIKING)}, or leave it "
            "out."
        )
    if neuron.upper() not in fitting:
        raise CheckpointError(
            f"{path}: neuron {neuron.upper()} was named, but the file has {' and '.join(own)}, "
            f"which are parameters of {', '.join(fitting)}. Leave the neuron out, or name another."
        )
    return (neuron.upper(),)


def _is_published(neuron: str) -> bool:
    """Whether there are published networks of it, hence recipes."""
    return any(name.endswith(f"-{neuron.lower()}") for name in names("training"))


def _shipped(task: str, neuron: str) -> Recipe:
    """The shipped recipe; of a neuron that nothing was published of, that of one like it."""
    if _is_published(neuron):
        return recipe_for(task, neuron)
    parameters = SPIKING[neuron].parameters
    alike = (name for name, each in SPIKING.items() if each.parameters == parameters)
    base = next(name for name in alike if _is_published(name))
    return override(recipe_for(task, base), [f"network.neuron={neuron}"])


def _most_accurate(
    recipes: Sequence[Recipe], state_dict: dict[str, Tensor], dataset: Dataset
) -> tuple[Recipe, str]:
    """The recipe whose neuron does best on the first test samples, and how all did, in words."""
    trial, device = dataset.test.first(TRIAL_SAMPLES), choose_device("cpu")
    accuracies = [
        evaluate(_model(recipe, state_dict, dataset), trial, device)[0].accuracy
        for recipe in recipes
    ]
    best = max(range(len(recipes)), key=accuracies.__getitem__)
    tried = ", ".join(
        f"{recipe.neuron_names} {accuracy:.1%}"
        for recipe, accuracy in zip(recipes, accuracies, strict=True)
    )
    weak = accuracies[best] < CHANCES / len(dataset.classes)
    doubt = "; none is far from chance, so name the neuron if you know it" if weak else ""
    return recipes[best], f", the most accurate on {len(trial.x)} samples: {tried}{doubt}"


def _model(recipe: Recipe, state_dict: dict[str, Tensor], dataset: Dataset) -> Network:
    inputs, classes = dataset.train.x.shape[2], len(dataset.classes)
    model = Network(recipe, inputs, classes, input_scale=dataset.input_scale)
    model.load_state_dict(state_dict)
    return model


def _state_dict(tensors: dict[str, Tensor], inputs: int) -> dict[str, Tensor]:
    """The file's tensors under our names; pruned weights are 0."""
    weight = tensors[WEIGHT] * tensors[MASK] if MASK in tensors else tensors[WEIGHT]
    named = _own_in(tensors)
    return {
        "hidden.0.weight": weight[:, :inputs].clone(),
        "hidden.0.recurrent_weight": weight[:, inputs:].clone(),
        **{f"hidden.0.neuron.{ours}": tensors[theirs] for theirs, ours in named.items()},
        "readout.weight": tensors["out.linear.weight"],
        "readout.neuron.tau": tensors["out.tau_mem"],
    }


def _check_shapes(path: Path, tensors: dict[str, Tensor], dataset: Dataset) -> None:
    inputs, classes = dataset.train.x.shape[2], len(dataset.classes)
    own = _own_in(tensors)
    neurons = tensors[next(iter(own))].numel()
    shapes = {
        **dict.fromkeys(own, (neurons,)),
        **dict.fromkeys((WEIGHT, MASK), (neurons, inputs + neurons)),
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


def _read_tensors(path: Path) -> dict[str, Tensor]:
    """All tensors of the file, exactly those that one kind of network has."""
    contents: Any = read_torch_file(path)
    found = contents.get("model_state_dict") if isinstance(contents, dict) else None
    required = (*_own_in(found if isinstance(found, dict) else ()), WEIGHT, *READOUT)
    expected = f"expected 'model_state_dict' with {', '.join(required)}"
    if not isinstance(found, dict):
        keys = (
            ", ".join(map(str, contents)) if isinstance(contents, dict) else type(contents).__name__
        )
        raise CheckpointError(f"{path}: not a published checkpoint: {expected}; found {keys}.")
    missing = [name for name in required if not isinstance(found.get(name), Tensor)]
    unknown = [name for name in found if name not in (*required, MASK)]
    if missing or unknown:
        raise CheckpointError(
            f"{path}: not a published checkpoint of one hidden layer: {expected}; missing "
            f"{', '.join(missing) or 'nothing'}, unknown "
            f"{', '.join(map(str, unknown)) or 'nothing'}."
        )
    return {name: tensor.float() for name, tensor in found.items()}
