"""What a measured run would cost on a board, and when a dense network would cost less.

Published energies and times are multiplied by counts. No energy per operation of Loihi 2 is public:
those of Loihi 1 stand in, and say so in their names; a dense network is compared relatively. The
counts follow from the spikes of the run and from the placement; within a layer spikes are taken
as even, and the readout sends every state to the host in every step, which is the most it can. What
is left out, and what is assumed of several chips: deploy/README.md.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from brf_lava.board.describe import NetworkShape
from brf_lava.board.fits import Integers, Placement
from brf_lava.neurons.fixed import STATE_WIDTH

Floats = NDArray[np.float64]
Work = Mapping[str, Floats]  # by operation, [cores] each
PJ_PER_J, NS_PER_S = 1e12, 1e9
SYNOPS, UPDATES, SPIKES = "synaptic operations", "neuron updates", "hidden spikes"
HOPS_X, HOPS_Y = "hops along rows of routers", "hops along columns"
PARTS, LOCAL = "spike messages, one per part of a layer", "  of them within one router"
CROSSING = "  of them to another chip, ways not counted"
INPUTS, OUTPUTS = "messages of input spikes", "messages of the readout to the host, at most"
MESSAGES, SENT, RECEIVED = "messages", "messages sent", "messages received"
STEP, STATIC = "shortest step", "static power"


class Range(NamedTuple):
    """From low to high, in one unit."""

    low: float
    high: float

    def times(self, factor: float) -> Range:
        return Range(self.low * factor, self.high * factor)

    def shown(self, unit: float = 1.0, form: str = ",.3g") -> str:
        low, high = f"{self.low / unit:{form}}", f"{self.high / unit:{form}}"
        return low if low == high else f"{low} to {high}"


def total(values: Iterable[Range]) -> Range:
    """Their sum."""
    return Range(*map(sum, zip(*values, strict=True)))


def _around(values: Iterable[Range]) -> Range:
    lows, highs = zip(*values, strict=True)
    return Range(min(lows), max(highs))


class Constant(NamedTuple):
    """One published cost, from low to high."""

    group: str
    operation: str  # empty: nothing is computed from it
    name: str
    low: float
    high: float
    unit: str
    certainty: str  # as in a profile
    source: str
    up_to: int = 0  # for a barrier: routers or chips up to which it takes so long


LOIHI1, FITTED = "Loihi 1, Davies et al. 2018", "Loihi 1, fit of SANA-FE"
SCALED, CHIPS, OTHERS = "Loihi 2, scaled from Loihi 1", "several chips", "measured by others"
DAVIES = ("quoted", "Davies et al. 2018, Table 2")
SANAFE = ("published", "SANA-FE, loihi.yaml")
BY_5 = ("derived", "Davies et al. 2018, Table 2, over 5 (Intel 2021)")
BY_2 = ("derived", "Davies et al. 2018, Table 2, over 2 (Intel 2021)")
INTEL = ("quoted", "Intel 2021")
SPRINGS = ("quoted", "Davies et al. 2021, Pohoiki Springs (Loihi 1)")
NOTEBOOKS = ("published", "lava-dl notebooks, PilotNet on Oheo Gulch")
NESBIT = ("quoted", "Nesbit 2026, arXiv 2609.32317")
CONSTANTS = (  # what a group lacks is part of another operation there
    Constant(LOIHI1, SYNOPS, "synaptic operation, at least", 23.6, 23.6, "pJ", *DAVIES),
    Constant(LOIHI1, UPDATES, "neuron update, inactive to active", 52.0, 81.0, "pJ", *DAVIES),
    Constant(LOIHI1, MESSAGES, "spike within a router", 1.7, 1.7, "pJ", *DAVIES),
    Constant(LOIHI1, HOPS_X, "hop along a row", 3.0, 3.0, "pJ", *DAVIES),
    Constant(LOIHI1, HOPS_Y, "hop along a column", 4.0, 4.0, "pJ", *DAVIES),
    Constant(LOIHI1, SYNOPS, "synaptic operation, at most", 3.5, 3.5, "ns", *DAVIES),
    Constant(LOIHI1, UPDATES, "neuron update, active", 8.4, 8.4, "ns", *DAVIES),
    Constant(LOIHI1, "", "barrier, 1 to 32 routers", 113.0, 465.0, "ns", *DAVIES, 32),
    Constant(FITTED, SYNOPS, "synaptic operation, sparse to dense", 33.6, 35.5, "pJ", *SANAFE),
    Constant(FITTED, UPDATES, "neuron access, to with update", 51.2, 51.2 + 21.6, "pJ", *SANAFE),
    Constant(FITTED, SPIKES, "spike of a neuron", 69.3, 69.3, "pJ", *SANAFE),
    Constant(FITTED, MESSAGES, "message sent", 111.0, 111.0, "pJ", *SANAFE),
    Constant(FITTED, HOPS_X, "hop along a row", 3.0, 3.0, "pJ", *SANAFE),
    Constant(FITTED, HOPS_Y, "hop along a column", 4.2, 4.2, "pJ", *SANAFE),
    Constant(FITTED, SYNOPS, "synaptic operation, sparse", 4.7, 4.7, "ns", *SANAFE),
    Constant(FITTED, UPDATES, "neuron access and update", 6.0 + 3.7, 6.0 + 3.7, "ns", *SANAFE),
    Constant(FITTED, SPIKES, "spike of a neuron", 30.0, 30.0, "ns", *SANAFE),
    Constant(FITTED, SENT, "message sent", 5.1, 5.1, "ns", *SANAFE),
    Constant(FITTED, RECEIVED, "message received", 16.0, 16.0, "ns", *SANAFE),
    Constant(FITTED, "", "barrier, routers up to 1", 600.0, 600.0, "ns", *SANAFE, 1),
    Constant(FITTED, "", "barrier, routers up to 2", 1000.0, 1000.0, "ns", *SANAFE, 2),
    Constant(FITTED, "", "barrier, routers up to 4", 1400.0, 1400.0, "ns", *SANAFE, 4),
    Constant(FITTED, "", "barrier, routers up to 29", 1800.0, 1800.0, "ns", *SANAFE, 29),
    Constant(SCALED, SYNOPS, "synaptic operation", 0.7, 0.7, "ns", *BY_5),
    Constant(SCALED, UPDATES, "neuron update", 4.2, 4.2, "ns", *BY_2),
    Constant(SCALED, STEP, "shortest step of a chip", 200.0, 200.0, "ns", *INTEL),
    Constant(CHIPS, "", "barrier, 256 chips", 14_300.0, 14_300.0, "ns", *SPRINGS, 256),
    Constant(CHIPS, "", "barrier, 768 chips", 16_200.0, 16_200.0, "ns", *SPRINGS, 768),
    Constant(OTHERS, STATIC, "static power of a chip, its rails", 0.232, 0.282, "W", *NOTEBOOKS),
    Constant(OTHERS, "", "inference, 1.09 mJ of it dynamic", 1.66, 1.66, "mJ", *NOTEBOOKS),
    Constant(OTHERS, "", "step, bound by its inputs (derived)", 153, 153, "us", *NOTEBOOKS),
    Constant(OTHERS, "", "static power of Oheo Gulch, with x86", 1.78, 1.78, "W", *NESBIT),
    Constant(OTHERS, "", "inference on 12 cores of Oheo Gulch", 23.23, 23.23, "uJ", *NESBIT),
    Constant(OTHERS, "", "inference on 12 cores of Oheo Gulch", 12.86, 12.86, "us", *NESBIT),
)


def _costs(group: str, unit: str) -> dict[str, Range]:
    """By operation."""
    rows = [row for row in CONSTANTS if (row.group, row.unit, row.up_to) == (group, unit, 0)]
    return {row.operation: Range(row.low, row.high) for row in rows}


def _barriers(group: str) -> list[tuple[int, Range]]:
    """Up to how many routers or chips a barrier takes how many ns."""
    found = [each for each in CONSTANTS if each.group == group and each.up_to]
    return [(each.up_to, Range(each.low, each.high)) for each in found]


ENERGIES = {group: _costs(group, "pJ") for group in (LOIHI1, FITTED)}
TIMES = {group: _costs(group, "ns") for group in (LOIHI1, FITTED, SCALED)}
MOST_CHIPS = _barriers(CHIPS)[-1][0]  # whose barrier is known
PARALLEL = (SCALED,)  # a core does its kinds of work at the same time; else one after the other

# A chip has 8 x 4 routers of 4 cores and sends along a row, then a column (Timcheck et al. 2026,
# arXiv 2601.10035, quoted). How cores are numbered is not public: assumed is along the rows, every
# other row backwards, so that next numbers are neighbors.
COLUMNS, CORES_PER_ROUTER = 8, 4


class StepTime(NamedTuple):
    """The ns of a step."""

    mean: Range
    peak: Range  # with the most spikes of every layer at once
    core: int  # the busiest
    bound: str  # what takes longest there


@dataclass(frozen=True)
class Estimate:
    """Per sample."""

    counts: dict[str, float]  # by operation; not whole, as spikes are means
    energies: dict[str, dict[str, Range]]  # J, by group of constants and operation
    times: dict[str, StepTime]  # by group
    dynamic: Range  # J, from the lowest to the highest group
    seconds: Range  # of all steps, without host and inputs
    static: Range  # J of the chips in use


def estimate(
    placement: Placement, steps: int, means: Sequence[float], peaks: Sequence[float]
) -> Estimate:
    """What a measured run of a network that fits would cost.

    means: spikes per sample, of the inputs and then of each layer. peaks: the most in one step of
    one sample, likewise.
    """
    counts = count(placement, steps, means)
    energies = {
        group: {name: cost.times(counts[name] / PJ_PER_J) for name, cost in costs.items()}
        for group, costs in ENERGIES.items()
    }
    mean, peak = core_work(placement, [each / steps for each in means]), core_work(placement, peaks)
    on_chip = min(placement.cores, placement.profile.limits.cores_per_chip.value)
    routers, chips = -(-on_chip // CORES_PER_ROUTER), placement.chips
    times = {group: step_time(mean, peak, barrier(routers, chips, group), group) for group in TIMES}
    seconds = _around(each.mean for each in times.values()).times(steps / NS_PER_S)
    static = _costs(OTHERS, "W")[STATIC].times(chips)
    return Estimate(
        counts=counts,
        energies=energies,
        times=times,
        dynamic=_around(total(parts.values()) for parts in energies.values()),
        seconds=seconds,
        static=Range(static.low * seconds.low, static.high * seconds.high),
    )


def rows(cost: Estimate, steps: int) -> list[tuple[str, ...]]:
    """A table of the operations: per sample, per step, and their dynamic energies in uJ."""
    groups = cost.energies.values()
    found: list[tuple[str, ...]] = []
    for name, value in cost.counts.items():
        energies = (parts[name].shown(1e-6) if name in parts else "" for parts in groups)
        found.append((name, f"{value:,.1f}", f"{value / steps:,.2f}", *energies))
    return [*found, ("together", "", "", *(total(each.values()).shown(1e-6) for each in groups))]


def count(placement: Placement, steps: int, means: Sequence[float]) -> dict[str, float]:
    """Operations of a sample, by name."""
    synops, ways = 0.0, np.zeros(5)
    splits, per_chip = placement.splits, placement.profile.limits.cores_per_chip.value
    for index, (split, arriving, spikes) in enumerate(zip(splits, means, means[1:], strict=False)):
        layer = split.layer
        synops += layer.synops(arriving, spikes)
        of_part = spikes * split.sizes / layer.neurons
        for target in ([split] if layer.recurrent else []) + list(splits[index + 1 : index + 2]):
            ways += traffic(of_part, split.cores, target.cores, per_chip)
    messages, local, crossing, hops_x, hops_y = ways.tolist()
    inputs, outputs = means[0] * splits[0].parts, float(steps * splits[-1].layer.neurons)
    return {
        SYNOPS: synops,
        UPDATES: float(placement.network.neurons * steps),
        SPIKES: sum(means[1:]),
        MESSAGES: messages + inputs + outputs,
        PARTS: messages,
        LOCAL: local,
        CROSSING: crossing,
        INPUTS: inputs,
        OUTPUTS: outputs,
        HOPS_X: hops_x,
        HOPS_Y: hops_y,
    }


def places(cores: Integers, cores_per_chip: int) -> tuple[Integers, ...]:
    """Chip, and column and row of the router, of cores with these numbers."""
    chip, on_chip = np.divmod(cores, cores_per_chip)
    row, along = np.divmod(on_chip // CORES_PER_ROUTER, COLUMNS)
    return chip, np.where(row % 2, COLUMNS - 1 - along, along), row


def traffic(spikes: Floats, sources: Integers, targets: Integers, cores_per_chip: int) -> Floats:
    """What it takes to send every spike of every source core [S] to all target cores [D].

    Returns: messages; those within one router; those to another chip; hops between routers along
    rows and along columns, of messages that stay on their chip.
    """
    sent = np.zeros(5)
    chip, column, row = places(targets, cores_per_chip)
    for of_part, *here in zip(spikes, *places(sources, cores_per_chip), strict=True):
        same = chip == here[0]
        x, y = np.abs(column - here[1])[same], np.abs(row - here[2])[same]
        local, crossing = np.count_nonzero(x + y == 0), np.count_nonzero(~same)
        sent += of_part * np.array([len(targets), local, crossing, x.sum(), y.sum()])
    return sent


def core_work(placement: Placement, spikes: Sequence[float]) -> Work:
    """What each core does in a step with so many spikes, of the inputs and then of each layer."""
    names = (SYNOPS, UPDATES, SPIKES, SENT, RECEIVED)
    work = {name: np.zeros(placement.cores) for name in names}
    for split, arriving, of_layer in zip(placement.splits, spikes, spikes[1:], strict=False):
        layer, cores = split.layer, split.cores  # a layer has one part on a core
        share = of_layer * split.sizes / layer.neurons
        received = layer.received(arriving, of_layer)
        work[SYNOPS][cores] += split.sizes * received
        work[UPDATES][cores] += split.sizes
        work[SPIKES][cores] += share
        work[SENT][cores] += share * split.reached if layer.record.spiking else split.sizes
        work[RECEIVED][cores] += received
    return work


def barrier(routers: int, chips: int, group: str) -> Range:
    """ns until all cores, on so many routers of a chip, are ready for the next step.

    Of several chips it lies between the known ones of fewer and of more; of most, it is at least
    the last known one.
    """
    known = _barriers(group) or [(0, Range(0.0, 0.0))]
    low, high = next((ns for up_to, ns in known if routers <= up_to), known[-1][1])
    if chips > 1:
        systems = [(up_to, ns.high) for up_to, ns in _barriers(CHIPS)]
        low = max([low, *(ns for up_to, ns in systems if up_to <= chips)])
        high = min([ns for up_to, ns in systems if up_to > chips], default=low)
    return Range(low, high)


def step_time(mean: Work, peak: Work, waiting: Range, group: str) -> StepTime:
    """The time of a step, bounded by the busiest core. waiting: ns of the barrier."""
    costs = {kind: ns.high for kind, ns in TIMES[group].items()}
    floor = costs.pop(STEP, 0.0)
    spent = [np.stack([ns * work[kind] for kind, ns in costs.items()]) for work in (mean, peak)]
    busy = [each.max(axis=0) if group in PARALLEL else each.sum(axis=0) for each in spent]
    step, most = (Range(*(max(each.max() + wait, floor) for wait in waiting)) for each in busy)
    core = int(busy[0].argmax())
    bound = list(costs)[int(spent[0][:, core].argmax())]
    return StepTime(step, most, core, STEP if step.high == floor else bound)


# A dense network of the same bits. Both are charged with the same published costs of one technology
# (Horowitz 2014, "Computing's energy problem", ISSCC: 45 nm, 0.9 V), first without memory, as most
# papers count, then with it. A spike reads a weight, and reads and writes the current that it is
# added to; a neuron reads and writes its states and reads its coefficients, one product for each
# state and coefficient. The dense network multiplies every weight in every step, has its sums in
# registers, and reads and writes activations of 8 bits.

ADD_32, MULTIPLY_8, MULTIPLY_32 = 0.1, 0.2, 3.1  # pJ, integers
BIT = 20 / 64  # pJ, of an access to 32 KB of SRAM, 64 bits at a time
CURRENT_BITS, ACTIVATION_BITS = 32, 8


class Comparison(NamedTuple):
    """Energies per sample, pJ, and shares of spikes, 0..1.

    Attributes:
        synops: Synaptic operations.
        spiking: Of the spiking network, with memory.
        idle: The part of it that does not depend on spikes.
        dense: Of a dense network of the same sizes and bits, with memory.
        share: Of its synaptic operations to those if everything spiked in every step.
        crossover: The share at which both need the same; not above 0: the dense one always wins.
    """

    synops: float
    spiking: float
    idle: float
    dense: float
    share: float
    crossover: float

    @property
    def proxy(self) -> float:
        """The additions of its synaptic operations, without memory."""
        return self.synops * ADD_32


def compare_with_dense(network: NetworkShape, steps: int, means: Sequence[float]) -> Comparison:
    """Compare a network with a dense one of the same sizes and bits.

    means: Spikes per sample, of the inputs and then of each layer.
    """
    synops = full = spiking = dense = idle = 0.0
    for layer, arriving, own in zip(network.layers, means[:-1], means[1:], strict=True):
        operations = layer.synops(arriving, own)
        synops, full = synops + operations, full + steps * layer.synapses
        spiking += operations * (ADD_32 + (layer.weight_bits + 2 * CURRENT_BITS) * BIT)
        states, parameters = len(layer.record.states), len(layer.record.fixed_coefficients)
        products = states * parameters * (MULTIPLY_32 + ADD_32)
        each = products + (2 * states + parameters) * STATE_WIDTH * BIT
        idle += steps * layer.neurons * each
        multiply = MULTIPLY_8 + ADD_32 + layer.weight_bits * BIT
        dense += steps * (layer.synapses * multiply + layer.neurons * 2 * ACTIVATION_BITS * BIT)
    share = synops / full
    crossover = (dense - idle) / (spiking / share) if spiking else float("inf")
    return Comparison(synops, spiking + idle, idle, dense, share, crossover)
