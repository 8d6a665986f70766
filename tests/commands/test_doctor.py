"""What a run on Loihi 2 needs, and what is said where it is not here."""

from __future__ import annotations

import json
import os
import re
import sys
import time
from collections.abc import Callable, Sequence
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from networks import random_network

from brf_lava.backends.base import BACKENDS
from brf_lava.backends.loihi2 import assembler, doctor, hosts
from brf_lava.backends.loihi2.doctor import examine, explain, missing
from brf_lava.backends.loihi2.hosts import Finding, Host, up_boards, up_partitions
from brf_lava.backends.loihi2.machine import Program
from brf_lava.cli import main
from brf_lava.errors import BackendUnavailableError, ParameterError
from brf_lava.network.file import write_network
from brf_lava.run import stored

SINFO = """PARTITION AVAIL TIMELIMIT NODES STATE NODELIST
kp* up infinite 1 down* kp-1
oheogulch up 2:00:00 2 idle og-[1-2]
oheogulch up 2:00:00 1 drain og-3
vpx up infinite 1 alloc vpx-1
old down infinite 1 idle old-1
"""
SINFO_N = """NODELIST NODES PARTITION STATE
og-1 1 oheogulch idle
og-3 1 oheogulch drained
"""


def cluster(command: Sequence[str]) -> str | None:
    return {("sinfo",): SINFO, ("sinfo", "-N"): SINFO_N}.get(tuple(command))


def nothing(command: Sequence[str]) -> str | None:
    return None


def echo(command: Sequence[str]) -> str | None:
    return "" if command[0] == "ping" else None


def here(command: Sequence[str]) -> str | None:
    return echo(command) if command[0] == "ping" else cluster(command)


def everywhere(program: str) -> str | None:
    return f"/bin/{program}"


def nowhere(program: str) -> str | None:
    return None


Machine = Callable[..., None]
Look = Callable[..., dict[str, Finding]]


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Machine:
    """A machine with other variables, other programs and other answers of sinfo and ping."""

    def become(environment: dict[str, str], ask: Any, search: Any = everywhere) -> None:
        monkeypatch.setattr(os, "environ", environment)
        monkeypatch.setattr(hosts, "answer", ask)
        monkeypatch.setattr(hosts.shutil, "which", search)

    return become


@pytest.fixture
def look(machine: Machine) -> Look:
    """What is found on such a machine, by name."""

    def examined(
        environment: dict[str, str], ask: Any, search: Any = everywhere, **options: Any
    ) -> dict[str, Finding]:
        machine(environment, ask, search)
        found = examine(options.pop("host", Host()), **options)
        return {finding.name: finding for finding in found}

    return examined


@pytest.mark.parametrize(
    ("environment", "ask", "host", "board", "words"),
    [
        ({}, nothing, False, False, "there is no host"),
        ({}, cluster, True, True, "partition oheogulch is up"),
        ({"PARTITION": "vpx"}, cluster, True, True, "partition vpx is up"),
        ({"PARTITION": "kp"}, cluster, True, False, "none of kp among .*: oheogulch, vpx"),
        ({"PARTITION": "old"}, cluster, True, False, "none of old"),
        ({"BOARD": "og-1"}, cluster, True, True, "og-1 is up"),
        ({"BOARD": "og-3"}, cluster, True, False, "og-3 is not"),
        ({"NXSDKHOST": "10.0.0.7"}, echo, True, True, "10.0.0.7 answers a ping"),
        ({"NXSDKHOST": "10.0.0.7"}, nothing, True, False, "10.0.0.7 does not answer .* within 5 s"),
        ({"NXSDKHOST": "-f"}, echo, True, False, "'-f' is no address"),
        ({"NXSDKHOST": "a b"}, echo, True, False, "'a b' is no address"),
    ],
)
def test_host_and_board(
    look: Look, environment: dict[str, str], ask: Any, host: bool, board: bool, words: str
) -> None:
    found = look(environment, ask, partitions=("kp", "oheogulch"))
    assert (found["Loihi host"].found, found["board"].found) == (host, board)
    assert re.search(words, found["board"].line())
    assert all(item.found != bool(item.advice) for item in found.values())


