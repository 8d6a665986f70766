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

from brf_lava.errors import ParameterError

POWERCAP = Path("/sys/class/powercap")
MICRO, MILLI = 1e-6, 1e-3
REPEATS_SECONDS = 1.0  # a measurement is repeated for so long: counters tick in milliseconds


class RaplMeter:
    """The packages of this computer's processors.

    Other zones are parts of a package, or the whole platform, which has the packages in it.
    """

    def __init__(self, folder: Path = POWERCAP) -> None:
        self.problem = ""
        self._counters: list[Path] = []
        try:
            zones = sorted(folder.glob("intel-rapl:*/name"))  # AMD's carry the same name
            packages = [zone for zone in zones if zone.read_text().startswith("package")]
            self._counters = [each.with_name("energy_uj") for each in packages]
            self._ranges = [_number(c.with_name("max_energy_range_uj")) for c in self._counters]
            self.read()
        except OSError as error:
            self.problem = f"RAPL counters in {folder} cannot be read ({error.strerror})"
        except ValueError:
            self.problem = f"RAPL counters in {folder} hold no numbers"
        if not self._counters and not self.problem:
            self.problem = f"no RAPL counters in {folder}"

    def read(self) -> list[float]:
        return [_number(counter) for counter in self._counters]

    def spent(self, before: list[float], after: list[float]) -> float:
        """A counter that went round has started from 0 again."""
        return sum(
            end - start if end >= start else end - start + most
            for start, end, most in zip(before, after, self._ranges, strict=True)
        )


def _number(path: Path) -> float:
    return MICRO * int(path.read_text())


class NvmlMeter:
    """One graphics card. uuid: as torch knows it, None before torch 2.4: then the only card."""

    def __init__(self, uuid: str | None) -> None:
        self.problem = ""
        try:
            pynvml.nvmlInit()
            cards = pynvml.nvmlDeviceGetCount()
            if uuid is not None:
                self._card = pynvml.nvmlDeviceGetHandleByUUID(f"GPU-{uuid}")
            elif cards == 1:
                self._card = pynvml.nvmlDeviceGetHandleByIndex(0)
            else:
                self.problem = f"which of the {cards} cards is used, torch says from 2.4 on"
                return
            self.read()
        except pynvml.NVMLError as error:
            self.problem = f"NVML, the driver's library: {error}"

    def read(self) -> list[float]:
        return [MILLI * pynvml.nvmlDeviceGetTotalEnergyConsumption(self._card)]

    def spent(self, before: list[float], after: list[float]) -> float:
        return after[0] - before[0]


Meter = RaplMeter | NvmlMeter


@dataclass(frozen=True)
class Measurement:
    """One way to run the samples.

    batch: samples at a time. seconds: from the first input to the last output of a batch, mean.
    joules: per sample, or None, and `problem` says why.
    """

    what: str
    batch: int
    seconds: float
    joules: float | None
    problem: str


def measured(
    what: str, batches: Sequence[Callable[[], object]], size: int, meter: Meter
) -> Measurement:
    """Run batches one after the other, after one that does not count, until enough time is over.

    batches: each runs `size` samples, and returns when they are done.
    Raises: ParameterError without any batch.
    """
    if not batches:
        raise ParameterError(f"{what}: no samples to measure. Name a run of at least one.")
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
