"""Which Loihi 2 to use, and what of all that a run there needs is here: six checks.

A board belongs to a job scheduler, or is on the network. Lava is looked for, not imported. An
assembler plug-in is loaded, with whatever it imports.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

from brf_lava.backends.loihi2.assembler import GUIDE, WHAT, ReadyCode, find_assembler
from brf_lava.config.profile import GENERATIONS, Loihi2Profile
from brf_lava.errors import BackendUnavailableError, BrfLavaError, ParameterError, explained

EXTENSION = "lava.utils.loihi2_profiler"  # by this module Lava itself recognizes the extension
SECONDS = 5.0  # that the scheduler or a host may take to answer
DELAY_MAX = 1000  # steps; every sample is so much longer, and memory with it
# States of nodes in which the scheduler gives them no new work, as sinfo shortens them; a * after
# any other says that the node does not answer
NOT_UP = ("down", "drain", "drng", "fail", "maint", "inact", "inval", "unk")
HOST, BOARD = "Loihi host", "board"


@dataclass(frozen=True)
class Finding:
    """One thing that a run needs: whether it is here, where it was looked for, what to do then."""

    name: str
    found: bool
    detail: str
    advice: str = ""

    def line(self) -> str:
        """It in one line: the words that all commands use."""
        state = "found" if self.found else "not found"
        advice = f" ({self.advice})" if self.advice else ""
        return " ".join(f"{self.name}: {state}, {self.detail}{advice}".split())


def answer(command: Sequence[str]) -> str | None:
    """What a command prints; None where there is no such command, or it fails or hangs."""
    try:
        ended = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, timeout=SECONDS, check=True
        )
        return ended.stdout.decode(errors="replace")
    except (OSError, ValueError, subprocess.SubprocessError):
        return None


def up_names(*options: str) -> list[str] | None:
    """What is up and takes work. options: of sinfo, what to list. None: there is no scheduler."""
    listed = answer(["sinfo", "--noheader", *options])
    if listed is None:
        return None
    rows = [line.split() for line in listed.splitlines()]  # availability, state, name
    answering = (row for row in rows if len(row) == 3 and row[0] == "up" and row[1][-1] != "*")
    return list(dict.fromkeys(row[2] for row in answering if not row[1].startswith(NOT_UP)))


@dataclass(frozen=True)
class Loihi2Options:
    """How to run on Loihi 2; what is None is left to the profile and the machine.

    Attributes:
        host: auto: ethernet where NXSDKHOST is set, else the scheduler.
        partition, board: Of the scheduler, the board by its node; one of them.
        address: Of an ethernet host.
        chip_generation: Such as N3B3.
        microcode, assembler: A TOML file that names assembled programs, or a plug-in's name.
        io_delay: Steps by which the host adapters delay inputs and outputs together.
        profile: Of the board, whose limits the network must keep to; None: they are not looked at.

    Raises: ParameterError for options that do not go together, or that Lava does not know.
    """

    host: Literal["auto", "slurm", "ethernet"] = "auto"
    partition: str | None = None
    board: str | None = None
    address: str | None = None
    chip_generation: str | None = None
    microcode: Path | None = None
    assembler: str | None = None
    io_delay: int = 0
    profile: Loihi2Profile | None = None

    def __post_init__(self) -> None:
        places = {"partition": self.partition, "board": self.board, "address": self.address}
        named = [f"--{option} {value}" for option, value in places.items() if value is not None]
        other = self.address if self.host == "slurm" else self.partition or self.board
        if len(named) > 1 or (self.host != "auto" and other):
            raise ParameterError(
                f"--host {self.host} with {' and '.join(named)}: --partition and --board are of "
                "slurm, --address is of an ethernet host. Use one of the three."
            )
        if "" in places.values():
            raise ParameterError(f"{named[0]}: empty. Name one, or leave the option out.")
        if self.chip_generation not in (None, *GENERATIONS):
            known = f"Lava knows {', '.join(GENERATIONS)}."
            raise ParameterError(f"--chip-generation {self.chip_generation}: {known}")
        if not 0 <= self.io_delay <= DELAY_MAX:
            raise ParameterError(f"--io-delay {self.io_delay}; it must be 0 to {DELAY_MAX} steps.")
        if self.microcode is not None and self.assembler is not None:
            raise ParameterError(
                f"--assembler {self.assembler}: --microcode assembles nothing. Leave one out."
            )

    def look(self) -> tuple[Finding, Finding, Loihi2Options]:
        """Whether the host is here, whether its board is, and these options with both chosen."""
        address = self.address or os.environ.get("NXSDKHOST")
        if address and not (self.host == "slurm" or self.partition or self.board):
            # asked by a ping, as by Lava, which takes no host otherwise
            answers = answer(["ping", "-c", "1", "--", address]) is not None
            what = f"{address} {'answers' if answers else 'does not answer'} the program ping"
            advice = "" if answers else "switch it on, correct the address, or install ping"
            host = Finding(HOST, True, f"ethernet, NXSDKHOST={address}")
            return host, Finding(BOARD, answers, what, advice), replace(self, address=address)
        up = None if self.host == "ethernet" else up_names("--format=%a %t %R")
        if up is None:
            slurm = f", no scheduler (sinfo) that answers within {SECONDS:g} s"
            what = f"no --address, no NXSDKHOST{slurm if self.host != 'ethernet' else ''}"
            advice = "name a board with --address, or log in to a host with boards"
            nobody = Finding(BOARD, False, "there is no host to ask", "find the host first")
            return Finding(HOST, False, what, advice), nobody, self
        return Finding(HOST, True, "slurm, sinfo answers"), *self._look_for_board(up)

    def _look_for_board(self, up: list[str]) -> tuple[Finding, Loihi2Options]:
        """Of a scheduler. up: its partitions."""
        partition, board = self.partition, self.board
        if not (partition or board):
            partition, board = os.environ.get("PARTITION"), os.environ.get("BOARD")
        kind = "partition"
        wanted = [partition] if partition else self.profile.partitions if self.profile else ()
        if board and not partition:
            kind, up, wanted = "board", up_names("--Node", "--format=%a %t %N") or [], [board]
        for name in wanted:
            if name in up:
                chosen: dict[str, Any] = {"partition": None, "board": None, kind: name}
                return Finding(BOARD, True, f"{kind} {name} is up"), replace(self, **chosen)
        what = f"none of {', '.join(wanted) or f'no {kind}'} among the {kind}s that are up"
        advice = f"name one with --{kind}{', or another --profile' * (not board)}"
        return Finding(BOARD, False, f"{what}: {', '.join(up) or 'none'}", advice), self

    @property
    def generation(self) -> str | None:
        """Of the chip: the option's, else the profile's, else the machine's."""
        profile = self.profile.generation if self.profile else None
        return self.chip_generation or profile or os.environ.get("LOIHI_GEN")

    def describe(self) -> str:
        """Where the board is, in a few words."""
        where = f"partition {self.partition}" if self.partition else f"board {self.board}"
        where = f"ethernet host {self.address}" if self.address else f"slurm, {where}"
        return f"{where}, {self.generation}" if self.generation else where


