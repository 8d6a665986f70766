"""What a run on Loihi 2 needs, and what is said where it is not here."""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest
from click.testing import CliRunner

from brf_lava.cli.doctor import doctor as doctor_command
from brf_lava.errors import BackendUnavailableError, ParameterError
from brf_lava.loihi2 import doctor
from brf_lava.loihi2.doctor import Finding, examine, explain, missing, up_boards, up_partitions
from brf_lava.loihi2.hosts import Host
from brf_lava.run.execute import require_backend

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


def look(
    environment: Mapping[str, str], ask: doctor.Answer, *partitions: str
) -> dict[str, Finding]:
    found = examine(environment=environment, ask=ask, partitions=partitions)
    return {finding.name: finding for finding in found}


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
        ({"NXSDKHOST": "10.0.0.7"}, nothing, True, False, "10.0.0.7 does not answer"),
    ],
)
def test_host_and_board(
    environment: dict[str, str], ask: doctor.Answer, host: bool, board: bool, words: str
) -> None:
    found = look(environment, ask, "kp", "oheogulch")
    assert (found["Loihi host"].found, found["board"].found) == (host, board)
    assert re.search(words, found["board"].line())
    assert all(item.found != bool(item.advice) for item in found.values())


def test_an_ethernet_host_needs_an_address_whatever_the_scheduler_says() -> None:
    found = {item.name: item for item in examine(environment={}, ask=cluster, host="ethernet")}
    assert not found["Loihi host"].found
    assert "name it with --address" in found["Loihi host"].line()
    environment = {"NXSDKHOST": "10.0.0.7", "PARTITION": "vpx"}
    found = {i.name: i for i in examine(environment=environment, ask=cluster, host="slurm")}
    assert "slurm" in found["Loihi host"].line()


def test_what_sinfo_prints() -> None:
    assert up_partitions(SINFO) == ("oheogulch", "vpx")
    assert up_boards(SINFO_N) == ("og-1",)
    for text in ("", "\n", "PARTITION AVAIL\n", "x\ny\n\n"):
        assert up_partitions(text) == up_boards(text) == ()


def test_packages(monkeypatch: pytest.MonkeyPatch) -> None:
    found = look({}, nothing)
    assert found["torch"].found
    assert not found["torch"].needed
    assert found["Python 3.10"].found == (sys.version_info[:2] == (3, 10))
    assert not found["Intel's Loihi extension"].found

    def no_version(name: str) -> str:
        raise doctor.PackageNotFoundError(name)

    monkeypatch.setattr(doctor, "version", no_version)
    lacking = look({}, nothing)["Lava"]
    assert "pip install lava-nc==0.10.0" in lacking.line()
    assert lacking in missing([lacking])


def test_assemblers(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(doctor, "assembler_names", lambda: ("one", "two"))
    assert "plug-ins one, two (choose" in look({}, nothing)["neuron assembler"].line()
    for named, found in (("two", True), ("three", False)):
        finding = next(f for f in examine(assembler=named) if f.name == "neuron assembler")
        assert finding.found is found
        assert named in finding.detail
    monkeypatch.setattr(doctor, "assembler_names", lambda: ())
    assert not look({}, nothing)["neuron assembler"].found
    ready = tmp_path / "ready.toml"
    for exists in (False, True):
        finding = next(f for f in examine(microcode=ready) if f.name == "neuron assembler")
        assert finding.found is exists
        ready.write_text("")


def test_answers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setattr(doctor, "SECONDS", 0.2)
    for name, script in (("good", "echo hello"), ("bad", "exit 3"), ("slow", "exec sleep 5")):
        (tmp_path / name).write_text(f"#!/bin/sh\n{script}\n")
        (tmp_path / name).chmod(0o755)
    assert doctor.answer(["good"]) == "hello\n"
    assert doctor.answer(["bad"]) is None
    assert doctor.answer(["slow"]) is None
    assert doctor.answer(["no-such-program"]) is None


# The same words wherever something is missing


@pytest.fixture
def bare(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("NXSDKHOST", "PARTITION", "BOARD"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.usefixtures("bare")
def test_the_error_says_what_doctor_says() -> None:
    with pytest.raises(BackendUnavailableError) as error:
        require_backend("loihi2")
    shown = CliRunner().invoke(doctor_command)
    assert shown.exit_code == 0
    lines = shown.output.splitlines()
    needed = [line[2:] for line in lines[:-1] if line[2:].split(":")[0] not in ("lava-dl", "torch")]
    assert len(needed) == 6
    for line in needed:
        assert line in str(error.value)
    assert lines[-1].startswith("--backend loihi2 lacks: ")
    assert "\n" not in str(error.value)


@pytest.mark.usefixtures("bare")
def test_doctor_as_json() -> None:
    shown = CliRunner().invoke(doctor_command, ["--json"])
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
    monkeypatch.setattr(doctor, "examine", lambda **_: here)
    shown = CliRunner().invoke(doctor_command)
    assert "Next: brf-lava verify" in shown.output


# Which host


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"kind": "usb"}, "choose one of auto, slurm, ethernet"),
        ({"partition": "kp", "board": "og-1"}, "Name one of the two"),
        ({"kind": "ethernet", "partition": "kp"}, "Use one kind"),
        ({"address": "10.0.0.7", "board": "og-1"}, "Use one kind"),
        ({"kind": "slurm", "address": "10.0.0.7"}, "needs no --address"),
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
    host: Host, inherited: dict[str, str], expected: tuple[str | None, ...]
) -> None:
    chosen = host.resolved(["kp", "oheogulch"], inherited=inherited, ask=cluster)
    assert (chosen.kind, chosen.partition, chosen.board, chosen.address) == expected
    assert chosen.resolved(inherited={}, ask=cluster) == chosen
    assert all(part in chosen.describe() for part in expected if part)


@pytest.mark.parametrize(
    ("host", "ask", "message"),
    [
        (Host(), nothing, "does not answer here"),
        (Host("ethernet"), cluster, "no address"),
        (Host(partition="kp"), cluster, "none of kp is .*: oheogulch, vpx"),
        (Host(), cluster, "none of no partition"),
        (Host(board="og-3"), cluster, "og-3: not among"),
    ],
)
def test_a_host_that_is_not_there(host: Host, ask: doctor.Answer, message: str) -> None:
    with pytest.raises(BackendUnavailableError, match=message) as error:
        host.resolved(inherited={}, ask=ask)
    assert error.value.exit_code == 3
