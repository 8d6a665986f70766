"""The metrics file that training writes next to a model: one JSON object per line and epoch."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from brf_lava.config.toml import Count, Share, convert
from brf_lava.errors import DataError
from brf_lava.io.text import parse_json, read_text

LARGEST = 1e100  # its square, for a standard deviation, is a number still
Loss = Annotated[float, Meta(ge=-LARGEST, le=LARGEST)]
Amount = Annotated[float, Meta(ge=0, le=LARGEST)]
LIMITS: dict[str, Any] = {  # losses and SOPs are per sample, seconds per epoch
    "train_loss": Loss,
    "train_accuracy": Share,
    "train_sops": Amount,
    "validation_loss": Loss,
    "validation_accuracy": Share,
    "validation_sops": Amount,
    "seconds": Amount,
}


def read_metrics(path: Path, names: Sequence[str], remedy: str) -> dict[str, list[float]]:
    """Read some quantities by epoch.

    Args:
        path: A metrics file, .jsonl.
        names: The quantities, keys of `LIMITS`.
        remedy: The last sentence of a message: what helps where the file is missing or damaged.

    Returns:
        The values of each epoch; empty lists where no epoch was finished.

    Raises:
        DataError: For a file that cannot be read, and with the line that is not valid.
    """
    keys = [("epoch", Count), *((name, LIMITS[name]) for name in names)]
    kind: Any = msgspec.defstruct("Epoch", keys)
    epochs = []
    for number, line in enumerate(read_text(path, DataError, remedy).splitlines(), start=1):
        where = f"{path}, line {number}"
        epochs.append(
            convert(kind, parse_json(line, where, DataError, remedy), where, DataError, remedy)
        )
        if epochs[-1].epoch != number:
            raise DataError(
                f"{where}: epoch {epochs[-1].epoch}; lines must be in order from 1. {remedy}"
            )
    return {name: [getattr(epoch, name) for epoch in epochs] for name in names}
