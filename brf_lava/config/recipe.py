"""Recipes: all that a training run depends on, in one TOML text.

The shipped ones are in the folder `training`, one per task and neuron. A recipe states everything:
no key has a default, an unknown key is refused, and the keys of ``[neuron]`` are those of the very
neuron the network has. Hidden layers that differ have a list each of neurons and of feedback, and a
table ``[[neuron]]`` each. The text goes into the checkpoint and from there into the network file.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, make_dataclass, replace
from functools import cache
from pathlib import Path
from typing import Annotated, Any, TypeVar

from brf_lava.config import toml as strict_toml
from brf_lava.config.shipped import read_named
from brf_lava.config.toml import (
    Interval,
    Rule,
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
from brf_lava.errors import ParameterError, RecipeError
from brf_lava.network.decision import PREDICTIONS, Decision
from brf_lava.neurons.families import DEFAULT, SPIKING, Neuron
from brf_lava.neurons.own import is_reference, load_neuron
from brf_lava.neurons.record import Key, Uniform
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


@cache
def _table_of(keys: tuple[Key, ...]) -> type[Any]:
    """The dataclass of a neuron's table, from the keys in its record."""
    fields: list[tuple[str, Any]] = []
    for key in keys:
        allowed = Interval(**vars(key.allowed))
        fields.append(
            (key.name, Annotated[tuple[float, float], span(allowed)])
            if key.span
            else (key.name, Annotated[float, real(allowed)])
        )
    return make_dataclass("NeuronTable", fields, frozen=True)


class _Tables(Mapping[str, type[Any]]):
    """The table of each neuron: those that spike, and `own`, which the recipe at hand names."""

    def __init__(self) -> None:
        self.own: dict[str, type[Any]] = {}
        self._known = {neuron.name: _table_of(neuron.keys) for neuron in SPIKING.values()}

    def __getitem__(self, name: str) -> type[Any]:
        return self.own[name] if name in self.own else self._known[name]

    def __iter__(self) -> Iterator[str]:
        return iter({**self._known, **self.own})

    def __len__(self) -> int:
        return len(self._known) + len(self.own)


NEURON_TABLES = _Tables()
FindNeuron = Callable[[str], Neuron]


def _neuron() -> Rule:
    """A key that names a neuron."""
    return Rule(
        f'{choice(SPIKING).allowed}, or "FILE.py:NAME" for one of your own',
        lambda value: value if isinstance(value, str) and value in NEURON_TABLES else None,
    )


@dataclass(frozen=True)
class NetworkRecipe:
    """The shape of the network; inputs and classes are the task's.

    neuron, recurrent: of all hidden layers, or one by one. `Recipe.layers` has both spelled out.
    """

    hidden: Annotated[tuple[int, ...], wholes(1)]  # neurons of each hidden layer
    neuron: Annotated[str | tuple[str, ...], one_or_list(_neuron())]
    recurrent: Annotated[bool | tuple[bool, ...], one_or_list(flag())]  # feed back to themselves


@dataclass(frozen=True)
class LayerRecipe:
    """One hidden layer.

    neurons: how many. neuron: its name. parameters: its table, and key, what that is called in the
    recipe: ``neuron``, or ``neuron.2`` where each layer has one. recurrent: feeds back to itself.
    """

    neurons: int
    neuron: str
    parameters: Any
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
    it came from. own: the records of the user's own neurons, by their names in the recipe. None of
    these three counts in a comparison.
    """

    task: Annotated[str, choice_or_file(TASKS, ".toml")]
    network: NetworkRecipe
    neuron: Annotated[
        Any, Variant("network.neuron", NEURON_TABLES)
    ]  # of all hidden layers, or one by one
    readout: ReadoutRecipe
    training: TrainingRecipe
    text: str = field(default="", compare=False, repr=False)
    name: str = field(default="", compare=False)
    own: Mapping[str, Neuron] = field(default_factory=dict, compare=False, repr=False)

    @property
    def decision(self) -> Decision:
        """How a network of this recipe answers."""
        return Decision(self.readout.prediction, self.training.ignore_first)

    @property
    def layers(self) -> tuple[LayerRecipe, ...]:
        """The hidden layers one by one, from the input on."""
        network, count = self.network, len(self.network.hidden)
        names = _each(network.neuron, count)
        parameters: tuple[Any, ...] = _each(self.neuron, count)
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

    def record(self, name: str) -> Neuron:
        """The record of a neuron by its name in this recipe."""
        return self.own[name] if name in self.own else SPIKING[name]

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
    find = _finder((Path(where).parent, Path()))
    return _build(strict_toml.read_table(text, where, RecipeError), text, where, find)


def _finder(folders: Sequence[Path]) -> FindNeuron:
    """Reads the user's own neurons, whose paths start from one of these folders."""
    return lambda reference: load_neuron(reference, folders)


