"""What a run on Loihi 2 needs, and what is said where it is not here."""

from __future__ import annotations

import json
import os
import re
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from command_line import assert_failed, brf_lava
from networks import random_network

from brf_lava.backends.base import BACKENDS
from brf_lava.backends.loihi2 import assembler, hosts
from brf_lava.backends.loihi2.hosts import Finding, Loihi2Options, examine
from brf_lava.backends.loihi2.machine import Program
from brf_lava.config.profile import Loihi2Profile, load_profile
from brf_lava.errors import BackendUnavailableError, ParameterError
from brf_lava.network.file import write_network
from brf_lava.run import stored

SINFO = """up down* kp
up idle oheogulch
up drain oheogulch
up alloc vpx
down idle old
"""
LOADED = load_profile("loihi2-oheogulch")
assert isinstance(LOADED, Loihi2Profile)
PROFILE = replace(LOADED, partitions=("kp", "oheogulch"))  # of generation N3B3


def cluster(command: Sequence[str]) -> str | None:
    *asked, shown = command
    assert asked[:2] == ["sinfo", "--noheader"]
    return {"--format=%a %t %R": SINFO, "--format=%a %t %N": "up idle og-1\nup drained og-3\n"}[
        shown
    ]


def nothing(command: Sequence[str]) -> str | None:
    return None


def here(command: Sequence[str]) -> str | None:
    return "" if command[0] == "ping" else cluster(command)


Look = Callable[..., tuple[dict[str, Finding], Loihi2Options]]


@pytest.fixture
def look(monkeypatch: pytest.MonkeyPatch) -> Look:
    """What is found on a machine with these variables and answers of sinfo and ping, by name."""

    def examined(
        environment: dict[str, str], ask: Any, **options: Any
    ) -> tuple[dict[str, Finding], Loihi2Options]:
        monkeypatch.setattr(os, "environ", environment)
        monkeypatch.setattr(hosts, "answer", ask)
        found, chosen = examine(Loihi2Options(**{"profile": PROFILE, **options}))
        return {finding.name: finding for finding in found}, chosen

    return examined


def test_there_are_six_checks(look: Look, monkeypatch: pytest.MonkeyPatch) -> None:
    found, _ = look({}, nothing)
    lava, extension, _, host, *_ = found
    assert len(found) == 6
    assert (found[lava].found, found[extension].found) == (True, False)
    assert "no NXSDKHOST, no scheduler (sinfo) that answers within 5 s" in found[host].detail

    def no_version(name: str) -> str:
        raise hosts.PackageNotFoundError(name)

    monkeypatch.setattr(hosts, "version", no_version)
    assert "brf-lava install-lava" in look({}, nothing)[0][lava].line()


@pytest.mark.parametrize(
    ("environment", "ask", "host", "board", "words", "options"),
    [
        ({}, nothing, False, False, "there is no host", {}),
        ({}, cluster, True, True, "partition oheogulch is up", {}),
        ({"PARTITION": "vpx"}, cluster, True, True, "partition vpx is up", {}),
        ({"PARTITION": "kp"}, cluster, True, False, "none of kp among .*: oheogulch, .*vpx", {}),
        ({"PARTITION": "old"}, cluster, True, False, "none of old", {}),
        ({"BOARD": "og-1"}, cluster, True, True, "board og-1 is up", {}),
        ({"BOARD": "og-3"}, cluster, True, False, "none of og-3 among .*: og-1 ", {}),
        ({"NXSDKHOST": "10.0.0.7"}, here, True, True, "10.0.0.7 answers the program ping", {}),
        ({"NXSDKHOST": "10.0.0.7"}, nothing, True, False, "10.0.0.7 does not answer", {}),
        ({}, cluster, False, False, "find the host", {"host": "ethernet"}),
        ({}, cluster, True, False, "none of no partition", {"profile": None}),
        ({}, cluster, True, False, "none of kp", {"partition": "kp"}),
    ],
)
def test_host_and_board(
    look: Look, environment: Any, ask: Any, host: bool, board: bool, words: str, options: Any
) -> None:
    found, _ = look(environment, ask, **options)
    assert (found["Loihi host"].found, found["board"].found) == (host, board)
    assert re.search(words, found["board"].line())
    assert all(item.found != bool(item.advice) for item in found.values())


def test_a_node_that_takes_no_work_is_not_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """States as sinfo's manual lists them; with a * the node does not answer."""
    for listed, expected in (
        (SINFO, ["oheogulch", "vpx"]),
        *((text, []) for text in ("", "\n", "up idle\n", "x\ny\n\n")),
        *((f"up {state} kp\n", ["kp"]) for state in ("idle", "mix", "alloc", "resv")),
        *((f"up {state} kp\n", []) for state in ("down", "drain", "drng", "fail", "failg")),
        *((f"up {state} kp\n", []) for state in ("maint", "idle*", "alloc*", "down*")),
        (None, None),
    ):
        monkeypatch.setattr(hosts, "answer", lambda _, listed=listed: listed)
        assert hosts.up_names() == expected, listed


