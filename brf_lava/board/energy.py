"""What a measured run would cost on a board: published energies and times, times counts.

No energy per operation of Loihi 2 is public. Those of Loihi 1 stand in, and say so in their names.
The counts follow from the spikes of the run and from the placement; within a layer spikes are taken
as even, and the readout sends every state to the host in every step, which is the most it can. The
host, the ways between it and the chip and traffic between chips are left out; the barrier between
chips is Loihi 1's. Certainties are those of `brf_lava.config.profile`. None of this was measured by
this project.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from brf_lava.board.describe import NetworkShape
from brf_lava.board.fits import Placement
from brf_lava.errors import ParameterError

PJ, NS, W = "pJ", "ns", "W"
PJ_PER_J, NS_PER_S = 1e12, 1e9
SYNOPS, UPDATES, SPIKES = "synaptic operations", "neuron updates", "hidden spikes"
HOPS_X, HOPS_Y = "hops along rows of routers", "hops along columns"
PARTS, LOCAL = "spike messages, one per part of a layer", "  of them within one router"
CROSSING = "  of them to another chip, ways not counted"
INPUTS, OUTPUTS = "messages of input spikes", "messages of the readout to the host, at most"
MESSAGES, SENT, RECEIVED = "messages", "messages sent", "messages received"

DAVIES, SANAFE, INTEL = "Davies et al. 2018, Table 2", "SANA-FE, loihi.yaml", "Intel 2021"
SPRINGS = "Davies et al. 2021, Pohoiki Springs (Loihi 1)"
NOTEBOOKS, NESBIT = "lava-dl notebooks, PilotNet on Oheo Gulch", "Nesbit 2026, arXiv 2609.32317"
REFERENCES = (
    "Davies et al. 2018: IEEE Micro 38(1); Loihi 1 at 0.75 V, simulated before there was silicon.",
    "Davies et al. 2021: Proceedings of the IEEE 109(5).",
    "SANA-FE: its examples/loihi.yaml, fitted to Loihi 1 silicon; Boyle et al. 2025, IEEE TCAD.",
    "Intel 2021: Technology Brief on Loihi 2; ratios and shortest step, partly simulated.",
)


class Range(NamedTuple):
    """From low to high, in one unit."""

    low: float
    high: float

    def times(self, factor: float) -> Range:
        return Range(self.low * factor, self.high * factor)


def around(values: Iterable[Range]) -> Range:
    """From the least to the largest."""
    lows, highs = zip(*values, strict=True)
    return Range(min(lows), max(highs))


def total(values: Iterable[Range]) -> Range:
    """Their sum."""
    return Range(*map(sum, zip(*values, strict=True)))


class Constant(NamedTuple):
    """One published cost, a range or a single number."""

    name: str
    range: Range
    unit: str
    certainty: str
    source: str


def _davies(name: str, unit: str, low: float, high: float | None = None) -> Constant:
    return Constant(name, Range(low, high or low), unit, "quoted", DAVIES)


def _sanafe(name: str, unit: str, low: float, high: float | None = None) -> Constant:
    return Constant(name, Range(low, high or low), unit, "published", SANAFE)


def _scaled(name: str, value: float, ratio: int) -> Constant:
    return Constant(name, Range(value, value), NS, "derived", f"{DAVIES}, over {ratio} ({INTEL})")


def _quoted(name: str, value: float, source: str, unit: str = NS) -> Constant:
    return Constant(name, Range(value, value), unit, "quoted", source)


# By set, then by operation; what a set lacks is part of another operation there.
LOIHI1, FITTED = "Loihi 1, Davies et al. 2018", "Loihi 1, fit of SANA-FE"
SCALED = "Loihi 2, scaled from Loihi 1"
ENERGIES = {
    LOIHI1: {
        SYNOPS: _davies("synaptic operation, at least", PJ, 23.6),
        UPDATES: _davies("neuron update, inactive to active", PJ, 52.0, 81.0),
        MESSAGES: _davies("spike within a router", PJ, 1.7),
        HOPS_X: _davies("hop along a row", PJ, 3.0),
        HOPS_Y: _davies("hop along a column", PJ, 4.0),
    },
    FITTED: {
        SYNOPS: _sanafe("synaptic operation, sparse to dense", PJ, 33.6, 35.5),
        UPDATES: _sanafe("neuron access, without to with update", PJ, 51.2, 51.2 + 21.6),
        SPIKES: _sanafe("spike of a neuron", PJ, 69.3),
        MESSAGES: _sanafe("message sent", PJ, 111.0),
        HOPS_X: _sanafe("hop along a row", PJ, 3.0),
        HOPS_Y: _sanafe("hop along a column", PJ, 4.2),
    },
}
TIMES = {
    LOIHI1: {
        SYNOPS: _davies("synaptic operation, at most", NS, 3.5),
        UPDATES: _davies("neuron update, active", NS, 8.4),
    },
    FITTED: {
        SYNOPS: _sanafe("synaptic operation, sparse", NS, 4.7),
        UPDATES: _sanafe("neuron access and update", NS, 6.0 + 3.7),
        SPIKES: _sanafe("spike of a neuron", NS, 30.0),
        SENT: _sanafe("message sent", NS, 5.1),
        RECEIVED: _sanafe("message received", NS, 16.0),
    },
    SCALED: {
        SYNOPS: _scaled("synaptic operation", 0.7, 5),
        UPDATES: _scaled("neuron update", 4.2, 2),
    },
}
PARALLEL = (SCALED,)  # a core does its kinds of work at the same time; else one after the other
FLOORS = {SCALED: _quoted("shortest step of a chip", 200.0, INTEL)}
BARRIERS = {  # routers in use up to which synchronization takes so long; more take as the last
    LOIHI1: ((32, _davies("barrier, 1 to 32 routers", NS, 113.0, 465.0)),),
    FITTED: tuple(
        (routers, _sanafe(f"barrier, routers up to {routers}", NS, ns))
        for routers, ns in ((1, 600.0), (2, 1000.0), (4, 1400.0), (29, 1800.0))
    ),
    SCALED: (),
}
CHIP_BARRIERS = (  # chips that a step of Loihi 1 synchronizes in such a time
    (256, _quoted("barrier, 256 chips", 14_300.0, SPRINGS)),
    (768, _quoted("barrier, 768 chips", 16_200.0, SPRINGS)),
)
STATIC = Constant(
    "static power of a chip, its rails", Range(0.232, 0.282), W, "published", NOTEBOOKS
)
CONSTANTS = (  # all of them, group by group
    *(tuple(costs.values()) for costs in ENERGIES.values()),
    *((*costs.values(), *(each for _, each in BARRIERS[name])) for name, costs in TIMES.items()),
    tuple(FLOORS.values()),
    tuple(each for _, each in CHIP_BARRIERS),
    (STATIC, _quoted("static power of Oheo Gulch, with x86", 1.78, NESBIT, W)),
)
PUBLISHED = (  # measurements of whole systems, for comparison alone: work, value, certainty
    (
        "lava-dl notebook, PilotNet SNN, Oheo Gulch",
        "153 us per step (bound by its inputs), 1.66 mJ per inference, 1.09 mJ of it dynamic",
        "published; time derived",
    ),
    (f"{NESBIT}, 12 cores of Oheo Gulch", "12.86 us and 23.23 uJ per inference", "quoted"),
    (
        "Shoesmith et al. 2025, arXiv 2503.04341, SHD, 1024 hidden neurons",
        "about 2.7 us per step, 0.46 mJ per sample, from 'up to 10 x' and 'up to 200 x'",
        "derived, weak",
    ),
)

# A chip has 8 x 4 routers of 4 cores. It sends first along a row, then along a column (Timcheck et
# al. 2026, arXiv 2601.10035, quoted). Which of the 128 cores software may not use is not public:
# cores are numbered along the rows, every other row backwards, so that next numbers are neighbors.
COLUMNS, CORES_PER_ROUTER = 8, 4


@dataclass(frozen=True)
class MeasuredRun:
    """What a run did, per layer in the order of the network.

    inputs, spikes: means per sample; peak_inputs, peaks: the most in one step of one sample.
    """

    network: NetworkShape
    steps: int
    samples: int
    inputs: float
    peak_inputs: float
    spikes: tuple[float, ...]
    peaks: tuple[float, ...]


class StepTime(NamedTuple):
    """ns of a mean step and of one with the most spikes of every layer at once; the busiest core.

    A range where the barrier's time is one. bound: what takes longest on that core.
    """

    mean: Range
    peak: Range
    core: int
    bound: str


@dataclass(frozen=True)
class Estimate:
    """Per sample.

    Attributes:
        counts: How often, by operation; not whole, as spikes are means.
        energies: J, by set of constants and operation, without static power.
        times: By set of constants.
        dynamic: J, from the lowest to the highest set.
        seconds: Of all steps, without host and inputs.
        static: J of the chips in use.
    """

    counts: dict[str, float]
    energies: dict[str, dict[str, Range]]
    times: dict[str, StepTime]
    dynamic: Range
    seconds: Range
    static: Range


def estimate(run: MeasuredRun, placement: Placement) -> Estimate:
    """What the run would cost. Raises: ParameterError unless every layer is placed."""
    if not all(split.parts for split in placement.splits):
        raise ParameterError(
            f"{run.network.name}: a layer of it does not fit {placement.profile.board}, so that "
            "nothing is estimated. See brf-lava map."
        )
    counts = count(run, placement)
    energies = {name: energy(counts, costs) for name, costs in ENERGIES.items()}
    mean = core_work(placement, run.inputs / run.steps, [s / run.steps for s in run.spikes])
    peak = core_work(placement, run.peak_inputs, run.peaks)
    on_chip = min(placement.cores, placement.profile.limits.cores_per_chip.value)
    routers, chips = -(-on_chip // CORES_PER_ROUTER), placement.chips
    times = {name: step_time(mean, peak, barrier(routers, chips, name), name) for name in TIMES}
    seconds = around(each.mean for each in times.values()).times(run.steps / NS_PER_S)
    return Estimate(
        counts=counts,
        energies=energies,
        times=times,
        dynamic=around(total(parts.values()) for parts in energies.values()),
        seconds=seconds,
        static=Range(*(w * chips * s for w, s in zip(STATIC.range, seconds, strict=True))),
    )


def count(run: MeasuredRun, placement: Placement) -> dict[str, float]:
    """Operations of a sample, by name."""
    synops, arriving, ways = 0.0, run.inputs, np.zeros(5)
    splits, per_chip = placement.splits, placement.profile.limits.cores_per_chip.value
    for index, (split, spikes) in enumerate(zip(splits, run.spikes, strict=True)):
        layer = split.layer
        synops += layer.neurons * (arriving + spikes * layer.recurrent)
        arriving, of_part = spikes, spikes * split.sizes / layer.neurons
        for target in ([split] if layer.recurrent else []) + list(splits[index + 1 : index + 2]):
            ways += traffic(of_part, split.cores, target.cores, per_chip)
    return {
        SYNOPS: synops,
        UPDATES: float(run.network.neurons * run.steps),
        SPIKES: sum(run.spikes),
        **dict(zip((PARTS, LOCAL, CROSSING, HOPS_X, HOPS_Y), ways.tolist(), strict=True)),
        INPUTS: run.inputs * splits[0].parts,
        OUTPUTS: float(run.steps * splits[-1].layer.neurons),
    }


def places(cores: NDArray[np.int64], cores_per_chip: int) -> tuple[NDArray[np.int64], ...]:
    """Chip, and column and row of the router, of cores with these numbers."""
    chip, on_chip = np.divmod(cores, cores_per_chip)
    row, along = np.divmod(on_chip // CORES_PER_ROUTER, COLUMNS)
    return chip, np.where(row % 2, COLUMNS - 1 - along, along), row


def traffic(
    spikes: NDArray[np.float64],
    sources: NDArray[np.int64],
    targets: NDArray[np.int64],
    cores_per_chip: int,
) -> NDArray[np.float64]:
    """Every spike of every source goes to all targets.

    Args:
        spikes: Of the part on each source core, [S].
        sources: Cores, [S].
        targets: Cores, [D].
        cores_per_chip: Cores that are numbered on one chip.

    Returns:
        Messages; those within one router; those to another chip; hops between routers along rows
        and along columns, of messages that stay on their chip.
    """
    sent = np.zeros(5)
    chip, column, row = places(targets, cores_per_chip)
    for of_part, *here in zip(spikes, *places(sources, cores_per_chip), strict=True):
        same = chip == here[0]
        x, y = np.abs(column - here[1])[same], np.abs(row - here[2])[same]
        local, crossing = np.count_nonzero(x + y == 0), np.count_nonzero(~same)
        sent += of_part * np.array([len(targets), local, crossing, x.sum(), y.sum()])
    return sent


Work = Mapping[str, NDArray[np.float64]]  # by operation, [cores] each


def core_work(placement: Placement, inputs: float, spikes: Sequence[float]) -> Work:
    """What each core does in a step with so many inputs and so many spikes of each layer."""
    names = (SYNOPS, UPDATES, SPIKES, SENT, RECEIVED)
    work = {name: np.zeros(placement.cores) for name in names}
    arriving = inputs
    for split, of_layer in zip(placement.splits, spikes, strict=True):
        layer, cores = split.layer, split.cores  # a layer has one part on a core
        share = of_layer * split.sizes / layer.neurons
        received = arriving + of_layer * layer.recurrent
        work[SYNOPS][cores] += split.sizes * received
        work[UPDATES][cores] += split.sizes
        work[SPIKES][cores] += share
        work[SENT][cores] += share * split.reached if layer.record.spiking else split.sizes
        work[RECEIVED][cores] += received
        arriving = of_layer
    return work


def energy(counts: Mapping[str, float], costs: Mapping[str, Constant]) -> dict[str, Range]:
    """J of a sample by operation, without static power."""
    amounts = {**counts, MESSAGES: counts[PARTS] + counts[INPUTS] + counts[OUTPUTS]}
    return {name: cost.range.times(amounts[name] / PJ_PER_J) for name, cost in costs.items()}


def barrier(routers: int, chips: int, name: str) -> Range:
    """ns until all cores are ready for the next step.

    routers: in use on a chip. name: of the set of constants.

    Of several chips few numbers are known: it lies between those of fewer and of more chips. Beyond
    the largest system with a known one, it is at least that.
    """
    known = [each for up_to, each in BARRIERS[name] if routers <= up_to]
    known += [each for _, each in BARRIERS[name][-1:]]
    single = known[0].range if known else Range(0.0, 0.0)
    if chips == 1:
        return single
    low = single.low
    for up_to, each in CHIP_BARRIERS:
        if chips < up_to:
            return Range(low, each.range.high)
        low = each.range.high
    return Range(low, low)


def step_time(mean: Work, peak: Work, waiting: Range, name: str) -> StepTime:
    """The time of a step, bounded by the busiest core.

    waiting: ns of the barrier. name: of the set of constants.
    """
    floor = FLOORS[name].range.high if name in FLOORS else 0.0
    spent = [
        {kind: cost.range.high * work[kind] for kind, cost in TIMES[name].items()}
        for work in (mean, peak)
    ]
    kinds = [np.stack(list(parts.values())) for parts in spent]
    busy = [each.max(axis=0) if name in PARALLEL else each.sum(axis=0) for each in kinds]
    step, most = (
        Range(*(max(float(each.max()) + wait, floor) for wait in waiting)) for each in busy
    )
    core = int(busy[0].argmax())
    bound = max(spent[0], key=lambda kind: float(spent[0][kind][core]))
    return StepTime(step, most, core, "shortest step" if floor and step.high == floor else bound)
