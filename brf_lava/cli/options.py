"""What several commands share: options, and loading a task's data."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from brf_lava.tasks.task import Dataset

PATH = click.Path(path_type=Path)
data_option = click.option(
    "--data",
    type=PATH,
    help="Folder with the data, or one of its files. Else BRF_LAVA_DATA, else the cache folder, "
    "else synthetic data.",
)
device_option = click.option(
    "--device", type=click.Choice(["auto", "cpu", "cuda"]), default="auto", show_default=True
)


def load_data(task: str, data: Path | None) -> Dataset:
    """The task's data, with a visible notice when it is synthetic."""
    from brf_lava.tasks.ecg import SYNTHETIC_NOTICE
    from brf_lava.tasks.task import find_task

    dataset = find_task(task).load(data)
    if dataset.source.kind.startswith("synthetic"):
        click.secho(f"Notice: {SYNTHETIC_NOTICE}", fg="yellow", err=True)
    return dataset
