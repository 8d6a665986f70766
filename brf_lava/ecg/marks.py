"""Wave marks of WFDB annotations, the class of every step from them, and marks from classes.

An annotation file of the QT database's kind ("q1c") marks each wave of a beat with "(" at its
onset, a symbol at its peak and ")" at its offset: "p", a beat symbol such as "N" at the R peak, "t"
and, in some records, "u". An onset or offset may be missing: most T waves have no onset. From the
marks of one beat to the next::

    P    P onset to P offset            RS   R peak to QRS offset
    PQ   P offset to QRS onset          ST   QRS offset to T offset, the T wave included
    QR   QRS onset to R peak            TP   T offset to the next P onset, a U wave included

A step whose class this does not say is UNLABELED: where a mark is missing, between T and a beat
without a P wave, and where a beat may have gone unmarked (see `MAX_RR`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import numpy.typing as npt

from brf_lava.ecg.spec import ECG
from brf_lava.errors import DataError
from brf_lava.io.foreign import guarded, reading
from brf_lava.network.decision import UNLABELED

P, PQ, QR, RS, ST, TP = range(len(ECG.classes))
ONSET, OFFSET = "(", ")"
BEATS = frozenset("NLRBAaJSVrFejnE/fQ?")  # symbols of QRS complexes in WFDB annotations
WAVES = {**dict.fromkeys(BEATS, "N"), "p": "p", "t": "t", "u": "u"}
MARKED = re.compile(rf"(\()?([{re.escape(''.join(WAVES))}])(\))?")
WAVE_NUMBERS = {"p": 0, "N": 1, "t": 2}  # the "num" of an onset or offset in the QT database
MAX_RR = 1.6  # times the median RR interval of the record; above, a beat may have gone unmarked
END_MARK = bytes(2)  # the last bytes of every WFDB annotation file
RUNS = re.compile(b"(?P<p>%c+)|(?P<qr>%c+)%c+|%c+" % (P, QR, RS, ST))  # in classes as bytes
MIN_WAVE = 5  # steps; a shorter P, QRS or ST in predicted classes is not written as a wave

Labels = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Wave:
    """One marked wave; times in steps. kind: "p", "N", "t" or "u"."""

    kind: str
    onset: int | None
    peak: int
    offset: int | None


@dataclass(frozen=True)
class Mark:
    """One annotation. wave: the kind of the wave it belongs to."""

    step: int
    symbol: str
    wave: str


def read_waves(record: Path, annotator: str, fs: float, to_fs: float) -> tuple[Wave, ...]:
    """Read the waves of the annotation file ``record.annotator``.

    fs: of the record, Hz, for an annotation file that does not have one. to_fs: steps per second
    of the waves. Raises: DataError if there is no such file, it is damaged, or marks no QRS
    complex.
    """
    import wfdb

    path = record.parent / f"{record.name}.{annotator}"
    with reading(path, "a complete WFDB annotation file"):
        annotation = guarded(wfdb.rdann, str(record), annotator)
        samples = np.asarray(annotation.sample, dtype=np.int64)
        symbols = [str(symbol) for symbol in annotation.symbol]
        if not path.read_bytes().endswith(END_MARK):  # wfdb does not look
            raise ValueError(f"no end mark after {len(samples)} annotations")
    order = np.argsort(samples, kind="stable")
    steps = np.rint(samples * (to_fs / (annotation.fs or fs))).astype(np.int64)
    waves = tuple(find_waves([int(steps[i]) for i in order], [symbols[i] for i in order]))
    if not any(wave.kind == "N" for wave in waves):
        known = ", ".join(sorted(set(symbols) - {ONSET, OFFSET})) or "none"
        raise DataError(
            f"{path}: no QRS complex is marked (symbols found: {known}); waves are marked with "
            "( p ) ( N ) ( t ). Name another annotation file with --annotator."
        )
    return waves


def find_waves(steps: list[int], symbols: list[str]) -> Iterator[Wave]:
    """The waves in marks that are in order of time.

    A symbol that is no wave (a rhythm, a comment, an unknown code) ends the wave before it, and the
    onset before it belongs to nothing.
    """
    known = (ONSET, OFFSET, *WAVES)
    text = "".join(symbol if symbol in known else "+" for symbol in symbols)  # one letter each
    for found in MARKED.finditer(text):
        onset, offset = (steps[found.start(part)] if found[part] else None for part in (1, 3))
        yield Wave(WAVES[found[2]], onset, steps[found.start(2)], offset)


def label_steps(waves: tuple[Wave, ...], steps: int) -> Labels:
    """The class of every step, [steps]; `UNLABELED` where the waves do not say it."""
    labels = np.full(steps, UNLABELED, dtype=np.uint8)
    peaks = [wave.peak for wave in waves if wave.kind == "N"]
    longest = MAX_RR * float(np.median(np.diff(peaks))) if len(peaks) > 1 else 0.0
    within = {peak for peak, following in pairwise(peaks) if following - peak <= longest}
    beat: int | None = None  # R peak of the beat that the wave belongs to
    named = [wave for wave in waves if wave.kind != "u"]
    for wave, following in zip(named, [*named[1:], None], strict=True):
        beat = wave.peak if wave.kind == "N" else beat
        kinds = wave.kind + (following.kind if following else "")
        onset, offset = (following.onset, following.offset) if following else (None, None)
        for first, start, stop, label in (
            ("p", wave.onset, wave.offset, P),
            ("pN", wave.offset, onset, PQ),
            ("N", wave.onset, wave.peak, QR),
            ("N", wave.peak, wave.offset, RS),
            ("Nt", wave.offset, offset, ST),
            ("tp", wave.offset, onset if beat in within else None, TP),
        ):
            if kinds.startswith(first) and start is not None and stop is not None:
                labels[max(start, 0) : max(stop, 0)] = label
    return labels


def waves_from_labels(labels: Labels, signal: npt.NDArray[np.float64]) -> tuple[Wave, ...]:
    """The waves that predicted classes [T] describe, on the signal [T] of one lead.

    P is a run of P; QRS a run of QR followed by one of RS; T lies in a run of ST and has no onset.
    The R peak is where RS begins, the other peaks where the signal is farthest from the line
    between the ends of the run. Runs below `MIN_WAVE` are left out, as are QR without RS and RS
    without QR.
    """
    waves = []
    for run in RUNS.finditer(labels.tobytes()):
        start, stop = run.span()
        if stop - start < MIN_WAVE:
            continue
        if run["qr"]:
            waves.append(Wave("N", start, run.end("qr"), stop))
        else:
            part = signal[start:stop]
            distance = np.abs(part - np.linspace(part[0], part[-1], len(part)))
            peak = start + int(np.argmax(np.nan_to_num(distance, nan=-1.0)))
            kind, onset = ("p", start) if run["p"] else ("t", None)
            waves.append(Wave(kind, onset, peak, stop))
    return tuple(waves)


def marks(waves: tuple[Wave, ...]) -> Iterator[Mark]:
    """The marks of waves, in order of time."""
    for wave in waves:
        named = ((wave.onset, ONSET), (wave.peak, wave.kind), (wave.offset, OFFSET))
        yield from (Mark(step, text, wave.kind) for step, text in named if step is not None)
