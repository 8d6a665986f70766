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
    """Open a file of which nothing can lead elsewhere, loop, crash or fill the memory.

    All of it is walked through and read once in a process of its own, see `foreign.rehearse`.

    Args:
        path: The file.
        names: Paths in it of all that will be read; None for everything, attributes included.

    Yields:
        The open file.

    Raises:
        OSError: The file cannot be opened.
        ValueError: It has external or dangling links, groups within themselves, data in other
            files, filters that the library does not have, or references; or it declares more
            values than it can hold, `foreign.DEFLATED` times its size where they are compressed;
            or `foreign.rehearse` says so.
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
    wanted = None if names is None else {name.strip("/") for name in names}
    seen, groups, read, soft = {_address(file)}, [file["/"]], [file["/"]], []
    while groups:
        group = groups.pop()
        for name in group:
            link = group.get(name, getlink=True)
            where = f"{group.name.strip('/')}/{name}".strip("/")
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
                _check_storage(item, where)
            if not known and (wanted is None or where in wanted):
                read.append(item)
    for where in soft:
        if file.get(where) is None:
            raise ValueError(f"{where} is a link to nothing")
    _check_sizes([item for item in read if isinstance(item, h5py.Dataset)], path.stat().st_size)
    return read


def _address(item: Any) -> int:
    return int(h5o.get_info(item.id).addr)


def _check_storage(dataset: h5py.Dataset, where: str) -> None:
    plan = dataset.id.get_create_plist()
    if plan.get_layout() == h5d.VIRTUAL or plan.get_external_count():
        raise ValueError(f"the values of {where} are in another file")
    for number in range(plan.get_nfilters()):
        code = plan.get_filter(number)[0]
        if not h5z.filter_avail(code):
            raise ValueError(f"{where} needs filter {code}, which is not installed")


def _check_sizes(datasets: list[h5py.Dataset], size: int) -> None:
    """What data sets declare, compared with the bytes of the file and with what is allowed."""
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
        total += values * dataset.id.get_type().get_size()
        needed += values * dataset.id.get_type().get_size() / (DEFLATED if packed else 1)
        if needed > size:
            raise ValueError(
                f"{dataset.name} declares {values:,} values, more than a file of {size:,} bytes has"
            )
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
