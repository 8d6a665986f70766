"""A task of your own, from arrays to integers: is the rhythm of a spike train slow or fast?

``rhythms.toml`` describes the data, ``rhythms-brf.toml`` is the recipe. This script writes the
arrays to train.npz and test.npz next to them, and trains, exports and runs:

    python rhythms.py

Then the commands do the same:

    brf-lava train --recipe rhythms-brf.toml --overwrite
    brf-lava export model.pt net.h5
    brf-lava run net.h5

``python rhythms.py FOLDER`` writes everything to that folder instead.
"""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

import numpy as np

import brf_lava as brf

HERE = Path(__file__).resolve().parent
PERIODS = (40, 20)  # steps, of the classes
LOST, NOISE = 0.2, 0.02  # share of the beats that are missing; extra spikes per step


def write_arrays(folder: Path, samples: tuple[int, int] = (192, 64), seed: int = 0) -> None:
    """train.npz and test.npz: spikes ``x`` [B, 200, 2] and classes ``y`` [B]."""
    rng = np.random.default_rng(seed)
    for name, count in zip(("train", "test"), samples, strict=True):
        y = rng.integers(0, len(PERIODS), count)
        period, phase = np.take(PERIODS, y)[:, None], rng.integers(0, max(PERIODS), (count, 1))
        beats = (np.arange(200) + phase) % period == 0  # [B, T]
        x = beats[..., None] & (rng.random((count, 200, 2)) > LOST)
        x |= rng.random(x.shape) < NOISE
        np.savez(folder / f"{name}.npz", x=x, y=y)


def main(folder: Path = HERE) -> None:
    folder = folder.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    if folder != HERE:
        for file in HERE.glob("*.toml"):
            shutil.copy(file, folder)
    write_arrays(folder)
    os.chdir(folder)

    recipe = brf.load_recipe("rhythms-brf.toml")
    dataset = brf.find_task(recipe.task).load()
    print(dataset.source.description)
    trainer = brf.Trainer(recipe, dataset, out="model.pt")
    trainer.run()
    model = trainer.finish()
    brf.export_model(model, dataset, "net.h5")
    result = brf.run_network("net.h5", dataset, backend="engine")
    print(f"float accuracy   {model.metrics.accuracy:.2%}")
    print(f"integer accuracy {result.accuracy:.2%}")
    print(f"Wrote train.npz, test.npz, model.pt and net.h5 in {folder}.")


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
