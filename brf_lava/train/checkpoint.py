"""model.pt: a trained network with everything needed to repeat, export, judge or train it on.

The file is a torch archive of plain values and tensors and loads with ``weights_only=True``.
"""

from __future__ import annotations

import hashlib
import io
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from brf_lava.config.recipe import Recipe, override, parse_recipe
from brf_lava.config.toml import Whole
from brf_lava.data.dataset import Dataset, DataSource
from brf_lava.errors import BrfLavaError, CheckpointError, ParameterError
from brf_lava.io.files import HDF5, TORCH, Kind, begins, check_writable, refuse_others
from brf_lava.io.foreign import reading
from brf_lava.io.printable import brief
from brf_lava.io.seal import DAMAGED, has_seal, write_sealed
from brf_lava.io.torch_file import load_torch_file
from brf_lava.network.activity import FloatActivity
from brf_lava.network.file import read_network
from brf_lava.neurons.families import Neuron
from brf_lava.neurons.own import load_neuron
from brf_lava.train.model import Metrics, Network, evaluate, training_bytes
from brf_lava.versions import versions

FORMAT = "brf-lava-model"
KIND = Kind("a model of brf-lava", TORCH, FORMAT)
SCHEMA = 4
REMEDY = "Name a file of 'brf-lava train' or, to import, a checkpoint of the reference code."
PLAIN = ("seed", "origin", "inputs", "epoch", "epochs_done", "versions", "state_dict")
TYPES = {  # of what a model file or a training state may have
    "format": str,
    "recipe": str,
    "origin": str,
    "device": str,
    "versions": dict[str, str],
    **dict.fromkeys(("inputs", "epoch", "epochs_done", "best_epoch", "processes"), Whole),
    "seed": Whole | None,
    "input_scale": float,
    "best_loss": float,
    "classes": list[str],
    "data": DataSource,
    "metrics": Metrics,
    "reports": list[dict[str, float | bool]],
}
_Types: Any = msgspec.defstruct("Types", [(name, kind, None) for name, kind in TYPES.items()])
# What a network has or not, as its recipe says
OPTIONAL = ("recurrent_mask", "state_bits", "unit_share")


@dataclass(frozen=True)
class Checkpoint:
    """A trained network."""

    recipe: Recipe  # as used, overrides included
    seed: int | None  # of initial values, split and data order; None when imported
    origin: str  # "trained", or the published file it was imported from
    inputs: int
    classes: tuple[str, ...]
    epoch: int  # the best one by validation loss; 0 when imported
    epochs_done: int
    data: DataSource  # what it was trained and measured on
    metrics: Metrics  # on the test split
    activity: FloatActivity  # what it did there, sample by sample
    state_dict: dict[str, Tensor]  # of `model.Network`
    versions: dict[str, str]
    input_scale: float = 1.0  # what the values of the data are times, see `data.dataset.Dataset`
    permutation: NDArray[np.int64] | None = None  # [T], step t shows step permutation[t]

    @property
    def fingerprint(self) -> str:
        """SHA-256, in hex, over the names and bytes of all trained parameters."""
        digest = hashlib.sha256()
        for name, value in sorted(self.state_dict.items()):
            digest.update(name.encode() + value.detach().cpu().numpy().tobytes())
        return digest.hexdigest()

    @property
    def provenance(self) -> dict[str, Any]:
        """What a network file says of the model that it was exported from."""
        return {
            "task": self.recipe.task,
            "classes": list(self.classes),
            "recipe": self.recipe.text,
            **own_neurons(self.recipe),
            "seed": self.seed,
            "origin": self.origin,
            "epoch": self.epoch,
            "decision": asdict(self.recipe.decision),
            "permutation": None if self.permutation is None else self.permutation.tolist(),
            "model": self.fingerprint,
            "data": asdict(self.data),
            "metrics": asdict(self.metrics),
        }

    def summary(self) -> dict[str, Any]:
        """Return what a program may want to know of it."""
        recipe = {"recipe": self.recipe.name, "task": self.recipe.task, "seed": self.seed}
        epochs = {"epoch": self.epoch, "epochs": self.epochs_done}
        return {**recipe, **epochs, "metrics": self.metrics, "data": self.data}

    def model(self) -> Network:
        """The network with these weights, on the CPU."""
        classes = len(self.classes)
        network = Network(self.recipe, self.inputs, classes, input_scale=self.input_scale)
        network.load_state_dict(self.state_dict)
        return network


