"""Long streams and sequences, wide layers, many samples and runs: each works, and what it takes.

    python -m tools.sizes                       # all; takes hours of a small machine
    python -m tools.sizes stream-engine ten-runs

Each is a process of its own, so that its memory is its own. Prints the wall time and the peak
memory of its largest process; exit code 1 if one fails.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from brf_lava.config.recipe import load_recipe, override
from brf_lava.data.dataset import Dataset, DataSource, Split, fingerprint
from brf_lava.network.file import read_network
from brf_lava.network.layers import FixedNetwork
from brf_lava.run.evaluate import predict
from brf_lava.run.execute import execute
from brf_lava.run.stream import Stream
from brf_lava.train.export import export_model
from brf_lava.train.trainer import Trainer

GROWTH_MAX = 2**22  # bytes that a stream may grow by, for the allocator's caches


def data(steps: int, inputs: int, samples: int = 8, classes: int = 6) -> Dataset:
    """Noise with labels of every step."""
    rng = np.random.default_rng(0)
    halves = []
    for _ in range(2):
        x = (rng.random((samples, steps, inputs)) < 0.1).astype(np.int8)
        halves.append(Split(x, rng.integers(classes, size=(samples, steps)).astype(np.uint8)))
    source = DataSource("own", "noise", fingerprint(*halves))
    return Dataset("ecg", tuple("abcdef"[:classes]), 0.004, *halves, source)


def network(dataset: Dataset, neurons: int) -> FixedNetwork:
    """Trained for an epoch, exported, read again: all that a network goes through."""
    changes = [f"hidden=[{neurons}]", "theta=0.02", "batch_size=4", "validation=2", "epochs=1"]
    trainer = Trainer(override(load_recipe("ecg-brf"), changes), dataset, 0, torch.device("cpu"))
    trainer.run()
    rounding = "adaptive" if neurons < 1000 else "nearest"  # which needs neurons**3 numbers
    export_model(trainer.finish(), dataset, "net.h5", rounding=rounding)
    return read_network("net.h5")[0]


def say(text: str) -> None:
    print(text, end="; ", flush=True)


def resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGESIZE")


def stream(backend: str, steps: int) -> None:
    """Sequences of 1000 steps; memory stays what it was after a tenth."""
    fixed, x = network(data(100, 4), 36), data(1000, 4).test.x[0]
    with Stream(fixed, backend=backend) as opened:
        for done in range(0, steps, len(x)):
            if done == steps // 10:
                before = resident()
            for inputs in x:
                opened.push(inputs)
            opened.reset()
        grown = resident() - before
    if grown > GROWTH_MAX:
        raise MemoryError(f"the stream grew by {grown} bytes")
    say(f"grew by {grown / 2**20:.2f} MiB")


def compared(fixed: FixedNetwork, x: np.ndarray) -> None:
    """On Lava, every spike and output as of the engine."""
    activity, seconds = execute(fixed, x, backend="sim", check=True)
    say(f"{int(activity.hidden_spikes.sum()):,} spikes, Lava {seconds:.1f} s")


def long_sequence() -> None:
    """One sample of 100,000 steps."""
    x = np.tile(data(1000, 4).test.x[:1], (1, 100, 1)).transpose(1, 0, 2)
    compared(network(data(100, 4), 36), np.ascontiguousarray(x))


def wide_layer() -> None:
    """4,000 hidden neurons, 16 million recurrent weights."""
    dataset = data(50, 4)
    compared(network(dataset, 4000), np.ascontiguousarray(dataset.test.x.transpose(1, 0, 2)))


def images() -> None:
    """10,000 images pixel by pixel."""
    dataset = data(784, 1, samples=10_000)
    small = replace(dataset, train=dataset.train.first(6), test=dataset.test.first(6))
    fixed = network(small, 64)
    found, expected = (predict(fixed, dataset.test.x, backend=name) for name in ("sim", "engine"))
    if not np.array_equal(found, expected):
        raise ValueError("Lava and the engine differ")


def ten_runs() -> None:
    """Ten commands at once on Lava, all with the same result, nothing left."""
    network(data(1300, 4), 36)
    before = set(os.listdir("/dev/shm"))
    program = (
        "import sys, tools.sizes as s; from brf_lava.run.evaluate import predict; "
        "x = s.data(1300, 4, 64).test.x; print(predict('net.h5', x).sum())"
    )
    started = [
        subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE) for _ in range(10)
    ]
    answers = {process.communicate()[0] for process in started}
    if len(answers) > 1 or any(process.returncode for process in started):
        raise ValueError(f"{answers}, {[process.returncode for process in started]}")
    if left := set(os.listdir("/dev/shm")) - before:
        raise FileExistsError(f"/dev/shm: {left}")


SIZES: dict[str, Callable[[], None]] = {
    "stream-engine": lambda: stream("engine", 1_000_000),
    "stream-lava": lambda: stream("sim", 1_000_000),
    "long-sequence": long_sequence,
    "wide-layer": wide_layer,
    "images": images,
    "ten-runs": ten_runs,
}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", choices=[[], *SIZES], default=[], metavar="NAME")
    parser.add_argument("--here", action="store_true", help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.here:
        SIZES[chosen.names[0]]()
        return 0
    failed = 0
    root = Path(__file__).parents[1]
    for name in chosen.names or SIZES:
        with tempfile.TemporaryDirectory() as folder:
            began = time.monotonic()
            print(f"{name:14}", end=" ", flush=True)
            process = subprocess.Popen(
                [sys.executable, "-m", "tools.sizes", "--here", name],
                cwd=folder,
                env={**os.environ, "PYTHONPATH": str(root)},
            )
            _, status, usage = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
            print(f"{time.monotonic() - began:.0f} s, {usage.ru_maxrss / 1024:.0f} MiB", end="")
            print("" if process.returncode == 0 else f", FAILED with {process.returncode}")
            failed += process.returncode != 0
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
