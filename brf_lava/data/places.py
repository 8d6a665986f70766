"""Where data are looked for: a place that was named, BRF_LAVA_DATA, the user's cache folder."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from brf_lava.errors import DataError

DATA_VARIABLE = "BRF_LAVA_DATA"


@dataclass(frozen=True)
class DataFiles:
    """The files that hold the data of a task.

    Attributes:
        needs: What they are, for messages.
        choices: Names of files that are read together; the first choice that is complete is taken.
        folders: Sub-folders that may hold them; "" is the folder itself.
        get: How to get them, for messages.
        suffixes: Of a single file that holds all of the data, whatever its name.
    """

    needs: str
    choices: tuple[tuple[str, ...], ...]
    folders: tuple[str, ...]
    get: str
    suffixes: tuple[str, ...] = ()

    def find(self, data: Path | None) -> list[Path]:
        """Find the files at `data` alone or, without it, in BRF_LAVA_DATA or the cache folder.

        Args:
            data: A folder, or one of the files.

        Returns:
            The files of a choice; none if they are nowhere and the user named no place.

        Raises:
            DataError: The place that the user named does not exist, or does not have them.
        """
        where = DATA_VARIABLE if data is None else "--data"
        named = os.environ.get(DATA_VARIABLE) if data is None else data
        if named and not os.path.exists(named):
            raise DataError(f"{where}: {named} does not exist. {self.get}")
        places = [Path(named)] if named else []
        if data is None:
            places.append(cache_folder())
        for place in places:
            if files := self._complete(place):
                return files
        if named:
            raise DataError(f"{where}: {named} does not have {self.needs}. {self.get}")
        return []

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
        for names in self.choices:
            if is_file and place.name not in names:
                continue
            for folder in folders:
                files = [folder / name for name in names]
                if all(map(os.path.isfile, files)):
                    return files
        return []


def cache_folder() -> Path:
    """``brf-lava/data`` in the user's cache folder; it need not exist."""
    from platformdirs import user_cache_path

    return user_cache_path("brf-lava", appauthor=False) / "data"
