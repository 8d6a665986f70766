"""What operations cost: published numbers, each with its source and how certain that makes it.

No energy per operation of Loihi 2 is public. Those of Loihi 1 stand in, and say so in their names.
Certainties are those of `brf_lava.config.profile`. None of this was measured by this project.
"""

from __future__ import annotations

from dataclasses import dataclass

PJ, NS, W = "pJ", "ns", "W"
DAVIES, SANAFE, INTEL = "Davies et al. 2018, Table 2", "SANA-FE, loihi.yaml", "Intel 2021"
SPRINGS = "Davies et al. 2021, Pohoiki Springs (Loihi 1)"
REFERENCES = (
    "Davies et al. 2018: IEEE Micro 38(1); Loihi 1 at 0.75 V, simulated before there was silicon.",
    "Davies et al. 2021: Proceedings of the IEEE 109(5).",
    "SANA-FE: its examples/loihi.yaml, fitted to Loihi 1 silicon; Boyle et al. 2025, IEEE TCAD.",
    "Intel 2021: Technology Brief on Loihi 2; ratios and shortest step, partly simulated.",
)


@dataclass(frozen=True)
class Constant:
    """A range of one cost; low equals high where one number is published."""

    name: str
    low: float
    high: float
    unit: str
    certainty: str
    source: str


@dataclass(frozen=True)
class EnergySet:
    """Energies per operation, pJ. None: part of another operation, in this set."""

    name: str
    synop: Constant  # one weight reached by one spike
    update: Constant  # one neuron in one step
    spike: Constant | None  # one neuron's spike
    message: Constant  # one spike to one part
    hop_x: Constant  # between routers, along a row
    hop_y: Constant

    @property
    def constants(self) -> tuple[Constant, ...]:
        each = (self.synop, self.update, self.spike, self.message, self.hop_x, self.hop_y)
        return tuple(constant for constant in each if constant is not None)


@dataclass(frozen=True)
class TimeSet:
    """Times per operation, ns.

    serial: a core does its synaptic operations and its neurons one after the other, else side by
    side. barrier: routers in use up to which the step's synchronization takes so long; more than
    the last take as long. floor: the shortest step.
    """

    name: str
    synop: Constant
    update: Constant
    spike: Constant | None
    message_out: Constant | None
    message_in: Constant | None
    serial: bool
    barrier: tuple[tuple[int, Constant], ...]
    floor: Constant | None

    @property
    def constants(self) -> tuple[Constant, ...]:
        each = (self.synop, self.update, self.spike, self.message_out, self.message_in)
        barriers = (constant for _, constant in self.barrier)
        return tuple(c for c in (*each, *barriers, self.floor) if c is not None)


def _davies(name: str, unit: str, low: float, high: float | None = None) -> Constant:
    return Constant(name, low, low if high is None else high, unit, "quoted", DAVIES)


def _sanafe(name: str, unit: str, low: float, high: float | None = None) -> Constant:
    return Constant(name, low, low if high is None else high, unit, "published", SANAFE)


LOIHI1_ENERGY = EnergySet(
    name="Loihi 1, Davies et al. 2018",
    synop=_davies("synaptic operation, at least", PJ, 23.6),
    update=_davies("neuron update, inactive to active", PJ, 52.0, 81.0),
    spike=None,
    message=_davies("spike within a router", PJ, 1.7),
    hop_x=_davies("hop along a row", PJ, 3.0),
    hop_y=_davies("hop along a column", PJ, 4.0),
)
SANAFE_ENERGY = EnergySet(
    name="Loihi 1, fit of SANA-FE",
    synop=_sanafe("synaptic operation, sparse to dense", PJ, 33.6, 35.5),
    update=_sanafe("neuron access, without to with update", PJ, 51.2, 51.2 + 21.6),
    spike=_sanafe("spike of a neuron", PJ, 69.3),
    message=_sanafe("message sent", PJ, 111.0),
    hop_x=_sanafe("hop along a row", PJ, 3.0),
    hop_y=_sanafe("hop along a column", PJ, 4.2),
)
ENERGY_SETS = (LOIHI1_ENERGY, SANAFE_ENERGY)

LOIHI1_TIME = TimeSet(
    name="Loihi 1, Davies et al. 2018",
    synop=_davies("synaptic operation, at most", NS, 3.5),
    update=_davies("neuron update, active", NS, 8.4),
    spike=None,
    message_out=None,
    message_in=None,
    serial=True,
    barrier=((32, _davies("barrier, 1 to 32 routers", NS, 113.0, 465.0)),),
    floor=None,
)
SANAFE_TIME = TimeSet(
    name="Loihi 1, fit of SANA-FE",
    synop=_sanafe("synaptic operation, sparse", NS, 4.7),
    update=_sanafe("neuron access and update", NS, 6.0 + 3.7),
    spike=_sanafe("spike of a neuron", NS, 30.0),
    message_out=_sanafe("message sent", NS, 5.1),
    message_in=_sanafe("message received", NS, 16.0),
    serial=True,
    barrier=tuple(
        (routers, _sanafe(f"barrier, routers up to {routers}", NS, value))
        for routers, value in ((1, 600.0), (2, 1000.0), (4, 1400.0), (29, 1800.0))
    ),
    floor=None,
)
SCALED_TIME = TimeSet(
    name="Loihi 2, scaled from Loihi 1",
    synop=Constant("synaptic operation", 0.7, 0.7, NS, "derived", f"{DAVIES}, over 5 ({INTEL})"),
    update=Constant("neuron update", 4.2, 4.2, NS, "derived", f"{DAVIES}, over 2 ({INTEL})"),
    spike=None,
    message_out=None,
    message_in=None,
    serial=False,
    barrier=(),
    floor=Constant("shortest step of a chip", 200.0, 200.0, NS, "quoted", INTEL),
)
TIME_SETS = (LOIHI1_TIME, SANAFE_TIME, SCALED_TIME)

CHIP_BARRIERS = tuple(  # chips that a step of Loihi 1 synchronizes in such a time
    (chips, Constant(f"barrier, {chips} chips", value, value, NS, "quoted", SPRINGS))
    for chips, value in ((256, 14_300.0), (768, 16_200.0))
)

STATIC_CHIP = Constant(
    "static power of a chip, its rails",
    0.232,
    0.282,
    W,
    "published",
    "lava-dl notebooks, PilotNet on Oheo Gulch",
)
BOARD = Constant(
    "static power of Oheo Gulch, with x86",
    1.78,
    1.78,
    W,
    "quoted",
    "Nesbit 2026, arXiv 2609.32317",
)


@dataclass(frozen=True)
class Published:
    """A measurement of a whole system, for comparison alone."""

    work: str
    value: str
    certainty: str


PUBLISHED = (
    Published(
        "lava-dl notebook, PilotNet SNN, Oheo Gulch",
        "153 us per step (bound by its inputs), 1.66 mJ per inference, 1.09 mJ of it dynamic",
        "published; time derived",
    ),
    Published(
        "Nesbit 2026, arXiv 2609.32317, 12 cores of Oheo Gulch",
        "12.86 us and 23.23 uJ per inference",
        "quoted",
    ),
    Published(
        "Shoesmith et al. 2025, arXiv 2503.04341, SHD, 1024 hidden neurons",
        "about 2.7 us per step, 0.46 mJ per sample, from 'up to 10 x' and 'up to 200 x'",
        "derived, weak",
    ),
)
