"""Small WFDB records with known waves, for tests."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import wfdb

# Steps at 250 Hz of P, PQ, QR, RS, ST and TP in one beat, and where the peaks of P and T lie in it
BEAT = (25, 12, 10, 9, 70, 74)
Marks = tuple[list[int], list[str]]


def beats(count: int, first: int = 40, durations: Sequence[int] = BEAT) -> Marks:
    """The marks of beats in a row from the first P onset, `first`, on; no T has an onset."""
    steps: list[int] = []
    symbols: list[str] = []
    for beat in range(count):
        p, pq, q, r, s, end = first + beat * sum(durations) + np.cumsum((0, *durations[:5]))
        steps += [p, (p + pq) // 2, pq, q, r, s, (s + end) // 2, end]
        symbols += ["(", "p", ")", "(", "N", ")", "t", ")"]
    return [int(step) for step in steps], symbols


def labels_of(count: int) -> npt.NDArray[np.uint8]:
    """The classes that `beats` stand for, from the first P onset on; the last beat has no TP."""
    beat = np.repeat(np.arange(6, dtype=np.uint8), BEAT)
    return np.tile(beat, count)[: count * sum(BEAT) - BEAT[5]]


def ecg_signal(
    steps: int, marks: Marks, seed: int = 0, noise: float = 0.01
) -> npt.NDArray[np.float64]:
    """Two leads [steps, 2] with a bump at every peak, in mV."""
    rng = np.random.default_rng(seed)
    time = np.arange(steps)
    signal = noise * rng.standard_normal((steps, 2))
    for step, symbol in zip(*marks, strict=True):
        if symbol in "pNt":
            height, width = {"p": (0.15, 6.0), "N": (1.2, 3.0), "t": (0.3, 14.0)}[symbol]
            near = slice(max(step - 60, 0), step + 60)
            bump = height * np.exp(-0.5 * ((time[near] - step) / width) ** 2)
            signal[near] += bump[:, None] * (1.0, -0.6)
    return signal


def write_record(
    folder: Path,
    name: str,
    signal: npt.NDArray[np.float64],
    marks: Marks | None = None,
    *,
    fs: float = 250,
    comments: Sequence[str] = (),
) -> Path:
    """Write a record of 16-bit samples, and its annotations; the path without suffix."""
    folder.mkdir(parents=True, exist_ok=True)
    leads = signal.shape[1]
    wfdb.wrsamp(
        name,
        fs=fs,
        units=["mV"] * leads,
        sig_name=[f"lead {lead}" for lead in range(leads)],
        p_signal=signal,
        fmt=["16"] * leads,
        adc_gain=[1000.0] * leads,
        baseline=[0] * leads,
        comments=list(comments),
        write_dir=str(folder),
    )
    if marks is not None:
        steps, symbols = marks
        samples = np.rint(np.array(steps) * (fs / 250)).astype(np.int64)
        wfdb.wrann(name, "letters", samples, symbol=symbols, fs=fs, write_dir=str(folder))
        (folder / f"{name}.letters").rename(folder / f"{name}.q1c")
    return folder / name
