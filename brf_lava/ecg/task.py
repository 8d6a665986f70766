"""The ECG task: name the wave, P, PQ, QR, RS, ST or TP, at each of 1300 steps of 4 ms.

The data are the preprocessed QT database of Yin et al. 2021, records prepared with ``brf-lava data
prepare ecg`` or, where neither is at hand, a synthetic ECG of the same shape (`ecg.synthetic`).
Which of these is recorded in `DataSource`.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from brf_lava.data.dataset import Dataset, Split
from brf_lava.data.places import DATA_VARIABLE, DataFiles
from brf_lava.ecg import synthetic as synthetic_ecg
from brf_lava.ecg.spec import ECG
from brf_lava.io.files import HDF5_SUFFIXES
from brf_lava.io.foreign import guarded, reading
from brf_lava.network.decision import UNLABELED

TRAIN_FILE, TEST_FILE = "QTDB_train.mat", "QTDB_test.mat"
STORED_STEPS = ECG.steps + 1  # the last one is an end marker
FILES = DataFiles(
    needs=f"{TRAIN_FILE} and {TEST_FILE}, or a .h5 of prepared records",
    choices=((TRAIN_FILE, TEST_FILE),),
    folders=("", "qtdb"),
    get="The two files, the preprocessed QT database of Yin et al. 2021, come with the published "
    f"BRF reference code: name their folder with --data or {DATA_VARIABLE}. Or make a .h5 of raw "
    "records: brf-lava data fetch ecg, then brf-lava data prepare ecg --records FOLDER.",
    suffixes=HDF5_SUFFIXES,
)


def load(data: Path | None = None, *, unlabeled: str | None = None) -> Dataset:
    """Load the ECG data set that `DataFiles.find` finds, else the synthetic ECG.

    Args:
        data: The folder of the two files of the QT database, one of them, or a .h5 that ``brf-lava
            data prepare ecg`` wrote.
        unlabeled: What steps without a label count as, see `Dataset.with_unlabeled`; None is
            "first-class" for the preprocessed QT database, as published, and "mask" for prepared
            records.

    Raises:
        DataError: A file is damaged, or a place that was named does not have the files: it is
            never replaced by the synthetic ECG.
    """
    files = FILES.find(data)
    if not files:
        dataset = load_synthetic()
    elif len(files) == 2:
        dataset = load_qtdb(files[0], files[1], unlabeled or "first-class")
    else:
        from brf_lava.ecg.records import load_prepared

        dataset = load_prepared(files[0])
    return dataset.with_unlabeled(unlabeled)


def load_synthetic(seed: int = 0) -> Dataset:
    """The synthetic ECG, as many segments as the QT database has."""
    train, test = synthetic_ecg.generate(seed=seed)
    origin = f"synthetic ECG (dynamical model of McSharry et al. 2003, seed {seed})"
    dataset = ECG.dataset(train, test, "synthetic-ecg", origin, "segments")
    notice = (
        "synthetic ECG: its scores say nothing of the published ones; see 'brf-lava data list'."
    )
    return replace(dataset, notices=(notice,))


def load_qtdb(train_file: Path, test_file: Path, unlabeled: str = "first-class") -> Dataset:
    """The preprocessed QT database from its two files. unlabeled: of `Dataset.with_unlabeled`."""
    train, test = read_split(train_file), read_split(test_file)
    files, note = f"{train_file.name}, {test_file.name}", ", unlabeled steps masked"
    if unlabeled == "first-class":  # the published convention needs no mention
        train, test, note = train.filled(), test.filled(), ""
    origin = f"QT database, preprocessed by Yin et al. 2021 ({files})"
    return ECG.dataset(train, test, "qtdb", origin, f"segments{note}")


def read_split(path: Path) -> Split:
    """Read one file: spikes ``x`` [B, 1301, 4] and one-hot labels ``y`` [B, 1301, 6].

    The last step is dropped: there the spikes hold an end marker, -1. A step without any label (8 %
    of the training, 10 % of the test steps, most at the start of a segment) is UNLABELED. The
    published convention makes it class 0, P, an argmax over the row, and published numbers need it:
    `load_qtdb` does so.
    The labels trail the spikes by 19 steps in both files, as segments matched with the raw records
    show. They are left as published.

    Raises:
        DataError: The file cannot be read, or its arrays are not as above.
    """
    import scipy.io

    shape = f"[B, {STORED_STEPS}, {ECG.inputs}], y [B, {STORED_STEPS}, {len(ECG.classes)}]"
    with reading(path, f"a MATLAB file of version 5 with x {shape}, 0 and 1, as published"):
        options = {"appendmat": False, "variable_names": ["x", "y"]}
        content = guarded(scipy.io.loadmat, path, **options)
        x, y = _array(content, "x", ECG.inputs), _array(content, "y", len(ECG.classes))
        if len(x) != len(y):
            raise ValueError(f"{len(x)} segments in x and {len(y)} in y")
        if y.sum(axis=-1).max() > 1:
            raise ValueError("a step marked with several classes in y")
    labels = np.where(y.any(axis=-1), np.argmax(y, axis=-1), UNLABELED).astype(np.uint8)
    return Split(np.ascontiguousarray(x, dtype=np.int8), labels)


def _array(content: dict[str, Any], name: str, channels: int) -> npt.NDArray[Any]:
    """Array `name` without its last step. Raises: ValueError if it is not as published."""
    if name not in content:
        raise ValueError(f"no variable {name}")
    array = np.asarray(content[name])
    if array.dtype.kind not in "iu" or array.shape[1:] != (STORED_STEPS, channels):
        raise ValueError(f"{name} is {array.dtype} {list(array.shape)}")
    array = array[:, : ECG.steps]
    if array.min() < 0 or array.max() > 1:
        raise ValueError(f"values from {array.min()} to {array.max()} in {name}")
    return array
