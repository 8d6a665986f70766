"""Which Loihi 2 to use, and whether it is there: a board of a job scheduler, or on the network."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace

from brf_lava.config.profile import GENERATIONS
from brf_lava.errors import BackendUnavailableError, ParameterError

HOSTS = ("auto", "slurm", "ethernet")
SECONDS = 5.0  # that the scheduler or a host may take to answer
# States of nodes in which the scheduler gives them no new work, as sinfo shortens them; a * after
# any other says that the node does not answer
NOT_UP = ("down", "drain", "drng", "fail", "maint", "inval", "unk")


@dataclass(frozen=True)
class Finding:
    """One thing that was looked for.

    Attributes:
        name: What.
        found: Whether it is here.
        detail: What was found, or where it was looked for.
        advice: What to do about it; empty where it is here.
        needed: Without it there is no run on Loihi 2.
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


def answer(command: Sequence[str]) -> str | None:
    """What a command prints; None where there is no such command, or it fails or hangs."""
    try:
        with tempfile.TemporaryFile() as printed:  # a pipe would stay open with a child's child
            subprocess.run(
                command,
                stdin=subprocess.DEVNULL,
                stdout=printed,
                stderr=subprocess.DEVNULL,
                timeout=SECONDS,
                check=True,
            )
            printed.seek(0)
            return printed.read().decode(errors="replace")
    except (OSError, ValueError, subprocess.SubprocessError):
        return None


def up_partitions(listed: str) -> tuple[str, ...]:
    """The partitions that are up, from what ``sinfo`` prints: name, availability, limit, ..."""
    rows = [line.split() for line in listed.splitlines()[1:]]
    up = [row for row in rows if len(row) > 4 and row[1] == "up" and _takes_work(row[4])]
    return tuple(dict.fromkeys(row[0].rstrip("*") for row in up))


def up_boards(listed: str) -> tuple[str, ...]:
    """The boards that are up, from what ``sinfo -N`` prints: node, number, partition, state."""
    rows = [line.split() for line in listed.splitlines()[1:]]
    return tuple(dict.fromkeys(row[0] for row in rows if len(row) > 3 and _takes_work(row[3])))


def _takes_work(state: str) -> bool:
    return not state.startswith(NOT_UP) and not state.endswith("*")


def is_name(text: str) -> bool:
    """Whether a host, a board or a partition can be called so; no option of ``ping`` can."""
    return text.isprintable() and len(text.split()) == 1 and not text.startswith("-")


