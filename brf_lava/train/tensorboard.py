"""TensorBoard events of a training run, an optional extra."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from brf_lava.train.trainer import EpochReport, Progress


@contextmanager
def events(progress: Progress, out: Path) -> Iterator[Progress]:
    """`progress`, extended to write every epoch to ``<out stem>.tensorboard``."""
    from torch.utils.tensorboard.writer import SummaryWriter

    create: Any = SummaryWriter  # typed in some versions of torch only
    with create(str(out.with_name(f"{out.stem}.tensorboard"))) as writer:

        def on_epoch(report: EpochReport) -> None:
            for name, value in asdict(report).items():
                if name != "epoch":
                    writer.add_scalar(name, value, report.epoch)
            progress.on_epoch(report)

        yield replace(progress, on_epoch=on_epoch)