class Assembler:
    name = "a"

    def assemble(self, program: Program) -> bytes:
        return b"1"


def exits() -> None:
    sys.exit(0)


class Exiting(Assembler):
    def __init__(self) -> None:
        exits()


AN_OBJECT = Assembler()


def on_assembler(**options: Any) -> Finding:
    found, _ = examine(Loihi2Options(**options))
    return next(finding for finding in found if finding.name == "neuron assembler")


def test_assemblers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "plug_ins", sys.modules[__name__])
    for plug_ins, named, found, words in (
        ({}, None, False, "none"),
        ({"one": "plug_ins:Assembler", "bad": "no_such_module"}, None, False, "bad, one"),
        ({"one": "plug_ins:Assembler", "bad": "no_such_module"}, "one", True, "plug-in one"),
        ({"one": "plug_ins:Assembler", "bad": "no_such_module"}, "bad", False, "no_such_module"),
        ({"one": "plug_ins:AN_OBJECT"}, None, True, "plug-in a"),
        ({"one": "plug_ins:Assembler"}, "three", False, "no plug-in 'three' among one"),
        ({"text": "plug_ins:SINFO"}, None, False, "it has no name and assemble(program)"),
        ({"broken": "plug_ins:Exiting"}, None, False, "plug_ins:Exiting"),
        ({"broken": "plug_ins:exits"}, None, False, "plug_ins:exits"),
        ({"broken": "plug_ins:nothing_there"}, None, False, "plug_ins:nothing_there"),
    ):
        entries = [EntryPoint(name, value, assembler.GROUP) for name, value in plug_ins.items()]
        monkeypatch.setattr(assembler, "entry_points", lambda group, entries=entries: entries)
        finding = on_assembler(assembler=named)
        assert (finding.found, words in finding.detail) == (found, True), finding.line()
        assert bool(finding.advice) != found
        assert plug_ins or "--assembler" not in finding.advice  # there is none to choose


def test_ready_files_are_read(tmp_path: Path) -> None:
    ready = tmp_path / "ready.toml"
    good = b'[files]\n0123456789abcdef = "a.bin"\nfedcba9876543210 = "b.bin"\n'
    for content, words in (
        (None, "cannot be read (No such file"),
        (b"[files", "ready.toml"),
        (good * 2, "ready.toml"),  # twice the same key
        (good, "b.bin (list files that exist. See deploy/assembler.md.)"),  # neither is there
    ):
        if content is not None:
            ready.write_bytes(content)
        finding = on_assembler(microcode=ready)
        assert not finding.found, content
        assert words in finding.line()
        assert "--microcode" in finding.line()
        assert "\n" not in finding.line()
    (tmp_path / "a.bin").write_bytes(b"1")
    one = on_assembler(microcode=ready)
    assert one.found
    assert one.line().endswith(f"2 assembled programs, without {tmp_path / 'b.bin'}")
    (tmp_path / "b.bin").write_bytes(b"1")
    assert on_assembler(microcode=ready).line().endswith("2 assembled programs")


@pytest.mark.parametrize(
    ("inherited", "options", "found", "words"),
    [
        (None, {"profile": None}, True, "none named"),
        (None, {}, True, "N3B3"),
        ("N3C1", {"profile": None}, True, "N3C1"),
        ("N3B3", {}, True, "N3B3"),
        ("N3C1", {}, False, "N3B3 is wanted, LOIHI_GEN=N3C1 (name the board's"),
        ("N3C1", {"chip_generation": "N3B3"}, True, "N3B3"),  # the option settles it
    ],
)
def test_chip_generation(
    look: Look, inherited: str | None, options: dict[str, Any], found: bool, words: str
) -> None:
    """The option's, else the profile's, else the machine's."""
    findings, chosen = look({"LOIHI_GEN": inherited} if inherited else {}, nothing, **options)
    finding = findings["chip generation"]
    assert (finding.found, words in finding.line()) == (found, True)
    assert (chosen.generation or "none named") in words


def test_answers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setattr(hosts, "SECONDS", 0.2)
    started = time.monotonic()
    for name, script, expected in (
        ("good", "echo hello", "hello\n"),
        ("bad", "exit 3", None),
        ("slow", "exec sleep 20", None),
        ("asking", "read line && echo heard", None),  # stdin is closed
        ("odd", r"printf '\377\n'", "\ufffd\n"),
    ):
        (tmp_path / name).write_text(f"#!/bin/sh\n{script}\n")
        (tmp_path / name).chmod(0o755)
        assert hosts.answer([name]) == expected
    assert time.monotonic() - started < 10
    assert hosts.answer(["good", "a\0b"]) is None
    assert hosts.answer(["no-such-program"]) is None


