"""Writing files: whole or not at all, never over what is no file or is being read."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from brf_lava.errors import BrfLavaError
from brf_lava.io.files import check_writable, only_writer, write_bytes


def test_a_link_is_followed(tmp_path: Path) -> None:
    target, link = tmp_path / "target", tmp_path / "link"
    target.write_bytes(b"old")
    link.symlink_to(target)
    check_writable(link)
    write_bytes(link, b"new")
    assert link.is_symlink()
    assert target.read_bytes() == b"new"


def test_a_device_or_pipe_is_not_replaced(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with pytest.raises(BrfLavaError, match="not a regular file"):
        check_writable(pipe)
    with pytest.raises(BrfLavaError, match="is a folder"):
        check_writable(tmp_path)


def test_an_input_is_not_replaced(tmp_path: Path) -> None:
    source, link = tmp_path / "a", tmp_path / "b"
    source.write_text("model")
    link.symlink_to(source)
    for out in (source, link):
        with pytest.raises(BrfLavaError, match="would replace the file it is made from"):
            check_writable(out, source)
    check_writable(tmp_path / "c", source)


def test_an_error_leaves_the_old_file_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"old")

    def fail(self: Path, content: bytes) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", fail)
    with pytest.raises(BrfLavaError, match="No space left"):
        write_bytes(path, b"new")
    assert os.listdir(tmp_path) == ["a"]
    assert path.read_bytes() == b"old"


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
