"""Where data are looked for: a place that was named, BRF_LAVA_DATA, the user's cache folder."""

from __future__ import annotations

import os
from dataclasses import dataclass
from itertools import product
from pathlib import Path

from brf_lava.errors import DataError

DATA_VARIABLE = "BRF_LAVA_DATA"


@dataclass(frozen=True)
class DataFiles:
    """The files that hold the data of a task."""

    needs: str  # what they are, for messages
    choices: tuple[tuple[str, ...], ...]  # names read together; the first complete one is taken
    folders: tuple[str, ...]  # sub-folders that may hold them; "" is the folder itself
    get: str  # how to get them, for messages
    suffixes: tuple[str, ...] = ()  # of a single file that holds all of the data, whatever its name

    def find(self, data: Path | None) -> list[Path]:
        """Find the files at `data` alone or, without it, in BRF_LAVA_DATA or the cache folder.

        data: A folder, or one of the files. Returns none if the user named no place.
        Raises: DataError if a place that the user named does not exist, or does not have them.
        """
        where = DATA_VARIABLE if data is None else "--data"
        named = os.environ.get(DATA_VARIABLE) if data is None else data
        if named and not os.path.exists(named):
            raise DataError(f"{where}: {named} does not exist. {self.get}")
        places = [Path(named)] if named else []
        places += [cache_folder()] if data is None else []
        files = next(filter(None, map(self._complete, places)), [])
        if named and not files:
            raise DataError(f"{where}: {named} does not have {self.needs}. {self.get}")
        return files

    def require(self, data: Path | None) -> list[Path]:
        """Find the files as `find` does, and raise a DataError where they are nowhere."""
        if files := self.find(data):
            return files
        raise DataError(f"{self.needs}: not on this computer. {self.get}")

    def _complete(self, place: Path) -> list[Path]:
        is_file = os.path.isfile(place)  # False, no error, where it may not look
        if is_file and place.suffix in self.suffixes:
            return [place]
        folders = [place.parent] if is_file else [place / folder for folder in self.folders]
        choices = [names for names in self.choices if not is_file or place.name in names]
        for names, folder in product(choices, folders):
            files = [folder / name for name in names]
            if all(map(os.path.isfile, files)):
                return files
        return []


def cache_folder() -> Path:
    """``brf-lava/data`` in the user's cache folder; it need not exist."""
    from platformdirs import user_cache_path

    return user_cache_path("brf-lava", appauthor=False) / "data"
