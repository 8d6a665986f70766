"""ECG from WFDB records: labels from marks, segments, the prepared file, classified records."""

from __future__ import annotations

import os
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import command_line
import h5py
import numpy as np
import pytest
import wfdb
from click.testing import Result
from hypothesis import given, settings
from hypothesis import strategies as st
from networks import random_network
from wfdb_files import BEAT, beats, ecg_signal, labels_of, write_record

from brf_lava import __version__, report
from brf_lava.backends import engine
from brf_lava.ecg import classify
from brf_lava.ecg import prepare as wfdb_prepare
from brf_lava.ecg import records as wfdb_records
from brf_lava.ecg import task as ecg
from brf_lava.ecg.level_cross import encode
from brf_lava.ecg.marks import (
    Mark,
    P,
    Wave,
    find_waves,
    label_steps,
    marks,
    read_waves,
    waves_from_labels,
)
from brf_lava.ecg.prepare import SUDDEN_DEATH, Settings, patient, read_patients
from brf_lava.ecg.signal import (
    PUBLISHED_DELAY,
    Encoding,
    Record,
    delay_notice,
    parse_leads,
    read_record,
    resample,
)
from brf_lava.ecg.synthetic import THRESHOLD, normalize
from brf_lava.errors import BrfLavaError, DataError, NetworkFileError, ParameterError
from brf_lava.network.activity import Activity
from brf_lava.network.decision import UNLABELED
from brf_lava.network.file import read_network, write_network
from brf_lava.network.layers import FixedNetwork

DATA = os.environ.get("BRF_LAVA_DATA")
ARCHIVE = Path(DATA or "") / "qtdb" / "qtdb-raw.tar.gz"
STEPS = 1300


@contextmanager
def refused(*parts: str, error: type[BrfLavaError] = DataError) -> Iterator[None]:
    """What happens in it must end in one line that says all of `parts`."""
    with pytest.raises(error) as raised:
        yield
    message = str(raised.value)
    assert "\n" not in message
    for part in parts:
        assert part in message, message


def test_waves_whose_onset_or_offset_may_be_missing() -> None:
    p, n = Wave("p", 0, 1, 2), Wave("N", 3, 4, 5)
    t, u = Wave("t", None, 6, 7), Wave("u", None, 8, 9)
    marked: dict[str, list[Wave]] = {
        "(p)(N)t)u)": [p, n, t, u],
        "p(N(t)": [Wave("p", None, 0, None), Wave("N", 1, 2, None), Wave("t", 3, 4, 5)],
        **{f"({beat})": [Wave("N", 0, 1, 2)] for beat in "NBAVQ"},  # each is a QRS complex
        "(+)p)N~)": [Wave("p", None, 3, 4), Wave("N", None, 5, None)],  # + and ~ are of no wave
    }
    for symbols, waves in marked.items():
        assert list(find_waves(list(range(len(symbols))), list(symbols))) == waves


def labels_from(marked: tuple[list[int], list[str]]) -> np.ndarray:
    return label_steps(tuple(find_waves(*marked)), 1300)


def test_u_wave_is_part_of_tp() -> None:
    steps, symbols = beats(2)
    at = symbols.index("t") + 2
    u = steps[at - 1] + 10
    for times, marked in (((u, u + 20), "u)"), ((u - 5, u), "(u")):
        with_u = [*steps[:at], *times, *steps[at:]], [*symbols[:at], *marked, *symbols[at:]]
        assert np.array_equal(labels_from(with_u), labels_from((steps, symbols)))


def test_time_without_a_mark_is_unlabeled() -> None:
    steps, symbols = beats(3)
    second = symbols.index("p", 2) - 1  # a beat without P
    no_p = (steps[:second] + steps[second + 3 :], symbols[:second] + symbols[second + 3 :])
    expected = labels_from((steps, symbols))
    expected[40 + sum(BEAT[:5]) : 40 + sum(BEAT) + sum(BEAT[:2])] = UNLABELED  # T to QRS
    assert np.array_equal(labels_from(no_p), expected)

    steps, symbols = beats(6)
    beat = slice(3 * 8, 4 * 8)  # a beat that may be missing: the eight marks of the fourth
    del steps[beat], symbols[beat]
    labels = labels_from((steps, symbols))
    begin = 40 + 3 * sum(BEAT) - BEAT[5]
    assert (labels[begin : begin + BEAT[5] + sum(BEAT)] == UNLABELED).all()
    assert labels[begin - 1] != UNLABELED
    assert labels[begin + BEAT[5] + sum(BEAT)] == P


durations = st.tuples(
    *[
        st.integers(low, high)
        for low, high in ((5, 30), (1, 20), (3, 15), (3, 15), (5, 80), (40, 60))
    ]
)


@given(st.lists(durations, min_size=2, max_size=6), st.integers(0, 30))
@settings(deadline=None, max_examples=60)
def test_marks_written_from_classes_give_the_classes_back(
    chosen: list[tuple[int, ...]], before: int
) -> None:
    beat_labels = [np.repeat(np.arange(6, dtype=np.uint8), d) for d in chosen]
    labels = np.concatenate([np.full(before, UNLABELED, np.uint8), *beat_labels])
    signal = np.random.default_rng(0).standard_normal(len(labels))
    found = list(marks(waves_from_labels(labels, signal)))
    times = [mark.step for mark in found]
    assert times == sorted(times)
    again = label_steps(tuple(find_waves(times, [m.symbol for m in found])), len(labels))
    known = again != UNLABELED
    assert np.array_equal(again[known], labels[known])
    # Only TP can be lost: after the last beat, and where one beat is much longer than the others
    assert set(labels[~known].tolist()) <= {5, UNLABELED}


