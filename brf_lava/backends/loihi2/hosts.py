"""Which Loihi 2 to use, and whether it is there: a board of a job scheduler, or on the network."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from brf_lava.config.profile import GENERATIONS, Loihi2Profile
from brf_lava.errors import BackendUnavailableError, ParameterError, explained

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


def up_names(listed: str, state: int) -> list[str]:
    """What is up and takes work, of a list that ``sinfo`` prints with the state in this column."""
    rows = [line.split() for line in listed.splitlines()[1:]]
    names = [
        row[0].rstrip("*")
        for row in rows
        if len(row) > state and not row[1].startswith(NOT_UP)  # a partition's availability
        if not row[state].startswith(NOT_UP) and not row[state].endswith("*")
    ]
    return list(dict.fromkeys(names))


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
        if not (self.host == "slurm" or self.partition or self.board):
            address = self.address or os.environ.get("NXSDKHOST")
            if address:  # asked by a ping, as by Lava, which takes no host otherwise
                host = Finding(HOST, True, f"ethernet, NXSDKHOST={address}")
                answers = answer(["ping", "-c", "1", "--", address]) is not None
                what = f"{address} {'answers' if answers else 'does not answer'} the program ping"
                advice = "" if answers else "switch it on, correct the address, or install ping"
                board = Finding(BOARD, answers, what, advice)
                return host, board, replace(self, address=address)
        listed = None if self.host == "ethernet" else answer(["sinfo"])
        if listed is None:
            slurm = f", no scheduler (sinfo) that answers within {SECONDS:g} s"
            what = f"no --address, no NXSDKHOST{slurm if self.host != 'ethernet' else ''}"
            advice = "name a board with --address, or log in to a host with boards"
            nobody = Finding(BOARD, False, "there is no host to ask", "find the host first")
            return Finding(HOST, False, what, advice), nobody, self
        return Finding(HOST, True, "slurm, sinfo answers"), *self._look_for_board(listed)

    def _look_for_board(self, listed: str) -> tuple[Finding, Loihi2Options]:
        """Of a scheduler. listed: its partitions."""
        partition, board = self.partition, self.board
        if not (partition or board):
            partition, board = os.environ.get("PARTITION"), os.environ.get("BOARD")
        if board and not partition:
            if board in up_names(answer(["sinfo", "-N"]) or "", state=3):
                return Finding(BOARD, True, f"{board} is up"), replace(self, board=board)
            what = f"{board} is not among those that are up"
            return Finding(BOARD, False, what, "look at 'sinfo -N' and name another"), self
        partitions = up_names(listed, state=4)
        wanted = [partition] if partition else self.profile.partitions if self.profile else ()
        for name in wanted:
            if name in partitions:
                chosen = replace(self, partition=name, board=None)
                return Finding(BOARD, True, f"partition {name} is up"), chosen
        what = f"none of {', '.join(wanted) or 'no partition'} among the partitions that are up"
        advice = "name one with --partition, or another --profile"
        return Finding(BOARD, False, f"{what}: {', '.join(partitions) or 'none'}", advice), self

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
