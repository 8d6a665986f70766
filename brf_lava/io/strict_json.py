"""JSON in which no object may have a key twice: the standard leaves open which value is meant."""

from __future__ import annotations

import json
from typing import Any


def parse(source: str) -> Any:
    """What a JSON text says. Raises: ValueError or RecursionError for anything else."""
    return json.loads(source, object_pairs_hook=_once)


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    table = dict(pairs)
    if len(table) < len(pairs):
        keys = [key for key, _ in pairs]
        raise ValueError(f"{next(key for key in keys if keys.count(key) > 1)} stands there twice")
    return table
