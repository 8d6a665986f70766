"""Recipes: all that a training run depends on, in one TOML text.

The shipped ones are in the folder `training`. A recipe states everything: no key has a default, an
unknown key is refused, and the keys of ``[neuron]`` are those of the network's neuron. Layers that
differ have a table ``[[neuron]]`` each. The text goes into the model and the network file.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields, make_dataclass, replace
from functools import cache, partial
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple, TypeVar

import msgspec
from msgspec import Meta

from brf_lava.config import toml
from brf_lava.config.shipped import names, read_named
from brf_lava.errors import ParameterError, RecipeError
from brf_lava.network.decision import PREDICTIONS, Decision
from brf_lava.neurons.families import DEFAULT, SPIKING, Neuron
from brf_lava.neurons.own import REFERENCE, load_neuron
from brf_lava.neurons.record import Interval, Uniform
from brf_lava.neurons.surrogate import SURROGATES

# those of brf_lava.tasks, whose import would load NumPy; a test compares them
TASKS = ("ecg", "smnist", "psmnist", "shd")
TASK_FILE = r"[^\x00-\x1f\x7f-\xa0]*\.toml"
LAYER_KEY = re.compile(r"neuron\.(?P<layer>[0-9]{1,9})\.(?P<key>[^.]+)")  # of one hidden layer
Item = TypeVar("Item")
FindNeuron = Callable[[str], Neuron]
Surrogate = Annotated[str, toml.choice(SURROGATES)]
NeuronName = Annotated[str, toml.choice(SPIKING, REFERENCE.pattern, '"FILE.py:NAME" for your own')]


@cache
def table_of(neuron: Neuron) -> type[Any]:
    """The dataclass of a neuron's table in a recipe: a number or a range [low, high] for each key.

    Its values are checked when it is made from a table, see `toml.build`.
    """
    ranges = {
        key.name: f"a range [low, high] of numbers {key.allowed}, low first"
        for key in neuron.keys
        if key.span
    }
    below_1 = [p.name for p in neuron.trained if isinstance(p, Uniform) and p.times_dt_below_1]

    def check(table: Any) -> None:
        for name, allowed in ranges.items():
            low, high = getattr(table, name)
            if low > high:
                raise ValueError(f"{name}: [{low:g}, {high:g}]; allowed is {allowed}.")
        for name in below_1:
            high = getattr(table, name)[1]
            if not table.dt * high < 1:  # `neurons.boundary` has no stable damping beyond it
                raise ValueError(
                    f"{name}: up to {high:g} rad/s; dt*{name} must stay below 1 (dt = "
                    f"{table.dt:g}, so {name} < {1 / table.dt:g}). Lower {name} or dt."
                )

    types: list[tuple[str, Any]] = []
    for key in neuron.keys:
        value: Any = Annotated[float, toml.number(key.allowed)]
        if key.span:
            value = Annotated[tuple[value, value], Meta(description=ranges[key.name])]
        types.append((key.name, value))
    return make_dataclass("Table", types, namespace={"__post_init__": check}, frozen=True)


@dataclass(frozen=True)
class NetworkRecipe:
    """The shape of the network; inputs and classes are the task's.

    neuron, recurrent: of all hidden layers, or one by one. `Recipe.layers` has both spelled out.
    """

    hidden: Annotated[tuple[toml.Count, ...], Meta(min_length=1)]  # neurons of each hidden layer
    neuron: NeuronName | tuple[NeuronName, ...]
    recurrent: bool | tuple[bool, ...]  # feed back to themselves


class LayerRecipe(NamedTuple):
    """One hidden layer. parameters: the neuron's table. recurrent: it feeds back to itself."""

    neurons: int
    neuron: str
    parameters: Any
    recurrent: bool


@dataclass(frozen=True)
class ReadoutRecipe:
    """How the outputs decay, and how classes are read from them.

    The time constants are drawn from a normal distribution, in steps.
    """

    tau_mean: toml.Positive
    tau_std: toml.NotNegative
    prediction: Annotated[str, toml.choice(PREDICTIONS)]  # see `decision.Decision`


@dataclass(frozen=True)
class TrainingRecipe:
    """How the network is trained.

    loss: the negative log-likelihood of the log-softmax of the outputs, which is the cross-entropy
    of the outputs; both names exist so that a recipe reads like its source.
    """

    optimizer: Literal["adam", "radam", "rmsprop", "sgd"]
    learning_rate: Annotated[float, toml.number(Interval(above=0, below=1e3))]
    batch_size: toml.Count
    epochs: toml.Count
    loss: Literal["nll", "cross-entropy"]
    loss_steps: Literal["all", "last"]  # all: summed over steps; last: of the last one
    ignore_first: toml.Whole  # steps without loss, and that no prediction counts
    validation: toml.Count  # samples held out of the training half
    surrogate: Surrogate
    schedule: Literal["linear", "constant"]  # linear: learning rate times 1 - epoch / epochs
    clip_norm: toml.NotNegative  # largest norm of the gradient; 0: any
    truncate: toml.Whole  # gradients pass no multiple of so many steps; 0: all pass
    recurrent_density: toml.Share  # share of W_rec that is there; 1: all of it
    patience: toml.Whole  # epochs without a better validation loss; 0: any number
    averaging: toml.Fraction  # decay per step of averaged weights; 0: as trained
    weight_bits: Literal[0, 2, 3, 4, 5, 6, 7, 8]  # of integers to compute with; 0: of none


