"""Where each task's data are published, and getting them from there."""

from __future__ import annotations

import re
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from shutil import copyfileobj

from brf_lava.data.download import Checksum, OnBytes, download
from brf_lava.data.places import cache_folder
from brf_lava.ecg import task as ecg
from brf_lava.errors import DataError
from brf_lava.io.files import replacing
from brf_lava.tasks.mnist import IDX
from brf_lava.tasks.shd import FILES as SHD_FILES

MEGABYTE = 10**6


@dataclass(frozen=True)
class Remote:
    """One file below a source's address. checksum: None for a list of checksums alone."""

    name: str
    checksum: Checksum | None


@dataclass(frozen=True)
class Source:
    """What can be fetched for a task.

    needs: what the task reads. origin: whose data. folder: in the cache folder.
    size: to be downloaded, bytes; None where the publisher does not say.
    listed: the names to fetch of those in the list of checksums that the server holds, a pattern;
    None where `files` has them all. use: what to do with a folder of these files that is not the
    one they are found in. prepared: whether the task cannot read them before that is done.
    """

    needs: str
    origin: str
    url: str
    license: str
    size: int | None
    folder: str
    files: tuple[Remote, ...]
    listed: str | None = None
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


def _md5(name: str, digest: str) -> Remote:
    return Remote(name, Checksum("md5", digest))


MNIST = Source(
    needs=f"mnist.npz, or {IDX[0]} and its three siblings",
    origin="MNIST of LeCun, Cortes and Burges",
    url="https://ossci-datasets.s3.amazonaws.com/mnist/",
    license="CC BY-SA 3.0",
    size=11_594_722,
    folder="mnist",
    files=(
        _md5(f"{IDX[0]}.gz", "f68b3c2dcbeaaa9fbdd348bbdeb94873"),
        _md5(f"{IDX[1]}.gz", "d53e105ee54ea40749a09fcbcd1e9432"),
        _md5(f"{IDX[2]}.gz", "9fb629c4189551a2d022fa330f9573f3"),
        _md5(f"{IDX[3]}.gz", "ec29112dd5afa0611ce80d1b7f02629c"),
    ),
)
SHD = Source(
    needs=" and ".join(SHD_FILES),
    origin="Spiking Heidelberg Digits, Cramer et al. 2020",
    url="https://zenkelab.org/datasets/",
    license="CC BY 4.0",
    size=None,
    folder="shd",
    files=(
        _md5(f"{SHD_FILES[0]}.zip", "f3252aeb598ac776c1b526422d90eecb"),
        _md5(f"{SHD_FILES[1]}.zip", "1503a5064faa34311c398fb0a1ed0a6f"),
    ),
)
QTDB = Source(
    needs="QTDB_train.mat and QTDB_test.mat, which come with the published BRF reference code; "
    "or raw records, prepared; else it is synthetic",
    origin="QT database of PhysioNet, raw records",
    url="https://physionet.org/files/qtdb/1.0.0/",
    license="ODC-BY 1.0",
    size=71_004_389,
    folder=ecg.RAW_FOLDER,
    files=(Remote("SHA256SUMS.txt", None),),
    listed=r"RECORDS|sel\w+\.(dat|hea|q1c)",
    use="make data of these raw records with 'brf-lava data prepare ecg --records {folder}', then "
    "'brf-lava train --task ecg --data ecg.h5'",
    prepared=True,
)
SOURCES = {"ecg": QTDB, "smnist": MNIST, "psmnist": MNIST, "shd": SHD}


@dataclass(frozen=True)
class Step:
    """Progress of a fetch: file number `index` of `count`, 1 the first."""

    name: str
    index: int
    count: int


def find_source(task: str) -> Source:
    """What can be fetched for this task. Raises: DataError naming those there are."""
    if task not in SOURCES:
        raise DataError(
            f"data fetch: nothing is published for {task!r}; must be one of {', '.join(SOURCES)}. "
            "The data of a task of your own lie where its .toml says."
        )
    return SOURCES[task]


def fetch(source: Source, folder: Path, on_file: Callable[[Step], OnBytes]) -> None:
    """All files of a source into `folder`, which is made; what is there already is not fetched.

    on_file: told of each file before it is fetched; gives what is told of its bytes.
    Raises: DataError as `download`, and for an archive without the file expected in it.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DataError(
            f"{folder}: cannot be made ({error.strerror}). Name another folder with --to."
        ) from None
    remotes, elsewhere = source.files, source.use.format(folder="FOLDER")
    if source.listed is not None:
        listing = remotes[0]
        download(source.url + listing.name, folder / listing.name, None, elsewhere=elsewhere)
        remotes = tuple(_listed(folder / listing.name, source.listed))
    for index, remote in enumerate(remotes, 1):
        path = folder / remote.name
        on_bytes = on_file(Step(remote.name, index, len(remotes)))
        packed = path.suffix == ".zip"
        if packed and path.with_suffix("").exists():
            continue
        download(source.url + remote.name, path, remote.checksum, on_bytes, elsewhere)
        if packed:
            _unpack(path)


def _listed(path: Path, pattern: str) -> Iterator[Remote]:
    """The files of a list of SHA-256 checksums, ``<digest>  <name>`` a line, that fit `pattern`."""
    found = 0
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        match = re.fullmatch(rf"([0-9a-f]{{64}})\s+\*?((?:{pattern}))", line.strip())
        if match:
            found += 1
            yield Remote(match[2], Checksum("sha256", match[1]))
    if not found:
        path.unlink()
        raise DataError(
            f"{path}: names no file that is wanted; must list SHA-256 checksums. It was deleted; "
            "fetch again, or from elsewhere with --mirror."
        )


def _unpack(archive: Path) -> None:
    """The file that a .zip is named after, beside it, in place of it."""
    target = archive.with_suffix("")
    try:
        with zipfile.ZipFile(archive) as content:
            names = [name for name in content.namelist() if Path(name).name == target.name]
            if len(names) != 1:
                raise DataError(
                    f"{archive}: holds {', '.join(content.namelist()) or 'nothing'}; must hold "
                    f"{target.name}. Unpack it by hand."
                )
            with (
                content.open(names[0]) as packed,
                replacing(target) as temporary,
                temporary.open("wb") as file,
            ):
                copyfileobj(packed, file)
    except zipfile.BadZipFile as error:
        raise DataError(f"{archive}: not a whole zip ({error}). Delete it, fetch again.") from None
    archive.unlink()
