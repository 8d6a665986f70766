"""Which Loihi 2 to use: a board of a job scheduler, or one on the network."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from brf_lava.backends.loihi2.doctor import Answer, answer, is_name, up_boards, up_partitions
from brf_lava.config.profile import GENERATIONS
from brf_lava.errors import BackendUnavailableError, ParameterError

HOSTS = ("auto", "slurm", "ethernet")


@dataclass(frozen=True)
class Host:
    """How to reach the chip; whatever is None or empty is left to the host.

    kind:       one of `HOSTS`; auto: ethernet where NXSDKHOST is set, else the scheduler
    partition:  of the scheduler; not together with a board
    board:      a node of the scheduler
    address:    of an ethernet host
    generation: of the chip, such as N3B3

    Raises: ParameterError for options that do not go together, for what can be no name, and for a
    generation that Lava does not know.
    """

    kind: str = "auto"
    partition: str | None = None
    board: str | None = None
    address: str | None = None
    generation: str | None = None

    def __post_init__(self) -> None:
        if self.kind not in HOSTS:
            raise ParameterError(f"--host {self.kind}; choose one of {', '.join(HOSTS)}.")
        for option in ("partition", "board", "address", "generation"):
            name = getattr(self, option)
            if name is not None and not is_name(name):
                shown = "chip-generation" if option == "generation" else option
                raise ParameterError(
                    f"--{shown} {name!r}: not a name of one word that begins with a letter or a "
                    "number. Correct it, or leave it out."
                )
        if self.generation is not None and self.generation not in GENERATIONS:
            raise ParameterError(
                f"--chip-generation {self.generation}; Lava knows {', '.join(GENERATIONS)}. "
                "Choose one."
            )
        if self.partition and self.board:
            raise ParameterError(
                f"--partition {self.partition} and --board {self.board}: a board is in one "
                "partition. Name one of the two."
            )
        scheduled = self.partition or self.board
        if scheduled and (self.kind == "ethernet" or self.address):
            raise ParameterError(
                "--partition and --board are the scheduler's, --address and --host ethernet name "
                "a board on the network. Use one kind."
            )
        if self.kind == "slurm" and self.address:
            raise ParameterError(
                "--host slurm: the scheduler needs no --address. Leave it out, or use --host "
                "ethernet."
            )

    def environment(self, inherited: Mapping[str, str] = os.environ) -> dict[str, str]:
        """The variables by which the board is looked for, this choice put into those there are."""
        variables = dict(inherited)
        if self.address:
            variables["NXSDKHOST"] = self.address
        elif self.kind == "slurm" or self.partition or self.board:
            variables.pop("NXSDKHOST", None)
        if self.partition or self.board:
            variables.pop("PARTITION", None)
            variables.pop("BOARD", None)
        variables.update({"PARTITION": self.partition} if self.partition else {})
        variables.update({"BOARD": self.board} if self.board else {})
        variables.update({"LOIHI_GEN": self.generation} if self.generation else {})
        return variables

    def resolved(
        self,
        partitions: Sequence[str] = (),
        generation: str | None = None,
        *,
        inherited: Mapping[str, str] = os.environ,
        ask: Answer = answer,
    ) -> Host:
        """This choice without anything left open: slurm or ethernet, and where.

        partitions: those of the profile, in order of preference
        generation: of the profile's chip, for a choice that names none
        Raises: BackendUnavailableError where there is nothing to choose from.
        """
        variables = self.environment(inherited)
        if self.generation is None and (generation or variables.get("LOIHI_GEN")):
            named = replace(self, generation=generation or variables["LOIHI_GEN"])
            return named.resolved(partitions, inherited=inherited, ask=ask)
        address = variables.get("NXSDKHOST")
        if self.kind == "ethernet" or (self.kind == "auto" and address):
            if not address:
                raise BackendUnavailableError(
                    "--host ethernet: no address. Name it with --address or NXSDKHOST."
                )
            return replace(self, kind="ethernet", address=address)
        listed = ask(["sinfo"])
        if listed is None:
            raise BackendUnavailableError(
                f"--host {self.kind}: the scheduler (sinfo) does not answer here. Log in to a host "
                "with boards, or use --host ethernet --address."
            )
        board, partition = variables.get("BOARD"), variables.get("PARTITION")
        if board and not partition:
            if board not in up_boards(ask(["sinfo", "-N"]) or ""):
                raise BackendUnavailableError(
                    f"--board {board}: not among the boards that are up. See 'sinfo -N'."
                )
            return replace(self, kind="slurm", board=board)
        up = up_partitions(listed)
        wanted = [partition] if partition else list(partitions)
        usable = [name for name in wanted if name in up]
        if not usable:
            raise BackendUnavailableError(
                f"--host slurm: none of {', '.join(wanted) or 'no partition'} is among the "
                f"partitions that are up: {', '.join(up) or 'none'}. Name one with --partition."
            )
        return replace(self, kind="slurm", partition=usable[0], board=None)

    def describe(self) -> str:
        """Where it is, in a few words."""
        generation = f", {self.generation}" if self.generation else ""
        if self.kind == "ethernet":
            return f"ethernet host {self.address}{generation}"
        where = f"board {self.board}" if self.board else f"partition {self.partition}"
        return f"slurm, {where}{generation}"


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
