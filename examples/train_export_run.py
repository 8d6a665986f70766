"""The three commands as Python calls: train a small ECG network, quantize it, run its integers.

python examples/train_export_run.py          on the integer engine
python examples/train_export_run.py sim      on Lava
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import brf_lava as brf
from brf_lava.ecg.task import load_synthetic


def main(backend: str = "engine") -> None:
    dataset = load_synthetic()
    recipe = brf.override(brf.load_recipe("ecg-brf"), ["epochs=5"])
    with tempfile.TemporaryDirectory() as folder:
        trainer = brf.Trainer(recipe, dataset, out=Path(folder, "model.pt"))
        trainer.run()
        model = trainer.finish()
        brf.export_model(model, dataset, Path(folder, "net.h5"))
        result = brf.run_network(Path(folder, "net.h5"), dataset, backend=backend)

    print(f"float accuracy   {model.metrics.accuracy:.2%}")
    print(f"integer accuracy {result.accuracy:.2%} on {backend}, {result.seconds:.2f} s")
    if result.agreement is not None:
        print(f"same prediction  {result.agreement:.2%}")


if __name__ == "__main__":
    main(*sys.argv[1:])
