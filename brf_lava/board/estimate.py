"""What a measured run would cost on a board: counts, energy and time per sample, as estimates.

The counts follow from the spikes of the run and from the placement; within a layer spikes are taken
as even, and the readout sends every state to the host in every step, which is the most it can.
Energies and times are ranges over published constants, see `costs`. The host, the ways between it
and the chip and traffic between chips are left out; the barrier between chips is Loihi 1's.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from brf_lava.board import costs, mesh
from brf_lava.board.costs import Constant, EnergySet, TimeSet
from brf_lava.board.describe import NetworkShape
from brf_lava.board.mesh import Traffic
from brf_lava.board.place import Placement
from brf_lava.errors import ParameterError

PJ_PER_J, NS_PER_S = 1e12, 1e9


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


@dataclass(frozen=True)
class Range:
    """From low to high, in one unit."""

    low: float
    high: float

    @classmethod
    def around(cls, values: list[Range]) -> Range:
        return cls(min(each.low for each in values), max(each.high for each in values))

    def times(self, factor: float) -> Range:
        return Range(self.low * factor, self.high * factor)


@dataclass(frozen=True)
class Counts:
    """Per sample, but for `cores` and `chips`.

    inputs: messages of input spikes to the cores. outputs: of the readout to the host.
    """

    steps: int
    synops: float
    updates: float
    spikes: float
    inputs: float
    outputs: float
    traffic: Traffic
    cores: int
    chips: int


@dataclass(frozen=True, eq=False)
class CoreWork:
    """What each core does in one step, float64 [cores] each."""

    synops: NDArray[np.float64]
    neurons: NDArray[np.float64]
    spikes: NDArray[np.float64]
    sent: NDArray[np.float64]
    received: NDArray[np.float64]


@dataclass(frozen=True)
class StepTime:
    """ns of a mean step and of one with the most spikes of every layer at once; the busiest core.

    A range where the barrier's time is one. bound: what takes longest on that core.
    """

    name: str
    mean: Range
    peak: Range
    core: int
    bound: str


@dataclass(frozen=True)
class Energy:
    """J per sample by one set of constants, without static power; parts by operation."""

    name: str
    parts: dict[str, Range]

    @property
    def total(self) -> Range:
        return Range(
            sum(part.low for part in self.parts.values()),
            sum(part.high for part in self.parts.values()),
        )


@dataclass(frozen=True)
class Estimate:
    """Per sample. dynamic, static: J. seconds: of all steps, without host and inputs."""

    counts: Counts
    energies: tuple[Energy, ...]
    times: tuple[StepTime, ...]
    dynamic: Range
    seconds: Range
    static: Range


def estimate(run: MeasuredRun, placement: Placement) -> Estimate:
    """What the run would cost. Raises: ParameterError unless every layer is placed."""
    if any(not split.parts for split in placement.splits):
        raise ParameterError(
            f"{run.network.name}: a layer of it does not fit {placement.profile.board}, so that "
            "nothing is estimated. See brf-lava map."
        )
    counts = _count(run, placement)
    energies = tuple(energy(counts, each) for each in costs.ENERGY_SETS)
    mean = core_work(run, placement, run.inputs / run.steps, [s / run.steps for s in run.spikes])
    peak = core_work(run, placement, run.peak_inputs, list(run.peaks))
    routers = mesh.routers_used(min(counts.cores, placement.profile.limits.cores_per_chip.value))
    times = tuple(
        step_time(mean, peak, barrier(routers, counts.chips, each), each)
        for each in costs.TIME_SETS
    )
    seconds = Range.around([each.mean for each in times]).times(run.steps / NS_PER_S)
    static = costs.STATIC_CHIP
    return Estimate(
        counts=counts,
        energies=energies,
        times=times,
        dynamic=Range.around([each.total for each in energies]),
        seconds=seconds,
        static=Range(
            static.low * counts.chips * seconds.low, static.high * counts.chips * seconds.high
        ),
    )


def _count(run: MeasuredRun, placement: Placement) -> Counts:
    synops = 0.0
    found = Traffic()
    per_chip = placement.profile.limits.cores_per_chip.value
    arriving = run.inputs
    for index, (split, spikes) in enumerate(zip(placement.splits, run.spikes, strict=True)):
        layer = split.layer
        synops += layer.neurons * (arriving + spikes * layer.recurrent)
        arriving = spikes
        cores, of_part = placement.cores_of[index], spikes * split.sizes / layer.neurons
        if layer.recurrent:
            found += mesh.traffic(of_part, cores, cores, per_chip)
        if index + 1 < len(placement.splits):
            found += mesh.traffic(of_part, cores, placement.cores_of[index + 1], per_chip)
    return Counts(
        steps=run.steps,
        synops=synops,
        updates=float(run.network.neurons * run.steps),
        spikes=sum(run.spikes),
        inputs=run.inputs * placement.splits[0].parts,
        outputs=float(run.steps * placement.splits[-1].layer.neurons),
        traffic=found,
        cores=placement.cores,
        chips=placement.chips,
    )


def core_work(
    run: MeasuredRun, placement: Placement, inputs: float, spikes: list[float]
) -> CoreWork:
    """What each core does in a step with so many inputs and so many spikes of each layer."""
    work = CoreWork(*(np.zeros(placement.cores) for _ in range(5)))
    arriving = inputs
    for index, (split, of_layer) in enumerate(zip(placement.splits, spikes, strict=True)):
        layer, cores = split.layer, placement.cores_of[index]
        share = of_layer * split.sizes / layer.neurons
        received = arriving + of_layer * layer.recurrent
        sent = share * split.reached if layer.record.spiking else split.sizes  # to the host
        work.synops[cores] += split.sizes * received  # a layer has one part on a core
        work.neurons[cores] += split.sizes
        work.spikes[cores] += share
        work.sent[cores] += sent
        work.received[cores] += received
        arriving = of_layer
    return work


def energy(counts: Counts, constants: EnergySet) -> Energy:
    """The dynamic energy of a sample by one set of constants."""
    messages = counts.traffic.messages + counts.inputs + counts.outputs
    amounts: tuple[tuple[str, Constant | None, float], ...] = (
        ("synaptic operations", constants.synop, counts.synops),
        ("neuron updates", constants.update, counts.updates),
        ("spikes", constants.spike, counts.spikes),
        ("messages", constants.message, messages),
        ("hops along rows", constants.hop_x, counts.traffic.hops_x),
        ("hops along columns", constants.hop_y, counts.traffic.hops_y),
    )
    return Energy(
        constants.name,
        {
            name: Range(constant.low, constant.high).times(amount / PJ_PER_J)
            for name, constant, amount in amounts
            if constant is not None
        },
    )


def barrier(routers: int, chips: int, constants: TimeSet) -> Range:
    """ns until all cores are ready for the next step. routers: in use on a chip.

    Of several chips few numbers are known: it lies between those of fewer and of more chips. Beyond
    the largest system with a known one, it is at least that.
    """
    known = [each for up_to, each in constants.barrier if routers <= up_to]
    known += [each for _, each in constants.barrier[-1:]]
    single = Range(known[0].low, known[0].high) if known else Range(0.0, 0.0)
    if chips == 1:
        return single
    low = single.low
    for up_to, each in costs.CHIP_BARRIERS:
        if chips < up_to:
            return Range(low, each.high)
        low = each.high
    return Range(low, low)


def step_time(mean: CoreWork, peak: CoreWork, waiting: Range, constants: TimeSet) -> StepTime:
    """The time of a step, bounded by the busiest core. waiting: ns of the barrier."""
    parts = _parts(mean, constants)
    core = int(_busy(parts, constants).argmax())
    step = _step(parts, waiting, constants)
    at_floor = constants.floor is not None and step.high == constants.floor.high
    return StepTime(
        name=constants.name,
        mean=step,
        peak=_step(_parts(peak, constants), waiting, constants),
        core=core,
        bound="shortest step" if at_floor else max(parts, key=lambda n: float(parts[n][core])),
    )


def _parts(work: CoreWork, constants: TimeSet) -> dict[str, NDArray[np.float64]]:
    """ns of each kind of work, [cores]."""
    amounts = (
        ("synaptic operations", constants.synop, work.synops),
        ("neuron updates", constants.update, work.neurons),
        ("spikes", constants.spike, work.spikes),
        ("messages sent", constants.message_out, work.sent),
        ("messages received", constants.message_in, work.received),
    )
    return {
        name: constant.high * amount for name, constant, amount in amounts if constant is not None
    }


def _busy(parts: dict[str, NDArray[np.float64]], constants: TimeSet) -> NDArray[np.float64]:
    each = np.stack(list(parts.values()))
    busy: NDArray[np.float64] = each.sum(axis=0) if constants.serial else each.max(axis=0)
    return busy


def _step(parts: dict[str, NDArray[np.float64]], waiting: Range, constants: TimeSet) -> Range:
    busy = float(_busy(parts, constants).max())
    floor = constants.floor.high if constants.floor else 0.0
    return Range(max(busy + waiting.low, floor), max(busy + waiting.high, floor))