def measured(
    recipe: Recipe,
    dataset: Dataset,
    state_dict: dict[str, Tensor],
    device: torch.device,
    **history: Any,
) -> Checkpoint:
    """A checkpoint measured on the test half. history: seed, origin, epoch and epochs_done."""
    inputs, classes = dataset.train.x.shape[2], len(dataset.classes)
    network = Network(recipe, inputs, classes, input_scale=dataset.input_scale).to(device)
    network.load_state_dict(state_dict)
    metrics, activity = evaluate(network, dataset.test, device)
    return Checkpoint(
        **history,
        recipe=recipe,
        inputs=inputs,
        classes=dataset.classes,
        data=dataset.source,
        metrics=metrics,
        activity=activity,
        state_dict=state_dict,
        versions=versions(),
        input_scale=dataset.input_scale,
        permutation=dataset.permutation,
    )


def save_checkpoint(checkpoint: Checkpoint, path: Path) -> None:
    """Write `checkpoint` to `path`. Raises: BrfLavaError when that fails; the old file stays."""
    tensors = checkpoint.state_dict.items()
    contents = {
        **header(FORMAT, checkpoint.recipe, checkpoint.data, checkpoint.permutation),
        **{name: getattr(checkpoint, name) for name in PLAIN},
        "classes": list(checkpoint.classes),
        "metrics": asdict(checkpoint.metrics),
        "predictions": torch.from_numpy(checkpoint.activity.predictions),
        "sops": torch.from_numpy(checkpoint.activity.sops),
        "input_scale": checkpoint.input_scale,
        "state_dict": {name: value.detach().cpu().clone() for name, value in tensors},
    }
    write_archive(contents, path, KIND)


def load_checkpoint(path: str | Path) -> Checkpoint:
    """Read a model file that `brf_lava.Trainer`, ``brf-lava train`` or ``import`` wrote.

    Args:
        path: The file, usually named ``model.pt``.

    Returns:
        The model with its recipe, its metrics and what it was trained on.

    Raises:
        CheckpointError: If the file is missing, damaged, of another kind or of another schema.
    """
    path = Path(path)
    contents = read_archive(path, FORMAT)
    with reading(path, "a whole model", CheckpointError, "Train or import it again."):
        checkpoint = Checkpoint(
            **{name: contents[name] for name in PLAIN},
            recipe=stored_recipe(contents, path),
            classes=tuple(contents["classes"]),
            data=DataSource(**contents["data"]),
            metrics=Metrics(**contents["metrics"]),
            activity=FloatActivity(contents["predictions"].numpy(), contents["sops"].numpy()),
            input_scale=contents["input_scale"],
            permutation=permutation_of(contents),
        )
        predictions, sops = checkpoint.activity.predictions, checkpoint.activity.sops
        sizes = checkpoint.inputs, len(checkpoint.classes)
        *_, weights = training_bytes(checkpoint.recipe, 1, 1, *sizes)
        needed = 4 * weights + predictions.nbytes + sops.nbytes
        if needed > path.stat().st_size:  # before so much is made
            raise ValueError(f"it declares {needed:,} bytes, more than it has")
        kinds = f"predictions {predictions.dtype}, sops {sops.dtype}"
        shapes = predictions.shape[:1], predictions.ndim
        if kinds != "predictions uint8, sops int64" or shapes != (sops.shape, 2):
            raise ValueError(f"{kinds}, of shapes {predictions.shape} and {sops.shape}")
        checkpoint.model()
    return checkpoint


