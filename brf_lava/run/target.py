"""Where a run takes place, and what a profile says of it."""

from __future__ import annotations

import math
from dataclasses import dataclass

from brf_lava.backends.base import Backend
from brf_lava.config.profile import SimProfile, load_profile
from brf_lava.errors import ParameterError


@dataclass(frozen=True)
class Target:
    """A backend, and the settings of runs on it.

    Args:
        backend: Where to run.
        timeout: Seconds that a Lava run may take; None for no limit.
        check_limit: Samples times steps times neurons up to which a run is compared with the
            engine.
        batch: Samples in one Lava run; None for all.
    """

    backend: Backend
    timeout: float | None = None
    check_limit: float = math.inf
    batch: int | None = None


def on_this_computer(
    backend: Backend, profile: str = "sim", timeout: float | None = None
) -> Target:
    """Return the target that a profile of kind "sim" describes.

    Args:
        backend: One that is not on a board.
        profile: The name of a shipped profile, or a .toml file.
        timeout: Seconds, instead of the profile's.

    Raises:
        ParameterError: For the profile of a board.
        RecipeError: For a profile that is missing or damaged.
    """
    settings = load_profile(profile)
    if not isinstance(settings, SimProfile):
        raise ParameterError(
            f"--profile {profile}: describes a Loihi 2 board; backend {backend.name} takes one of "
            "kind 'sim', such as sim. Name that, or use --backend loihi2."
        )
    return Target(
        backend, timeout or settings.timeout_seconds, settings.check_limit, settings.batch or None
    )
