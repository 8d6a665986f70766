"""Loads torch files that strangers may have written."""

from __future__ import annotations

import io
import pickle
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import torch

from brf_lava.io.foreign import check_regular, check_size, check_zip, rehearse

SHARED = 2  # tensors that may share the same bytes of a file


def load_torch_file(path: Path) -> Any:
    """What ``torch.load(weights_only=True)`` returns, on the CPU, on every version of torch.

    Before 2.6, ``weights_only`` did not hold for TorchScript archives, which run code of their own,
    and for tar archives, which were unpacked to disk. Both are refused here: the archives are
    looked for with torch's own test, and tar archives are only read from files, not from memory.
    Raises: OSError if the file cannot be read; ValueError if its tensors are not plain ones, or
    stand for more than is in the file; UnpicklingError, and whatever else torch raises, if it is
    damaged or holds more than tensors and plain values.
    """
    check_regular(path)
    check_size(path.stat().st_size)
    rehearse(partial(_load, path))
    contents = _load(path)
    declared = sum(map(_size, _tensors(contents)))
    if declared > SHARED * path.stat().st_size:
        raise ValueError(f"its tensors declare {declared:,} bytes, more than the file has")
    return contents


def _load(path: Path) -> Any:
    file = io.BytesIO(path.read_bytes())
    serialization: Any = torch.serialization  # its tests of a file's kind are private and untyped
    if serialization._is_zipfile(file):
        with serialization._open_zipfile_reader(file) as archive:
            if serialization._is_torchscript_zip(archive):
                raise pickle.UnpicklingError("a TorchScript archive")
        check_zip(path, ratio=1)  # torch does not compress
    file.seek(0)
    return torch.load(file, map_location="cpu", weights_only=True)


def _tensors(contents: Any) -> Iterator[torch.Tensor]:
    """All tensors in plain containers, which may hold each other."""
    seen, left = set(), [contents]
    while left:
        value = left.pop()
        if isinstance(value, torch.Tensor):
            yield value
        elif isinstance(value, dict | list | tuple | set) and id(value) not in seen:
            seen.add(id(value))
            left += [*value, *value.values()] if isinstance(value, dict) else value


def _size(tensor: torch.Tensor) -> int:
    """In bytes. Raises: ValueError for a tensor of another kind than a dense one on the CPU."""
    plain = tensor.layout == torch.strided and tensor.device.type == "cpu"
    if not plain or tensor.is_quantized or tensor.is_nested:
        raise ValueError(f"a tensor of {tensor.layout} on {tensor.device}, not a plain one")
    return tensor.numel() * tensor.element_size()
