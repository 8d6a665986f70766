"""The order of the steps of a permuted task: drawn, read, checked and applied."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from brf_lava.data.dataset import Dataset, DataSource, Split, fingerprint
from brf_lava.data.permutation import permutation_from_seed, read_permutation
from brf_lava.errors import DataError

ORDER = permutation_from_seed(3)
PINNED = ([6, 3, 5, 0, 7, 2, 1, 4], [2, 3, 0, 5, 7, 1, 6, 4])


def dataset(steps: int, per_step: bool) -> Dataset:
    rng = np.random.default_rng(0)

    def split(samples: int) -> Split:
        labels = (samples, steps if per_step else 1)
        x = rng.integers(0, 256, (samples, steps, 2), dtype=np.uint8)
        return Split(x, rng.integers(0, 3, labels, dtype=np.uint8))

    train, test = split(4), split(3)
    source = DataSource("own", "some data", fingerprint(train, test))
    return Dataset("t", ("a", "b", "c"), 0.01, train, test, source, input_scale=0.5)


@given(st.integers(0, 2**63 - 1), st.integers(1, 100))
def test_a_seed_gives_a_permutation(seed: int, steps: int) -> None:
    order = permutation_from_seed(seed, steps)
    assert order.dtype == np.int64
    assert sorted(order.tolist()) == list(range(steps))
    np.testing.assert_array_equal(order, permutation_from_seed(seed, steps))


def test_a_seed_gives_the_same_for_ever() -> None:
    """Networks are trained on it: other numbers here would be other data for the same seed."""
    assert permutation_from_seed(0, 8).tolist() == PINNED[0]
    assert permutation_from_seed(2**63 - 1, 8).tolist() == PINNED[1]
    assert len({tuple(permutation_from_seed(seed)) for seed in range(20)}) == 20


WRITERS: dict[str, Callable[[Path, Any], object]] = {
    ".npy": np.save,
    ".txt": lambda path, order: path.write_text("\n".join(map(str, order.tolist()))),
    ".pt": lambda path, order: torch.save(torch.from_numpy(order), path),
}


@pytest.mark.parametrize("suffix", WRITERS)
def test_every_kind_of_file(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"order{suffix}"
    for dtype in (np.int64, np.int16):
        WRITERS[suffix](path, ORDER.astype(dtype))
        found = read_permutation(path)
        assert found.dtype == np.int64
        np.testing.assert_array_equal(found, ORDER)
    for separator in (" ", ", ", ",\n") if suffix == ".txt" else ():
        path.write_text(separator.join(map(str, ORDER)))
        np.testing.assert_array_equal(read_permutation(path), ORDER)


def assert_refused(path: Path, *parts: str) -> None:
    with pytest.raises(DataError) as error:
        read_permutation(path)
    message = str(error.value)
    assert "\n" not in message
    for part in (str(path), *parts):
        assert part in message


def changed(index: int, value: int) -> np.ndarray:
    order = ORDER.copy()
    order[index] = value
    return order


@pytest.mark.parametrize("suffix", WRITERS)
def test_no_permutation(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"order{suffix}"
    for content, found in (
        (ORDER[:-1], "int64 of shape [783]"),
        (ORDER + 1, "no 0 in it"),
        (changed(int(np.argmax(ORDER)), -1), "no 783 in it"),
        (changed(5, int(ORDER[6])), f"no {ORDER[5]} in it"),
        (ORDER[:0], "of shape [0]"),
    ):
        WRITERS[suffix](path, content)
        assert_refused(path, found, "a permutation of 0 to 783")


@pytest.mark.parametrize("suffix", WRITERS)
def test_missing_and_damaged_files(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"order{suffix}"
    assert_refused(path, "No such file")
    for content in (b"", b"\x93NUMPY", b"PK\x03\x04" * 9, b"1 2 x\n", b"\xff\xfe"):
        path.write_bytes(content)
        assert_refused(path)


def test_one_long_word_takes_no_more_memory_than_it_is_long(tmp_path: Path) -> None:
    """Not as many times that as there are words, as in an array of texts."""
    path = tmp_path / "order.txt"
    path.write_text("1 " * 1000 + "x" * 10**6)
    tracemalloc.start()
    try:
        assert_refused(path, "invalid literal")
        assert tracemalloc.get_traced_memory()[1] < 3e7
    finally:
        tracemalloc.stop()


def test_an_error_that_is_a_number_is_named(tmp_path: Path) -> None:
    path = tmp_path / "order.pt"
    path.write_text("hello\n")
    assert_refused(path, "(KeyError 101)")


@pytest.mark.parametrize(
    ("content", "found"),
    [
        ({"weights": torch.zeros(3)}, "not a torch file of plain tensors, the permutation alone"),
        (Path("code"), "not a torch file of plain tensors"),
        (torch.zeros(784), "float32 of shape [784]; must be a permutation"),
        (torch.zeros(784, requires_grad=True), "requires grad"),
        (torch.from_numpy(ORDER).to_sparse(), "not a torch file of plain tensors"),
        (torch.zeros(784, dtype=torch.bfloat16), "BFloat16"),
        (torch.from_numpy(ORDER[None].copy()), "int64 of shape [1, 784]"),
    ],
)
def test_torch_files_of_other_content(tmp_path: Path, content: Any, found: str) -> None:
    path = tmp_path / "order.pt"
    torch.save(content, path)
    assert_refused(path, found)


def test_identity_is_a_word_and_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "identity").write_text("2 1 0")
    np.testing.assert_array_equal(read_permutation(Path("identity"), 3), [0, 1, 2])
    assert_refused(Path("identity.dat"), "from .npy, .pt, .txt, not .dat", "or identity for the")


@pytest.mark.parametrize("per_step", [False, True])
def test_permuted_data(per_step: bool) -> None:
    plain, order = dataset(6, per_step), np.array([3, 0, 5, 1, 2, 4])
    permuted = plain.permuted(order)
    for before, after in ((plain.train, permuted.train), (plain.test, permuted.test)):
        for t in range(6):
            np.testing.assert_array_equal(after.x[:, t], before.x[:, order[t]])
        expected = before.y[:, order] if per_step else before.y
        np.testing.assert_array_equal(after.y, expected)
    assert plain.permutation is None
    assert permuted.permutation is not None
    np.testing.assert_array_equal(permuted.permutation, order)
    assert permuted.source.fingerprint == fingerprint(permuted.train, permuted.test)
    assert permuted.source.fingerprint != plain.source.fingerprint
    assert permuted.source.description.startswith("some data, steps permuted (")
    assert permuted.source.description != plain.permuted(order[::-1]).source.description
    assert permuted.input_scale == 0.5


def test_permuting_refuses() -> None:
    plain = dataset(6, per_step=False)
    with pytest.raises(DataError, match=r"Dataset t: int64 of shape \[784\]"):
        plain.permuted(ORDER)
    permuted = plain.permuted(np.arange(6))
    with pytest.raises(DataError, match="permuted already"):
        permuted.permuted(np.arange(6))
