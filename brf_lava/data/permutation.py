"""The random order of the steps in a permuted task, such as PS-MNIST.

One permutation belongs to a trained network as much as its weights: another one makes other data.
"""

from __future__ import annotations

import operator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from brf_lava.data.arrays import read_npy, read_npz
from brf_lava.errors import DataError
from brf_lava.io.text import read_text

SUFFIXES = (".npy", ".npz", ".pt", ".txt")
IDENTITY = "identity"  # in place of a file: the steps in their own order


def permutation_from_seed(seed: int, steps: int = 28 * 28) -> npt.NDArray[np.int64]:
    """A random permutation, int64 [steps]; the same for a seed on every machine and NumPy.

    Raises: DataError for a negative seed.
    """
    if operator.index(seed) < 0:
        raise DataError(f"permutation: seed {seed}; must be 0 or more. Choose another.")
    # NumPy freezes the streams of RandomState for good, those of its newer Generator not.
    bits = np.random.MT19937(np.random.SeedSequence(seed))
    return np.random.RandomState(bits).permutation(steps).astype(np.int64)


def read_permutation(path: Path, steps: int = 28 * 28) -> npt.NDArray[np.int64]:
    """A permutation, int64 [steps], from a file.

    .npy or .npz: one array. .txt: numbers between white space or commas. .pt: one torch tensor, as
    the published reference code stores it next to its checkpoints. Step t shows pixel
    permutation[t]. `IDENTITY`, which is no file, is the order of the pixels themselves.
    Raises: DataError for a file that cannot be read or holds anything else.
    """
    if str(path) == IDENTITY:
        return np.arange(steps, dtype=np.int64)
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        raise DataError(
            f"{path}: a permutation is read from {', '.join(SUFFIXES)}, not {suffix or 'this'}. "
            f"Name such a file, or {IDENTITY} for the steps in their own order."
        )
    readers = {".npy": read_npy, ".npz": _read_npz, ".pt": _read_torch, ".txt": _read_text}
    values = readers[suffix](path)
    check_permutation(values, steps, str(path))
    return values.astype(np.int64)


def check_permutation(values: npt.NDArray[Any], steps: int, where: str) -> None:
    """Raises: DataError, which begins with `where`, unless it is one of 0 to steps - 1."""
    expected = f"a permutation of 0 to {steps - 1}"
    if values.dtype.kind not in "iu" or values.shape != (steps,):
        raise DataError(
            f"{where}: {values.dtype} of shape {list(values.shape)}; must be {expected}, "
            f"{steps} integers. Name another."
        )
    count = np.zeros(steps, dtype=np.int64)
    inside = (values >= 0) & (values < steps)
    np.add.at(count, values[inside].astype(np.int64), 1)
    if not inside.all():
        found = f"{values[~inside][0]} in it"
    elif (count != 1).any():
        found = f"no {np.flatnonzero(count == 0)[0]} in it"
    else:
        return
    raise DataError(f"{where}: {found}; must be {expected}, each once. Name another.")


def _read_npz(path: Path) -> npt.NDArray[Any]:
    arrays = read_npz(path)
    if len(arrays) != 1:
        raise DataError(
            f"{path}: holds {len(arrays)} arrays; must hold the permutation alone. Save it as .npy."
        )
    return next(iter(arrays.values()))


def _read_text(path: Path) -> npt.NDArray[Any]:
    words = read_text(path, DataError, "Name another.").replace(",", " ").split()
    try:
        return np.array([int(word) for word in words], dtype=np.int64)
    except (ValueError, OverflowError):
        raise DataError(
            f"{path}: not a list of integers; must be numbers with white space or commas between "
            "them. Correct it or name another."
        ) from None


def _read_torch(path: Path) -> npt.NDArray[Any]:
    import torch

    from brf_lava.io.torch_file import load_torch_file

    try:
        content = load_torch_file(path)
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}). Name another.") from None
    except Exception as error:  # damage surfaces in torch as errors of many kinds
        raise DataError(
            f"{path}: not a torch file of plain tensors ({type(error).__name__}). Save the "
            "permutation with torch.save, or as .npy."
        ) from None
    if not isinstance(content, torch.Tensor):
        raise DataError(
            f"{path}: holds a {type(content).__name__}; must hold one tensor, the permutation. "
            "Name the file next to the checkpoint, not the checkpoint itself."
        )
    try:
        values: npt.NDArray[Any] = content.detach().numpy()
    except (RuntimeError, TypeError):  # sparse, quantized or of a type that NumPy lacks
        raise DataError(
            f"{path}: a {_name(content.layout)} tensor of {_name(content.dtype)}; must hold a "
            "dense one of integers, the permutation. Convert it, or save it as .npy."
        ) from None
    return values


def _name(of: object) -> str:
    """A layout or a dtype of torch: ``torch.int64`` as int64."""
    return str(of).removeprefix("torch.")
