"""What a run on Loihi 2 needs, and what of it is here.

`brf-lava doctor` lists it; a command that needs the chip and does not have it says the same words.
Nothing here loads Lava: it is looked for, not imported. An assembler plug-in is loaded, and with
it whatever it imports.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path

from brf_lava.backends.loihi2.assembler import GUIDE, WHAT, ReadyCode, find_assembler
from brf_lava.backends.loihi2.hosts import Finding, Host
from brf_lava.errors import BrfLavaError

EXTENSION = "lava.utils.loihi2_profiler"  # by this module Lava itself recognizes the extension


def examine(
    host: Host,
    *,
    partitions: Sequence[str] = (),
    generation: str | None = None,
    microcode: Path | None = None,
    assembler: str | None = None,
) -> tuple[Finding, ...]:
    """Look for everything a run on Loihi 2 needs.

    Args:
        host: The host that was chosen.
        partitions: Those of the profile, any of which will do.
        generation: Of the profile's chip.
        microcode: The file that names assembled programs, with which no assembler is needed.
        assembler: The plug-in that was named.
    """
    host_finding, board, _ = host.look(partitions)
    return (
        _package("Lava on Python 3.10 to 3.13", "lava-nc", "brf-lava install-lava"),
        _package("lava-dl", "lava-dl", "brf-lava install-lava", needed=False),
        _package("torch", "torch", "pip install torch", needed=False),
        _extension(),
        _assembler(microcode, assembler),
        host_finding,
        board,
        _generation(host.generation, generation, os.environ.get("LOIHI_GEN")),
    )


def missing(findings: Sequence[Finding]) -> tuple[Finding, ...]:
    """What a run on Loihi 2 needs and this machine lacks."""
    return tuple(finding for finding in findings if finding.needed and not finding.found)


def explain(findings: Sequence[Finding]) -> str:
    """What was looked for, in one line, for an error message."""
    needed = [finding.line() for finding in findings if finding.needed]
    return (
        f"backend 'loihi2' cannot run here. Looked for: {'; '.join(needed)}. See 'brf-lava doctor' "
        "and deploy/README.md, or use --backend sim or engine."
    )


def _package(name: str, package: str, advice: str, *, needed: bool = True) -> Finding:
    try:
        return Finding(name, True, f"{package} {version(package)}", needed=needed)
    except PackageNotFoundError:
        return Finding(name, False, f"no package {package}", advice, needed)


def _extension() -> Finding:
    try:
        here = find_spec(EXTENSION) is not None
    except Exception:  # not even Lava is here, or its first lines fail
        here = False
    advice = "lava-loihi is for members of Intel's Neuromorphic Research Community"
    return Finding(
        "Intel's Loihi extension",
        here,
        f"{'' if here else 'no '}module {EXTENSION}",
        "" if here else f"{advice}; install it on the board's host",
    )


def _assembler(microcode: Path | None, named: str | None) -> Finding:
    """A plug-in that can be loaded, or any of the ready files that can be read."""
    try:
        code = find_assembler(microcode, named)
    except BrfLavaError as error:
        problem, _, remedy = str(error).removeprefix(f"{WHAT}: ").rstrip(".").partition(". ")
        remedy = remedy or GUIDE
        return Finding(WHAT, False, problem, remedy[0].lower() + remedy[1:])
    if not isinstance(code, ReadyCode):
        return Finding(WHAT, True, f"plug-in {named or code.name}")
    gone = code.unreadable()
    lacking = f", without {', '.join(map(str, gone))}" if gone else ""
    detail = f"{microcode}, {len(code.files)} assembled programs, instead of one{lacking}"
    some = len(gone) < len(code.files)
    return Finding(WHAT, some, detail, "" if some else "correct --microcode, or use a plug-in")


def _generation(named: str | None, profile: str | None, said: str | None) -> Finding:
    """No public command says what a board has; LOIHI_GEN is what its users set."""
    name = "chip generation"
    if named:
        return Finding(name, True, f"{named}, as --chip-generation")
    if profile and said and profile != said:
        advice = "name the board's with --chip-generation, or with another --profile"
        return Finding(name, False, f"{profile} is wanted, LOIHI_GEN={said}", advice)
    by = "as LOIHI_GEN" if said else "no LOIHI_GEN to compare with"
    return Finding(name, True, f"{profile or said or 'none named'}, {by}")
