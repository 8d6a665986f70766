"""TOML to frozen dataclasses and back, refusing whatever is not declared.

A dataclass declares each of its keys with a rule, ``epochs: Annotated[int, whole(1)]``; a key
whose type is such a dataclass is a section. A section marked with `Variant` has one dataclass or
another, as a key before it says, and may be there several times. Nothing has a default: a file
states everything, or it is refused. Recipes and profiles are read with this.
"""

from __future__ import annotations

import difflib
import json
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, is_dataclass
from typing import Any, TypeVar, get_type_hints

from brf_lava.errors import BrfLavaError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

Value = Any  # what a TOML key can hold
Section = TypeVar("Section")
Fault = Callable[[str], BrfLavaError]  # makes the error a module raises of its message


@dataclass(frozen=True)
class Rule:
    """What one key may hold. convert: the value to keep, or None to refuse it."""

    allowed: str
    convert: Callable[[Value], Any]


@dataclass(frozen=True)
class Variant:
    """A section whose keys depend on the value of another key.

    It is one table, or an array of tables, ``[[neuron]]``; in names of keys these are counted from
    1, ``neuron.2.omega``. Where the other key holds a list, its values go with the tables in turn;
    one table is enough where they are all the same.

    key: that one, dotted, in a section declared before. kinds: the dataclass for each value of it.
    """

    key: str
    kinds: Mapping[str, type[Any]]

    def chosen(self, built: Mapping[str, Any]) -> str | tuple[str, ...]:
        """What the key holds, in the sections built so far."""
        section, _, key = self.key.rpartition(".")
        value: str | tuple[str, ...] = getattr(built[section], key) if section else built[key]
        return value


def whole(low: int, high: int | None = None) -> Rule:
    """A key that holds an integer from low to high, both allowed."""
    return Rule(
        f"a whole number, {low} or more" if high is None else f"a whole number, {low} to {high}",
        lambda value: value if _is_whole(value, low, high) else None,
    )


def zero_or_whole(low: int, high: int) -> Rule:
    """A key that holds 0 or an integer from low to high, both allowed."""
    return Rule(
        f"0, or a whole number, {low} to {high}",
        lambda value: value if _is_whole(value, low, high) or _is_whole(value, 0, 0) else None,
    )


@dataclass(frozen=True)
class Interval:
    """The finite numbers from `low`, or above `above`, to `high`, or below `below`."""

    low: float | None = None
    above: float | None = None
    below: float | None = None
    high: float | None = None

    def __contains__(self, value: float) -> bool:
        return (
            abs(value) <= sys.float_info.max  # neither NaN nor infinite, nor a huge integer
            and (self.low is None or value >= self.low)
            and (self.above is None or value > self.above)
            and (self.below is None or value < self.below)
            and (self.high is None or value <= self.high)
        )

    def __str__(self) -> str:
        parts = (
            ("at least", self.low),
            ("above", self.above),
            ("below", self.below),
            ("at most", self.high),
        )
        return " and ".join(f"{word} {limit:g}" for word, limit in parts if limit is not None)


def real(interval: Interval) -> Rule:
    """A key that holds a number in this interval."""
    return Rule(f"a number {interval}", lambda value: _real(value, interval))


def choice(names: Iterable[str]) -> Rule:
    """A key that holds one of these strings."""
    known = tuple(names)
    return Rule(
        f"one of {', '.join(map(to_toml, known))}",
        lambda value: value if isinstance(value, str) and value in known else None,
    )


def choice_or_file(names: Iterable[str], suffix: str) -> Rule:
    """A key that holds one of these strings, or the path of a file with this suffix."""
    known = choice(names)

    def convert(value: Value) -> Any:
        is_path = isinstance(value, str) and value.endswith(suffix) and value.isprintable()
        return value if is_path else known.convert(value)

    return Rule(f"{known.allowed}, or the path of a {suffix} file", convert)


def flag() -> Rule:
    """A key that holds true or false."""
    return Rule("true or false", lambda value: value if isinstance(value, bool) else None)


def text() -> Rule:
    """A key that holds a string that is not empty."""
    return Rule(
        "a string that is not empty",
        lambda value: value if isinstance(value, str) and value else None,
    )


def wholes(low: int) -> Rule:
    """A key that holds a list of one or more integers, each low or more."""
    return Rule(
        f"a list of whole numbers, each {low} or more",
        lambda value: _several(value, lambda item: item if _is_whole(item, low, None) else None),
    )