# The same words wherever something is missing


@pytest.fixture
def bare(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("NXSDKHOST", "PARTITION", "BOARD", "LOIHI_GEN"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.usefixtures("bare")
@pytest.mark.parametrize("options", [(), ("--host", "slurm"), ("--microcode", "no.toml")])
def test_the_error_says_what_doctor_says(options: tuple[str, ...]) -> None:
    """Word by word, whatever the options; and before any file is looked at."""
    shown = brf_lava("doctor", *options)
    assert shown.exit_code == 0
    verdict, *names, rest = shown.output.splitlines()
    assert verdict.startswith("Missing for loihi2: Intel's Loihi extension, ")
    assert "--all" in rest
    lines = brf_lava("doctor", *options, "--all").output.splitlines()[-len(names) :]
    for command in ("run", "verify"):
        failed = brf_lava(command, "no.h5", "--backend", "loihi2", *options)
        assert_failed(failed, BackendUnavailableError.exit_code, "; ".join(lines))
    with pytest.raises(BackendUnavailableError, match="Intel's Loihi extension: not found"):
        BACKENDS["loihi2"].require()
    contents = json.loads(brf_lava("doctor", *options, "--json").output)
    assert contents["loihi2"] is False
    assert [item["found"] for item in contents["findings"]] == [x[0] == "+" for x in names]


def test_nothing_missing_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    found = [Finding("Lava", True, "x")], Loihi2Options()
    monkeypatch.setattr(hosts, "examine", lambda _: found)
    assert "Next: brf-lava verify" in brf_lava("doctor").output


def test_a_profile_of_another_kind_is_wrong_input_everywhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    net = tmp_path / "net.h5"
    write_network(random_network(np.random.default_rng(0), (4, 3, 2)), net)
    monkeypatch.setattr(stored, "read_run", lambda path: None)
    for arguments in (
        ("run", net, "--backend", "loihi2", "--profile", "sim"),
        ("run", net, "--backend", "engine", "--profile", "loihi2-oheogulch"),
        ("verify", net, "--backend", "loihi2", "--profile", "sim"),
        ("map", net, "--profile", "sim"),
        ("estimate", "run.json", "--profile", "sim"),
        ("doctor", "--profile", "sim"),
        ("loihi2", "program", net, "--profile", "sim"),  # it takes no profile
    ):
        assert_failed(brf_lava(*arguments), 2, "--profile")


# Which host


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"partition": "kp", "board": "og-1"}, "with --partition kp and --board og-1: "),
        ({"host": "ethernet", "partition": "kp"}, "--host ethernet with --partition kp: "),
        ({"address": "10.0.0.7", "board": "og-1"}, "--board og-1 and --address 10.0.0.7: "),
        ({"host": "slurm", "address": "10.0.0.7"}, "--host slurm with --address 10.0.0.7: "),
        ({"partition": ""}, "--partition : empty"),
        ({"chip_generation": "N9"}, "--chip-generation N9: Lava knows N2A2, .*N3D1"),
        ({"io_delay": -1}, "--io-delay -1; it must be 0 to 1000 steps"),
        ({"microcode": Path(), "assembler": "one"}, "--assembler one: --microcode assembles no"),
        ({"io_delay": 1001}, "--io-delay 1001; it must be"),
    ],
)
def test_options_that_do_not_go_together(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ParameterError, match=message):
        Loihi2Options(**options)


@pytest.mark.parametrize(
    ("options", "inherited", "expected"),
    [
        ({}, {}, ("oheogulch", None, None)),
        ({}, {"NXSDKHOST": "a"}, (None, None, "a")),
        ({"host": "slurm"}, {"NXSDKHOST": "a"}, ("oheogulch", None, None)),
        ({"partition": "vpx"}, {"NXSDKHOST": "a"}, ("vpx", None, None)),
        ({"partition": "vpx"}, {"BOARD": "og-1"}, ("vpx", None, None)),
        ({"board": "og-1"}, {"PARTITION": "vpx"}, (None, "og-1", None)),
        ({}, {"PARTITION": "vpx"}, ("vpx", None, None)),
        ({}, {"BOARD": "og-1"}, (None, "og-1", None)),
        ({"host": "ethernet", "address": "b"}, {"NXSDKHOST": "a"}, (None, None, "b")),
    ],
)
def test_the_choice_of_a_host(
    look: Look,
    options: dict[str, Any],
    inherited: dict[str, str],
    expected: tuple[str | None, ...],
) -> None:
    found, chosen = look(inherited, here, **options)
    assert found["board"].found
    assert (chosen.partition, chosen.board, chosen.address) == expected
    assert all(part in chosen.describe() for part in expected if part)
