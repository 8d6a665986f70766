"""Recipes: all that a training run depends on, in one TOML text.

The shipped ones are in the folder `training`, one per task and neuron. A recipe states everything:
no key has a default, an unknown key is refused, and the keys of ``[neuron]`` are those of the very
neuron the network has. Hidden layers that differ have a list each of neurons and of feedback, and a
table ``[[neuron]]`` each. The text goes into the checkpoint and from there into the network file.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any, TypeVar

from brf_lava.config import toml as strict_toml
from brf_lava.config.shipped import read_named
from brf_lava.config.toml import (
    Interval,
    Variant,
    choice,
    choice_or_file,
    flag,
    one_or_list,
    real,
    span,
    whole,
    wholes,
    zero_or_whole,
)
from brf_lava.errors import RecipeError
from brf_lava.network.decision import PREDICTIONS, Decision
from brf_lava.neurons.surrogate import SURROGATES

# those of brf_lava.tasks, whose import would load NumPy; a test compares them
TASKS = ("ecg", "smnist", "psmnist", "shd")
OPTIMIZERS = ("adam", "radam", "rmsprop", "sgd")
LOSSES = ("nll", "cross-entropy")
LOSS_STEPS = ("all", "last")
SCHEDULES = ("linear", "constant")

LAYER_KEY = re.compile(r"neuron\.(?P<layer>[0-9]{1,9})\.(?P<key>[^.]+)")  # of one hidden layer
Item = TypeVar("Item")


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
    """The shape of the network; inputs and classes are the task's.

    neuron, recurrent: of all hidden layers, or one by one. `Recipe.layers` has both spelled out.
    """

    hidden: Annotated[tuple[int, ...], wholes(1)]  # neurons of each hidden layer
    neuron: Annotated[str | tuple[str, ...], one_or_list(choice(NEURON_RECIPES))]
    recurrent: Annotated[bool | tuple[bool, ...], one_or_list(flag())]  # feed back to themselves


@dataclass(frozen=True)
class LayerRecipe:
    """One hidden layer.

    neurons: how many. neuron: its name. parameters: its table, and key, what that is called in the
    recipe: ``neuron``, or ``neuron.2`` where each layer has one. recurrent: feeds back to itself.
    """

    neurons: int
    neuron: str
    parameters: NeuronRecipe
    recurrent: bool
    key: str


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
    weight_bits: Annotated[int, zero_or_whole(2, 8)]  # weights as the export rounds them; 0: real


@dataclass(frozen=True)
class Recipe:
    """One experiment. Made by `parse_recipe`, `load_recipe` or `override`, which check it.

    task: a shipped one, or the path of the user's own. text: exactly the TOML in use. name: where
    it came from. Neither of these two counts in a comparison.
    """

    task: Annotated[str, choice_or_file(TASKS, ".toml")]
    network: NetworkRecipe
    neuron: Annotated[
        NeuronRecipe | tuple[NeuronRecipe, ...], Variant("network.neuron", NEURON_RECIPES)
    ]  # of all hidden layers, or one by one
    readout: ReadoutRecipe
    training: TrainingRecipe
    text: str = field(default="", compare=False, repr=False)
    name: str = field(default="", compare=False)

    @property
    def decision(self) -> Decision:
        """How a network of this recipe answers."""
        return Decision(self.readout.prediction, self.training.ignore_first)

    @property
    def layers(self) -> tuple[LayerRecipe, ...]:
        """The hidden layers one by one, from the input on."""
        network, count = self.network, len(self.network.hidden)
        names = _each(network.neuron, count)
        parameters: tuple[NeuronRecipe, ...] = _each(self.neuron, count)
        recurrent = _each(network.recurrent, count)
        own = isinstance(self.neuron, tuple)
        return tuple(
            LayerRecipe(
                neurons=neurons,
                neuron=names[index],
                parameters=parameters[index],
                recurrent=recurrent[index],
                key=f"neuron.{index + 1}" if own else "neuron",
            )
            for index, neurons in enumerate(network.hidden)
        )

    @property
    def neuron_names(self) -> str:
        """The neuron of all hidden layers, such as ``BRF``, or of each: ``BRF, ALIF``."""
        names = [layer.neuron for layer in self.layers]
        return names[0] if len(set(names)) == 1 else ", ".join(names)


def _each(value: Item | tuple[Item, ...], count: int) -> tuple[Item, ...]:
    """A value for each of so many layers."""
    return value if isinstance(value, tuple) else (value,) * count


def parse_recipe(text: str, where: str) -> Recipe:
    """A recipe from its TOML text.

    where: what to call it in messages, such as its path.
    Raises: RecipeError for a syntax error (with its line), a key that is unknown or missing, and a
    value that is of the wrong type or out of range.
    """
    return _build(strict_toml.read_table(text, where, RecipeError), text, where)


def _build(table: dict[str, Any], text: str, where: str) -> Recipe:
    recipe = strict_toml.build(Recipe, table, where, RecipeError)
    _check_lengths(recipe, where)
    for layer in recipe.layers:
        neuron = layer.parameters
        if isinstance(neuron, ResonatorRecipe) and not neuron.dt * neuron.omega[1] < 1:
            # beyond it `neurons.boundary` has no stable damping to offer
            raise RecipeError(
                f"{where}: {layer.key}.omega: up to {neuron.omega[1]:g} rad/s; dt*omega must stay "
                f"below 1 (dt = {neuron.dt:g}, so omega < {1 / neuron.dt:g}). Lower omega or dt."
            )
    density = recipe.training.recurrent_density
    if density < 1 and not any(layer.recurrent for layer in recipe.layers):
        raise RecipeError(
            f"{where}: training.recurrent_density: {density:g}, but network.recurrent is false: "
            "there are no recurrent weights to leave out. Make it 1."
        )
    return replace(recipe, text=text, name=where)


def _check_lengths(recipe: Recipe, where: str) -> None:
    """Refuse a list that has not one entry for each hidden layer."""
    network = recipe.network
    for key, given, entries in (
        ("network.neuron", network.neuron, "entries"),
        ("network.recurrent", network.recurrent, "entries"),
        ("neuron", recipe.neuron, "[[neuron]] tables"),
    ):
        if isinstance(given, tuple) and len(given) != len(network.hidden):
            raise RecipeError(
                f"{where}: {key}: the number of {entries} is {len(given)}, of hidden layers "
                f"{len(network.hidden)} (network.hidden = {strict_toml.shown(network.hidden)}). "
                "Write one for each layer, or a single one for all."
            )


def load_recipe(name_or_path: str | Path) -> Recipe:
    """Read a recipe, a shipped one or your own.

    Args:
        name_or_path: The name of a shipped recipe, such as ``"ecg-brf"``, or the path of a .toml
            file.

    Returns:
        The checked recipe.

    Raises:
        RecipeError: If there is none, with the nearest name; for a syntax error; for a key that is
            unknown or missing; for a value of the wrong type or out of range.
    """
    return parse_recipe(read_named("training", name_or_path, RecipeError), str(name_or_path))


def recipe_for(task: str, neuron: str = "brf") -> Recipe:
    """The shipped recipe for a task and a neuron. Raises: RecipeError listing those there are."""
    return load_recipe(f"{task}-{neuron}".lower())


# The keys that a schema of model files and training states brought, with what training did before.
BROUGHT: dict[int, dict[str, dict[str, Any]]] = {
    2: {
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
    },
    3: {"training": {"weight_bits": 0}},
}


def parse_stored(text: str, schema: int, where: str) -> Recipe:
    """A recipe from the text that a file of this schema holds, the keys it lacks as in `BROUGHT`.

    A text that lacked some is completed, without its comments. Raises: as `parse_recipe`.
    """
    later = [sections for brought, sections in BROUGHT.items() if brought > schema]
    if not later:
        return parse_recipe(text, where)
    table = strict_toml.read_table(text, where, RecipeError)
    for sections in later:
        for section, values in sections.items():
            if isinstance(table.get(section), dict):
                table[section] = {**values, **table[section]}
    recipe = _build(table, "", where)
    completed = f"# completed from schema {schema}\n{strict_toml.write_table(recipe)}"
    return replace(recipe, text=completed)


def override(recipe: Recipe, changes: Sequence[str], reason: str = "") -> Recipe:
    """Change some values, as ``--set key=value`` does.

    Args:
        recipe: The recipe; it stays as it is.
        changes: ``training.epochs=30`` or, because only one section has that key, ``epochs=30``.
            The value is TOML, and a bare word is a string. ``neuron.2.omega=[10, 40]`` is for the
            second hidden layer alone, which gives every layer a table of its own.
        reason: Why, for the new text.

    Returns:
        The new recipe. Its text names the base recipe, the changes and the reason.

    Raises:
        RecipeError: For a change that is malformed, an unknown key and a value that is not allowed.
    """
    table = strict_toml.read_table(strict_toml.write_table(recipe), recipe.name, RecipeError)
    applied: dict[str, str] = {}
    # how many layers there are comes first, what is for one of them last
    for change in sorted((_parse_change(change) for change in changes), key=_rank):
        name = _apply(change, table)
        applied[name] = f"{name}={strict_toml.shown(change.value)}"
    changed = _build(table, "", "--set")
    if changed == recipe:
        return recipe
    name = f"{recipe.name} with {', '.join(applied.values())}{reason and f' ({reason})'}"
    comment = "".join(letter if letter.isprintable() else "?" for letter in name)
    return replace(changed, name=name, text=f"# {comment}\n{strict_toml.write_table(changed)}")


@dataclass(frozen=True)
class _Change:
    """One ``key=value``. key: dotted, without the layer, which is None where none is named."""

    given: str
    key: str
    layer: int | None
    value: Any


def _rank(change: _Change) -> int:
    if change.layer is not None:
        return 2
    return 0 if change.key.startswith("network.") else 1


def _apply(change: _Change, table: dict[str, Any]) -> str:
    """Write the change into the tables of a recipe. Returns the key in full."""
    section, _, key = change.key.rpartition(".")
    place = table[section] if section else table
    if change.layer is None and isinstance(place, dict):
        place[key] = change.value
        return change.key
    hidden = table["network"]["hidden"]
    if isinstance(place, dict):
        layers = len(hidden) if isinstance(hidden, list) else 1  # what is no list is refused later
        place = table[section] = [dict(place) for _ in range(layers)]
    chosen = change.layer
    if chosen is None:
        having = [number for number, part in enumerate(place, start=1) if key in part]
        if len(having) != 1:
            every = having or range(1, len(place) + 1)
            meant = " and ".join(f"{section}.{number}.{key}" for number in every)
            raise RecipeError(f"--set {change.given}: {meant} are meant; write one in full.")
        chosen = having[0]
    if not 1 <= chosen <= len(place):
        raise RecipeError(
            f"--set {change.given}: layer {chosen}; there are tables for layers 1 to {len(place)}. "
            "Name one of them."
        )
    place[chosen - 1][key] = change.value
    return f"{section}.{chosen}.{key}"


def _parse_change(change: str) -> _Change:
    """``key=value``, the key found from its last part where that is enough."""
    change = " ".join(change.split())  # a message is one line
    name, equals, source = (part.strip() for part in change.partition("="))
    if not equals or not name or not source:
        raise RecipeError(f"--set {change}: not of the form key=value, such as epochs=30.")
    numbered = LAYER_KEY.fullmatch(name)
    key = f"neuron.{numbered['key']}" if numbered else name
    known = strict_toml.leaves(Recipe)
    found = [key] if key in known else [name for name in known if name.endswith(f".{key}")]
    if not found:
        raise RecipeError(f"--set {change}: no such key. {strict_toml.nearest(key, known)}")
    if len(found) > 1:
        raise RecipeError(f"--set {change}: {' and '.join(found)} are meant; write one in full.")
    layer = int(numbered["layer"]) if numbered else None
    try:
        return _Change(change, found[0], layer, strict_toml.parse_value(source))
    except ValueError as error:
        raise RecipeError(
            f"--set {change}: {source} is not a TOML value ({error}). "
            "Write a number, true or false, a word, or a list such as [3, 5]."
        ) from None
