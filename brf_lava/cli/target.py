"""The options that say where a network runs, and on which board."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from brf_lava.backends.base import BACKENDS, CANNOT_END, Backend, Loihi2
from brf_lava.cli.options import PATH, Number, given, grouped, option
from brf_lava.errors import ParameterError

if TYPE_CHECKING:
    from brf_lava.backends.loihi2.hosts import Loihi2Options
    from brf_lava.config.profile import Loihi2Profile

DEFAULT_PROFILE = "loihi2-oheogulch"  # a single chip

profile_option = click.option("--profile", default=DEFAULT_PROFILE, help="The board.")


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


@dataclass(frozen=True)
class BoardOptions:
    """The options for a board, as of `Loihi2Options`; None where an option was not given."""

    host: str | None = option(
        type=click.Choice(["auto", "slurm", "ethernet"]),
        help="Where the board is; auto: ethernet where NXSDKHOST is set, else slurm.",
    )
    partition: str | None = option(help="Of slurm; else PARTITION, else the profile's.")
    board: str | None = option(help="A node of slurm, instead of a partition.")
    address: str | None = option(help="Of an ethernet host; else NXSDKHOST.")
    chip_generation: str | None = option(help="Such as N3B3; else the profile's.")
    microcode: Path | None = option(type=PATH, help="TOML list of assembled neuron programs.")
    assembler: str | None = option(help="The assembler plug-in, where there are several.")
    io_delay: int | None = option(type=int, help="Steps by which the host adapters delay.")

    def on(self, profile: str) -> Loihi2Options:
        """How to run on a board. Raises: ParameterError for options that do not go together."""
        from brf_lava.backends.loihi2.hosts import Loihi2Options

        named = {name: value for name, value in vars(self).items() if value is not None}
        return Loihi2Options(profile=board_profile(profile), **named)


board_options = grouped("board", BoardOptions, "Options for a board")


@dataclass(frozen=True)
class Target:
    """A backend, and the settings of runs on it.

    timeout: s, that a Lava run may take. check_limit: samples times steps times neurons up to which
    a run is compared with the engine. batch: samples in one Lava run; None for all.
    """

    backend: Backend
    timeout: float | None = None
    check_limit: float = math.inf
    batch: int | None = None


@dataclass(frozen=True)
class TargetOptions:
    """The name of a backend, and what was given instead of its profile."""

    backend: str = option(default="sim")
    timeout: float | None = option(type=Number(min=0, min_open=True), help="Seconds for Lava.")
    profile: str | None = option()

    def target(self, board: BoardOptions | None = None) -> Target:
        """Return the backend with its settings, once it is known to be there.

        board: of commands that can use one. Raises: ParameterError for options that do not go
        together, RecipeError for a bad profile, BackendUnavailableError if something is missing.
        """
        from brf_lava.config.profile import SimProfile, load_profile

        board = board or BoardOptions()
        backend = BACKENDS[self.backend]
        if backend.on_board:
            if self.timeout is not None:
                raise ParameterError(f"--timeout: {CANNOT_END}")
            echo = cache(click.echo)  # each line once: the parts of a run are placed alike

            def show(lines: Sequence[str]) -> None:
                for line in lines:
                    echo(line)

            target = Target(Loihi2(board.on(self.profile or DEFAULT_PROFILE), show))
        else:
            if names := ", ".join(sorted(given(board))):
                text = f"{names}: only for --backend loihi2, not {self.backend}. Omit it."
                raise ParameterError(text)
            settings = load_profile(self.profile or "sim")
            if not isinstance(settings, SimProfile):
                raise ParameterError(
                    f"--profile {self.profile}: describes a Loihi 2 board; backend {self.backend} "
                    "takes one of kind 'sim', such as sim. Name that, or use --backend loihi2."
                )
            timeout = self.timeout or settings.timeout_seconds
            target = Target(backend, timeout, settings.check_limit, settings.batch or None)
        target.backend.require()
        return target


def target_options(backends: Iterable[str]) -> Callable[[Any], Any]:
    """Give a command the choice of these backends as an argument `target`, a `TargetOptions`."""
    board = f", or for loihi2 {DEFAULT_PROFILE}" if Loihi2.name in backends else ""
    return grouped(
        "target",
        TargetOptions,
        "Options for the backend",
        backend={"type": click.Choice(list(backends))},
        profile={"help": f"Defaults of the target: sim{board}."},
    )
