"""What a finished run says about itself, read from its files."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from brf_lava.config.recipe import Recipe
from brf_lava.config.toml import Count, convert, to_toml
from brf_lava.data.dataset import DataSource
from brf_lava.errors import BrfLavaError, CheckpointError, DataError
from brf_lava.io.files import write_bytes
from brf_lava.io.text import parse_json, read_text
from brf_lava.reproduce.folders import RunFolder
from brf_lava.run.stored import read_file
from brf_lava.train.checkpoint import Checkpoint, load_checkpoint
from brf_lava.train.metrics import read_metrics

REMEDY = "Delete it and run 'brf-lava reproduce' again, or let that start over with --restart."
NO_OTHER = (  # of metrics: only a training makes them
    "Put back the one that this training wrote, or let 'brf-lava reproduce --restart' train again."
)
SECONDS, ACCURACY = "seconds", "validation_accuracy"  # of the metrics file


@dataclass(frozen=True)
class IntegerResult:
    """The exported network on the test split. accuracy: 0..1; sops: per sample.

    agreement: share of the predictions that are the float network's, None where not compared.
    """

    backend: str
    accuracy: float
    sops: float
    agreement: float | None
    saturations: int


@dataclass(frozen=True)
class CoreShare:
    """How a training was run, or a part of it: jobs side by side, threads of each."""

    jobs: Count
    threads: Count


@dataclass(frozen=True)
class RunRecord:
    """One finished run; accuracy, SOPs and loss are of the float network on the test split."""

    folder: RunFolder
    parameters: int  # trained numbers, pruned weights included
    epoch: int  # the one that was kept, from 1
    epochs: int  # how many were run
    accuracy: float  # 0 to 1
    sops: float  # hidden spikes per sample
    loss: float
    steps: int
    samples: int
    device: str
    seconds: float  # of all epochs together
    validation_accuracy: tuple[float, ...]  # of every epoch
    integer: IntegerResult
    shares: tuple[CoreShare, ...]  # empty where unknown
    permuted: bool
    data: DataSource
    recipe: Recipe
    versions: dict[str, str]

    def as_dict(self) -> dict[str, Any]:
        """Return plain JSON values."""
        folder, contents = self.folder, asdict(self)
        del contents["folder"]
        run = {"task": folder.task, "neuron": folder.neuron, "seed": folder.seed}
        return {**run, **contents, "recipe": self.recipe.text}


def read_record(folder: RunFolder) -> RunRecord:
    """Return the record of a complete run.

    Raises:
        CheckpointError, DataError: A file is damaged or belongs to another run.
    """
    checkpoint, epochs = read_training(folder)
    metrics = checkpoint.metrics
    return RunRecord(
        folder=folder,
        parameters=sum(value.numel() for value in checkpoint.model().parameters()),
        epoch=checkpoint.epoch,
        epochs=checkpoint.epochs_done,
        accuracy=metrics.accuracy,
        sops=metrics.sops_per_sample,
        loss=metrics.loss,
        steps=metrics.steps,
        samples=metrics.samples,
        device=metrics.device,
        seconds=sum(epochs[SECONDS]),
        validation_accuracy=tuple(epochs[ACCURACY]),
        integer=read_integer_result(folder.result, checkpoint),
        shares=read_shares(folder.shares),
        permuted=checkpoint.permutation is not None,
        data=checkpoint.data,
        recipe=checkpoint.recipe,
        versions=checkpoint.versions,
    )


def read_training(folder: RunFolder) -> tuple[Checkpoint, dict[str, list[float]]]:
    """Return the model of a finished training, and `SECONDS` and `ACCURACY` of every epoch.

    Raises:
        CheckpointError, DataError: A file is damaged, missing or of another training.
    """
    try:
        checkpoint = load_checkpoint(folder.model)
    except CheckpointError as error:
        raise CheckpointError(f"{error} {REMEDY}") from error
    task, neuron, seed = checkpoint.recipe.task, checkpoint.recipe.neuron_names, checkpoint.seed
    if (task, neuron, seed) != (*folder.cell, folder.seed):
        raise CheckpointError(
            f"{folder.model}: is of task {task}, neuron {neuron}, seed {seed}; its folder is for "
            f"{folder.name}. {REMEDY}"
        )
    epochs = read_metrics(folder.metrics, (SECONDS, ACCURACY), NO_OTHER)
    count = len(epochs[SECONDS])
    if count != checkpoint.epochs_done or not 1 <= checkpoint.epoch <= count:
        raise DataError(
            f"{folder.metrics}: {count} epochs, but the model had {checkpoint.epochs_done} and is "
            f"of epoch {checkpoint.epoch}; both must be of one training. {NO_OTHER}"
        )
    return checkpoint, epochs


def read_integer_result(path: Path, checkpoint: Checkpoint) -> IntegerResult:
    """What ``brf-lava run`` wrote about the exported network.

    Raises: DataError for a damaged file, and for a run of another model or of other samples.
    """
    stored = read_file(path, REMEDY)
    measured, data = stored.result, stored.data.fingerprint
    if stored.network.model != checkpoint.fingerprint:
        raise DataError(f"{path}: is of another model than the one next to it. {REMEDY}")
    if (data, measured.samples) != (checkpoint.data.fingerprint, checkpoint.metrics.samples):
        raise DataError(
            f"{path}: {measured.samples} samples of data {data[:8]}; the model was measured on "
            f"{checkpoint.metrics.samples} of {checkpoint.data.fingerprint[:8]}, and both must be "
            f"the same. {REMEDY}"
        )
    return IntegerResult(
        backend=measured.backend,
        accuracy=measured.accuracy,
        sops=measured.cost.sops,
        agreement=measured.agreement,
        saturations=measured.saturations,
    )


def read_shares(path: Path) -> tuple[CoreShare, ...]:
    """How the cores were shared in a training, one entry per change; none without the file.

    Raises: DataError.
    """
    if not path.exists():
        return ()
    contents = parse_json(read_text(path, DataError, REMEDY), str(path), DataError, REMEDY)
    return convert(tuple[CoreShare, ...], contents, str(path), DataError, REMEDY)


def add_share(path: Path, share: CoreShare) -> None:
    """Note one more; the same as the last one is not noted again."""
    shares = read_shares(path)
    if shares[-1:] != (share,):
        contents = [asdict(each) for each in (*shares, share)]
        write_bytes(path, (json.dumps(contents) + "\n").encode())


def differences(there: Recipe, other: Recipe) -> list[str]:
    """The values in which a recipe differs from another, as ``training.epochs = 2, not 400``."""
    left, right = dict(_values(there.table)), dict(_values(other.table))
    return [
        f"{key} = {to_toml(left[key]) if key in left else 'nothing'}, not "
        f"{to_toml(right[key]) if key in right else 'nothing'}"
        for key in dict.fromkeys((*left, *right))
        if left.get(key) != right.get(key)
    ]


def _values(table: dict[str, Any], prefix: str = "") -> Iterable[tuple[str, Any]]:
    """The dotted keys and the values of a recipe."""
    for key, value in table.items():
        if isinstance(value, dict):
            yield from _values(value, f"{prefix}{key}.")
        elif isinstance(value, tuple) and isinstance(value[0], dict):  # of each layer
            parts = {str(number): part for number, part in enumerate(value, start=1)}
            yield from _values(parts, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def check_alike(
    records: Iterable[RunRecord],
    recipes: Mapping[tuple[str, str], Recipe],
    sources: Mapping[str, DataSource],
) -> None:
    """Refuse a mean over runs that differ in more than their seed, and a ratio between data.

    Permuted data are as different as the seeds; only their kind is compared.

    Args:
        records: Runs that get into the same tables.
        recipes: What they must be of, by task and neuron; else of that of the first such record.
        sources: The data they must be of, by task; else those of the first such record.

    Raises:
        BrfLavaError: Names the folder of a run that differs.
    """
    recipes, sources = dict(recipes), dict(sources)
    for record in records:
        folder, data = record.folder, record.data
        what = differences(record.recipe, recipes.setdefault(folder.cell, record.recipe))
        source = sources.setdefault(folder.task, data)
        same = (
            (data.kind, source.kind) if record.permuted else (data.fingerprint, source.fingerprint)
        )
        if same[0] != same[1]:
            what.append(f"data {data.description}, not {source.description}")
        if what:
            raise BrfLavaError(
                f"{folder.path}: is of another experiment ({'; '.join(what)}) than is asked for or "
                "than other runs there, and would get into the same tables. Name another --out, "
                "change --set or --epochs, or move this folder elsewhere."
            )
