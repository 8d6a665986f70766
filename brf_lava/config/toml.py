"""TOML and JSON tables as dataclasses, checked by msgspec, with messages for the file's author.

A dataclass is the specification of a file, and a field that is a dataclass itself is a section. A
ValueError of its ``__post_init__``, such as "omega: ...", is reported with the section's path.
"""

from __future__ import annotations

import difflib
import json
import re
import sys
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from functools import cache
from typing import Annotated, Any, TypeVar

import msgspec
from msgspec import Meta, inspect

from brf_lava.errors import BrfLavaError
from brf_lava.neurons.record import FRACTION, NOT_NEGATIVE, POSITIVE, Interval

T = TypeVar("T")
Fault = Callable[[str], BrfLavaError]  # makes an error from its message

LARGEST = sys.float_info.max  # as an upper limit: neither NaN nor infinite
SHOWN = 80  # letters of a refused value in a message
_type_info: Callable[[Any], inspect.Type] = cache(inspect.type_info)


def number(allowed: Interval) -> Meta:
    """A finite number of this interval."""
    high = LARGEST if allowed.high is allowed.below is None else allowed.high
    limits: dict[str, Any] = {"ge": allowed.low, "gt": allowed.above, "lt": allowed.below}
    return Meta(**limits, le=high, description=f"a number {allowed}")


def choice(names: Iterable[str], others: str = "", text: str = "") -> Meta:
    """One of these strings, or one that matches the pattern `others`, which `text` describes."""
    known = tuple(names)
    pattern = "|".join([*map(re.escape, known), *filter(None, [others])])
    description = f"one of {', '.join(map(to_toml, known))}" + (text and f", or {text}")
    return Meta(pattern=rf"^({pattern})\Z", description=description)


Positive = Annotated[float, number(POSITIVE)]
NotNegative = Annotated[float, number(NOT_NEGATIVE)]
Fraction = Annotated[float, number(FRACTION)]
Share = Annotated[float, number(Interval(low=0, high=1))]
Whole = Annotated[int, Meta(ge=0)]
Count = Annotated[int, Meta(ge=1)]
Name = Annotated[str, Meta(min_length=1)]


def read_table(source: str, where: str, fault: Fault) -> dict[str, Any]:
    """Parse a TOML text, called `where` in messages. `fault` makes the error that is raised."""
    try:
        table: dict[str, Any] = msgspec.toml.decode(source)
        return table
    except (msgspec.DecodeError, RecursionError, ValueError) as error:
        raise fault(f"{where}: not valid TOML: {str(error)[:SHOWN]}. Correct it.") from None


def build(
    kind: type[T],
    table: Mapping[str, Any],
    where: str,
    fault: Fault,
    prefix: str = "",
    known: Iterable[str] = (),
    chosen: str = "",
) -> T:
    """Make a dataclass of a table, or a section of it, in which every key must be declared.

    Args:
        where, fault: As of `read_table`, also for a missing key and a value that is not allowed.
        prefix: Where a section is in its file, such as ``neuron.2.``.
        known: Dotted keys that the file could have elsewhere or with another choice; by default
            those of `kind`.
        chosen: That choice, such as ``network.neuron = "RF"``, where `known` has keys of others.
    """
    known = [*(known or leaves(kind))]
    known += filter(None, dict.fromkeys(key.rpartition(".")[0] for key in known))
    for key, declared in _unknown(_type_info(kind), table, prefix):
        hint = f"no such key. {nearest(key, known)}"
        if chosen and key in known:
            hint = f"no such key where {chosen}; leave it out. There are {', '.join(declared)}."
        raise fault(f"{where}: {key[: 2 * SHOWN]}: {hint}")
    return convert(kind, table, where, fault, prefix=prefix)


def convert(
    kind: type[T], value: Any, where: str, fault: Fault, remedy: str = "", prefix: str = ""
) -> T:
    """`build` for any value of TOML or JSON, which ignores undeclared keys; remedy: what to do."""
    try:
        return msgspec.convert(value, kind)
    except msgspec.ValidationError as error:
        message = _explained(str(error), _type_info(kind), value, remedy)
        raise fault(f"{where}: {prefix}{message}") from None


def _explained(message: str, kind: Any, value: Any, remedy: str) -> str:
    """A message of msgspec, such as "Expected `float` > 0.0 - at `$.neuron.dt`", in our words."""
    text, path = re.findall(r"(?s)^(.*?)(?: - at `\$([\w.[\]]*)`)?\Z", message)[0]
    steps = []
    for step in re.findall(r"\w+", path):
        part = getattr(kind, "item_type", kind)
        if hasattr(kind, "fields"):
            part = next(field.type for field in kind.fields if field.name == step)
        if step.isdigit() and not hasattr(part, "fields"):
            break  # a list of plain values is shown as a whole
        kind, value = part, value[int(step)] if step.isdigit() else value[step]
        steps.append(str(int(step) + 1) if step.isdigit() else step)
    name = ".".join(steps)
    if text.startswith("Object missing required field"):
        key = f"{name}.{text.split('`')[1]}".removeprefix(".")
        return f"{key} is missing. {remedy or 'Add it.'}"
    if hasattr(kind, "fields") and not text.startswith("Expected"):
        return f"{name}.{text}".removeprefix(".")  # what __post_init__ raised
    given = to_toml(value)
    given = given if len(given) <= SHOWN else f"{given[:SHOWN]}..."
    return f"{name and f'{name}: '}{given}; allowed is {_allowed(kind)}. {remedy}".rstrip()


