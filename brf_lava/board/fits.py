"""Does a network fit a board: how its layers are divided over cores, and which limits that breaks.

A part is some neurons of one layer on one core. Each source that they have weights from, an input
or a neuron, is an input axon of that core with a row of weights; so a layer on k cores has its
axons k times. A neuron has one output axon for every part that it sends to.

Each layer is split evenly over as few cores as can hold it, because the busiest core sets the time
of a step. Parts of several layers share a core where they fit.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache, partial
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from brf_lava.board.describe import LayerShape, NetworkShape
from brf_lava.config.profile import Loihi2Profile, Packing, Sourced
from brf_lava.errors import DoesNotFitError
from brf_lava.neurons.fixed import STATE_WIDTH

Integers = NDArray[np.int64]
OPEN_MAX = 12  # cores with room left that later layers may share
ROUNDING = 1e-9  # of a core, in the lower bound
SMALLER = "make this layer or the one before it smaller, or leave its recurrent weights out"
RESOURCES = {  # of a core, words of 64 bits: the key in a profile, and what to do if it is short
    "neurons": ("neurons_per_core", "make the layer smaller"),
    "groups": ("groups_per_core", "use fewer layers"),
    "input axons": ("input_axons", SMALLER),
    "output axons": ("output_axons", "make this layer or the next one smaller"),
    "synapse words": ("synapse_words", SMALLER),
    "memory words": ("memory_words", SMALLER),
}
TITLES = tuple(RESOURCES)
LAYER_COLUMNS = ["layer", "neurons", "axons in", "synapses", "cores", "per core", "why not fewer"]
NEURONS, GROUPS, INPUTS, OUTPUTS, SYNAPSES, MEMORY = range(len(RESOURCES))


@dataclass(frozen=True, eq=False)
class Split:
    """How one layer is divided."""

    layer: LayerShape
    sizes: Integers  # neurons of each part, largest first; none if the layer does not fit
    reached: int  # parts that each neuron sends to
    loads: Integers  # of each part, or of one neuron if the layer does not fit [parts, resources]
    reason: str  # why there are not fewer parts
    least: NDArray[np.float64]  # cores in the best parts there can be [resources]
    cores: Integers  # of each part, once it is placed

    @property
    def parts(self) -> int:
        return len(self.sizes)


class Check(NamedTuple):
    """One limit, and what comes nearest to it."""

    title: str
    limit: Sourced
    most: int | None  # None: not known
    remedy: str = ""  # empty: the limit is only advised
    bound: int | None = None  # cores that any division needs
    where: str = ""


@dataclass(frozen=True, eq=False)
class Placement:
    """Where all neurons are. loads: what is taken of each core, int64 [cores, resources]."""

    network: NetworkShape
    profile: Loihi2Profile
    splits: tuple[Split, ...]
    loads: Integers

    @property
    def cores(self) -> int:
        return len(self.loads)

    @property
    def chips(self) -> int:
        return -(-self.cores // self.profile.limits.cores_per_chip.value)

    @property
    def bound(self) -> list[int]:
        """Cores that any division needs, by resource."""
        least = np.sum([split.least for split in self.splits], axis=0)
        bound: list[int] = np.ceil(least - ROUNDING).astype(np.int64).tolist()
        return bound

    @property
    def utilization(self) -> NDArray[np.float64]:
        """The share taken of each core's resources, [cores, resources]."""
        shares: NDArray[np.float64] = self.loads / capacity(self.profile)
        return shares

    @property
    def first_layers(self) -> Integers:
        """The number from 1 of the first layer on each core, int64 [cores]."""
        first = np.zeros(self.cores, np.int64)
        for index in reversed(range(len(self.splits))):
            first[self.splits[index].cores] = index + 1
        return first

    def checks(self) -> Iterator[Check]:
        """All limits, of a core, of a number and of the board."""
        limits, layers = self.profile.limits, self.network.layers
        empty, bounds = empty_core(self.profile.packing), self.bound
        needs = {"": self.loads.max(axis=0, initial=0)}
        for number, split in enumerate(self.splits, start=1):
            if not split.parts:
                where = f"layer {number} ({split.layer.neuron}), one neuron on a core: "
                needs[where] = empty + split.loads[0]
        for index, (title, (key, remedy)) in enumerate(RESOURCES.items()):
            where = max(needs, key=lambda name: int(needs[name][index]))
            most, bound = int(needs[where][index]), bounds[index]
            yield Check(title, getattr(limits, key), most, remedy, bound, where)
        remedy = f"export with --weight-bits {limits.weight_bits.value}"
        most = max(layer.weight_bits for layer in layers)
        yield Check("bits of a weight", limits.weight_bits, most, remedy)
        remedy = f"use a board with states of {STATE_WIDTH} bits, which all neurons need"
        yield Check("bits of a state", limits.state_bits, STATE_WIDTH, remedy)
        sums = [layer.input_sum for layer in layers if layer.input_sum is not None]
        signed = 1 + max(sums).bit_length() if sums else None
        yield Check("bits of summed weights, advised", limits.input_bits, signed)
        axons = [split.loads[0, [INPUTS, OUTPUTS]].max() for split in self.splits if split.parts]
        most = int(max(axons, default=0))
        yield Check("axons of a part, in or out, advised", limits.advised_axons, most)
        used = min(self.cores, limits.cores_per_chip.value)
        yield Check("cores of a chip", limits.cores_per_chip, used)
        remedy = "use a board with more chips, or smaller layers"
        where = f"{self.profile.board}, {self.cores:,} cores: "
        yield Check("chips", limits.chips, self.chips, remedy, where=where)

    @property
    def violations(self) -> list[str]:
        """Limits that are exceeded; the network fits if there are none."""
        return [
            f"{check.where}{check.title}: {check.most:,} needed, {check.limit.value:,} allowed; "
            f"{check.remedy}"
            for check in self.checks()
            if check.remedy and check.most is not None and check.most > check.limit.value
        ]

    def misfit(self, where: str) -> DoesNotFitError | None:
        """The violated limits as an error; None if there are none."""
        if not (violations := self.violations):
            return None
        text = ". ".join(violations)
        return DoesNotFitError(f"{where}: does not fit {self.profile.board}: {text}.")

    def require_fit(self, where: str) -> None:
        """Raises: DoesNotFitError with the violated limits unless there are none."""
        if (error := self.misfit(where)) is not None:
            raise error


