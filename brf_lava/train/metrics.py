"""What a training reports by epoch: progress, the metrics file, events for TensorBoard."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Annotated, Any

import msgspec

from brf_lava.config.toml import Count, Share, convert, number
from brf_lava.errors import DataError
from brf_lava.io.printable import brief
from brf_lava.io.text import parse_json, read_text
from brf_lava.neurons.record import Interval

LARGEST = 1e100  # its square, for a standard deviation, is a number still
Loss = Annotated[float, number(Interval(low=-LARGEST, high=LARGEST))]
Amount = Annotated[float, number(Interval(low=0, high=LARGEST))]
LIMITS: dict[str, Any] = {  # losses and SOPs are per sample, seconds per epoch
    "train_loss": Loss,
    "train_accuracy": Share,
    "train_sops": Amount,
    "validation_loss": Loss,
    "validation_accuracy": Share,
    "validation_sops": Amount,
    "seconds": Amount,
}


@dataclass(frozen=True)
class EpochReport:
    """One line of the metrics file. Losses per sample, accuracies 0..1, SOPs per sample."""

    epoch: int
    learning_rate: float
    train_loss: float
    train_accuracy: float
    train_sops: float
    validation_loss: float
    validation_accuracy: float
    validation_sops: float
    best: bool
    seconds: float
    skipped: int = 0  # training samples of batches without a finite gradient


@dataclass(frozen=True)
class Progress:
    """What a progress display hears of."""

    on_batch: Callable[[int, int, int], object] = lambda epoch, batch, batches: None
    on_epoch: Callable[[EpochReport], object] = lambda report: None


def resume_path(out: Path) -> Path:
    """The training state next to the model."""
    return out.with_name(f"{out.stem}.resume.pt")


def metrics_path(out: Path) -> Path:
    """The metrics file next to the model: one JSON object per line and epoch."""
    return out.with_name(f"{out.stem}.jsonl")


def events_path(out: Path) -> Path:
    """The folder of TensorBoard events next to the model."""
    return out.with_name(f"{out.stem}.tensorboard")


def read_metrics(path: Path, names: Sequence[str], remedy: str) -> dict[str, list[float]]:
    """Read some quantities, keys of `LIMITS`, by epoch; none where no epoch was finished.

    remedy: The last sentence of a message: what helps where the file is missing or damaged.
    Raises: DataError for a file that cannot be read, and with the line that is not valid.
    """
    keys = [("epoch", Count), *((name, LIMITS[name]) for name in names)]
    kind: Any = msgspec.defstruct("Epoch", keys)
    epochs = []
    for line, text in enumerate(read_text(path, DataError, remedy).splitlines(), start=1):
        where = f"{path}, line {line}"
        contents = parse_json(text, where, DataError, remedy)
        row = convert(kind, contents, where, DataError, remedy)
        if row.epoch != line:
            raise DataError(
                f"{where}: epoch {brief(row.epoch)}; lines must be in order from 1. {remedy}"
            )
        epochs.append(row)
    return {name: [getattr(epoch, name) for epoch in epochs] for name in names}


@contextmanager
def events(progress: Progress, out: Path, epoch: int) -> Iterator[Progress]:
    """`progress`, extended to write every epoch; a training from epoch 0 deletes those before."""
    from torch.utils.tensorboard.writer import SummaryWriter

    create: Any = SummaryWriter  # typed in some versions of torch only
    folder = events_path(out)
    for old in folder.glob("events.out.tfevents.*") if epoch == 0 else ():
        old.unlink()
    with create(str(folder)) as writer:

        def on_epoch(report: EpochReport) -> None:
            for name, value in asdict(report).items():
                if name != "epoch":
                    writer.add_scalar(name, value, report.epoch)
            progress.on_epoch(report)

        yield replace(progress, on_epoch=on_epoch)
