"""Writing files so that a crash, a full disk or Ctrl-C never leaves half of one.

A file is replaced only by one of its own kind. So no input of a command, which is of another kind
than its outputs, is lost either, whatever path leads to it.
"""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from mmap import ACCESS_READ, mmap
from pathlib import Path
from uuid import uuid4

from brf_lava.errors import BrfLavaError

HDF5_SUFFIXES = (".h5", ".hdf5")
HDF5 = rb"\x89HDF\r\n\x1a\n.*"
TORCH = rb"PK\x03\x04.{26}[^/]+/data\.pkl.{,200}"  # the archive's first entry, not compressed
JSON = rb'\{\s*"format": "'

MISTAKEN = {  # for each other: what such a file begins with, and what to do with it
    "a model": (TORCH, "Export it first: brf-lava export {} net.h5."),
    "an exported network": (HDF5, "Run it: brf-lava run {} --out run.json. Or name its model."),
    "a run": (JSON + b"brf-lava-run", "Name the network that was run, or its model."),
}


def begins(path: Path, pattern: bytes) -> bool:
    """Whether a regular file begins so, such as with `HDF5` or `TORCH`."""
    if not path.is_file():
        return False
    with path.open("rb") as file:
        return re.match(pattern, file.read(1000), re.DOTALL) is not None


def refuse_others(path: Path, kind: str, fault: Callable[[str], BrfLavaError]) -> None:
    """Raises: the error of `fault` where one of the `MISTAKEN` lies that is no `kind` of them."""
    for other, (pattern, remedy) in MISTAKEN.items():
        if other != kind and begins(path, pattern):
            words = remedy.format(shlex.quote(str(path)))
            raise fault(f"{path}: looks like {other}, not {kind}. {words}")


@dataclass(frozen=True)
class Kind:
    """A kind of file that this package writes, known by its bytes.

    name: with its article. begins: what such a file begins with, a regular expression. mark: what
    follows then, its format as a rule. suffixes: by which it is known; none: any.
    """

    name: str
    begins: bytes
    mark: str = ""
    suffixes: tuple[str, ...] = ()

    def check(self, path: Path) -> None:
        """Raises: BrfLavaError if something else is at `path` than such a file, or an empty one."""
        if self.suffixes and path.suffix not in self.suffixes:
            allowed = " or ".join(self.suffixes)
            raise BrfLavaError(f"{path}: the name of {self.name} ends in {allowed}. Name it so.")
        if not path.exists():
            return
        if not path.is_file():
            raise BrfLavaError(f"{path}: is not a regular file, and would be replaced. Name one.")
        if not path.stat().st_size:
            return
        pattern = self.begins + re.escape(self.mark.encode())
        with path.open("rb") as file, mmap(file.fileno(), 0, access=ACCESS_READ) as content:
            known = re.match(pattern, content, re.DOTALL) is not None
        if not known:
            remedy = "Name another file, or move that one."
            raise BrfLavaError(f"{path}: is not {self.name}, and would be replaced. {remedy}")


def write_bytes(path: Path, content: bytes, kind: Kind) -> None:
    """Write a whole file at once. Raises: BrfLavaError; an old file at `path` then stays."""
    with replacing(path, kind) as temporary:
        temporary.write_bytes(content)


@contextmanager
def replacing(path: Path, kind: Kind) -> Iterator[Path]:
    """Yield an empty file in the same folder; on success it becomes `path`, else it is removed.

    A symbolic link is followed. Raises: BrfLavaError when the file cannot be written, or an old one
    is of another kind.
    """
    path = path.resolve()
    temporary = path.with_name(f".{path.name[:50]}.{uuid4().hex[:8]}")  # 255 bytes at most
    try:
        kind.check(path)
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


def check_writable(path: Path, kind: Kind, other: Path | None = None) -> None:
    """Find out before long work, not after it, that `path` could not or must not be written.

    other: what the command writes as well. Raises: BrfLavaError, as `replacing`.
    """
    if other is not None and path.resolve() == other.resolve():
        raise BrfLavaError(f"{path}: is to hold two different results. Name two files.")
    kind.check(path)
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
