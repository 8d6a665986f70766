"""The ECG task: name the wave, P, PQ, QR, RS, ST or TP, at each of 1300 steps of 4 ms.

The data are the preprocessed QT database of Yin et al. 2021, records prepared with ``brf-lava data
prepare ecg`` or, where neither is at hand, a synthetic ECG of the same shape (`ecg.synthetic`).
Which of these is recorded in `DataSource`.
"""

from __future__ import annotations

import os
import shlex
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from brf_lava.data.arrays import HDF5_SUFFIXES
from brf_lava.data.dataset import Dataset, DataSource, Split, fingerprint
from brf_lava.data.places import DATA_VARIABLE, NotHereError, cache_folder, first_complete, look
from brf_lava.ecg import synthetic as synthetic_ecg
from brf_lava.ecg.spec import ECG
from brf_lava.errors import DataError
from brf_lava.network.decision import UNLABELED

FILES = TRAIN_FILE, TEST_FILE = "QTDB_train.mat", "QTDB_test.mat"
SUBFOLDER = "qtdb"
STORED_STEPS = ECG.steps + 1  # the last one is an end marker
SYNTHETIC_SEED = 0
HOW_TO_GET = (
    f"pass --data (or set {DATA_VARIABLE} to) the folder with {TRAIN_FILE} and {TEST_FILE}, the "
    "preprocessed QT database of Yin et al. 2021 as shipped with the published BRF reference code"
)
SYNTHETIC_NOTICE = "Using a synthetic ECG: its scores say nothing about the published ones."
RAW_FOLDER = "qtdb-raw"  # in the cache folder, of raw records as fetched


def load(data: Path | None = None, *, unlabeled: str | None = None) -> Dataset:
    """The ECG data set from the first of these places:

    1. `data`, a folder that holds both files, itself or in a sub-folder "qtdb", or one of the two
       files with the other in the same folder, or a .h5 that ``brf-lava data prepare ecg`` wrote;
    2. the same named by the environment variable BRF_LAVA_DATA, unless empty;
    3. ``brf-lava/data`` in the user's cache folder, if both files are there;
    4. the synthetic ECG.

    unlabeled: what steps without a label count as, see `Dataset.with_unlabeled`; None is
    "first-class" for the preprocessed QT database, as published, and "mask" for prepared records.
    Raises: DataError if what 1 or 2 names cannot be used, or a file found is damaged: a place that
    was named is never replaced by the synthetic ECG.
    """
    files = look(data, find)
    if files is None:
        dataset = load_synthetic()
    elif len(files) == 2:
        dataset = load_qtdb(files[0], files[1], unlabeled or "first-class")
    else:
        from brf_lava.ecg.records import load_prepared

        dataset = load_prepared(files[0])
    return dataset.with_unlabeled(unlabeled)


def load_synthetic(seed: int = SYNTHETIC_SEED) -> Dataset:
    """The synthetic ECG, as many segments as the QT database has."""
    train, test = synthetic_ecg.generate(seed=seed)
    description = (
        f"synthetic ECG (dynamical model of McSharry et al. 2003, seed {seed}): "
        f"{len(train.x)} training and {len(test.x)} test segments"
    )
    dataset = _dataset(train, test, "synthetic-ecg", description)
    raw = raw_records(cache_folder())
    how = HOW_TO_GET if raw is None else advice(raw)
    return replace(dataset, notices=(f"{SYNTHETIC_NOTICE} For the real data, {how}.",))


def raw_records(place: Path) -> Path | None:
    """The folder `place`, or the one in it that records are fetched to, if it holds raw records."""
    for folder in (place, place / RAW_FOLDER):
        if next(folder.glob("*.hea"), None) is not None:
            return folder
    return None


def advice(raw: Path) -> str:
    """What to do with a folder of raw records before a network can learn from them."""
    return (
        f"prepare the raw records in {raw}: brf-lava data prepare ecg --records "
        f"{shlex.quote(str(raw))}, and name the .h5 it writes with --data"
    )


def load_qtdb(train_file: Path, test_file: Path, unlabeled: str = "first-class") -> Dataset:
    """The preprocessed QT database from its two files.

    unlabeled: as in `Dataset.with_unlabeled`. Raises: DataError as `read_split` does.
    """
    train, test = read_split(train_file), read_split(test_file)
    description = (
        f"QT database, preprocessed by Yin et al. 2021 ({train_file.name}, {test_file.name}): "
        f"{len(train.x)} training and {len(test.x)} test segments"
    )
    if unlabeled == "first-class":  # the published convention needs no mention
        train, test = (
            Split(split.x, np.where(split.y == UNLABELED, np.uint8(0), split.y))
            for split in (train, test)
        )
        return _dataset(train, test, "qtdb", description)
    description += ", unlabeled steps masked"
    return _dataset(train, test, "qtdb", description).with_unlabeled(unlabeled)


