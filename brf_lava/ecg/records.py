"""The file of prepared ECG records: an HDF5 file that ``--data`` of the ecg task accepts.

::

    /             attributes: format, schema, fs, threshold, delay, seed, fingerprint
    /source       JSON text: settings, versions, skipped records and why
    /train, /test
        x         [B, 1300, 4] int8 spikes
        y         [B, 1300] uint8 classes, 255 where there is none
        records   [R] names of the records
        record    [B] int32, which of `records` a segment is from
        start     [B] int64, its first step in the record, at 250 Hz

The reader accepts this and nothing else, and recomputes the fingerprint.
"""

from __future__ import annotations

import io
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from brf_lava.data.arrays import HDF5_SUFFIXES
from brf_lava.data.dataset import Dataset, DataSource, Split, fingerprint
from brf_lava.ecg.prepare import Prepared, Segments, joined
from brf_lava.ecg.signal import FS, Encoding
from brf_lava.ecg.spec import ECG
from brf_lava.errors import BrfLavaError, DataError
from brf_lava.io.files import write_bytes
from brf_lava.io.printable import shortened

FORMAT = "brf-lava-ecg-records"
SCHEMA = 1
AGAIN = "Write it again with 'brf-lava data prepare ecg'."


def check_suffix(path: Path) -> None:
    """Raises: DataError for a suffix by which the file is not known as prepared records."""
    if path.suffix not in HDF5_SUFFIXES:
        raise DataError(
            f"{path}: a file of prepared records ends in {' or '.join(HDF5_SUFFIXES)}. Name it so."
        )


def write_prepared(prepared: Prepared, path: Path, versions: dict[str, str]) -> None:
    """Write a prepared data set, replacing `path` only when all of it is written.

    Args:
        prepared: The data set.
        path: Ends in one of `HDF5_SUFFIXES`.
        versions: Of the packages in use; kept in the file.

    Raises:
        DataError: The suffix is another one.
        BrfLavaError: The file cannot be written.
    """
    import h5py

    check_suffix(path)
    train, test = joined(prepared.train), joined(prepared.test)
    encoding = prepared.settings.encoding
    source = {
        "settings": asdict(prepared.settings),
        "versions": versions,
        "skipped": dict(prepared.skipped),
    }
    buffer = io.BytesIO()  # on a full disk the HDF5 library would crash
    with h5py.File(buffer, "w") as file:
        file.attrs["format"] = np.bytes_(FORMAT)
        file.attrs["schema"] = SCHEMA
        file.attrs["fs"] = FS
        file.attrs["threshold"] = encoding.threshold
        file.attrs["delay"] = encoding.delay
        file.attrs["seed"] = prepared.settings.seed
        file.attrs["fingerprint"] = np.bytes_(fingerprint(train, test))
        text = json.dumps(source, sort_keys=True)
        file.create_dataset("source", data=np.bytes_(text))  # an attribute holds 64 KiB at most
        for name, split, half in (("train", train, prepared.train), ("test", test, prepared.test)):
            _write_half(file.create_group(name), split, half)
    write_bytes(path, buffer.getvalue())


def load_prepared(path: Path) -> Dataset:
    """Read a file that `write_prepared` wrote, its unlabeled steps as they are stored.

    Raises: DataError naming what is missing or damaged.
    """
    import h5py

    if not path.is_file():
        raise DataError(f"{path}: {'not a file' if path.exists() else 'no such file'}. {AGAIN}")
    try:
        with h5py.File(path, "r") as file:
            return _read(file, path)
    except BrfLavaError:
        raise
    except Exception as error:  # damage surfaces anywhere in h5py, as errors of many kinds
        raise DataError(
            f"{path}: not a complete file of prepared records ({shortened(error)}). {AGAIN}"
        ) from error


def _write_half(group: Any, split: Split, half: tuple[Segments, ...]) -> None:
    for name, array in (("x", split.x), ("y", split.y)):
        group.create_dataset(name, data=array, compression="gzip", shuffle=True, fletcher32=True)
    group.create_dataset("records", data=np.array([s.name.encode() for s in half]))
    counts = [len(segments.x) for segments in half]
    group.create_dataset("record", data=np.repeat(np.arange(len(half), dtype=np.int32), counts))
    group.create_dataset("start", data=np.concatenate([segments.starts for segments in half]))


def _read(file: Any, path: Path) -> Dataset:
    kind = file.attrs.get("format", b"nothing")
    kind = kind.decode(errors="replace") if isinstance(kind, bytes) else kind
    if kind != FORMAT:
        raise DataError(f"{path}: format {kind!r}, expected {FORMAT!r}. {AGAIN}")
    schema = file.attrs.get("schema")
    if schema != SCHEMA:
        version = json.loads(file["source"][()]).get("versions", {}).get("brf_lava", "unknown")
        raise DataError(
            f"{path}: schema {schema}, this version reads {SCHEMA}. It was written by brf-lava "
            f"{version}: use that version. {AGAIN}"
        )
    halves = tuple(Split(file[name]["x"][()], file[name]["y"][()]) for name in ("train", "test"))
    train, test = halves
    for split in halves:
        _check_split(split, path)
    digest = fingerprint(train, test)
    stored = file.attrs["fingerprint"].decode()
    if digest != stored:
        raise DataError(
            f"{path}: its arrays have the fingerprint {digest[:12]}, not {stored[:12]} as when "
            f"they were written: the file was changed or is damaged. {AGAIN}"
        )
    encoding = Encoding(float(file.attrs["threshold"]), int(file.attrs["delay"]))
    counts = [len(file[name]["records"]) for name in ("train", "test")]
    description = (
        f"ECG from WFDB records ({path.name}: {counts[0]} records for training, {counts[1]} for "
        f"test, seed {int(file.attrs['seed'])}, threshold {encoding.threshold:g}"
        + (f", labels trail by {encoding.delay} steps" if encoding.delay else "")
        + f"): {len(train.x)} training and {len(test.x)} test segments"
    )
    source = DataSource(encoding.kind, description, digest)
    return Dataset(ECG.name, ECG.classes, ECG.step_seconds, train, test, source)


def _check_split(split: Split, path: Path) -> None:
    shape = (ECG.steps, ECG.inputs)
    if split.x.shape[1:] != shape or split.y.shape[1:] != shape[:1]:
        raise DataError(
            f"{path}: x has shape {split.x.shape}, y {split.y.shape}; must be [B, {shape[0]}, "
            f"{shape[1]}] and [B, {shape[0]}]. {AGAIN}"
        )
    if split.x.min() < 0 or split.x.max() > 1:
        raise DataError(
            f"{path}: inputs from {split.x.min()} to {split.x.max()}; spikes are 0 or 1. {AGAIN}"
        )
