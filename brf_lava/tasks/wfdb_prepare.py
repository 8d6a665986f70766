"""From a folder of annotated WFDB records to segments for training and test.

**Cutting.** The first segment of a record begins at its first labeled step, the next one at the
first labeled step that is `Settings.stride` steps or more after it, as long as the record lasts.
A segment of which less than `LEAST_LABELED` is labeled, that is not valid throughout, or that has a
flat lead, is left out.

**Splitting.** A record is in the training or in the test half as a whole, and so are records that
may be of one patient (`patient`). The seed decides which.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt

from brf_lava.decision import UNLABELED
from brf_lava.errors import DataError, ParameterError
from brf_lava.tasks.task import ECG, UNLABELED_CHOICES, Split
from brf_lava.tasks.wfdb_marks import Labels, label_steps, read_waves
from brf_lava.tasks.wfdb_signal import FS, Encoding, Record, encode_windows, read_record, usable

LEAST_LABELED = 0.5  # share of a segment's steps
LEFT_OUT = "sudden-death record, left out by default; --all-records keeps it"
# The records of the QT database that are excerpts of its "sudden death" source, 24 of 105
SUDDEN_DEATH = frozenset({"sel17152", *(f"sel{number}" for number in range(30, 53))})
NOT_OF_THE_PATIENT = re.compile(r"\s*(produced by|recorder type|the signal|-+$)", re.IGNORECASE)


@dataclass(frozen=True)
class Settings:
    """How records become a data set.

    annotator: suffix of the annotation files. test_share: of the records, 0..1. stride: steps from
    one segment to the next; below 1300 they overlap. unlabeled: as in `Dataset.with_unlabeled`.
    all_records: keep the QT database's sudden-death records. Raises: ParameterError.
    """

    encoding: Encoding = field(default_factory=Encoding)
    annotator: str = "q1c"
    seed: int = 0
    test_share: float = 0.2
    stride: int = ECG.steps
    unlabeled: str = "mask"
    all_records: bool = False

    def __post_init__(self) -> None:
        problem = None
        if not 0 < self.test_share < 1:
            problem = f"test share {self.test_share}: must be above 0 and below 1"
        elif not 1 <= self.stride <= ECG.steps:
            problem = f"stride {self.stride}: must be 1 to {ECG.steps} steps"
        elif self.seed < 0:
            problem = f"seed {self.seed}: must be 0 or more"
        elif self.unlabeled not in UNLABELED_CHOICES:
            problem = f"unlabeled {self.unlabeled!r}: must be one of {', '.join(UNLABELED_CHOICES)}"
        elif not re.fullmatch(r"\w+", self.annotator):
            problem = f"annotator {self.annotator!r}: must be letters and digits, e.g. q1c"
        if problem:
            raise ParameterError(f"prepare: {problem}. Choose another.")


@dataclass(frozen=True, eq=False)
class Segments:
    """The segments of one record.

    x: spikes int8 [B, 1300, 4]. y: uint8 [B, 1300]. starts: first step of each, at 250 Hz, int64
    [B]. invalid: how many more were left out for an invalid sample or a flat lead.
    """

    name: str
    patient: str
    x: npt.NDArray[np.int8]
    y: Labels
    starts: npt.NDArray[np.int64]
    fs: float
    invalid: int


@dataclass(frozen=True, eq=False)
class Prepared:
    """A data set from records. skipped: records without a segment, and why."""

    settings: Settings
    train: tuple[Segments, ...]
    test: tuple[Segments, ...]
    skipped: tuple[tuple[str, str], ...]


def find_records(folder: Path) -> tuple[str, ...]:
    """The names of the records in a folder, sorted. Raises: DataError if there is none."""
    if not folder.is_dir():
        problem = "is a file; unpack an archive first" if folder.exists() else "does not exist"
        raise DataError(f"--records {folder}: {problem}. Name the folder with the .hea files.")
    names = tuple(sorted(path.stem for path in folder.glob("*.hea")))
    if not names:
        raise DataError(
            f"--records {folder}: holds no WFDB record, no .hea file. Name the folder with the "
            ".hea, .dat and annotation files of the records."
        )
    return names


def prepare(
    folder: Path, settings: Settings, on_record: Callable[[int], None] | None = None
) -> Prepared:
    """Read, encode, label and split all records of a folder.

    on_record: told how many records are done.
    A record that cannot be used is left out and listed. Raises: DataError if fewer than two
    patients remain, of which one is needed for either half.
    """
    names = find_records(folder)
    kept: list[Segments] = []
    skipped: list[tuple[str, str]] = []
    for done, name in enumerate(names, start=1):
        if name in SUDDEN_DEATH and not settings.all_records:
            skipped.append((name, LEFT_OUT))
        else:
            try:
                kept.append(read_segments(folder / name, settings))
            except DataError as error:
                skipped.append((name, str(error)))
        if on_record is not None:
            on_record(done)
    if len({segments.patient for segments in kept}) < 2:
        reason = next((why for _, why in skipped if why != LEFT_OUT), LEFT_OUT)
        raise DataError(
            f"--records {folder}: {len(kept)} of {len(names)} records can be used, of fewer than "
            "two patients; one is needed for training and one for the test."
            + (f" The first left out: {reason}" if skipped else " Add records.")
        )
    test = draw_test(kept, settings)
    return Prepared(
        settings,
        tuple(segments for segments in kept if segments.name not in test),
        tuple(segments for segments in kept if segments.name in test),
        tuple(skipped),
    )


def read_segments(path: Path, settings: Settings) -> Segments:
    """The segments of one record. Raises: DataError if there is none."""
    record = read_record(path)
    waves = read_waves(path, settings.annotator, record.fs, FS)
    labels = label_steps(waves, len(record.signal))
    delay = settings.encoding.delay
    labels = np.concatenate([np.full(delay, UNLABELED, np.uint8), labels])[: len(labels)]
    starts = np.array(list(cut(labels, settings.stride)), dtype=np.int64)
    if not len(starts):
        raise DataError(
            f"{path}: no {ECG.steps} steps ({ECG.steps * ECG.step_seconds:g} s) in a row of which "
            f"{LEAST_LABELED:.0%} are labeled. Leave the record out, or mark more waves."
        )
    steps = starts[:, None] + np.arange(ECG.steps)
    windows, y = record.signal[steps], labels[steps]
    good = usable(windows)
    if not good.any():
        raise DataError(
            f"{path}: every annotated segment has invalid samples or a flat lead. Leave the record "
            "out."
        )
    if settings.unlabeled == "first-class":
        y = np.where(y == UNLABELED, np.uint8(0), y)
    return Segments(
        name=record.name,
        patient=patient(record),
        x=encode_windows(windows[good], settings.encoding.threshold),
        y=y[good],
        starts=starts[good],
        fs=record.fs,
        invalid=int((~good).sum()),
    )


def cut(labels: Labels, stride: int) -> Iterator[int]:
    """The first steps of all segments of a record with these labels [T]."""
    labeled = np.concatenate([[0], np.cumsum(labels != UNLABELED)])
    candidates = np.flatnonzero(labels != UNLABELED)
    earliest = 0
    while True:
        index = int(np.searchsorted(candidates, earliest))
        if index == len(candidates) or candidates[index] + ECG.steps > len(labels):
            return
        start = int(candidates[index])
        if labeled[start + ECG.steps] - labeled[start] >= LEAST_LABELED * ECG.steps:
            yield start
        earliest = start + stride


def patient(record: Record) -> str:
    """What stands for the patient: records with the same value may be of the same one.

    The European ST-T database, a source of the QT database, has 90 records of 79 subjects, and its
    headers do not say which belong together: those with the same age, sex and diagnoses are taken
    for one. Any other record has a patient of its own.
    """
    about = [line for line in record.comments if not NOT_OF_THE_PATIENT.match(line)]
    text = " ".join(" ".join(about).lower().split())
    return text if re.search(r"age: *\d+ +sex: *\w", text) else record.name


def draw_test(kept: list[Segments], settings: Settings) -> frozenset[str]:
    """The names of the records for the test: patients at random until there are enough records."""
    patients = sorted({segments.patient for segments in kept})
    wanted = settings.test_share * len(kept)
    names: set[str] = set()
    for index in np.random.default_rng(settings.seed).permutation(len(patients))[:-1]:
        if names and len(names) >= wanted:
            break
        names |= {segments.name for segments in kept if segments.patient == patients[index]}
    return frozenset(names)


def joined(half: tuple[Segments, ...]) -> Split:
    """The segments of all records of a half, in order."""
    return Split(
        np.concatenate([segments.x for segments in half]),
        np.concatenate([segments.y for segments in half]),
    )
