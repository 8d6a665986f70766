"""Where data are looked for: a place that was named, BRF_LAVA_DATA, the user's cache folder."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from brf_lava.errors import DataError

DATA_VARIABLE = "BRF_LAVA_DATA"
CACHE = "the cache folder"

Found = TypeVar("Found")


class NotHereError(DataError):
    """The place exists, but does not hold all the files looked for."""


def look(data: Path | None, search: Callable[[Path, str], Found]) -> Found | None:
    """What `search` finds in the first of these places, or None.

    1. `data`, if given, and nowhere else then;
    2. what the environment variable BRF_LAVA_DATA names, unless empty;
    3. `cache_folder`.

    search: takes the place and how the user named it, for the message; raises `NotHereError` if the
    files are not there, DataError if the place cannot be meant. Raises: what `search` does, for a
    place that was named; `NotHereError` of the variable only if the cache has no files either.
    """
    if data is not None:
        return search(data, "--data")
    variable = os.environ.get(DATA_VARIABLE)
    if not variable:
        return _cached(search)
    try:
        return search(Path(variable), DATA_VARIABLE)
    except NotHereError:
        found = _cached(search)
        if found is None:
            raise
        return found


def cache_folder() -> Path:
    """``brf-lava/data`` in the user's cache folder; it need not exist."""
    from platformdirs import user_cache_path

    return user_cache_path("brf-lava", appauthor=False) / "data"


def first_complete(place: Path, folders: tuple[str, ...], names: tuple[str, ...]) -> list[Path]:
    """The files `names` in the first of the sub-folders that holds them all, or an empty list."""
    for folder in folders:
        files = [place / folder / name for name in names]
        if all(os.path.isfile(file) for file in files):  # False, no error, where it may not look
            return files
    return []


def _cached(search: Callable[[Path, str], Found]) -> Found | None:
    folder = cache_folder()
    if not os.path.isdir(folder):
        return None
    try:
        return search(folder, CACHE)
    except NotHereError:
        return None
