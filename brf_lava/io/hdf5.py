"""Opens HDF5 files that somebody else may have written."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import h5py

from brf_lava.io.foreign import rehearse

LARGEST_RATIO = 2000  # of values to the file that holds them: gzip packs zeros to a thousandth


@contextmanager
def open_hdf5(path: Path, names: Collection[str] | None = None) -> Iterator[h5py.File]:
    """Open a file whose data are all in it, after they were read once, see `foreign.rehearse`.

    names: paths in it of all that will be read; None for everything, attributes included.
    Raises: ValueError if it has links to other files or data in them, or what is read declares more
    than can be in it, and as `rehearse`; or whatever h5py raises.
    """
    rehearse(partial(_read_through, path, names))
    with h5py.File(path, "r") as file:
        _items(file, path, names)
        yield file


def _items(file: h5py.File, path: Path, names: Collection[str] | None) -> list[Any]:
    """All objects that will be read. Raises: ValueError as `open_hdf5`, before any is."""
    links: list[tuple[str, Any]] = []
    file.visititems_links(lambda name, link: links.append((name, link)))
    items, most = [file["/"]], LARGEST_RATIO * path.stat().st_size
    for name, link in links:
        if isinstance(link, h5py.ExternalLink):
            raise ValueError(f"{name} is a link to another file")
        if isinstance(link, h5py.HardLink):
            items.append(item := file[name])
            if isinstance(item, h5py.Dataset) and (item.is_virtual or item.external):
                raise ValueError(f"the values of {name} are in another file")
    items = items if names is None else [file[name] for name in names if name in file]
    for item in items:
        if isinstance(item, h5py.Dataset) and (item.nbytes or 0) > most:
            raise ValueError(f"{item.name} declares {item.nbytes:,} bytes, more than can be there")
    return items


def _read_through(path: Path, names: Collection[str] | None) -> None:
    with h5py.File(path, "r") as file:
        for item in _items(file, path, names):
            if names is None:
                dict(item.attrs)
            if isinstance(item, h5py.Dataset):
                item[()]
