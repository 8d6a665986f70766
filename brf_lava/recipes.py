"""Recipes: all that a training run depends on, in one TOML text.

The shipped ones are in the folder `training`, one per task and neuron. A recipe states everything:
no key has a default, an unknown key is refused. Its text goes into the checkpoint and from there
into the network file.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any

from brf_lava import strict_toml
from brf_lava.errors import RecipeError
from brf_lava.neurons.families import NEURONS
from brf_lava.neurons.surrogate import SURROGATES
from brf_lava.resources import read_named
from brf_lava.strict_toml import Interval, choice, flag, real, span, whole, wholes

TASKS = ("ecg",)  # those of brf_lava.tasks, whose import would load NumPy; a test compares them
OPTIMIZERS = ("adam", "radam", "rmsprop")
LOSSES = ("nll",)
SCHEDULES = ("linear", "constant")


POSITIVE = Interval(above=0)
NOT_NEGATIVE = Interval(low=0)
FRACTION = Interval(low=0, below=1)


@dataclass(frozen=True)
class NetworkRecipe:
    """The shape of the network; inputs and classes are the task's."""

    hidden: Annotated[tuple[int, ...], wholes(1)]  # neurons of each hidden layer
    neuron: Annotated[str, choice(name for name, neuron in NEURONS.items() if neuron.spiking)]
    recurrent: Annotated[bool, flag()]  # hidden layers feed back to themselves


@dataclass(frozen=True)
class NeuronRecipe:
    """Constants of the hidden neurons, and the ranges their parameters are drawn from uniformly."""

    dt: Annotated[float, real(POSITIVE)]  # step, s
    theta: Annotated[float, real(POSITIVE)]  # threshold
    gamma: Annotated[float, real(FRACTION)]  # per step
    omega: Annotated[tuple[float, float], span(NOT_NEGATIVE)]  # rad/s
    b_offset: Annotated[tuple[float, float], span(NOT_NEGATIVE)]  # 1/s


@dataclass(frozen=True)
class ReadoutRecipe:
    """The normal distribution that the readout's time constants are drawn from, in steps."""

    tau_mean: Annotated[float, real(POSITIVE)]
    tau_std: Annotated[float, real(NOT_NEGATIVE)]


@dataclass(frozen=True)
class TrainingRecipe:
    """How the network is trained."""

    optimizer: Annotated[str, choice(OPTIMIZERS)]
    learning_rate: Annotated[float, real(Interval(above=0, below=1e3))]
    batch_size: Annotated[int, whole(1)]
    epochs: Annotated[int, whole(1)]
    loss: Annotated[str, choice(LOSSES)]  # nll: of the class at every step, summed over steps
    validation: Annotated[int, whole(1)]  # samples held out of the training half
    surrogate: Annotated[str, choice(SURROGATES)]
    schedule: Annotated[str, choice(SCHEDULES)]  # linear: learning rate times 1 - epoch / epochs


@dataclass(frozen=True)
class Recipe:
    """One experiment. Made by `parse_recipe`, `load_recipe` or `override`, which check it.

    text: exactly the TOML in use. name: where it came from. Neither counts in a comparison.
    """

    task: Annotated[str, choice(TASKS)]
    network: NetworkRecipe
    neuron: NeuronRecipe
    readout: ReadoutRecipe
    training: TrainingRecipe
    text: str = field(default="", compare=False, repr=False)
    name: str = field(default="", compare=False)


def parse_recipe(text: str, where: str) -> Recipe:
    """A recipe from its TOML text.

    where: what to call it in messages, such as its path.
    Raises: RecipeError for a syntax error (with its line), a key that is unknown or missing, and a
    value that is of the wrong type or out of range.
    """
    return _build(strict_toml.read_table(text, where, RecipeError), text, where)


def _build(table: dict[str, Any], text: str, where: str) -> Recipe:
    recipe = strict_toml.build(Recipe, table, where, RecipeError)
    dt, omega = recipe.neuron.dt, recipe.neuron.omega[1]
    if not dt * omega < 1:  # beyond it `neurons.boundary` has no stable damping to offer
        raise RecipeError(
            f"{where}: neuron.omega: up to {omega:g} rad/s; dt*omega must stay below 1 "
            f"(dt = {dt:g}, so omega < {1 / dt:g}). Lower omega or dt."
        )
    return replace(recipe, text=text, name=where)


def load_recipe(name_or_path: str | Path) -> Recipe:
    """The recipe in a .toml file, or a shipped one by its name, such as ``ecg-brf``.

    Raises: RecipeError when there is none, with the nearest name, and as `parse_recipe`.
    """
    return parse_recipe(read_named("training", name_or_path, RecipeError), str(name_or_path))


def recipe_for(task: str, neuron: str = "brf") -> Recipe:
    """The shipped recipe for a task and a neuron. Raises: RecipeError listing those there are."""
    return load_recipe(f"{task}-{neuron}".lower())


def override(recipe: Recipe, changes: Sequence[str]) -> Recipe:
    """A recipe with some values changed, as by ``--set key=value``; `recipe` is untouched.

    changes: ``training.epochs=30`` or, as only one section has that key, ``epochs=30``; the value
    is TOML, and a bare word is a string. The new text names the base recipe and what was changed.
    Raises: RecipeError for a change that is malformed, an unknown key and a refused value.
    """
    table = strict_toml.read_table(strict_toml.write_table(recipe), recipe.name, RecipeError)
    applied: dict[str, str] = {}
    for change in changes:
        name, value = _parse_change(change)
        applied[name] = f"{name}={strict_toml.shown(value)}"
        section, _, key = name.rpartition(".")
        (table[section] if section else table)[key] = value
    changed = _build(table, "", "--set")
    if changed == recipe:
        return recipe
    name = f"{recipe.name} with {', '.join(applied.values())}"
    comment = "".join(letter if letter.isprintable() else "?" for letter in name)
    return replace(changed, name=name, text=f"# {comment}\n{strict_toml.write_table(changed)}")


def _parse_change(change: str) -> tuple[str, Any]:
    """``key=value`` as the dotted key and the value."""
    change = " ".join(change.split())  # a message is one line
    key, equals, source = (part.strip() for part in change.partition("="))
    if not equals or not key or not source:
        raise RecipeError(f"--set {change}: not of the form key=value, such as epochs=30.")
    known = strict_toml.leaves(Recipe)
    found = [key] if key in known else [name for name in known if name.endswith(f".{key}")]
    if not found:
        raise RecipeError(f"--set {change}: no such key. {strict_toml.nearest(key, known)}")
    if len(found) > 1:
        raise RecipeError(f"--set {change}: {' and '.join(found)} are meant; write one in full.")
    try:
        return found[0], strict_toml.parse_value(source)
    except ValueError as error:
        raise RecipeError(
            f"--set {change}: {source} is not a TOML value ({error}). "
            "Write a number, true or false, a word, or a list such as [3, 5]."
        ) from None
