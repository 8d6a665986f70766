"""Loads torch files that strangers may have written."""

from __future__ import annotations

import io
import pickle
from pathlib import Path
from typing import Any

import torch

from brf_lava.io.foreign import guarded


def load_torch_file(path: Path) -> Any:
    """What ``torch.load(weights_only=True)`` returns, on the CPU, on every version of torch.

    Before 2.6, ``weights_only`` did not hold for TorchScript archives, which run code of their own,
    and for tar archives, which were unpacked to disk. Both are refused here: the archives are
    looked for with torch's own test, and tar archives are only read from files, not from memory.
    Raises: OSError if the file cannot be read; ValueError as `foreign.guarded`; UnpicklingError,
    and whatever else torch raises, if it is damaged or holds more than tensors and plain values.
    """
    return guarded(_load, path)


def _load(path: Path) -> Any:
    file = io.BytesIO(path.read_bytes())
    serialization: Any = torch.serialization  # its tests of a file's kind are private and untyped
    if serialization._is_zipfile(file):
        with serialization._open_zipfile_reader(file) as archive:
            if serialization._is_torchscript_zip(archive):
                raise pickle.UnpicklingError("a TorchScript archive")
    file.seek(0)
    return torch.load(file, map_location="cpu", weights_only=True)
