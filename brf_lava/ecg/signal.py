"""The signal of a WFDB record at the rate of the ECG task, and its spikes.

Read with the `wfdb` package: a header ``NAME.hea`` and the signal file that it names. The first two
signals are the leads unless others are named. A record of another sampling frequency is resampled
by a polyphase filter.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np
import numpy.typing as npt

from brf_lava.ecg.level_cross import encode
from brf_lava.ecg.spec import ECG
from brf_lava.ecg.synthetic import LEADS, THRESHOLD, normalize
from brf_lava.errors import DataError, ParameterError
from brf_lava.io.extras import require_extra
from brf_lava.io.foreign import check_regular, guarded, reading
from brf_lava.io.printable import brief

FS = round(1 / ECG.step_seconds)  # Hz
LEAST_FS = 100.0  # Hz; a QRS complex lasts about 0.1 s, and below that it is a few samples
MOST_FS = 20_000.0  # Hz; above, the header is more likely damaged than right
RESAMPLING_DENOMINATOR = 1000  # largest, of the fraction that stands for a ratio of frequencies
LONGEST_NAME = 255  # of a file
PUBLISHED_DELAY = 19  # steps by which labels trail spikes in the files of Yin et al. 2021
KIND = re.compile(r"wfdb:threshold=([0-9.e+-]+),delay=([0-9]+)")

Signal = npt.NDArray[np.float64]
Leads = tuple[str, str]


@dataclass(frozen=True)
class Encoding:
    """How a signal became the spikes and labels of a data set. Raises: ParameterError."""

    threshold: float = THRESHOLD  # of level-cross encoding, in standard deviations of a lead
    delay: int = 0  # steps by which a label trails the signal that it describes

    def __post_init__(self) -> None:
        if not (0 < self.threshold < np.inf and 0 <= self.delay < ECG.steps):
            raise ParameterError(
                f"threshold {self.threshold}, delay {self.delay}: the threshold must be positive "
                f"and finite, in standard deviations of a lead, the delay 0 to {ECG.steps - 1} "
                f"steps. {THRESHOLD} and 0 suit most records."
            )

    @property
    def kind(self) -> str:
        """As kept in `DataSource.kind`."""
        return f"wfdb:threshold={self.threshold!r},delay={self.delay}"

    @classmethod
    def of(cls, kind: str) -> Encoding:
        """That of a data source, by default with the published delay for the published files."""
        if found := KIND.fullmatch(kind):
            return cls(float(found[1]), int(found[2]))
        return cls(delay=PUBLISHED_DELAY if kind == "qtdb" else 0)


def delay_notice(trained_kind: str, data_kind: str) -> str | None:
    """A line about labels that trail by another delay than those a network learned, or None.

    Both are a `DataSource.kind`: of its training data, and of the data that it runs on.
    """
    learned, here = (Encoding.of(kind).delay for kind in (trained_kind, data_kind))
    if learned == here:
        return None
    return (
        f"the network learned labels that trail the signal by {learned} steps; those of this data "
        f"trail by {here}, which lowers its accuracy. Prepare records with 'brf-lava data prepare "
        f"ecg --delay {learned}'."
    )


@dataclass(frozen=True, eq=False)
class Record:
    """One record."""

    name: str
    signal: Signal  # the two leads [T, 2] at `FS`, in the record's unit, NaN where it is invalid
    fs: float  # sampling frequency of the file, Hz
    samples: int  # of the file, per lead
    leads: tuple[str, ...]  # names of the two leads in the header, or their numbers
    signals: tuple[str, ...]  # the same of all signals of the record
    comments: tuple[str, ...]  # lines of the header


def record_path(path: Path) -> Path:
    """The record that a user named, with or without the suffix of its header or signal file."""
    return path.with_suffix("") if path.suffix in (".hea", ".dat") else path


def parse_leads(text: str | None) -> Leads | None:
    """Two leads out of ``II,V5``. Raises: ParameterError for anything but two different ones."""
    if text is None:
        return None
    names = tuple(name.strip() for name in text.split(","))
    if len(names) != LEADS or len(set(names)) != LEADS or not all(names):
        raise ParameterError(
            f"--leads {text}: must be two different signals, separated by a comma: their names in "
            "the header, or their numbers, 0 the first, such as II,V5 or 0,1."
        )
    return names[0], names[1]


def read_record(path: Path, leads: Leads | None = None) -> Record:
    """Read a record. path: of `record_path`. leads: of `parse_leads`; None for the first two.

    Raises: DataError if a file is missing, damaged or too short; or the record does not have two
    leads, or not these, or its sampling frequency does not fit.
    """
    header = path.parent / f"{path.name}.hea"  # for a path without a name, too
    require_extra("records", "wfdb")
    with reading(header, "a WFDB header", remedy="Name a complete WFDB record, without .hea."):
        return guarded(_read_record, path, header, leads)


def _read_record(path: Path, header: Path, leads: Leads | None) -> Record:
    import wfdb

    fields = wfdb.rdheader(str(path), rd_segments=True)
    for part in (fields, *(getattr(fields, "segments", None) or ())):
        for name in getattr(part, "file_name", None) or ():
            if Path(name).name != name or len(name) > LONGEST_NAME:
                raise ValueError(f"its signal file {brief(name)} is in another folder")
            check_regular(path.parent / name)
    count, fs = fields.n_sig or 0, fields.fs or 0
    if count < LEADS or not LEAST_FS <= fs <= MOST_FS or fields.sig_len == 0:
        raise DataError(
            f"{header}: {count} signals of {fields.sig_len} samples, {fs:g} per second; must be "
            f"{LEADS} or more, not empty, {LEAST_FS:g} to {MOST_FS:g} per second. Leave the record "
            "out, or correct the header."
        )
    names = getattr(fields, "sig_name", None) or [None] * count  # none where it has segments
    signals = tuple(str(name or number) for number, name in enumerate(names))
    channels = list(range(LEADS))
    if leads is not None:
        channels = [_channel(lead, signals, header) for lead in leads]
        if channels[0] == channels[1]:
            raise DataError(f"{header}: --leads {','.join(leads)} are one signal. Name two.")
    with reading(header, f"the header of its signal file, of {fields.sig_len} samples"):
        signal = np.asarray(wfdb.rdrecord(str(path), channels=channels).p_signal, dtype=np.float64)
    return Record(
        name=path.name,
        signal=resample(signal, float(fs)),
        fs=float(fs),
        samples=len(signal),
        leads=tuple(signals[channel] for channel in channels),
        signals=signals,
        comments=tuple(fields.comments),
    )


def resample(signal: Signal, fs: float) -> Signal:
    """A signal [N, leads] of `fs` Hz at `FS`; an invalid sample (NaN) makes its neighbors so."""
    ratio = Fraction(FS / fs).limit_denominator(RESAMPLING_DENOMINATOR)
    if ratio == 1:
        return signal
    from scipy.signal import resample_poly

    level = np.nanmean(signal, axis=0) if np.isfinite(signal).any(axis=0).all() else 0.0
    # About its level, not about zero: the filter takes the signal for zero outside the record.
    return np.asarray(resample_poly(signal - level, ratio.numerator, ratio.denominator) + level)


def usable(windows: Signal) -> npt.NDArray[np.bool_]:
    """Which of the windows [B, T, leads] can be normalized: all valid, and no lead flat."""
    finite = np.asarray(np.isfinite(windows).all(axis=(1, 2)))
    spread = np.ptp(np.where(finite[:, None, None], windows, 0.0), axis=1)
    return np.asarray(finite & (spread > 0).all(axis=1))


def encode_windows(windows: Signal, threshold: float) -> npt.NDArray[np.int8]:
    """Spikes int8 [B, T, 4] of usable windows [B, T, 2], each normalized by itself."""
    return encode(normalize(windows), threshold)


def _channel(lead: str, signals: tuple[str, ...], header: Path) -> int:
    """The number of the signal of this name, or else of this number."""
    named = [number for number, name in enumerate(signals) if name.lower() == lead.lower()]
    if len(named) == 1:
        return named[0]
    if lead.isdecimal() and int(lead) < len(signals):
        return int(lead)
    raise DataError(
        f"{header}: {len(named) or 'no'} signals {lead!r}; there are {', '.join(signals)}. Name "
        f"two of them with --leads, or their numbers, 0 to {len(signals) - 1}."
    )
