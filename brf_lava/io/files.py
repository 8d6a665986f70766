"""Writing files so that a crash, a full disk or Ctrl-C never leaves half of one."""

from __future__ import annotations

import fcntl
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from brf_lava.errors import BrfLavaError


def write_bytes(path: Path, content: bytes) -> None:
    """Write a whole file at once. Raises: BrfLavaError; an old file at `path` then stays."""
    with replacing(path) as temporary:
        temporary.write_bytes(content)


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary name beside `path`; on success it becomes `path`, else it is removed.

    A symbolic link is followed. Raises: BrfLavaError when the folder cannot be written.
    """
    path = path.resolve()
    try:
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    except OSError as error:
        raise BrfLavaError(
            f"{path}: cannot write there ({error.strerror}). Name a folder that exists and that "
            "you may write to."
        ) from error
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        umask = os.umask(0)
        os.umask(umask)
        temporary.chmod(0o666 & ~umask)  # mkstemp's 0600 would surprise whoever shares the file
        temporary.replace(path)
    except OSError as error:
        raise BrfLavaError(f"{path}: cannot write it ({error.strerror}).") from error
    finally:
        temporary.unlink(missing_ok=True)


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

    Raises: BrfLavaError when another one is at it.
    """
    lock = path.with_name(f".{path.name}.lock")
    with lock.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise BrfLavaError(
                f"{path}: another process is writing it. Wait for it, or name another --out."
            ) from None
        try:
            yield
        finally:
            lock.unlink(missing_ok=True)