def test_an_ethernet_host_needs_an_address_whatever_the_scheduler_says(look: Look) -> None:
    found = look({}, cluster, host=Host("ethernet"))
    assert not found["Loihi host"].found
    assert "name it with --address" in found["Loihi host"].line()
    environment = {"NXSDKHOST": "10.0.0.7", "PARTITION": "vpx"}
    assert "slurm" in look(environment, cluster, host=Host("slurm"))["Loihi host"].line()


def test_what_sinfo_prints() -> None:
    assert up_partitions(SINFO) == ("oheogulch", "vpx")
    assert up_boards(SINFO_N) == ("og-1",)
    for text in ("", "\n", "PARTITION AVAIL\n", "x\ny\n\n"):
        assert up_partitions(text) == up_boards(text) == ()


@pytest.mark.parametrize(
    ("state", "up"),
    [
        *(("idle", True), ("mix", True), ("alloc", True), ("resv", True)),
        *(("down", False), ("drain", False), ("drng", False), ("fail", False), ("failg", False)),
        *(("maint", False), ("idle*", False), ("alloc*", False), ("down*", False)),
    ],
)
def test_a_node_that_takes_no_work_is_not_up(state: str, up: bool) -> None:
    """States as sinfo's manual lists them; with a * the node does not answer."""
    listed = f"PARTITION AVAIL TIMELIMIT NODES STATE NODELIST\nkp* up infinite 1 {state} kp-1\n"
    assert up_partitions(listed) == (("kp",) if up else ())
    assert up_boards(f"NODELIST NODES PARTITION STATE\nkp-1 1 kp* {state}\n") == (
        ("kp-1",) if up else ()
    )


def test_packages(look: Look, monkeypatch: pytest.MonkeyPatch) -> None:
    found = look({}, nothing)
    assert found["torch"].found
    assert not found["torch"].needed
    assert found["Lava on Python 3.10 to 3.13"].found
    assert not found["Intel's Loihi extension"].found

    def no_version(name: str) -> str:
        raise doctor.PackageNotFoundError(name)

    monkeypatch.setattr(doctor, "version", no_version)
    lacking = look({}, nothing)["Lava on Python 3.10 to 3.13"]
    assert "brf-lava install-lava" in lacking.line()
    assert lacking in missing([lacking])


def test_a_program_that_is_absent_is_told_from_one_that_fails(look: Look) -> None:
    """Each of sinfo and ping."""
    for search, host, board in (
        (everywhere, "the scheduler's sinfo fails, or takes longer", "does not answer a ping"),
        (nowhere, r"no scheduler \(sinfo\) and", "no program ping, .*install ping"),
    ):
        assert re.search(host, look({}, nothing, search)["Loihi host"].line())
        finding = look({"NXSDKHOST": "10.0.0.7"}, nothing, search)["board"]
        assert re.search(board, finding.line())
        assert finding in missing([finding])


class Assembler:
    name = "a"

    def assemble(self, program: Program) -> bytes:
        return b"1"


def exits() -> None:
    sys.exit(0)


class Exiting(Assembler):
    def __init__(self) -> None:
        exits()


def on_assembler(**options: Any) -> Finding:
    return next(f for f in examine(Host(), **options) if f.name == "neuron assembler")


def install(monkeypatch: pytest.MonkeyPatch, **plug_ins: str) -> None:
    """name: what its entry point names."""
    entries = [EntryPoint(name, value, assembler.GROUP) for name, value in plug_ins.items()]
    monkeypatch.setattr(assembler, "entry_points", lambda group: entries)
    monkeypatch.setitem(sys.modules, "plug_ins", sys.modules[__name__])


