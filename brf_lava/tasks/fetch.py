"""Where each task's data are published, and getting them from there."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from io import BytesIO
from pathlib import Path

from brf_lava.data.download import Bar, download, receive, unzip
from brf_lava.data.places import cache_folder
from brf_lava.ecg import task as ecg
from brf_lava.errors import DataError
from brf_lava.io.files import only_writer, write_bytes
from brf_lava.tasks.mnist import IDX
from brf_lava.tasks.shd import FILES as SHD_FILES

SHA256_LINE = re.compile(r"([0-9a-f]{64})\s+\*?([\w.]+)\s*")  # no path, which could lead anywhere


@dataclass(frozen=True)
class Source:
    """What can be fetched for a task.

    Attributes:
        needs: What the task reads.
        origin: Whose data they are.
        url: The folder of the files.
        license: Of the data.
        size: Of the download in bytes; None where the publisher does not say.
        folder: In the cache folder.
        files: Hash of each file as `download` takes it; empty where the server has a list of them.
        listing: Name of that list, lines of a SHA-256 checksum and a file name.
        wanted: Patterns of the names in the list to fetch.
        use: What to do with a folder of these files that is not in the cache folder.
        prepared: Whether the task can only read them after that.
    """

    needs: str
    origin: str
    url: str
    license: str
    size: int | None
    folder: str
    files: Mapping[str, str]
    listing: str = ""
    wanted: tuple[str, ...] = ()
    use: str = "name it with --data {folder}"
    prepared: bool = False

    @property
    def target(self) -> Path:
        """The folder it is fetched to unless another one is named."""
        return cache_folder() / self.folder

    def mirrored(self, url: str) -> Source:
        """The same from another server. Raises: DataError for an address that is not HTTP."""
        if not re.match(r"https?://\w", url):
            raise DataError(
                f"--mirror: {url}; must begin with http:// or https://. Name the folder there that "
                "holds the files."
            )
        return replace(self, url=f"{url.rstrip('/')}/")


MNIST = Source(
    needs=f"mnist.npz, or {IDX[0]} and its three siblings",
    origin="MNIST of LeCun, Cortes and Burges",
    url="https://ossci-datasets.s3.amazonaws.com/mnist/",
    license="CC BY-SA 3.0",
    size=11_594_722,
    folder="mnist",
    files={
        f"{IDX[0]}.gz": "md5:f68b3c2dcbeaaa9fbdd348bbdeb94873",
        f"{IDX[1]}.gz": "md5:d53e105ee54ea40749a09fcbcd1e9432",
        f"{IDX[2]}.gz": "md5:9fb629c4189551a2d022fa330f9573f3",
        f"{IDX[3]}.gz": "md5:ec29112dd5afa0611ce80d1b7f02629c",
    },
)
SHD = Source(
    needs=" and ".join(SHD_FILES),
    origin="Spiking Heidelberg Digits, Cramer et al. 2020",
    url="https://zenkelab.org/datasets/",
    license="CC BY 4.0",
    size=None,
    folder="shd",
    files={
        f"{SHD_FILES[0]}.zip": "md5:f3252aeb598ac776c1b526422d90eecb",
        f"{SHD_FILES[1]}.zip": "md5:1503a5064faa34311c398fb0a1ed0a6f",
    },
)
QTDB = Source(
    needs="QTDB_train.mat and QTDB_test.mat, which come with the published BRF reference code; "
    "or raw records, prepared; else it is synthetic",
    origin="QT database of PhysioNet, raw records",
    url="https://physionet.org/files/qtdb/1.0.0/",
    license="ODC-BY 1.0",
    size=71_004_389,
    folder=ecg.RAW_FOLDER,
    files={},
    listing="SHA256SUMS.txt",
    wanted=("RECORDS", "sel*.dat", "sel*.hea", "sel*.q1c"),
    use="make data of these raw records with 'brf-lava data prepare ecg --records {folder}', then "
    "'brf-lava train --task ecg --data ecg.h5'",
    prepared=True,
)
SOURCES = {"ecg": QTDB, "smnist": MNIST, "psmnist": MNIST, "shd": SHD}


def find_source(task: str) -> Source:
    """What can be fetched for this task. Raises: DataError naming those there are."""
    if task not in SOURCES:
        raise DataError(
            f"data fetch: nothing is published for {task!r}; must be one of {', '.join(SOURCES)}. "
            "The data of a task of your own lie where its .toml says."
        )
    return SOURCES[task]


def fetch(source: Source, folder: Path, on_file: Callable[[str, int, int], Bar | None]) -> None:
    """Fetch the files of a source that are not there yet.

    Args:
        source: What to fetch.
        folder: Where the files go; it is made.
        on_file: Called before each file with its name, its number from 1 and how many there are;
            returns the bar that shows its progress, or None.

    Raises:
        DataError: As `download`; also when the folder cannot be made, or the list of checksums
            names no file that is wanted.
        BrfLavaError: A file cannot be written, or another process is writing it.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DataError(
            f"{folder}: cannot be made ({error.strerror}). Name another folder with --to."
        ) from None
    elsewhere = source.use.format(folder="FOLDER")
    files = _listed(source, folder, elsewhere) if source.listing else source.files
    for index, (name, known_hash) in enumerate(files.items(), 1):
        bar, path = on_file(name, index, len(files)), folder / name
        with only_writer(path):
            packed = path.suffix == ".zip"
            if packed and path.with_suffix("").exists():
                continue
            download(source.url + name, path, known_hash, bar, elsewhere)
            if packed:
                unzip(path)


def _listed(source: Source, folder: Path, elsewhere: str) -> dict[str, str]:
    """The wanted files in the server's list of checksums, which is kept in the folder."""
    url, content = source.url + source.listing, BytesIO()
    receive(url, content, elsewhere=elsewhere)
    lines = content.getvalue().decode(errors="replace").splitlines()
    files = {
        match[2]: f"sha256:{match[1]}"
        for match in map(SHA256_LINE.fullmatch, lines)
        if match and any(fnmatchcase(match[2], pattern) for pattern in source.wanted)
    }
    if not files:
        raise DataError(
            f"{url}: names no file that is wanted; must list SHA-256 checksums. Fetch again, or "
            "from elsewhere with --mirror."
        )
    write_bytes(folder / source.listing, content.getvalue())
    return files
