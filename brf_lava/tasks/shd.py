"""SHD, the Spiking Heidelberg Digits of Cramer et al. 2020: name the spoken digit.

The spikes of 700 channels of an artificial cochlea are binned into 250 steps of 4 ms, as the
published BRF reference code does. Counted from 0, step i takes the spikes with
``(i - 1) * 4 ms < t <= i * 4 ms``: step 0 those at t = 0 alone, and none takes those after
996 ms. Several spikes of a channel in a step count once. Unit k >= 1 is channel 700 - k; unit 0 is
dropped, so that no spike ever comes on channel 0 unless there is a unit 700.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from brf_lava.data.arrays import damaged
from brf_lava.data.dataset import Dataset, DataSource, Split, fingerprint
from brf_lava.data.places import DATA_VARIABLE, NotHereError, first_complete, look
from brf_lava.data.task import TaskSpec
from brf_lava.errors import DataError

SHD = TaskSpec(
    name="shd",
    inputs=700,
    classes=tuple(map(str, range(20))),
    steps=250,
    step_seconds=0.004,
)
FILES = ("shd_train.h5", "shd_test.h5")
FOLDERS = ("", "shd", "hdspikes", "SHD")
BLOCK = 256  # samples whose spikes are in memory at once
LAST = (SHD.steps - 1) * SHD.step_seconds  # s, the end of the last step
LATE = 0.5  # of the spikes; with more of them after LAST, the times cannot be what they should
HOW_TO_GET = (
    f"get it with 'brf-lava data fetch shd', or pass --data (or set {DATA_VARIABLE} to) the "
    f"folder with {FILES[0]} and {FILES[1]}"
)


def load(data: Path | None = None) -> Dataset:
    """SHD from the first place in `places.look`; labels uint8 [B, 1].

    Takes 1 byte per step and channel: 1.8 GB for the published files.
    Raises: DataError if it is nowhere or damaged.
    """
    files = look(data, find_files)
    if files is None:
        raise DataError(f"task {SHD.name}: SHD is not on this computer; {HOW_TO_GET}.")
    train, test = (read_split(file) for file in files)
    notices = (_empty_notice(file, split) for file, split in zip(files, (train, test), strict=True))
    description = (
        f"Spiking Heidelberg Digits ({FILES[0]}, {FILES[1]}): {len(train.x)} training and "
        f"{len(test.x)} test recordings"
    )
    source = DataSource("shd", description, fingerprint(train, test))
    return Dataset(
        SHD.name,
        SHD.classes,
        SHD.step_seconds,
        train,
        test,
        source,
        notices=tuple(notice for notice in notices if notice),
    )


def find_files(place: Path, where: str) -> list[Path]:
    """The training and the test file at `place`, a folder or one of the two files.

    where: how the user named the place, for the message. Raises: as `places.look` expects.
    """
    if not os.path.exists(place):
        raise DataError(f"{where}: {place} does not exist. For SHD, {HOW_TO_GET}.")
    is_folder = os.path.isdir(place)
    if not is_folder and place.name not in FILES:
        raise DataError(
            f"{where}: {place} is not a file of SHD; must be {FILES[0]} or {FILES[1]}, or the "
            "folder of both. Name one of these."
        )
    files = first_complete(
        place if is_folder else place.parent, FOLDERS if is_folder else ("",), FILES
    )
    if not files:
        raise NotHereError(
            f"{where}: {place} comes without both {FILES[0]} and {FILES[1]}. "
            f"{HOW_TO_GET[0].upper()}{HOW_TO_GET[1:]}."
        )
    return files


def read_split(path: Path) -> Split:
    """One file: ``spikes/times`` (s) and ``spikes/units``, a list each per sample, and ``labels``.

    Raises: DataError for a file that cannot be read or does not hold these, and for one whose
    spikes mostly come after the last step: its times are of another unit or origin.
    """
    import h5py

    try:
        with path.open("rb"):
            pass
        with h5py.File(path, "r") as file:
            return _read(file, path)
    except DataError:
        raise
    except PermissionError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}). Check its rights.") from None
    except Exception as error:  # damage surfaces in HDF5 as errors of many kinds
        expected = "spikes/times, spikes/units and labels in HDF5"
        raise damaged(path, f"damage ({type(error).__name__})", expected) from None


def bin_spikes(
    times: npt.NDArray[np.floating[Any]], units: npt.NDArray[Any]
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Step and channel of each spike that falls into one; times in s, units 0 to 700.

    The edges are rounded to the type of `times`, half precision in the published files: there a
    spike "at 4 ms" is one at the half-precision number nearest to it, and in step 1.
    """
    edges = np.array([step * SHD.step_seconds for step in range(SHD.steps)]).astype(times.dtype)
    steps = np.searchsorted(edges, times, side="left")  # the first edge that is not before it
    kept = (steps < SHD.steps) & (units > 0)
    return steps[kept].astype(np.int64), SHD.inputs - units[kept].astype(np.int64)