def test_assemblers(look: Look, monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch, one="plug_ins:Assembler", two="plug_ins:Assembler", bad="no_such_module")
    assert "plug-ins bad, one, two are installed" in look({}, nothing)["neuron assembler"].line()
    for named, found in (("two", True), ("three", False), ("bad", False)):
        finding = on_assembler(assembler=named)
        assert finding.found is found
        assert named in finding.detail
    install(monkeypatch)
    assert not look({}, nothing)["neuron assembler"].found
    for broken in ("plug_ins:Exiting", "plug_ins:exits", "plug_ins:nothing_there"):
        install(monkeypatch, broken=broken)
        finding = on_assembler()
        assert not finding.found
        assert broken in finding.detail
        assert finding.advice


READY = '[files]\n0123456789abcdef = "a.bin"\nfedcba9876543210 = "b.bin"\n'


def test_ready_files_are_read(tmp_path: Path) -> None:
    ready = tmp_path / "ready.toml"
    for content, words in (
        (None, "cannot be read (No such file"),
        (b"", "empty"),
        (b"\xff\xfe\x00", "not UTF-8"),
        (b"[files", "ready.toml"),
        (b"[files]\nx = 1\n", "16 hexadecimal digits"),
        (READY.encode() * 2, "ready.toml"),  # twice the same key
        (READY.encode(), "2 assembled programs, instead of one, without"),  # neither file is there
    ):
        if content is not None:
            ready.write_bytes(content)
        finding = on_assembler(microcode=ready)
        assert not finding.found, content
        assert words in finding.line()
        assert "--microcode" in finding.line()
        assert "\n" not in finding.line()
    assert "Is a directory" in on_assembler(microcode=tmp_path).line()
    (tmp_path / "a.bin").write_bytes(b"1")
    one = on_assembler(microcode=ready)
    assert one.found
    assert one.line().endswith(f"instead of one, without {tmp_path / 'b.bin'}")
    (tmp_path / "b.bin").write_bytes(b"1")
    assert on_assembler(microcode=ready).line().endswith("2 assembled programs, instead of one")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_ready_files_that_may_not_be_read(tmp_path: Path) -> None:
    ready = tmp_path / "ready.toml"
    ready.write_text(READY)
    ready.chmod(0)
    assert "Permission denied" in on_assembler(microcode=ready).line()


@pytest.mark.parametrize(
    ("said", "wanted", "found", "words"),
    [
        (None, None, True, "none named, no LOIHI_GEN"),
        (None, "N3B3", True, "N3B3, no LOIHI_GEN to compare with"),
        ("N3C1", None, True, "N3C1, as LOIHI_GEN"),
        ("N3B3", "N3B3", True, "N3B3, as LOIHI_GEN"),
        ("N3C1", "N3B3", False, "N3B3 is wanted, LOIHI_GEN=N3C1 (name the board's"),
    ],
)
def test_chip_generation(
    look: Look, said: str | None, wanted: str | None, found: bool, words: str
) -> None:
    environment = {} if said is None else {"LOIHI_GEN": said}
    finding = look(environment, nothing, generation=wanted)["chip generation"]
    assert finding.found is found
    assert words in finding.line()


