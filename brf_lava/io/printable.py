"""Text as a terminal may show it: a file's name, or what is in the file, can hold anything.

Control characters and what has no encoding are spelled out where text is printed: in
`printable_streams` for all that click writes, and in `report.make_console` for what rich draws.
"""

from __future__ import annotations

import re
import reprlib
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TextIO, cast

# Control characters but tab and line feed; those that turn the direction of writing; and lone
# surrogates, as which bytes of a name that are not UTF-8 reach Python
UNPRINTABLE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]"
)


class _Short(reprlib.Repr):
    def repr_instance(self, value: object, level: int) -> str:
        if type(value).__module__.startswith("torch"):  # computes to be shown: may hang in a fork
            return type(value).__name__
        return super().repr_instance(value, level)


_SHORT = _Short()
_SHORT.maxstring = _SHORT.maxother = 80
_SHORT.maxlevel = 1


def printable(text: str) -> str:
    r"""The text with all of that spelled out, as ``\x1b``; line feeds stay."""
    return UNPRINTABLE.sub(lambda found: found.group().encode("unicode_escape").decode(), text)


def on_one_line(name: object) -> str:
    r"""The text of a name, as of a file, for a line of output: line feeds as ``\n``."""
    return str(name).replace("\n", "\\n")


def brief(value: object) -> str:
    """A value out of a file as a message shows it, however long or deep it is."""
    try:
        return _SHORT.repr(value)
    except ValueError:  # an integer of thousands of digits
        return type(value).__name__


def shortened(error: BaseException) -> str:
    """What an error of another package says, on one line and not too long."""
    text = " ".join(str(error).split())[:240]
    return text if re.search("[A-Za-z]", text) else f"{type(error).__name__} {text}".rstrip()


class _Printable:
    """A text stream that gets printable text alone. unescaped: the stream itself."""

    def __init__(self, stream: TextIO) -> None:
        self.unescaped = stream
        if reconfigure := getattr(stream, "reconfigure", None):
            reconfigure(errors="backslashreplace")

    def write(self, text: str) -> int:
        self.unescaped.write(printable(text))
        return len(text)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.unescaped, name)


@contextmanager
def printable_streams() -> Iterator[None]:
    """Meanwhile stdout and stderr spell out what is not printable, and what they cannot encode.

    A stream that whoever started the program has closed is None, and stays so.
    """
    before = {"stdout": sys.stdout, "stderr": sys.stderr}
    vars(sys).update({name: stream and _Printable(stream) for name, stream in before.items()})
    try:
        yield
    finally:
        for name, stream in before.items():
            if isinstance(getattr(sys, name), _Printable):  # click's, behind a closed pipe, stay
                setattr(sys, name, stream)


def unescaped(stream: TextIO) -> TextIO:
    """The stream below one of `printable_streams`, for rich to draw on; any other itself."""
    return cast(TextIO, getattr(stream, "unescaped", stream))
