"""SHD, the Spiking Heidelberg Digits of Cramer et al. 2020: name the spoken digit.

The spikes of 700 channels of an artificial cochlea are binned into 250 steps of 4 ms, as the
published BRF reference code does. Counted from 0, step i takes the spikes with
``(i - 1) * 4 ms < t <= i * 4 ms``: step 0 those at t = 0 alone, and none takes those after
996 ms. Several spikes of a channel in a step count once. Unit k >= 1 is channel 700 - k; unit 0 is
dropped, so that no spike ever comes on channel 0 unless there is a unit 700.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from brf_lava.data.dataset import Dataset, Split, TaskSpec
from brf_lava.data.places import DATA_VARIABLE, DataFiles
from brf_lava.io.foreign import reading

SHD = TaskSpec(
    name="shd",
    inputs=700,
    classes=tuple(map(str, range(20))),
    steps=250,
    step_seconds=0.004,
)
NAMES = ("shd_train.h5", "shd_test.h5")
FILES = DataFiles(
    needs=" and ".join(NAMES),
    choices=(NAMES,),
    folders=("", "shd", "hdspikes", "SHD"),
    get="Get SHD with 'brf-lava data fetch shd', or name its folder with --data or "
    f"{DATA_VARIABLE}.",
)
BLOCK = 256  # samples that are read at once, which is twice as fast as one by one
LAST = (SHD.steps - 1) * SHD.step_seconds  # s, the end of the last step
LATE = 0.5  # of the spikes; with more of them after LAST, the times cannot be what they should
EXPECTED = (
    f"SHD: spikes/times in s from the start of each recording, 0 to about 1, as many spikes/units, "
    f"0 to {SHD.inputs}, and labels, 0 to {len(SHD.classes) - 1}"
)


def load(data: Path | None = None, *, unlabeled: str | None = None) -> Dataset:
    """Load SHD; labels uint8 [B, 1]. Takes 1.8 GB: 1 byte per step and channel."""
    files = FILES.require(data)
    train, test = (read_split(file) for file in files)
    notices = []
    for file, split in zip(files, (train, test), strict=True):
        empty = np.flatnonzero(~split.x.any(axis=(1, 2)))
        if len(empty):
            notices.append(
                f"{file.name}: {len(empty)} of {len(split.x)} recordings have no spike in any "
                f"step, sample {empty[0]} first."
            )
    origin = f"Spiking Heidelberg Digits ({', '.join(NAMES)})"
    dataset = SHD.dataset(train, test, "shd", origin, "recordings", notices=tuple(notices))
    return dataset.with_unlabeled(unlabeled)


def read_split(path: Path) -> Split:
    """Read one file: ``spikes/times`` (s) and ``spikes/units``, a list each per sample; ``labels``.

    Raises: DataError if the file cannot be read or does not hold these, or its spikes mostly come
    after the last step: its times are of another unit or origin.
    """
    from brf_lava.io.hdf5 import open_hdf5

    names = ("spikes/times", "spikes/units", "labels")
    with reading(path, EXPECTED), open_hdf5(path, names) as file:
        times, units, labels = file[names[0]], file[names[1]], file[names[2]][()]
        if labels.dtype.kind not in "iu" or labels.min() < 0 or labels.max() >= len(SHD.classes):
            raise ValueError(f"labels {labels.dtype} from {labels.min()} to {labels.max()}")
        if not len(times) == len(units) == len(labels):
            raise ValueError(f"{len(times)} times, {len(units)} units and {len(labels)} labels")
        x = np.zeros((len(labels), SHD.steps, SHD.inputs), dtype=np.int8)
        counts = np.zeros(3, dtype=np.int64)  # of spikes: all, those after LAST, those in a step
        latest = 0.0
        for start in range(0, len(labels), BLOCK):
            block = slice(start, start + BLOCK)
            pairs = zip(times[block], units[block], strict=True)
            for sample, (when, which) in enumerate(pairs, start):
                in_range = (when >= 0).all() and (which >= 0).all() and (which <= SHD.inputs).all()
                if when.shape != which.shape or not in_range:
                    raise ValueError(
                        f"sample {sample}: {when.size} times from {when.min(initial=0):g}, "
                        f"{which.size} units from {which.min(initial=0)} to {which.max(initial=0)}"
                    )
                steps, channels = bin_spikes(when, which)
                x[sample, steps, channels] = 1
                counts += (when.size, int((when > LAST).sum()), len(steps))
                latest = max(latest, float(when.max(initial=0)))
        spikes, late, placed = counts.tolist()
        if late > LATE * spikes or not placed:
            found = f"{placed} of {spikes} spikes, the last at {latest:g}, fall into a step"
            raise ValueError(f"{found}; the last step ends at {LAST:g} s")
    return Split(x, labels.astype(np.uint8)[:, None])


def bin_spikes(
    times: npt.NDArray[np.floating[Any]], units: npt.NDArray[Any]
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Return the step and channel of each spike that has one; times in s, units 0 to 700.

    The edges are rounded to the type of `times`, half precision in the published files: there a
    spike "at 4 ms" is one at the half-precision number nearest to it, and in step 1.
    """
    edges = np.array([step * SHD.step_seconds for step in range(SHD.steps)]).astype(times.dtype)
    steps = np.searchsorted(edges, times, side="left")  # the first edge that is not before it
    kept = (steps < SHD.steps) & (units > 0)
    return steps[kept].astype(np.int64), SHD.inputs - units[kept].astype(np.int64)
