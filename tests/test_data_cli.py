"""brf-lava data: what is listed, described and fetched, against a server that can misbehave."""

from __future__ import annotations

import gzip
import hashlib
import io
import os
import re
import signal
import struct
import subprocess
import sys
import threading
import time
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import click
import h5py
import numpy as np
import pytest
from click.testing import CliRunner, Result

from brf_lava.cli.data import RAW_RECORDS, data
from brf_lava.cli.main import Commands
from brf_lava.cli.options import DataOptions, data_option, load_data
from brf_lava.data import download
from brf_lava.data.dataset import Dataset, DataSource, Split
from brf_lava.data.download import Checksum, part_of
from brf_lava.data.places import DATA_VARIABLE
from brf_lava.errors import BrfLavaError, DataError
from brf_lava.tasks import fetch as sources
from brf_lava.tasks import mnist, shd
from brf_lava.tasks.fetch import Remote
from brf_lava.tasks.registry import TASKS, find_task

ROOT = Path(__file__).resolve().parent.parent
CONTENT = np.random.default_rng(0).bytes(300_000)  # more than a block
MD5 = Checksum("md5", hashlib.md5(CONTENT, usedforsecurity=False).hexdigest())


@pytest.fixture(autouse=True)
def no_data_of_this_machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv(DATA_VARIABLE, raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("no_proxy", "127.0.0.1")


@dataclass
class Server:
    """What it serves, and how badly. requests: path and Range header of each."""

    files: dict[str, bytes]
    url: str = ""
    cut_after: int | None = None  # bytes of a body, then the connection is closed
    ranges: bool = True
    slow: bool = False  # a block every while, so that it can be interrupted
    lingers: float = 0.0  # s, for which the connection stays open behind the body
    leads_to: str | None = None  # another URL, for every request
    says: int = 200
    requests: list[tuple[str, str | None]] = field(default_factory=list)

    def answer(self, handler: BaseHTTPRequestHandler) -> None:
        name, wanted = handler.path.lstrip("/"), handler.headers.get("Range")
        self.requests.append((name, wanted))
        if self.leads_to is not None:
            handler.send_response(302)
            handler.send_header("Location", self.leads_to)
            handler.end_headers()
            return
        if self.says != 200 or name not in self.files:
            handler.send_error(self.says if self.says != 200 else 404)
            return
        body, start = self.files[name], 0
        if wanted and self.ranges:
            start = int(re.fullmatch(r"bytes=(\d+)-", wanted)[1])  # type: ignore[index]
            if start >= len(body):
                handler.send_error(416)
                return
            handler.send_response(206)
            handler.send_header("Content-Range", f"bytes {start}-{len(body) - 1}/{len(body)}")
        else:
            handler.send_response(200)
        rest = body[start:]
        handler.send_header("Content-Length", str(len(rest)))
        handler.end_headers()
        sent = rest if self.cut_after is None else rest[: self.cut_after]
        try:
            for block in range(0, len(sent), 10_000) if self.slow else ():
                handler.wfile.write(sent[block : block + 10_000])
                time.sleep(0.2)
            if not self.slow:
                handler.wfile.write(sent)
            time.sleep(self.lingers)
        except OSError:
            pass  # whoever asked has gone


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


def get(server: Server, path: Path, checksum: Checksum | None = MD5) -> None:
    download.download(f"{server.url}a.bin", path, checksum)


def assert_refused(server: Server, path: Path, *parts: str) -> None:
    with pytest.raises(DataError) as error:
        get(server, path)
    for part in parts:
        assert part in str(error.value)
    assert "\n" not in str(error.value)
    assert not path.exists()


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


# One file


def test_whole_file(server: Server, tmp_path: Path) -> None:
    seen: list[tuple[int, int | None]] = []
    download.download(
        f"{server.url}a.bin", tmp_path / "a.bin", MD5, lambda *pair: seen.append(pair)
    )
    assert (tmp_path / "a.bin").read_bytes() == CONTENT
    assert names(tmp_path) == {"a.bin"}
    assert seen[0] == (0, len(CONTENT))
    assert seen[-1] == (len(CONTENT), len(CONTENT))
    get(server, tmp_path / "a.bin")  # it is there
    assert len(server.requests) == 1


@pytest.mark.parametrize("cut_after", [0, 1, 100_000, len(CONTENT) - 1])
def test_cut_connection_is_resumed(server: Server, tmp_path: Path, cut_after: int) -> None:
    path = tmp_path / "a.bin"
    server.cut_after = cut_after
    assert_refused(server, path, f"after {cut_after:,} of 300,000 bytes", "same command again")
    assert part_of(path).stat().st_size == cut_after
    server.cut_after = None
    get(server, path)
    assert path.read_bytes() == CONTENT
    assert not part_of(path).exists()
    assert server.requests[1][1] == (f"bytes={cut_after}-" if cut_after else None)


def test_server_that_cannot_resume(server: Server, tmp_path: Path) -> None:
    path = tmp_path / "a.bin"
    part_of(path).write_bytes(CONTENT[:1000])
    server.ranges = False
    get(server, path)
    assert path.read_bytes() == CONTENT


def test_part_that_is_whole_already(server: Server, tmp_path: Path) -> None:
    path = tmp_path / "a.bin"
    part_of(path).write_bytes(CONTENT)
    get(server, path)
    assert path.read_bytes() == CONTENT


@pytest.mark.parametrize(
    "part",
    [b"", b"other", CONTENT + b"more", CONTENT[:-1] + b"?"],
    ids=["none", "another", "too long", "last byte"],
)
def test_wrong_content_is_deleted(server: Server, tmp_path: Path, part: bytes) -> None:
    path = tmp_path / "a.bin"
    if part:
        part_of(path).write_bytes(part)
    else:
        server.files["a.bin"] = CONTENT[::-1]
    assert_refused(server, path, "has md5", f"published is {MD5.digest}", "deleted", "--mirror")
    assert not part_of(path).exists()
    server.files["a.bin"] = CONTENT
    get(server, path)


def test_wrong_file_there_is_not_touched(server: Server, tmp_path: Path) -> None:
    path = tmp_path / "a.bin"
    path.write_bytes(b"mine")
    with pytest.raises(DataError, match=r"is there, but has md5 .* Delete it"):
        get(server, path)
    assert path.read_bytes() == b"mine"
    assert not server.requests


@pytest.mark.parametrize("says", [403, 404, 500, 503])
def test_server_refuses(server: Server, tmp_path: Path, says: int) -> None:
    server.says = says
    assert_refused(server, tmp_path / "a.bin", f"{server.url}a.bin", f"answers {says}")
    assert not part_of(tmp_path / "a.bin").exists()


def test_no_server(server: Server, tmp_path: Path) -> None:
    for url in ("http://127.0.0.1:9/", "http://no.such.host.invalid/"):
        gone = replace(server, url=url)
        assert_refused(gone, tmp_path / "a.bin", url, "not reached", "Check the network")


def test_without_a_network_the_advice_is_one_that_works() -> None:
    mirror = ("--mirror", "http://127.0.0.1:9/")
    assert_failed(brf_lava("fetch", "smnist", *mirror), "not reached", "with --data FOLDER")
    result = brf_lava("fetch", "ecg", *mirror)
    assert_failed(result, "not reached", "brf-lava data prepare ecg --records FOLDER")


def test_server_that_falls_silent(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(download, "TIMEOUT", 0.05)
    server.slow = True
    assert_refused(server, tmp_path / "a.bin", "after 10,000 of 300,000 bytes", "TimeoutError")
    assert part_of(tmp_path / "a.bin").read_bytes() == CONTENT[:10_000]


def test_bytes_are_told_of_as_they_come(server: Server, tmp_path: Path) -> None:
    server.files["a.bin"], server.slow = CONTENT[:40_000], True
    seen: list[int] = []
    download.download(
        f"{server.url}a.bin", tmp_path / "a.bin", None, lambda there, _: seen.append(there)
    )
    assert set(seen) >= {0, 10_000, 20_000, 30_000, 40_000}  # less than the block that is asked for
    assert (tmp_path / "a.bin").read_bytes() == CONTENT[:40_000]


def test_nothing_is_awaited_behind_the_last_byte(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(download, "TIMEOUT", 0.3)
    server.lingers = 1.0
    get(server, tmp_path / "a.bin")
    assert (tmp_path / "a.bin").read_bytes() == CONTENT


@pytest.mark.parametrize("target", ["http://[bad", "ftp://127.0.0.1/", "http://127.0.0.1:x/"])
def test_redirected_to_what_is_no_address(server: Server, tmp_path: Path, target: str) -> None:
    server.leads_to = target
    assert_refused(server, tmp_path / "a.bin", f"{server.url}a.bin")
    assert not part_of(tmp_path / "a.bin").exists()


def test_redirected_in_a_circle(server: Server, tmp_path: Path) -> None:
    server.leads_to = f"{server.url}a.bin"
    assert_refused(
        server, tmp_path / "a.bin", "answers 302 and leads to no file, maybe in a circle."
    )


def test_full_disk(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.bin"
    part_of(path).symlink_to("/dev/full")
    assert_refused(server, path, "No space left on device", "--to")
    part_of(path).unlink()
    full = type(download.shutil.disk_usage(tmp_path))(10**9, 10**9 - 5, 5)
    monkeypatch.setattr(download.shutil, "disk_usage", lambda _: full)
    assert_refused(server, path, "300,000 bytes are missing, 5 are free")


def test_without_published_checksum(server: Server, tmp_path: Path) -> None:
    get(server, tmp_path / "a.bin", None)
    server.files["a.bin"] = b"newer"
    get(server, tmp_path / "a.bin", None)
    assert (tmp_path / "a.bin").read_bytes() == b"newer"


def test_two_at_once(server: Server, tmp_path: Path) -> None:
    path = tmp_path / "a.bin"
    in_use = pytest.raises(BrfLavaError, match="another process is writing it")
    with download.only_writer(path), in_use:
        get(server, path)
    assert not server.requests


# The commands


def brf_lava(*arguments: str | Path) -> Result:
    group = Commands(name="brf-lava", commands={"data": data})
    return CliRunner().invoke(group, ["data", *map(str, arguments)], prog_name="brf-lava")


def assert_failed(result: Result, *parts: str) -> None:
    assert result.exit_code == 2, result.output
    errors = [line for line in result.output.splitlines() if line.startswith("Error:")]
    assert len(errors) == 1, result.output
    for part in parts:
        assert part in errors[0], result.output


def test_help_is_light() -> None:
    script = "import sys, brf_lava.cli.data; print(*sys.modules)"
    run = [sys.executable, "-c", script]
    loaded = subprocess.run(run, check=True, stdout=subprocess.PIPE, cwd=ROOT).stdout.decode()
    assert not {"numpy", "torch", "h5py", "scipy", "wfdb", "rich"} & set(loaded.split())
    text = brf_lava("--help").output
    for name in ("list", "info", "fetch", "prepare"):
        assert re.search(rf"^  {name} ", text, re.MULTILINE), name


def mnist_files() -> dict[str, bytes]:
    rng = np.random.default_rng(0)

    def idx(shape: tuple[int, ...], high: int) -> bytes:
        values = rng.integers(0, high, shape, dtype=np.uint8).tobytes()
        header = struct.pack(f">BBBB{len(shape)}I", 0, 0, 8, len(shape), *shape)
        return gzip.compress(header + values)

    shapes: list[tuple[tuple[int, ...], int]] = [
        *(((7, 28, 28), 256), ((7,), 10)),
        *(((3, 28, 28), 256), ((3,), 10)),
    ]
    return {
        f"{name}.gz": idx(shape, high)
        for name, (shape, high) in zip(mnist.IDX, shapes, strict=True)
    }


def serve(
    server: Server, task: str, files: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    """These files instead of the published ones, with their checksums."""
    server.files = files
    remotes = tuple(
        Remote(name, Checksum("md5", hashlib.md5(body, usedforsecurity=False).hexdigest()))
        for name, body in files.items()
    )
    source = replace(sources.SOURCES[task], url=server.url, files=remotes)
    monkeypatch.setitem(sources.SOURCES, task, source)


@pytest.mark.parametrize("task", ["smnist", "psmnist"])
def test_fetch_to_the_cache_is_found_there(
    server: Server, monkeypatch: pytest.MonkeyPatch, task: str
) -> None:
    serve(server, task, mnist_files(), monkeypatch)
    result = brf_lava("fetch", task)
    assert result.exit_code == 0, result.output
    assert "4/4" in result.output
    dataset = find_task(task).load(None)
    assert (len(dataset.train.x), len(dataset.test.x)) == (7, 3)
    assert len(server.requests) == 4
    assert brf_lava("fetch", task).exit_code == 0
    assert len(server.requests) == 4  # all there


def test_fetch_to_a_folder_goes_on_where_it_was_cut(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    serve(server, "smnist", mnist_files(), monkeypatch)
    to = tmp_path / "new" / "folder"
    server.cut_after = 1000
    assert_failed(brf_lava("fetch", "smnist", "--to", to), "after 1,000 of", "same command again")
    with pytest.raises(DataError):
        find_task("smnist").load(to)
    server.cut_after = None
    result = brf_lava("fetch", "smnist", "--to", to)
    assert f"Next: name it with --data {to}" in result.output
    assert server.requests[1] == (f"{mnist.IDX[0]}.gz", "bytes=1000-")
    assert len(find_task("smnist").load(to).train.x) == 7
    assert names(to) == {f"{name}.gz" for name in mnist.IDX}


def zipped(name: str, content: bytes) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(name, content)
    return packed.getvalue()


def shd_file() -> bytes:
    stored = io.BytesIO()
    with h5py.File(stored, "w") as file:
        for name, kind in (("times", np.float16), ("units", np.uint16)):
            lists = file.create_dataset(f"spikes/{name}", (1,), dtype=h5py.vlen_dtype(kind))
            lists[0] = np.ones(1, kind) / 2 if name == "times" else np.ones(1, kind)
        file["labels"] = np.array([3])
    return stored.getvalue()


@pytest.mark.parametrize("inside", ["", "folder/"])
def test_fetch_unpacks(server: Server, monkeypatch: pytest.MonkeyPatch, inside: str) -> None:
    archives = {f"{name}.zip": zipped(inside + name, shd_file()) for name in shd.FILES}
    serve(server, "shd", archives, monkeypatch)
    assert brf_lava("fetch", "shd").exit_code == 0
    assert names(sources.SOURCES["shd"].target) == set(shd.FILES)
    assert np.argwhere(find_task("shd").load(None).test.x).tolist() == [[0, 125, 699]]
    assert brf_lava("fetch", "shd").exit_code == 0
    assert len(server.requests) == 2


@pytest.mark.parametrize(
    "body", [zipped("other.h5", b"x"), b"no zip at all"], ids=["another", "no zip"]
)
def test_fetch_of_another_archive(
    server: Server, monkeypatch: pytest.MonkeyPatch, body: bytes
) -> None:
    serve(server, "shd", {f"{shd.FILES[0]}.zip": body}, monkeypatch)
    assert_failed(brf_lava("fetch", "shd"), f"{shd.FILES[0]}.zip")
    assert shd.FILES[0] not in names(sources.SOURCES["shd"].target)


def test_fetch_by_a_list_of_checksums(server: Server, tmp_path: Path) -> None:
    bodies = {f"sel100.{kind}": os.urandom(50) for kind in ("dat", "hea", "q1c")}
    bodies["RECORDS"] = b"sel100\n"
    others = {"sel100.atr": b"x", "old/sel100.dat": b"x", "sel100.xws": b"x"}
    lines = [f"{hashlib.sha256(b).hexdigest()} {n}" for n, b in {**bodies, **others}.items()]
    server.files = {**bodies, "SHA256SUMS.txt": "\n".join(lines).encode()}
    to = tmp_path / "records"
    result = brf_lava("fetch", "ecg", "--to", to, "--mirror", server.url.rstrip("/"))
    assert result.exit_code == 0, result.output
    assert names(to) == {*bodies, "SHA256SUMS.txt"}
    assert f"brf-lava data prepare ecg --records {to}" in result.output
    assert "brf-lava train --task ecg --data ecg.h5" in result.output
    (to / "sel100.dat").write_bytes(b"damage")
    again = brf_lava("fetch", "ecg", "--to", to, "--mirror", server.url)
    assert_failed(again, "sel100.dat: is there, but has sha256")
    server.files["SHA256SUMS.txt"] = b"nothing of use"
    assert_failed(
        brf_lava("fetch", "ecg", "--to", tmp_path / "b", "--mirror", server.url),
        "names no file that is wanted",
    )


@pytest.mark.parametrize(
    ("arguments", "found"),
    [
        (("eeg",), "nothing is published for 'eeg'; must be one of ecg, smnist"),
        (("smnist", "--mirror", "ftp://x/"), "must begin with http://"),
        (("smnist", "--mirror", "file:///etc/"), "must begin with http://"),
        (("smnist", "--to", "/dev/null/x"), "cannot be made (Not a directory)"),
    ],
)
def test_fetch_refuses(arguments: tuple[str, ...], found: str) -> None:
    assert_failed(brf_lava("fetch", *arguments), found)


def test_ctrl_c_keeps_what_came(server: Server, tmp_path: Path) -> None:
    server.files, server.slow = {f"{mnist.IDX[0]}.gz": CONTENT}, True
    program = (
        "from brf_lava.cli.data import data; from brf_lava.cli.main import Commands;"
        "Commands(name='brf-lava', commands={'data': data})()"
    )
    command = [sys.executable, "-c", program, "data", "fetch", "smnist", "--mirror", server.url]
    process = subprocess.Popen(
        [*command, "--to", str(tmp_path / "d")],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stderr=subprocess.PIPE,
        text=True,
    )
    part = part_of(tmp_path / "d" / f"{mnist.IDX[0]}.gz")
    deadline = time.monotonic() + 60
    while not (part.exists() and server.requests) and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "Stopped; what came is kept" in errors
    assert "Traceback" not in errors
    assert names(tmp_path / "d") == {part.name}


def listed() -> str:
    """What `list` says, without frames and line breaks."""
    return " ".join(re.sub("[│┌┐└┘─]", " ", brf_lava("list").output).split())


def test_list_names_all_tasks_and_what_is_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = listed()
    for task in TASKS:
        source = sources.SOURCES[task]
        for part in (task, source.origin, source.url, source.license):
            assert part in text
        for remote in source.files:
            assert remote.name in text
            if remote.checksum is not None:
                assert f"{remote.checksum.algorithm} {remote.checksum.digest}" in text
    assert "no; synthetic data are used" in text
    folder = tmp_path / "cache" / "brf-lava" / "data" / "mnist"
    folder.mkdir(parents=True)
    for name in mnist.IDX:
        (folder / name).touch()
    here = f"/data/mnist/{mnist.IDX[3]}"
    assert here not in text
    assert here in listed().replace(" ", "")  # twice, for both tasks, however long the folder
    monkeypatch.setenv(DATA_VARIABLE, str(tmp_path / "nowhere"))
    assert "does not exist" not in text
    assert "does not exist" in listed()


def test_listed_names_are_those_that_are_fetched() -> None:
    listed = sources.SOURCES["ecg"].listed
    assert listed is not None
    names = RAW_RECORDS.replace("*", "100").split(", ")
    assert all(re.fullmatch(listed, name) for name in names)
    assert {name.rpartition(".")[2] for name in names[1:]} == set(
        re.findall(r"\w+", listed.rpartition("(")[2])
    )


@pytest.mark.parametrize("width", [80, 120])
def test_list_fits_the_terminal(monkeypatch: pytest.MonkeyPatch, width: int) -> None:
    whole = listed()
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", str(width))
    lines = click.unstyle(brf_lava("list").output).splitlines()
    assert max(map(len, lines)) <= width
    assert {line[-1] for line in lines if line.startswith("│")} == {"│"}
    shown = " ".join(re.sub("[│┌┐└┘┬┴─]", " ", "\n".join(lines)).split())
    assert re.sub("[┬┴]", "", shown).split() == re.sub("[┬┴]", " ", whole).split()


def test_list_says_what_to_do_with_raw_records() -> None:
    raw = sources.SOURCES["ecg"].target
    raw.mkdir(parents=True)
    assert "raw records" not in listed().partition("smnist")[0].partition("here")[2]
    (raw / "sel100.hea").touch()
    assert f"brf-lava data prepare ecg --records {raw}" in listed().replace("\n", "")


def test_info(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    images = np.zeros((4, 28, 28), np.uint8)
    images[0] = 51
    labels = rng.permutation(4)
    np.savez(tmp_path / "mnist.npz", x_train=images, y_train=labels, x_test=images, y_test=labels)
    result = brf_lava("info", "smnist", "--data", tmp_path)
    assert result.exit_code == 0, result.output
    rows = {
        cells[1].strip(): cells[2].strip()
        for line in result.output.splitlines()
        if len(cells := re.split("[│|]", line)) > 3
    }
    assert rows["samples"] == "4"
    assert rows["inputs not 0"] == "25.00%"
    assert rows["largest input"] == "0.2"
    assert [rows[f"class {digit}"] for digit in (0, 3, 4)] == ["25.00%", "25.00%", "0.00%"]
    fingerprint = find_task("smnist").load(tmp_path).source.fingerprint
    assert fingerprint in result.output


def test_info_of_a_permuted_task(tmp_path: Path) -> None:
    images = np.random.default_rng(0).integers(0, 256, (2, 28, 28), dtype=np.uint8)
    labels = np.zeros(2, np.uint8)
    np.savez(tmp_path / "mnist.npz", x_train=images, y_train=labels, x_test=images, y_test=labels)
    order = tmp_path / "order.txt"
    order.write_text(" ".join(map(str, reversed(range(784)))))
    options = ("--data", tmp_path, "--permutation", order)
    assert "steps permuted (" in brf_lava("info", "psmnist", *options).output
    assert_failed(brf_lava("info", "smnist", *options), "steps of task smnist are not permuted")
    identity = brf_lava("info", "psmnist", "--data", tmp_path, "--permutation", "identity")
    assert "steps in their own order" in identity.output
    order.write_text("1 2 3")
    assert_failed(brf_lava("info", "psmnist", *options), "int64 of shape [3]")


def test_unlabeled_reaches_the_loader(monkeypatch: pytest.MonkeyPatch) -> None:
    """The commands need not pass it on; the one that ran before leaves nothing behind."""
    seen: list[str | None] = []
    split = Split(np.zeros((1, 2, 1), np.int8), np.zeros((1, 1), np.uint8))
    dataset = Dataset("ecg", ("P",), 0.004, split, split, DataSource("qtdb", "", ""))

    def load(data: Path | None = None, *, unlabeled: str | None = None) -> Dataset:
        seen.append(unlabeled)
        return dataset

    monkeypatch.setitem(TASKS, "ecg", replace(TASKS["ecg"], load=load))

    @click.command()
    @data_option
    def command(data: DataOptions) -> None:
        load_data("ecg", data)

    for arguments in (["--unlabeled", "mask"], [], ["--unlabeled", "first-class"]):
        assert CliRunner().invoke(command, arguments).exit_code == 0
    assert seen == ["mask", None, "first-class"]
    assert CliRunner().invoke(command, ["--unlabeled", "drop"]).exit_code == 2
