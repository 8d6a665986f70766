"""Writing files so that a crash, a full disk or Ctrl-C never leaves half of one."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

from brf_lava.errors import BrfLavaError


def write_bytes(path: Path, content: bytes) -> None:
    """Write a whole file at once. Raises: BrfLavaError; an old file at `path` then stays."""
    with replacing(path) as temporary:
        temporary.write_bytes(content)


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield an empty file in the same folder; on success it becomes `path`, else it is removed.

    A symbolic link is followed. Raises: BrfLavaError when the file cannot be written.
    """
    path = path.resolve()
    temporary = path.with_name(f".{path.name}.{uuid4().hex[:8]}")
    try:
        temporary.touch(exist_ok=False)
        try:
            yield temporary
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)
    except OSError as error:
        raise BrfLavaError(
            f"{path}: cannot write there ({error.strerror or error}). Name a folder that exists, "
            "has space and that you may write to."
        ) from error


def check_writable(path: Path, *inputs: Path) -> None:
    """Find out before long work, not after it, that `path` could not or must not be written.

    inputs: files that are read for it, none of which it may replace. Raises: BrfLavaError.
    """
    if path.exists() and not path.is_file():
        kind = "a folder" if path.is_dir() else "not a regular file"
        raise BrfLavaError(f"{path}: is {kind}, and would be replaced. Name a file.")
    for source in inputs:
        if path.exists() and source.exists() and path.samefile(source):
            raise BrfLavaError(f"{path}: would replace the file it is made from. Name another.")
    path = path.resolve() if path.is_symlink() else path
    if not path.parent.is_dir():
        raise BrfLavaError(f"{path}: the folder {path.parent} does not exist. Make it first.")
    if not os.access(path.parent, os.W_OK):
        raise BrfLavaError(f"{path}: the folder {path.parent} cannot be written to.")


@contextmanager
def only_writer(path: Path) -> Iterator[None]:
    """Keep other processes of ours from writing `path` meanwhile.

    Raises: BrfLavaError when another one is at it. The lock of a process that was killed is free.
    """
    from filelock import FileLock, Timeout

    lock = FileLock(path.with_name(f".{path.name}.lock"), timeout=0)
    try:
        lock.acquire()
    except Timeout:
        raise BrfLavaError(
            f"{path}: another process is writing it. Wait for it, or name another path."
        ) from None
    try:
        yield
    finally:
        Path(lock.lock_file).unlink(missing_ok=True)
        lock.release()
