"""Name the wave at every sample of an unlabeled ECG record, with a network for the ecg task.

The record is encoded as the network's training data were: windows of 1300 steps, each normalized by
itself and run from zero state. They follow each other; the last one ends with the record, and a
record shorter than one window is padded with its last value. Where labels trailed the signal in
training by a delay, the class of a step is read that much later, and windows overlap by the delay.
A window with an invalid sample or a flat lead is not classified.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from numpy.typing import NDArray

from brf_lava.ecg.level_cross import Encoder
from brf_lava.ecg.marks import OFFSET, ONSET, WAVE_NUMBERS, Mark, marks, waves_from_labels
from brf_lava.ecg.signal import (
    FS,
    Encoding,
    Leads,
    Record,
    encode_windows,
    read_record,
    record_path,
    usable,
)
from brf_lava.ecg.spec import ECG
from brf_lava.ecg.synthetic import LEADS
from brf_lava.errors import DataError, NetworkFileError, ParameterError
from brf_lava.io.files import Kind, replacing, write_bytes
from brf_lava.network.activity import Activity
from brf_lava.network.decision import UNLABELED, Decision
from brf_lava.network.layers import FixedNetwork

EXTENSION = "brf"  # of the annotation file; the wfdb package writes letters only
BATCH = 64  # windows in one run
TABLE = Kind("a table of waves of brf-lava", b"", "sample,time_s,class\n")
MARKS = Kind("an annotation file of brf-lava", rb"\0X.{2}", "## time resolution: ")

Run = Callable[[NDArray[np.int8]], Activity]


@dataclass(frozen=True, eq=False)
class RecordLabels(Record):
    """A record and its classes."""

    steps: NDArray[np.uint8]  # classes [T] at 250 Hz, `UNLABELED` where it was not classified
    windows: int  # that were run
    skipped: int  # windows with an invalid sample or a flat lead
    sops: float  # hidden spikes per window that was run

    @property
    def labels(self) -> NDArray[np.uint8]:
        """The class of every sample of the record, uint8 [samples]."""
        nearest = np.rint(np.arange(self.samples) * (FS / self.fs)).astype(np.int64)
        return np.asarray(self.steps[np.minimum(nearest, len(self.steps) - 1)])

    def marks(self) -> tuple[Mark, ...]:
        """The wave marks that the classes describe, at steps of 250 Hz."""
        return tuple(marks(waves_from_labels(self.steps, self.signal[:, 0])))

    def samples_of(self, marks: tuple[Mark, ...]) -> NDArray[np.int64]:
        """The samples of the record nearest to marks."""
        steps = np.array([mark.step for mark in marks], dtype=np.float64)
        nearest = np.rint(steps * (self.fs / FS)).astype(np.int64)
        return np.asarray(np.minimum(nearest, self.samples - 1))


def classify_record(
    network: FixedNetwork,
    record: Path,
    run: Run,
    *,
    leads: Leads | None = None,
    batch: int = BATCH,
    on_window: Callable[[int, int], object] = lambda done, total: None,
) -> RecordLabels:
    """Classify every step of a record.

    Args:
        run: Returns the activity of `network` on spikes int8 [1300, B, 4], on any backend.
        batch: Most windows in one call of `run`.
        on_window: Called with the number of windows that are done, and of all windows.

    Raises:
        NetworkFileError: The network is not for the ecg task.
        DataError: As `read_record`; also if no window can be classified.
    """
    check_network(network, "classify")
    encoding = encoding_of(network)
    source = read_record(record_path(record), leads)
    starts, padded = place_windows(source.signal, encoding.delay)
    steps = np.full(len(source.signal), UNLABELED, dtype=np.uint8)
    windows = spikes = 0
    for first in range(0, len(starts), batch):
        chosen = starts[first : first + batch]
        signal = padded[chosen[:, None] + np.arange(ECG.steps)]
        good = usable(signal)
        if good.any():
            x = encode_windows(signal[good], encoding.threshold)
            activity = run(np.ascontiguousarray(x.transpose(1, 0, 2)))
            spikes += int(activity.hidden_spikes.sum())
            predictions = Decision().predict(activity.outputs).astype(np.uint8)
            # What a window says at step t is about its step t - delay; the first window that says
            # something about a step decides.
            for start, classes in zip(chosen[good], predictions[:, encoding.delay :], strict=True):
                free = steps[start : start + len(classes)]
                np.copyto(free, classes[: len(free)], where=free == UNLABELED)
            windows += int(good.sum())
        on_window(first + len(chosen), len(starts))
    if not windows:
        raise DataError(
            f"{record}: every window of {ECG.steps} steps has invalid samples or a flat lead, so "
            "that nothing can be classified. Check the record's signals."
        )
    skipped, sops = len(starts) - windows, spikes / windows
    return RecordLabels(**vars(source), steps=steps, windows=windows, skipped=skipped, sops=sops)


def check_network(network: FixedNetwork, what: str, classes: int = len(ECG.classes)) -> None:
    """Raises: NetworkFileError unless the network is for the ecg task, which `what` needs."""
    found = (network.provenance.get("task"), network.inputs, network.classes)
    if found != (ECG.name, ECG.inputs, classes):
        raise NetworkFileError(
            f"{what}: the network is for task {found[0]!r} with {found[1]} inputs and {found[2]} "
            f"classes; one for {ECG.name}, {ECG.inputs} inputs and {classes} classes is "
            "needed. Name such a network."
        )


def encoding_of(network: FixedNetwork) -> Encoding:
    """The encoding of the data that a network was trained on, from its provenance."""
    return Encoding.of(str(network.provenance.get("data", {}).get("kind", "")))


def place_windows(
    signal: NDArray[np.float64], delay: int
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """The first steps of the windows of a signal [T, leads], and the signal, padded at its end.

    A class is read `delay` steps late, so the signal must go on for that long after its end.
    """
    missing = max(ECG.steps, len(signal) + delay) - len(signal)
    signal = np.concatenate([signal, np.repeat(signal[-1:], missing, axis=0)])
    last = len(signal) - ECG.steps
    starts = np.arange(0, last, ECG.steps - delay, dtype=np.int64)
    return np.append(starts, last), signal


def write_csv(labels: RecordLabels, path: Path) -> None:
    """Write one row per sample: its number, its time in s, its class or nothing."""
    names = np.full(UNLABELED + 1, "", dtype=object)
    names[: len(ECG.classes)] = ECG.classes
    with replacing(path, TABLE) as temporary, temporary.open("w", encoding="utf-8") as file:
        file.write(TABLE.mark)
        rows = enumerate(names[labels.labels])
        file.writelines(f"{i},{i / labels.fs:.6f},{name}\n" for i, name in rows)


def annotation_path(prefix: Path, record: str) -> Path:
    """Where the annotations go: ``prefix.brf``, also if `prefix` ends so; or into the folder
    `prefix` under the record's name, where WFDB programs look for them."""
    prefix = prefix / record if prefix.is_dir() else prefix
    return prefix.with_name(f"{prefix.name.removesuffix(f'.{EXTENSION}')}.{EXTENSION}")


