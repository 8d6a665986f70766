"""Whose a record is, so that no patient is in both halves of a data set."""

from __future__ import annotations

import csv
import re
from collections.abc import Collection, Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt

from brf_lava.ecg.signal import Record, Signal
from brf_lava.ecg.synthetic import normalize
from brf_lava.errors import DataError
from brf_lava.io.foreign import reading

NOT_OF_THE_PATIENT = re.compile(r"\s*(produced by|recorder type|the signal|-+$)", re.IGNORECASE)
OUTLINE_STEPS = 5  # steps to a value of an outline; a copy at another rate is off by one at most
# Correlation of outlines. No two of the QT database's 81 records reach 0.7; every eighth of them
# and its copies at 128, 257.3, 360 and 1000 Hz all pass 0.95.
ALIKE = 0.9


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


def outline(window: Signal) -> npt.NDArray[np.float32]:
    """A window [T, leads] in few values, of norm 1, by which copies of it are known."""
    leads = normalize(window[None])[0]
    means = leads.reshape(-1, OUTLINE_STEPS, leads.shape[1]).mean(axis=1).ravel()
    means -= means.mean()
    return np.asarray(means / np.linalg.norm(means), dtype=np.float32)
