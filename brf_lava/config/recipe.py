"""Recipes: all that a training run depends on, in one TOML text.

The shipped ones are in the folder `training`, one per task and neuron. A recipe states everything:
no key has a default, an unknown key is refused, and the keys of ``[neuron]`` are those of the very
neuron the network has. Hidden layers that differ have a list each of neurons and of feedback, and a
table ``[[neuron]]`` each. The text goes into the checkpoint and from there into the network file.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields, make_dataclass, replace
from functools import cache
from pathlib import Path
from typing import Annotated, Any, ClassVar, Generic, Literal, TypeVar, cast

import msgspec
from msgspec import Meta

from brf_lava.config import toml as strict_toml
from brf_lava.config.shipped import read_named
from brf_lava.config.toml import (
    LARGEST,
    Count,
    Fraction,
    NotNegative,
    Positive,
    Share,
    Whole,
    choice,
    to_toml,
    write_table,
)
from brf_lava.errors import ParameterError, RecipeError
from brf_lava.network.decision import PREDICTIONS, Decision
from brf_lava.neurons.families import DEFAULT, SPIKING, Neuron
from brf_lava.neurons.own import REFERENCE, is_reference, load_neuron
from brf_lava.neurons.record import Key, Uniform
from brf_lava.neurons.surrogate import SURROGATES

# those of brf_lava.tasks, whose import would load NumPy; a test compares them
TASKS = ("ecg", "smnist", "psmnist", "shd")
OPTIMIZERS = ("adam", "radam", "rmsprop", "sgd")
LOSSES = ("nll", "cross-entropy")
LOSS_STEPS = ("all", "last")
SCHEDULES = ("linear", "constant")

TASK_FILE = r"[^\x00-\x1f\x7f-\xa0]*\.toml"
Task = Annotated[str, choice(TASKS, TASK_FILE, "the path of a .toml file")]
LAYER_KEY = re.compile(r"neuron\.(?P<layer>[0-9]{1,9})\.(?P<key>[^.]+)")  # of one hidden layer
Item = TypeVar("Item")
Table = TypeVar("Table")
FindNeuron = Callable[[str], Neuron]
NeuronName = Annotated[str, choice(SPIKING, REFERENCE.pattern, '"FILE.py:NAME" for your own')]
# What [neuron] may hold as long as its keys are not known
NeuronTables = Annotated[
    dict[str, Any] | list[dict[str, Any]],
    Meta(description="a section [neuron], or several [[neuron]]"),
]


class NeuronTable:
    """A neuron's table. Its fields are the keys of the neuron's record, see `table_of`."""

    spans: ClassVar[tuple[Key, ...]]
    below_1: ClassVar[tuple[str, ...]]  # the keys that times dt stay below 1

    def __post_init__(self) -> None:
        for key in self.spans:
            low, high = getattr(self, key.name)
            if low > high:
                raise ValueError(f"{key.name}: [{low:g}, {high:g}]; allowed is {_range(key)}.")
        for name in self.below_1:
            dt, high = getattr(self, "dt"), getattr(self, name)[1]  # noqa: B009
            if not dt * high < 1:  # beyond it `neurons.boundary` has no stable damping to offer
                raise ValueError(
                    f"{name}: up to {high:g} rad/s; dt*{name} must stay below 1 (dt = {dt:g}, so "
                    f"{name} < {1 / dt:g}). Lower {name} or dt."
                )


def table_of(neuron: Neuron) -> type[NeuronTable]:
    """The dataclass of a neuron's table in a recipe; one for all neurons of the same keys."""
    uniform = [each for each in neuron.trained if isinstance(each, Uniform)]
    return _table_of(neuron.keys, tuple(each.name for each in uniform if each.times_dt_below_1))


@cache
def _table_of(keys: tuple[Key, ...], below_1: tuple[str, ...]) -> type[NeuronTable]:
    types: list[tuple[str, Any]] = []
    for key in keys:
        allowed = key.allowed
        high = LARGEST if allowed.high is allowed.below is None else allowed.high
        limits: dict[str, Any] = {
            "ge": allowed.low,
            "gt": allowed.above,
            "lt": allowed.below,
            "le": high,
        }
        number: Any = Annotated[float, Meta(**limits)]
        span: Any = Annotated[tuple[number, number], Meta(description=_range(key))]
        types.append((key.name, span if key.span else number))
    namespace = {"spans": tuple(key for key in keys if key.span), "below_1": below_1}
    return make_dataclass("Table", types, bases=(NeuronTable,), namespace=namespace, frozen=True)


def _range(key: Key) -> str:
    return f"a range [low, high] of numbers {key.allowed}, low first"