def _allowed(kind: Any) -> str:
    """What a type allows, in words; a fixed tuple or a dict needs a `Meta` with a description."""
    match kind:
        case inspect.Metadata(extra_json_schema={"description": str(text)}):
            return text
        case inspect.UnionType(types=(one, inspect.VarTupleType())):
            return f"{_allowed(one)}, or a list of them"
        case inspect.UnionType(types=kinds):
            return ", or ".join(map(_allowed, kinds))
        case inspect.LiteralType(values=values):
            return "one of " * (len(values) > 1) + ", ".join(map(to_toml, values))
        case inspect.VarTupleType(item_type=item, min_length=least):
            return f"a list{' of one or more' * bool(least)}, each {_allowed(item)}"
        case inspect.IntType(ge=low, le=high):
            return f"a whole number, {low} " + ("or more" if high is None else f"to {high}")
        case inspect.StrType(min_length=least):
            return "a string" + " that is not empty" * bool(least)
        case inspect.BoolType():
            return "true or false"
        case inspect.NoneType():
            return "null"
        case _:
            return f"a table with the keys {', '.join(field.name for field in kind.fields)}"


def _unknown(kind: Any, value: Any, prefix: str) -> Iterator[tuple[str, list[str]]]:
    """The keys that a table has and its type has not, dotted, with those that there are."""
    if isinstance(kind, inspect.VarTupleType) and isinstance(value, list | tuple):
        for number, item in enumerate(value, start=1):
            yield from _unknown(kind.item_type, item, f"{prefix}{number}.")
    elif hasattr(kind, "fields") and isinstance(value, Mapping):
        types = {field.name: field.type for field in kind.fields}
        for key, item in value.items():
            if key in types:
                yield from _unknown(types[key], item, f"{prefix}{key}.")
            else:
                yield prefix + (str(key) if str(key).isprintable() else to_toml(key)), list(types)


def leaves(kind: Any, key: str = "") -> list[str]:
    """All keys of a dataclass that hold a value, dotted: ``training.epochs``."""
    kind = _type_info(kind) if isinstance(kind, type) else kind
    if not hasattr(kind, "fields"):
        return [key]
    parts = ((field.type, f"{key}.{field.name}".removeprefix(".")) for field in kind.fields)
    return [leaf for part in parts for leaf in leaves(*part)]


def nearest(name: str, known: Collection[str], every: bool = False) -> str:
    """What to say of an unknown name or dotted key: the known one most like it, if any, or all."""
    bare = name.rpartition(".")[2].lower()
    by_bare = {each.rpartition(".")[2]: each for each in known}
    close = [by_bare[bare]] if bare in by_bare else []
    close += difflib.get_close_matches(name, known, n=1, cutoff=0.7)
    close += [by_bare[match] for match in difflib.get_close_matches(bare, by_bare, n=1)]
    sentences = [f"Did you mean {close[0]}?"] if close else []
    if every or not close:
        sentences.append(f"There are {', '.join(known)}.")
    return " ".join(sentences)


def parse_value(source: str) -> Any:
    """One TOML value; a bare word or path that is not TOML is a string. Raises: ValueError."""
    try:
        table = msgspec.toml.decode(f"value = {source}")
    except msgspec.DecodeError:
        if re.fullmatch(r"[\w./:-]+", source):
            return source
        raise
    if set(table) != {"value"}:
        raise ValueError("more than one value")
    return table["value"]


def to_toml(value: Any) -> str:
    """A value as TOML, where it can be, and as a message shows it."""
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(to_toml, value))}]"
    text = json.dumps(value, ensure_ascii=False, default=repr).replace("\x7f", "\\u007f")
    return repr(value) if isinstance(value, float) else text  # JSON spells nan and inf otherwise


def dotted(table: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """The values of a table by their dotted keys; the tables in a list are numbered from 1."""
    values: dict[str, Any] = {}
    for key, value in table.items():
        if isinstance(value, tuple | list) and value and isinstance(value[0], dict):
            value = {str(number): part for number, part in enumerate(value, start=1)}
        name = f"{prefix}{key}"
        values |= dotted(value, f"{name}.") if isinstance(value, dict) else {name: value}
    return values


def write_table(table: Mapping[str, Any]) -> str:
    """A table as TOML: its values first, then one section after another."""
    values, sections = [], []
    for name, value in table.items():
        parts = value if isinstance(value, list | tuple) else [value]
        if not parts or not isinstance(parts[0], dict):
            values.append(f"{name} = {to_toml(value)}")
            continue
        head = f"[{name}]" if parts is not value else f"[[{name}]]"
        sections += [f"\n{head}\n{write_table(part)}".rstrip("\n") for part in parts]
    return "\n".join([*values, *sections]) + "\n"
