"""Arrays out of files of other people: NumPy's .npy and .npz, and HDF5. Nothing is unpickled."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from brf_lava.errors import DataError

HDF5_SUFFIXES = (".h5", ".hdf5")


def read_npy(path: Path) -> npt.NDArray[Any]:
    """The array of a .npy. Raises: DataError for a file that is missing or damaged."""
    content = _load(path)
    if not isinstance(content, np.ndarray):
        raise damaged(path, "several arrays", "one, of a .npy")
    return content


def read_npz(path: Path, names: Iterable[str] | None = None) -> dict[str, npt.NDArray[Any]]:
    """The named arrays of a .npz, or all. Raises: DataError as `read_npy`, and naming what it has.

    An array that is not asked for is not read.
    """
    archive = _load(path)
    if isinstance(archive, np.ndarray):
        raise damaged(path, "a single array", "a .npz")
    with archive:
        wanted = tuple(archive.files if names is None else names)
        _check_names(path, wanted, archive.files)
        try:
            return {name: archive[name] for name in wanted}
        except (
            Exception
        ) as error:  # damage surfaces in zip, zlib and NumPy, as errors of many kinds
            raise damaged(path, f"damage ({type(error).__name__})", "arrays of numbers") from None


def read_hdf5(path: Path, names: Iterable[str]) -> dict[str, npt.NDArray[Any]]:
    """The named arrays of an HDF5 file; a name may be a path. Raises: as `read_npz`."""
    import h5py

    _check_readable(path)
    try:
        with h5py.File(path, "r") as file:
            found: list[str] = []
            file.visititems(
                lambda name, item: found.append(name) if isinstance(item, h5py.Dataset) else None
            )
            wanted = {name: name.strip("/") for name in names}
            _check_names(path, wanted.values(), found)
            return {name: np.asarray(file[inside][()]) for name, inside in wanted.items()}
    except DataError:
        raise
    except Exception as error:  # damage surfaces in HDF5 as errors of many kinds
        raise damaged(path, f"damage ({type(error).__name__})", "an HDF5 file") from None


def read_arrays(path: Path, names: Iterable[str]) -> dict[str, npt.NDArray[Any]]:
    """The named arrays of a .npz or an HDF5 file, by its suffix. Raises: as `read_npz`."""
    suffix = path.suffix.lower()
    if suffix == ".npz":
        return read_npz(path, names)
    if suffix in HDF5_SUFFIXES:
        return read_hdf5(path, names)
    raise DataError(
        f"{path}: arrays are read from .npz, {' and '.join(HDF5_SUFFIXES)}. Save them as one of "
        "these."
    )


def damaged(path: Path, found: str, expected: str) -> DataError:
    """The error of a file whose content is not what it should be."""
    return DataError(
        f"{path}: {found}; expected {expected}. The file is damaged or another one: get it again."
    )


def _load(path: Path) -> Any:
    _check_readable(path)
    try:
        return np.load(path, allow_pickle=False)
    except Exception as error:  # as above
        raise damaged(path, f"damage ({type(error).__name__})", "an .npy or .npz") from None


def _check_readable(path: Path) -> None:
    try:
        with path.open("rb"):
            pass
    except OSError as error:
        raise DataError(
            f"{path}: cannot be read ({error.strerror}). Check that it exists and that you may "
            "read it."
        ) from None


def _check_names(path: Path, wanted: Iterable[str], found: Iterable[str]) -> None:
    there = tuple(found)
    for name in wanted:
        if name not in there:
            raise DataError(
                f"{path}: no array {name}; there are {', '.join(there) or 'none'}. Name one of "
                "these, or another file."
            )
