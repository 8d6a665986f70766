"""The least there can be: one sample at a time, a network that never spikes."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from command_line import printed
from networks import give_commands, short_ecg

TRAIN = ("train", "--task", "ecg", "--set", "hidden=[6]", "--set", "validation=3", "--epochs", "2")


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    give_commands(monkeypatch, short_ecg())
    monkeypatch.chdir(tmp_path)
    return tmp_path


def result(*options: Any) -> dict[str, Any]:
    printed("run", "net.h5", "--out", "run.json", *options)
    found: dict[str, Any] = json.loads(Path("run.json").read_text())
    return {key: value for key, value in found.items() if key in ("accuracy", "cost", "layers")}


def test_batches_of_one() -> None:
    """To train and to run; the run is that of all samples at once."""
    printed(*TRAIN, "--set", "batch_size=1", "--set", "theta=0.02")
    printed("export", "model.pt", "net.h5")
    together = result("--backend", "engine")
    assert result("--backend", "engine", "--batch", "1") == together
    assert result("--backend", "sim", "--batch", "1", "--limit", "2") == result("--limit", "2")


def test_no_spike_at_all() -> None:
    """Nothing divides by their number, from training to the estimate of a board."""
    output = printed(*TRAIN, "--set", "theta=50.0")
    output += printed("export", "model.pt", "net.h5")
    for backend in ("engine", "sim"):
        output += printed("run", "net.h5", "--backend", backend)
    output += printed("run", "net.h5", "--limit", "1", "--out", "run.json")
    for words in (("map", "net.h5"), ("estimate", "run.json"), ("verify", "net.h5")):
        output += printed(*words)
    steps = "\n".join(["[0, 0, 0, 0]"] * 5)
    Path("steps.jsonl").write_text(f"{steps}\n")
    assert len(printed("stream", "net.h5", "steps.jsonl", "--backend", "engine").split("\n")) > 5
    printed("plot", "raster", "net.h5")
    assert Path("raster.png").stat().st_size
    assert not re.search(r"\b(nan|inf)\b", output)
    assert re.search(r"SOPs.* 0", output)