@dataclass(frozen=True)
class _Sections:
    """What a recipe file holds; the keys of its neuron tables are checked later."""

    task: Annotated[str, toml.choice(TASKS, TASK_FILE, "the path of a .toml file")]
    network: NetworkRecipe
    neuron: Annotated[
        dict[str, Any] | list[dict[str, Any]],
        Meta(description="a section [neuron], or several [[neuron]]"),
    ]
    readout: ReadoutRecipe
    training: TrainingRecipe


@dataclass(frozen=True)
class Recipe(_Sections):
    """One experiment. Made by `parse_recipe`, `load_recipe` or `override`, which check it.

    neuron: the table of all hidden layers, or a tuple of tables, see `table_of`. text: exactly the
    TOML in use. name: where it came from. own: the records of the user's own neurons, by their
    names in the recipe. None of the last three counts in a comparison.
    """

    neuron: Any
    text: str = field(default="", compare=False, repr=False)
    name: str = field(default="", compare=False)
    own: Mapping[str, Neuron] = field(default_factory=dict, compare=False, repr=False)

    @property
    def table(self) -> dict[str, Any]:
        """The recipe as plain values, as in its TOML."""
        return {key.name: msgspec.to_builtins(getattr(self, key.name)) for key in fields(_Sections)}

    @property
    def decision(self) -> Decision:
        """How a network of this recipe answers."""
        return Decision(self.readout.prediction, self.training.ignore_first)

    @property
    def layers(self) -> tuple[LayerRecipe, ...]:
        """The hidden layers one by one, from the input on."""
        network, count = self.network, len(self.network.hidden)
        columns = (network.neuron, self.neuron, network.recurrent)
        layers = zip(network.hidden, *(_each(column, count) for column in columns), strict=True)
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


def known_keys(own: Iterable[Neuron] = ()) -> list[str]:
    """All keys that a recipe can have, dotted, those of every neuron among them."""
    neurons = (*SPIKING.values(), *own)
    keys = dict.fromkeys(f"neuron.{key.name}" for neuron in neurons for key in neuron.keys)
    leaves = toml.leaves(_Sections)
    return [key for leaf in leaves for key in (keys if leaf == "neuron" else [leaf])]


def parse_recipe(text: str, where: str, find: FindNeuron | None = None) -> Recipe:
    """Read the TOML of a recipe, called `where` in messages. Raises: as `load_recipe`.

    find: reads the user's own neurons; None: from files next to the recipe or in this folder.
    """
    find = find or partial(load_neuron, folders=(Path(where).parent, Path()))
    return _build(toml.read_table(text, where, RecipeError), text, where, find)


def _build(table: dict[str, Any], text: str, where: str, find: FindNeuron) -> Recipe:
    """Check the table of a recipe. find: reads the user's own neurons."""
    sections = toml.build(_Sections, table, where, RecipeError, known=known_keys())
    network, tables = sections.network, sections.neuron
    hidden = len(network.hidden)
    for key, given, entries in (
        ("network.neuron", network.neuron, "entries"),
        ("network.recurrent", network.recurrent, "entries"),
        ("neuron", tables, "[[neuron]] tables"),
    ):
        if isinstance(given, tuple | list) and len(given) != hidden:
            raise RecipeError(
                f"{where}: {key}: the number of {entries} is {len(given)}, of hidden layers "
                f"{hidden}. Write one for each layer, or a single one for all."
            )
    names = _each(network.neuron, hidden)
    try:
        records = {name: SPIKING.get(name) or find(name) for name in names}
    except ParameterError as error:
        raise RecipeError(f"{where}: network.neuron: {error}") from error
    own = {name: record for name, record in records.items() if name not in SPIKING}
    chosen = f"network.neuron = {toml.to_toml(network.neuron)}"
    if isinstance(tables, dict) and len(records) > 1:
        raise RecipeError(
            f"{where}: neuron: one table, but {chosen}. Write one [[neuron]] table for each."
        )
    keys = known_keys(own.values())

    def read(table: dict[str, Any], name: str, prefix: str) -> Any:
        known = [re.sub(r"^neuron\.", prefix, key) for key in keys]
        kind = table_of(records[name])
        return toml.build(kind, table, where, RecipeError, prefix, known, chosen)

    if isinstance(tables, dict):
        neuron = read(tables, names[0], "neuron.")
    else:
        numbered = enumerate(zip(tables, names, strict=True), start=1)
        neuron = tuple(read(given, name, f"neuron.{layer}.") for layer, (given, name) in numbered)
    recipe = Recipe(**{**vars(sections), "neuron": neuron}, text=text, name=where, own=own)
    density = recipe.training.recurrent_density
    if density < 1 and not any(layer.recurrent for layer in recipe.layers):
        raise RecipeError(
            f"{where}: training.recurrent_density: {density:g}, but no layer is recurrent. Use 1."
        )
    return recipe


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
    if task not in TASKS:
        hint = toml.nearest(task, TASKS)
        raise RecipeError(f"task {task}: no such task. {hint} Name your own as a .toml file.")
    return load_recipe(f"{task}-{neuron}".lower())