def test_waves_from_classes() -> None:
    """The peak is farthest from the line between the ends; fragments are no waves."""
    signal = np.linspace(0, 3, 30)
    signal[11] += 0.5
    assert waves_from_labels(np.zeros(30, np.uint8), signal) == (Wave("p", 0, 11, 30),)
    labels = np.repeat([5, 2, 5, 3, 5, 0, 5, 2, 3, 5], [9, 20, 9, 20, 9, 4, 9, 2, 2, 9])
    assert waves_from_labels(labels.astype(np.uint8), np.zeros(len(labels))) == ()


# Reading records


@pytest.fixture(scope="module")
def records(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six good records of 32 s, 38 beats each, and one sudden-death record."""
    folder = tmp_path_factory.mktemp("records")
    for index, name in enumerate(("a1", "a2", "a3", "a4", "a5", "a6", "sel30")):
        marked = beats(38, first=60 + 5 * index)
        write_record(folder, name, ecg_signal(8000, marked, seed=index), marked)
    return folder


def test_leads_by_name_or_number(tmp_path: Path) -> None:
    signal = np.random.default_rng(0).standard_normal((2000, 4))
    path = write_record(tmp_path, "r", signal)
    leads: dict[str | None, tuple[int, int]] = {
        "lead 3,lead 1": (3, 1),
        "0, 2": (0, 2),
        "LEAD 2,0": (2, 0),
        None: (0, 1),
    }
    for text, channels in leads.items():
        record = read_record(path, parse_leads(text))
        assert (record.name, record.fs, record.samples) == ("r", 250, 2000)
        np.testing.assert_allclose(record.signal, signal[:, channels], atol=0.0006)  # of 0.001
        assert record.leads == tuple(f"lead {channel}" for channel in channels)
        assert record.signals == ("lead 0", "lead 1", "lead 2", "lead 3")
    for wrong, found in (
        (("V5", "0"), "no signals 'V5'; there are lead 0, lead 1, lead 2, lead 3"),
        (("0", "4"), "'4'"),
        (("0", "-1"), "'-1'"),
        (("lead 1", "1"), "lead 1,1 are one signal"),
    ):
        with refused("r.hea", found):
            read_record(path, wrong)
    header = path.with_suffix(".hea")  # a name goes before a number
    header.write_text(header.read_text().replace("lead 0", "2").replace("lead 2", "0"))
    np.testing.assert_allclose(read_record(path, ("2", "0")).signal, signal[:, [0, 2]], atol=0.0006)
    np.testing.assert_allclose(read_record(path).signal, signal[:, :2], atol=0.0006)
    for text in ("", "II", "II,II", "II,", "I,II,III"):
        with refused("--leads", "two different signals", error=ParameterError):
            parse_leads(text)


def test_another_sampling_frequency(tmp_path: Path) -> None:
    def wave(fs: float) -> np.ndarray:
        seconds = np.arange(round(20 * fs)) / fs
        leads = np.sin(2 * np.pi * 3 * seconds), 2 + np.cos(2 * np.pi * 5 * seconds)
        return np.stack(leads, axis=1)

    marked = beats(20)
    for fs in (128.0, 360.0, 1000.0):
        path = write_record(tmp_path, "r", wave(fs), marked, fs=fs)
        record = read_record(path)
        assert len(record.signal) == 20 * 250
        np.testing.assert_allclose(record.signal[50:-50], wave(250.0)[50:-50], atol=0.01)
        found = read_waves(path, "q1c", record.fs, 250)
        shift = [abs(w.peak - v.peak) for w, v in zip(found, find_waves(*marked), strict=True)]
        assert max(shift) <= 1


def test_an_invalid_sample_spoils_only_its_neighborhood() -> None:
    signal = np.random.default_rng(0).standard_normal((3600, 2))
    signal[1800, 0] = np.nan
    bad = np.flatnonzero(np.isnan(resample(signal, 360.0)).any(axis=1))
    assert len(bad)
    assert abs(bad - 1250).max() < 25
    assert np.isfinite(resample(signal, 360.0)[:, 1]).all()


def test_damaged_record(tmp_path: Path) -> None:
    path = write_record(tmp_path, "r", ecg_signal(2000, beats(8)))
    for suffix, content, part in (
        (".hea", None, "No such file"),
        (".hea", b"\x00\xff nothing\n", "r.hea: not a WFDB header"),
        (".hea", b"", "r.hea: not a WFDB header"),
        (".hea", b"r 2 250 2000\n", "r.hea: not the header of its signal file, of 2000 samples"),
        (".dat", None, "r.dat: cannot be read (No such file"),
        (".dat", bytes(4001), "r.hea: not the header of its signal file"),  # half of it
        (".dat", b"", "r.hea: not the header of its signal file"),
    ):
        file = path.with_suffix(suffix)
        whole = file.read_bytes()
        file.unlink() if content is None else file.write_bytes(content)
        with refused(str(path), part):
            read_record(path)
        file.write_bytes(whole)
    signal = ecg_signal(2000, beats(8))
    with refused("one.hea: 1 signals of 2000 samples", "must be 2 or more"):
        read_record(write_record(tmp_path, "one", signal[:, :1]))
    with refused("slow.hea: 2 signals of 2000 samples, 50 per second", "100"):
        read_record(write_record(tmp_path, "slow", signal, fs=50))


def test_damaged_annotations(tmp_path: Path) -> None:
    marked = beats(38)
    path = write_record(tmp_path, "r", ecg_signal(8000, marked), marked)
    file = path.with_suffix(".q1c")
    whole = file.read_bytes()
    cuts = [whole[: 2 * int(keep * len(whole) / 2)] for keep in (0.1, 0.5, 0.9)]
    for content, part in (
        *((content, "no end mark after") for content in cuts),  # between two annotations
        (b"", "no end mark after"),
        (b"\x07", "r.q1c: not a complete WFDB annotation file"),
        (b"\x00\x00", "no QRS complex is marked (symbols found: none)"),
    ):
        file.write_bytes(content)
        with refused("r.q1c", part):
            read_waves(path, "q1c", 250, 250)
    write_record(tmp_path, "s", ecg_signal(2000, beats(8)), ([5, 6, 7], ["+", "~", "("]))
    with refused("s.q1c", "symbols found: +, ~"):
        read_waves(tmp_path / "s", "q1c", 250, 250)
    with refused("r.none: cannot be read (No such file"):
        read_waves(path, "none", 250, 250)


# Patients


def halves(prepared: wfdb_prepare.Prepared, **changes: Any) -> tuple[set[str], set[str]]:
    """The names of the records in each half, split again with other settings."""
    kept = [*prepared.train, *prepared.test]
    train, test = wfdb_prepare.draw_halves(kept, Settings(**changes))
    return {segments.name for segments in train}, {segments.name for segments in test}


def test_patients_that_are_named_stay_together(records: Path, tmp_path: Path) -> None:
    file = tmp_path / "patients.csv"
    file.write_text('Record, Patient\n\na1,x\na2,x\na3,x\nelsewhere,x\n"a4",y\n')
    named = read_patients(file, wfdb_prepare.find_records(records))
    assert named == {"a1": "x", "a2": "x", "a3": "x", "a4": "y"}
    prepared = wfdb_prepare.prepare(records, Settings(), patients=named)
    unknown = next(iter(prepared.notices()))
    assert unknown.startswith("2 of 6 records do not say whose they are (a")
    assert "--patients" in unknown
    for seed in range(8):
        _, test = halves(prepared, seed=seed)
        assert len(test & {"a1", "a2", "a3"}) in (0, 3)


def test_patients_that_cannot_be_read(tmp_path: Path) -> None:
    file = tmp_path / "patients.csv"
    with refused("patients.csv: cannot be read"):
        read_patients(file, ("a1", "a2"))
    for content, part in (
        (b"\xff\xfe", "not a CSV file in UTF-8"),
        (b"", "none of its 0 lines"),
        (b"b1,x\n", "none of its 1 lines"),
        (b"a1,x\na2\n", "'a2' is no record and its one patient"),
        (b"a1,\n", "'a1,' is no record"),
        (b"a1,x\na1,y\n", "'a1,y' is no record"),
    ):
        file.write_bytes(content)
        with refused("patients.csv", part):
            read_patients(file, ("a1", "a2"))


# Cutting, splitting, encoding


def test_segments_follow_each_other_and_are_labeled_enough() -> None:
    labels = np.full(9000, UNLABELED, np.uint8)
    labels[100:4700] = 1
    labels[6000:6500] = 2  # too few for a segment
    labels[7400:8100] = 3
    assert list(wfdb_prepare.cut(labels, STEPS)) == [100, 1400, 2700, 4000, 7400]
    # Whatever the stride, a segment begins at a labeled step and half of it is labeled
    for stride in (1, 300, 650):
        starts = list(wfdb_prepare.cut(labels, stride))
        assert (np.diff(starts) >= stride).all()
        assert all((labels[s : s + STEPS] != UNLABELED).mean() >= 0.5 for s in starts)
        assert all(labels[s] != UNLABELED for s in starts)
    assert list(wfdb_prepare.cut(labels[:STEPS], STEPS)) == []


def test_segments_of_a_record(records: Path) -> None:
    found = wfdb_prepare.read_segments(records / "a1", Settings())
    assert found.x.shape == (len(found.starts), STEPS, 4)
    assert found.starts.tolist() == [60, 1360, 2660, 3960, 5260, 6560]
    signal = read_record(records / "a1").signal
    windows = np.stack([signal[start : start + STEPS] for start in found.starts])
    assert np.array_equal(found.x, encode(normalize(windows), THRESHOLD))
    expected = np.concatenate([labels_of(38), np.full(STEPS, UNLABELED)])
    for start, y in zip(found.starts, found.y, strict=True):
        assert np.array_equal(y, expected[start - 60 : start - 60 + STEPS])

    late = wfdb_prepare.read_segments(records / "a1", Settings(Encoding(delay=19)))
    assert late.starts[0] == found.starts[0] + 19
    assert np.array_equal(late.y[0], found.y[0])
    first = wfdb_prepare.read_segments(records / "a1", Settings(unlabeled="first-class"))
    assert (found.y == UNLABELED).any()
    assert np.array_equal(first.y, np.where(found.y == UNLABELED, 0, found.y))


def test_invalid_and_flat_segments_are_left_out(tmp_path: Path) -> None:
    marked = beats(38)
    signal = ecg_signal(8000, marked)
    signal[500, 1] = np.nan
    signal[2640:3940, 0] = 0.25  # the third segment, flat in one lead
    path = write_record(tmp_path, "r", signal, marked)
    found = wfdb_prepare.read_segments(path, Settings())
    assert found.invalid == 2
    assert found.starts.tolist() == [1340, 3940, 5240, 6540]
    assert found.x.any(axis=(1, 2)).all()
    flat = write_record(tmp_path, "flat", np.ones((8000, 2)), marked)
    with pytest.raises(DataError, match="6 segments of 1300 steps are labeled"):
        wfdb_prepare.read_segments(flat, Settings())
    short = write_record(tmp_path, "short", ecg_signal(8000, beats(3)), beats(3))
    with pytest.raises(DataError, match="0 segments of 1300 steps are labeled"):
        wfdb_prepare.read_segments(short, Settings())


def test_no_record_is_in_both_halves_and_the_seed_decides(records: Path) -> None:
    prepared = wfdb_prepare.prepare(records, Settings(all_records=True))
    assert not prepared.skipped
    names = {"a1", "a2", "a3", "a4", "a5", "a6", "sel30"}
    splits = []
    for seed in (0, 1, 2, 0):
        train, test = halves(prepared, seed=seed, test_share=0.34)
        assert not train & test
        assert train | test == names
        assert len(test) == 3
        splits.append(test)
    assert splits[0] == splits[-1]
    assert len(set(map(frozenset, splits))) > 1
    for share, count in ((0.001, 1), (0.999, 6)):  # neither half is ever empty
        assert len(halves(prepared, test_share=share)[1]) == count


def test_records_that_may_be_of_one_patient_stay_together(tmp_path: Path) -> None:
    same = ["Age: 51  Sex: M", "Angina"]
    comments = {
        "e1": [*same, "Recorder type: A"],
        "e2": [*same, "Recorder type: B", "Produced by xform from record e2"],
        "e3": ["Age: -  Sex: -", "Angina"],
        "e4": ["Age: -  Sex: -", "Angina"],
        "e5": ["Age: 51  Sex: F", "Angina"],
    }
    marked = beats(8)
    for name, lines in comments.items():
        write_record(tmp_path, name, ecg_signal(2000, marked), marked, comments=lines)
    patients = {n: patient(read_record(tmp_path / n), {}) for n in comments}
    assert patients["e1"] == patients["e2"] != patients["e5"]
    assert {n for n in comments if patients[n] is None} == {"e3", "e4"}
    assert patient(read_record(tmp_path / "e1"), {"e1": "me"}) == "me"
    prepared = wfdb_prepare.prepare(tmp_path, Settings())
    for seed in range(10):
        assert len(halves(prepared, seed=seed)[1] & {"e1", "e2"}) != 1


@given(st.floats(1e-9, 1e9), st.integers(0, 1299))
def test_encoding_survives_in_the_kind_of_its_source(threshold: float, delay: int) -> None:
    encoding = Encoding(threshold, delay)
    assert Encoding.of(encoding.kind) == encoding
    for wrong in ((0.0, delay), (np.nan, delay), (threshold, -1), (threshold, 1300)):
        with pytest.raises(ParameterError, match=r"must be positive and finite, .* 0 to 1299"):
            Encoding(*wrong)


def test_labels_that_trail_by_another_delay_are_noticed() -> None:
    late = Encoding(delay=PUBLISHED_DELAY).kind
    delays = {"qtdb": 19, "synthetic-ecg": 0, "mnist": 0, "": 0, Encoding().kind: 0, late: 19}
    for kind, delay in delays.items():
        assert Encoding.of(kind) == Encoding(THRESHOLD, delay), kind
        assert delay_notice(kind, "qtdb" if delay else "mnist") is None
    notice = delay_notice("qtdb", "synthetic-ecg")
    assert notice is not None
    for part in ("by 19 steps", "trail by 0,", "data prepare ecg --delay 19"):
        assert part in notice


# The prepared file


@pytest.fixture(scope="module")
def prepared(records: Path) -> wfdb_prepare.Prepared:
    return wfdb_prepare.prepare(records, Settings(Encoding(0.3, 5), seed=3))


@pytest.fixture
def file(prepared: wfdb_prepare.Prepared, tmp_path: Path) -> Path:
    path = tmp_path / "ecg.h5"
    wfdb_records.write_prepared(prepared, path)
    return path


def test_file_gives_the_data_back(prepared: wfdb_prepare.Prepared, file: Path) -> None:
    data = wfdb_records.load_prepared(file)
    for split, half in ((data.train, prepared.train), (data.test, prepared.test)):
        assert np.array_equal(split.x, np.concatenate([s.x for s in half]))
        assert np.array_equal(split.y, np.concatenate([s.y for s in half]))
    assert Encoding.of(data.source.kind) == Encoding(0.3, 5)
    assert "ecg.h5" in data.source.description
    assert "trail by 5 steps" in data.source.description
    assert str(file.parent) not in data.source.description
    with h5py.File(file) as stored:
        names = [name.decode() for name in stored["test/records"][()]]
        assert names == [s.name for s in prepared.test]
        which, start = stored["test/record"][()], stored["test/start"][()]
        assert [names[i] for i in which] == [s.name for s in prepared.test for _ in s.starts]
        assert np.array_equal(start, np.concatenate([s.starts for s in prepared.test]))
        assert stored.attrs["fs"] == 250
    taken = ecg.load(file)
    assert taken.source == data.source
    assert (taken.train.y == UNLABELED).any()
    assert not (ecg.load(file, unlabeled="first-class").train.y == UNLABELED).any()


def test_damaged_file(file: Path, tmp_path: Path) -> None:
    whole = file.read_bytes()
    for where, value, part in (
        ("train/x", 3, "do not have the stored fingerprint"),
        ("schema", 2, f"schema 2, this version reads 1. It was written by brf-lava {__version__}"),
        ("format", "else", "format 'else'"),
        ("format", None, "not a file of prepared records"),  # deleted
        ("test", None, "not a file of prepared records"),
        ("delay", -4, "delay -4"),
    ):
        file.write_bytes(whole)
        with h5py.File(file, "r+") as stored:
            if where == "train/x":
                stored[where][0, 5, 0] = value
            elif value is None:
                del (stored if where in stored else stored.attrs)[where]
            else:
                stored.attrs[where] = value
        with refused(part, error=BrfLavaError):
            wfdb_records.load_prepared(file)
    file.write_bytes(whole[: len(whole) // 2])
    for path in (file, tmp_path / "none.h5", tmp_path):
        with refused(path.name):
            wfdb_records.load_prepared(path)


# The command


command = partial(command_line.brf_lava, "data", "prepare")


def failed(result: Result, *parts: str) -> None:
    command_line.assert_failed(result, 2, *parts)


def test_command(records: Path, tmp_path: Path) -> None:
    out = tmp_path / "ecg.h5"
    result = command("ecg", "--records", records, "--out", out, "--seed", 1, "--delay", 19)
    command_line.assert_worked(result)
    for part in ("a1 (", "sel30", "sudden-death", "unlabeled", f"Wrote {out}"):
        assert part in result.output
    wfdb_records.KIND.check(out)  # so it can be replaced
    data = wfdb_records.load_prepared(out)
    assert Encoding.of(data.source.kind) == Encoding(delay=19)  # the threshold is the default
    with h5py.File(out) as stored:
        assert stored.attrs["seed"] == 1
        assert b'"wfdb"' in stored["source"][()]
    found = command_line.assert_documented("data prepare", "ecg", "--records", records, "-o", out)
    assert "sel30" in found["left_out"]


def test_records_that_cannot_be_used_are_listed(tmp_path: Path) -> None:
    marked = beats(38)
    folder = tmp_path / "mixed"
    for name in ("good1", "good2", "unmarked", "lost"):
        write_record(folder, name, ecg_signal(8000, marked), marked)
    (folder / "unmarked.q1c").unlink()
    (folder / "lost.dat").unlink()
    write_record(folder, "single", ecg_signal(8000, marked)[:, :1], marked)
    result = command("ecg", "--records", folder, "--out", tmp_path / "ecg.h5")
    command_line.assert_worked(result)
    assert "3 records left out" in result.output
    for part in ("unmarked.q1c: cannot be read", "lost.dat: cannot be read", "1 signals of 8000"):
        assert part in " ".join(result.output.replace("│", " ").split())


def test_leads_and_patients_of_the_command(tmp_path: Path) -> None:
    folder, marked = tmp_path / "records", beats(38)
    breath = np.sin(np.arange(8000) / 400)[:, None]
    for name in ("r1", "r2", "r3"):
        leads = np.concatenate([breath, ecg_signal(8000, marked)], axis=1)
        write_record(folder, name, leads, marked)
    patients = tmp_path / "patients.csv"
    patients.write_text("r1,a\nr2,b\nr3,b\n")
    words = ("--records", folder, "--out", tmp_path / "ecg.h5", "--patients", patients)
    result = command("ecg", *words)
    command_line.assert_worked(result)
    assert "do not say whose" not in result.output
    chosen = command("ecg", *words, "--leads", "1,lead 2")
    command_line.assert_worked(chosen)
    with h5py.File(tmp_path / "ecg.h5") as stored:
        assert b'"leads": ["1", "lead 2"]' in stored["source"][()]
    failed(command("ecg", *words, "--leads", "1"), "--leads 1", "two different")
    failed(command("ecg", *words, "--leads", "1,V5"), "V5")
    failed(command("ecg", *words[:-1], tmp_path / "none.csv"), "none.csv", "cannot be read")


def test_command_refuses(records: Path, tmp_path: Path) -> None:
    out = ("--records", records, "--out", tmp_path / "ecg.h5")
    for folder in (tmp_path / "none", records / "a1.hea", tmp_path):
        failed(command("ecg", *out, "--records", folder), f"--records {folder}: no WFDB record")
    failed(command("ecg", *out, "--out", tmp_path / "ecg.npz"), ".npz", ".h5")
    failed(command("ecg", *out, "--out", tmp_path / "no" / "e.h5"), "not exist")
    for option, value, part in (
        ("--threshold", "-1", "threshold -1"),
        ("--delay", "1300", "delay 1300"),
        ("--test-share", "1", "'--test-share'"),
        ("--stride", "0", "'--stride'"),
        ("--seed", "-1", "'--seed'"),
        ("--test-share", "nan", "'--test-share': nan is not a number"),
        ("--annotator", "../q1c", "0 of 7 records can be used, of fewer than two patients"),
        ("--annotator", "qqq", "0 of 7 records can be used, of fewer than two patients"),
    ):
        failed(command("ecg", *out, option, value), part)
    assert not (tmp_path / "ecg.h5").exists()


# Classifying a record


def ecg_network(kind: str = "qtdb") -> FixedNetwork:
    network = random_network(np.random.default_rng(0), (4, 8, 6))
    provenance = {"task": "ecg", "data": {"kind": kind}}
    return FixedNetwork(network.layers, provenance)


def fake_run(answers: list[np.ndarray]) -> Any:
    """A backend that gives the next windows the next answers, classes [1300]."""
    queue = list(answers)

    def run(x: np.ndarray) -> Activity:
        assert x.dtype == np.int8
        assert x.shape[0] == STEPS
        assert x.shape[2] == 4
        chosen = np.stack([queue.pop(0) for _ in range(x.shape[1])], axis=1)  # [T, B]
        outputs = (chosen[..., None] == np.arange(6)).astype(np.int64)
        return Activity(outputs, (np.ones((STEPS, x.shape[1], 2), np.int8),), 0)

    return run


def test_every_step_gets_its_prediction(tmp_path: Path) -> None:
    for delay, length, batch in ((0, 400, 1), (19, 1300, 3), (0, 3000, 3), (19, 5200, 3)):
        path = write_record(tmp_path, "r", ecg_signal(length, beats(length // 200)))
        truth = np.random.default_rng(1).integers(0, 6, length + STEPS).astype(np.uint8)
        starts, padded = classify.place_windows(np.zeros((length, 2)), delay)
        assert starts[-1] + STEPS == len(padded)
        late = np.concatenate([np.zeros(delay, np.uint8), truth])  # what a delayed network answers
        run = fake_run([late[start : start + STEPS] for start in starts])
        network = ecg_network(Encoding(delay=delay).kind)
        found = classify.classify_record(network, path, run, batch=batch)
        assert np.array_equal(found.steps, truth[:length])
        assert np.array_equal(found.labels, truth[:length])
        assert (found.windows, found.skipped, found.sops) == (len(starts), 0, 2 * STEPS)


def test_windows_are_encoded_as_the_training_data_were(tmp_path: Path) -> None:
    """Those that cannot be encoded have no class."""
    signal = ecg_signal(4 * STEPS, beats(26))
    signal[100] = np.nan
    signal[2 * STEPS : 3 * STEPS, 1] = 0.0
    path = write_record(tmp_path, "r", signal)
    network = ecg_network("synthetic-ecg")
    seen = []

    def run(x: np.ndarray) -> Activity:
        seen.append(x)
        return engine.run(network, x)

    found = classify.classify_record(network, path.with_suffix(".hea"), run)
    assert (found.windows, found.skipped) == (2, 2)
    stored = read_record(path).signal.reshape(4, STEPS, 2)[[1, 3]]
    assert np.array_equal(seen[0].transpose(1, 0, 2), encode(normalize(stored), THRESHOLD))
    classified = (found.steps != UNLABELED).reshape(4, STEPS)
    assert classified.all(axis=1).tolist() == [False, True, False, True]
    assert classified.any(axis=1).tolist() == [False, True, False, True]
    classify.write_csv(found, tmp_path / "out.csv")
    rows = (tmp_path / "out.csv").read_text().splitlines()
    assert rows[1] == "0,0.000000,"
    flat = write_record(tmp_path, "flat", np.ones((3000, 2)))
    with pytest.raises(DataError, match="nothing can be classified"):
        classify.classify_record(network, flat, run)


@pytest.mark.parametrize("fs", [250.0, 360.0])
def test_written_labels_read_back(tmp_path: Path, fs: float) -> None:
    steps = np.concatenate([labels_of(10), np.full(74, 5)]).astype(np.uint8)[:2000]
    samples = round(2000 * fs / 250)
    path = write_record(tmp_path, "r", np.random.default_rng(0).random((samples, 2)), fs=fs)
    starts, _ = classify.place_windows(np.zeros((2000, 2)), 0)
    answers = [steps[start : start + STEPS] for start in starts]
    network = ecg_network("synthetic-ecg")
    found = classify.classify_record(network, path, fake_run(answers))
    assert len(found.labels) == samples

    out = classify.annotation_path(tmp_path, found.name)
    assert out == tmp_path / "r.brf"
    count = classify.write_annotation(found, out)
    annotation = wfdb.rdann(str(path), "brf")
    written = found.marks()
    assert count == len(written) == len(annotation.sample)
    assert annotation.symbol == [mark.symbol for mark in written]
    assert annotation.fs == fs
    assert np.array_equal(annotation.sample, found.samples_of(written))
    numbers = [n for n, s in zip(annotation.num, annotation.symbol, strict=True) if s == "("]
    assert set(numbers) == {0, 1}  # P and QRS; T has no onset
    again = label_steps(read_waves(path, "brf", fs, 250), 2000)
    known = again != UNLABELED
    assert known.mean() > 0.9
    assert np.array_equal(again[known], steps[known])

    classify.write_csv(found, tmp_path / "labels.csv")
    header, *rows = (tmp_path / "labels.csv").read_text().splitlines()
    assert header == "sample,time_s,class"
    cells = [row.split(",") for row in rows]
    assert [int(cell[0]) for cell in cells] == list(range(samples))
    assert [float(cell[1]) for cell in cells] == pytest.approx(np.arange(samples) / fs, abs=1e-6)
    names = np.array(["P", "PQ", "QR", "RS", "ST", "TP"])
    assert [cell[2] for cell in cells] == names[found.labels].tolist()


def test_no_mark_lies_behind_the_record(tmp_path: Path) -> None:
    for fs, samples in ((100.0, 700), (250.0, 701), (257.0, 702), (257.0, 703), (1000.0, 703)):
        length = int(np.ceil(samples * 250 / fs))
        steps = np.full(length, 5, np.uint8)
        steps[-60:-30], steps[-30:] = 3, 4  # a T wave to the very end
        record = Record("r", np.zeros((length, 2)), fs, samples, (), (), ())
        found = classify.RecordLabels(**vars(record), steps=steps, windows=1, skipped=0, sops=0.0)
        ends = found.samples_of((*found.marks(), Mark(length, ")", "t")))
        assert ends[-1] == samples - 1
        assert (np.diff(ends) >= 0).all()
        classify.write_annotation(found, tmp_path / "r.brf")
        assert wfdb.rdann(str(tmp_path / "r"), "brf").sample.max() < samples


def test_network_for_another_task() -> None:
    other = random_network(np.random.default_rng(0), (1, 8, 10))
    network = FixedNetwork(other.layers, {"task": "smnist"})
    with refused("'smnist'", "4 inputs", "6 classes", error=NetworkFileError):
        classify.check_network(network, "classify")
    with pytest.raises(NetworkFileError):
        classify.check_network(FixedNetwork(other.layers, {"task": "ecg"}), "classify")


Classified = partial[Result]


@pytest.fixture(scope="module")
def classified(tmp_path_factory: pytest.TempPathFactory) -> Classified:
    """Calls the command with a network of the task."""
    known = {"task": "ecg", "data": {"kind": "synthetic-ecg"}, "metrics": {}}
    net = tmp_path_factory.mktemp("network") / "net.h5"
    write_network(replace(ecg_network(), provenance=known), net)
    return partial(command_line.brf_lava, "classify", net, "--backend", "engine")


def test_classify_command(classified: Classified, tmp_path: Path) -> None:
    signal = ecg_signal(3 * STEPS, beats(19))
    signal[2 * STEPS + 5] = np.nan
    path = write_record(tmp_path, "r", signal)
    csv = tmp_path / "labels.csv"
    result = classified(path, "--csv", csv)
    assert result.exit_code == 0, result.output
    for part in ("r, 15.6 s", "windows run", "Notice: 1 window has", f"Wrote {csv}: 3,900 samples"):
        assert part in result.output
    assert len(csv.read_text().splitlines()) == 3901
    found = command_line.assert_documented("classify", *classified.args[1:], path)
    assert (found["windows"], found["skipped"]) == (2, 1)


def test_leads_of_a_record_to_classify(classified: Classified, tmp_path: Path) -> None:
    leads, flat = ecg_signal(STEPS, beats(6)), np.zeros((STEPS, 1))
    path = write_record(tmp_path, "two", leads)
    assert "Leads:" not in classified(path, "--csv", tmp_path / "two.csv").output
    path = write_record(tmp_path, "three", np.concatenate([flat, leads], axis=1))
    failed(classified(path), "flat lead")
    chosen = classified(path, "--csv", tmp_path / "three.csv", "--leads", "1,2")
    command_line.assert_worked(chosen)
    assert "Leads: lead 1 and lead 2 of 3 signals." in chosen.output
    assert (tmp_path / "three.csv").read_bytes() == (tmp_path / "two.csv").read_bytes()
    path = write_record(tmp_path, "last", np.concatenate([leads, flat], axis=1))
    default = "lead 0 and lead 1 of 3 signals, the first two; --leads names others"
    assert default in classified(path).output


def test_a_record_without_any_wave_is_no_failure(
    classified: Classified, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_record(tmp_path, "r", ecg_signal(STEPS, beats(6)))
    answer = fake_run([np.full(STEPS, 5, np.uint8)])(np.zeros((STEPS, 1, 4), np.int8))
    monkeypatch.setattr(engine, "run", lambda *_: answer)
    csv = tmp_path / "labels.csv"
    result = classified(path, "--annotations-out", tmp_path, "--csv", csv)
    assert result.exit_code == 0, result.output
    assert f"Wrote {csv}" in result.output
    assert "r.brf is not written" in result.output
    assert "no marks" in result.output
    assert {found.name for found in tmp_path.iterdir()} == {"r.hea", "r.dat", "labels.csv"}


def test_outputs_are_replaced_and_written_before_they_are_printed(
    classified: Classified, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_record(tmp_path, "r", ecg_signal(STEPS, beats(6)), fs=360)
    steps = labels_of(7)[:STEPS]
    answer = fake_run([steps])(np.zeros((STEPS, 1, 4), np.int8))
    monkeypatch.setattr(engine, "run", lambda *_: answer)
    outputs = ("--csv", tmp_path / "labels.csv", "--annotations-out", tmp_path)
    command_line.assert_worked(classified(path, *outputs))
    before = command_line.files(tmp_path)
    assert {"r.brf", "labels.csv"} <= set(before)
    for name in ("r.brf", "labels.csv"):
        (tmp_path / name).write_bytes(before[name][:40])
    monkeypatch.setattr(report, "print_table", Mock(side_effect=BrokenPipeError))
    assert classified(path, *outputs).exit_code == 141
    assert command_line.files(tmp_path) == before
    (tmp_path / "r.brf").write_bytes(path.with_suffix(".hea").read_bytes())
    failed(classified(path, *outputs), "r.brf: is not an annotation file of brf-lava")


def test_one_output_does_not_replace_the_other(classified: Classified, tmp_path: Path) -> None:
    path = write_record(tmp_path, "r", ecg_signal(STEPS, beats(6)))
    (tmp_path / "link").symlink_to(tmp_path)
    outputs = ("--csv", tmp_path / "r.brf", "--annotations-out", tmp_path / "link")
    failed(classified(path, *outputs), "r.brf: is to hold two different results")
    assert not (tmp_path / "r.brf").exists()  # before there is any


def test_classify_command_refuses_before_it_runs(classified: Classified, tmp_path: Path) -> None:
    path = write_record(tmp_path, "r", ecg_signal(STEPS, beats(6)))
    before = path.with_suffix(".dat").read_bytes()
    failed(classified(path, "--csv", tmp_path / "no" / "labels.csv"), "does not exist")
    failed(classified(path, "--csv", path.with_suffix(".dat")), "r.dat: is not a table of waves")
    failed(classified(path, "--annotations-out", tmp_path / "no" / "r"), "does not exist")
    failed(classified(tmp_path / "none"), "none.hea", "No such file")
    assert path.with_suffix(".dat").read_bytes() == before


# The QT database


@pytest.fixture(scope="module")
def qtdb(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if not ARCHIVE.is_file():
        pytest.skip("needs qtdb/qtdb-raw.tar.gz in BRF_LAVA_DATA, the raw QT database")
    folder = tmp_path_factory.mktemp("qtdb")
    with tarfile.open(ARCHIVE) as archive:
        for member in archive:
            content = archive.extractfile(member)
            if content is not None:
                (folder / Path(member.name).name).write_bytes(content.read())
    return folder


@pytest.mark.slow
def test_the_database_without_the_sudden_death_records(qtdb: Path) -> None:
    names = set(wfdb_prepare.find_records(qtdb))
    assert len(names) == 105
    assert len(SUDDEN_DEATH & names) == 24
    prepared = wfdb_prepare.prepare(qtdb, Settings())
    assert len(prepared.train) + len(prepared.test) == 81
    assert {name for name, _ in prepared.skipped} == SUDDEN_DEATH
    split = wfdb_prepare.joined(prepared.train + prepared.test)
    assert 0.05 < split.x.mean() < 0.08
    assert (split.y == UNLABELED).mean() < 0.1
    share = np.bincount(split.y[split.y != UNLABELED], minlength=6) / split.y.size
    assert (share > 0.04).all()
    assert not {s.group for s in prepared.train} & {s.group for s in prepared.test}
    (notice,) = prepared.notices()
    assert notice.startswith("49 of 81 records do not say whose they are (")


def test_labels_are_those_of_the_published_files(qtdb: Path) -> None:
    """The labels of published test segments are ours, 19 steps late; the first 19 steps hold P."""
    published = Path(DATA or "") / "qtdb" / ecg.TEST_FILE
    if not published.is_file():
        pytest.skip(f"needs {ecg.TEST_FILE} in BRF_LAVA_DATA")
    split = ecg.read_split(published)
    assert (split.y[:, :19] == P).all()
    for segment, name, begin in ((0, "sele0133", 150247), (28, "sele0170", 150062)):
        record = read_record(qtdb / name)
        labels = label_steps(read_waves(qtdb / name, "q1c", 250, 250), len(record.signal))
        ours, theirs = labels[begin + 19 : begin + STEPS], split.y[segment, 19:]
        both = (ours != UNLABELED) & (theirs != UNLABELED)
        assert both.mean() > 0.8
        assert np.array_equal(ours[both], theirs[both])


@pytest.mark.slow
def test_published_network_names_the_waves_of_a_record(qtdb: Path, tmp_path: Path) -> None:
    """On raw records it is as good as on the published files, if read as late as it was taught."""
    published = Path(DATA or "") / "checkpoints" / "ecg_brf.pt"
    if not published.is_file():
        pytest.skip("needs checkpoints/ecg_brf.pt in BRF_LAVA_DATA")
    model, file = tmp_path / "model.pt", tmp_path / "net.h5"
    for words in (["import", published, "--task", "ecg", "--out", model], ["export", model, file]):
        command_line.assert_worked(command_line.brf_lava(*words))
    network, _ = read_network(file)
    assert classify.encoding_of(network) == Encoding(delay=19)
    hits: dict[int, list[bool]] = {0: [], 19: []}
    for name in ("sel100", "sel811", "sele0133", "sele0411"):
        for delay, right in hits.items():
            kind = Encoding(delay=delay).kind
            read = replace(network, provenance={**network.provenance, "data": {"kind": kind}})
            found = classify.classify_record(read, qtdb / name, partial(engine.run, read))
            labels = label_steps(read_waves(qtdb / name, "q1c", 250, 250), len(found.steps))
            known = labels != UNLABELED
            right += (found.steps[known] == labels[known]).tolist()
    assert np.mean(hits[19]) > 0.85
    assert np.mean(hits[0]) < 0.7
