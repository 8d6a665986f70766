"""What a run on Loihi 2 needs, and what of it is here.

`brf-lava doctor` lists it; a command that needs the chip and does not have it says the same words.
Nothing here loads Lava: it is looked for, not imported. An assembler plug-in is loaded, and with
it whatever it imports.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from brf_lava.backends.loihi2.assembler import (
    GROUP,
    assembler_names,
    find_assembler,
    read_microcode,
)
from brf_lava.errors import BrfLavaError

EXTENSION = "lava.utils.loihi2_profiler"  # by this module Lava itself recognizes the extension
SECONDS = 5.0  # that the scheduler or a host may take to answer
# States of nodes in which the scheduler gives them no new work, as sinfo shortens them; a * after
# any other says that the node does not answer
NOT_UP = ("down", "drain", "drng", "fail", "maint", "inval", "unk")


@dataclass(frozen=True)
class Finding:
    """One thing that was looked for.

    name: what; found: whether it is here; detail: what was found, or where it was looked for;
    advice: what to do about it, empty where it is here; needed: without it there is no run on
    Loihi 2.
    """

    name: str
    found: bool
    detail: str
    advice: str = ""
    needed: bool = True

    def line(self) -> str:
        """It in one line: the words that all commands use."""
        state = "found" if self.found else "not found"
        advice = f" ({self.advice})" if self.advice else ""
        return " ".join(f"{self.name}: {state}, {self.detail}{advice}".split())

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


Answer = Callable[[Sequence[str]], str | None]
Search = Callable[[str], str | None]


def answer(command: Sequence[str]) -> str | None:
    """What a command prints; None where there is no such command, or it fails or hangs.

    After the time limit all that it started is killed too: whoever keeps the pipe open would make
    the limit void.
    """
    if shutil.which(command[0]) is None:
        return None
    try:
        process = subprocess.Popen(
            list(command),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
    except (OSError, ValueError):  # not to be run, or an argument that no command can have
        return None
    with process:
        try:
            printed, _ = process.communicate(timeout=SECONDS)
        except subprocess.TimeoutExpired:
            _end_all(process.pid)
            return None
        except KeyboardInterrupt:
            _end_all(process.pid)
            raise
    return printed.decode(errors="replace") if process.returncode == 0 else None


def _end_all(group: int) -> None:
    """Kill a process and what it started."""
    with suppress(ProcessLookupError):
        os.killpg(group, signal.SIGKILL)


def is_name(text: str) -> bool:
    """Whether a host, a board or a partition can be called so; no option of ``ping`` can."""
    return text.isprintable() and len(text.split()) == 1 and not text.startswith("-")


def examine(
    *,
    environment: Mapping[str, str] = os.environ,
    ask: Answer = answer,
    search: Search = shutil.which,
    partitions: Sequence[str] = (),
    generation: str | None = None,
    named: bool = False,
    microcode: Path | None = None,
    assembler: str | None = None,
    host: str = "auto",
) -> tuple[Finding, ...]:
    """Look for everything a run on Loihi 2 needs.

    environment: the variables that Lava reads to find the chip
    ask:         runs ``sinfo`` and ``ping``; search: finds a program, or gives None
    partitions:  those of the profile, any of which will do
    generation:  of the chip that is wanted; named: by an option, not by the profile
    microcode:   the file that names assembled programs, with which no assembler is needed
    assembler:   the plug-in that was named
    host:        "auto", "slurm" or "ethernet"
    """
    return (
        _package("Lava on Python 3.10 to 3.13", "lava-nc", "brf-lava install-lava"),
        _package("lava-dl", "lava-dl", "brf-lava install-lava", needed=False),
        _package("torch", "torch", "pip install torch", needed=False),
        _extension(),
        _assembler(microcode, assembler),
        *_host_and_board(environment, ask, search, partitions, host),
        _generation(environment, generation, named),
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
    name = "Intel's Loihi extension"
    try:
        found = find_spec(EXTENSION) is not None
    except Exception:  # not even Lava is here, or its first lines fail
        found = False
    if found:
        return Finding(name, True, f"module {EXTENSION}")
    return Finding(
        name,
        False,
        f"no module {EXTENSION}",
        "lava-loihi is for members of Intel's Neuromorphic Research Community; install it on the "
        "board's host",
    )


def _assembler(microcode: Path | None, named: str | None) -> Finding:
    if microcode is not None:
        return _ready_code(microcode)
    names = assembler_names()
    here = ", ".join(names)
    if named is not None and named not in names:
        what = f"no plug-in {named!r} among {here or 'none'}"
        return Finding("neuron assembler", False, what, "correct --assembler, or install it")
    if named is None and len(names) > 1:
        return Finding("neuron assembler", False, f"plug-ins {here}", "choose with --assembler")
    if names:
        try:
            find_assembler(name=named)
        except BrfLavaError as error:
            return Finding("neuron assembler", False, str(error).rstrip("."), "or use --microcode")
        return Finding("neuron assembler", True, f"plug-in {named or here}")
    return Finding(
        "neuron assembler",
        False,
        f"no plug-in in the group {GROUP}",
        "members write one from deploy/assembler.md, or name its output with --microcode",
    )


def _ready_code(microcode: Path) -> Finding:
    """Whether the file can be read, and any of those that it names."""
    name, advice = "neuron assembler", "correct --microcode, or leave it out and use a plug-in"
    try:
        ready = read_microcode(microcode)
    except BrfLavaError as error:
        return Finding(name, False, str(error).rstrip("."), advice)
    gone = ready.unreadable()
    lacking = f", without {', '.join(map(str, gone))}" if gone else ""
    some = len(gone) < len(ready.files)
    what = f"{microcode}, {len(ready.files)} assembled programs, instead of one{lacking}"
    return Finding(name, some, what, "" if some else advice)


def _generation(environment: Mapping[str, str], wanted: str | None, named: bool) -> Finding:
    """No public command says what a board has; LOIHI_GEN is what its users set."""
    said = environment.get("LOIHI_GEN")
    if wanted and said and wanted != said:
        return Finding(
            "chip generation",
            False,
            f"{wanted} is wanted, LOIHI_GEN={said}",
            "name the board's with --chip-generation, or with another --profile",
        )
    if named:
        return Finding("chip generation", True, f"{wanted}, as --chip-generation")
    by = ", as LOIHI_GEN" if said else ", no LOIHI_GEN to compare with"
    return Finding("chip generation", True, f"{wanted or said or 'none named'}{by}")


def _host_and_board(
    environment: Mapping[str, str],
    ask: Answer,
    search: Search,
    partitions: Sequence[str],
    host: str,
) -> tuple[Finding, Finding]:
    address = environment.get("NXSDKHOST", "") if host != "slurm" else ""
    if host == "ethernet" and not address:
        return (
            Finding("Loihi host", False, "no address, no NXSDKHOST", "name it with --address"),
            Finding("board", False, "there is no host to ask", "find the host first"),
        )
    if address:
        return (
            Finding("Loihi host", True, f"ethernet, NXSDKHOST={address}"),
            _ethernet_board(address, ask, search),
        )
    listed = ask(["sinfo"])
    if listed is None:
        silent = f"the scheduler's sinfo fails, or takes longer than {SECONDS:g} s,"
        what = silent if search("sinfo") else "no scheduler (sinfo)"
        return (
            Finding(
                "Loihi host",
                False,
                f"{what} and no NXSDKHOST",
                "log in to a host with boards, or name one with --host ethernet --address",
            ),
            Finding("board", False, "there is no host to ask", "find the host first"),
        )
    return Finding("Loihi host", True, "slurm, sinfo answers"), _slurm_board(
        environment, up_partitions(listed), partitions, ask
    )


def _ethernet_board(address: str, ask: Answer, search: Search) -> Finding:
    """By a ping, with which Lava too asks: without it there, Lava takes no host."""
    if not is_name(address):
        return Finding("board", False, f"{address!r} is no address", "correct NXSDKHOST")
    if ask(["ping", "-c", "1", address]) is not None:
        return Finding("board", True, f"{address} answers a ping")
    if search("ping") is None:
        what = f"{address} cannot be asked, there is no program ping, which Lava asks with too"
        return Finding("board", False, what, "install ping")
    return Finding(
        "board",
        False,
        f"{address} does not answer a ping within {SECONDS:g} s",
        "switch it on, or correct NXSDKHOST or --address",
    )


def _slurm_board(
    environment: Mapping[str, str], up: Sequence[str], partitions: Sequence[str], ask: Answer
) -> Finding:
    named, board = environment.get("PARTITION"), environment.get("BOARD")
    if board and not named:
        there = board in up_boards(ask(["sinfo", "-N"]) or "")
        return Finding(
            "board",
            there,
            f"{board} is {'up' if there else 'not among those that are up'}",
            "" if there else "look at 'sinfo -N' and name another",
        )
    wanted = [named] if named else list(partitions)
    usable = [name for name in wanted if name in up]
    if usable:
        return Finding("board", True, f"partition {usable[0]} is up")
    return Finding(
        "board",
        False,
        f"none of {', '.join(wanted) or 'no partition'} among the partitions that are up: "
        f"{', '.join(up) or 'none'}",
        "name one with --partition, or another --profile",
    )


def up_partitions(listed: str) -> tuple[str, ...]:
    """The partitions that are up, from what ``sinfo`` prints: name, availability, limit, ..."""
    rows = [line.split() for line in listed.splitlines()[1:]]
    return tuple(
        dict.fromkeys(
            row[0].rstrip("*")
            for row in rows
            if len(row) > 4 and row[1] == "up" and _takes_work(row[4])
        )
    )


def up_boards(listed: str) -> tuple[str, ...]:
    """The boards that are up, from what ``sinfo -N`` prints: node, number, partition, state."""
    rows = [line.split() for line in listed.splitlines()[1:]]
    return tuple(dict.fromkeys(row[0] for row in rows if len(row) > 3 and _takes_work(row[3])))


def _takes_work(state: str) -> bool:
    return not state.startswith(NOT_UP) and not state.endswith("*")
