"""Does a network fit a board: how its layers are divided over cores, and which limits that breaks.

A part is some neurons of one layer on one core. Each source that they have weights from, an input
or a neuron, is an input axon of that core with a row of weights; so a layer on k cores has its
axons k times. A neuron has one output axon for every part that it sends to.

Each layer is split evenly over as few cores as can hold it, because the busiest core sets the time
of a step. Parts of several layers share a core where they fit.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from brf_lava.board.describe import LayerShape, NetworkShape
from brf_lava.config.profile import Loihi2Profile, Packing
from brf_lava.errors import DoesNotFitError, ParameterError
from brf_lava.neurons.fixed import STATE_WIDTH

Integers = NDArray[np.int64]
CORES_MAX = 1_000_000  # that are placed one by one; the largest system has 140,544
OPEN_MAX = 12  # cores with room left that later layers may share
SHOWN = 3  # broken limits that an error names; the map has them all
ROUNDING = 1e-9  # of a core, in the lower bound


class Resource(NamedTuple):
    """What a core has: how it is called, its key in a profile, and what to do if it is short."""

    title: str
    limit: str
    remedy: str


SMALLER = "make this layer or the one before it smaller, or leave its recurrent weights out"
RESOURCES = (  # words of 64 bits
    Resource("neurons", "neurons_per_core", "make the layer smaller"),
    Resource("groups", "groups_per_core", "use fewer layers"),
    Resource("input axons", "input_axons", SMALLER),
    Resource("output axons", "output_axons", "make this layer or the next one smaller"),
    Resource("synapse words", "synapse_words", SMALLER),
    Resource("memory words", "memory_words", SMALLER),
)
NEURONS, GROUPS, INPUTS, OUTPUTS, SYNAPSES, MEMORY = range(len(RESOURCES))


@dataclass(frozen=True, eq=False)
class Split:
    """How one layer is divided.

    Attributes:
        sizes: Neurons of each part, largest first, int64 [parts]; empty if the layer does not fit.
        cores: The core of each part, int64 [parts].
        reached: Parts that each neuron sends to.
        load: What the largest part takes, or a single neuron if none fits, int64 [resources].
        reason: Why there are not fewer parts.
    """

    layer: LayerShape
    sizes: Integers
    cores: Integers
    reached: int
    load: Integers
    reason: str

    @property
    def parts(self) -> int:
        return len(self.sizes)


@dataclass(frozen=True, eq=False)
class Placement:
    """Where all neurons are.

    Attributes:
        splits: One per layer.
        loads: What is taken of each core, int64 [cores, resources].
        bound: Cores that any division needs, by resource, int64 [resources].
        violations: Limits that are exceeded; the network fits if there are none.
        notices: What is allowed and worth knowing.
    """

    network: NetworkShape
    profile: Loihi2Profile
    splits: tuple[Split, ...]
    loads: Integers
    bound: Integers
    violations: tuple[str, ...]
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
        placed = all(split.parts for split in self.splits)
        return self.cores / int(self.bound.max()) if placed else None

    @property
    def utilization(self) -> NDArray[np.float64]:
        """The share taken of each core's resources, [cores, resources]."""
        shares: NDArray[np.float64] = self.loads / capacity(self.profile)
        return shares

    def core_parts(self) -> list[tuple[tuple[int, int], ...]]:
        """For each core what it holds: (layer from 1, neurons) of each part."""
        held: list[list[tuple[int, int]]] = [[] for _ in range(self.cores)]
        for index, split in enumerate(self.splits, start=1):
            for core, size in zip(split.cores.tolist(), split.sizes.tolist(), strict=True):
                held[core].append((index, size))
        return [tuple(parts) for parts in held]

    def require_fit(self, where: str) -> None:
        """Raises: DoesNotFitError with the violated limits unless there are none."""
        more = len(self.violations) - SHOWN
        if self.violations:
            raise DoesNotFitError(
                f"{where}: does not fit {self.profile.board}: "
                f"{'. '.join(self.violations[:SHOWN])}"
                f"{f'. And {more} more, see the map' if more > 0 else ''}."
            )


def capacity(profile: Loihi2Profile) -> Integers:
    """What a core has, int64 [resources]."""
    return np.array([getattr(profile.limits, each.limit).value for each in RESOURCES], np.int64)


def empty_core(packing: Packing) -> Integers:
    """What is taken of a core before any neuron is there, int64 [resources]."""
    return np.array([0, 0, 0, 0, 0, packing.core_words.value], np.int64)


