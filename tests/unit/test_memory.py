"""How much memory is free, and that what is asked for is what is used."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from command_line import ROOT, assert_failed, assert_worked, brf_lava

from brf_lava.cli.options import size
from brf_lava.config.recipe import load_recipe
from brf_lava.errors import NotEnoughMemoryError
from brf_lava.export import adaptive
from brf_lava.io import memory
from brf_lava.kernels import cpu
from brf_lava.network.layers import RealLayer
from brf_lava.neurons import families
from brf_lava.train import model
from brf_lava.train.checkpoint import load_checkpoint

# Prints what was asked for, as a share of what the process grew by at its most.
PEAK = """
import re, sys
from pathlib import Path
import numpy as np

def print_share(work, asked):
    before = int(Path("/proc/self/statm").read_text().split()[1]) * 4096
    Path("/proc/self/clear_refs").write_text("5")  # the peak starts anew
    work()
    peak = re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1]
    print(asked() / (1024 * int(peak) - before))
"""
TRAINING = """
from tempfile import TemporaryDirectory

import torch
from brf_lava.config.recipe import load_recipe, override
from brf_lava.data.dataset import Dataset, DataSource, Split
from brf_lava.train import model
from brf_lava.train.trainer import Trainer

batch, steps, inputs, neurons, recompute = map(int, sys.argv[1:])
asked = []
take = model.training_bytes
model.training_bytes = lambda *sizes: asked.append(take(*sizes)[recompute]) or take(*sizes)
model.keeps_states.__globals__["free_memory"] = lambda: asked[-1] if recompute else None

def train(samples):
    rng = np.random.default_rng(0)
    x = (rng.random((2 * samples + 1, steps, inputs)) < 0.1).astype(np.int8)  # two batches
    half = Split(x, rng.integers(6, size=x.shape[:2]).astype(np.uint8))
    data = Dataset("ecg", tuple("abcdef"), 0.004, half, half, DataSource("own", "noise", "0"))
    changes = [f"hidden=[{neurons}]", f"batch_size={samples}", "validation=1", "epochs=1"]
    recipe = override(load_recipe("ecg-brf"), changes)
    with TemporaryDirectory() as folder:
        Trainer(recipe, data, 0, torch.device("cpu"), Path(folder, "model.pt")).run()

train(1)  # compiles
print_share(lambda: train(batch), lambda: asked[-1])
"""
ENGINE = """
from networks import random_network
from brf_lava.backends import engine
from brf_lava.run.execute import needed_bytes

steps, samples, *sizes = map(int, sys.argv[1:])
network = random_network(np.random.default_rng(0), sizes)
x = np.ones((steps, samples, sizes[0]), np.int8)
engine.run(network, x[:9, :1])  # compiles
print_share(lambda: engine.run(network, x), lambda: needed_bytes(network, steps, samples, 0, True))
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="peaks are read from /proc")
@pytest.mark.parametrize(
    ("program", "sizes"),
    [
        (TRAINING, (64, 784, 1, 256, False)),
        (TRAINING, (128, 784, 1, 256, True)),
        (TRAINING, (4, 50, 4, 3000, False)),
        (ENGINE, (1000, 700, 4, 36, 6)),
        (ENGINE, (784, 400, 1, 256, 256, 10)),
    ],
)
def test_what_is_asked_for_is_taken(program: str, sizes: tuple[int, ...]) -> None:
    """Not less than two thirds of it, or what does not fit would be begun; and hardly more."""
    path = {**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'tests'}"}
    arguments = [sys.executable, "-c", PEAK + program, *(str(int(size)) for size in sizes)]
    done = subprocess.run(arguments, check=True, capture_output=True, text=True, env=path)
    assert 0.67 < float(done.stdout) < 1.05


