"""SHD: how spikes become steps, on small files in the published layout."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from brf_lava.errors import DataError
from brf_lava.tasks import shd
from brf_lava.tasks.registry import TASKS

Spikes = list[tuple[float, int]]  # time in s, unit
GOOD: Spikes = [(0.1, 5), (0.2, 6)]

SHD = TASKS["shd"]


def write(path: Path, samples: list[Spikes], labels: Any = None, dtype: Any = np.float16) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    labels = np.arange(len(samples), dtype=np.uint16) % 20 if labels is None else labels
    with h5py.File(path, "w") as file:
        for name, kind, column in (("times", dtype, 0), ("units", np.uint16, 1)):
            lists = file.create_dataset(
                f"spikes/{name}", (len(samples),), dtype=h5py.vlen_dtype(kind)
            )
            for index, sample in enumerate(samples):
                lists[index] = np.array([spike[column] for spike in sample], dtype=kind)
        file["labels"] = labels
    return path


def write_both(folder: Path, samples: list[Spikes] | None = None) -> Path:
    for name in shd.NAMES:
        write(folder / name, samples or [[(0.1, 5)], [(0.2, 6), (0.3, 7)]])
    return folder


def bins_one_by_one(times: np.ndarray, units: np.ndarray) -> np.ndarray:
    """The binning as the rule reads, step by step: [250, 700]."""
    image = np.zeros((250, 700), np.int8)
    for i in range(250):
        edge, before = times.dtype.type(i * 0.004), times.dtype.type((i - 1) * 0.004)
        for t, unit in zip(times, units, strict=True):
            if unit > 0 and t <= edge and (i == 0 or t > before):
                image[i, 700 - int(unit)] = 1
    return image


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_boundaries(tmp_path: Path, dtype: Any) -> None:
    steps = {
        0.0: 0,
        0.0001: 1,
        0.0039: 1,
        0.004: 1,  # the end of a bin belongs to it
        0.0041: 2,
        0.008: 2,
        0.5: 125,
        0.992: 248,
        0.9959: 249,
        0.996: 249,
        0.9961: None,  # later ones have no step
        1.3: None,
    }
    samples: list[Spikes] = [[(dtype(time), 1)] for time in steps]
    found = shd.read_split(write(tmp_path / "a.h5", samples, dtype=dtype))
    for image, step in zip(found.x, steps.values(), strict=True):
        assert np.argwhere(image).tolist() == ([] if step is None else [[step, 699]])


def test_units(tmp_path: Path) -> None:
    channels = {0: None, 1: 699, 2: 698, 699: 1, 700: 0}
    found = shd.read_split(write(tmp_path / "a.h5", [[(0.1, unit)] for unit in channels]))
    for image, channel in zip(found.x, channels.values(), strict=True):
        assert np.argwhere(image).tolist() == ([] if channel is None else [[25, channel]])


def test_half_precision_edges_are_compared_in_half_precision() -> None:
    """0.004 is no half-precision number; stored as the one nearest to it, it is still the edge."""
    edges = np.array([i * 0.004 for i in range(250)], dtype=np.float16)
    assert float(edges[1]) > 0.004  # so that a comparison in double precision would say step 2
    steps, _ = shd.bin_spikes(edges, np.ones(250, np.uint16))
    assert steps.tolist() == list(range(250))


@given(
    st.lists(st.tuples(st.floats(0, 1.5, width=16), st.integers(0, 700)), max_size=30),
    st.sampled_from([np.float16, np.float32, np.float64]),
)
def test_bins_are_those_of_the_rule(spikes: Spikes, dtype: Any) -> None:
    times = np.array([time for time, _ in spikes], dtype=dtype)
    units = np.array([unit for _, unit in spikes], dtype=np.uint16)
    image = np.zeros((250, 700), np.int8)
    image[shd.bin_spikes(times, units)] = 1
    np.testing.assert_array_equal(image, bins_one_by_one(times, units))


@pytest.mark.parametrize("block", [2, 256])
def test_samples_stay_apart_and_several_spikes_count_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, block: int
) -> None:
    monkeypatch.setattr(shd, "BLOCK", block)
    samples: list[Spikes] = [[], [(0.1, 5), (0.0995, 5), (0.1, 6)], [(0.3, 7)]]
    split = shd.read_split(write(tmp_path / "a.h5", samples, np.array([3, 19, 0])))
    assert split.x.dtype == np.int8
    assert split.x.shape == (3, 250, 700)
    assert split.x.max() == 1
    assert np.argwhere(split.x).tolist() == [[1, 25, 694], [1, 25, 695], [2, 75, 693]]
    assert split.y.tolist() == [[3], [19], [0]]


def test_dataset(tmp_path: Path) -> None:
    dataset = SHD.load(write_both(tmp_path))
    assert (dataset.task, dataset.source.kind, dataset.input_scale) == ("shd", "shd", 1.0)
    assert dataset.train.x.shape[1:] == (SHD.steps, SHD.inputs)
    assert len(dataset.classes) == 20
    assert dataset.source.description == (
        "Spiking Heidelberg Digits (shd_train.h5, shd_test.h5): 2 training and 2 test recordings"
    )


def assert_refused(folder: Path, *parts: str) -> None:
    with pytest.raises(DataError) as error:
        SHD.load(folder)
    assert "\n" not in str(error.value)
    for part in parts:
        assert part in str(error.value)


def replace(name: str, value: Any) -> Callable[[Any], None]:
    def change(file: Any) -> None:
        del file[name]
        if value is not None:
            file[name] = value

    return change


def set_list(name: str, values: np.ndarray) -> Callable[[Any], None]:
    def change(file: Any) -> None:
        file[f"spikes/{name}"][1] = values

    return change


@pytest.mark.parametrize(
    ("change", "found"),
    [
        (replace("labels", None), "labels"),
        (replace("spikes/units", None), "units"),
        (replace("spikes", np.zeros(3)), "not SHD"),
        (replace("labels", np.arange(3)), "2 times, 2 units and 3 labels"),
        (replace("labels", np.array([1, 20])), "labels int64 from 1 to 20"),
        (replace("labels", np.array([-1, 0])), "labels int64 from -1 to 0"),
        (replace("labels", np.array([0.0, 1.0])), "labels float64"),
        (set_list("times", np.array([0.1, 0.2, 0.3], np.float16)), "sample 1: 3 times"),
        (set_list("times", np.array([np.nan, 0.2], np.float16)), "sample 1: 2 times from nan"),
        (set_list("times", np.array([-0.1, 0.2], np.float16)), "sample 1: 2 times from -0.0999"),
        (set_list("units", np.array([701, 2], np.uint16)), "2 units from 0 to 701"),
    ],
)
def test_wrong_content(tmp_path: Path, change: Callable[[Any], None], found: str) -> None:
    folder = write_both(tmp_path)
    with h5py.File(folder / shd.NAMES[1], "r+") as file:
        change(file)
    assert_refused(folder, f"{folder / shd.NAMES[1]}: not SHD: spikes/times in s", found)


def test_times_of_another_unit(tmp_path: Path) -> None:
    tables: dict[str, list[Spikes]] = {
        "1 of 4 spikes, the last at 650": [[(100, 5), (220, 7)], [(0.5, 1), (650, 9)]],  # ms
        "0 of 3 spikes, the last at 5.5": [[(5.1, 5), (5.2, 7)], [(5.5, 1)]],  # begins late
        "0 of 2 spikes": [[(0.1, 0)], [(0.2, 0)]],  # unit 0 alone
        "0 of 0 spikes": [[], []],
    }
    for found, samples in tables.items():
        for name in shd.NAMES:
            write(tmp_path / name, samples, dtype=np.float32)
        assert_refused(tmp_path, found, "fall into a step; the last step ends at 0.996 s")


def test_late_spikes_and_empty_samples_are_allowed(tmp_path: Path) -> None:
    write_both(tmp_path, [[], [*GOOD, (1.2, 3)], [(1.1, 4), (0.1, 0)]])
    data = SHD.load(tmp_path)
    assert data.train.x.sum(axis=(1, 2)).tolist() == [0, 2, 0]
    assert data.notices == tuple(
        f"{name}: 2 of 3 recordings have no spike in any step, sample 0 first."
        for name in shd.NAMES
    )
    write_both(tmp_path)
    assert SHD.load(tmp_path).notices == ()


def test_truncated(tmp_path: Path) -> None:
    path = write_both(tmp_path) / shd.NAMES[0]
    content = path.read_bytes()
    for keep in (0.0, 0.02, 0.3, 0.9):
        path.write_bytes(content[: int(keep * len(content))])
        assert_refused(tmp_path, str(path), "damaged")
