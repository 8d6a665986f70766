"""model.pt: a trained network with everything needed to repeat, export or judge it.

The file is a torch archive of plain values and tensors and loads with ``weights_only=True``.
"""

from __future__ import annotations

import hashlib
import io
import pickle
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from brf_lava.config.recipe import Recipe, parse_stored
from brf_lava.data.dataset import DataSource
from brf_lava.errors import CheckpointError, ParameterError
from brf_lava.io.files import write_bytes
from brf_lava.io.printable import shortened
from brf_lava.io.torch_file import load_torch_file
from brf_lava.network.activity import FloatActivity
from brf_lava.neurons.families import Neuron
from brf_lava.neurons.own import load_neuron
from brf_lava.train.model import Metrics, Network

FORMAT = "brf-lava-model"
SCHEMA = 3  # 1 had neither input_scale nor permutation; recipes had fewer keys before


@dataclass(frozen=True)
class Checkpoint:
    """A trained network.

    recipe:      as used, overrides included
    seed:        of initial values, split and data order; None when imported
    origin:      "trained", or the published file it was imported from
    inputs, classes: channels in, class names
    epoch, epochs_done: the best epoch by validation loss, and how many were run; 0 when imported
    data:        what it was trained and measured on
    metrics:     on the test split; activity: what it did there, sample by sample
    state_dict:  of `model.Network`
    input_scale: what the values of the data are times, see `data.dataset.Dataset`
    permutation: [T], step t shows step permutation[t] of the data; None for their own order
    """

    recipe: Recipe
    seed: int | None
    origin: str
    inputs: int
    classes: tuple[str, ...]
    epoch: int
    epochs_done: int
    data: DataSource
    metrics: Metrics
    activity: FloatActivity
    state_dict: dict[str, Tensor]
    versions: dict[str, str]
    input_scale: float = 1.0
    permutation: NDArray[np.int64] | None = None

    @property
    def fingerprint(self) -> str:
        """SHA-256, in hex, over the names and bytes of all trained parameters."""
        digest = hashlib.sha256()
        for name, value in sorted(self.state_dict.items()):
            digest.update(name.encode() + value.detach().cpu().numpy().tobytes())
        return digest.hexdigest()

    def model(self) -> Network:
        """The network with these weights, on the CPU."""
        classes = len(self.classes)
        network = Network(self.recipe, self.inputs, classes, input_scale=self.input_scale)
        network.load_state_dict(self.state_dict)
        return network


def save_checkpoint(checkpoint: Checkpoint, path: Path) -> None:
    """Write `checkpoint` to `path`. Raises: BrfLavaError when that fails; the old file stays."""
    contents = {
        "format": FORMAT,
        "schema": SCHEMA,
        "versions": checkpoint.versions,
        "recipe": checkpoint.recipe.text,
        **own_neurons(checkpoint.recipe),
        "seed": checkpoint.seed,
        "origin": checkpoint.origin,
        "inputs": checkpoint.inputs,
        "classes": list(checkpoint.classes),
        "epoch": checkpoint.epoch,
        "epochs_done": checkpoint.epochs_done,
        "data": asdict(checkpoint.data),
        "metrics": checkpoint.metrics.as_dict(),
        "predictions": torch.from_numpy(checkpoint.activity.predictions),
        "sops": torch.from_numpy(checkpoint.activity.sops),
        "input_scale": checkpoint.input_scale,
        "permutation": permutation_tensor(checkpoint.permutation),
        "state_dict": {
            name: value.detach().cpu().clone() for name, value in checkpoint.state_dict.items()
        },
    }
    write_archive(contents, path)


