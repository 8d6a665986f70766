"""Opens HDF5 files that somebody else may have written."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from functools import partial
from math import prod
from pathlib import Path
from typing import Any

import h5py
from h5py import h5d, h5o, h5t, h5z

from brf_lava.io.foreign import DEFLATED, check_regular, check_size, rehearse

BLOCK = 256  # lists that are read at once, here and by whoever reads lists
NUMBERS_AND_TEXTS = (h5t.INTEGER, h5t.FLOAT, h5t.ENUM, h5t.STRING, h5t.COMPOUND)


@contextmanager
def open_hdf5(path: Path, names: Collection[str] | None = None) -> Iterator[h5py.File]:
    """Open a file of which nothing leads elsewhere, loops, crashes or fills the memory.

    All of it is walked through, and read once in a process of its own; see `foreign.rehearse`.

    Args:
        path: The file.
        names: Paths in it of all that will be read; None for everything, attributes included.

    Raises:
        OSError: The file cannot be opened.
        ValueError: It has external or dangling links, groups in themselves, data in other files,
            filters that are not installed, references, or more values than the file can hold; or
            `foreign.rehearse` says so.
    """
    check_regular(path)
    readable = rehearse(partial(_read_through, path, names))
    with h5py.File(path, "r") as file:
        _checked(file, path, names)
        if not readable:
            raise ValueError("not all of it can be read")
        yield file


def _checked(file: h5py.File, path: Path, names: Collection[str] | None) -> list[Any]:
    """The objects that will be read. Raises: ValueError, as `open_hdf5`."""
    seen, groups, items, soft = {_address(file)}, [file["/"]], [file["/"]], []
    while groups:
        group = groups.pop()
        for name in group:
            link, where = group.get(name, getlink=True), f"{group.name}/{name}".strip("/")
            if isinstance(link, h5py.SoftLink):
                soft.append(where)  # followed when it can lead nowhere else
                continue
            if not isinstance(link, h5py.HardLink):
                raise ValueError(f"{where} is a link to another file")
            item = group[name]
            known = _address(item) in seen
            seen.add(_address(item))
            if isinstance(item, h5py.Group):
                if known:
                    raise ValueError(f"group {where} is there twice, or in itself")
                groups.append(item)
            elif isinstance(item, h5py.Dataset):
                plan = item.id.get_create_plist()
                if plan.get_layout() == h5d.VIRTUAL or plan.get_external_count():
                    raise ValueError(f"the values of {where} are in another file")
                filters = [plan.get_filter(number)[0] for number in range(plan.get_nfilters())]
                if not all(map(h5z.filter_avail, filters)):
                    raise ValueError(f"{where} needs filters {filters}, not all installed")
            items += [] if known else [item]
    for where in soft:
        if file.get(where) is None:
            raise ValueError(f"{where} is a link to nothing")
    if names is not None:  # by whatever links
        items = [file[name] for name in names if name in file]
    _check_sizes([item for item in items if isinstance(item, h5py.Dataset)], path.stat().st_size)
    return items


def _address(item: Any) -> int:
    return int(h5o.get_info(item.id).addr)


def _check_sizes(datasets: list[h5py.Dataset], size: int) -> None:
    """Compare what data sets declare with the bytes of the file, and with what is allowed."""
    total, needed = 0, 0.0
    for dataset in datasets:
        kind, plan = dataset.id.get_type(), dataset.id.get_create_plist()
        while kind.get_class() in (h5t.VLEN, h5t.ARRAY):
            kind = kind.get_super()
        if kind.get_class() not in NUMBERS_AND_TEXTS:
            raise ValueError(f"{dataset.name} has neither numbers nor text")
        packed, values = plan.get_nfilters() > 0, prod(dataset.shape or ())
        if packed:  # a chunk is unpacked as a whole
            values = max(values, prod(plan.get_chunk()))
        declared = values * dataset.id.get_type().get_size()
        total, needed = total + declared, needed + declared / (DEFLATED if packed else 1)
        if needed > size:
            raise ValueError(f"{dataset.name} declares {values:,} values, more than the file has")
        check_size(total, dataset.name)


def _read_through(path: Path, names: Collection[str] | None) -> None:
    """Read all that a reader may read."""
    with h5py.File(path, "r") as file:
        for item in _checked(file, path, names):
            if names is None:
                dict(item.attrs)
            if isinstance(item, h5py.Dataset):
                lists = item.dtype.kind == "O" and item.ndim > 0
                for start in range(0, len(item), BLOCK) if lists else ():
                    item[start : start + BLOCK]
                if not lists:
                    item[()]
