"""The options of every command that can run on Loihi 2."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from brf_lava.cli.options import PATH, Command, kept, kept_options
from brf_lava.errors import ParameterError

if TYPE_CHECKING:
    from brf_lava.backends.loihi2.backend import Loihi2Options
    from brf_lava.config.profile import Loihi2Profile

DEFAULT_PROFILE = "loihi2-oheogulch"  # a single chip
OPTIONS: tuple[tuple[str, Any, str], ...] = (
    (
        "--io-delay",
        click.IntRange(min=0),
        "Steps by which the host adapters delay; 0, or measured.",
    ),
    ("--assembler", str, "The assembler plug-in, where there are several."),
    ("--microcode", PATH, "TOML file naming assembled neuron programs, instead of a plug-in."),
    ("--chip-generation", str, "Such as N3B3; else the profile's."),
    ("--address", str, "Of an ethernet host; else NXSDKHOST."),
    ("--board", str, "A node of the scheduler, instead of a partition."),
    ("--partition", str, "Of the scheduler; else PARTITION, else the profile's that are up."),
    (
        "--host",
        click.Choice(["auto", "slurm", "ethernet"]),
        "Where the board is. auto: ethernet where NXSDKHOST is set, else slurm.",
    ),
)


def loihi2_options(command: Command) -> Command:
    """Options for the backend loihi2, kept for `loihi2_settings` and `refuse_loihi2_options`."""
    return kept_options(
        command, [(name, kind, None, f"loihi2: {text}") for name, kind, text in OPTIONS]
    )


def _given() -> dict[str, Any]:
    """The options that were given, by name."""
    return kept(*(name for name, _, _ in OPTIONS))


def refuse_loihi2_options(backend: str) -> None:
    """Raises: ParameterError for an option of Loihi 2 with another backend."""
    if given := _given():
        raise ParameterError(
            f"{', '.join(sorted(given))}: only for --backend loihi2, not {backend}. Leave it out."
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


def loihi2_settings(profile: Loihi2Profile) -> Loihi2Options:
    """How to run, from the options that were given, else from the profile.

    Raises: ParameterError for options that do not go together.
    """
    from brf_lava.backends.loihi2.backend import Loihi2Options
    from brf_lava.backends.loihi2.hosts import Host

    given = _given()
    return Loihi2Options(
        host=Host(
            kind=given.get("--host", "auto"),
            partition=given.get("--partition"),
            board=given.get("--board"),
            address=given.get("--address"),
            generation=given.get("--chip-generation"),
        ),
        partitions=profile.partitions,
        microcode=given.get("--microcode"),
        assembler=given.get("--assembler"),
        delay=given.get("--io-delay", 0),
        board=profile,
    )
