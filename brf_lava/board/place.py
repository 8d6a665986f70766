"""Where the neurons of a network are, whether all have a place, and how few cores could do."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby
from math import floor

import numpy as np
from numpy.typing import NDArray

from brf_lava.board import limits
from brf_lava.board.describe import NetworkShape
from brf_lava.board.divide import CUTS, Divider, Division, Split
from brf_lava.board.limits import RESOURCES, Load
from brf_lava.config.profile import Loihi2Profile
from brf_lava.errors import BrfLavaError, ParameterError
from brf_lava.neurons.fixed import STATE_WIDTH

CORES_MAX = 1_000_000  # that are placed one by one; the largest system has 140,544
SHARE_UNIT = 2**60  # of a core: shares are added as whole numbers of it, rounded down
SHOWN = 3  # limits that an error names; the map has them all


class DoesNotFitError(BrfLavaError):
    """A network that a board cannot hold. Exit code 1: the question was answered, with no."""

    exit_code = 1


@dataclass(frozen=True)
class Violation:
    """A limit that is exceeded. where: the layer, or the board."""

    where: str
    what: str
    value: int
    limit: int
    remedy: str

    def __str__(self) -> str:
        return (
            f"{self.where}: {self.what}: {self.value:,} needed, {self.limit:,} allowed; "
            f"{self.remedy}"
        )


@dataclass(frozen=True, eq=False)
class Placement:
    """Where all neurons are.

    splits: one per layer. cores_of: for each layer the core of each part, int64 [parts].
    loads: int64 [cores, resources], in the order of `Load`. bound: the fewest cores that each
    resource allows, whatever the division. notices: what is not refused and worth knowing.
    """

    network: NetworkShape
    profile: Loihi2Profile
    splits: tuple[Split, ...]
    cores_of: tuple[NDArray[np.int64], ...]
    loads: NDArray[np.int64]
    bound: Load
    violations: tuple[Violation, ...]
    notices: tuple[str, ...]

    @property
    def cores(self) -> int:
        return len(self.loads)

    @property
    def chips(self) -> int:
        return -(-self.cores // self.profile.limits.cores_per_chip.value)

    @property
    def ratio(self) -> float | None:
        """Cores taken over the lower bound; None unless all neurons are placed."""
        if not all(split.parts for split in self.splits):
            return None
        return self.cores / max(self.bound)

    @property
    def utilization(self) -> NDArray[np.float64]:
        """The share taken of each core's resources, [cores, resources]."""
        shares: NDArray[np.float64] = self.loads / np.array(limits.capacity(self.profile.limits))
        return shares

    @property
    def bottleneck(self) -> str:
        """The resource of which the cores are fullest, on average."""
        if not self.cores:
            return "none"
        return RESOURCES[int(self.utilization.mean(axis=0).argmax())].title

    def core_parts(self) -> list[tuple[tuple[int, int], ...]]:
        """For each core what it holds: (layer from 1, neurons) of each part."""
        found: list[list[tuple[int, int]]] = [[] for _ in range(self.cores)]
        for index, (split, cores) in enumerate(zip(self.splits, self.cores_of, strict=True)):
            for core, size in zip(cores.tolist(), split.sizes.tolist(), strict=True):
                found[core].append((index + 1, size))
        return [tuple(parts) for parts in found]

    def alike(self) -> Iterator[tuple[int, int, tuple[tuple[int, int], ...]]]:
        """Runs of cores that hold the same: first core, last core, what each of them holds."""
        for parts, run in groupby(enumerate(self.core_parts()), key=lambda each: each[1]):
            cores = [core for core, _ in run]
            yield cores[0], cores[-1], parts

    def require_fit(self, where: str) -> None:
        """Raises: DoesNotFitError with the violated limits unless there are none."""
        if not self.violations:
            return
        named = ". ".join(map(str, self.violations[:SHOWN]))
        more = len(self.violations) - SHOWN
        raise DoesNotFitError(
            f"{where}: does not fit {self.profile.board}: {named}"
            f"{f'. And {more} more, see the map' if more > 0 else ''}."
        )


