"""Reads arrays of other people's files, .npz and HDF5. Nothing is unpickled."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from brf_lava.errors import DataError
from brf_lava.io.files import HDF5_SUFFIXES
from brf_lava.io.foreign import guarded, reading


def read_arrays(path: Path, names: Collection[str]) -> dict[str, npt.NDArray[Any]]:
    """Read the named arrays of a .npz or an HDF5 file; in HDF5 a name may be a path.

    Raises: DataError if the file has another suffix, cannot be read or lacks an array.
    """
    suffix = path.suffix.lower()
    if suffix not in (".npz", *HDF5_SUFFIXES):
        allowed = " and ".join(HDF5_SUFFIXES)
        raise DataError(f"{path}: arrays are read from .npz, {allowed}. Save them as one of these.")
    with reading(path, f"a file with the arrays {', '.join(names)}"):
        if suffix == ".npz":
            return guarded(_read_npz, path, names)
        import h5py

        from brf_lava.io.hdf5 import open_hdf5

        with open_hdf5(path, names) as file:
            found: list[str] = []
            file.visititems(
                lambda name, item: found.append(name) if isinstance(item, h5py.Dataset) else None
            )
            return _picked(file, found, names)


def _read_npz(path: Path, names: Collection[str]) -> dict[str, npt.NDArray[Any]]:
    with np.load(path, allow_pickle=False) as file:
        return _picked(file, file.files, names)


def _picked(file: Any, found: list[str], names: Collection[str]) -> dict[str, npt.NDArray[Any]]:
    inside = {name: name.strip("/") for name in names}
    for name in inside.values():
        if name not in found:
            raise ValueError(f"no array {name}; there are {', '.join(found) or 'none'}")
    arrays = {name: file[path] for name, path in inside.items()}
    if raw := [name for name, array in arrays.items() if isinstance(array, bytes)]:
        raise ValueError(f"{raw[0]} is no array")  # a member of a .npz that is no .npy
    return {name: np.asarray(array[()]) for name, array in arrays.items()}
