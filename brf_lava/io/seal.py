"""A digest at the end of a file: of a file with a seal, any changed bit is noticed.

HDF5 ignores what follows a file's end, and so do readers of zip archives, such as torch's.
"""

from __future__ import annotations

import hashlib
from io import SEEK_END, BytesIO
from pathlib import Path

from brf_lava.io.files import Kind, write_bytes

DAMAGED = "damaged or edited: it is not what its SHA-256 was taken of"
MARK = b"\nbrf-lava sha256 "
LENGTH = len(MARK) + 64


def seal(content: bytes | memoryview) -> bytes:
    """What follows `content`, an HDF5 file or zip archive, in its file."""
    return MARK + hashlib.sha256(content).hexdigest().encode()


def write_sealed(path: Path, buffer: BytesIO, kind: Kind) -> None:
    """`write_bytes` of a content and its seal. It may be large; `getvalue` shares the memory."""
    buffer.seek(0, SEEK_END)
    buffer.write(seal(buffer.getvalue()))
    write_bytes(path, buffer.getvalue(), kind)


def has_seal(path: Path) -> bool:
    """Whether a file ends in the digest of what is before it; False: in none.

    Raises: OSError if it cannot be read, ValueError if it ends in another digest.
    """
    content = path.read_bytes()
    if content[-LENGTH:-64] != MARK:
        return False
    if content[-LENGTH:] != seal(memoryview(content)[:-LENGTH]):
        raise ValueError(DAMAGED)
    return True
