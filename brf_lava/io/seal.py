"""A digest at the end of a file: of a file with a seal, any changed bit is noticed.

HDF5 ignores what follows a file's end, and so do readers of zip archives, such as torch's.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

DAMAGED = "damaged or edited: it is not what its SHA-256 was taken of"
MARK = b"\nbrf-lava sha256 "
LENGTH = len(MARK) + 64


def sealed(content: bytes) -> bytes:
    """`content`, an HDF5 file or zip archive, with its digest."""
    return content + MARK + hashlib.sha256(content).hexdigest().encode()


def has_seal(path: Path) -> bool:
    """Whether a file ends in the digest of what is before it; False: in none.

    Raises: OSError if it cannot be read, ValueError if it ends in another digest.
    """
    content = path.read_bytes()
    if content[-LENGTH:-64] != MARK:
        return False
    if content != sealed(content[:-LENGTH]):
        raise ValueError(DAMAGED)
    return True
