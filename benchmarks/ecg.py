"""The ECG data and network that several benchmarks run on."""

from __future__ import annotations

import os
import tempfile
from dataclasses import dataclass
from pathlib import Path

from brf_lava.config.recipe import load_recipe
from brf_lava.data.dataset import Dataset
from brf_lava.data.places import DATA_VARIABLE
from brf_lava.tasks.registry import find_task
from brf_lava.train.checkpoint import Checkpoint
from brf_lava.train.model import choose_device
from brf_lava.train.published import import_published
from brf_lava.train.trainer import Trainer

RECIPE = "ecg-brf-published"
SEED = 0


@dataclass(frozen=True)
class Experiment:
    """notes: one line on the data, one on the network."""

    dataset: Dataset
    checkpoint: Checkpoint
    notes: tuple[str, ...]


def load() -> Experiment:
    """The data as the commands find them, with the published network if it lies beside them.

    That is BRF_LAVA_DATA/checkpoints/ecg_brf.pt; without it the network is freshly initialized.
    Raises: as `brf_lava.ecg.task.load` and `import_published`.
    """
    dataset = find_task("ecg").load(None)
    recipe = load_recipe(RECIPE)
    variable = os.environ.get(DATA_VARIABLE, "")
    published = Path(variable, "checkpoints", "ecg_brf.pt")
    if variable and published.is_file():
        checkpoint = import_published(published, dataset, recipe=recipe)
        network = f"the published checkpoint {published.name}"
    else:
        device = choose_device("cpu")
        with tempfile.TemporaryDirectory() as folder:
            trainer = Trainer(recipe, dataset, SEED, device, Path(folder, "model.pt"))
            checkpoint = trainer.checkpoint()
        network = f"recipe {RECIPE}, freshly initialized with seed {SEED}, not trained"
    sops = checkpoint.metrics.sops_per_sample
    notes = (
        f"Data: {dataset.source.description}.",
        f"Network: {network}; {sops:,.0f} hidden spikes per sample.",
    )
    return Experiment(dataset, checkpoint, notes)
