"""The options of every command that can run on Loihi 2."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from brf_lava.cli.options import PATH, given, grouped
from brf_lava.errors import ParameterError

if TYPE_CHECKING:
    from brf_lava.backends.loihi2.hosts import Loihi2Options
    from brf_lava.config.profile import Loihi2Profile

DEFAULT_PROFILE = "loihi2-oheogulch"  # a single chip


@dataclass(frozen=True)
class Loihi2Settings:
    """The options for a board, as of `Loihi2Options`; None where an option was not given."""

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
        if names := ", ".join(sorted(given(self))):
            raise ParameterError(f"{names}: only for --backend loihi2, not {backend}. Omit it.")


loihi2_options = grouped(
    "loihi2",
    Loihi2Settings,
    "Options for a board",
    click.option(
        "--host",
        type=click.Choice(["auto", "slurm", "ethernet"]),
        help="Where the board is; auto: ethernet where NXSDKHOST is set, else slurm.",
    ),
    click.option("--partition", help="Of slurm; else PARTITION, else the profile's."),
    click.option("--board", help="A node of slurm, instead of a partition."),
    click.option("--address", help="Of an ethernet host; else NXSDKHOST."),
    click.option("--chip-generation", help="Such as N3B3; else the profile's."),
    click.option("--microcode", type=PATH, help="TOML list of assembled neuron programs."),
    click.option("--assembler", help="The assembler plug-in, where there are several."),
    click.option("--io-delay", type=int, help="Steps by which the host adapters delay."),
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
    """How to run. Raises: ParameterError for options that do not go together."""
    from brf_lava.backends.loihi2.hosts import Loihi2Options

    named = {name: value for name, value in vars(chosen).items() if value is not None}
    return Loihi2Options(profile=profile, **named)
