"""A task of one's own, from arrays to integers: is this spike train's rhythm slow or fast?

``rhythms.toml`` says what the data are, ``rhythms-brf.toml`` how a network learns them. This script
writes the arrays beside them, train.npz and test.npz, and trains, exports and runs:

    python rhythms.py

Then the commands do the same:

    brf-lava train --recipe rhythms-brf.toml
    brf-lava export model.pt net.h5
    brf-lava run net.h5

With the name of a folder, ``python rhythms.py FOLDER``, all of it is written there.
"""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

import numpy as np

from brf_lava.config.recipe import load_recipe
from brf_lava.network.file import read_network
from brf_lava.run.execute import execute
from brf_lava.tasks.registry import find_task
from brf_lava.train.export import export_model
from brf_lava.train.model import choose_device
from brf_lava.train.trainer import Trainer

HERE = Path(__file__).resolve().parent
PERIODS = (40, 20)  # steps, of the classes
LOST, NOISE = 0.2, 0.02  # share of the beats that are missing; other spikes per step


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

    recipe = load_recipe(Path("rhythms-brf.toml"))
    dataset = find_task(recipe.task).load(None)
    print(dataset.source.description)
    trainer = Trainer(recipe, dataset, 0, choose_device("cpu"), Path("model.pt"))
    trainer.run()
    checkpoint = trainer.finish()
    export_model(checkpoint, dataset, Path("net.h5"), parameter_bits=16, weight_bits=8)
    network, _ = read_network(Path("net.h5"))

    x = dataset.test.time_major()  # [T, B, I]
    activity, _ = execute(network, x, backend="engine")
    decision = recipe.decision
    hits, counted = decision.hits(decision.predict(activity.outputs), dataset.test.y)
    print(f"float accuracy   {checkpoint.metrics.accuracy:.2%}")
    print(f"integer accuracy {hits / counted:.2%}")
    print(f"Wrote train.npz, test.npz, model.pt and net.h5 in {folder}.")


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
