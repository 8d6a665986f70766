"""Times several things alternately, so that a busy machine disturbs all of them alike."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from statistics import median
from typing import Any


@dataclass(frozen=True)
class Bar:
    """What the project promises: a time in seconds, a ratio to the base, or nothing."""

    seconds_at_most: float | None = None
    ratio_at_least: float | None = None
    ratio_at_most: float | None = None

    def met(self, seconds: float, ratio: float | None) -> bool | None:
        """Whether medians keep the promise; None where there is none."""
        if self.seconds_at_most is not None:
            return seconds <= self.seconds_at_most
        if self.ratio_at_least is not None and ratio is not None:
            return ratio >= self.ratio_at_least
        if self.ratio_at_most is not None and ratio is not None:
            return ratio <= self.ratio_at_most
        return None

    def __str__(self) -> str:
        if self.seconds_at_most is not None:
            return f"<= {self.seconds_at_most:g} s"
        if self.ratio_at_most is not None:
            return f"<= {self.ratio_at_most:g}x"
        return "" if self.ratio_at_least is None else f">= {self.ratio_at_least:g}x"


@dataclass(frozen=True)
class Row:
    """One thing that was timed, once per round; seconds."""

    what: str
    seconds: tuple[float, ...]
    bar: Bar = Bar()


@dataclass(frozen=True)
class Comparison:
    """Rows that were timed in turn, round by round.

    base:  the row that ratios are taken to, or "" where a ratio says nothing
    notes: what one must know to read the numbers: data, network, what was checked
    """

    title: str
    rows: tuple[Row, ...]
    base: str = ""
    notes: tuple[str, ...] = ()

    def ratios(self, row: Row) -> tuple[float, ...]:
        """How many times longer than the base `row` took, round by round; () without a base."""
        bases = [other.seconds for other in self.rows if other.what == self.base]
        if not bases or row.what == self.base:
            return ()
        return tuple(own / base for own, base in zip(row.seconds, bases[0], strict=True))

    def met(self, row: Row) -> bool | None:
        """Whether the medians of `row` meet its bar; None without one."""
        ratios = self.ratios(row)
        return row.bar.met(median(row.seconds), median(ratios) if ratios else None)

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON: all samples, and of each series the median, the least and the largest."""
        rows = []
        for row in self.rows:
            ratios = self.ratios(row)
            rows.append(
                {
                    "what": row.what,
                    "seconds": _summary(row.seconds),
                    "ratio": _summary(ratios) if ratios else None,
                    "bar": str(row.bar) or None,
                    "met": self.met(row),
                }
            )
        return {"title": self.title, "base": self.base, "rows": rows, "notes": list(self.notes)}


def _summary(series: tuple[float, ...]) -> dict[str, Any]:
    return {"median": median(series), "min": min(series), "max": max(series), "all": list(series)}


def timed(action: Callable[[], object], least: float = 0.0) -> Callable[[], float]:
    """`action` as something that runs it and returns its wall time in seconds.

    least: run it again and again until so many seconds are over, and return the mean: for actions
    so short that what ran before them would count more than they do.
    """

    def run() -> float:
        started = time.perf_counter()
        runs = 0
        while True:
            action()
            runs += 1
            passed = time.perf_counter() - started
            if passed >= least:
                return passed / runs

    return run


def alternate(
    contenders: Mapping[str, Callable[[], float]], *, rounds: int, warm_up: int = 1
) -> dict[str, tuple[float, ...]]:
    """Run every contender in turn, A B C A B C ...; the seconds each one returned, per round.

    warm_up: rounds that are run first and not counted, for compilers and caches.
    """
    samples: dict[str, list[float]] = {name: [] for name in contenders}
    for index in range(-warm_up, rounds):
        for name, contender in contenders.items():
            seconds = contender()
            if index >= 0:
                samples[name].append(seconds)
    return {name: tuple(series) for name, series in samples.items()}
