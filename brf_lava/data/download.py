"""Downloads files over HTTP with pooch: whole and with the published hash, or not there at all."""

from __future__ import annotations

from pathlib import Path
from shutil import copyfileobj
from typing import IO, Protocol
from zipfile import ZipFile

from brf_lava.errors import DataError
from brf_lava.io.files import replacing

TIMEOUT = 30  # s without a single byte
BLOCK = 1 << 14  # bytes


class Bar(Protocol):
    """A progress bar as pooch drives it; amounts in bytes, a total of 0 where it is not known."""

    total: int

    def update(self, amount: int, /) -> object: ...
    def reset(self) -> object: ...
    def close(self) -> object: ...


def download(
    url: str, path: Path, known_hash: str, bar: Bar | None = None, elsewhere: str = ""
) -> None:
    """Download a file, unless it is there already.

    Args:
        url: Address of the file.
        path: Where it goes.
        known_hash: Algorithm and digest as published, such as ``"md5:9fb6..."``.
        bar: Shows the progress.
        elsewhere: What to do with files from elsewhere, for the error message.

    Raises:
        DataError: The server refuses, the connection ends early or the hash differs, also that of
            a file that is there already. Nothing of a broken download is kept.
        BrfLavaError: The file cannot be written.
    """
    algorithm, _, digest = known_hash.partition(":")
    if path.exists():
        if (actual := _hash(path, algorithm)) != digest:
            raise DataError(
                f"{path}: is there, but has {algorithm} {actual}, published is {digest}. Delete it "
                f"and fetch it again: rm {path}"
            )
        return
    with replacing(path) as temporary:
        with temporary.open("wb") as file:
            receive(url, file, bar, elsewhere)
        if (actual := _hash(temporary, algorithm)) != digest:
            raise DataError(
                f"{url}: the downloaded file has {algorithm} {actual}, published is {digest}. It "
                "was deleted; fetch it again, or from elsewhere with --mirror."
            )


def receive(url: str, file: IO[bytes], bar: Bar | None = None, elsewhere: str = "") -> None:
    """Write what a server sends to an open file. Arguments and errors are those of `download`."""
    import pooch

    # Some servers refuse Python's own name; a file that is packed on the way has another length.
    headers = {"User-Agent": "brf-lava", "Accept-Encoding": "identity"}
    get = pooch.HTTPDownloader(bar or False, BLOCK, headers=headers, timeout=TIMEOUT)
    try:
        get(url, file, None)
    except (OSError, ValueError) as error:  # those of requests are an OSError without a number
        if getattr(error, "errno", None) is not None:
            raise
        response = getattr(error, "response", None)
        if response is not None and not response.ok:
            raise DataError(
                f"{url}: the server answers {response.status_code} {response.reason}. Try later, "
                "or another server with --mirror."
            ) from None
        raise DataError(
            f"{url}: not received ({_cause(error)}). Check the network (and HTTPS_PROXY) and fetch "
            f"it again, or get the files of this task into a folder by other means and {elsewhere}."
        ) from None


def unzip(archive: Path) -> None:
    """Replace ``NAME.zip`` by the file NAME in it. Raises: BrfLavaError."""
    target = archive.with_suffix("")
    with ZipFile(archive) as content, replacing(target) as temporary:
        (name,) = (name for name in content.namelist() if Path(name).name == target.name)
        with content.open(name) as packed, temporary.open("wb") as file:
            copyfileobj(packed, file)
    archive.unlink()


def _hash(path: Path, algorithm: str) -> str:
    import pooch

    return str(pooch.file_hash(str(path), algorithm))


def _cause(error: BaseException) -> str:
    """The innermost of an error's causes: requests and urllib3 wrap it several times."""
    while (inner := error.__cause__ or error.__context__) is not None:
        error = inner
    return str(error) or type(error).__name__
