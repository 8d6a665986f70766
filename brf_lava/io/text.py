"""Reads text files, and the JSON in them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from brf_lava.errors import BrfLavaError
from brf_lava.io.foreign import reading
from brf_lava.io.printable import shortened


def read_text(path: Path, fault: Callable[[str], BrfLavaError], remedy: str) -> str:
    """Read a UTF-8 text. fault, remedy: of the error for a file that is none, see `reading`."""
    with reading(path, "a text in UTF-8", fault, remedy):
        return path.read_bytes().decode()


def parse_json(text: str, where: str, fault: Callable[[str], BrfLavaError], remedy: str) -> Any:
    """Parse a JSON text, in which no object may have a key twice.

    where: what to call it in messages, such as its path. fault, remedy: as of `read_text`.
    """
    try:
        return json.loads(text, object_pairs_hook=_once)
    except (ValueError, RecursionError) as error:
        reason = "nested too deeply" if isinstance(error, RecursionError) else shortened(error)
        raise fault(f"{where}: not valid JSON ({reason}). {remedy}") from None


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object, which may have no key twice: the standard leaves open which value is meant."""
    table = dict(pairs)
    if len(table) < len(pairs):
        keys = [key for key, _ in pairs]
        raise ValueError(f"{next(key for key in keys if keys.count(key) > 1)} stands there twice")
    return table
