"""Where data are looked for: a place that was named, BRF_LAVA_DATA, the user's cache folder."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

from brf_lava.errors import DataError

DATA_VARIABLE = "BRF_LAVA_DATA"
CACHE = "the cache folder"

Found = TypeVar("Found")


class NotHereError(DataError):
    """The place exists, but does not hold all the files looked for."""


def look(data: Path | None, search: Callable[[Path, str], Found]) -> Found | None:
    """Search `data` alone or, without it, what BRF_LAVA_DATA names and then `cache_folder`.

    Args:
        data: The place that the user named.
        search: Takes a place and how the user named it, for error messages. Raises `NotHereError`
            if the files are not there, DataError if the place cannot be meant.

    Returns:
        What `search` returns for the first place that has the files, or None.

    Raises:
        DataError: `search` raises it for a place that the user named; for BRF_LAVA_DATA a
            `NotHereError` only counts if the cache folder has no files either.
    """
    if data is not None:
        return search(data, "--data")
    not_here = None
    if variable := os.environ.get(DATA_VARIABLE):
        try:
            return search(Path(variable), DATA_VARIABLE)
        except NotHereError as error:
            not_here = error
    if os.path.isdir(cache_folder()):
        with suppress(NotHereError):
            return search(cache_folder(), CACHE)
    if not_here is not None:
        raise not_here
    return None


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
