"""The options that say where a network runs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

from brf_lava.backends.base import BACKENDS, Loihi2
from brf_lava.cli.loihi2_options import (
    DEFAULT_PROFILE,
    Loihi2Settings,
    board_profile,
    loihi2_settings,
)
from brf_lava.cli.options import grouped
from brf_lava.errors import ParameterError

if TYPE_CHECKING:
    from brf_lava.run.target import Target


@dataclass(frozen=True)
class TargetOptions:
    """The name of a backend, and what was given instead of its profile."""

    backend: str
    timeout: float | None
    profile: str | None

    def target(self, loihi2: Loihi2Settings | None = None) -> Target:
        """Return the backend with its settings, once it is known to be there.

        Args:
            loihi2: The options for a board, of commands that can use one.

        Raises:
            ParameterError: For options that do not go together, and the profile of another kind of
                backend.
            RecipeError: For a profile that is missing or damaged.
            BackendUnavailableError: If something is missing.
        """
        from brf_lava.run.target import Target, on_this_computer

        loihi2 = loihi2 or Loihi2Settings()
        backend = BACKENDS[self.backend]
        if not backend.on_board:
            loihi2.refuse(self.backend)
            target = on_this_computer(backend, self.profile or "sim", self.timeout)
        elif self.timeout is not None:
            raise ParameterError(
                f"--timeout: a run on {backend.title} cannot be ended from here. Name a "
                "--partition with a time limit instead."
            )
        else:
            target = Target(board_backend(self.profile, loihi2))
        target.backend.require()
        return target


def target_options(backends: Iterable[str]) -> Callable[[Any], Any]:
    """Give a command the choice of these backends as an argument `target`, a `TargetOptions`."""
    board = f", or for loihi2 {DEFAULT_PROFILE}" if Loihi2.name in backends else ""
    return grouped(
        "target",
        TargetOptions,
        click.option("--backend", type=click.Choice(list(backends)), default="sim"),
        click.option(
            "--timeout", type=click.FloatRange(min=0, min_open=True), help="Seconds for Lava."
        ),
        click.option("--profile", help=f"Defaults of the target: sim{board}."),
    )


def board_backend(profile: str | None, loihi2: Loihi2Settings) -> Loihi2:
    """Return the board that a profile and options describe; it prints each line of a placement
    once, as the parts of a run are placed alike.

    Raises:
        ParameterError: For options that do not go together, and the profile of no board.
        RecipeError: For a profile that is missing or damaged.
    """
    shown: set[str] = set()

    def show(lines: Sequence[str]) -> None:
        new = [line for line in lines if line not in shown]
        shown.update(new)
        if new:
            click.echo("\n".join(new))

    return Loihi2(loihi2_settings(board_profile(profile or DEFAULT_PROFILE), loihi2), show)
