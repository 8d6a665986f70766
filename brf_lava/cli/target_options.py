"""The options that say where a network runs."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import click

from brf_lava.backends.base import BACKENDS, Backend, Loihi2
from brf_lava.cli.loihi2_options import (
    DEFAULT_PROFILE,
    Loihi2Settings,
    board_profile,
    loihi2_settings,
)
from brf_lava.cli.options import Number, grouped
from brf_lava.errors import ParameterError


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

    backend: str
    timeout: float | None
    profile: str | None

    def target(self, loihi2: Loihi2Settings | None = None) -> Target:
        """Return the backend with its settings, once it is known to be there.

        loihi2: of commands that can use a board. Raises: ParameterError for options that do not go
        together, RecipeError for a bad profile, BackendUnavailableError if something is missing.
        """
        from brf_lava.config.profile import SimProfile, load_profile

        loihi2 = loihi2 or Loihi2Settings()
        backend = BACKENDS[self.backend]
        if backend.on_board:
            if self.timeout is not None:
                raise ParameterError(
                    f"--timeout: a run on {backend.title} cannot be ended from here. Name a "
                    "--partition with a time limit instead."
                )
            profile = board_profile(self.profile or DEFAULT_PROFILE)
            target = Target(Loihi2(loihi2_settings(profile, loihi2), _once()))
        else:
            loihi2.refuse(self.backend)
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


def _once() -> Callable[[Sequence[str]], None]:
    """Print each line of a placement once, as the parts of a run are placed alike."""
    shown: set[str] = set()

    def show(lines: Sequence[str]) -> None:
        for line in lines:
            if line not in shown:
                click.echo(line)
        shown.update(lines)

    return show


def target_options(backends: Iterable[str]) -> Callable[[Any], Any]:
    """Give a command the choice of these backends as an argument `target`, a `TargetOptions`."""
    board = f", or for loihi2 {DEFAULT_PROFILE}" if Loihi2.name in backends else ""
    return grouped(
        "target",
        TargetOptions,
        "Options for the backend",
        click.option("--backend", type=click.Choice(list(backends)), default="sim"),
        click.option("--timeout", type=Number(min=0, min_open=True), help="Seconds for Lava."),
        click.option("--profile", help=f"Defaults of the target: sim{board}."),
    )
