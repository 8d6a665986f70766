"""Reads arrays of other people's files, .npz and HDF5. Nothing is unpickled."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from brf_lava.errors import BrfLavaError, DataError
from brf_lava.io.foreign import check_regular, guarded
from brf_lava.io.printable import shortened

HDF5_SUFFIXES = (".h5", ".hdf5")


@contextmanager
def reading(path: Path, expected: str) -> Iterator[None]:
    """Turn whatever goes wrong while a file is read into a DataError.

    Damage surfaces in zip, zlib, HDF5, SciPy, torch and wfdb as errors of many kinds.

    Args:
        path: The file.
        expected: What it should be, for the message.
    """
    try:
        check_regular(path)
        yield
    except (BrfLavaError, MemoryError):
        raise
    except Exception as error:
        if isinstance(error, OSError) and error.errno:
            raise DataError(
                f"{error.filename or path}: cannot be read ({os.strerror(error.errno)}). Check "
                "that it exists and that you may read it."
            ) from None
        problem = shortened(error).partition(". ")[0]  # NumPy's next sentence is no advice of ours
        raise DataError(
            f"{path}: not {expected} ({problem}). The file is damaged or another one: get it again."
        ) from None


def read_arrays(path: Path, names: Collection[str]) -> dict[str, npt.NDArray[Any]]:
    """Read the named arrays of a .npz or an HDF5 file; in HDF5 a name may be a path.

    Raises:
        DataError: The file has another suffix, cannot be read or lacks an array.
    """
    suffix = path.suffix.lower()
    if suffix not in (".npz", *HDF5_SUFFIXES):
        raise DataError(
            f"{path}: arrays are read from .npz, {' and '.join(HDF5_SUFFIXES)}. Save them as one "
            "of these."
        )
    with reading(path, f"a file with the arrays {', '.join(names)}"):
        if suffix == ".npz":
            return guarded(partial(_read_npz, path, names))
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
