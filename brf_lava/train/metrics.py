"""The metrics file that training writes beside a model: one JSON object per line and epoch."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from brf_lava.errors import DataError

LARGEST = 1e100  # its square, for a standard deviation, is a number still
LIMITS = {  # of what may be asked for; losses and SOPs are per sample, seconds per epoch
    "train_loss": (-LARGEST, LARGEST),
    "train_accuracy": (0.0, 1.0),
    "train_sops": (0.0, LARGEST),
    "validation_loss": (-LARGEST, LARGEST),
    "validation_accuracy": (0.0, 1.0),
    "validation_sops": (0.0, LARGEST),
    "seconds": (0.0, LARGEST),
}
SHOWN = 40  # letters of a foreign value in a message


def read_metrics(path: Path, names: Sequence[str], remedy: str) -> dict[str, list[float]]:
    """These quantities, keys of `LIMITS`, by epoch; empty lists where no epoch was finished.

    remedy: the last sentence of a message, what helps where the file is missing or damaged.
    Raises: DataError, with the line at fault.
    """
    try:
        text = path.read_bytes().decode()
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}). {remedy}") from error
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: not a text file. {remedy}") from error
    rows = [
        _row(line, epoch, names, f"{path}, line {epoch}", remedy)
        for epoch, line in enumerate(text.splitlines(), start=1)
    ]
    return {name: [row[name] for row in rows] for name in names}


def _row(line: str, epoch: int, names: Sequence[str], where: str, remedy: str) -> dict[str, float]:
    try:
        row: Any = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise DataError(f"{where}: not JSON. {remedy}") from error
    missing = [name for name in ("epoch", *names) if not isinstance(row, dict) or name not in row]
    if missing:
        raise DataError(f"{where}: has no {', '.join(missing)}. {remedy}")
    if row["epoch"] != epoch:
        raise DataError(
            f"{where}: epoch {_short(row['epoch'])}; lines must be in order from 1. {remedy}"
        )
    for name in names:
        value, (low, high) = row[name], LIMITS[name]
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if not number or not low <= value <= high:  # NaN is not in between
            raise DataError(
                f"{where}: {name} is {_short(value)}; must be a number, {low:g} to {high:g}. "
                f"{remedy}"
            )
    return {name: float(row[name]) for name in names}


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}..."
