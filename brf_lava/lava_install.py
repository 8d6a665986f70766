"""Installs Lava into the environment of this Python: what ``brf-lava install-lava`` does.

The wheels are Lava's own, unmodified, and checked against the hashes in ``lava-wheels.txt``. Their
metadata name old versions of NumPy, torch and others; current ones are installed instead.
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Callable
from importlib.metadata import distributions
from importlib.util import find_spec
from pathlib import Path

from brf_lava.errors import BackendUnavailableError

OLD = sys.version_info < (3, 11)  # Lava's own metadata are right there
WHEELS = Path(__file__).with_name("lava-wheels.txt")
PINNED = tuple(line.split()[0] for line in WHEELS.read_text().splitlines())
NEEDS = ("asteval", "h5py", "matplotlib", "networkx", "scipy")  # what Lava imports, besides torch
# Python runs this file when it starts: `import lava` imports brf_lava first, and so the repairs.
STARTUP = Path(sysconfig.get_path("purelib")) / "brf_lava.pth"
STARTUP_LINE = (
    "import sys; sys.meta_path.insert(0, type('BrfLavaFirst', (), {'find_spec': staticmethod("
    "lambda name, path=None, target=None: __import__('brf_lava') and None if name == 'lava' "
    "else None)}))"
)
CHECK = "from brf_lava.lava_support import require_lava; require_lava()"


def install_lava(say: Callable[[str], None], *, dry_run: bool = False) -> None:
    """Install lava-nc and lava-dl, unless they are installed.

    say: called with each line of what is being done. dry_run: name the commands, run none.
    Raises: BackendUnavailableError if there is neither pip nor uv, or if a command fails.
    """
    wanted = " and ".join(PINNED)
    installed = {f"{each.metadata['Name']}=={each.version}" for each in distributions()}
    if installed.issuperset(PINNED) and (OLD or STARTUP.is_file()):
        say(f"{wanted} are installed in {sys.prefix}: nothing to do.")
        return
    active = os.environ.get("VIRTUAL_ENV") or os.environ.get("CONDA_PREFIX")
    note = f", not into the active environment {active}" if active else ", which is not active here"
    is_active = active and Path(active).resolve() == Path(sys.prefix).resolve()
    say(f"Lava goes into {sys.prefix}{'' if is_active else note}.")
    for command in install_commands():
        say(shlex.join(command))
        if not dry_run:
            _run(command)
    if not OLD:
        say(f"{STARTUP}: lets Lava be imported before brf_lava.")
    if not dry_run:
        if not OLD:
            STARTUP.write_text(f"{STARTUP_LINE}\n")
        _run([sys.executable, "-c", CHECK])
        say(f"{wanted} are installed and can be imported.")


def install_commands() -> list[list[str]]:
    """With pip, or with uv where there is no pip; on Python 3.10 with Lava's own limits."""
    if find_spec("pip"):
        installer = [sys.executable, "-m", "pip", "install"]
        unlimited = ["--no-deps", "--ignore-requires-python"]
    elif uv := shutil.which("uv"):
        installer = [uv, "pip", "install", "--python", sys.executable]
        unlimited = ["--no-deps"]  # uv itself ignores upper limits on Python
    else:
        raise BackendUnavailableError(
            f"install-lava: neither pip in {sys.prefix} nor uv on PATH. Try python -m ensurepip."
        )
    wheels = [*installer, *unlimited, "--require-hashes", "--requirement", str(WHEELS)]
    return [wheels, [*installer, *PINNED]] if OLD else [[*installer, *NEEDS], wheels]


def _run(command: list[str]) -> None:
    code = subprocess.run(command, check=False).returncode
    if code:
        raise BackendUnavailableError(
            f"install-lava: exit code {code} of {shlex.join(command)}. Correct it and try again."
        )
