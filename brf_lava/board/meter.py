"""Time and energy of running a network on this computer, where it can tell.

A processor's energy is read from its RAPL counters, which Linux shows to whoever may read them; a
graphics card's from NVML, the library of its driver. Both count the whole package or card, other
programs and idle power included. What cannot be read is not measured, and said so.
"""

from __future__ import annotations

import ctypes
import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from brf_lava.errors import ParameterError

POWERCAP = Path("/sys/class/powercap")
NVML = "libnvidia-ml.so.1"
MICRO, MILLI = 1e-6, 1e-3
REPEATS_SECONDS = 1.0  # a measurement is repeated for so long: counters tick in milliseconds


class Meter(Protocol):
    """An energy counter."""

    @property
    def problem(self) -> str:
        """Why it cannot be read; empty if it can."""

    def read(self) -> list[float]:
        """J since some moment, of each of its parts."""

    def spent(self, before: list[float], after: list[float]) -> float:
        """J between two readings."""


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
    """One graphics card, by its number among CUDA's."""

    def __init__(self, card: int = 0, library: str = NVML) -> None:
        self.problem = ""
        self._handle = ctypes.c_void_p()
        try:
            self._nvml = ctypes.CDLL(library)
        except OSError:
            self.problem = f"no {library}, the driver's library"
            return
        try:
            self.problem = self._open(card)
        except AttributeError as error:  # how ctypes says that a function is not there
            self.problem = f"{library} is too old ({error})"

    def _open(self, card: int) -> str:
        """What is wrong with it, if anything."""
        if self._nvml.nvmlInit_v2():
            return "the driver's library does not start"
        cards = ctypes.c_uint()
        self._nvml.nvmlDeviceGetCount_v2(ctypes.byref(cards))
        number = driver_number(card, cards.value)
        if number is None:
            return (
                f"which of the driver's {cards.value} cards CUDA counts as {card} is certain only "
                "with CUDA_DEVICE_ORDER=PCI_BUS_ID and numbers in CUDA_VISIBLE_DEVICES"
            )
        if self._nvml.nvmlDeviceGetHandleByIndex_v2(number, ctypes.byref(self._handle)):
            return f"the driver knows no card {number}"
        return "" if self._energy() is not None else "the card does not count its energy"

    def _energy(self) -> float | None:
        value = ctypes.c_ulonglong()
        failed = self._nvml.nvmlDeviceGetTotalEnergyConsumption(self._handle, ctypes.byref(value))
        return None if failed else MILLI * value.value

    def read(self) -> list[float]:
        return [self._energy() or 0.0]

    def spent(self, before: list[float], after: list[float]) -> float:
        return after[0] - before[0]


def driver_number(card: int, cards: int, environment: Mapping[str, str] = os.environ) -> int | None:
    """The driver's number of a card, by its number among CUDA's; None where it is not certain.

    cards: of the driver. CUDA counts only those that it may see, and the fastest first unless told
    otherwise; the driver counts along the bus.
    """
    if cards <= 1:
        return card
    visible = environment.get("CUDA_VISIBLE_DEVICES")
    numbers = visible.split(",") if visible else list(map(str, range(cards)))
    if environment.get("CUDA_DEVICE_ORDER") != "PCI_BUS_ID" or card >= len(numbers):
        return None
    return int(numbers[card]) if numbers[card].strip().isdecimal() else None


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
    what: str, batches: Sequence[Callable[[], None]], size: int, meter: Meter
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