@dataclass(frozen=True)
class NetworkRecipe:
    """The shape of the network; inputs and classes are the task's.

    neuron, recurrent: of all hidden layers, or one by one. `Recipe.layers` has both spelled out.
    """

    hidden: Annotated[tuple[Count, ...], Meta(min_length=1)]  # neurons of each hidden layer
    neuron: NeuronName | tuple[NeuronName, ...]
    recurrent: bool | tuple[bool, ...]  # feed back to themselves


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

    tau_mean: Positive
    tau_std: NotNegative
    prediction: Annotated[str, choice(PREDICTIONS)]  # see `decision.Decision`


@dataclass(frozen=True)
class TrainingRecipe:
    """How the network is trained.

    loss: "nll" is the negative log-likelihood of the log-softmax of the outputs, "cross-entropy"
    the cross-entropy of the outputs themselves. For labels that name one class these are the same
    number, computed here in the same way; both names exist so that a recipe reads like its source.
    """

    optimizer: Annotated[str, choice(OPTIMIZERS)]
    learning_rate: Annotated[float, Meta(gt=0, lt=1e3)]
    batch_size: Count
    epochs: Count
    loss: Annotated[str, choice(LOSSES)]
    loss_steps: Annotated[str, choice(LOSS_STEPS)]  # all: summed over steps; last: of the last one
    ignore_first: Whole  # steps without loss, and that no prediction counts
    validation: Count  # samples held out of the training half
    surrogate: Annotated[str, choice(SURROGATES)]
    schedule: Annotated[str, choice(SCHEDULES)]  # linear: learning rate times 1 - epoch / epochs
    clip_norm: NotNegative  # largest norm of the gradient; 0: any
    truncate: Whole  # gradients pass no multiple of so many steps; 0: all pass
    recurrent_density: Share  # share of W_rec that is there; 1: all of it
    patience: Whole  # epochs without a better validation loss; 0: any number
    averaging: Fraction  # decay per step of averaged weights; 0: as trained
    weight_bits: Literal[0, 2, 3, 4, 5, 6, 7, 8]  # weights as the export rounds them; 0: real


@dataclass(frozen=True)
class Sections(Generic[Table]):
    """What a recipe file holds. Table: what its ``[neuron]`` is, which network.neuron decides."""

    task: Task  # a shipped one, or the path of the user's own
    network: NetworkRecipe
    neuron: Table  # of all hidden layers, or one by one
    readout: ReadoutRecipe
    training: TrainingRecipe


SectionsOf: Any = Sections  # to be subscripted with a type that a file decides


@dataclass(frozen=True)
class Recipe(Sections[Any]):
    """One experiment. Made by `parse_recipe`, `load_recipe` or `override`, which check it.

    text: exactly the TOML in use. name: where it came from. own: the records of the user's own
    neurons, by their names in the recipe. None of these three counts in a comparison.
    """

    text: str = field(default="", compare=False, repr=False)
    name: str = field(default="", compare=False)
    own: Mapping[str, Neuron] = field(default_factory=dict, compare=False, repr=False)

    @property
    def table(self) -> dict[str, Any]:
        """The recipe as plain values, as in its TOML."""
        return {key.name: msgspec.to_builtins(getattr(self, key.name)) for key in fields(Sections)}

    @property
    def decision(self) -> Decision:
        """How a network of this recipe answers."""
        return Decision(self.readout.prediction, self.training.ignore_first)

    @property
    def layers(self) -> tuple[LayerRecipe, ...]:
        """The hidden layers one by one, from the input on."""
        network, count = self.network, len(self.network.hidden)
        own = isinstance(self.neuron, tuple)
        keys = [f"neuron.{number}" if own else "neuron" for number in range(1, count + 1)]
        parameters: tuple[Any, ...] = _each(self.neuron, count)
        names, recurrent = _each(network.neuron, count), _each(network.recurrent, count)
        layers = zip(network.hidden, names, parameters, recurrent, keys, strict=True)
        return tuple(LayerRecipe(*layer) for layer in layers)

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
    """Read a recipe.

    Args:
        text: Its TOML.
        where: What to call it in messages, such as its path.

    Raises:
        RecipeError: For a syntax error (with its line), a key that is unknown or missing, and a
            value that is of the wrong type or out of range.
    """
    find = _finder((Path(where).parent, Path()))
    return _build(strict_toml.read_table(text, where, RecipeError), text, where, find)


def _finder(folders: Sequence[Path]) -> FindNeuron:
    """Reads the user's own neurons, whose paths start from one of these folders."""
    return lambda reference: load_neuron(reference, folders)