def _read(file: Any, path: Path) -> Split:
    times, units, labels = file["spikes/times"], file["spikes/units"], file["labels"][()]
    samples = len(labels)
    if not samples or len(times) != samples or len(units) != samples:
        found = f"{len(times)} lists of times, {len(units)} of units and {samples} labels"
        raise damaged(path, found, "as many of each, and at least one")
    if labels.dtype.kind not in "iu" or labels.ndim != 1:
        raise damaged(path, f"labels {labels.dtype} {list(labels.shape)}", "integers [B]")
    if labels.min() < 0 or labels.max() >= len(SHD.classes):
        expected = f"0 to {len(SHD.classes) - 1}"
        raise damaged(path, f"labels from {labels.min()} to {labels.max()}", expected)
    x = np.zeros((samples, SHD.steps, SHD.inputs), dtype=np.int8)
    earliest, latest = np.inf, -np.inf
    spikes = late = placed = 0
    for start in range(0, samples, BLOCK):
        block = slice(start, start + BLOCK)
        pairs = zip(times[block], units[block], strict=True)
        for sample, (when, which) in enumerate(pairs, start):
            _check_spikes(when, which, path, sample)
            steps, channels = bin_spikes(when, which)
            x[sample, steps, channels] = 1
            placed += len(steps)
            if when.size:
                earliest, latest = min(earliest, float(when.min())), max(latest, float(when.max()))
                spikes, late = spikes + when.size, late + int((when > LAST).sum())
    if late > LATE * spikes or not placed:
        found = f"times from {earliest:g} to {latest:g}" if spikes else "no spike at all"
        raise DataError(
            f"{path}: spikes/times: {found}; must be s from the start of each recording, 0 to "
            f"about 1, but {placed} of {spikes} spikes fall into a step, the last of which ends at "
            f"{LAST:g} s. Convert them, or get the published file: brf-lava data fetch shd."
        )
    return Split(x, labels.astype(np.uint8)[:, None])


def _check_spikes(times: Any, units: Any, path: Path, sample: int) -> None:
    where = f"of sample {sample}"
    if times.dtype.kind != "f" or units.dtype.kind not in "iu" or times.shape != units.shape:
        found = f"times {times.dtype} {list(times.shape)}, units {units.dtype} {list(units.shape)}"
        raise damaged(path, f"{found} {where}", "as many real times as integer units")
    if not np.isfinite(times).all():
        raise damaged(path, f"a time {where} that is not finite", "times in s")
    if times.size and times.min() < 0:
        found = f"a time {where} of {times.min():g}"
        raise damaged(path, found, "s from the start of the recording, 0 to about 1")
    if units.size and (units.min() < 0 or units.max() > SHD.inputs):
        found = f"units from {units.min()} to {units.max()} {where}"
        raise damaged(path, found, f"0 to {SHD.inputs}")


def _empty_notice(path: Path, split: Split) -> str | None:
    """One line about samples without any spike, or None."""
    empty = np.flatnonzero(~split.x.any(axis=(1, 2)))
    if not len(empty):
        return None
    return (
        f"{path.name}: {len(empty)} of {len(split.x)} recordings have no spike in any step, sample "
        f"{empty[0]} first."
    )