def _own_neurons(table: dict[str, Any], where: str, find: FindNeuron) -> dict[str, Neuron]:
    """The records of the user's own neurons that the tables of a recipe name."""
    network = table.get("network")
    named = network.get("neuron") if isinstance(network, dict) else None
    try:
        return {
            name: find(name)
            for name in (named if isinstance(named, list) else [named])
            if isinstance(name, str) and is_reference(name)
        }
    except ParameterError as error:
        raise RecipeError(f"{where}: network.neuron: {error}") from error


def _build(table: dict[str, Any], text: str, where: str, find: FindNeuron) -> Recipe:
    own = _own_neurons(table, where, find)
    NEURON_TABLES.own = {name: _table_of(neuron.keys) for name, neuron in own.items()}
    recipe = replace(strict_toml.build(Recipe, table, where, RecipeError), own=own)
    _check_lengths(recipe, where)
    for layer in recipe.layers:
        for key, dt in _times_dt_below_1(recipe.record(layer.neuron), layer.parameters):
            high = getattr(layer.parameters, key)[1]
            if not dt * high < 1:  # beyond it `neurons.boundary` has no stable damping to offer
                raise RecipeError(
                    f"{where}: {layer.key}.{key}: up to {high:g} rad/s; dt*{key} must stay "
                    f"below 1 (dt = {dt:g}, so {key} < {1 / dt:g}). Lower {key} or dt."
                )
    density = recipe.training.recurrent_density
    if density < 1 and not any(layer.recurrent for layer in recipe.layers):
        raise RecipeError(
            f"{where}: training.recurrent_density: {density:g}, but network.recurrent is false: "
            "there are no recurrent weights to leave out. Make it 1."
        )
    return replace(recipe, text=text, name=where)


def _times_dt_below_1(neuron: Neuron, table: Any) -> list[tuple[str, float]]:
    """The keys that times dt stay below 1, and dt."""
    return [
        (trained.name, table.dt)
        for trained in neuron.trained
        if isinstance(trained, Uniform) and trained.times_dt_below_1
    ]


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
    """The recipe in a .toml file, or a shipped one by its name, such as ``ecg-brf``.

    Raises: RecipeError when there is none, with the nearest name, and as `parse_recipe`.
    """
    return parse_recipe(read_named("training", name_or_path, RecipeError), str(name_or_path))


def recipe_for(task: str, neuron: str = DEFAULT.name) -> Recipe:
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


def parse_stored(text: str, schema: int, where: str, find: FindNeuron | None = None) -> Recipe:
    """A recipe from the text that a file of this schema holds, the keys it lacks as in `BROUGHT`.

    find: reads the user's own neurons.

    A text that lacked some is completed, without its comments. Raises: as `parse_recipe`.
    """
    later = [sections for brought, sections in BROUGHT.items() if brought > schema]
    find = find or _finder(())
    table = strict_toml.read_table(text, where, RecipeError)
    if not later:
        return _build(table, text, where, find)
    for sections in later:
        for section, values in sections.items():
            if isinstance(table.get(section), dict):
                table[section] = {**values, **table[section]}
    recipe = _build(table, "", where, find)
    completed = f"# completed from schema {schema}\n{strict_toml.write_table(recipe)}"
    return replace(recipe, text=completed)


def override(recipe: Recipe, changes: Sequence[str], reason: str = "") -> Recipe:
    """A recipe with some values changed, as by ``--set key=value``; `recipe` is untouched.

    changes: ``training.epochs=30`` or, as only one section has that key, ``epochs=30``; the value
    is TOML, and a bare word is a string. ``neuron.2.omega=[10, 40]`` is for the second hidden layer
    alone, which gives every layer a table of its own. The new text names the base recipe and what
    was changed, and the reason if there is one.
    Raises: RecipeError for a change that is malformed, an unknown key and a refused value.
    """
    table = strict_toml.read_table(strict_toml.write_table(recipe), recipe.name, RecipeError)
    NEURON_TABLES.own = {name: _table_of(neuron.keys) for name, neuron in recipe.own.items()}
    applied: dict[str, str] = {}
    # how many layers there are comes first, what is for one of them last
    for change in sorted((_parse_change(change) for change in changes), key=_rank):
        name = _apply(change, table)
        applied[name] = f"{name}={strict_toml.shown(change.value)}"
    folders = (Path(), Path(recipe.name.partition(" with ")[0]).parent)
    changed = _build(
        table,
        "",
        "--set",
        lambda name: recipe.own[name] if name in recipe.own else load_neuron(name, folders),
    )
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
    if is_reference(source):
        return _Change(change, found[0], layer, source)
    try:
        return _Change(change, found[0], layer, strict_toml.parse_value(source))
    except ValueError as error:
        raise RecipeError(
            f"--set {change}: {source} is not a TOML value ({error}). "
            "Write a number, true or false, a word, or a list such as [3, 5]."
        ) from None
