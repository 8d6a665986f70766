"""Recipes: all that a training run depends on, in one TOML text.

The shipped ones are in the folder `training`, one per task and neuron. A recipe states everything:
no key has a default, an unknown key is refused, and the keys of ``[neuron]`` are those of the very
neuron the network has. Its text goes into the checkpoint and from there into the network file.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any

from brf_lava import strict_toml
from brf_lava.decision import PREDICTIONS, Decision
from brf_lava.errors import RecipeError
from brf_lava.neurons.surrogate import SURROGATES
from brf_lava.resources import read_named
from brf_lava.strict_toml import (
    Interval,
    Variant,
    choice,
    choice_or_file,
    flag,
    real,
    span,
    whole,
    wholes,
)

# those of brf_lava.tasks, whose import would load NumPy; a test compares them
TASKS = ("ecg", "smnist", "psmnist", "shd")
OPTIMIZERS = ("adam", "radam", "rmsprop", "sgd")
LOSSES = ("nll", "cross-entropy")
LOSS_STEPS = ("all", "last")
SCHEDULES = ("linear", "constant")


POSITIVE = Interval(above=0)
NOT_NEGATIVE = Interval(low=0)
FRACTION = Interval(low=0, below=1)
SHARE = Interval(low=0, high=1)


@dataclass(frozen=True)
class ResonatorRecipe:
    """RF and HRF: constants, and the ranges their parameters are drawn from uniformly."""

    dt: Annotated[float, real(POSITIVE)]  # step, s
    theta: Annotated[float, real(POSITIVE)]  # threshold
    omega: Annotated[tuple[float, float], span(NOT_NEGATIVE)]  # rad/s
    b_offset: Annotated[tuple[float, float], span(NOT_NEGATIVE)]  # 1/s


@dataclass(frozen=True)
class BalancedRecipe(ResonatorRecipe):
    """BRF and BHRF: a resonator with a refractory variable."""

    gamma: Annotated[float, real(FRACTION)]  # decay of the refractory variable, per step


@dataclass(frozen=True)
class AdaptiveRecipe:
    """ALIF: constants, and the normal distributions its time constants are drawn from, in steps."""

    theta: Annotated[float, real(POSITIVE)]  # threshold at rest
    beta: Annotated[float, real(NOT_NEGATIVE)]  # rise of the threshold per adaptation
    tau_mem_mean: Annotated[float, real(POSITIVE)]
    tau_mem_std: Annotated[float, real(NOT_NEGATIVE)]
    tau_adp_mean: Annotated[float, real(POSITIVE)]
    tau_adp_std: Annotated[float, real(NOT_NEGATIVE)]


NeuronRecipe = ResonatorRecipe | BalancedRecipe | AdaptiveRecipe
# spiking neurons of brf_lava.neurons; a test compares them
NEURON_RECIPES: dict[str, type[NeuronRecipe]] = {
    "BRF": BalancedRecipe,
    "RF": ResonatorRecipe,
    "BHRF": BalancedRecipe,
    "HRF": ResonatorRecipe,
    "ALIF": AdaptiveRecipe,
}


@dataclass(frozen=True)
class NetworkRecipe:
    """The shape of the network; inputs and classes are the task's."""

    hidden: Annotated[tuple[int, ...], wholes(1)]  # neurons of each hidden layer
    neuron: Annotated[str, choice(NEURON_RECIPES)]
    recurrent: Annotated[bool, flag()]  # hidden layers feed back to themselves


@dataclass(frozen=True)
class ReadoutRecipe:
    """How the outputs decay, and how classes are read from them.

    The time constants are drawn from a normal distribution, in steps.
    """

    tau_mean: Annotated[float, real(POSITIVE)]
    tau_std: Annotated[float, real(NOT_NEGATIVE)]
    prediction: Annotated[str, choice(PREDICTIONS)]  # see `decision.Decision`


