"""From a folder of annotated WFDB records to segments for training and test.

**Cutting.** The first segment of a record begins at its first labeled step, the next one at the
first labeled step that is `Settings.stride` steps or more after it, as long as the record lasts.
A segment of which less than `LEAST_LABELED` is labeled, that is not valid throughout, or that has a
flat lead, is left out.

**Splitting.** A record is in the training or in the test half as a whole, and so are records that
may be of one patient (see `patient`). The seed decides which.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt

from brf_lava.data.dataset import Split
from brf_lava.ecg.marks import Labels, label_steps, read_waves
from brf_lava.ecg.signal import (
    FS,
    Encoding,
    Leads,
    Record,
    encode_windows,
    read_record,
    usable,
)
from brf_lava.ecg.spec import ECG
from brf_lava.errors import DataError
from brf_lava.io.foreign import reading
from brf_lava.network.decision import UNLABELED

LEAST_LABELED = 0.5  # share of a segment's steps
LEFT_OUT = "sudden-death record, left out by default; --all-records keeps it"
# The records of the QT database that are excerpts of its "sudden death" source, 24 of 105
SUDDEN_DEATH = frozenset({"sel17152", *(f"sel{number}" for number in range(30, 53))})
NAMED = 3  # records that a notice names
NOT_OF_THE_PATIENT = re.compile(r"\s*(produced by|recorder type|the signal|-+$)", re.IGNORECASE)


@dataclass(frozen=True)
class Settings:
    """How records become a data set."""

    encoding: Encoding = field(default_factory=Encoding)  # of the signal as spikes
    annotator: str = "q1c"  # suffix of the annotation files
    seed: int = 0  # of the split
    test_share: float = 0.2  # of the records, above 0 and below 1
    stride: int = ECG.steps  # from one segment to the next, 1 or more; below 1300 they overlap
    unlabeled: str = "mask"  # as in `Dataset.with_unlabeled`
    all_records: bool = False  # whether to keep the QT database's sudden-death records
    leads: Leads | None = None  # as in `read_record`


@dataclass(frozen=True, eq=False)
class Segments:
    """The segments of one record."""

    name: str  # of the record
    patient: str | None  # None if unknown
    x: npt.NDArray[np.int8]  # spikes [B, 1300, 4]
    y: Labels  # classes [B, 1300]
    starts: npt.NDArray[np.int64]  # first step of each segment [B], at 250 Hz
    invalid: int  # segments that were left out because of an invalid sample or a flat lead

    @property
    def group(self) -> str:
        """Records of one group are in one half. A record of an unknown patient has its own."""
        return self.patient or self.name


Half = tuple[Segments, ...]


@dataclass(frozen=True, eq=False)
class Prepared:
    """A data set from records; `skipped` has the records without a segment, and why."""

    settings: Settings
    train: Half
    test: Half
    skipped: tuple[tuple[str, str], ...]

    def halves(self) -> Iterator[tuple[str, str, str]]:
        """The name of each half, how many segments were left out, and the records it has."""
        for name, half in (("train", self.train), ("test", self.test)):
            records = ", ".join(f"{segments.name} ({len(segments.x)})" for segments in half)
            yield name, str(sum(segments.invalid for segments in half)), records

    def left_out(self) -> list[tuple[str, str]]:
        """The records without a segment and why, those of one reason together."""
        reasons: dict[str, list[str]] = {}
        for name, reason in self.skipped:
            reasons.setdefault(reason, []).append(name)
        return [(", ".join(names), reason) for reason, names in reasons.items()]

    def notices(self) -> Iterator[str]:
        """What may be wrong with the data set that only the user can know, a line each."""
        records = (*self.train, *self.test)
        unknown = [segments.name for segments in records if segments.patient is None]
        if unknown:
            yield (
                f"{len(unknown)} of {len(records)} records do not say whose they are "
                f"({_some(unknown)}); each is taken for a patient of its own. Where that is wrong, "
                "name their patients with --patients FILE."
            )


def find_records(folder: Path) -> tuple[str, ...]:
    """The names of the records in a folder, sorted. Raises: DataError if there is none."""
    names = tuple(sorted(path.stem for path in folder.glob("*.hea")))
    if not names:
        raise DataError(
            f"--records {folder}: no WFDB record, no .hea file in it. Name the folder with the "
            ".hea, .dat and annotation files of the records; unpack an archive first."
        )
    return names


def prepare(
    folder: Path,
    settings: Settings,
    on_record: Callable[[int], object] = lambda _: None,
    patients: Mapping[str, str] | None = None,
) -> Prepared:
    """Read, encode, label and split all records of a folder.

    A record that cannot be used is left out and listed. on_record: called with the number of
    records that are done. patients: of `read_patients`; by default what the headers say.
    Raises: DataError if fewer than two patients remain; one is needed for each half.
    """
    names = find_records(folder)
    kept: list[Segments] = []
    skipped: list[tuple[str, str]] = []
    for done, name in enumerate(names, start=1):
        try:
            if name in SUDDEN_DEATH and not settings.all_records:
                raise DataError(LEFT_OUT)
            kept.append(read_segments(folder / name, settings, patients or {}))
        except DataError as error:
            skipped.append((name, str(error)))
        on_record(done)
    if len({segments.group for segments in kept}) < 2:
        raise DataError(
            f"--records {folder}: {len(kept)} of {len(names)} records can be used, of fewer than "
            "two patients; one is needed for training and one for the test."
            + (f" The first left out: {skipped[0][1]}" if skipped else " Add records.")
        )
    return Prepared(settings, *draw_halves(kept, settings), tuple(skipped))


def read_segments(
    path: Path, settings: Settings, patients: Mapping[str, str] | None = None
) -> Segments:
    """The segments of one record. Raises: DataError if there is none."""
    record = read_record(path, settings.leads)
    waves = read_waves(path, settings.annotator, record.fs, FS)
    labels = label_steps(waves, len(record.signal))
    delay = settings.encoding.delay
    labels = np.concatenate([np.full(delay, UNLABELED, np.uint8), labels])[: len(labels)]
    starts = np.array(list(cut(labels, settings.stride)), dtype=np.int64)
    steps = starts[:, None] + np.arange(ECG.steps)
    windows, y = record.signal[steps], labels[steps]
    good = usable(windows)
    if not good.any():
        raise DataError(
            f"{path}: {len(starts)} segments of {ECG.steps} steps are labeled by "
            f"{LEAST_LABELED:.0%} or more, and none of them is valid throughout, with neither lead "
            "flat. Leave the record out, or mark more waves."
        )
    if settings.unlabeled == "first-class":
        y = np.where(y == UNLABELED, np.uint8(0), y)
    return Segments(
        name=record.name,
        patient=patient(record, patients or {}),
        x=encode_windows(windows[good], settings.encoding.threshold),
        y=y[good],
        starts=starts[good],
        invalid=int((~good).sum()),
    )


def read_patients(path: Path, records: Collection[str]) -> dict[str, str]:
    """Read the patient of each record from a CSV of ``record,patient``, with or without header.

    records: their names; lines about others are ignored. Raises: DataError if the file cannot be
    read, a line has another form, a record has two patients, or no line is about a record.
    """
    patients: dict[str, str] = {}
    with (
        reading(path, "a CSV file in UTF-8, with lines of record,patient"),
        path.open(newline="", encoding="utf-8-sig") as file,
    ):
        for row in csv.reader(file):
            cells = [cell.strip() for cell in row]
            if not any(cells) or [cell.lower() for cell in cells] == ["record", "patient"]:
                continue
            if len(cells) != 2 or not all(cells) or patients.setdefault(*cells) != cells[1]:
                raise ValueError(f"{','.join(row)!r} is no record and its one patient")
    known = {record: patients[record] for record in records if record in patients}
    if not known:
        raise DataError(
            f"{path}: none of its {len(patients)} lines is about a record that is there, such as "
            f"{next(iter(records))}. Write record,patient, the record without .hea."
        )
    return known


def patient(record: Record, patients: Mapping[str, str]) -> str | None:
    """What stands for the patient of a record, None if that is unknown.

    The European ST-T database, a source of the QT database, has 90 records of 79 subjects, and its
    headers do not say which belong together: those with the same age, sex and diagnoses are taken
    for one. patients: of `read_patients`, which comes before the header.
    """
    if record.name in patients:
        return patients[record.name]
    about = [line for line in record.comments if not NOT_OF_THE_PATIENT.match(line)]
    text = " ".join(" ".join(about).lower().split())
    return text if re.search(r"age: *\d+ +sex: *\w", text) else None


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


def draw_halves(kept: list[Segments], settings: Settings) -> tuple[Half, Half]:
    """Training and test half: patients at random for the test until it has enough records."""
    patients = sorted({segments.group for segments in kept})
    test: list[Segments] = []
    for index in np.random.default_rng(settings.seed).permutation(len(patients))[:-1]:
        if test and len(test) >= settings.test_share * len(kept):
            break
        test += [segments for segments in kept if segments.group == patients[index]]
    return tuple(s for s in kept if s not in test), tuple(s for s in kept if s in test)


def joined(half: Half) -> Split:
    """The segments of all records of a half, in order."""
    return Split(
        np.concatenate([segments.x for segments in half]),
        np.concatenate([segments.y for segments in half]),
    )


def _some(names: list[str]) -> str:
    """The first few of them."""
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return ", ".join(names[:NAMED]) + more
