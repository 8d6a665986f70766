"""Fetches files over HTTP: resumable, checked, and whole or not there at all.

What has come so far lies in ``<name>.part`` beside the file to be. It stays when the connection is
cut or the command is stopped, and the next call goes on behind it (HTTP Range). Only what has the
right checksum gets the file's name.
"""

from __future__ import annotations

import hashlib
import http.client
import shutil
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from brf_lava.errors import DataError
from brf_lava.io.files import only_writer

TIMEOUT = 30  # s without a single byte
BLOCK = 1 << 18  # bytes

OnBytes = Callable[[int, int | None], None]  # how much is there, and of how much, in bytes


@dataclass(frozen=True)
class Checksum:
    """algorithm: "md5" or "sha256", whichever the publisher gives. digest: in hex."""

    algorithm: str
    digest: str

    def of(self, path: Path) -> str:
        """The digest that the file has."""
        found = hashlib.new(self.algorithm, usedforsecurity=False)
        with path.open("rb") as file:
            while block := file.read(BLOCK):
                found.update(block)
        return found.hexdigest()


def download(
    url: str,
    path: Path,
    checksum: Checksum | None,
    on_bytes: OnBytes | None = None,
    elsewhere: str = "name its folder with --data",
) -> None:
    """Get `url` into `path`, unless the file is there already with this checksum.

    checksum: None where the publisher gives none, as for a list of checksums itself.
    elsewhere: what to do with a file that was fetched by other means, for the message.
    Raises: DataError when the server or the disk refuses, the connection is cut or the checksum is
    wrong; the message says whether what came is kept. KeyboardInterrupt keeps it.
    """
    if checksum is not None and path.exists():
        _check(path, checksum, f"Delete it and fetch it again: rm {path}")
        return
    with only_writer(path):
        part = part_of(path)
        _receive(url, part, on_bytes or (lambda there, of: None), elsewhere)
        if checksum is not None:
            found = checksum.of(part)
            if found != checksum.digest:
                part.unlink()
                raise DataError(
                    f"{url}: what came has {checksum.algorithm} {found}, published is "
                    f"{checksum.digest}. It was deleted; fetch it again, or from elsewhere with "
                    "--mirror."
                )
        part.replace(path)


def part_of(path: Path) -> Path:
    """Where the beginning of a file is kept until it is whole."""
    return path.with_name(f"{path.name}.part")


def _check(path: Path, checksum: Checksum, advice: str) -> None:
    found = checksum.of(path)
    if found != checksum.digest:
        raise DataError(
            f"{path}: is there, but has {checksum.algorithm} {found}, published is "
            f"{checksum.digest}. {advice}"
        )


def _receive(url: str, part: Path, on_bytes: OnBytes, elsewhere: str) -> None:
    """Append to `part` what is still missing, or get it all where the server cannot resume."""
    there = part.stat().st_size if part.exists() else 0
    headers = {"User-Agent": "brf-lava"}  # some servers turn Python's own name away
    if there:
        headers["Range"] = f"bytes={there}-"
    try:
        response = urllib.request.urlopen(
            urllib.request.Request(url, headers=headers), timeout=TIMEOUT
        )
    except urllib.error.HTTPError as error:
        if there and error.code == http.HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
            return  # nothing is missing; the checksum tells whether it is right
        circle = error.code < http.HTTPStatus.BAD_REQUEST  # a redirect that was not followed
        said = "and leads to no file, maybe in a circle" if circle else error.reason
        raise DataError(
            f"{url}: the server answers {error.code} {said}. Try later, or another server "
            "with --mirror."
        ) from None
    except (OSError, http.client.HTTPException, ValueError) as error:  # ValueError: no URL
        reason = getattr(error, "reason", None) or error
        raise DataError(
            f"{url}: not reached ({str(reason) or type(reason).__name__}). Check the network (and "
            f"HTTPS_PROXY), or get the files of this task into a folder by other means and "
            f"{elsewhere}."
        ) from None
    with response:
        goes_on = response.status == http.HTTPStatus.PARTIAL_CONTENT and _starts_at(response, there)
        if not goes_on:
            there = 0
        length = response.headers.get("Content-Length", "")
        total = there + int(length) if length.isdigit() else None
        _check_space(part, (total or 0) - there)
        _copy(response, part, there, total, on_bytes)


def _starts_at(response: Any, there: int) -> bool:
    given: str = response.headers.get("Content-Range", "")
    return given.startswith(f"bytes {there}-")


def _copy(response: Any, part: Path, there: int, total: int | None, on_bytes: OnBytes) -> None:
    with part.open("ab" if there else "wb", buffering=0) as file:
        while True:
            on_bytes(there, total)
            if there == total:
                break  # a server may leave the connection open behind the last byte
            wanted = BLOCK if total is None else min(BLOCK, total - there)
            try:
                block = response.read1(wanted)  # what is there; `read` loses it to an error
            except (OSError, http.client.HTTPException) as error:
                raise _cut(part, there, total, type(error).__name__) from None
            if not block:
                break
            try:
                file.write(block)
            except OSError as error:
                raise _no_space(part, error.strerror or str(error)) from None
            there += len(block)
    if total is not None and there < total:
        raise _cut(part, there, total, "it was closed")


def _cut(part: Path, there: int, total: int | None, why: str) -> DataError:
    of = f" of {total:,}" if total else ""
    return DataError(
        f"{part}: the connection ended after {there:,}{of} bytes ({why}). They are kept; give the "
        "same command again to go on."
    )


def _check_space(part: Path, missing: int) -> None:
    free = shutil.disk_usage(part.parent).free
    if missing > free:
        raise _no_space(part, f"{missing:,} bytes are missing, {free:,} are free")


def _no_space(part: Path, why: str) -> DataError:
    return DataError(
        f"{part}: cannot write it ({why}). Make room and give the same command again to go on, or "
        "name another disk with --to."
    )