@dataclass(frozen=True)
class TrainingRecipe:
    """How the network is trained.

    loss: "nll" is the negative log-likelihood of the log-softmax of the outputs, "cross-entropy"
    the cross-entropy of the outputs themselves. For labels that name one class these are the same
    number, computed here in the same way; both names exist so that a recipe reads like its source.
    """

    optimizer: Annotated[str, choice(OPTIMIZERS)]
    learning_rate: Annotated[float, real(Interval(above=0, below=1e3))]
    batch_size: Annotated[int, whole(1)]
    epochs: Annotated[int, whole(1)]
    loss: Annotated[str, choice(LOSSES)]
    loss_steps: Annotated[str, choice(LOSS_STEPS)]  # all: summed over steps; last: of the last one
    ignore_first: Annotated[int, whole(0)]  # steps without loss, and that no prediction counts
    validation: Annotated[int, whole(1)]  # samples held out of the training half
    surrogate: Annotated[str, choice(SURROGATES)]
    schedule: Annotated[str, choice(SCHEDULES)]  # linear: learning rate times 1 - epoch / epochs
    clip_norm: Annotated[float, real(NOT_NEGATIVE)]  # largest norm of the gradient; 0: any
    truncate: Annotated[int, whole(0)]  # gradients pass no multiple of so many steps; 0: all pass
    recurrent_density: Annotated[float, real(SHARE)]  # share of W_rec that is there; 1: all of it
    patience: Annotated[int, whole(0)]  # epochs without a better validation loss; 0: any number
    averaging: Annotated[float, real(FRACTION)]  # decay per step of averaged weights; 0: as trained


@dataclass(frozen=True)
class Recipe:
    """One experiment. Made by `parse_recipe`, `load_recipe` or `override`, which check it.

    task: a shipped one, or the path of the user's own. text: exactly the TOML in use. name: where
    it came from. Neither of these two counts in a comparison.
    """

    task: Annotated[str, choice_or_file(TASKS, ".toml")]
    network: NetworkRecipe
    neuron: Annotated[NeuronRecipe, Variant("network.neuron", NEURON_RECIPES)]
    readout: ReadoutRecipe
    training: TrainingRecipe
    text: str = field(default="", compare=False, repr=False)
    name: str = field(default="", compare=False)

    @property
    def decision(self) -> Decision:
        """How a network of this recipe answers."""
        return Decision(self.readout.prediction, self.training.ignore_first)


def parse_recipe(text: str, where: str) -> Recipe:
    """A recipe from its TOML text.

    where: what to call it in messages, such as its path.
    Raises: RecipeError for a syntax error (with its line), a key that is unknown or missing, and a
    value that is of the wrong type or out of range.
    """
    return _build(strict_toml.read_table(text, where, RecipeError), text, where)


def _build(table: dict[str, Any], text: str, where: str) -> Recipe:
    recipe = strict_toml.build(Recipe, table, where, RecipeError)
    neuron = recipe.neuron
    if isinstance(neuron, ResonatorRecipe) and not neuron.dt * neuron.omega[1] < 1:
        # beyond it `neurons.boundary` has no stable damping to offer
        raise RecipeError(
            f"{where}: neuron.omega: up to {neuron.omega[1]:g} rad/s; dt*omega must stay below 1 "
            f"(dt = {neuron.dt:g}, so omega < {1 / neuron.dt:g}). Lower omega or dt."
        )
    density = recipe.training.recurrent_density
    if density < 1 and not recipe.network.recurrent:
        raise RecipeError(
            f"{where}: training.recurrent_density: {density:g}, but network.recurrent is false: "
            "there are no recurrent weights to leave out. Make it 1."
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


# What training did before these keys existed.
SCHEMA_1: dict[str, dict[str, Any]] = {
    "readout": {"prediction": "each-step"},
    "training": {
        "loss_steps": "all",
        "ignore_first": 0,
        "clip_norm": 0.0,
        "truncate": 0,
        "recurrent_density": 1.0,
        "patience": 0,
        "averaging": 0.0,
    },
}


def parse_schema_1(text: str, where: str) -> Recipe:
    """A recipe from the text that a file of schema 1 holds, the keys it lacks added as `SCHEMA_1`.

    Its text is the completed one, without the comments of the old. Raises: as `parse_recipe`.
    """
    table = strict_toml.read_table(text, where, RecipeError)
    for section, values in SCHEMA_1.items():
        if isinstance(table.get(section), dict):
            table[section] = {**values, **table[section]}
    recipe = _build(table, "", where)
    return replace(recipe, text=f"# completed from schema 1\n{strict_toml.write_table(recipe)}")


def override(recipe: Recipe, changes: Sequence[str], reason: str = "") -> Recipe:
    """A recipe with some values changed, as by ``--set key=value``; `recipe` is untouched.

    changes: ``training.epochs=30`` or, as only one section has that key, ``epochs=30``; the value
    is TOML, and a bare word is a string. The new text names the base recipe and what was changed,
    and the reason if there is one.
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
    name = f"{recipe.name} with {', '.join(applied.values())}{reason and f' ({reason})'}"
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
