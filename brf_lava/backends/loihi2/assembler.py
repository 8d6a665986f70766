"""From a neuron program to machine code: by a plug-in, or by files made ready elsewhere.

The assembly language of Loihi 2 is for members of Intel's research community, and none of it is
here. `deploy/assembler.md` says what an assembler gets and has to see to.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import entry_points
from pathlib import Path
from typing import Annotated, Protocol, runtime_checkable

from msgspec import Meta

from brf_lava.backends.loihi2.machine import Program
from brf_lava.config import toml as strict_toml
from brf_lava.config.toml import Name
from brf_lava.errors import BackendUnavailableError, ParameterError, explained
from brf_lava.io.text import read_text

WHAT = "neuron assembler"
GROUP = "brf_lava.loihi2_assembler"  # of entry points
GUIDE = "See deploy/assembler.md."


@runtime_checkable
class Assembler(Protocol):
    """What the entry point of a plug-in names: such an object, or a class to be called for one."""

    name: str  # in messages

    def assemble(self, program: Program) -> bytes:
        """Machine code that does what the program says. Raises for what it cannot do."""


@dataclass
class ReadyCode:
    """Files of machine code, by the fingerprints of their programs."""

    name: str
    files: Mapping[str, Path]

    def assemble(self, program: Program) -> bytes:
        """The bytes of its file. Raises: BackendUnavailableError when there is none."""
        if program.fingerprint not in self.files:
            raise BackendUnavailableError(
                f"{self.name}: has no machine code for program {program.fingerprint} "
                f"({program.neuron.name}), but for {', '.join(self.files)}. Add its file. {GUIDE}"
            )
        return self.files[program.fingerprint].read_bytes()


def find_assembler(microcode: Path | None = None, name: str | None = None) -> Assembler:
    """The assembler to use: the ready files that `microcode` names, else the plug-in `name`.

    Raises:
        BackendUnavailableError: There is none, or several without a name, or it cannot be loaded.
        ParameterError: For a TOML file of no use.
    """
    if microcode is not None:
        return read_microcode(microcode)
    entries = {entry.name: entry for entry in entry_points(group=GROUP)}
    known = ", ".join(sorted(entries))
    entry = entries.get(name or known)
    if entry is None:
        raise BackendUnavailableError(
            f"{WHAT}: {f'no plug-in {name!r} among' if name else 'plug-ins installed:'} "
            f"{known or 'none'}, in the group {GROUP}. "
            f"{'Choose one with --assembler, write' if known else 'Write'} one from "
            "deploy/assembler.md, or name its output with --microcode."
        )
    where = f"{WHAT} {entry.name}: {entry.value} cannot be loaded"
    with explained(BackendUnavailableError, where, f"Install it again, or remove it. {GUIDE}"):
        loaded = entry.load()
        made = loaded() if isinstance(loaded, type) else loaded
        if not isinstance(made, Assembler):
            raise TypeError("it has no name and assemble(program)")
    return made


def machine_code(assembler: Assembler, program: Program) -> bytes:
    """What the assembler makes of a program. Raises: BackendUnavailableError when it fails."""
    where = f"{WHAT} {assembler.name}: cannot assemble {program.neuron.name}"
    with explained(BackendUnavailableError, where, GUIDE):
        code = assembler.assemble(program)
        if not isinstance(code, bytes) or not code:
            raise TypeError(f"machine code as bytes is needed, not {code!r:.80}")
    return code


@dataclass(frozen=True)
class _Listed:
    files: Annotated[dict[str, Name], Meta(description="a table from fingerprints to files")]


def read_microcode(path: Path) -> ReadyCode:
    """The ready files that a TOML file names, relative to its folder. Raises: ParameterError."""
    where, remedy = f"--microcode {path}", f"Name a TOML file with a table [files]. {GUIDE}"
    source = read_text(path, lambda text: ParameterError(f"--microcode {text}"), remedy)
    table = strict_toml.read_table(source, where, ParameterError)
    files = strict_toml.build(_Listed, table, where, ParameterError).files
    return ReadyCode(where, {key: path.parent / value for key, value in files.items()})
