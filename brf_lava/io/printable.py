"""Text as a terminal may be given it: a file's name, or what is in the file, can hold anything.

Control characters, which a terminal obeys, are spelled out, and so is what has no encoding: bytes
of a name that are not UTF-8 reach Python as lone surrogates.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TextIO, cast

# All but tab and line feed; those that turn the direction of writing; lone surrogates
UNPRINTABLE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]"
)
# What rich draws progress bars on stderr with: a return, and moves and colors of the cursor
DRAWN = re.compile(f"(\r|\x1b\\[[0-?]*[ -/]*[@-~])|{UNPRINTABLE.pattern}")


def printable(text: str) -> str:
    r"""The text with all of that spelled out, as ``\x1b``; line feeds stay."""
    return UNPRINTABLE.sub(_spelled, text)


def on_one_line(name: object) -> str:
    r"""The text of a name, as of a file, within a line: printable, line feeds as ``\n``."""
    return printable(str(name)).replace("\n", "\\n")


def _spelled(found: re.Match[str]) -> str:
    return found.group().encode("unicode_escape").decode()


def _around_drawings(text: str) -> str:
    return DRAWN.sub(lambda found: found.group(1) or _spelled(found), text)


class _Printable:
    """A text stream that gets printable text alone. unescaped: the stream itself."""

    def __init__(self, stream: TextIO, *, drawings: bool) -> None:
        self.unescaped = stream
        self._make = _around_drawings if drawings else printable

    def write(self, text: str) -> int:
        self.unescaped.write(self._make(text))
        return len(text)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.unescaped, name)


def _wrapped(stream: TextIO | None, *, drawings: bool) -> TextIO:
    """None is a stream that whoever started the program has closed."""
    if stream is None:
        return cast(TextIO, stream)
    reconfigure = getattr(stream, "reconfigure", None)
    if reconfigure is not None:
        reconfigure(errors="backslashreplace")
    return cast(TextIO, _Printable(stream, drawings=drawings))


@contextmanager
def printable_streams() -> Iterator[None]:
    """Meanwhile stdout and stderr spell out what is not printable, and what they cannot encode.

    On stderr drawings pass. Whoever draws on stdout takes `unescaped`, and sees to its texts.
    """
    before = sys.stdout, sys.stderr
    wrapped = _wrapped(sys.stdout, drawings=False), _wrapped(sys.stderr, drawings=True)
    sys.stdout, sys.stderr = wrapped
    try:
        yield
    finally:  # click leaves streams of its own behind a closed pipe: those stay
        if sys.stdout is wrapped[0]:
            sys.stdout = before[0]
        if sys.stderr is wrapped[1]:
            sys.stderr = before[1]


def unescaped(stream: TextIO) -> TextIO:
    """The stream below one of `printable_streams`; any other itself."""
    found: TextIO = getattr(stream, "unescaped", stream)
    return found
