"""Profiles: where a network runs, and the limits of that place, in one TOML text.

The shipped ones are in the folder `deploy`. Each number about a board carries its source.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Generic, Literal, TypeVar

from msgspec import Meta

from brf_lava.config import toml
from brf_lava.config.shipped import read_named
from brf_lava.config.toml import Name, Positive, Whole, choice
from brf_lava.errors import RecipeError

VALUE_MAX = 2**31 - 1  # of a number about a board: sums over the largest system stay exact
GENERATIONS = ("N2A2", "N3B2", "N3B3", "N3C1", "N3D1")  # of chips, in Lava's utils/loihi.py
CERTAINTIES = ("published", "quoted", "derived", "assumed")
Value = TypeVar("Value", bound=int)


@dataclass(frozen=True)
class SimProfile:
    """Lava's simulation on this computer."""

    kind: Literal["sim"]
    batch: Whole  # samples in one run; 0: all
    check_limit: Whole  # samples * steps * neurons up to which results are checked
    timeout_seconds: Positive


@dataclass(frozen=True)
class Number(Generic[Value]):
    """A number about the chip, where it was read, and how certain that makes it.

    certainty: published: read in the source itself. quoted: read in a public document that quotes
    the source. derived: worked out from published numbers. assumed: nothing is public.
    """

    value: Value
    certainty: Annotated[str, choice(CERTAINTIES)]
    source: Name


Sourced = Number[int]  # any of them
Cost = Number[Annotated[int, Meta(ge=0, le=VALUE_MAX)]]
Limit = Number[Annotated[int, Meta(ge=1, le=VALUE_MAX)]]  # may be reached and not exceeded


@dataclass(frozen=True)
class Limits:
    """What a board can hold; per core from `neurons_per_core` to `memory_words` (of 64 bits)."""

    chips: Limit
    cores_per_chip: Number[Annotated[int, Meta(ge=1, le=128)]]  # 8 x 4 routers of 4 cores
    neurons_per_core: Limit
    groups_per_core: Limit  # neuron programs
    input_axons: Limit
    output_axons: Limit
    advised_axons: Limit  # more are noticed, not refused
    synapse_words: Limit
    memory_words: Limit
    weight_bits: Number[Annotated[int, Meta(ge=1, le=8)]]  # with the sign
    state_bits: Number[Annotated[int, Meta(ge=1, le=24)]]  # with the sign
    # with the sign, of a neuron's summed weights before their exponent
    input_bits: Number[Annotated[int, Meta(ge=1, le=64)]]


@dataclass(frozen=True)
class Packing:
    """What a part of a layer takes of a core's memory."""

    # more neurons than bits are looked at one by one
    word_bits: Number[Annotated[int, Meta(ge=1, le=1024)]]
    row_bits: Cost  # per input axon: the head of its row of weights
    synapse_bits: Limit  # per weight, zeros included; rows end on a word
    core_words: Cost  # per core
    axon_words: Cost  # per input axon
    states_per_word: Limit
    parameter_words: Cost  # per neuron: the coefficients of its own
    output_words: Cost  # per neuron and part of a layer that it reaches


@dataclass(frozen=True)
class Loihi2Profile:
    """A Loihi 2 board."""

    kind: Literal["loihi2"]
    board: Name
    generation: Annotated[str, choice(GENERATIONS)]  # of the chip
    partitions: tuple[str, ...]  # of the job scheduler, in order of preference
    limits: Limits
    packing: Packing

    @property
    def chips(self) -> int:
        return self.limits.chips.value

    @property
    def weight_bits(self) -> int:
        return self.limits.weight_bits.value

    @property
    def state_bits(self) -> int:
        return self.limits.state_bits.value


Profile = SimProfile | Loihi2Profile
KINDS: dict[str, type[Profile]] = {"sim": SimProfile, "loihi2": Loihi2Profile}


def parse_profile(source: str, where: str) -> Profile:
    """Read the TOML of a profile, called `where` in messages. Raises: RecipeError."""
    table = toml.read_table(source, where, RecipeError)
    kind = table.get("kind", "")
    if not isinstance(kind, str) or kind not in KINDS:
        shown = toml.to_toml(kind)[: toml.SHOWN]
        raise RecipeError(f"{where}: kind: {shown}; allowed is one of {', '.join(KINDS)}.")
    return toml.build(KINDS[kind], table, where, RecipeError)


def load_profile(name_or_path: str | Path) -> Profile:
    """The profile in a .toml file, or a shipped one by its name. Raises: RecipeError."""
    return parse_profile(read_named("deploy", name_or_path, RecipeError), str(name_or_path))