def published_recipe(task: str, neuron: str) -> Recipe:
    """The recipe with the published settings, where the shipped one of that name has others."""
    name = f"{task}-{neuron}-published".lower()
    return load_recipe(name) if name in names("training") else recipe_for(task, neuron)


def override(recipe: Recipe, changes: Sequence[str]) -> Recipe:
    """Change some values, as ``--set key=value`` does.

    Args:
        recipe: The recipe; it stays as it is.
        changes: ``training.epochs=30`` or, because only one section has that key, ``epochs=30``.
            The value is TOML, and a bare word is a string. ``neuron.2.omega=[10, 40]`` is for the
            second hidden layer alone, which gives every layer a table of its own.

    Returns:
        The new recipe. Its text names the base recipe and the changes.

    Raises:
        RecipeError: For a change that is malformed, an unknown key and a value that is not allowed.
    """
    table = recipe.table
    known = known_keys(recipe.own.values())
    applied: dict[str, str] = {}
    # how many layers there are comes first, what is for one of them last
    for change in sorted((_parse_change(change, known) for change in changes), key=_Change.rank):
        name = _apply(change, table)
        applied[name] = f"{name}={toml.to_toml(change.value)}"
    folders = (Path(), Path(recipe.name.partition(" with ")[0]).parent)

    def find(name: str) -> Neuron:
        return recipe.own[name] if name in recipe.own else load_neuron(name, folders)

    changed = _build(table, "", "--set", find)
    if changed == recipe:
        return recipe
    name = f"{recipe.name} with {', '.join(applied.values())}"
    comment = "".join(letter if letter.isprintable() else "?" for letter in name)
    return replace(changed, name=name, text=f"# {comment}\n{toml.write_table(changed.table)}")


class _Change(NamedTuple):
    """One ``key=value``. key: dotted, without the layer, which is None where none is named."""

    given: str
    key: str
    layer: int | None
    value: Any

    def rank(self) -> tuple[bool, bool]:
        return self.layer is not None, not self.key.startswith("network.")


def _apply(change: _Change, table: dict[str, Any]) -> str:
    """Write the change into the table of a recipe. Returns the key in full."""
    section, _, key = change.key.rpartition(".")
    place, layer = table[section] if section else table, change.layer
    if layer is None and isinstance(place, dict):
        place[key] = change.value
        return change.key
    if isinstance(place, dict):
        hidden = table["network"]["hidden"]
        layers = len(hidden) if isinstance(hidden, list | tuple) else 1  # refused later
        place = table[section] = [dict(place) for _ in range(layers)]
    if layer is None:
        having = [number for number, part in enumerate(place, start=1) if key in part]
        if len(having) != 1:
            every = having or range(1, len(place) + 1)
            meant = " and ".join(f"{section}.{number}.{key}" for number in every)
            raise RecipeError(f"--set {change.given}: {meant} are meant; write one in full.")
        (layer,) = having
    if not 1 <= layer <= len(place):
        raise RecipeError(
            f"--set {change.given}: layer {layer}; there are tables for layers 1 to {len(place)}."
        )
    place[layer - 1][key] = change.value
    return f"{section}.{layer}.{key}"


def _parse_change(change: str, known: list[str]) -> _Change:
    """``key=value``, the key found from its last part where that is enough."""
    change = " ".join(change.split())  # a message is one line
    name, _, source = (part.strip() for part in change.partition("="))
    if not name or not source:
        raise RecipeError(f"--set {change}: not of the form key=value, such as epochs=30.")
    numbered = LAYER_KEY.fullmatch(name)
    key = f"neuron.{numbered['key']}" if numbered else name
    fitting = [key] if key in known else [name for name in known if name.endswith(f".{key}")]
    if not fitting:
        raise RecipeError(f"--set {change}: no such key. {toml.nearest(key, known)}")
    layer = int(numbered["layer"]) if numbered else None
    try:
        value = toml.parse_value(source)
    except ValueError as error:
        raise RecipeError(
            f"--set {change}: {source} is not a TOML value ({error}). "
            "Write a number, true or false, a word, or a list such as [3, 5]."
        ) from None
    return _Change(change, fitting[0], layer, value)
