"""How layers are divided into parts, and which parts share a core.

Every part of a layer needs all axons of its layer again, so that few parts are good. Two divisions
are made. The even one: each layer over the fewest cores that hold it, all parts alike or one neuron
apart, as the busiest core bounds the time of a step. The filled one: a layer fills whole cores, and
what remains goes where other layers left room. The filled one is taken if it needs fewer cores.

Both go from the last layer to the first: a layer must know how many parts it sends to.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from operator import truediv

import numpy as np
from numpy.typing import NDArray

from brf_lava.board import limits
from brf_lava.board.describe import LayerShape, NetworkShape
from brf_lava.board.limits import RESOURCES, Load
from brf_lava.config.profile import Loihi2Profile

OPEN_MAX = 12  # cores with room left that are kept in view: time grows with layers, not cores
# What a core's room must hold, of what a whole core would, for a layer to be cut once more for it
CUTS = (1 / 16, 1 / 4)


@dataclass(frozen=True, eq=False)
class Split:
    """How one layer is divided.

    sizes: neurons of each part, int64 [parts]; empty if even single neurons do not fit. reached:
    parts that each neuron sends to. load: of the largest part. reason: why it is not fewer cores.
    """

    layer: LayerShape
    sizes: NDArray[np.int64]
    reached: int
    load: Load
    reason: str

    @property
    def parts(self) -> int:
        return len(self.sizes)


@dataclass(frozen=True, eq=False)
class Division:
    """All layers. cores_of: for each layer the core of each part. loads: int64 [cores, resources].

    Cores are numbered in the order of the layers, so that connected ones are near each other.
    """

    splits: tuple[Split, ...]
    cores_of: tuple[NDArray[np.int64], ...]
    loads: NDArray[np.int64]

    @property
    def cores(self) -> int:
        return len(self.loads)

    @property
    def placed(self) -> int:
        """Layers that fit."""
        return sum(split.parts > 0 for split in self.splits)


@dataclass(frozen=True)
class Fewest:
    """parts: the fewest that a layer can have, 0 if even single neurons do not fit a core."""

    parts: int
    reason: str


class Divider:
    """Divides one network for one board. What is alike in several layers is worked out once."""

    def __init__(self, network: NetworkShape, profile: Loihi2Profile) -> None:
        self._backwards = _shared(network.layers)[::-1]
        self.packing = profile.packing
        self.limit = limits.capacity(profile.limits)
        self.empty = limits.empty_core(profile.packing)
        self.room = limits.rest(self.limit, self.empty)
        # By the layer's id: to compare them field by field would take longer than to divide them
        self._fewest: dict[tuple[int, int], Fewest] = {}
        self._loads: dict[tuple[int, int, int], Load] = {}
        self._most: dict[tuple[int, int], int] = {}

    def fewest_parts(self) -> int:
        """Parts of all layers together, in the even division."""
        return sum(fewest.parts for _, _, fewest in self.backwards())

    def even(self) -> Division:
        """Each layer in its fewest parts."""
        return self._divide(self._even_parts)

    def filled(self, cut: float) -> Division:
        """Each layer in the room that is left, and in full cores. cut: one of `CUTS`."""
        return self._divide(partial(self._filled_parts, cut))

    def fewest(self, layer: LayerShape, onward: int) -> Fewest:
        """The fewest parts. onward: parts of the next layer."""
        key = id(layer), onward
        if key not in self._fewest:
            self._fewest[key] = self._find_fewest(layer, onward)
        return self._fewest[key]

    def _find_fewest(self, layer: LayerShape, onward: int) -> Fewest:
        parts = 1
        while True:
            most = self.most_on_a_core(layer, onward + parts * layer.recurrent)
            if not most:
                return Fewest(0, "does not fit")
            needed = -(-layer.neurons // most)
            if needed <= parts:
                break
            parts = needed  # recurrent spikes reach so many, which may need still more
        if parts == 1:
            return Fewest(1, "fits into one core")
        fewer = parts - 1
        size, reached = -(-layer.neurons // fewer), onward + fewer * layer.recurrent
        needs = limits.total(self.empty, self.load(layer, size, reached))
        value, limit, resource = max(
            zip(needs, self.limit, RESOURCES, strict=True), key=lambda each: each[0] / each[1]
        )
        return Fewest(parts, f"{fewer:,} would need {value:,} of {limit:,} {resource.title}")

    def backwards(self) -> Iterator[tuple[LayerShape, int, Fewest]]:
        """From the last layer: it, the parts that the next one has at least, its fewest parts."""
        onward = 1  # the readout sends to the host alone
        for layer in self._backwards:
            fewest = self.fewest(layer, onward)
            yield layer, onward, fewest
            onward = fewest.parts or self._counted(layer)

    def _counted(self, layer: LayerShape) -> int:
        """Parts of a layer that does not fit, as if only its neurons had to."""
        return -(-layer.neurons // self.limit.neurons)

    def most_on_a_core(self, layer: LayerShape, reached: int) -> int:
        key = id(layer), reached
        if key not in self._most:
            self._most[key] = limits.most_neurons(layer, reached, self.room, self.packing)
        return self._most[key]

    def load(self, layer: LayerShape, neurons: int, reached: int) -> Load:
        """What a part takes."""
        key = id(layer), neurons, reached
        if key not in self._loads:
            self._loads[key] = limits.part_load(layer, neurons, reached, self.packing)
        return self._loads[key]

    def _divide(
        self, choose: Callable[[LayerShape, int, Fewest, list[_Core]], list[_Parts]]
    ) -> Division:
        """choose: the parts of a layer, given the parts of the next, its fewest, and the room."""
        taken = _Taken(self)
        onward = 1
        for layer in self._backwards:
            fewest = self.fewest(layer, onward)
            if not fewest.parts:
                reached = onward + layer.neurons * layer.recurrent
                taken.leave_out(layer, reached, fewest.reason)
                onward = self._counted(layer)
                continue
            chosen = choose(layer, onward, fewest, taken.open)
            parts = sum(each.count for each in chosen)
            reason = fewest.reason
            if parts > fewest.parts:
                reason += f"; {parts - fewest.parts:,} more to use room on other cores"
            taken.add(layer, chosen, onward + parts * layer.recurrent, reason)
            onward = parts
        return taken.division()

    def _even_parts(
        self, layer: LayerShape, onward: int, fewest: Fewest, cores: list[_Core]
    ) -> list[_Parts]:
        reached = onward + fewest.parts * layer.recurrent
        size, larger = divmod(layer.neurons, fewest.parts)
        left = {size + 1: larger, size: fewest.parts - larger}
        found = []
        for core in cores:
            for neurons, count in left.items():
                # Two parts of a layer never fit one core: else it had been divided into fewer
                if count and limits.fits(self.load(layer, neurons, reached), core.room):
                    found.append(_Parts(neurons, 1, core))
                    left[neurons] -= 1
                    break
        found += [_Parts(neurons, count, None) for neurons, count in left.items() if count]
        return found

    def _filled_parts(
        self, cut: float, layer: LayerShape, onward: int, fewest: Fewest, cores: list[_Core]
    ) -> list[_Parts]:
        for share in (cut, 1.0):  # only for as much as a whole core would hold
            parts = fewest.parts
            while True:  # until no more parts are needed than recurrent spikes were taken to reach
                reached = onward + parts * layer.recurrent
                most = self.most_on_a_core(layer, reached)
                if not most:
                    break  # cut too often for its own spikes: without cutting it fits
                filled = self._fill(layer, reached, most, cores, share)
                found = [each for each in filled if each.neurons * each.count]
                needed = sum(each.count for each in found)
                if needed <= parts or not layer.recurrent:
                    return found
                parts = needed
        return self._even_parts(layer, onward, fewest, [])

    def _fill(
        self, layer: LayerShape, reached: int, most: int, cores: list[_Core], cut: float
    ) -> Iterator[_Parts]:
        """Rooms on other cores that are worth it, full cores, and the rest where there is room.

        most: neurons that an empty core holds.
        """
        free = [
            (held, core)
            for core in cores
            if (held := limits.most_neurons(layer, reached, core.room, self.packing))
        ]
        free.sort(key=lambda each: -each[0])
        left = layer.neurons
        while free and cut * most <= free[0][0] < left:
            held, core = free.pop(0)
            yield _Parts(held, 1, core)
            left -= held
        wide = [core for held, core in free if held >= left]
        if not wide:
            full, left = divmod(left, most)
            yield _Parts(most, full, None)
            wide = [core for held, core in free if held >= left]
        yield _Parts(left, 1, max(wide, key=lambda core: core.fullness) if wide else None)


@dataclass(frozen=True, eq=False)
class _Core:
    """A core with room left. fullness: the largest share taken of any of its resources."""

    number: int
    room: Load
    fullness: float


@dataclass(frozen=True)
class _Parts:
    """Some parts of a layer with so many neurons each: one on this core, or all on new ones."""

    neurons: int
    count: int
    core: _Core | None


class _Taken:
    """What has been placed: layers are added from the last to the first."""

    def __init__(self, divider: Divider) -> None:
        self.divider = divider
        self.open: list[_Core] = []
        self._used = 0
        self._layers: list[tuple[LayerShape, int, Load, str]] = []  # as in `Split`
        self._parts: list[int] = []  # of each layer
        # Every run of equal parts: how many there are, neurons, first core, what one takes
        self._runs: list[tuple[int, int, int, Load]] = []

    def leave_out(self, layer: LayerShape, reached: int, reason: str) -> None:
        """A layer that does not fit."""
        self._layers.append((layer, reached, self.divider.load(layer, 1, reached), reason))
        self._parts.append(0)

    def add(self, layer: LayerShape, chosen: list[_Parts], reached: int, reason: str) -> None:
        chosen.sort(key=lambda each: -each.neurons)
        largest = self.divider.load(layer, chosen[0].neurons, reached)
        self._layers.append((layer, reached, largest, reason))
        self._parts.append(sum(each.count for each in chosen))
        for each in chosen:
            need = self.divider.load(layer, each.neurons, reached)
            first = self._used if each.core is None else each.core.number
            self._runs.append((each.count, each.neurons, first, need))
            if each.core is not None:
                self.open.remove(each.core)
                self._keep(first, limits.rest(each.core.room, need))
                continue
            self._used += each.count
            room = limits.rest(self.divider.room, need)
            for number in range(first, first + min(each.count, OPEN_MAX)):
                self._keep(number, room)
        if len(self.open) > OPEN_MAX:
            self.open.sort(key=lambda core: core.fullness)
            del self.open[OPEN_MAX:]

    def _keep(self, number: int, room: Load) -> None:
        """Leave a core open, unless it is full."""
        if all(room):
            fullness = 1 - min(map(truediv, room, self.divider.limit))
            self.open.append(_Core(number, room, fullness))

    def division(self) -> Division:
        runs = np.array([run[:3] for run in self._runs], np.int64).reshape(-1, 3)
        counts, neurons, firsts = runs.T
        needs = np.array([run[3] for run in self._runs], np.int64).reshape(-1, len(RESOURCES))
        before = np.cumsum(counts) - counts
        cores = np.repeat(firsts - before, counts) + np.arange(counts.sum())
        loads = np.tile(np.array(self.divider.empty, np.int64), (self._used, 1))
        np.add.at(loads, cores, np.repeat(needs, counts, axis=0))
        ends = np.cumsum(self._parts)[:-1]
        sizes = np.split(np.repeat(neurons, counts), ends)[::-1]
        cores_of = np.split(cores, ends)[::-1]
        _, seen = np.unique(np.concatenate(cores_of), return_index=True)
        order = np.argsort(seen)  # the cores as the layers come to them, from the first layer on
        number = np.empty_like(order)
        number[order] = np.arange(self._used)
        return Division(
            splits=tuple(
                Split(layer, size, reached, load, reason)
                for size, (layer, reached, load, reason) in zip(
                    sizes, self._layers[::-1], strict=True
                )
            ),
            cores_of=tuple(number[each] for each in cores_of),
            loads=loads[order],
        )


def _shared(layers: Iterable[LayerShape]) -> list[LayerShape]:
    """Equal layers as one object, so that what is known of one is found by its id."""
    known: dict[LayerShape, LayerShape] = {}
    return [known.setdefault(layer, layer) for layer in layers]
