"""TensorBoard events of a training run, an optional extra."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from brf_lava.train.trainer import EpochReport, Progress, events_path


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
