"""Time and energy of running a network on this computer, where it can tell.

A processor's energy is read from its RAPL counters, which Linux shows to whoever may read them; a
graphics card's from NVML, the library of its driver. Both count the whole package or card, other
programs and idle power included. What cannot be read is not measured, and the reason is given.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pynvml

POWERCAP = Path("/sys/class/powercap")
MICRO, MILLI = 1e-6, 1e-3
REPEATS_SECONDS = 1.0  # a measurement is repeated for so long: counters tick in milliseconds


@dataclass(frozen=True)
class Meter:
    """Counters of joules. ranges: at which each starts from 0 again. problem: why they fail."""

    read: Callable[[], list[float]] = list
    ranges: Sequence[float] = ()
    problem: str = ""

    def spent(self, before: list[float], after: list[float]) -> float:
        pairs = zip(before, after, self.ranges, strict=True)
        return sum((end - start) % most for start, end, most in pairs)


def rapl_meter(folder: Path = POWERCAP) -> Meter:
    """This computer's processors: other zones are parts of a package, or contain packages."""

    def joules(name: str) -> list[float]:
        return [MICRO * int((package / name).read_text()) for package in packages]

    try:
        zones = sorted(folder.glob("intel-rapl:*/name"))  # AMD's carry the same name
        packages = [zone.parent for zone in zones if zone.read_text().startswith("package")]
        meter = Meter(lambda: joules("energy_uj"), joules("max_energy_range_uj"))
        meter.read()
    except OSError as error:
        return Meter(problem=f"RAPL counters in {folder} cannot be read ({error.strerror})")
    return meter if packages else Meter(problem=f"no RAPL counters in {folder}")


def nvml_meter(uuid: str | None) -> Meter:
    """One graphics card. uuid: as torch knows it, None before torch 2.4: then the only card."""
    try:
        pynvml.nvmlInit()
        cards = pynvml.nvmlDeviceGetCount()
        if uuid is not None:
            card = pynvml.nvmlDeviceGetHandleByUUID(f"GPU-{uuid}")
        elif cards == 1:
            card = pynvml.nvmlDeviceGetHandleByIndex(0)
        else:
            return Meter(problem=f"which of the {cards} cards is used, torch says from 2.4 on")
        read = pynvml.nvmlDeviceGetTotalEnergyConsumption
        meter = Meter(lambda: [MILLI * read(card)], [float("inf")])
        meter.read()
    except pynvml.NVMLError as error:
        return Meter(problem=f"NVML, the driver's library: {error}")
    return meter


@dataclass(frozen=True)
class Measurement:
    """One way to run the samples: so many at a time, seconds for these, joules per sample."""

    what: str
    batch: int
    seconds: float
    joules: float | None
    problem: str


def measured(
    what: str, batches: Sequence[Callable[[], object]], size: int, meter: Meter
) -> Measurement:
    """Run batches of `size` samples in turn, after one that does not count, for long enough."""
    batches[0]()  # compiles, and fills caches
    before = [] if meter.problem else meter.read()
    started = time.perf_counter()
    done, seconds = 0, 0.0
    while done < len(batches) or seconds < REPEATS_SECONDS:
        batches[done % len(batches)]()
        done += 1
        seconds = time.perf_counter() - started
    joules = None if meter.problem else meter.spent(before, meter.read()) / (done * size)
    return Measurement(what, size, seconds / done, joules, meter.problem)
