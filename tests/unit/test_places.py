"""Where the files of a task are looked for, and what is said where they are not."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from brf_lava.data.places import DATA_VARIABLE, DataFiles
from brf_lava.ecg import task as ecg
from brf_lava.errors import DataError
from brf_lava.tasks import mnist, shd

FILES = DataFiles(
    needs="one.x, or a.x and b.x",
    choices=(("one.x",), ("a.x", "b.x")),
    folders=("", "sub", "sub/deep"),
    get="Get them.",
    suffixes=(".h5",),
)


@pytest.fixture(autouse=True)
def cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.delenv(DATA_VARIABLE, raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "brf-lava" / "data"


def write(folder: Path, *names: str) -> list[Path]:
    folder.mkdir(parents=True, exist_ok=True)
    files = [folder / name for name in names]
    for file in files:
        file.touch()
    return files


def assert_refused(files: DataFiles, data: Path | None, *parts: str) -> None:
    with pytest.raises(DataError) as error:
        files.find(data)
    for part in parts:
        assert part in str(error.value)


@pytest.mark.parametrize("sub", ["", "sub", "sub/deep"])
def test_a_folder_or_one_of_the_files(tmp_path: Path, sub: str) -> None:
    files = write(tmp_path / sub, "a.x", "b.x")
    for place in (tmp_path, *files):
        assert FILES.find(place) == files
    (prepared,) = write(tmp_path / sub, "any.h5")
    assert FILES.find(prepared) == [prepared]
    first = write(tmp_path / sub, "one.x")  # the first choice that is complete
    assert FILES.find(tmp_path) == first
    assert FILES.find(files[1]) == files


def test_the_places_in_order(tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cached, named, given = (
        write(folder, "one.x") for folder in (cache / "sub", tmp_path / "named", tmp_path / "given")
    )
    assert FILES.find(None) == FILES.require(None) == cached
    monkeypatch.setenv(DATA_VARIABLE, "")
    assert FILES.find(None) == cached
    monkeypatch.setenv(DATA_VARIABLE, str(tmp_path / "named"))
    assert FILES.find(None) == named
    assert FILES.find(tmp_path / "given") == given
    named[0].unlink()  # the variable may name a folder of other tasks' data
    assert FILES.find(None) == cached
    cached[0].unlink()
    assert_refused(FILES, None, f"{DATA_VARIABLE}: {tmp_path / 'named'} does not have one.x, or")


def test_what_is_not_there(tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(cache, "a.x")  # alone
    assert FILES.find(None) == []
    with pytest.raises(DataError, match=r"a\.x and b\.x: not on this computer\. Get them"):
        FILES.require(None)
    write(cache, "one.x")  # does not take the place of what was named
    missing = tmp_path / "nowhere"
    assert_refused(FILES, missing, f"--data: {missing} does not exist. Get them.")
    (alone,) = write(tmp_path / "folder", "a.x")
    (other,) = write(tmp_path / "folder", "other.bin")
    for place in (alone, alone.parent, other):
        assert_refused(FILES, place, f"--data: {place} does not have one.x, or a.x and b.x. Get")
    monkeypatch.setenv(DATA_VARIABLE, str(missing))
    assert_refused(FILES, None, f"{DATA_VARIABLE}: {missing} does not exist.")


@pytest.mark.parametrize(
    ("files", "folders", "names"),
    [
        (mnist.FILES, ("", "mnist", "MNIST/raw", "mnist/MNIST/raw"), ("mnist.npz",)),
        (mnist.FILES, ("", "mnist/MNIST/raw"), mnist.IDX),
        (mnist.FILES, ("", "mnist"), tuple(f"{name}.gz" for name in mnist.IDX)),
        (shd.FILES, ("", "shd", "hdspikes"), ("shd_train.h5", "shd_test.h5")),
        (ecg.FILES, ("", "qtdb"), (ecg.TRAIN_FILE, ecg.TEST_FILE)),
        (ecg.FILES, (".",), ("any.h5",)),
    ],
)
def test_the_files_of_the_tasks(
    tmp_path: Path, files: DataFiles, folders: tuple[str, ...], names: tuple[str, ...]
) -> None:
    for number, folder in enumerate(folders):
        found = write(tmp_path / str(number) / folder, *names)
        place = found[0] if folder == "." else tmp_path / str(number)
        assert files.find(place) == found
    assert_refused(replace(files, suffixes=()), tmp_path, "--data", DATA_VARIABLE, "brf-lava data")