def test_a_named_generation_is_obeyed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The profile's is N3B3, the machine's another: the option settles it."""
    monkeypatch.setenv("LOIHI_GEN", "N3C1")
    for arguments, words in (
        ([], "- chip generation: not found, N3B3 is wanted, LOIHI_GEN=N3C1"),
        (["--chip-generation", "N3C1"], "+ chip generation: found, N3C1, as --chip-generation\n"),
        (["--chip-generation", "N3B3"], "+ chip generation: found, N3B3, as --chip-generation\n"),
    ):
        assert words in CliRunner().invoke(main, ["doctor", *arguments]).output


def test_answers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setattr(hosts, "SECONDS", 0.2)
    for name, script in (
        ("good", "echo hello"),
        ("bad", "exit 3"),
        ("slow", "exec sleep 20"),
        ("parent", "sleep 2"),  # a child of its own has what it prints into
        ("forking", "sleep 1 & echo done"),  # what a child's child does is not waited for
        ("asking", "read line && echo heard"),  # stdin is closed
        ("odd", r"printf '\377\n'"),
    ):
        (tmp_path / name).write_text(f"#!/bin/sh\n{script}\n")
        (tmp_path / name).chmod(0o755)
    assert hosts.answer(["good"]) == "hello\n"
    assert hosts.answer(["bad"]) is None
    started = time.monotonic()
    for slow in ("slow", "parent"):
        assert hosts.answer([slow]) is None
    assert hosts.answer(["forking"]) == "done\n"
    assert time.monotonic() - started < 10
    assert hosts.answer(["asking"]) is None
    assert hosts.answer(["odd"]) == "\ufffd\n"
    assert hosts.answer(["good", "a\0b"]) is None
    (tmp_path / "good").write_text("no program")
    assert hosts.answer(["good"]) is None
    assert hosts.answer(["no-such-program"]) is None


# The same words wherever something is missing


@pytest.fixture
def bare(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("NXSDKHOST", "PARTITION", "BOARD", "LOIHI_GEN"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.usefixtures("bare")
@pytest.mark.parametrize("options", [(), ("--host", "slurm"), ("--microcode", "no.toml")])
@pytest.mark.parametrize("command", ["run", "verify"])
def test_the_error_says_what_doctor_says(command: str, options: tuple[str, ...]) -> None:
    """Word by word, whatever the options; and before any file is looked at."""
    failed = CliRunner().invoke(main, [command, "no.h5", "--backend", "loihi2", *options])
    assert failed.exit_code == BackendUnavailableError.exit_code == 3
    shown = CliRunner().invoke(main, ["doctor", *options])
    assert shown.exit_code == 0
    lines = shown.output.splitlines()
    needed = [line[2:] for line in lines[:-1] if line[2:].split(":")[0] not in ("lava-dl", "torch")]
    assert len(needed) == 6
    (message,) = failed.output.splitlines()
    assert "; ".join(needed) in message
    assert lines[-1].startswith("--backend loihi2 lacks: ")
    with pytest.raises(BackendUnavailableError, match="Intel's Loihi extension: not found"):
        BACKENDS["loihi2"].require()


WRONG_KIND = (
    ("run", "NET", "--backend", "loihi2", "--profile", "sim"),
    ("run", "NET", "--backend", "engine", "--profile", "loihi2-oheogulch"),
    ("verify", "NET", "--backend", "loihi2", "--profile", "sim"),
    ("map", "NET", "--profile", "sim"),
    ("estimate", "RUN", "--profile", "sim"),
    ("doctor", "--profile", "sim"),
    ("loihi2", "program", "NET", "--profile", "sim"),  # it takes no profile
)


@pytest.mark.parametrize("arguments", WRONG_KIND, ids=" ".join)
def test_a_profile_of_another_kind_is_wrong_input_everywhere(
    arguments: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    network = random_network(np.random.default_rng(0), (4, 3, 2))
    write_network(network, tmp_path / "net.h5")
    monkeypatch.setattr(stored, "read_run", lambda path: None)
    places = {"NET": str(tmp_path / "net.h5"), "RUN": "run.json"}
    failed = CliRunner().invoke(main, [places.get(each, each) for each in arguments])
    assert failed.exit_code == 2, failed.output
    error = failed.output.splitlines()[-1]
    assert error.startswith("Error: ")
    assert "--profile" in error


@pytest.mark.usefixtures("bare")
def test_doctor_as_json() -> None:
    shown = CliRunner().invoke(main, ["doctor", "--json"])
    assert shown.exit_code == 0
    contents = json.loads(shown.output)
    assert contents["loihi2"] is False
    names = {item["name"]: item["found"] for item in contents["findings"]}
    assert names["torch"] is True
    assert names["board"] is False


def test_nothing_missing_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    here = (Finding("Lava", True, "x"), Finding("torch", False, "y", "z", needed=False))
    assert not missing(here)
    assert "Lava: found, x" in explain(here)
    assert "torch" not in explain(here)
    monkeypatch.setattr(doctor, "examine", lambda *_, **__: here)
    shown = CliRunner().invoke(main, ["doctor"])
    assert "Next: brf-lava verify" in shown.output


# Which host


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"kind": "usb"}, "choose one of auto, slurm, ethernet"),
        ({"partition": "kp", "board": "og-1"}, "with --partition kp and --board og-1: "),
        ({"kind": "ethernet", "partition": "kp"}, "--host ethernet with --partition kp: "),
        ({"address": "10.0.0.7", "board": "og-1"}, "--board og-1 and --address 10.0.0.7: "),
        ({"kind": "slurm", "address": "10.0.0.7"}, "--host slurm with --address 10.0.0.7: "),
        ({"address": "-f"}, "--address '-f': not a name"),
        ({"partition": ""}, "--partition '': not a name"),
        ({"board": "a b"}, "--board 'a b': not a name"),
        ({"generation": "N9"}, "--chip-generation N9; Lava knows N2A2, .*N3D1"),
        ({"generation": "N3\x1b[31m"}, "--chip-generation 'N3.x1b.31m': not a name"),
    ],
)
def test_options_that_do_not_go_together(options: dict[str, str], message: str) -> None:
    with pytest.raises(ParameterError, match=message):
        Host(**options)


@pytest.mark.parametrize(
    ("host", "inherited", "expected"),
    [
        (Host(), {}, ("slurm", "oheogulch", None, None)),
        (Host(), {"NXSDKHOST": "a"}, ("ethernet", None, None, "a")),
        (Host("slurm"), {"NXSDKHOST": "a"}, ("slurm", "oheogulch", None, None)),
        (Host(partition="vpx"), {"NXSDKHOST": "a"}, ("slurm", "vpx", None, None)),
        (Host(partition="vpx"), {"BOARD": "og-1"}, ("slurm", "vpx", None, None)),
        (Host(board="og-1"), {"PARTITION": "vpx"}, ("slurm", None, "og-1", None)),
        (Host(), {"PARTITION": "vpx"}, ("slurm", "vpx", None, None)),
        (Host(), {"BOARD": "og-1"}, ("slurm", None, "og-1", None)),
        (Host("ethernet", address="b"), {"NXSDKHOST": "a"}, ("ethernet", None, None, "b")),
    ],
)
def test_the_choice_of_a_host(
    machine: Machine, host: Host, inherited: dict[str, str], expected: tuple[str | None, ...]
) -> None:
    machine(inherited, here)
    chosen = host.resolved(["kp", "oheogulch"])
    assert (chosen.kind, chosen.partition, chosen.board, chosen.address) == expected
    assert all(part in chosen.describe() for part in expected if part)
    machine({}, here)
    assert chosen.resolved() == chosen


def test_the_generation_of_a_chosen_host(machine: Machine) -> None:
    """The option's, else the profile's, else the machine's."""
    machine({"LOIHI_GEN": "N3B2"}, here)
    for host, profile, expected in (
        (Host(partition="vpx", generation="N3C1"), "N3B3", "N3C1"),
        (Host(partition="vpx"), "N3B3", "N3B3"),
        (Host(partition="vpx"), None, "N3B2"),
    ):
        assert host.resolved(generation=profile).generation == expected


@pytest.mark.parametrize(
    ("host", "ask", "message"),
    [
        (Host(), nothing, r"no scheduler \(sinfo\) and no NXSDKHOST"),
        (Host("ethernet"), cluster, "no address"),
        (Host(partition="kp"), cluster, "none of kp among .*: oheogulch, vpx"),
        (Host(), cluster, "none of no partition"),
        (Host(board="og-3"), cluster, "og-3 is not among"),
    ],
)
def test_a_host_that_is_not_there(machine: Machine, host: Host, ask: Any, message: str) -> None:
    machine({}, ask, nowhere)
    with pytest.raises(BackendUnavailableError, match=message) as error:
        host.resolved()
    assert error.value.exit_code == 3