def neuron_words(layer: LayerShape, packing: Packing) -> int:
    """Words of one neuron: its state and the parameters that are its own."""
    states = -(-len(layer.record.states) // packing.states_per_word.value)
    return states + (packing.parameter_words.value if layer.record.fixed_coefficients else 0)


def part_loads(
    layer: LayerShape, neurons: Integers | Sequence[int], reached: int, packing: Packing
) -> Integers:
    """What parts of a layer take, without the words of the core itself.

    Args:
        layer: The layer.
        neurons: How many of its neurons each part has, [parts].
        reached: How many parts each neuron sends its spikes to.
        packing: The board's memory model.

    Returns:
        int64 [parts, resources].
    """
    axons, size = layer.sources, np.asarray(neurons, np.int64)
    bits = packing.row_bits.value + packing.synapse_bits.value * size
    synapses = axons * -(-bits // packing.word_bits.value)  # a row ends on a word
    each = neuron_words(layer, packing) + reached * packing.output_words.value
    memory = synapses + axons * packing.axon_words.value + size * each
    columns = (size, np.ones_like(size), np.full_like(size, axons), size * reached)
    return np.stack([*columns, synapses, memory], axis=1)


class Fewest(NamedTuple):
    """The fewest parts of a layer, 0 if it does not fit, and why they are not fewer.

    least: cores that its neurons take in the best parts there can be, float64 [resources].
    """

    parts: int
    reason: str
    least: NDArray[np.float64]


def fewest_parts(profile: Loihi2Profile, layer: LayerShape, onward: int) -> Fewest:
    """onward: parts of the next layer, which each neuron sends to."""
    packing, limits, empty = profile.packing, capacity(profile), empty_core(profile.packing)
    room = limits - empty
    rows = int(room[SYNAPSES]) * packing.word_bits.value // packing.synapse_bits.value
    sizes = np.arange(1, min(layer.neurons, int(room[NEURONS]), max(rows, 1)) + 1)
    parts, needed = 0, 1
    while needed > parts:  # recurrent spikes reach so many parts, which may need still more
        parts = needed
        loads = part_loads(layer, sizes, onward + parts * layer.recurrent, packing)
        most = int(np.count_nonzero((loads <= room).all(axis=1)))
        needed = -(-layer.neurons // most) if most else 0
    per_neuron = (loads / sizes[:, None])[: most or None].min(axis=0, initial=np.inf)
    least = layer.neurons * per_neuron / np.maximum(room, 1)
    if parts == 1 or not most:
        return Fewest(needed, "fits into one core" if most else "does not fit", least)
    fewer = parts - 1
    largest, reached = -(-layer.neurons // fewer), onward + fewer * layer.recurrent
    needs = empty + part_loads(layer, [largest], reached, packing)[0]
    short = int((needs / limits).argmax())
    would = f"{needs[short]:,} of {limits[short]:,} {RESOURCES[short].title}"
    return Fewest(parts, f"{fewer:,} would need {would}", least)


def place(network: NetworkShape, profile: Loihi2Profile) -> Placement:
    """Place a network on a board. Raises: ParameterError for more cores than can be placed."""
    fewest_of = lru_cache(None)(partial(fewest_parts, profile))
    layers: list[tuple[LayerShape, int, Fewest]] = []
    onward = 1  # the readout sends to the host alone
    for layer in reversed(network.layers):  # a layer must know how many parts it sends to
        fewest = fewest_of(layer, onward)
        reached = onward + (fewest.parts or layer.neurons) * layer.recurrent
        layers.append((layer, reached, fewest))
        # A layer that does not fit counts as if only its neurons had to
        onward = fewest.parts or -(-layer.neurons // profile.limits.neurons_per_core.value)
    parts = sum(fewest.parts for _, _, fewest in layers)
    if parts > CORES_MAX:
        raise ParameterError(
            f"{network.name}: divided into {parts:,} parts; at most {CORES_MAX:,} are placed, and "
            "the largest Loihi 2 system has 140,544 cores. Describe a smaller network."
        )
    least = np.sum([fewest.least for _, _, fewest in layers], axis=0)
    splits, loads = _share(layers[::-1], profile)
    chips = -(-len(loads) // profile.limits.cores_per_chip.value)
    return Placement(
        network=network,
        profile=profile,
        splits=splits,
        loads=loads,
        bound=np.ceil(least - ROUNDING).astype(np.int64),
        violations=tuple(_violations(network, splits, len(loads), chips, profile)),
        notices=tuple(_notices(network, splits, chips, profile)),
    )


def _share(
    layers: Sequence[tuple[LayerShape, int, Fewest]], profile: Loihi2Profile
) -> tuple[tuple[Split, ...], Integers]:
    """Put all parts on cores, from the first layer on: on used ones where they fit, else new."""
    packing, room = profile.packing, capacity(profile)
    loads = np.tile(empty_core(packing), (sum(fewest.parts for _, _, fewest in layers), 1))
    used, free = 0, np.empty(0, np.int64)  # cores with room, the fullest first
    splits = []
    for layer, reached, (parts, reason, _) in layers:
        size, larger = divmod(layer.neurons, parts or layer.neurons)
        sizes = size + (np.arange(parts) < larger).astype(np.int64)
        needs = part_loads(layer, sizes if parts else [1], reached, packing)
        shared = free[(loads[free] + needs[0] <= room).all(axis=1)][:parts]
        cores = np.append(shared, used + np.arange(parts - len(shared)))
        splits.append(Split(layer, sizes, cores, reached, needs[0], reason))
        if parts:
            loads[cores] += needs
            used += parts - len(shared)
            free = np.union1d(free, cores[:OPEN_MAX])
            fullness = (loads[free] / room).max(axis=1)
            free = free[np.argsort(-fullness, kind="stable")[-OPEN_MAX:]]
    return tuple(splits), loads[:used]


def _violations(
    network: NetworkShape, splits: Sequence[Split], cores: int, chips: int, profile: Loihi2Profile
) -> Iterator[str]:
    room, empty = capacity(profile).tolist(), empty_core(profile.packing)
    for index, split in enumerate(splits, start=1):
        where = f"layer {index} ({split.layer.neuron})"
        needs = [] if split.parts else (empty + split.load).tolist()
        for value, limit, resource in zip(needs, room, RESOURCES, strict=False):
            if value > limit:
                what = f"one neuron on a core: {resource.title}"
                yield f"{where}, {what}: {_over(value, limit)}; {resource.remedy}"
    for index, layer in enumerate(network.layers, start=1):
        if layer.weight_bits > profile.weight_bits:
            over = _over(layer.weight_bits, profile.weight_bits)
            remedy = f"export with --weight-bits {profile.weight_bits}"
            yield f"layer {index} ({layer.neuron}): bits of a weight: {over}; {remedy}"
    if profile.state_bits < STATE_WIDTH:
        over = _over(STATE_WIDTH, profile.state_bits)
        remedy = "use a board with states of 24 bits; all neurons of this version need them"
        yield f"all layers: bits of a state: {over}; {remedy}"
    if chips > profile.chips:
        remedy = "use a board with more chips, or smaller layers"
        over = _over(chips, profile.chips)
        yield f"{profile.board}, {cores:,} cores: chips: {over}; {remedy}"


def _over(value: int, limit: int) -> str:
    return f"{value:,} needed, {limit:,} allowed"


def _notices(
    network: NetworkShape, splits: Sequence[Split], chips: int, profile: Loihi2Profile
) -> Iterator[str]:
    """One sentence per matter, with the layer where it is largest."""
    advised = profile.limits.advised_axons.value
    for what, axons in (("input", INPUTS), ("output", OUTPUTS)):
        values = [int(split.load[axons]) if split.parts else 0 for split in splits]
        if max(values) > advised:
            yield (
                f"{max(values):,} {what} axons on a core ({_largest(values, advised)}) are more "
                f"than the {advised:,} of Loihi 1; the limit of Loihi 2 is not public."
            )
    bits = profile.limits.input_bits.value
    most, sums = 2 ** (bits - 1) - 1, [layer.input_sum or 0 for layer in network.layers]
    if max(sums) > most:
        yield (
            f"The weights of one neuron add up to {max(sums):,} ({_largest(sums, most)}), their "
            f"least exponent left out, if all its inputs come at once; {bits} bits hold {most:,}, "
            "and the width on the chip is not public."
        )
    if chips > 1:
        yield (
            f"{chips:,} chips: spikes between chips are slower than on one, by how much is not "
            "public and not modeled."
        )


def _largest(values: Sequence[int], limit: int) -> str:
    """The layer with the largest of the values, and how many more are over the limit."""
    more = sum(value > limit for value in values) - 1
    where = f"layer {values.index(max(values)) + 1}"
    return f"{where}, and {more:,} more layers" if more else where