def _build(table: dict[str, Any], text: str, where: str, find: FindNeuron) -> Recipe:
    try:
        neurons = {name: SPIKING.get(name) or find(name) for name in _names(table)}
    except ParameterError as error:
        raise RecipeError(f"{where}: network.neuron: {error}") from error
    own = {name: neuron for name, neuron in neurons.items() if name not in SPIKING}
    tables, chosen = _tables(table, neurons)
    known = known_keys((*SPIKING.values(), *own.values()))
    sections = strict_toml.build(SectionsOf[tables], table, where, RecipeError, known, chosen)
    _check_lengths(sections, where)
    if tables is NeuronTables:
        raise RecipeError(
            f"{where}: neuron: one table, but {chosen}. Write one [[neuron]] table for each."
        )
    recipe = Recipe(**vars(sections), text=text, name=where, own=own)
    density = recipe.training.recurrent_density
    if density < 1 and not any(layer.recurrent for layer in recipe.layers):
        raise RecipeError(
            f"{where}: training.recurrent_density: {density:g}, but network.recurrent is false: "
            "there are no recurrent weights to leave out. Make it 1."
        )
    return recipe


def _names(table: dict[str, Any]) -> list[str]:
    """The neurons that the tables of a recipe name; empty if they are not valid."""
    network = table.get("network")
    given = network.get("neuron") if isinstance(network, dict) else None
    names = given if isinstance(given, list | tuple) else [given]
    valid = all(isinstance(name, str) and (name in SPIKING or is_reference(name)) for name in names)
    return [*names] if valid else []


def _tables(table: dict[str, Any], neurons: Mapping[str, Neuron]) -> tuple[Any, str]:
    """The type of ``[neuron]`` or the ``[[neuron]]`` tables, and which neurons ask for it.

    It is `NeuronTables` for neurons that are not valid and for tables that are not as many.
    """
    kinds = [table_of(neurons[name]) for name in _names(table)]
    given, tables = table.get("neuron"), cast(Any, NeuronTables)
    if isinstance(given, dict) and len(neurons) == 1:
        tables = kinds[0]
    elif isinstance(given, list | tuple) and given and len(kinds) in (1, len(given)):
        tables = tuple.__class_getitem__(tuple(kinds * (len(given) // len(kinds))))
    return tables, f"network.neuron = {to_toml(table['network']['neuron'])}" if kinds else ""


@cache
def known_keys(neurons: tuple[Neuron, ...] = (*SPIKING.values(),)) -> list[str]:
    """All keys that a recipe can have, dotted, those of every neuron among them."""
    kinds = [SectionsOf[table_of(neuron)] for neuron in neurons]
    return [*dict.fromkeys(key for kind in kinds for key in strict_toml.leaves(kind))]


def _check_lengths(recipe: Sections[Any], where: str) -> None:
    """Refuse a list that has not one entry for each hidden layer."""
    network = recipe.network
    for key, given, entries in (
        ("network.neuron", network.neuron, "entries"),
        ("network.recurrent", network.recurrent, "entries"),
        ("neuron", recipe.neuron, "[[neuron]] tables"),
    ):
        if isinstance(given, tuple | list) and len(given) != len(network.hidden):
            raise RecipeError(
                f"{where}: {key}: the number of {entries} is {len(given)}, of hidden layers "
                f"{len(network.hidden)} (network.hidden = {to_toml(network.hidden)}). "
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
    """Read the recipe that a file of this schema holds, with the keys it lacks from `BROUGHT`.

    The text of a recipe that lacked some is completed, and loses its comments. `find` reads the
    user's own neurons.

    Raises:
        RecipeError: As `parse_recipe`.
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
    completed = f"# completed from schema {schema}\n{write_table(recipe.table)}"
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
    table = recipe.table
    known = known_keys((*SPIKING.values(), *recipe.own.values()))
    applied: dict[str, str] = {}
    # how many layers there are comes first, what is for one of them last
    for change in sorted((_parse_change(change, known) for change in changes), key=_Change.rank):
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
    return replace(changed, name=name, text=f"# {comment}\n{write_table(changed.table)}")


@dataclass(frozen=True)
class _Change:
    """One ``key=value``. key: dotted, without the layer, which is None where none is named."""

    given: str
    key: str
    layer: int | None
    value: Any

    def rank(self) -> tuple[bool, bool]:
        return self.layer is not None, not self.key.startswith("network.")


def _apply(change: _Change, table: dict[str, Any]) -> str:
    """Write the change into the tables of a recipe. Returns the key in full."""
    section, _, key = change.key.rpartition(".")
    place = table[section] if section else table
    if change.layer is None and isinstance(place, dict):
        place[key] = change.value
        return change.key
    hidden = table["network"]["hidden"]
    if isinstance(place, dict):
        layers = len(hidden) if isinstance(hidden, list | tuple) else 1  # refused later
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


def _parse_change(change: str, known: list[str]) -> _Change:
    """``key=value``, the key found from its last part where that is enough."""
    change = " ".join(change.split())  # a message is one line
    name, equals, source = (part.strip() for part in change.partition("="))
    if not equals or not name or not source:
        raise RecipeError(f"--set {change}: not of the form key=value, such as epochs=30.")
    numbered = LAYER_KEY.fullmatch(name)
    key = f"neuron.{numbered['key']}" if numbered else name
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