def one_or_list(rule: Rule) -> Rule:
    """A key that holds one value by this rule, itself no list, or a list of one or more."""

    def convert(value: Value) -> Any:
        return _several(value, rule.convert) if isinstance(value, list) else rule.convert(value)

    return Rule(f"{rule.allowed}, or a list of them", convert)


def texts(least: int = 1) -> Rule:
    """A key that holds a list of so many strings or more."""
    return Rule(
        "a list of strings" if least <= 1 else f"a list of {least} or more strings",
        lambda value: _several(value, lambda item: item if isinstance(item, str) else None, least),
    )


def span(interval: Interval) -> Rule:
    """A key that holds a range [low, high] within this interval, low at most high."""

    def convert(value: Value) -> Any:
        ends = _several(value, lambda item: _real(item, interval))
        return ends if ends and len(ends) == 2 and ends[0] <= ends[1] else None

    return Rule(f"a range [low, high] of numbers {interval}, low first", convert)


def _is_whole(value: Value, low: int, high: int | None) -> bool:
    return type(value) is int and value >= low and (high is None or value <= high)


def _real(value: Value, interval: Interval) -> float | None:
    return float(value) if type(value) in (int, float) and value in interval else None


def _several(
    value: Value, convert: Callable[[Value], Any], least: int = 1
) -> tuple[Any, ...] | None:
    if not isinstance(value, list) or len(value) < least:
        return None
    items = tuple(convert(item) for item in value)
    return None if any(item is None for item in items) else items


def read_table(source: str, where: str, fault: Fault) -> dict[str, Value]:
    """The tables of a TOML text. Raises: `fault` with the line of a syntax error."""
    try:
        table: dict[str, Value] = tomllib.loads(source)
        return table
    except tomllib.TOMLDecodeError as error:
        lines = source.count("\n") + 1
        message = str(error).replace("at end of document", f"at line {lines}, the last one")
        raise fault(f"{where}: not valid TOML: {message}. Mend that line.") from None
    except (RecursionError, ValueError) as error:  # nested too deeply, or an integer without end
        reason = "nested too deeply" if isinstance(error, RecursionError) else str(error)[:80]
        raise fault(f"{where}: no TOML that can be read ({reason}). Name another file.") from None


def build(kind: type[Section], table: dict[str, Value], where: str, fault: Fault) -> Section:
    """An object of the dataclass `kind` from TOML tables.

    where: the file, for messages. Raises: `fault` for a key that is unknown or missing and for a
    value that its rule refuses.
    """

    def section(
        kind: type[Any], table: dict[str, Value], prefix: str, reason: str, known: list[str]
    ) -> Any:
        rules, sections = _rules(kind), _sections(kind)
        for key in table:
            if key not in rules and key not in sections:
                name = prefix + key
                hint = (
                    f"no such key where {reason}; leave it out. There are {', '.join(rules)}."
                    if name in known  # of another variant
                    else f"no such key. {nearest(name, known)}"
                )
                raise fault(f"{where}: {name}: {hint}")
        values: dict[str, Any] = {}
        for key in [*rules, *sections]:
            name = prefix + key
            if key not in table:
                raise fault(f"{where}: {name} is missing, and nothing has a default. Add it.")
            value = table[key]
            part = sections.get(key)
            if part is None:
                values[key] = _checked(rules[key], value, f"{where}: {name}", fault)
            elif isinstance(part, Variant):
                chosen = part.chosen(values)
                kinds = _kinds_of_tables(part, chosen, value, name, where, fault)
                why = f"{part.key} = {shown(chosen)}"
                if isinstance(value, dict):
                    values[key] = section(kinds[0], value, f"{name}.", why, known)
                else:
                    values[key] = tuple(
                        section(each, inner, f"{name}.{number}.", why, _of(name, number, known))
                        for number, (each, inner) in enumerate(
                            zip(kinds, value, strict=True), start=1
                        )
                    )
            elif isinstance(value, dict):
                values[key] = section(part, value, f"{name}.", reason, known)
            else:
                raise fault(f"{where}: {name}: {shown(value)}; a section [{name}] is needed.")
        return kind(**values)

    built: Section = section(kind, table, "", "", [*leaves(kind), *_sections(kind)])
    return built