def read_start(path: str | Path) -> Checkpoint:
    """Read a trained network to start from: a model file, or a network file of an export.

    Of the latter, the real numbers are taken that its integers stand for.
    Raises: CheckpointError if the file is neither, or does not say how the network was trained;
    NetworkFileError if a network file is damaged.
    """
    path = Path(path)
    if not begins(path, HDF5):
        return load_checkpoint(path)
    fixed, reference = read_network(path)
    about = fixed.provenance
    remedy = "Name a file that 'brf-lava export' or 'brf-lava train' wrote."
    with reading(path, "a file that says how it was trained", CheckpointError, remedy):
        if reference is None:
            raise ValueError("no reference")
        recipe, order = stored_recipe(about, path), about["permutation"]
        sizes = [layer.shape[0] for layer in fixed.layers]
        if [*(layer.neurons for layer in recipe.layers), fixed.classes] != sizes:
            raise ValueError("its recipe is another network's")  # before that is made
        on_integers = override(recipe, ["training.weight_bits=8"])  # so that it keeps the formats
        network = Network(on_integers, fixed.inputs, fixed.classes)  # whose inputs are integers
        for block, layer in zip(network.blocks, fixed.layers, strict=True):
            block.load_fixed(layer)
        return Checkpoint(
            recipe=recipe,
            inputs=fixed.inputs,
            classes=tuple(about["classes"]),
            epochs_done=0,
            data=DataSource(**about["data"]),
            metrics=Metrics(**about["metrics"]),
            activity=reference,
            state_dict=network.state_dict(),
            versions=versions(),
            permutation=None if order is None else np.array(order),
            **{name: about[name] for name in ("seed", "origin", "epoch")},
        )


def take_over(network: Network, start: Checkpoint) -> str:
    """Set the parameters of `network` to the trained ones; a readout of another size stays.

    Returns where they come from, in words. Raises: CheckpointError if the hidden layers do not fit.
    """
    values, wanted = dict(start.state_dict), network.state_dict()
    has, needs = (
        {name: "x".join(map(str, value.shape)) for name, value in each.items()}
        for each in (values, wanted)
    )
    for name in {**has, **needs}:
        given, needed = has.get(name, "not there"), needs.get(name, "not there")
        if given != needed and name.startswith("hidden") and not name.endswith(OPTIONAL):
            raise CheckpointError(
                f"--from: {name} is {given}, and {needed} in the network to be trained. Keep the "
                "hidden layers and a task with as many inputs, or leave out --from."
            )
        if name.endswith("recurrent_mask") and name in values:
            weight = name.replace("mask", "weight")
            values[weight] = values[weight] * values[name]
    first = "hidden.0.weight"
    values[first] = values[first] * (start.input_scale / network.input_scale)
    kept = has["readout.weight"] == needs["readout.weight"]
    taken = (name for name in wanted if name in values and (kept or name.startswith("hidden")))
    network.load_state_dict({name: values[name] for name in taken}, strict=False)
    return (
        f"trained from a network for task {start.recipe.task}, seed {start.seed}, accuracy "
        f"{start.metrics.accuracy:.2%}, fingerprint {start.fingerprint}"
        f"{'' if kept else ', with a new readout'}"
    )


def check_new(out: Path, overwrite: bool, *others: Path) -> None:
    """Refuse to replace a finished model, unless the user asked for that.

    others: What the training writes as well. Raises: BrfLavaError as `check_writable`, too.
    """
    check_writable(out, KIND)
    for path in filter(Path.exists, () if overwrite else (out, *others)):
        what = _described(path) if path == out else "of a finished training"
        remedy = "Name another --out, or replace it with --overwrite."
        raise CheckpointError(f"{path}: {what}, would be replaced. {remedy}")


