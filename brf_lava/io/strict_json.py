"""JSON in which a key that an object has twice is refused.

Which of its two values is meant, JSON leaves open.
"""

from __future__ import annotations

import json
from typing import Any


class TwiceError(ValueError):
    """A key that an object has twice, with its name."""

    def __init__(self, key: str) -> None:
        super().__init__(f"{key} stands there twice")


def parse(source: str) -> Any:
    """What a JSON text says. Raises: TwiceError; ValueError or RecursionError for no such text."""
    return json.loads(source, object_pairs_hook=_once)


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise TwiceError(key)
        found[key] = value
    return found
