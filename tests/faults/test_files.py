"""Writing files: whole or not at all, never over what is no file or is being read."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest

from brf_lava.errors import BrfLavaError
from brf_lava.io.files import HDF5, Kind, check_writable, only_writer, write_bytes

OLD, NEW = b"ours, old", b"ours, new"
OURS = Kind("one of ours", b"", "ours, ")


def test_a_link_is_followed(tmp_path: Path) -> None:
    target, link = tmp_path / "target", tmp_path / "link"
    target.write_bytes(OLD)
    link.symlink_to(target)
    check_writable(link, OURS)
    write_bytes(link, NEW, OURS)
    assert link.is_symlink()
    assert target.read_bytes() == NEW


def test_the_longest_name(tmp_path: Path) -> None:
    """That of the file before it is renamed is no longer, whatever the letters."""
    for letters in ("a" * 255, "\N{GREEK SMALL LETTER OMEGA}" * 127, "\N{GRINNING FACE}" * 63):
        write_bytes(tmp_path / letters, NEW, OURS)
        assert (tmp_path / letters).read_bytes() == NEW
    assert len(os.listdir(tmp_path)) == 3


def test_a_file_is_for_one_result(tmp_path: Path) -> None:
    """Found out before there is any, whatever path leads to it."""
    path, link = tmp_path / "a", tmp_path / "b"
    link.symlink_to(path)
    check_writable(path, OURS, tmp_path / "c")
    with pytest.raises(BrfLavaError, match="two different results"):
        check_writable(path, OURS, link)


def test_a_device_or_pipe_is_not_replaced(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with pytest.raises(BrfLavaError, match="not a regular file"):
        check_writable(pipe, OURS)
    with pytest.raises(BrfLavaError, match="is not a regular file"):
        check_writable(tmp_path, OURS)


def test_a_file_of_another_kind_is_not_replaced(tmp_path: Path) -> None:
    """Not even if it came while the new one was made, and whatever path leads to it."""
    source, link, other = tmp_path / "a", tmp_path / "b", tmp_path / "none" / ".." / "a"
    source.write_text("not ours, ")
    link.symlink_to(source)
    for out in (source, link, other):
        (tmp_path / "none").mkdir(exist_ok=True)
        with pytest.raises(BrfLavaError, match=f"{out}: is not one of ours, and would be replaced"):
            check_writable(out, OURS)
        with pytest.raises(BrfLavaError, match="is not one of ours"):
            write_bytes(out, NEW, OURS)
    assert source.read_text() == "not ours, "
    source.write_bytes(b"")  # nothing is lost
    for out in (source, tmp_path / "new"):
        check_writable(out, OURS)
        write_bytes(out, NEW, OURS)


def test_a_kind_is_known_by_its_format(tmp_path: Path) -> None:
    """Wherever the library that wrote the file has put it."""
    path, kind = tmp_path / "a.h5", Kind("ours", HDF5, "brf-lava-test")
    for libver in ("earliest", "v110"):
        with h5py.File(path, "w", libver=libver) as file:
            file.attrs["format"] = np.bytes_("brf-lava-test")
            file.attrs["provenance"] = np.bytes_("x" * 60_000)
        check_writable(path, kind)
        with pytest.raises(BrfLavaError, match="is not theirs"):
            check_writable(path, Kind("theirs", HDF5, "brf-lava-other"))


def test_an_error_leaves_the_old_file_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a"
    path.write_bytes(OLD)

    def fail(self: Path, content: bytes) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", fail)
    with pytest.raises(BrfLavaError, match="No space left"):
        write_bytes(path, NEW, OURS)
    assert os.listdir(tmp_path) == ["a"]
    assert path.read_bytes() == OLD


CODE = """
import os, sys; from pathlib import Path; from brf_lava.io.files import only_writer
with only_writer(Path(sys.argv[1])): os.kill(os.getpid(), 9)
"""


def test_one_writer_at_a_time(tmp_path: Path) -> None:
    """The lock of a process that was killed is free."""
    path = tmp_path / "model.pt"
    command = [sys.executable, "-c", CODE, str(path)]
    with only_writer(path):
        refused = subprocess.run(command, capture_output=True, text=True, check=False)
        assert refused.returncode == 1
        assert "another process is writing it" in refused.stderr
    assert os.listdir(tmp_path) == []
    assert subprocess.run(command, check=False).returncode == -9
    assert os.listdir(tmp_path) == [".model.pt.lock"]
    with only_writer(path):
        pass
    assert os.listdir(tmp_path) == []