def place(network: NetworkShape, profile: Loihi2Profile) -> Placement:
    """Place a network on a board. Raises: ParameterError for more cores than can be placed."""
    divider = Divider(network, profile)
    parts = divider.fewest_parts()
    if parts > CORES_MAX:
        raise ParameterError(
            f"{network.name}: divided into {parts:,} parts; at most {CORES_MAX:,} are placed, and "
            "the largest Loihi 2 system has 140,544 cores. Describe a smaller network."
        )
    bound = lower_bound(divider)
    division = _best(divider, max(bound))
    splits, loads = division.splits, division.loads
    violations = [each for i, split in enumerate(splits) for each in _too_large(i, split, profile)]
    violations += _formats(network, profile)
    chips = -(-len(loads) // profile.limits.cores_per_chip.value)
    if chips > profile.chips:
        violations.append(
            Violation(
                f"{profile.board}, {len(loads):,} cores",
                "chips",
                chips,
                profile.chips,
                "use a board with more chips, or smaller layers",
            )
        )
    return Placement(
        network=network,
        profile=profile,
        splits=splits,
        cores_of=division.cores_of,
        loads=loads,
        bound=bound,
        violations=tuple(violations),
        notices=tuple(_notices(network, splits, chips, profile)),
    )


def _best(divider: Divider, bound: int) -> Division:
    """The even division, or the one with the fewest cores if that has fewer."""
    best = divider.even()
    for cut in CUTS:
        if best.cores <= bound:
            break
        found = divider.filled(cut)
        # More parts of a layer can leave the one before it without enough output axons
        if found.cores < best.cores and found.placed == best.placed:
            best = found
    return best


def lower_bound(divider: Divider) -> Load:
    """Per resource ceil(total / limit): cores that every division needs, even an uneven one.

    If a core holds at most m neurons of a layer, each of them takes what it takes in the best part
    of up to m neurons, or more. A core's own words are off its limit.
    """
    sums = [0] * len(RESOURCES)
    known: dict[tuple[int, int], list[int]] = {}
    for layer, onward, fewest in divider.backwards():
        key = id(layer), onward  # equal layers are one object there
        if key not in known:
            reached = onward + fewest.parts * layer.recurrent
            # A layer that does not fit counts as if it were undivided
            most = divider.most_on_a_core(layer, reached) if fewest.parts else layer.neurons
            most = min(most, layer.neurons)
            least = limits.least_per_neuron(layer, most, reached, divider.packing)
            known[key] = [
                floor(layer.neurons * each / max(has, 1) * SHARE_UNIT)
                for each, has in zip(least, divider.room, strict=True)
            ]
        sums = [total + share for total, share in zip(sums, known[key], strict=True)]
    return Load._make(-(-total // SHARE_UNIT) for total in sums)


def _too_large(index: int, split: Split, profile: Loihi2Profile) -> Iterator[Violation]:
    """What keeps even single neurons of a layer from fitting a core."""
    if split.parts:
        return
    needed = limits.total(limits.empty_core(profile.packing), split.load)
    room = limits.capacity(profile.limits)
    for value, limit, resource in zip(needed, room, RESOURCES, strict=True):
        if value > limit:
            where = f"layer {index + 1} ({split.layer.neuron}), one neuron on a core"
            yield Violation(where, resource.title, value, limit, resource.remedy)


def _formats(network: NetworkShape, profile: Loihi2Profile) -> Iterator[Violation]:
    """Numbers that are wider than the board's."""
    bits = profile.weight_bits
    for index, layer in enumerate(network.layers, start=1):
        if layer.weight_bits > bits:
            yield Violation(
                f"layer {index} ({layer.neuron})",
                "bits of a weight",
                layer.weight_bits,
                bits,
                f"export with --weight-bits {bits}",
            )
    if profile.state_bits < STATE_WIDTH:
        yield Violation(
            "all layers",
            "bits of a state",
            STATE_WIDTH,
            profile.state_bits,
            "use a board with states of 24 bits; all neurons of this version need them",
        )


def _notices(
    network: NetworkShape, splits: tuple[Split, ...], chips: int, profile: Loihi2Profile
) -> Iterator[str]:
    """One sentence per matter, with the layer where it is largest."""
    placed = [split if split.parts else None for split in splits]
    for what in ("input", "output"):
        axons = [getattr(each.load, f"{what}_axons") if each else 0 for each in placed]
        if most := _most(axons, profile.limits.advised_axons.value):
            yield (
                f"{most[1]} {what} axons on a core{most[0]} are more than the "
                f"{profile.limits.advised_axons.value:,} of Loihi 1; the limit of Loihi 2 is not "
                "public."
            )
    bits = profile.limits.input_bits.value
    if most := _most([layer.input_sum or 0 for layer in network.layers], 2 ** (bits - 1) - 1):
        yield (
            f"The weights of one neuron add up to {most[1]}{most[0]}, their least exponent left "
            f"out, if all its inputs come at once; {bits} bits hold {2 ** (bits - 1) - 1:,}, and "
            "the width on the chip is not public."
        )
    if chips > 1:
        yield (
            f"{chips:,} chips: spikes between chips are slower than on one, by how much is not "
            "public and not modeled."
        )


def _most(values: list[int], limit: int) -> tuple[str, str] | None:
    """Where the largest of the values of the layers is and how large, if it is over the limit."""
    over = [value for value in values if value > limit]
    if not over:
        return None
    where = f" (layer {values.index(max(over)) + 1}"
    return f"{where}, and {len(over) - 1} more layers)" if over[
        1:
    ] else f"{where})", f"{max(over):,}"