def read_split(path: Path) -> Split:
    """One file: spikes ``x`` [B, 1301, 4] and one-hot labels ``y`` [B, 1301, 6].

    The last step is dropped: there the spikes hold an end marker, -1. A step without any label (8 %
    of the training, 10 % of the test steps, most at the start of a segment) is UNLABELED. The
    published convention makes it class 0, P, an argmax over the row, and published numbers need it:
    `load_qtdb` does so.
    The labels trail the spikes by 19 steps in both files, as segments matched with the raw records
    show. They are left as published.
    Raises: DataError for a file that cannot be read or whose arrays are not as above.
    """
    content = _read_mat(path)
    x = _array(content, path, "x", ECG.inputs)[:, : ECG.steps]
    y = _array(content, path, "y", len(ECG.classes))[:, : ECG.steps]
    if len(x) != len(y):
        raise _damaged(path, f"{len(x)} segments in x and {len(y)} in y", "as many in both")
    for name, array in (("x", x), ("y", y)):
        if array.min() < 0 or array.max() > 1:
            raise _damaged(
                path,
                f"values from {array.min()} to {array.max()} in {name}",
                f"0 and 1 only in the first {ECG.steps} steps",
            )
    marked = int(y.sum(axis=-1).max())
    if marked > 1:
        raise _damaged(path, f"a step marked with {marked} classes in y", "at most one per step")
    labels = np.where(y.any(axis=-1), np.argmax(y, axis=-1), UNLABELED).astype(np.uint8)
    return Split(np.ascontiguousarray(x, dtype=np.int8), labels)


def find(place: Path, where: str) -> list[Path]:
    """The training and the test file at `place`, or the one file of prepared records.

    Args:
        place: A .h5 of prepared records, one of the two files of the QT database, or their folder.
        where: How the user named the place, for the error message.

    Raises:
        DataError: The files are not there, as `places.look` expects.
    """
    if place.suffix in HDF5_SUFFIXES and os.path.isfile(place):
        return [place]
    if not os.path.exists(place):
        raise DataError(f"{where}: {place} does not exist. To use real data, {HOW_TO_GET}.")
    if os.path.isdir(place):
        return _find_in_folder(place, where)
    if place.name not in FILES:
        raise DataError(
            f"{where}: {place} is not a data file of the ecg task; must be {TRAIN_FILE} or "
            f"{TEST_FILE}, the folder of both, or a .h5 of prepared records. Name one of these."
        )
    files = first_complete(place.parent, ("",), FILES)
    if not files:
        missing = TEST_FILE if place.name == TRAIN_FILE else TRAIN_FILE
        raise DataError(
            f"{where}: {missing} is missing in the folder of {place}; both files must be in one "
            "folder. Copy it there."
        )
    return files


def _find_in_folder(folder: Path, where: str) -> list[Path]:
    subfolders = ("", SUBFOLDER)
    if files := first_complete(folder, subfolders, FILES):
        return files
    candidates = [folder / sub / name for sub in subfolders for name in FILES]
    present = next((f"only {file}" for file in candidates if os.path.isfile(file)), None)
    raw = raw_records(folder)
    if raw is not None and not present:
        raise NotHereError(f"{where}: the ecg task does not read raw records; {advice(raw)}.")
    raise NotHereError(
        f"{where}: {folder} holds {present or 'neither data file'}; both {TRAIN_FILE} and "
        f"{TEST_FILE} must be in it or in its sub-folder {SUBFOLDER}. Copy them there."
    )


def _dataset(train: Split, test: Split, kind: str, description: str) -> Dataset:
    source = DataSource(kind, description, fingerprint(train, test))
    return Dataset(ECG.name, ECG.classes, ECG.step_seconds, train, test, source)


def _read_mat(path: Path) -> dict[str, Any]:
    import scipy.io

    try:
        stream = path.open("rb")
    except OSError as error:
        raise DataError(
            f"{path}: cannot be read ({error.strerror}). Check that it exists and that you may "
            "read it."
        ) from error
    with stream:
        try:
            content: dict[str, Any] = scipy.io.loadmat(stream, variable_names=["x", "y"])
        except Exception as error:  # damage surfaces anywhere in scipy, as errors of many kinds
            raise _damaged(path, "no complete MATLAB data", "a MATLAB file of version 5") from error
    return content


def _array(content: dict[str, Any], path: Path, name: str, channels: int) -> npt.NDArray[Any]:
    """Array `name` [B, 1301, channels] of integers. Raises: DataError if it is not that."""
    expected = f"integers [segments, {STORED_STEPS}, {channels}] in {name}"
    if name not in content:
        raise _damaged(path, f"no variable {name}", expected)
    array = content[name]
    if not isinstance(array, np.ndarray) or array.dtype.kind not in "iu":
        raise _damaged(path, f"{getattr(array, 'dtype', type(array).__name__)} in {name}", expected)
    if array.ndim != 3 or len(array) == 0 or array.shape[1:] != (STORED_STEPS, channels):
        raise _damaged(path, f"shape {list(array.shape)} in {name}", expected)
    return array


def _damaged(path: Path, found: str, expected: str) -> DataError:
    return DataError(
        f"{path}: {found}; expected {expected}. The file is damaged or another one: copy it again "
        "from the published BRF reference code."
    )
