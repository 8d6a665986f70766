"""From a neuron program to machine code: by a plug-in, or by files made ready elsewhere.

The assembly language of Loihi 2 is for members of Intel's research community, and none of it is
here. `deploy/assembler.md` says what an assembler gets and has to see to.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import entry_points
from pathlib import Path
from typing import Protocol

from brf_lava.backends.loihi2.machine import Program
from brf_lava.config import toml as strict_toml
from brf_lava.errors import BackendUnavailableError, BrfLavaError, ParameterError
from brf_lava.io.text import read_text

WHAT = "neuron assembler"
GROUP = "brf_lava.loihi2_assembler"  # of entry points
GUIDE = "See deploy/assembler.md."
FINGERPRINT = re.compile("[0-9a-f]{16}")
NAMING = "Name a TOML file with one table, [files], from programs to files of machine code."


class Assembler(Protocol):
    """What the entry point of a plug-in names: such an object, or a class to be called for one."""

    @property
    def name(self) -> str:
        """What to call it in messages."""

    def assemble(self, program: Program) -> bytes:
        """Machine code that does what the program says. Raises for what it cannot do."""


@dataclass(frozen=True)
class ReadyCode:
    """Machine code made ready elsewhere: one file for each program, by its fingerprint."""

    name: str
    files: Mapping[str, Path]

    def unreadable(self) -> tuple[Path, ...]:
        """Those of the files that are not there, or may not be read."""
        files = self.files.values()
        return tuple(each for each in files if not (each.is_file() and os.access(each, os.R_OK)))

    def assemble(self, program: Program) -> bytes:
        """The bytes of its file. Raises: BackendUnavailableError when there is none."""
        path = self.files.get(program.fingerprint)
        if path is None:
            raise BackendUnavailableError(
                f"{self.name}: has no machine code for program {program.fingerprint} "
                f"({program.neuron.name}), but for {', '.join(self.files)}. List it with 'brf-lava "
                "loihi2 program', assemble it and add its file."
            )
        try:
            return path.read_bytes()
        except OSError as error:
            raise BackendUnavailableError(
                f"{self.name}: {path} cannot be read ({error.strerror}). Correct the path."
            ) from None


def find_assembler(microcode: Path | None = None, name: str | None = None) -> Assembler:
    """The assembler to use: ready files where there are some, else the plug-in.

    Args:
        microcode: A TOML file that names ready files by the fingerprints of their programs.
        name: Of a plug-in, where there are several.

    Raises:
        BackendUnavailableError: There is none, or it cannot be loaded.
        ParameterError: Several without a name, or a TOML file of no use.
    """
    if microcode is not None:
        return read_microcode(microcode)
    entries = {entry.name: entry for entry in entry_points(group=GROUP)}
    known = ", ".join(sorted(entries))
    if name is None and len(entries) > 1:
        raise ParameterError(f"{WHAT}: plug-ins {known} are installed. Choose with --assembler.")
    if not entries or (name is not None and name not in entries):
        which = f"no plug-in {name!r} among {known or 'none'}" if name else "no plug-in"
        raise BackendUnavailableError(
            f"{WHAT}: {which} in the group {GROUP}. Members write one from deploy/assembler.md, or "
            "name its output with --microcode."
        )
    entry = entries[known if name is None else name]
    try:
        loaded = entry.load()
        made: Assembler = loaded() if isinstance(loaded, type) else loaded
        usable = isinstance(made.name, str) and callable(made.assemble)
    except AttributeError:
        usable = False
    except (Exception, SystemExit) as error:  # whatever a stranger's module raises
        raise BackendUnavailableError(
            f"{WHAT} {entry.name}: {entry.value} cannot be loaded ({type(error).__name__}: "
            f"{error}). Install it again, or remove it."
        ) from error
    if not usable:
        raise BackendUnavailableError(
            f"{WHAT} {entry.name}: {entry.value} has no name and assemble(program). {GUIDE}"
        )
    return made


def machine_code(assembler: Assembler, program: Program) -> bytes:
    """What the assembler makes of a program. Raises: BackendUnavailableError when it fails."""
    try:
        code = assembler.assemble(program)
    except BrfLavaError:
        raise
    except Exception as error:
        raise BackendUnavailableError(
            f"{WHAT} {assembler.name}: cannot assemble {program.neuron.name} "
            f"({type(error).__name__}: {error}). Ask whoever wrote it. {GUIDE}"
        ) from error
    if not isinstance(code, bytes) or not code:
        got = "no bytes" if isinstance(code, bytes) else type(code).__name__
        raise BackendUnavailableError(
            f"{WHAT} {assembler.name}: {got} for {program.neuron.name}; machine code as bytes "
            f"is needed. Ask whoever wrote it. {GUIDE}"
        )
    return code


def read_microcode(path: Path) -> ReadyCode:
    """The ready files that a TOML file names, relative to its folder. Raises: ParameterError."""
    where = f"--microcode {path}"
    remedy = f"{NAMING} {GUIDE}"
    source = read_text(path, lambda text: ParameterError(f"--microcode {text}"), remedy)
    table = strict_toml.read_table(source, where, ParameterError)
    files = table.get("files")
    if set(table) != {"files"} or not isinstance(files, dict) or not files:
        raise ParameterError(f"{where}: {', '.join(table) or 'empty'}. {NAMING} {GUIDE}")
    for key, value in files.items():
        if not FINGERPRINT.fullmatch(key) or not isinstance(value, str) or not value:
            raise ParameterError(
                f"{where}: files.{key} = {strict_toml.to_toml(value)}; the key is a program's "
                f"fingerprint, 16 hexadecimal digits, the value the path of a file. {GUIDE}"
            )
    return ReadyCode(where, {key: path.parent / value for key, value in files.items()})
