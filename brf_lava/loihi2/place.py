"""Which neurons go to which core: layers are divided evenly, and small parts share a core.

A layer is divided over the fewest cores that hold its parts, all parts alike or one neuron apart:
the busiest core bounds the time of a step. Parts go, in the order of the layers, to the first core
with room for them, so that numbers of connected cores are near each other.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from itertools import groupby
from math import ceil

import numpy as np
from numpy.typing import NDArray

from brf_lava.errors import BrfLavaError, ParameterError
from brf_lava.loihi2 import limits
from brf_lava.loihi2.describe import LayerShape, NetworkShape
from brf_lava.loihi2.limits import RESOURCES, Load
from brf_lava.neurons.fixed import STATE_WIDTH
from brf_lava.profiles import Loihi2Profile

CORES_MAX = 1_000_000  # that are placed one by one; the largest system has 140,544
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


@dataclass(frozen=True)
class Split:
    """How one layer is divided.

    parts: over how many cores, 0 if even single neurons do not fit. reached: parts that each neuron
    sends to. load: of the largest part. reason: why it is not fewer cores.
    """

    layer: LayerShape
    parts: int
    reached: int
    load: Load
    reason: str

    @property
    def sizes(self) -> NDArray[np.int64]:
        """Neurons of each part, the larger ones first; [parts]."""
        if not self.parts:
            return np.zeros(0, np.int64)
        least, larger = divmod(self.layer.neurons, self.parts)
        return least + (np.arange(self.parts, dtype=np.int64) < larger)


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
    splits = _divide(network, profile)
    parts = sum(split.parts for split in splits)
    if parts > CORES_MAX:
        raise ParameterError(
            f"{network.name}: divided into {parts:,} parts; at most {CORES_MAX:,} are placed, and "
            "the largest Loihi 2 system has 140,544 cores. Describe a smaller network."
        )
    loads, cores_of = _first_fit(splits, profile)
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
        cores_of=cores_of,
        loads=loads,
        bound=lower_bound(network, profile),
        violations=tuple(violations),
        notices=tuple(_notices(network, splits, chips, profile)),
    )


def lower_bound(network: NetworkShape, profile: Loihi2Profile) -> Load:
    """Per resource ceil(total / limit): cores that every division needs, even an uneven one.

    What a part takes is a fixed amount, its axons and the heads of their rows, and as much again
    for every neuron. So if a core holds at most m neurons of a layer, n of them take n / m of what
    m take, or more. Rows count in bits, not in whole words; a core's own words are off its limit.
    """
    sums = [Fraction(0)] * len(RESOURCES)
    onward = 1
    known: dict[tuple[LayerShape, int], tuple[int, tuple[Fraction, ...]]] = {}
    for layer in reversed(network.layers):
        if (layer, onward) not in known:
            known[layer, onward] = _least_shares(layer, onward, profile)
        onward, shares = known[layer, onward]
        sums = [total + share for total, share in zip(sums, shares, strict=True)]
    return Load._make(map(ceil, sums))


def _least_shares(
    layer: LayerShape, onward: int, profile: Loihi2Profile
) -> tuple[int, tuple[Fraction, ...]]:
    """Cores that a layer takes at least, as parts and per resource.

    onward: parts that the next layer has at least.
    """
    room = [Fraction(most) for most in limits.capacity(profile.limits)]
    room[-1] = max(room[-1] - profile.packing.core_words.value, Fraction(1))
    parts = 1
    while True:
        reached = onward + parts * layer.recurrent

        def load(neurons: int, reached: int = reached) -> tuple[Fraction, ...]:
            return limits.least_load(layer, neurons, reached, profile.packing)

        def fits(neurons: int) -> bool:
            return all(taken <= most for taken, most in zip(load(neurons), room, strict=True))

        most, above = 0, layer.neurons + 1  # fits(most) holds, or nothing fits; fits(above) is not
        while above - most > 1:
            middle = (most + above) // 2
            most, above = (middle, above) if fits(middle) else (most, middle)
        most = most or layer.neurons  # of a layer that does not fit, as if it were undivided
        needed = -(-layer.neurons // most)
        if needed <= parts:
            break
        parts = needed  # so many are reached by recurrent spikes, which may need still more
    factor = Fraction(layer.neurons, most)
    return parts, tuple(factor * t / r for t, r in zip(load(most), room, strict=True))


def _divide(network: NetworkShape, profile: Loihi2Profile) -> tuple[Split, ...]:
    """From the last layer to the first: a layer must know how many parts it sends to."""
    splits: list[Split] = []
    reached = 1  # the readout sends to the host alone
    known: dict[tuple[LayerShape, int], Split] = {}
    for layer in reversed(network.layers):
        if (layer, reached) not in known:
            known[layer, reached] = _split(layer, reached, profile)
        splits.append(known[layer, reached])
        # A layer that does not fit is counted as if only its neurons had to
        reached = splits[-1].parts or -(-layer.neurons // profile.limits.neurons_per_core.value)
    return tuple(reversed(splits))


def _split(layer: LayerShape, reached: int, profile: Loihi2Profile) -> Split:
    """The fewest even parts. reached: parts of the next layer."""
    room = limits.capacity(profile.limits)
    empty = limits.empty_core(profile.packing)
    neurons = layer.neurons

    def load(parts: int) -> Load:
        """Of the largest part."""
        reach = reached + parts * layer.recurrent
        return limits.part_load(layer, -(-neurons // parts), reach, profile.packing)

    def may_fit(parts: int) -> bool:
        """Leaves out what rounding up adds to the recurrent outputs: false until it stays true."""
        size = -(-neurons // parts)
        least = limits.part_load(layer, size, reached, profile.packing)
        outputs = neurons * layer.recurrent
        words = outputs * profile.packing.output_words.value
        return limits.fits(limits.total(empty, limits.total(least, _outputs(outputs, words))), room)

    def fits(parts: int) -> bool:
        return limits.fits(limits.total(empty, load(parts)), room)

    if not may_fit(neurons):
        return Split(layer, 0, reached + neurons * layer.recurrent, load(neurons), "does not fit")
    low, parts = 0, neurons  # may_fit(parts) holds, may_fit(low) does not
    while parts - low > 1:
        middle = (low + parts) // 2
        low, parts = (low, middle) if may_fit(middle) else (middle, parts)
    while not fits(parts):
        parts += 1
    reach = reached + parts * layer.recurrent
    if parts == 1:
        return Split(layer, 1, reach, load(1), "fits into one core")
    value, limit, resource = max(
        zip(limits.total(empty, load(parts - 1)), room, RESOURCES, strict=True),
        key=lambda each: each[0] / each[1],
    )
    reason = f"{parts - 1:,} would need {value:,} of {limit:,} {resource.title}"
    return Split(layer, parts, reach, load(parts), reason)


def _outputs(axons: int, words: int) -> Load:
    return Load(0, 0, 0, axons, 0, words)


def _first_fit(
    splits: tuple[Split, ...], profile: Loihi2Profile
) -> tuple[NDArray[np.int64], tuple[NDArray[np.int64], ...]]:
    """Loads [cores, resources], and for each layer the core of each part."""
    room = np.array(limits.capacity(profile.limits))
    needs = [_part_needs(split, profile) for split in splits]
    loads = np.tile(limits.empty_core(profile.packing), (sum(s.parts for s in splits), 1))
    loads = loads.astype(np.int64)
    candidates = np.zeros(0, np.int64)  # cores that may take more
    used = 0
    cores_of = []
    later = _least_of_later(needs, room)
    for need, least in zip(needs, later, strict=True):
        chosen = [np.zeros(0, np.int64)]
        old = candidates
        for load, count in need:
            # Two parts of a layer never fit one core: else the layer had been divided into fewer
            free = old[(loads[old] + load <= room).all(axis=1)][:count]
            new = np.arange(used, used + count - len(free))
            used += len(new)
            chosen += [free, new]
            candidates = np.concatenate([candidates, new])
            loads[np.concatenate([free, new])] += load
        cores_of.append(np.concatenate(chosen))
        candidates = candidates[(loads[candidates] + least <= room).all(axis=1)]
    return loads[:used], tuple(cores_of)


def _part_needs(split: Split, profile: Loihi2Profile) -> list[tuple[NDArray[np.int64], int]]:
    """The loads of the parts of one layer and how many there are of each, larger ones first."""
    sizes, counts = np.unique(split.sizes, return_counts=True)
    return [
        (np.array(limits.part_load(split.layer, size, split.reached, profile.packing)), count)
        for size, count in zip(sizes.tolist()[::-1], counts.tolist()[::-1], strict=True)
    ]


def _least_of_later(
    needs: list[list[tuple[NDArray[np.int64], int]]], room: NDArray[np.int64]
) -> list[NDArray[np.int64]]:
    """For each layer the least that any part of a later one takes of each resource."""
    least = room + 1
    found = []
    for need in reversed(needs):
        found.append(least)
        for load, _ in need:
            least = np.minimum(least, load)
    return found[::-1]


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
            f"The weights of one neuron add up to {most[1]}{most[0]}, exponents left out, if all "
            f"its inputs come at once; {bits} bits hold {2 ** (bits - 1) - 1:,}, and the width on "
            "the chip is not public."
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