def use_host(options: Loihi2Options) -> None:
    """Tell Lava about options that `look` chose. Raises: BackendUnavailableError."""
    from lava.utils import loihi

    generation = options.generation
    chosen = {} if generation is None else {"loihi_gen": loihi.ChipGeneration(generation)}
    remedy = "Name another board."
    with explained(BackendUnavailableError, f"{options.describe()}: Lava refuses it", remedy):
        if options.address:
            loihi.use_ethernet_host(host_address=options.address, **chosen)
            return
        # Lava's own look-up of a partition or board stops at the empty last line of what sinfo
        # prints; `look` has looked, and these variables are all that it would set.
        loihi.use_slurm_host(**chosen)
    os.environ.pop("NXSDKHOST", None)  # names a board on the network, and Lava leaves it there
    places = {"PARTITION": options.partition, "BOARD": options.board}
    os.environ.update({name: place for name, place in places.items() if place})


def examine(options: Loihi2Options) -> tuple[list[Finding], Loihi2Options]:
    """What a run needs, and what is here; and the options with a host and a board chosen."""
    name = "Lava on Python 3.10 to 3.13"
    try:
        lava = Finding(name, True, f"lava-nc {version('lava-nc')}")
    except PackageNotFoundError:
        lava = Finding(name, False, "no package lava-nc", "brf-lava install-lava")
    name, module = "Intel's Loihi extension", f"module {EXTENSION}"
    advice = "lava-loihi is for members of Intel's Neuromorphic Research Community; install it on"
    extension = Finding(name, False, f"no {module}", f"{advice} the board's host")
    with suppress(Exception):  # not even Lava is here, or its first lines fail
        if find_spec(EXTENSION) is not None:
            extension = Finding(name, True, module)
    host, board, chosen = options.look()
    # No public command says what a board has; LOIHI_GEN is what its users set.
    wanted, inherited = options.generation, os.environ.get("LOIHI_GEN")
    generation = Finding("chip generation", True, wanted or "none named")
    if inherited not in (None, wanted) and not options.chip_generation:
        what = f"{wanted} is wanted, LOIHI_GEN={inherited}"
        advice = "name the board's with --chip-generation, or with another --profile"
        generation = Finding("chip generation", False, what, advice)
    return [lava, extension, _assembler(options), host, board, generation], chosen


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
