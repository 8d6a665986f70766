"""What a run on Loihi 2 needs, and what of it is here: six checks.

Lava is looked for, not imported. An assembler plug-in is loaded, with whatever it imports.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec

from brf_lava.backends.loihi2.assembler import GUIDE, WHAT, ReadyCode, find_assembler
from brf_lava.backends.loihi2.hosts import Finding, Loihi2Options
from brf_lava.errors import BackendUnavailableError, BrfLavaError

EXTENSION = "lava.utils.loihi2_profiler"  # by this module Lava itself recognizes the extension


def examine(options: Loihi2Options) -> tuple[list[Finding], Loihi2Options]:
    """What a run needs, and what is here; and the options with a host and a board chosen."""
    host, board, chosen = options.look()
    return [_lava(), _extension(), _assembler(options), host, board, _generation(options)], chosen


def missing(findings: Sequence[Finding]) -> str:
    """The names of what is not here, with commas between."""
    return ", ".join(finding.name for finding in findings if not finding.found)


def require_loihi2(options: Loihi2Options | None = None) -> Loihi2Options:
    """The options with a host and a board chosen. Raises: BackendUnavailableError with findings."""
    findings, chosen = examine(options or Loihi2Options())
    if missing(findings):
        raise BackendUnavailableError(
            "backend 'loihi2' cannot run here. Looked for: "
            f"{'; '.join(finding.line() for finding in findings)}. See 'brf-lava doctor' and "
            "deploy/README.md, or use --backend sim or engine."
        )
    return chosen


def _lava() -> Finding:
    name = "Lava on Python 3.10 to 3.13"
    try:
        return Finding(name, True, f"lava-nc {version('lava-nc')}")
    except PackageNotFoundError:
        return Finding(name, False, "no package lava-nc", "brf-lava install-lava")


def _extension() -> Finding:
    name, module = "Intel's Loihi extension", f"module {EXTENSION}"
    with suppress(Exception):  # not even Lava is here, or its first lines fail
        if find_spec(EXTENSION) is not None:
            return Finding(name, True, module)
    advice = "lava-loihi is for members of Intel's Neuromorphic Research Community; install it on"
    return Finding(name, False, f"no {module}", f"{advice} the board's host")


def _assembler(options: Loihi2Options) -> Finding:
    """A plug-in that can be loaded, or any of the ready files that can be read."""
    try:
        code = find_assembler(options.microcode, options.assembler)
    except BrfLavaError as error:
        problem, _, remedy = str(error).removeprefix(f"{WHAT}: ")[:-1].partition(". ")
        return Finding(WHAT, False, problem, remedy or GUIDE)
    if not isinstance(code, ReadyCode):
        return Finding(WHAT, True, f"plug-in {options.assembler or code.name}")
    gone = [str(path) for path in code.files.values() if not os.access(path, os.R_OK)]
    detail = f"{code.name}, {len(code.files)} assembled programs"
    detail += f", without {', '.join(gone)}" if gone else ""
    found = len(gone) < len(code.files)
    return Finding(WHAT, found, detail, "" if found else f"list files that exist. {GUIDE}")


def _generation(options: Loihi2Options) -> Finding:
    """No public command says what a board has; LOIHI_GEN is what its users set."""
    name, wanted, inherited = "chip generation", options.generation, os.environ.get("LOIHI_GEN")
    if inherited in (None, wanted) or options.chip_generation:
        return Finding(name, True, wanted or "none named")
    advice = "name the board's with --chip-generation, or with another --profile"
    return Finding(name, False, f"{wanted} is wanted, LOIHI_GEN={inherited}", advice)