@dataclass(frozen=True)
class Host:
    """How to reach the chip; whatever is None or empty is left to the host.

    Attributes:
        kind: One of `HOSTS`; auto: ethernet where NXSDKHOST is set, else the scheduler.
        partition: Of the scheduler; not together with a board.
        board: A node of the scheduler.
        address: Of an ethernet host.
        generation: Of the chip, such as N3B3.

    Raises: ParameterError for options that do not go together, for what can be no name, and for a
    generation that Lava does not know.
    """

    kind: str = "auto"
    partition: str | None = None
    board: str | None = None
    address: str | None = None
    generation: str | None = None

    def __post_init__(self) -> None:
        places = {"partition": self.partition, "board": self.board, "address": self.address}
        if self.kind not in HOSTS:
            raise ParameterError(f"--host {self.kind}; choose one of {', '.join(HOSTS)}.")
        for option, value in {**places, "chip-generation": self.generation}.items():
            if value is not None and not is_name(value):
                raise ParameterError(
                    f"--{option} {value!r}: not a name of one word that begins with a letter or a "
                    "number. Correct it, or leave it out."
                )
        if self.generation not in (None, *GENERATIONS):
            raise ParameterError(
                f"--chip-generation {self.generation}; Lava knows {', '.join(GENERATIONS)}. "
                "Choose one."
            )
        given = [f"--{option} {value}" for option, value in places.items() if value]
        other = self.address if self.kind == "slurm" else self.partition or self.board
        if len(given) > 1 or (self.kind != "auto" and other):
            raise ParameterError(
                f"--host {self.kind} with {' and '.join(given)}: --partition and --board are the "
                "scheduler's, a board is in one partition, and --address names a board on the "
                "network. Use one of the three, and the --host that goes with it, or none."
            )

    def environment(self) -> dict[str, str]:
        """The variables by which Lava looks for the board: those there are, and this choice."""
        variables = dict(os.environ)
        scheduled = self.partition or self.board
        if self.kind == "slurm" or scheduled:
            variables.pop("NXSDKHOST", None)
        if scheduled:
            variables.pop("PARTITION", None)
            variables.pop("BOARD", None)
        chosen = {
            "NXSDKHOST": self.address,
            "PARTITION": self.partition,
            "BOARD": self.board,
            "LOIHI_GEN": self.generation,
        }
        return variables | {name: value for name, value in chosen.items() if value}

    def look(self, partitions: Sequence[str] = ()) -> tuple[Finding, Finding, Host]:
        """Look for the host and its board.

        Args:
            partitions: Those of the profile, in order of preference; any of them will do.

        Returns:
            Whether the host is here, whether the board is, and this choice with nothing left open.
        """
        variables = self.environment()
        address = variables.get("NXSDKHOST", "")
        if address:
            host = Finding("Loihi host", True, f"ethernet, NXSDKHOST={address}")
            board = _ethernet_board(address)
            there = replace(self, kind="ethernet", address=address) if board.found else self
            return host, board, there
        nobody = Finding("board", False, "there is no host to ask", "find the host first")
        if self.kind == "ethernet":
            advice = "name it with --address"
            return Finding("Loihi host", False, "no address, no NXSDKHOST", advice), nobody, self
        listed = answer(["sinfo"])
        if listed is None:
            silent = f"the scheduler's sinfo fails, or takes longer than {SECONDS:g} s,"
            what = silent if shutil.which("sinfo") else "no scheduler (sinfo)"
            advice = "log in to a host with boards, or name one with --host ethernet --address"
            return Finding("Loihi host", False, f"{what} and no NXSDKHOST", advice), nobody, self
        host = Finding("Loihi host", True, "slurm, sinfo answers")
        chosen = replace(self, kind="slurm")
        named, node = variables.get("PARTITION"), variables.get("BOARD")
        if node and not named:
            if node in up_boards(answer(["sinfo", "-N"]) or ""):
                return host, Finding("board", True, f"{node} is up"), replace(chosen, board=node)
            what, advice = "not among those that are up", "look at 'sinfo -N' and name another"
            return host, Finding("board", False, f"{node} is {what}", advice), chosen
        up, wanted = up_partitions(listed), [named] if named else list(partitions)
        for name in wanted:
            if name in up:
                board = Finding("board", True, f"partition {name} is up")
                return host, board, replace(chosen, partition=name, board=None)
        what = f"none of {', '.join(wanted) or 'no partition'} among the partitions that are up"
        advice = "name one with --partition, or another --profile"
        return host, Finding("board", False, f"{what}: {', '.join(up) or 'none'}", advice), chosen

    def resolved(self, partitions: Sequence[str] = (), generation: str | None = None) -> Host:
        """This choice with nothing left open: slurm or ethernet, and where.

        Args:
            partitions: Those of the profile, in order of preference.
            generation: Of the profile's chip, for a choice that names none.

        Raises:
            BackendUnavailableError: There is no such host or board.
        """
        host, board, chosen = self.look(partitions)
        for finding in (host, board):
            if not finding.found:
                raise BackendUnavailableError(f"{finding.line()}. See 'brf-lava doctor'.")
        inherited = os.environ.get("LOIHI_GEN")
        return replace(chosen, generation=self.generation or generation or inherited)

    def describe(self) -> str:
        """Where it is, in a few words."""
        generation = f", {self.generation}" if self.generation else ""
        if self.kind == "ethernet":
            return f"ethernet host {self.address}{generation}"
        where = f"board {self.board}" if self.board else f"partition {self.partition}"
        return f"slurm, {where}{generation}"


def _ethernet_board(address: str) -> Finding:
    """By a ping, with which Lava too asks: without it there, Lava takes no host."""
    if not is_name(address):
        return Finding("board", False, f"{address!r} is no address", "correct NXSDKHOST")
    if answer(["ping", "-c", "1", address]) is not None:
        return Finding("board", True, f"{address} answers a ping")
    if shutil.which("ping") is None:
        what = f"{address} cannot be asked, there is no program ping, which Lava asks with too"
        return Finding("board", False, what, "install ping")
    what = f"{address} does not answer a ping within {SECONDS:g} s"
    return Finding("board", False, what, "switch it on, or correct NXSDKHOST or --address")


def use_host(host: Host) -> None:
    """Tell Lava which Loihi 2 to run on. host: as `Host.resolved` gives it.

    Raises: BackendUnavailableError for what Lava refuses.
    """
    from lava.utils import loihi

    chosen = {} if host.generation is None else {"loihi_gen": loihi.ChipGeneration(host.generation)}
    try:
        if host.kind == "ethernet":
            loihi.use_ethernet_host(host_address=host.address, **chosen)
            return
        # Lava's own look-up of a partition or board stops at the empty last line of what sinfo
        # prints; `resolved` has looked, and these variables are all that it would set.
        loihi.use_slurm_host(**chosen)
    except (ImportError, ValueError, OSError) as error:
        raise BackendUnavailableError(
            f"{host.describe()}: Lava refuses it: {' '.join(str(error).split())} See 'brf-lava "
            "doctor'."
        ) from error
    os.environ.pop("NXSDKHOST", None)  # names a board on the network, and Lava leaves it there
    os.environ.update({"PARTITION": host.partition} if host.partition else {})
    os.environ.update({"BOARD": host.board} if host.board else {})
