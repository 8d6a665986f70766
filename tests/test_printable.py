"""What a terminal gets to see of names and texts that could be anything."""

from __future__ import annotations

import io
import os
import pty
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st
from networks import random_network
from rich.table import Table

from brf_lava import report
from brf_lava.cli import main
from brf_lava.io.printable import on_one_line, printable, printable_streams, unescaped
from brf_lava.network.file import write_network
from brf_lava.network.layers import FixedNetwork

ROOT = Path(__file__).parent.parent
CLEAR, TITLE = "\x1b[2J", "\x1b]0;title\x07"
ODD = os.fsdecode(b"net\xff") + CLEAR + TITLE + ".h5"
PATIENCE = 120  # s


@given(st.text(st.integers(0, sys.maxunicode).map(chr)))  # surrogates included
def test_what_is_left_is_printable(text: str) -> None:
    found = printable(text)
    assert printable(found) == found
    assert not {c for c in found if ord(c) < 32 or 127 <= ord(c) < 160} - {"\n", "\t"}
    found.encode()  # which lone surrogates would not let it
    if text.isprintable():
        assert found == text


def test_it_is_spelled_out() -> None:
    assert printable("a\x1b[31m\udcff\x9b\r\u202e\tb\n") == (
        "a\\x1b[31m\\udcff\\x9b\\r\\u202e\tb\n"
    )


@given(st.text(st.integers(0, sys.maxunicode).map(chr)))
def test_a_name_is_on_one_line(text: str) -> None:
    found = on_one_line(text)
    assert found.splitlines() in ([found], [])  # nothing that anybody takes for the end of a line
    assert found == printable(text).replace("\n", "\\n")


def streams(monkeypatch: pytest.MonkeyPatch, encoding: str = "utf-8") -> list[io.TextIOWrapper]:
    made = [io.TextIOWrapper(io.BytesIO(), encoding) for _ in range(2)]
    monkeypatch.setattr(sys, "stdout", made[0])
    monkeypatch.setattr(sys, "stderr", made[1])
    return made


def content(stream: io.TextIOWrapper) -> bytes:
    stream.flush()
    return stream.buffer.getvalue()  # type: ignore[attr-defined]


def test_streams(monkeypatch: pytest.MonkeyPatch) -> None:
    """On stderr bars are drawn; a terminal's title is no drawing."""
    out, err = streams(monkeypatch)
    with printable_streams():
        assert sys.stdout.write(CLEAR + TITLE + "\udcff\r\n") == len(CLEAR + TITLE) + 3
        sys.stderr.write(CLEAR + TITLE + "\udcff\r\n")
        unescaped(sys.stdout).write(CLEAR)
        assert sys.stdout.isatty() is False
    assert (sys.stdout, sys.stderr) == (out, err)
    assert content(out) == rb"\x1b[2J\x1b]0;title\x07\udcff\r" + b"\n" + CLEAR.encode()
    assert content(err) == CLEAR.encode() + rb"\x1b]0;title\x07\udcff" + b"\r\n"


def test_what_a_stream_cannot_encode(monkeypatch: pytest.MonkeyPatch) -> None:
    out, _ = streams(monkeypatch, "ascii")
    with printable_streams():
        sys.stdout.write("5 \u00b5s")
    assert content(out) == rb"5 \xb5s"


