"""Several processes share a training or a run: the same result, and what happens if one is gone."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from command_line import ROOT, assert_one_error, run_process, start, wait_until, write_mat

from brf_lava.ecg import task as ecg
from brf_lava.ecg.synthetic import generate
from brf_lava.io.program import STEP_VARIABLE
from brf_lava.io.world import World

PATIENCE = 240  # s, for a process; machine code may have to be compiled first
# of weights after an epoch: sums of gradients differ in their last bits, which Adam's first steps
# make larger, so that the learning rate is small here
NEAR = 1e-5
SMALL = ("network.hidden=[5]", "validation=3", "batch_size=4", "theta=0.02")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    train, test = generate(12, 5, seed=1)  # batches of 4, 4 and 1
    write_mat(folder / ecg.TRAIN_FILE, train)
    write_mat(folder / ecg.TEST_FILE, test)
    return folder


@pytest.fixture(autouse=True)
def one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OMP_NUM_THREADS", "NUMBA_NUM_THREADS"):
        monkeypatch.setenv(name, "1")


def asked(data: Path, out: Path, *more: str) -> list[str]:
    changes = [part for change in SMALL for part in ("--set", change)]
    files = ("--data", str(data), "--out", str(out), "--device", "cpu")
    return ["train", "--task", "ecg", *changes, *files, *more]


def weights(path: Path) -> dict[str, torch.Tensor]:
    return torch.load(path, weights_only=True)["state_dict"]


def lines(path: Path) -> list[dict[str, float]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def assert_near(one: Path, other: Path) -> None:
    theirs = weights(other)
    for name, value in weights(one).items():
        torch.testing.assert_close(value, theirs[name], rtol=0, atol=NEAR, msg=name)


def test_a_share_is_of_all_items_in_order() -> None:

    for items in range(7):
        parts = [World(rank, 3).share(np.arange(items)) for rank in range(3)]
        assert np.concatenate(parts).tolist() == list(range(items))
        assert max(map(len, parts)) - min(map(len, parts)) <= 1


@pytest.mark.slow
def test_two_processes_train_as_one(data: Path, tmp_path: Path) -> None:
    """A batch of one sample, too; the same again has the same bits."""
    slowly = ("--epochs", "1", "--set", "learning_rate=0.001")
    outs = [tmp_path / f"{name}.pt" for name in ("one", "two", "again")]
    for out, processes in zip(outs, "122", strict=True):
        result = run_process(*asked(data, out, *slowly, "--nproc", processes))
        assert result.returncode == 0, result.stderr
    assert ", 2 processes" in result.stderr
    assert_near(outs[0], outs[1])
    for name, value in weights(outs[1]).items():
        assert torch.equal(value, weights(outs[2])[name]), name
    (one,), (two,) = (lines(out.with_suffix(".jsonl")) for out in outs[:2])
    for name, value in one.items():
        assert name == "seconds" or two[name] == pytest.approx(value, rel=1e-3, abs=1e-3), name


@pytest.mark.slow
def test_torchrun_starts_the_same(data: Path, tmp_path: Path) -> None:
    slowly = ("--epochs", "1", "--set", "learning_rate=0.001")
    one, two = tmp_path / "one.pt", tmp_path / "two.pt"
    torchrun = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2")
    result = subprocess.run(
        [sys.executable, *torchrun, "-m", "brf_lava", *asked(data, two, *slowly)],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )
    assert result.returncode == 0, result.stderr
    assert result.stdout.count("Wrote ") == 1  # one writer
    assert run_process(*asked(data, one, *slowly, "--nproc", "2")).returncode == 0
    for name, value in weights(one).items():
        assert torch.equal(value, weights(two)[name]), name


@pytest.mark.slow
@pytest.mark.parametrize(
    ("number", "parts"),
    [
        (signal.SIGKILL, ("process 1 ended with SIGKILL", "--resume")),
        (signal.SIGSTOP, ("another one has stood still for 20 s", "--resume")),
    ],
)
def test_a_process_that_is_gone_ends_the_training_which_goes_on_in_one(
    data: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    number: signal.Signals,
    parts: tuple[str, ...],
) -> None:
    monkeypatch.setenv(STEP_VARIABLE, "20")
    out = tmp_path / "model.pt"
    metrics = out.with_suffix(".jsonl")
    process = start(*asked(data, out, "--epochs", "2000", "--nproc", "2"))
    begun = lambda: metrics.exists() and len(lines(metrics)) > 1  # noqa: E731
    assert wait_until(lambda: process.poll() is not None or begun(), PATIENCE)
    assert process.poll() is None
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    os.kill(int(children[-1]), number)
    began = time.monotonic()
    _, stderr = process.communicate(timeout=PATIENCE)
    assert time.monotonic() - began < 60
    assert process.returncode == 7, stderr
    assert_one_error(stderr, *parts)
    assert not Path(f"/proc/{children[-1]}").exists()
    done = len(lines(metrics))
    again = start("train", "--resume", "--data", data, "--out", out, "--device", "cpu")
    assert wait_until(lambda: len(lines(metrics)) > done, PATIENCE)
    again.terminate()
    _, stderr = again.communicate(timeout=PATIENCE)
    assert "was shared by 2 processes, now by 1" in stderr


@pytest.fixture(scope="module")
def network(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("network")
    model, net = folder / "model.pt", folder / "net.h5"
    for arguments in (
        asked(data, model, "--epochs", "1"),
        ["export", model, net, "--data", data, "--rounding", "nearest"],
    ):
        result = run_process(*arguments)
        assert result.returncode == 0, result.stderr
    return net


@pytest.mark.slow
def test_two_processes_run_as_one(data: Path, network: Path, tmp_path: Path) -> None:
    found = []
    for processes in "123":
        out = tmp_path / f"{processes}.json"
        given = ("--backend", "engine", "--data", data, "--out", out, "--nproc", processes)
        result = run_process("run", network, *given)
        assert result.returncode == 0, result.stderr
        contents = json.loads(out.read_text())
        del contents["result"]["seconds"]
        found.append(contents)
    assert found[0] == found[1] == found[2]
    result = run_process("run", network, *given[:-1], "6")
    assert result.returncode == 2
    assert_one_error(result.stderr, "6 processes: share 5 samples")


WRONG = """
import os
from brf_lava.backends import engine
run = engine.run
def wrong(*arguments):
    activity = run(*arguments)
    if os.environ.get("RANK") == "1":
        activity.outputs[-1, -1, 0] += 1
    return activity
engine.run = wrong
from brf_lava.io import world
if "CHILD" in globals():
    world.PROGRAM = (*world.PROGRAM[:-1], CHILD)
from brf_lava.__main__ import main
main()
"""


@pytest.mark.slow
def test_a_process_that_computes_wrongly_is_found(data: Path, network: Path) -> None:
    program = f"CHILD = {WRONG!r}\n{WRONG}"
    given = ("run", network, "--backend", "engine", "--data", data, "--nproc", "2")
    result = run_process(*given, program=program)
    assert result.returncode == 5, result.stderr
    assert_one_error(result.stderr, "gave other spikes or outputs")