def test_a_training_that_does_not_fit_ends_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("BRF_LAVA_DATA", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(model, "free_memory", lambda: 30_000_000)
    out = tmp_path / "model.pt"
    command = ("train", "--task", "ecg", "--set", "batch_size=64", "--out", out)
    said = (
        "training: batches of 64 samples, 1,300 steps, 1,656 weights: needs ",
        " MB of memory, and ",
    )
    assert_failed(brf_lava(*command), 8, *said, "30 MB are free. Lower training.batch_size")
    few = brf_lava(*command, "--memory", "2MB")
    assert_failed(few, 8, *said, "0 MB are free", "fewer hidden neurons or --memory")
    (least,) = re.findall(r"--memory (\d+MB)", few.stderr)
    assert int(least[:-2]) > 100  # with what the process has taken already
    assert_failed(brf_lava(*command, "--memory", "much"), 2, "a size such as 800MB, 1.5GB or 2GiB")
    assert not list(tmp_path.glob("*model*"))


@pytest.mark.parametrize(
    ("text", "number"), [("2", 2), ("1.5GB", 1_500_000_000), ("2 MiB", 1 << 21), ("3k", 3000)]
)
def test_sizes_are_read(text: str, number: int) -> None:
    assert size(text) == number


def test_a_training_in_little_memory_computes_states_again_and_learns_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("BRF_LAVA_DATA", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(model, "used_memory", lambda: 0)
    monkeypatch.setattr(cpu, "PIECE", 1)
    weights = []
    sizes = model.training_bytes(load_recipe("ecg-brf"), 16, 1300, 4, 6)
    for few, needed in enumerate(sizes[:2]):
        out = tmp_path / f"{few}.pt"
        result = brf_lava("train", "--task", "ecg", "--epochs", 1, "--memory", needed, "--out", out)
        assert_worked(result)
        assert ("kernel cpu, which computes states again to save memory" in result.stderr) == few
        weights.append(load_checkpoint(out).state_dict)
    for name, value in weights[0].items():
        assert torch.equal(weights[1][name], value), name


def test_adaptive_rounding_that_does_not_fit_names_the_other() -> None:
    """The matrices of 4,000 neurons take 478 GiB; nothing is lost but a second."""
    constants = families.BRF.real_constants(dt=0.01, theta=1.0, gamma=0.9)
    weights = np.zeros((40_000, 4))
    layer = RealLayer(families.BRF, weights, np.zeros((1, 1)), np.zeros((2, 4)), constants)
    x = np.zeros((1, 1, 4), np.int8)
    outputs = np.zeros((1, 1, 40_000), np.float32)
    with pytest.raises(NotEnoughMemoryError, match=r"40,000 neurons with 40,004 .* nearest\)"):
        adaptive._gram(layer, x, outputs, None, lambda _: None, 0)


def test_free_memory_is_that_of_the_system() -> None:
    if sys.platform != "linux":
        assert memory.free_memory() is None
        return
    found = re.search(r"MemTotal:\s+(\d+)", Path("/proc/meminfo").read_text())
    assert found is not None
    assert 0 < (memory.free_memory() or 0) < 2 * 1024 * int(found[1])


@pytest.mark.skipif(sys.platform != "linux", reason="there are no control groups")
@pytest.mark.parametrize(
    ("line", "folder", "names", "stat"),
    [
        ("0::/a/b", "a", ("memory.max", "memory.current"), "inactive_file 300"),
        (
            "4:cpu,memory:/a/b",
            "memory/a",
            ("memory.limit_in_bytes", "memory.usage_in_bytes"),
            "inactive_file 1\ntotal_inactive_file 300",
        ),
    ],
)
def test_the_limit_of_a_container_counts(
    line: str,
    folder: str,
    names: tuple[str, str],
    stat: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """That of any group above, too; what is only cached is given up. "max" is no limit."""
    own = tmp_path / folder / "b"
    own.mkdir(parents=True)
    for place, most in ((own, "max"), (own.parent, "1000")):
        for name, text in zip((*names, "memory.stat"), (most, "800", stat), strict=True):
            (place / name).write_text(f"{text}\n")
    group = tmp_path / "cgroup"
    group.write_text(f"1:pids:/c\n{line}\n")
    real = Path.read_text
    monkeypatch.setattr(
        Path, "read_text", lambda path: real(group if str(path) == "/proc/self/cgroup" else path)
    )
    monkeypatch.setattr(memory, "GROUPS", tmp_path)
    assert memory.free_memory() == 500
    with pytest.raises(NotEnoughMemoryError, match=r"this: needs 0 MB .* free\. Take less\."):
        memory.require_memory(501, "this", "Take less")
    memory.require_memory(500, "this", "Take less")
