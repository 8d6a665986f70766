"""The options of every command that can run on Loihi 2."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from brf_lava.cli.options import PATH, Command, given, grouped
from brf_lava.errors import ParameterError

if TYPE_CHECKING:
    from brf_lava.backends.loihi2.backend import Loihi2Options
    from brf_lava.config.profile import Loihi2Profile

DEFAULT_PROFILE = "loihi2-oheogulch"  # a single chip


@dataclass(frozen=True)
class Loihi2Settings:
    """The options for a board, None where an option was not given."""

    host: str | None = None
    partition: str | None = None
    board: str | None = None
    address: str | None = None
    chip_generation: str | None = None
    microcode: Path | None = None
    assembler: str | None = None
    io_delay: int | None = None

    def refuse(self, backend: str) -> None:
        """Raise ParameterError if any was given, for a backend that is no board."""
        if options := given(self):
            raise ParameterError(
                f"{', '.join(sorted(options))}: only for --backend loihi2, not {backend}. Leave it "
                "out."
            )


def _option(name: str, kind: Any, text: str) -> Callable[[Command], Command]:
    return click.option(name, type=kind, help=f"loihi2: {text}")


loihi2_options = grouped(
    "loihi2",
    Loihi2Settings,
    _option(
        "--host",
        click.Choice(["auto", "slurm", "ethernet"]),
        "Where the board is. auto: ethernet where NXSDKHOST is set, else slurm.",
    ),
    _option(
        "--partition", str, "Of the scheduler; else PARTITION, else the profile's that are up."
    ),
    _option("--board", str, "A node of the scheduler, instead of a partition."),
    _option("--address", str, "Of an ethernet host; else NXSDKHOST."),
    _option("--chip-generation", str, "Such as N3B3; else the profile's."),
    _option(
        "--microcode", PATH, "TOML file naming assembled neuron programs, instead of a plug-in."
    ),
    _option("--assembler", str, "The assembler plug-in, where there are several."),
    _option(
        "--io-delay",
        click.IntRange(min=0),
        "Steps by which the host adapters delay; 0, or measured.",
    ),
)


def board_profile(name: str) -> Loihi2Profile:
    """A board's profile. Raises: ParameterError for one of another kind; RecipeError."""
    from brf_lava.config.profile import Loihi2Profile, load_profile

    profile = load_profile(name)
    if not isinstance(profile, Loihi2Profile):
        raise ParameterError(
            f"--profile {name}: is of kind {profile.kind!r}, not a Loihi 2 board. Name one, such "
            f"as {DEFAULT_PROFILE}."
        )
    return profile


def loihi2_settings(profile: Loihi2Profile, chosen: Loihi2Settings) -> Loihi2Options:
    """How to run, from the options that were given, else from the profile.

    Raises: ParameterError for options that do not go together.
    """
    from brf_lava.backends.loihi2.backend import Loihi2Options
    from brf_lava.backends.loihi2.hosts import Host

    return Loihi2Options(
        host=Host(
            kind=chosen.host or "auto",
            partition=chosen.partition,
            board=chosen.board,
            address=chosen.address,
            generation=chosen.chip_generation,
        ),
        partitions=profile.partitions,
        microcode=chosen.microcode,
        assembler=chosen.assembler,
        delay=chosen.io_delay or 0,
        board=profile,
    )
