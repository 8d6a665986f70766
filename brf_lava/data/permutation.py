"""The random order of the steps in a permuted task, such as PS-MNIST.

One permutation belongs to a trained network as much as its weights: another one makes other data.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from brf_lava.errors import DataError
from brf_lava.io.foreign import guarded, reading

IDENTITY = "identity"  # in place of a file: the steps in their own order
KINDS = {
    ".npy": "an .npy of one array",
    ".pt": "a torch file of plain tensors, the permutation alone",
    ".txt": "a text of integers with white space or commas between them",
}


def permutation_from_seed(seed: int, steps: int = 28 * 28) -> npt.NDArray[np.int64]:
    """Draw a permutation, int64 [steps]; the same for a seed on every machine and NumPy."""
    # NumPy freezes the streams of RandomState for good, those of its newer Generator not.
    bits = np.random.MT19937(np.random.SeedSequence(seed))
    return np.random.RandomState(bits).permutation(steps).astype(np.int64)


def read_permutation(path: Path, steps: int = 28 * 28) -> npt.NDArray[np.int64]:
    """Read a permutation, int64 [steps]: step t shows pixel permutation[t].

    path: One of `KINDS`: the published reference code stores a .pt next to its checkpoints. Or
    `IDENTITY`, which is no file, for the order of the pixels themselves.
    Raises: DataError if the file cannot be read or holds anything else.
    """
    if str(path) == IDENTITY:
        return np.arange(steps, dtype=np.int64)
    suffix = path.suffix.lower()
    if suffix not in KINDS:
        raise DataError(
            f"{path}: a permutation is read from {', '.join(KINDS)}, not {suffix or 'this'}. Name "
            f"such a file, or {IDENTITY} for the steps in their own order."
        )
    with reading(path, KINDS[suffix]):
        values = np.asarray(_read(path, suffix))
    check_permutation(values, steps, str(path))
    return values.astype(np.int64)


def check_permutation(values: npt.NDArray[Any], steps: int, where: str) -> None:
    """Raise a DataError, which begins with `where`, unless it is one of 0 to steps - 1."""
    found = f"{values.dtype} of shape {list(values.shape)}"
    if values.dtype.kind in "iu" and values.shape == (steps,):
        missing = np.setdiff1d(np.arange(steps), values)
        if not len(missing):
            return
        found = f"no {missing[0]} in it"
    allowed = f"a permutation of 0 to {steps - 1}, {steps} integers, each once"
    raise DataError(f"{where}: {found}; must be {allowed}. Name another.")


def _read(path: Path, suffix: str) -> Any:
    if suffix == ".npy":
        return guarded(np.load, path, allow_pickle=False)
    if suffix == ".txt":
        return np.array(list(map(int, path.read_text("utf-8").replace(",", " ").split())))
    import torch

    from brf_lava.io.torch_file import load_torch_file

    contents = load_torch_file(path)
    if isinstance(contents, list | tuple) and not all(isinstance(each, int) for each in contents):
        raise ValueError("a list of other things than integers")
    return torch.as_tensor(contents).numpy()