def _described(path: Path) -> str:
    try:
        model = load_checkpoint(path)
    except BrfLavaError:
        return "a finished model, which cannot be read"
    names = f"task {model.recipe.task}, neuron {model.recipe.neuron_names}, seed {model.seed}"
    return f"a finished model, of {names}, accuracy {model.metrics.accuracy:.2%}"


def header(
    kind: str, recipe: Recipe, data: DataSource, permutation: NDArray[np.int64] | None
) -> dict[str, Any]:
    """What a model file and a training state have in common."""
    return {
        "format": kind,
        "schema": SCHEMA,
        "versions": versions(),
        "recipe": recipe.text,
        **own_neurons(recipe),
        "data": asdict(data),
        "permutation": None if permutation is None else torch.from_numpy(permutation),
    }


def permutation_of(contents: dict[str, Any]) -> NDArray[np.int64] | None:
    """The order of the steps in a model file or a training state."""
    stored = contents["permutation"]
    return None if stored is None else stored.numpy()


def stored_recipe(contents: dict[str, Any], path: Path) -> Recipe:
    """The recipe in a model file, a training state, or a network's provenance."""
    stored = contents.get("neurons", {})

    def find(name: str) -> Neuron:
        sha256 = stored[name]["sha256"] if name in stored else None
        if not isinstance(sha256, str):  # load_neuron runs any file if there is none to compare
            raise ParameterError(f"{name}: no digest of its file is stored, so it is not run.")
        return load_neuron(stored[name]["neuron"], (Path(), path.parent), sha256)

    with reading(path, "a file with its recipe", CheckpointError, REMEDY):
        return parse_recipe(contents["recipe"], f"{path} (stored recipe)", find)


def own_neurons(recipe: Recipe) -> dict[str, Any]:
    """What a file made of a recipe keeps to find the user's own neurons again, if any."""
    named = {
        name: {"neuron": neuron.source.reference, "sha256": neuron.source.sha256}
        for name, neuron in recipe.own.items()
        if neuron.source is not None
    }
    return {"neurons": named} if named else {}


def write_archive(contents: dict[str, Any], path: Path, kind: Kind) -> None:
    """torch.save in memory, as its errors on a full disk say nothing clear, then write."""
    buffer = io.BytesIO()
    torch.save(contents, buffer)
    write_sealed(path, buffer, kind)


def read_torch_file(path: Path) -> Any:
    """What a torch file holds, tensors and plain values only. Raises: CheckpointError."""
    with reading(path, "a torch file of plain tensors, or damaged", CheckpointError, REMEDY):
        return load_torch_file(path)


def read_archive(path: Path, expected_format: str) -> dict[str, Any]:
    """A torch file of ours of the expected kind and of `SCHEMA`, as it was written."""
    with reading(path, "a torch file of plain tensors, or damaged", CheckpointError, REMEDY):
        refuse_others(path, "a model", CheckpointError)
        intact, archive = has_seal(path), load_torch_file(path)
        contents: dict[str, Any] = archive if isinstance(archive, dict) else {}
        found, schema = contents.get("format"), contents.get("schema")
        if found != expected_format:
            remedy = "Name a file written by 'brf-lava train' or 'brf-lava import'."
            if "model_state_dict" in contents:
                remedy = "A checkpoint of the reference code needs 'brf-lava import' first."
            raise CheckpointError(
                f"{path}: format {brief(found)}, expected {expected_format!r}. {remedy}"
            )
        if not isinstance(schema, int) or schema != SCHEMA:  # a tensor would compare all of it
            writer = contents.get("versions", {}).get("brf_lava", "unknown")
            raise CheckpointError(
                f"{path}: schema {brief(schema)}, this version reads {SCHEMA}. It was written by "
                f"brf-lava {brief(writer)}: use that version, or train again."
            )
        if not intact:
            raise ValueError(DAMAGED)
    remedy = "Train or import it again; where it is of a training that was stopped, use --restart."
    with reading(path, "a whole file", CheckpointError, remedy):
        msgspec.convert(contents, _Types)
    return contents