def write_annotation(labels: RecordLabels, path: Path) -> int:
    """Write the waves, one or more, as a WFDB annotation file, and return how many marks it has.

    "(" and ")" have the number of their wave, as in the QT database. path: of `annotation_path`.
    Raises: BrfLavaError if the file cannot be written.
    """
    import wfdb

    waves = labels.marks()
    numbers = [WAVE_NUMBERS[m.wave] if m.symbol in (ONSET, OFFSET) else 0 for m in waves]
    with TemporaryDirectory() as folder:
        wfdb.wrann(
            "labels",
            EXTENSION,
            sample=labels.samples_of(waves),
            symbol=[mark.symbol for mark in waves],
            num=np.array(numbers),
            fs=labels.fs,
            write_dir=folder,
        )
        write_bytes(path, (Path(folder) / f"labels.{EXTENSION}").read_bytes(), MARKS)
    return len(waves)


class LiveEcg:
    """A live ECG as spikes, sample by sample, as the training data of the ecg task were encoded.

    There each window of 5.2 s was divided by its own standard deviation, which nobody knows before
    the window is over. So a live signal is divided by a given scale. The mean need not be known:
    only changes count.

    Args:
        network: One for the ecg task; the threshold is that of its training data.
        scale: Standard deviation of each lead in some seconds before, in the unit of the signal.

    Raises:
        NetworkFileError: The network is another one.
        ParameterError: The scale is not `LEADS` positive numbers.
    """

    def __init__(self, network: FixedNetwork, scale: Sequence[float]) -> None:
        check_network(network, "--lead-scale", network.classes)
        if len(scale) != LEADS or not all(0 < value < np.inf for value in scale):
            raise ParameterError(
                f"--lead-scale {','.join(f'{value:g}' for value in scale)}: {LEADS} positive "
                "numbers are needed, the standard deviation of each lead."
            )
        self._scale = np.array(scale, dtype=np.float64)
        self._threshold = encoding_of(network).threshold
        self.reset()

    def reset(self) -> None:
        """The next sample is the first one of another signal."""
        self._encoder = Encoder(self._threshold)

    def push(self, sample: Sequence[float]) -> list[int]:
        """The inputs of the step, from the next sample, one finite number per lead, at 250 Hz."""
        spikes: list[int] = self._encoder.push(np.array(sample, np.float64) / self._scale).tolist()
        return spikes
