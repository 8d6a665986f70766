"""The three commands as Python calls: train a small ECG network, quantize it, run its integers."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import numpy as np

from brf_lava.config.recipe import load_recipe, override
from brf_lava.ecg.task import load_synthetic
from brf_lava.network.file import read_network
from brf_lava.run.execute import execute
from brf_lava.train.export import export_model
from brf_lava.train.model import choose_device
from brf_lava.train.trainer import Trainer


def main(backend: str = "engine") -> None:
    dataset = load_synthetic()
    recipe = override(load_recipe("ecg-brf"), ["epochs=5"])
    with tempfile.TemporaryDirectory() as folder:
        trainer = Trainer(recipe, dataset, 0, choose_device("cpu"), Path(folder, "model.pt"))
        trainer.run()
        checkpoint = trainer.finish()
        path = Path(folder, "net.h5")
        export_model(checkpoint, dataset, path, parameter_bits=16, weight_bits=8)
        network, reference = read_network(path)

    x = dataset.test.time_major()  # [T, B, I]
    activity, seconds = execute(network, x, backend=backend)
    classes = activity.outputs.argmax(axis=2).T  # [B, T]
    print(f"float accuracy   {checkpoint.metrics.accuracy:.2%}")
    print(
        f"integer accuracy {np.mean(classes == dataset.test.y):.2%} on {backend}, {seconds:.2f} s"
    )
    if reference is not None:
        print(f"same prediction  {np.mean(classes == reference.predictions):.2%}")


if __name__ == "__main__":
    main(*sys.argv[1:])