def _kinds_of_tables(
    part: Variant,
    chosen: str | tuple[str, ...],
    value: Value,
    name: str,
    where: str,
    fault: Fault,
) -> list[type[Any]]:
    """The dataclass of each table in `value`, of which there must be one, or one for each choice.

    chosen: what the variant's key holds. name: of the section.
    """
    tables = [value] if isinstance(value, dict) else value
    if not isinstance(tables, list) or not all(isinstance(table, dict) for table in tables):
        raise fault(
            f"{where}: {name}: {shown(value)}; a section [{name}], or several [[{name}]], is "
            "needed."
        )
    names = (chosen,) * len(tables) if isinstance(chosen, str) else chosen
    if isinstance(value, dict) and len(set(names)) == 1:
        names = names[:1]
    if len(names) != len(tables):
        found = "one table" if isinstance(value, dict) else f"the number of tables is {len(value)}"
        raise fault(
            f"{where}: {name}: {found}, but {part.key} = {shown(chosen)}. Write one [[{name}]] "
            "table for each."
        )
    return [part.kinds[each] for each in names]


def _of(section: str, number: int, known: list[str]) -> list[str]:
    """The known keys, those of `section` as they are called in its table of this number."""
    prefix = f"{section}."
    return [
        f"{prefix}{number}.{name.removeprefix(prefix)}" if name.startswith(prefix) else name
        for name in known
    ]


def _checked(rule: Rule, value: Value, where: str, fault: Fault) -> Any:
    converted = rule.convert(value)
    if converted is None:
        raise fault(f"{where}: {shown(value)}; allowed is {rule.allowed}.")
    return converted


def _rules(kind: type[Any]) -> dict[str, Rule]:
    """The keys that hold a value. A field that is neither this nor a section is no key."""
    marks = _marks(kind)
    return {name: mark for name, mark in marks.items() if isinstance(mark, Rule)}


def _sections(kind: type[Any]) -> dict[str, type[Any] | Variant]:
    return {name: mark for name, mark in _marks(kind).items() if _is_section(mark)}


def _is_section(mark: Any) -> bool:
    return isinstance(mark, Variant) or (isinstance(mark, type) and is_dataclass(mark))


def _marks(kind: type[Any]) -> Mapping[str, Any]:
    """What each field is annotated with, else its type."""
    if kind not in _READ:  # evaluating annotations takes most of the time that a recipe takes
        hints = get_type_hints(kind, include_extras=True)
        _READ[kind] = {
            name: getattr(hint, "__metadata__", (hint,))[0] for name, hint in hints.items()
        }
    return _READ[kind]


_READ: dict[type[Any], Mapping[str, Any]] = {}


def leaves(kind: type[Any]) -> list[str]:
    """All keys that hold a value, dotted: ``training.epochs``; of variants, those of each."""
    found = list(_rules(kind))
    for name, section in _sections(kind).items():
        kinds = section.kinds.values() if isinstance(section, Variant) else [section]
        inner = dict.fromkeys(leaf for part in kinds for leaf in leaves(part))
        found += [f"{name}.{leaf}" for leaf in inner]
    return found


def nearest(key: str, known: list[str]) -> str:
    """A sentence that names the known key most like `key`, or all of them."""
    bare = key.rpartition(".")[2]
    by_bare = {name.rpartition(".")[2]: name for name in known}
    if bare in by_bare:
        return f"Did you mean {by_bare[bare]}?"
    close = difflib.get_close_matches(key, known, n=1, cutoff=0.7)
    close += [by_bare[match] for match in difflib.get_close_matches(bare, by_bare, n=1)]
    return f"Did you mean {close[0]}?" if close else f"Known are {', '.join(known)}."


def parse_value(source: str) -> Value:
    """One TOML value; a bare word that is no TOML is a string. Raises: ValueError."""
    try:
        table = tomllib.loads(f"value = {source}")
    except tomllib.TOMLDecodeError as error:
        if source.replace("-", "").replace("_", "").isalnum():
            return source
        raise ValueError(str(error)) from None
    if set(table) != {"value"}:
        raise ValueError("more than one value")
    return table["value"]


def shown(value: Value) -> str:
    """A value as it stands in a message: as TOML, or by its type where that says more."""
    plain = isinstance(value, (bool, int, float, str, list, tuple))
    return to_toml(value) if plain else repr(value)


def to_toml(value: Value) -> str:
    """One value as TOML."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(map(to_toml, value))}]"
    return repr(value)


def write_table(instance: Any) -> str:
    """A dataclass as TOML: its own keys first, then one section after another."""
    kind = type(instance)
    lines = [f"{name} = {to_toml(getattr(instance, name))}" for name in _rules(kind)]
    for name in _sections(kind):
        part = getattr(instance, name)
        head, parts = (f"[[{name}]]", part) if isinstance(part, tuple) else (f"[{name}]", (part,))
        for each in parts:
            lines += ["", head, write_table(each).rstrip("\n")]
    return "\n".join(lines) + "\n"
