"""What a terminal gets to see of names and texts that could be anything."""

from __future__ import annotations

import io
import os
import pty
import re
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from command_line import assert_ends_quietly_on_a_closed_pipe, assert_failed, brf_lava
from hypothesis import given
from hypothesis import strategies as st
from networks import random_network
from rich.table import Table

from brf_lava import report
from brf_lava.io.printable import on_one_line, printable, printable_streams, unescaped
from brf_lava.network.file import write_network
from brf_lava.network.layers import FixedNetwork

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "brf_lava"
CLEAR, TITLE = "\x1b[2J", "\x1b]0;title\x07"
ODD = os.fsdecode(b"net\xff") + CLEAR + TITLE + ".h5"
PATIENCE = 120  # s


@given(st.text(st.integers(0, sys.maxunicode).map(chr)))  # surrogates included
def test_what_is_left_is_printable(text: str) -> None:
    shown = printable(text)
    assert printable(shown) == shown
    assert not {c for c in shown if ord(c) < 32 or 127 <= ord(c) < 160} - {"\n", "\t"}
    shown.encode()  # which lone surrogates would not let it
    if text.isprintable():
        assert shown == text
    line = printable(on_one_line(text))
    assert line.splitlines() in ([line], [])  # nothing that anybody takes for the end of a line


def streams(monkeypatch: pytest.MonkeyPatch, encoding: str = "utf-8") -> list[io.TextIOWrapper]:
    made = [io.TextIOWrapper(io.BytesIO(), encoding) for _ in range(2)]
    monkeypatch.setattr(sys, "stdout", made[0])
    monkeypatch.setattr(sys, "stderr", made[1])
    return made


def content(stream: io.TextIOWrapper) -> bytes:
    stream.flush()
    return stream.buffer.getvalue()  # type: ignore[attr-defined]


def test_streams(monkeypatch: pytest.MonkeyPatch) -> None:
    before = streams(monkeypatch)
    with printable_streams():
        for stream in (sys.stdout, sys.stderr):
            assert stream.write(f"{ODD}\r\u202e\t\x9b\n") == len(ODD) + 5
            unescaped(stream).write(CLEAR)
            assert stream.isatty() is False
    assert [sys.stdout, sys.stderr] == before
    spelled = rb"net\udcff\x1b[2J\x1b]0;title\x07.h5\r\u202e" + b"\t" + rb"\x9b" + b"\n"
    assert [content(stream) for stream in before] == [spelled + CLEAR.encode()] * 2


def test_what_a_stream_cannot_encode_and_closed_streams(monkeypatch: pytest.MonkeyPatch) -> None:
    out, _ = streams(monkeypatch, "ascii")
    with printable_streams():
        sys.stdout.write("5 \u00b5s")
    assert content(out) == rb"5 \xb5s"
    monkeypatch.setattr(sys, "stdout", None)
    with printable_streams():
        assert sys.stdout is None


def test_tables_and_notices(monkeypatch: pytest.MonkeyPatch) -> None:
    out, err = streams(monkeypatch)
    table = Table(title=ODD, caption=ODD)
    table.add_column(ODD)
    table.add_row(ODD)
    with printable_streams():
        report.print_table(table)
        report.notice(ODD)
    for stream, count in ((out, 4), (err, 1)):
        assert b"\x1b" not in content(stream)
        assert content(stream).count(rb"\udcff\x1b[2J") == count


def test_only_the_report_draws() -> None:
    """Drawings and colors on a stream of `printable_streams` would be spelled out."""
    drawing = re.compile(r"\b(secho|click\.style|Console)\(")
    assert not [path for path in PACKAGE.rglob("*.py") if drawing.search(path.read_text())]


# The commands, on a terminal


@pytest.fixture
def odd(tmp_path: Path) -> str:
    """A network of such a name, with such texts in it."""
    network = random_network(np.random.default_rng(0), (4, 3, 6))
    provenance: dict[str, Any] = {
        "task": CLEAR + TITLE,
        "data": {"description": CLEAR + TITLE, "fingerprint": ""},
        "metrics": {"device": CLEAR},
    }
    path = tmp_path / "net.h5"
    write_network(FixedNetwork(network.layers, provenance), path)
    path.rename(tmp_path / ODD)
    return str(tmp_path / ODD)


def start(
    odd: str, arguments: tuple[str, ...], prefix: Sequence[str] = (), **streams: Any
) -> subprocess.Popen[bytes]:
    """The command in a process of its own; ODD stands for the network."""
    given = [odd if each == "ODD" else each for each in arguments]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "TERM": "xterm"}
    command = [*prefix, sys.executable, "-m", "brf_lava", *given]
    return subprocess.Popen(command, env=environment, **streams)


def on_terminal(odd: str, arguments: tuple[str, ...]) -> tuple[int, bytes]:
    """Exit code, and all that it wrote."""
    ours, theirs = pty.openpty()
    process = start(odd, arguments, stdin=theirs, stdout=theirs, stderr=theirs)
    os.close(theirs)
    written = b""
    with suppress(OSError):  # so Linux says that nobody has the other end any more
        while part := os.read(ours, 65536):
            written += part
    os.close(ours)
    return process.wait(PATIENCE), written


def test_commands_on_a_terminal(odd: str) -> None:
    for arguments, code in ((("map", "ODD"), 0), (("run", "ODD", "--backend", "engine"), 2)):
        found, written = on_terminal(odd, arguments)
        assert found == code, written
        for raw in (b"Traceback", TITLE.encode(), CLEAR.encode(), b"\xff"):
            assert raw not in written


GONE = ODD + "\ngone"
WRONG = (
    ("map", GONE),
    ("map", "ODD", "--profile", GONE),
    ("run", "ODD", "--backend", "engine"),
    ("doctor", "--" + ODD),
    ("--" + ODD,),
    (ODD,),
)


def test_errors_are_one_printable_line(odd: str) -> None:
    for arguments in WRONG:
        result = brf_lava(*(odd if each == "ODD" else each for each in arguments))
        assert_failed(result, 2)
        assert "\x1b" not in result.output
        assert "\\x1b" in result.output or "ODD" in arguments


# A reader that leaves


def test_a_closed_pipe(odd: str) -> None:
    """Not a word, whether click or rich wrote last."""
    for arguments in (("map", odd), ("doctor", "--json"), ("--help",)):
        assert_ends_quietly_on_a_closed_pipe(*arguments)


def test_nobody_reads_an_error(odd: str) -> None:
    """It is no verdict: neither 1 nor that of the error."""
    process = start(odd, ("map", GONE), stderr=subprocess.PIPE)
    assert process.stderr is not None
    process.stderr.close()
    assert process.wait(PATIENCE) == 141


def test_a_full_disk_takes_an_error(odd: str) -> None:
    """Nobody can read it; its exit code remains."""
    with Path("/dev/full").open("wb") as full:
        process = start(odd, ("map", GONE), stdout=full, stderr=full)
        assert process.wait(PATIENCE) == 2


def test_a_closed_stdout(odd: str) -> None:
    prefix = ["sh", "-c", 'exec "$@" >&-', "sh"]
    process = start(odd, ("map", "ODD"), prefix, stderr=subprocess.PIPE)
    _, stderr = process.communicate(timeout=PATIENCE)
    assert (process.returncode, stderr) == (0, b"")
