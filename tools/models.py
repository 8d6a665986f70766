"""Trains and exports the networks to start from: ``python -m tools.models FOLDER``.

Each is trained with its recipe and seed 0, exported with 8-bit weights and run on the test data.
The folder then holds ``NAME.pt``, ``NAME.h5``, ``NAME.run.json`` and ``manifest.json``:
accuracies, SOPs, SHA-256 and versions. What is there already is not made again. Arguments after the
folder go to every training.
"""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

NAMES = ("ecg-brf", "ecg-bhrf", "smnist-brf", "psmnist-brf")


def brf_lava(*arguments: str | Path) -> Any:
    """The result of a command."""
    command = [sys.executable, "-m", "brf_lava", *map(str, arguments), "--json"]
    return json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)


def make(name: str, folder: Path, *changes: str) -> dict[str, Any]:
    """Train, export and run what is missing, and describe it."""
    model, network, run = (folder / f"{name}{suffix}" for suffix in (".pt", ".h5", ".run.json"))
    if not model.exists():
        resumed = folder / f"{name}.resume.pt"
        start = ("--resume",) if resumed.exists() else ("--recipe", name, *changes)
        brf_lava("train", *start, "-o", model)
    if not network.exists():
        brf_lava("export", model, network)
    if not run.exists():
        brf_lava("run", network, "--backend", "engine", "-o", run)
    found = json.loads(run.read_text())
    result = found["result"]
    return {
        "float": {key: result["reference"][key] for key in ("accuracy", "sops")},
        "integers": {"accuracy": result["accuracy"], "sops": result["cost"]["sops"]},
        "data": found["data"],
        "versions": found["versions"],
        "sha256": {
            path.name: hashlib.sha256(path.read_bytes()).hexdigest()
            for path in (model, network, run)
        },
    }


def main(folder: Path, *changes: str) -> None:
    """changes: arguments of every training."""
    folder.mkdir(parents=True, exist_ok=True)
    made = {}
    for name in NAMES:
        print(name, flush=True)
        made[name] = make(name, folder, *changes)
        (folder / "manifest.json").write_text(json.dumps(made, indent=2) + "\n")
    print(f"Wrote {folder / 'manifest.json'}.")


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit("A folder is needed: python -m tools.models FOLDER")
    main(Path(sys.argv[1]), *sys.argv[2:])
