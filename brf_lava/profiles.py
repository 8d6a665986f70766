"""Profiles: where a network runs, and the limits of that place, in one TOML text.

The shipped ones are in the folder `deploy`, one per target. As with recipes, every key must be
there and an unknown one is refused.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from brf_lava import strict_toml
from brf_lava.errors import RecipeError
from brf_lava.resources import read_named
from brf_lava.strict_toml import Interval, choice, real, text, texts, whole


@dataclass(frozen=True)
class SimProfile:
    """Lava's simulation on this computer."""

    kind: Annotated[str, choice(["sim"])]
    batch: Annotated[int, whole(0)]  # samples in one run; 0: all
    check_limit: Annotated[
        int, whole(0)
    ]  # samples * steps * neurons up to which results are checked
    timeout_seconds: Annotated[float, real(Interval(above=0))]


@dataclass(frozen=True)
class Loihi2Profile:
    """A Loihi 2 board."""

    kind: Annotated[str, choice(["loihi2"])]
    board: Annotated[str, text()]
    chips: Annotated[int, whole(1)]
    partitions: Annotated[tuple[str, ...], texts()]  # of the job scheduler, in order of preference
    weight_bits: Annotated[int, whole(1, 8)]
    state_bits: Annotated[int, whole(1, 24)]


Profile = SimProfile | Loihi2Profile
KINDS: dict[str, type[SimProfile] | type[Loihi2Profile]] = {
    "sim": SimProfile,
    "loihi2": Loihi2Profile,
}


def parse_profile(source: str, where: str) -> Profile:
    """A profile from its TOML text.

    where: what to call it in messages, such as its path.
    Raises: RecipeError for a syntax error, a key that is unknown or missing, and a refused value.
    """
    table = strict_toml.read_table(source, where, RecipeError)
    kind = table.get("kind", "")
    if not isinstance(kind, str) or kind not in KINDS:
        raise RecipeError(
            f"{where}: kind: {strict_toml.shown(kind)}; allowed is one of {', '.join(KINDS)}. "
            "Say which kind of target it is."
        )
    return strict_toml.build(KINDS[kind], table, where, RecipeError)


def load_profile(name_or_path: str | Path) -> Profile:
    """The profile in a .toml file, or a shipped one by its name, such as ``sim``.

    Raises: RecipeError when there is none, with the nearest name, and as `parse_profile`.
    """
    return parse_profile(read_named("deploy", name_or_path, RecipeError), str(name_or_path))
