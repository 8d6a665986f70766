"""Slurm's commands, as far as submitit uses them, for jobs of this machine.

`install` makes `sbatch`, `srun`, `sacct`, `scontrol` and `scancel` of this file. Jobs wait in a
spool folder, and a process of `sbatch` runs those of an array, as many at a time as it allows.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

COMMANDS = ("sbatch", "srun", "sacct", "scontrol", "scancel")
SPOOL = "SLURM_STANDIN_SPOOL"


def install(folder: Path) -> dict[str, str]:
    """Make the commands in `folder`. Returns the environment that finds them."""
    for name in COMMANDS:
        command = folder / name
        command.write_text(f'#!/bin/sh\nexec {sys.executable} -S {__file__} {name} "$@"\n')
        command.chmod(0o755)
    spool = folder / "spool"
    spool.mkdir()
    return {"PATH": f"{folder}{os.pathsep}{os.environ['PATH']}", SPOOL: str(spool)}


def sbatch(spool: Path, script: str) -> None:
    """Queue a script, and run it in a process of its own."""
    number = str(len(list(spool.glob("*.sh"))) + 1)
    text = Path(script).read_text()
    (spool / f"{number}.sh").write_text(text)
    array = re.search(r"^#SBATCH --array=0-(\d+)%(\d+)$", text, re.M)
    last, at_once = map(int, array.groups()) if array else (-1, 1)
    names = [f"{number}_{task}" for task in range(last + 1)] or [number]
    for name in names:
        (spool / f"{name}.state").write_text("PENDING")
    sys.stdout.write(f"Submitted batch job {number}\n")
    sys.stdout.flush()
    if os.fork():
        return
    os.setsid()
    null = os.open(os.devnull, os.O_RDWR)
    for each in (0, 1, 2):
        os.dup2(null, each)
    running: dict[str, subprocess.Popen[bytes]] = {}
    while names or running:
        while names and len(running) < at_once:
            name = names.pop(0)
            running[name] = _start(spool, number, name)
        for name, process in list(running.items()):
            if (code := process.poll()) is not None:
                del running[name]
                again = spool / f"{name}.requeue"
                state = "REQUEUED" if again.exists() else "FAILED" if code else "COMPLETED"
                if again.exists():
                    again.unlink()
                    names.append(name)
                (spool / f"{name}.state").write_text(state)
        time.sleep(0.02)
    os._exit(0)


def _start(spool: Path, number: str, name: str) -> subprocess.Popen[bytes]:
    environment = {**os.environ, "SLURM_JOB_ID": number, "SLURM_NTASKS": "1", "SLURM_PROCID": "0"}
    if "_" in name:
        environment |= {"SLURM_ARRAY_JOB_ID": number, "SLURM_ARRAY_TASK_ID": name.split("_")[1]}
    (spool / f"{name}.state").write_text("RUNNING")
    with (spool / "started").open("a") as started:
        started.write(f"{name}\n")
    command = ["bash", str(spool / f"{number}.sh")]
    process = subprocess.Popen(command, env=environment, start_new_session=True)
    (spool / f"{name}.pid").write_text(str(process.pid))
    return process


def srun(_: Path, *arguments: str) -> None:
    """Run a command; it takes the place of this process."""
    given = list(arguments)
    while given[0].startswith("-"):
        option = given.pop(0)
        if option in ("--output", "--error"):
            path = given.pop(0)
            name = os.environ.get("SLURM_ARRAY_JOB_ID", os.environ["SLURM_JOB_ID"])
            task = os.environ.get("SLURM_ARRAY_TASK_ID", "")
            for mark, value in (("%A", name), ("%j", name), ("%a", task), ("%t", "0")):
                path = path.replace(mark, value)
            Path(path).parent.mkdir(parents=True, exist_ok=True)
            number = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
            os.dup2(number, 1 if option == "--output" else 2)
    os.execvp(given[0], given)


def sacct(spool: Path, *arguments: str) -> None:
    """Print the states of jobs."""
    sys.stdout.write("JobID|State|NodeList" + "\n")
    for number in (given for given in arguments if given.isdigit()):
        for path in spool.glob(f"{number}*.state"):
            if path.stem.split("_")[0] == number:
                sys.stdout.write(f"{path.stem}|{path.read_text()}|here" + "\n")


def scontrol(spool: Path, action: str, name: str) -> None:
    """Let a job run again when it ends."""
    assert action == "requeue"
    (spool / f"{name}.requeue").touch()


def scancel(spool: Path, name: str, *arguments: str) -> None:
    """Send a signal to a job; without one, end it."""
    named = arguments[1] if arguments else "KILL"
    number = getattr(signal, named if named.startswith("SIG") else f"SIG{named}")
    session = (spool / f"{name}.pid").read_text()
    for process in Path("/proc").glob("[0-9]*/stat"):
        try:
            _, _, rest = process.read_text().rpartition(") ")
            command = (process.parent / "cmdline").read_bytes()
        except OSError:  # has ended
            continue
        if rest.split()[3] == session and (named == "KILL" or b"submitit.core._submit" in command):
            os.kill(int(process.parent.name), number)


if __name__ == "__main__":
    globals()[sys.argv[1]](Path(os.environ[SPOOL]), *sys.argv[2:])
