"""Where each task's data are published, and getting them from there, with pooch."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from hashlib import sha256
from pathlib import Path
from shutil import copyfileobj
from zipfile import ZipFile

from brf_lava.data.places import DataFiles
from brf_lava.ecg import task as ecg
from brf_lava.errors import DataError
from brf_lava.io.files import Kind, check_writable, only_writer, replacing
from brf_lava.tasks import mnist, shd

TIMEOUT = 30  # s without a single byte
BLOCK = 1 << 14  # bytes
PUBLISHED = Kind("the published file", b"(?!)")  # any other of its name stays
LISTING = Kind("the published list", rb"[0-9a-f]{64} .*\bsel[0-9]+\.")
SHA256_LINE = re.compile(r"^([0-9a-f]{64}) +\*?([\w.]+)$", re.M)  # a name without a folder


@dataclass(frozen=True, eq=False)
class Source:
    """What can be fetched for a task.

    listing_hash: SHA-256 of the wanted lines ``digest name`` of the listing, sorted by name. The
    server's list is believed only if it has them.
    """

    files: DataFiles  # what the task reads
    origin: str  # whose data they are
    url: str  # the folder of the published files
    license: str  # of the data
    size: int | None  # of the download in bytes; None where the publisher does not say
    folder: str  # in the cache folder
    # algorithm and digest of each published file, such as "md5:9fb6..."
    hashes: Mapping[str, str] = field(default_factory=dict)
    listing: str = ""  # without `hashes`: the published list of SHA-256 checksums and file names
    wanted: tuple[str, ...] = ()  # patterns of the names in the list to fetch
    listing_hash: str = ""
    use: str = ""  # what to do with FOLDER, which has these files, before the task can read them


IDX_SHA256 = (
    "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
    "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
    "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
    "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
)
MNIST = Source(
    files=mnist.FILES,
    origin="MNIST of LeCun, Cortes and Burges",
    url="https://ossci-datasets.s3.amazonaws.com/mnist/",
    license="CC BY-SA 3.0",
    size=11_594_722,
    folder="mnist",
    hashes={
        f"{name}.gz": f"sha256:{digest}" for name, digest in zip(mnist.IDX, IDX_SHA256, strict=True)
    },
)
SHD = Source(
    files=shd.FILES,
    origin="Spiking Heidelberg Digits, Cramer et al. 2020",
    url="https://zenkelab.org/datasets/",
    license="CC BY 4.0",
    size=None,
    folder="shd",
    hashes={
        f"{shd.NAMES[0]}.zip": "md5:f3252aeb598ac776c1b526422d90eecb",
        f"{shd.NAMES[1]}.zip": "md5:1503a5064faa34311c398fb0a1ed0a6f",
    },
)
QTDB = Source(
    files=ecg.FILES,
    origin="QT database of PhysioNet, raw records",
    url="https://physionet.org/files/qtdb/1.0.0/",
    license="ODC-BY 1.0",
    size=71_004_389,
    folder="qtdb-raw",
    listing="SHA256SUMS.txt",
    wanted=("RECORDS", "sel*.dat", "sel*.hea", "sel*.q1c"),
    listing_hash="20cf056830bd515e707d9cb9d86fbfb40d84689a91b7f130cef6d72d442eaaa5",
    use="brf-lava data prepare ecg --records FOLDER, then brf-lava train --task ecg --data ecg.h5",
)
SOURCES = {"ecg": QTDB, "smnist": MNIST, "psmnist": MNIST, "shd": SHD}


def fetch(source: Source, folder: Path, on_file: Callable[[str, int, int], None]) -> None:
    """Fetch the files of a source into a folder, except those that are complete already.

    on_file: Called before each file with its name, its number from 1 and how many there are.
    Raises: DataError if the server cannot be reached or refuses, the connection ends early, or a
    hash differs: nothing of a broken file is kept. BrfLavaError if a file cannot be written,
    another process is writing it, or another file than the published one has its name.
    """
    folder.mkdir(parents=True, exist_ok=True)
    hashes = _listed(source, folder) if source.listing else source.hashes
    for index, (name, known_hash) in enumerate(hashes.items(), 1):
        on_file(name, index, len(hashes))
        path = folder / name
        with only_writer(path):
            if path.suffix != ".zip":
                download(source.url + name, path, known_hash)
            elif not path.with_suffix("").exists():
                download(source.url + name, path, known_hash)
                _unzip(path)


def download(url: str, path: Path, known_hash: str = "", kind: Kind = PUBLISHED) -> None:
    """Download a file, unless it is there with a hash as in `Source.hashes`; errors as `fetch`."""
    import pooch

    algorithm, _, digest = known_hash.partition(":")
    if path.exists() and known_hash and pooch.file_hash(str(path), algorithm) == digest:
        return
    check_writable(path, kind)
    # Some servers refuse Python's own name; a file that is packed on the way has another length.
    headers = {"User-Agent": "brf-lava", "Accept-Encoding": "identity"}
    get = pooch.HTTPDownloader(sys.stderr.isatty(), BLOCK, headers=headers, timeout=TIMEOUT)
    with replacing(path, kind) as temporary:
        try:
            with temporary.open("wb") as file:
                get(url, file, None)
        except (OSError, ValueError) as error:
            if getattr(error, "errno", None) is not None:  # those of requests have no number
                raise
            raise DataError(
                f"{url}: not received ({_cause(error)}). Check the network (and HTTPS_PROXY) and "
                "fetch it again, name another server with --mirror, or get the files otherwise."
            ) from None
        if known_hash and (actual := pooch.file_hash(str(temporary), algorithm)) != digest:
            raise DataError(
                f"{url}: the downloaded file has {algorithm} {actual}, published is {digest}. It "
                "was deleted; fetch it again, or from elsewhere with --mirror."
            )


def _unzip(archive: Path) -> None:
    """Replace ``NAME.zip`` by the file NAME in it."""
    target = archive.with_suffix("")
    with ZipFile(archive) as content, replacing(target, PUBLISHED) as temporary:
        (name,) = (name for name in content.namelist() if Path(name).name == target.name)
        with content.open(name) as packed, temporary.open("wb") as file:
            copyfileobj(packed, file)
    archive.unlink()


def _listed(source: Source, folder: Path) -> dict[str, str]:
    """The hashes of the wanted files in the server's list of checksums, which is kept."""
    path = folder / source.listing
    download(source.url + source.listing, path, kind=LISTING)
    wanted = {
        name: digest
        for digest, name in SHA256_LINE.findall(path.read_text(errors="replace"))
        if any(fnmatchcase(name, pattern) for pattern in source.wanted)
    }
    lines = "".join(f"{wanted[name]} {name}\n" for name in sorted(wanted))
    if sha256(lines.encode()).hexdigest() != source.listing_hash:
        path.unlink()
        raise DataError(
            f"{path}: has other checksums than brf-lava knows, for the {len(wanted)} files that "
            "are wanted. It was deleted; fetch again, or from elsewhere with --mirror."
        )
    return {name: f"sha256:{digest}" for name, digest in wanted.items()}


def _cause(error: BaseException) -> str:
    """The innermost of an error's causes: requests and urllib3 wrap it several times."""
    while (inner := error.__cause__ or error.__context__) is not None:
        error = inner
    return str(error) or type(error).__name__