def layer_rows(placement: Placement) -> list[tuple[str, ...]]:
    """A table of the layers, with `LAYER_COLUMNS`."""
    rows = []
    for number, split in enumerate(placement.splits, start=1):
        layer = split.layer
        sizes = (f"{size:,}" for size in (layer.neurons, layer.sources, layer.synapses))
        parts = (f"{split.parts:,}", f"{split.sizes[0]:,}") if split.parts else ("none", "-")
        name = f"{number} {layer.neuron}{' rec.' if layer.recurrent else ''}"
        rows.append((name, *sizes, *parts, split.reason))
    return rows


def capacity(profile: Loihi2Profile) -> Integers:
    """What a core has, int64 [resources]."""
    return np.array([getattr(profile.limits, key).value for key, _ in RESOURCES.values()])


def empty_core(packing: Packing) -> Integers:
    """What is taken of a core before any neuron is there, int64 [resources]."""
    return np.array([0, 0, 0, 0, 0, packing.core_words.value])


def neuron_words(layer: LayerShape, packing: Packing) -> int:
    """Words of one neuron: its state and the parameters that are its own."""
    states = -(-len(layer.record.states) // packing.states_per_word.value)
    return states + (packing.parameter_words.value if layer.record.fixed_coefficients else 0)


def part_loads(
    layer: LayerShape, neurons: Integers | Sequence[int], reached: int, packing: Packing
) -> Integers:
    """What parts of a layer take, without the words of the core itself, int64 [parts, resources].

    neurons: how many each part has, [parts]. reached: how many parts each neuron sends to.
    """
    axons, size = layer.sources, np.asarray(neurons, np.int64)
    bits = packing.row_bits.value + packing.synapse_bits.value * size
    synapses = axons * -(-bits // packing.word_bits.value)  # a row ends on a word
    each = neuron_words(layer, packing) + reached * packing.output_words.value
    memory = synapses + axons * packing.axon_words.value + size * each
    columns = (size, np.ones_like(size), np.full_like(size, axons), size * reached)
    return np.stack([*columns, synapses, memory], axis=1)


def divide(profile: Loihi2Profile, layer: LayerShape, onward: int) -> Split:
    """Split a layer evenly over as few cores as hold it; onward: parts of the next layer."""
    packing, limits, empty = profile.packing, capacity(profile), empty_core(profile.packing)
    room = limits - empty
    sizes = np.arange(1, min(layer.neurons, int(room[NEURONS])) + 1)
    parts, needed = 0, 1
    while needed > parts:  # recurrent spikes reach so many parts, which may need still more
        parts = needed
        loads = part_loads(layer, sizes, onward + parts * layer.recurrent, packing)
        most = int(np.count_nonzero((loads <= room).all(axis=1)))
        needed = -(-layer.neurons // most) if most else 0
    per_neuron = (loads / sizes[:, None])[: most or None].min(axis=0)
    parts = needed
    reason = "fits into one core" if parts else "does not fit"
    if parts > 1:
        fewer = parts - 1
        largest, reached = -(-layer.neurons // fewer), onward + fewer * layer.recurrent
        needs = empty + part_loads(layer, [largest], reached, packing)[0]
        short = int((needs / limits).argmax())
        reason = f"{fewer:,} would need {needs[short]:,} of {limits[short]:,} {TITLES[short]}"
    size, larger = divmod(layer.neurons, parts or layer.neurons)
    sizes = size + (np.arange(parts) < larger).astype(np.int64)
    reached = onward + (parts or layer.neurons) * layer.recurrent
    loads = part_loads(layer, sizes if parts else [1], reached, packing)
    least = layer.neurons * per_neuron / np.maximum(room, 1)
    return Split(layer, sizes, reached, loads, reason, least, cores=np.empty(0, np.int64))


def place(network: NetworkShape, profile: Loihi2Profile) -> Placement:
    """Divide all layers and put their parts on cores."""
    divided = cache(partial(divide, profile))  # many layers are alike
    splits: list[Split] = []
    onward = 1  # the readout sends to the host alone
    for layer in reversed(network.layers):  # a layer must know how many parts it sends to
        splits.insert(0, divided(layer, onward))
        # A layer that does not fit counts as if only its neurons had to
        onward = splits[0].parts or -(-layer.neurons // profile.limits.neurons_per_core.value)
    room, empty = capacity(profile), empty_core(profile.packing)
    loads = np.tile(empty, (sum(split.parts for split in splits), 1))
    used, free = 0, np.empty(0, np.int64)  # cores with room, the fullest first
    for index, split in enumerate(splits):  # on used cores where they fit, else on new ones
        shared = free[(loads[free] + split.loads[0] <= room).all(axis=1)][: split.parts]
        cores = np.append(shared, used + np.arange(split.parts - len(shared)))
        splits[index] = replace(split, cores=cores)
        if split.parts:
            loads[cores] += split.loads
            used += split.parts - len(shared)
            free = np.union1d(free, cores[:OPEN_MAX])
            fullness = (loads[free] / room).max(axis=1)
            free = free[np.argsort(-fullness, kind="stable")[-OPEN_MAX:]]
    return Placement(network, profile, tuple(splits), loads[:used])
