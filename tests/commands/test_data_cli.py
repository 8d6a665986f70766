"""brf-lava data: what is listed, described and fetched, against a server that can misbehave."""

from __future__ import annotations

import hashlib
import io
import os
import re
import signal
import tarfile
import threading
import time
import zipfile
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import click
import command_line
import numpy as np
import pytest
from click.testing import Result

from brf_lava.data.dataset import Dataset, DataSource, Split
from brf_lava.data.places import DATA_VARIABLE, cache_folder
from brf_lava.errors import BrfLavaError
from brf_lava.io.files import only_writer
from brf_lava.tasks import fetch as sources
from brf_lava.tasks import mnist, shd
from brf_lava.tasks.registry import TASKS, find_task

DATA = os.environ.get(DATA_VARIABLE, "")  # no test sees it in its own environment
BLOCK = 10_000  # bytes, at once
CONTENT = np.random.default_rng(0).bytes(10 * BLOCK)


def md5(content: bytes) -> str:
    return f"md5:{hashlib.md5(content, usedforsecurity=False).hexdigest()}"


@pytest.fixture(autouse=True)
def no_data_of_this_machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv(DATA_VARIABLE, raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("no_proxy", "127.0.0.1")


@dataclass
class Server:
    """What it serves, and how badly. requests: the path of each."""

    files: dict[str, bytes]
    url: str = ""
    cut_after: int | None = None  # bytes of a body, then the connection is closed
    slow: bool = False  # a block every while, so that it can be interrupted
    says: int = 200
    leads_to: str | None = None  # another URL, where it says 302
    requests: list[str] = field(default_factory=list)

    def answer(self, handler: BaseHTTPRequestHandler) -> None:
        name = handler.path.lstrip("/")
        self.requests.append(name)
        body = self.files.get(name, b"")
        handler.send_response(self.says)
        handler.send_header("Content-Length", str(len(body)))
        if self.leads_to is not None:
            handler.send_header("Location", self.leads_to)
        handler.end_headers()
        with suppress(OSError):  # whoever asked has gone
            for start in range(0, len(body), BLOCK):
                handler.wfile.write(body[start : start + BLOCK][: self.cut_after])
                if self.cut_after is not None:
                    return
                time.sleep(0.2 * self.slow)


@pytest.fixture
def server() -> Iterator[Server]:
    serves = Server({"a.bin": CONTENT})

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            serves.answer(self)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as http:
        serves.url = f"http://127.0.0.1:{http.server_address[1]}/"
        thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield serves
        http.shutdown()
        thread.join()


def get(server: Server, path: Path) -> None:
    sources.download(f"{server.url}a.bin", path, md5(CONTENT))


def assert_refused(server: Server, path: Path, *parts: str) -> None:
    """It ends in one line, and nothing is left of it."""
    with pytest.raises(BrfLavaError) as error:
        get(server, path)
    for part in (f"{server.url}a.bin: ", *parts):
        assert part in str(error.value)
    assert "\n" not in str(error.value)
    assert not names(path.parent)


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


# One file


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_whole_file(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, umask = tmp_path / "a.bin", os.umask(0o022)
    monkeypatch.setattr("sys.stderr", terminal := Terminal())
    get(server, path)
    os.umask(umask)
    assert path.read_bytes() == CONTENT
    assert names(tmp_path) == {"a.bin"}
    assert path.stat().st_mode & 0o777 == 0o644
    assert "100%" in terminal.getvalue()  # of a bar
    get(server, path)  # it is complete
    assert len(server.requests) == 1
    path.write_bytes(b"something of the user's")
    with pytest.raises(BrfLavaError, match="is not the published file, and would be replaced"):
        get(server, path)
    assert len(server.requests) == 1
    path.unlink()
    server.files["a.bin"] = CONTENT[::-1]
    known = md5(CONTENT).partition(":")[2]
    assert_refused(server, path, "has md5", f"published is {known}", "--mirror")


def test_cut_connection(server: Server, tmp_path: Path) -> None:
    for server.cut_after in (0, BLOCK):
        read = f"{server.cut_after} bytes read, {len(CONTENT) - server.cut_after} more expected"
        assert_refused(server, tmp_path / "a.bin", f"not received (IncompleteRead({read}))")


def test_server_that_refuses(server: Server, tmp_path: Path) -> None:
    for says in (403, 503):
        server.says = says
        assert_refused(server, tmp_path / "a.bin", f"not received ({says} ", "--mirror")
    for target in ("http://[bad", "ftp://127.0.0.1/", "http://127.0.0.1:x/", "a.bin"):
        server.says, server.leads_to = 302, target
        assert_refused(server, tmp_path / "a.bin", "not received (")


def test_no_server(server: Server, tmp_path: Path) -> None:
    for url, reason in (
        ("http://127.0.0.1:9/", "Connection refused"),
        ("http://no.such.host.invalid/", "ame"),  # or service not known; resolution
        ("ftp://127.0.0.1/", "No connection adapters"),
    ):
        gone = replace(server, url=url)
        assert_refused(gone, tmp_path / "a.bin", "not received (", reason, "Check the network")


def test_server_that_falls_silent(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sources, "TIMEOUT", 0.05)
    server.slow = True
    assert_refused(server, tmp_path / "a.bin", "timed out")


def test_full_disk(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_space(self: Path, *_: object, **__: object) -> io.BufferedWriter:
        return io.BufferedWriter(io.FileIO("/dev/full", "w"))

    monkeypatch.setattr(Path, "open", no_space)
    with pytest.raises(BrfLavaError, match=r"a\.bin: cannot write there \(No space left"):
        get(server, tmp_path / "a.bin")
    assert not names(tmp_path)


# The commands


brf_lava = partial(command_line.brf_lava, "data")


def assert_failed(result: Result, *parts: str) -> None:
    command_line.assert_failed(result, 2, *parts)


MNIST = {f"{name}.gz": name.encode() for name in mnist.IDX}


def serve(
    server: Server, task: str, files: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    """These files instead of the published ones, with their checksums."""
    server.files = files
    hashes = {name: md5(body) for name, body in files.items()}
    source = replace(sources.SOURCES[task], url=server.url, hashes=hashes)
    monkeypatch.setitem(sources.SOURCES, task, source)


def test_fetch_to_the_cache_is_found_there(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    serve(server, "psmnist", MNIST, monkeypatch)
    result = brf_lava("fetch", "psmnist")
    command_line.assert_worked(result)
    assert "4/4" in result.output
    assert [path.name for path in mnist.FILES.find(None)] == list(MNIST)
    command_line.assert_worked(brf_lava("fetch", "psmnist"))
    assert len(server.requests) == 4  # all are complete


def test_fetch_to_a_folder(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    serve(server, "smnist", MNIST, monkeypatch)
    to = tmp_path / "new" / "folder"
    server.cut_after = 10
    assert_failed(brf_lava("fetch", "smnist", "--out", to), "10 bytes read", "fetch it again")
    server.cut_after = None
    with only_writer(to / f"{mnist.IDX[1]}.gz"):
        assert_failed(brf_lava("fetch", "smnist", "--out", to), "another process is writing it")
    assert names(to) == {f"{mnist.IDX[0]}.gz"}
    result = brf_lava("fetch", "smnist", "--out", to)
    assert f"Next: name it with --data {to}" in result.output
    assert {path.name: path.read_bytes() for path in to.iterdir()} == MNIST
    found = command_line.assert_documented("data fetch", "smnist", "-o", to)
    assert found["folder"] == str(to)
    assert len(server.requests) == 5
    assert_failed(brf_lava("fetch", "smnist", "--out", "/dev/null/x"), "/dev/null/x: Not a dir")
    assert_failed(brf_lava("fetch", "eeg"), "'eeg' is not one of", *map(repr, sources.SOURCES))


def test_fetch_unpacks(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    archives = {}
    for folder, name in zip(("", "folder/"), shd.NAMES, strict=True):
        packed = io.BytesIO()
        with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr(folder + name, name)
        archives[f"{name}.zip"] = packed.getvalue()
    serve(server, "shd", archives, monkeypatch)
    for _ in range(2):
        command_line.assert_worked(brf_lava("fetch", "shd"))
        assert names(cache_folder() / "shd") == set(shd.NAMES)
        assert [path.read_text() for path in shd.FILES.find(None)] == list(shd.NAMES)
        assert len(server.requests) == 2


def test_fetch_by_a_list_of_checksums(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The list comes from the server, its checksum from the package."""
    bodies = {f"sel100.{kind}": os.urandom(50) for kind in ("dat", "hea", "q1c")}
    bodies["RECORDS"] = b"sel100\n"
    others = {"sel100.atr": b"x", "old/sel100.dat": b"x", "sel100.xws": b"x"}
    lines = [f"{hashlib.sha256(b).hexdigest()} {n}" for n, b in {**bodies, **others}.items()]
    server.files = {**bodies, "SHA256SUMS.txt": "\n".join(lines).encode()}
    to = tmp_path / "records"
    refused = "SHA256SUMS.txt: has other checksums than brf-lava knows, for the 4 files"
    assert_failed(brf_lava("fetch", "ecg", "--out", to, "--mirror", server.url), refused, "deleted")
    assert not names(to)
    lines.sort(key=lambda line: line.split()[1])
    own = "".join(f"{line}\n" for line in lines if line.split()[1] in bodies)
    known = replace(sources.QTDB, listing_hash=hashlib.sha256(own.encode()).hexdigest())
    monkeypatch.setitem(sources.SOURCES, "ecg", known)
    result = brf_lava("fetch", "ecg", "--out", to, "--mirror", server.url.rstrip("/"))
    assert result.exit_code == 0, result.output
    assert names(to) == {*bodies, "SHA256SUMS.txt"}
    assert f"brf-lava data prepare ecg --records {to}" in result.output
    assert "brf-lava train --task ecg --data ecg.h5" in result.output
    server.files["SHA256SUMS.txt"] = b"nothing of use"
    again = brf_lava("fetch", "ecg", "--out", to, "--mirror", server.url)
    assert_failed(again, "SHA256SUMS.txt: has other checksums", "for the 0 files")
    (to / "SHA256SUMS.txt").write_text("of the user's own\n")
    again = brf_lava("fetch", "ecg", "--out", to, "--mirror", server.url)
    assert_failed(again, "SHA256SUMS.txt: is not the published list, and would be replaced")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_a_stopped_fetch_can_be_repeated(server: Server, tmp_path: Path, number: int) -> None:
    server.files, server.slow = {f"{mnist.IDX[0]}.gz": CONTENT}, True
    to = tmp_path / "d"
    words = ("data", "fetch", "smnist", "--mirror", server.url, "--out", to)
    process = command_line.start(*words)
    deadline = time.monotonic() + 60
    while not server.requests and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(number)
    _, errors = process.communicate(timeout=60)
    if number == signal.SIGINT:
        assert process.returncode == 130
        assert "Stopped; complete files are kept" in errors
        assert "Traceback" not in errors
        assert not names(to)
    with only_writer(to / f"{mnist.IDX[0]}.gz"):  # no lock has remained
        pass


def listed() -> str:
    """What `list` says, without frames and line breaks."""
    return " ".join(re.sub("[^ -~]", " ", brf_lava("list").output).split())


def test_list_names_all_tasks_and_what_is_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = listed()
    for task in TASKS:
        source = sources.SOURCES[task]
        for part in (task, source.origin, source.url, source.license, *source.wanted):
            assert part in text
        for name, known_hash in source.hashes.items():
            assert f"{name} {known_hash.replace(':', ' ')}" in text
    assert text.count("here no ") == 3
    folder = tmp_path / "cache" / "brf-lava" / "data" / "mnist"
    folder.mkdir(parents=True)
    for name in mnist.IDX:
        (folder / name).touch()
    assert f"/data/mnist/{mnist.IDX[3]}" in listed().replace(" ", "")  # however long the folder
    monkeypatch.setenv(DATA_VARIABLE, str(tmp_path / "nowhere"))
    assert "does not exist" not in text
    assert "does not exist" in listed()
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "80")
    lines = click.unstyle(brf_lava("list").output).splitlines()
    assert max(map(len, lines)) <= 80
    assert {line[-1] for line in lines if line.startswith("│")} == {"│"}


def test_info(tmp_path: Path) -> None:
    images = np.zeros((4, 28, 28), np.uint8)
    images[0] = 51
    labels = np.random.default_rng(0).permutation(4)
    np.savez(tmp_path / "mnist.npz", x_train=images, y_train=labels, x_test=images, y_test=labels)
    result = brf_lava("info", "smnist", "--data", tmp_path)
    command_line.assert_worked(result)
    rows = {
        cells[1].strip(): cells[2].strip()
        for line in result.output.splitlines()
        if len(cells := re.split("[│|]", line)) > 3
    }
    assert rows["samples"] == "4"
    assert rows["inputs not 0"] == "25.00%"
    assert rows["largest input"] == "0.2"
    assert [rows[f"class {digit}"] for digit in (0, 3, 4)] == ["25.00%", "25.00%", "0.00%"]
    assert rows["unlabeled"] == "0.00%"
    assert find_task("smnist").load(tmp_path).source.fingerprint in result.output

    order = tmp_path / "order.txt"
    order.write_text(" ".join(map(str, reversed(range(784)))))
    options = ("--data", tmp_path, "--permutation", order)
    assert "steps permuted (" in brf_lava("info", "psmnist", *options).output
    assert_failed(brf_lava("info", "smnist", *options), "steps of task smnist are not permuted")
    identity = brf_lava("info", "psmnist", "--data", tmp_path, "--permutation", "identity")
    assert "steps in their own order" in identity.output


def test_unlabeled_reaches_the_loader(monkeypatch: pytest.MonkeyPatch) -> None:
    """The commands need not pass it on; the one that ran before leaves nothing behind."""
    seen: list[str | None] = []
    split = Split(np.zeros((1, 2, 1), np.int8), np.zeros((1, 1), np.uint8))
    dataset = Dataset("ecg", ("P",), 0.004, split, split, DataSource("qtdb", "", ""))

    def load(data: Path | None = None, *, unlabeled: str | None = None) -> Dataset:
        seen.append(unlabeled)
        return dataset

    monkeypatch.setitem(TASKS, "ecg", replace(TASKS["ecg"], load=load))

    for words in (("--unlabeled", "mask"), (), ("--unlabeled", "first-class")):
        command_line.assert_worked(brf_lava("info", "ecg", *words))
    assert seen == ["mask", None, "first-class"]
    assert_failed(brf_lava("info", "ecg", "--unlabeled", "drop"), "'--unlabeled'")


def test_the_checksums_are_those_of_the_published_records(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All 316 files of the QT database, as its archive has them."""
    archive = Path(DATA) / "qtdb" / "qtdb-raw.tar.gz"
    if not archive.is_file():
        pytest.skip("needs qtdb/qtdb-raw.tar.gz in BRF_LAVA_DATA")
    lines = []
    with tarfile.open(archive) as records:
        for member in records:
            if (content := records.extractfile(member)) is not None:
                digest = hashlib.sha256(content.read()).hexdigest()
                lines.append(f"{digest} {Path(member.name).name}\n")
    (tmp_path / "SHA256SUMS.txt").write_text("".join(lines))
    monkeypatch.setattr(sources, "download", lambda *_, **__: None)
    assert len(sources._listed(sources.QTDB, tmp_path)) == 316
