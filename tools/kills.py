"""Kills and signals at random moments, and whether anything is lost, left behind or broken by them.

    python -m tools.kills --rounds 100 --seed 0

A round starts one command in a process group of its own and ends it after a random share of the
time that it takes undisturbed, start-up included: by SIGKILL to the process, or by SIGINT or
SIGTERM to the process or, as Ctrl-C does, to the whole group. Then it must hold that

- all processes of the group end, and no segment of theirs stays in /dev/shm (so nothing else may
  use Lava meanwhile);
- the exit code is the documented one, and stderr has no traceback, unless Python itself was still
  starting;
- every file is a whole one: the same command, for a training with --resume, works and ends with
  what it makes undisturbed, bit for bit.

Prints a table, and each failure with the folder that shows it; exit code 1 if there is one.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import scipy.io
from click.testing import CliRunner

from brf_lava.backends.states import fingerprint
from brf_lava.cli import main as brf_lava
from brf_lava.ecg import synthetic
from brf_lava.errors import INTERRUPTED, TERMINATED
from brf_lava.lava_support import require_lava
from brf_lava.network.file import read_network
from brf_lava.train.checkpoint import load_checkpoint
from brf_lava.train.trainer import resume_path

STEPS = 1300
CODES = {  # a process that Python has not given its handlers yet ends by the signal itself
    signal.SIGKILL: {-signal.SIGKILL},
    signal.SIGINT: {INTERRUPTED, -signal.SIGINT},
    signal.SIGTERM: {TERMINATED, -signal.SIGTERM},
}
SOON = 20.0  # s, for what a process leaves to end
PATIENCE = 60.0  # s, for a process itself
SHM = Path("/dev/shm")
UNSTEADY = ("seconds", "time", "versions", "created")  # parts of names of what may differ


def steady(value: Any) -> Any:
    """JSON without what differs from run to run."""
    if isinstance(value, dict):
        items = value.items()
        return {k: steady(v) for k, v in items if not any(part in k for part in UNSTEADY)}
    return list(map(steady, value)) if isinstance(value, list) else value


def trained(folder: Path) -> Any:
    lines = (folder / "model.jsonl").read_text().splitlines()
    model = load_checkpoint(folder / "model.pt")
    if resume_path(folder / "model.pt").exists():
        raise FileExistsError("the state of a finished training")
    return model.fingerprint, model.metrics.accuracy, [steady(json.loads(line)) for line in lines]


def read_json(name: str) -> Callable[[Path], Any]:
    return lambda folder: steady(json.loads((folder / name).read_text()))


@dataclass
class Command:
    """arguments: relative paths are below the folder of the round. outcome: what it made there.
    inputs: what it needs there. seconds: what it takes undisturbed."""

    arguments: str
    outcome: Callable[[Path], Any]
    inputs: tuple[str, ...] = ()
    expected: Any = None
    seconds: float = 0.0
    counts: Counter[str] = field(default_factory=Counter)


COMMANDS = {
    "train": Command(
        "train --task ecg --data . --set hidden=[24] --set validation=4 --epochs 40 --out model.pt",
        trained,
    ),
    "export": Command(
        "export model.pt net.h5 --data .",
        lambda folder: fingerprint(read_network(folder / "net.h5")[0]),
        ("model.pt",),
    ),
    "sim": Command("run net.h5 --data . --out run.json", read_json("run.json"), ("net.h5",)),
    "stream": Command(
        "stream net.h5 steps.jsonl",
        lambda folder: (folder / "stdout").read_text(),
        ("net.h5", "steps.jsonl"),
    ),
    "plot": Command(
        "plot raster net.h5 --data . --out raster.png",
        lambda folder: (folder / "raster.png").read_bytes(),
        ("net.h5",),
    ),
    "reproduce": Command(
        "reproduce ecg --neurons brf --seeds 1 --set hidden=[8] --set validation=4 --epochs 9 "
        "--data . --out made",
        read_json("made/results.json"),
    ),
}


def write_inputs(base: Path) -> None:
    """A few samples in the layout of the published data, and steps for a stream."""
    for name, split in zip(("train", "test"), synthetic.generate(24, 6, seed=1), strict=True):
        x = np.zeros((len(split.x), STEPS + 1, 4), np.int16)
        x[:, :STEPS], x[:, -1, 0] = split.x, -1
        y = np.zeros((len(split.x), STEPS + 1, 6), np.uint8)
        y[:, :STEPS] = np.eye(6, dtype=np.uint8)[split.y]
        scipy.io.savemat(base / f"QTDB_{name}.mat", {"x": x, "y": y}, do_compression=True)
    lines = [json.dumps(step) for step in x[0, :STEPS].tolist()]
    (base / "steps.jsonl").write_text("\n".join([*lines, '{"reset": true}\n']) * 2)


def start(command: Command, folder: Path) -> subprocess.Popen[bytes]:
    with (folder / "stdout").open("wb") as out, (folder / "stderr").open("wb") as err:
        return subprocess.Popen(
            [sys.executable, "-m", "brf_lava", *command.arguments.split()],
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=err,
            start_new_session=True,
        )


def group_ends(group: int) -> bool:
    deadline = time.monotonic() + SOON
    while time.monotonic() < deadline:
        try:
            os.killpg(group, 0)
        except ProcessLookupError:
            return True
        time.sleep(0.02)
    return False


def again(name: str, command: Command, folder: Path) -> None:
    """The same command in this process; a training goes on where it was stopped."""
    arguments = command.arguments.split()
    if name == "train":
        if resume_path(folder / "model.pt").exists():
            arguments = ["train", "--resume", "--data", ".", "--out", "model.pt"]
        elif (folder / "model.pt").exists():
            return  # it was done
    before = Path.cwd()
    os.chdir(folder)
    try:
        result = CliRunner().invoke(brf_lava, arguments, prog_name="brf-lava")
    finally:
        os.chdir(before)
    if result.exit_code != 0:
        raise RuntimeError(f"{arguments[0]} again: code {result.exit_code}: {result.output[-300:]}")
    if name == "stream":
        (folder / "stdout").write_text(result.stdout)


def one_round(name: str, folder: Path, number: signal.Signals, rng: random.Random) -> list[str]:
    """What was wrong."""
    command, segments, wrong = COMMANDS[name], set(os.listdir(SHM)), []
    process = start(command, folder)
    group = number != signal.SIGKILL and rng.random() < 0.5
    time.sleep(rng.random() * command.seconds)
    if (code := process.poll()) is None:
        (os.killpg if group else os.kill)(process.pid, number)
    try:
        code = process.wait(PATIENCE)
    except subprocess.TimeoutExpired:
        wrong.append(f"{number.name} did not end it")
        os.killpg(process.pid, signal.SIGKILL)
        code = process.wait()
    said = (folder / "stderr").read_text()
    begun = not said.startswith("Fatal Python error: init_import_site")  # else Python ends itself
    how = "done before" if code == 0 else "ended by it" if begun else "before Python had begun"
    command.counts[f"{number.name}, {how}"] += 1
    if begun and code != 0 and code not in CODES[number]:
        wrong.append(f"exit code {code}")
    if not group_ends(process.pid):
        wrong.append(f"processes left in group {process.pid}")
        os.killpg(process.pid, signal.SIGKILL)
    if begun and "Traceback" in said:
        wrong.append(f"traceback: {said.strip().splitlines()[-1]}")
    if left := set(os.listdir(SHM)) - segments:
        wrong.append(f"in /dev/shm: {', '.join(left)}")
    command.counts["temporary files"] += len(
        [path for path in folder.rglob(".*") if not path.name.endswith(".lock")]
    )
    try:
        again(name, command, folder)
        if command.outcome(folder) != command.expected:
            wrong.append("another outcome than undisturbed")
    except Exception as error:
        wrong.append(f"{type(error).__name__}: {error}")
    return wrong


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=100, help="of SIGKILL, and of the others")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", default=",".join(COMMANDS), help="commands, with commas between")
    chosen = parser.parse_args()
    signal.signal(signal.SIGINT, signal.default_int_handler)  # in the background it is ignored
    require_lava()
    rng, names, failures = random.Random(chosen.seed), chosen.only.split(","), 0
    base = Path(tempfile.mkdtemp(prefix="kills-"))
    write_inputs(base)
    for name, command in COMMANDS.items():
        for _ in range(2):  # the first compiles
            began = time.monotonic()
            code = start(command, base).wait()
            command.seconds = time.monotonic() - began
            if code or name in ("train", "reproduce"):
                break
        if code:
            raise SystemExit(f"{name}: exit code {code}: {(base / 'stderr').read_text()}")
        command.expected = command.outcome(base)
    done = 0
    try:
        for index in range(2 * chosen.rounds):
            name = names[index // 2 % len(names)]
            number = (rng.choice((signal.SIGINT, signal.SIGTERM)), signal.SIGKILL)[index % 2]
            folder = base / f"{index:04}-{name}-{number.name}"
            folder.mkdir()
            for each in (*COMMANDS[name].inputs, "QTDB_train.mat", "QTDB_test.mat"):
                shutil.copy(base / each, folder)
            if wrong := one_round(name, folder, number, rng):
                failures += 1
                print(f"{folder}: {'; '.join(wrong)}", flush=True)
            else:
                shutil.rmtree(folder)
            done += 1
    finally:
        for name in names:
            counts = ", ".join(f"{what} {n}" for what, n in sorted(COMMANDS[name].counts.items()))
            print(f"{name:10} {COMMANDS[name].seconds:5.1f} s   {counts}")
        print(f"{done} rounds, {failures} with a failure")
    if not failures:
        shutil.rmtree(base)
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