def load_checkpoint(path: str | Path) -> Checkpoint:
    """Read a model file that `brf_lava.Trainer`, ``brf-lava train`` or ``import`` wrote.

    Args:
        path: The file, usually named ``model.pt``.

    Returns:
        The model with its recipe, its metrics and what it was trained on.

    Raises:
        CheckpointError: If the file is missing, damaged, of another kind or of a newer schema.
    """
    path = Path(path)
    contents = read_archive(path, FORMAT, SCHEMA)
    try:
        checkpoint = Checkpoint(
            recipe=stored_recipe(contents, path),
            seed=contents["seed"],
            origin=contents["origin"],
            inputs=contents["inputs"],
            classes=tuple(contents["classes"]),
            epoch=contents["epoch"],
            epochs_done=contents["epochs_done"],
            data=DataSource(**contents["data"]),
            metrics=Metrics(**contents["metrics"]),
            activity=FloatActivity(contents["predictions"].numpy(), contents["sops"].numpy()),
            state_dict=contents["state_dict"],
            versions=contents["versions"],
            input_scale=contents.get("input_scale", 1.0),
            permutation=permutation_array(contents.get("permutation")),
        )
        checkpoint.model()
    except (KeyError, TypeError, AttributeError, RuntimeError) as error:
        raise CheckpointError(
            f"{path}: damaged model file ({type(error).__name__}: {shortened(error)}). "
            "Train or import it again."
        ) from error
    return checkpoint


def stored_recipe(contents: dict[str, Any], path: Path) -> Recipe:
    """The recipe in a model file or a training state, of whichever schema."""
    stored = contents.get("neurons", {})

    def find(name: str) -> Neuron:
        sha256 = stored[name]["sha256"] if name in stored else None
        if not isinstance(sha256, str):  # load_neuron runs any file if there is none to compare
            raise ParameterError(f"{name}: no digest of its file is stored, so it is not run.")
        return load_neuron(stored[name]["neuron"], (Path(), path.parent), sha256)

    where = f"{path} (stored recipe)"
    return parse_stored(contents["recipe"], contents["schema"], where, find)


def own_neurons(recipe: Recipe) -> dict[str, Any]:
    """What a model file or a training state keeps to find the user's own neurons again, if any."""
    named = {
        name: {"neuron": neuron.source.reference, "sha256": neuron.source.sha256}
        for name, neuron in recipe.own.items()
        if neuron.source is not None
    }
    return {"neurons": named} if named else {}


def permutation_tensor(permutation: NDArray[np.int64] | None) -> Tensor | None:
    """As a torch archive keeps it."""
    return None if permutation is None else torch.from_numpy(permutation)


def permutation_array(stored: Tensor | None) -> NDArray[np.int64] | None:
    """Back from what `permutation_tensor` returned."""
    return None if stored is None else stored.numpy()


def write_archive(contents: dict[str, Any], path: Path) -> None:
    """torch.save in memory, as its errors on a full disk say nothing clear, then write."""
    buffer = io.BytesIO()
    torch.save(contents, buffer)
    write_bytes(path, buffer.getvalue())


def read_torch_file(path: Path) -> Any:
    """What a torch file holds, tensors and plain values only. Raises: CheckpointError."""
    if not path.is_file():
        problem = "not a file" if path.exists() else "no such file"
        raise CheckpointError(f"{path}: {problem}. Name a model file.")
    try:
        return load_torch_file(path)
    except (pickle.UnpicklingError, RuntimeError, EOFError, ValueError, KeyError, OSError) as error:
        raise CheckpointError(
            f"{path}: not a torch file of plain tensors, or damaged ({type(error).__name__}). Name "
            "a model file that 'brf-lava train' or 'brf-lava import' wrote, or, to import, a "
            "checkpoint of the reference code."
        ) from error


def read_archive(path: Path, expected_format: str, schema: int) -> dict[str, Any]:
    """A torch file of ours of the expected kind and a schema from 1 to `schema`."""
    contents: dict[str, Any] = read_torch_file(path)
    found = contents.get("format") if isinstance(contents, dict) else None
    if found != expected_format:
        remedy = (
            "A checkpoint of the reference code needs 'brf-lava import' first."
            if isinstance(contents, dict) and "model_state_dict" in contents
            else "Name a file written by 'brf-lava train' or 'brf-lava import'."
        )
        raise CheckpointError(f"{path}: format {found!r}, expected {expected_format!r}. {remedy}")
    if contents.get("schema") not in range(1, schema + 1):
        writer = contents.get("versions", {}).get("brf_lava", "unknown")
        raise CheckpointError(
            f"{path}: schema {contents.get('schema')!r}, this version reads 1 to {schema}. It was "
            f"written by brf-lava {writer}: use that version, or train again."
        )
    return contents
