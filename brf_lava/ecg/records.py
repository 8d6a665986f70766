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
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from brf_lava.data.dataset import Dataset, Split, fingerprint
from brf_lava.ecg.prepare import Prepared, Segments, joined
from brf_lava.ecg.signal import FS, Encoding
from brf_lava.ecg.spec import ECG
from brf_lava.errors import DataError
from brf_lava.io.files import HDF5, HDF5_SUFFIXES, Kind, write_bytes
from brf_lava.io.foreign import reading
from brf_lava.versions import versions

FORMAT = "brf-lava-ecg-records"
KIND = Kind("a file of prepared records of brf-lava", HDF5, FORMAT, HDF5_SUFFIXES)
SCHEMA = 1


def write_prepared(prepared: Prepared, path: Path) -> None:
    """Write a prepared data set, replacing `path` only when all of it is written."""
    import h5py

    train, test = joined(prepared.train), joined(prepared.test)
    source = {
        "settings": asdict(prepared.settings),
        "versions": {**versions(), **{name: version(name) for name in ("scipy", "wfdb")}},
        "skipped": dict(prepared.skipped),
    }
    buffer = io.BytesIO()  # on a full disk the HDF5 library would crash
    with h5py.File(buffer, "w") as file:
        about = {"format": np.bytes_(FORMAT), "schema": SCHEMA, "fs": FS}
        about |= vars(prepared.settings.encoding) | {"seed": prepared.settings.seed}
        file.attrs.update({**about, "fingerprint": np.bytes_(fingerprint(train, test))})
        text = json.dumps(source, sort_keys=True)
        file.create_dataset("source", data=np.bytes_(text))  # an attribute holds 64 KiB at most
        _write_half(file.create_group("train"), train, prepared.train)
        _write_half(file.create_group("test"), test, prepared.test)
    write_bytes(path, buffer.getvalue(), KIND)


def load_prepared(path: Path) -> Dataset:
    """Read a file of `write_prepared`, unlabeled steps as they are stored. Raises: DataError."""
    from brf_lava.io.hdf5 import open_hdf5

    with (
        reading(path, "a file of prepared records, as 'brf-lava data prepare ecg' writes"),
        open_hdf5(path) as file,
    ):
        if (kind := file.attrs["format"]) != FORMAT.encode():
            raise ValueError(f"format {kind!r:.80}")
        if (schema := file.attrs["schema"]) != SCHEMA:
            writer = json.loads(file["source"][()])["versions"]["brf_lava"]
            raise DataError(
                f"{path}: schema {schema!s:.80}, this version reads {SCHEMA}. It was written by "
                f"brf-lava {writer!s:.80}: use that version, or prepare the records again."
            )
        halves = (file["train"], file["test"])
        train, test = (Split(half["x"][()], half["y"][()]) for half in halves)
        if fingerprint(train, test) != file.attrs["fingerprint"].decode():
            raise ValueError("its arrays do not have the stored fingerprint")
        encoding = Encoding(float(file.attrs["threshold"]), int(file.attrs["delay"]))
        counts = [len(file[half]["records"]) for half in ("train", "test")]
        seed = int(file.attrs["seed"])
    trail = f", labels trail by {encoding.delay} steps" if encoding.delay else ""
    origin = (
        f"ECG from WFDB records ({path.name}: {counts[0]} records for training, {counts[1]} for "
        f"test, seed {seed}, threshold {encoding.threshold:g}{trail})"
    )
    return ECG.dataset(train, test, encoding.kind, origin, "segments")


def _write_half(group: Any, split: Split, half: tuple[Segments, ...]) -> None:
    for name, array in (("x", split.x), ("y", split.y)):
        group.create_dataset(name, data=array, compression="gzip", shuffle=True, fletcher32=True)
    group.create_dataset("records", data=np.array([s.name.encode() for s in half]))
    counts = [len(segments.x) for segments in half]
    group.create_dataset("record", data=np.repeat(np.arange(len(half), dtype=np.int32), counts))
    group.create_dataset("start", data=np.concatenate([segments.starts for segments in half]))