def test_closed_streams(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", None)
    with printable_streams():
        assert sys.stdout is None


def test_tables(monkeypatch: pytest.MonkeyPatch) -> None:
    out, _ = streams(monkeypatch)
    table = Table(title=ODD)
    table.add_column(ODD)
    table.add_row(ODD)
    table.caption = ODD
    with printable_streams():
        report.print_table(table)
    found = content(out)
    assert b"\x1b" not in found
    assert found.count(rb"\udcff\x1b[2J") == 4


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


def on_terminal(*arguments: str) -> tuple[int, bytes]:
    """Exit code, and all that it wrote."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "brf_lava", *arguments],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env={**os.environ, "PYTHONPATH": str(ROOT), "TERM": "xterm"},
    )
    os.close(theirs)
    written = b"".join(_read(ours))
    os.close(ours)
    return process.wait(PATIENCE), written


def _read(handle: int) -> Iterator[bytes]:
    while True:
        try:
            part = os.read(handle, 65536)
        except OSError:  # so Linux says that nobody has the other end any more
            return
        if not part:
            return
        yield part


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("map", "ODD"), 0),
        (("verify", "ODD", "--backend", "engine", "--steps", "5"), 0),
        (("run", "ODD", "--backend", "engine"), 2),
    ],
    ids=lambda value: value[0] if isinstance(value, tuple) else "",
)
def test_commands_on_a_terminal(odd: str, arguments: tuple[str, ...], code: int) -> None:
    found, written = on_terminal(*(odd if each == "ODD" else each for each in arguments))
    assert found == code, written
    for raw in (b"Traceback", TITLE.encode(), CLEAR.encode(), b"\xff"):
        assert raw not in written


def test_a_file_that_was_written_is_named_on_one_line(odd: str, tmp_path: Path) -> None:
    picture = tmp_path / f"two\nlines{CLEAR}.png"
    result = CliRunner().invoke(main, ["map", odd, "--out", str(picture)])
    assert picture.exists(), result.output
    (line,) = (line for line in result.output.splitlines() if line.startswith("Wrote "))
    assert line == f"Wrote {tmp_path}/two\\nlines\\x1b[2J.png."


GONE = ODD + "\ngone"
WRONG = (
    ("map", GONE),
    ("map", "--describe", GONE),
    ("map", "ODD", "--profile", GONE),
    ("estimate", GONE),
    ("verify", GONE, "--backend", "engine"),
    ("run", GONE, "--backend", "engine"),
    ("run", "ODD", "--backend", "engine"),
    ("loihi2", "program", GONE),
    ("loihi2", "program", "ODD", "--layer", "9"),
    ("export", GONE, "net.h5"),
    ("doctor", "--profile", GONE),
    ("doctor", "--board", ODD),
    ("doctor", "--host", ODD),
    ("doctor", "--" + ODD),
    ("--" + ODD,),
    (ODD,),
)


@pytest.mark.parametrize("arguments", WRONG, ids=[each[0][:6] for each in WRONG])
def test_errors_are_one_printable_line(odd: str, arguments: tuple[str, ...]) -> None:
    given = [odd if each == "ODD" else each for each in arguments]
    result = CliRunner().invoke(main, given, color=True)  # with color nothing is stripped
    assert isinstance(result.exception, SystemExit), result.exc_info
    assert result.exit_code == 2
    lines = result.output.splitlines()
    assert [line for line in lines if line.startswith("Error: ")] == lines[-1:]
    assert "\x1b" not in result.output
    assert "\\x1b" in lines[-1] or "ODD" in arguments


# A reader that leaves


@pytest.mark.parametrize(
    "arguments",
    [
        ("map", "ODD"),
        ("loihi2", "program", "ODD"),
        ("verify", "ODD", "--backend", "engine", "--steps", "5"),
        ("doctor",),
        ("doctor", "--json"),
    ],
    ids=" ".join,
)
def test_a_closed_pipe(odd: str, arguments: tuple[str, ...]) -> None:
    """Exit code 1 and not a word, whether click or rich wrote last."""
    given = [odd if each == "ODD" else each for each in arguments]
    process = subprocess.Popen(
        [sys.executable, "-m", "brf_lava", *given],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert process.stdout is not None
    process.stdout.close()
    _, stderr = process.communicate(timeout=PATIENCE)
    assert (process.returncode, stderr) == (1, b"")


@pytest.mark.parametrize("arguments", [("map", "ODD"), ("doctor",)], ids=lambda value: value[0])
def test_a_closed_stdout(odd: str, arguments: tuple[str, ...]) -> None:
    given = [odd if each == "ODD" else each for each in arguments]
    process = subprocess.run(
        ["sh", "-c", 'exec "$@" >&-', "sh", sys.executable, "-m", "brf_lava", *given],
        stderr=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        timeout=PATIENCE,
    )
    assert (process.returncode, process.stderr) == (0, b"")
