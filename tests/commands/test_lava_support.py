"""Lava on Python 3.10 to 3.13: the repairs of its import, and its installation."""

from __future__ import annotations

import importlib
import importlib.metadata
import sys
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from command_line import assert_failed, brf_lava, run_process
from networks import random_network

from brf_lava import lava_install, lava_support
from brf_lava.errors import BackendUnavailableError
from brf_lava.lava_install import OLD, PINNED, STARTUP, install_commands
from brf_lava.network.file import write_network


def run(script: str) -> str:
    """What a fresh interpreter prints; its error, if it fails."""
    done = run_process(program=script)
    return done.stdout if done.returncode == 0 else done.stderr


# Repairs


def test_the_lines_to_repair_are_there() -> None:
    for module, (line, _) in lava_support.REPAIRS.items():
        spec = find_spec(module)
        assert spec is not None
        assert spec.origin is not None
        assert line in Path(spec.origin).read_text()


@pytest.mark.skipif(OLD, reason="nothing is repaired on Python 3.10")
def test_without_the_repair_lava_cannot_be_imported() -> None:
    unrepaired = "import sys; sys.meta_path[:] = [f for f in sys.meta_path if 'Brf' not in str(f)]"
    script = f"{unrepaired}\nimport lava.magma.compiler.var_model"
    assert "mutable default" in run(script)


def test_threads_import_lava_first() -> None:
    """At once, before brf_lava, and nothing but Lava's own modules is changed."""
    script = (
        "import dataclasses, importlib; before = dict(vars(dataclasses))\n"
        "from concurrent.futures import ThreadPoolExecutor\n"
        "with ThreadPoolExecutor(8) as pool:\n"
        "    names = ['lava.magma.core.run_configs'] * 8\n"
        "    print(len(set(pool.map(importlib.import_module, names))))\n"
        "print(all(vars(dataclasses)[name] is value for name, value in before.items()))"
    )
    assert run(script) == "1\nTrue\n"
    assert run("import brf_lava, lava.magma.core.run_configs; print('here')") == "here\n"


def test_repairing_twice_changes_nothing() -> None:
    before = list(sys.meta_path)
    lava_support.repair_imports()
    assert sys.meta_path == before
    assert before.count(lava_support._Finder) == (0 if OLD else 1)


def test_a_reshaped_port_reshapes() -> None:
    """With an argument that NumPy 2.4 no longer has."""
    ports = importlib.import_module("lava.magma.core.process.ports.ports")
    port = ports.ReshapePort(new_shape=(2, 3), old_shape=(6,))
    assert port.get_transform_func_fwd()(np.arange(6)).shape == (2, 3)
    assert port.get_transform_func_bwd()(np.zeros((2, 3))).shape == (6,)


@pytest.mark.skipif(OLD, reason="imported at once on Python 3.10")
def test_object_detection_is_imported_when_it_is_used() -> None:
    slayer: Any = importlib.import_module("lava.lib.dl.slayer")
    assert "lava.lib.dl.slayer.object_detection" not in sys.modules
    with pytest.raises(AttributeError, match="no attribute 'odb'"):
        _ = slayer.odb
    if find_spec("cv2") is None or find_spec("torchvision") is None:
        with pytest.raises(ModuleNotFoundError):
            _ = slayer.obd
    else:
        assert slayer.obd.__name__ == "lava.lib.dl.slayer.object_detection"


def test_another_version_of_lava_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    class Failing:
        @staticmethod
        def find_spec(name: str, *_: Any) -> None:
            if name == "lava.magma.core.run_configs":
                raise ValueError("of another kind")

    monkeypatch.delitem(sys.modules, "lava.magma.core.run_configs")
    monkeypatch.setattr(sys, "meta_path", [Failing, *sys.meta_path])
    monkeypatch.setattr(importlib.metadata, "version", lambda name: "0.9.0")
    with pytest.raises(BackendUnavailableError, match=r"lava-nc is 0\.9\.0, 0\.10\.0 is needed"):
        lava_support.require_lava()


# Installation


@pytest.fixture
def ran(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[list[str]]:
    """The commands that would have run, in an environment without Lava."""
    commands: list[list[str]] = []
    monkeypatch.setattr(lava_install, "_run", commands.append)
    monkeypatch.setattr(lava_install, "distributions", list)
    monkeypatch.setattr(lava_install, "STARTUP", tmp_path / STARTUP.name)
    monkeypatch.setenv("VIRTUAL_ENV", sys.prefix)
    return commands


def test_an_installed_lava_is_left_alone() -> None:
    result = brf_lava("install-lava")
    assert result.output.startswith(f"{' and '.join(PINNED)} are installed in {sys.prefix}")


def test_a_dry_run_prints_what_a_run_does(ran: list[list[str]], tmp_path: Path) -> None:
    printed = brf_lava("install-lava", "--dry-run").output
    assert not ran
    assert not list(tmp_path.iterdir())
    assert brf_lava("install-lava").output.startswith(printed)
    *commands, check = ran
    assert commands == install_commands()
    assert all(" ".join(command) in printed for command in commands)
    assert check == [sys.executable, "-c", lava_install.CHECK]
    assert [path.name for path in tmp_path.iterdir()] == ([] if OLD else [STARTUP.name])


def test_wheels_are_pinned_and_hashed() -> None:
    wheels = install_commands()[0 if OLD else 1]
    assert {"--no-deps", "--require-hashes"} < set(wheels)
    lines = Path(wheels[-1]).read_text().splitlines()
    assert [line.split()[0] for line in lines] == ["lava-nc==0.10.0", "lava-dl==0.6.0"]
    assert all(len(line.split("--hash=sha256:")[1]) == 64 for line in lines)


def test_an_environment_that_is_not_active_is_named(
    ran: list[list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    def first_line() -> str:
        return str(brf_lava("install-lava", "--dry-run").output).splitlines()[0]

    assert first_line() == f"Lava goes into {sys.prefix}."
    monkeypatch.setenv("VIRTUAL_ENV", "elsewhere")
    assert first_line().endswith("environment elsewhere.")
    monkeypatch.delenv("CONDA_PREFIX", raising=False)
    monkeypatch.delenv("VIRTUAL_ENV")
    assert first_line().endswith("not active here.")


def test_uv_is_used_where_there_is_no_pip(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lava_install, "find_spec", lambda name: None)
    monkeypatch.setattr(lava_install.shutil, "which", lambda name: f"/bin/{name}")
    for command in install_commands():
        assert command[:5] == ["/bin/uv", "pip", "install", "--python", sys.executable]
    monkeypatch.setattr(lava_install.shutil, "which", lambda name: None)
    with pytest.raises(BackendUnavailableError, match=r"neither pip in .* nor uv on PATH"):
        install_commands()


def test_a_command_that_fails_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lava_install, "distributions", list)
    failed = SimpleNamespace(returncode=7)
    monkeypatch.setattr(lava_install.subprocess, "run", lambda command, **_: failed)
    assert_failed(brf_lava("install-lava"), 3, "exit code 7 of", "try again")


@pytest.mark.slow
def test_a_first_run_says_that_it_compiles(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Once, before the progress; a later run reads the kernels from the disk."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.delenv("BRF_LAVA_DATA", raising=False)
    small = ("--epochs", "1", "--set", "hidden=[2]", "--set", "training.batch_size=600")
    for said in (1, 0):
        out = ("--out", tmp_path / "m.pt", "--overwrite")
        done = run_process("train", "--task", "ecg", *small, *out)
        assert done.returncode == 0, done.stderr
        assert done.stderr.count("Compiling kernels") == said
        assert said == 0 or done.stderr.index("Compiling") < done.stderr.index("epoch 1/1")


@pytest.mark.skipif(OLD, reason="nothing is repaired on Python 3.10")
def test_netx_names_the_class_that_reads_our_files(tmp_path: Path) -> None:
    """It would look for parameters of its own resonators there: a KeyError on sinDecay."""
    hdf5 = pytest.importorskip("lava.lib.dl.netx.hdf5")
    from brf_lava import Network

    net = tmp_path / "net.h5"
    write_network(random_network(np.random.default_rng(0), (4, 9, 3)), net)
    with pytest.raises(NotImplementedError, match=r"net\.h5: .*Use brf_lava\.Network instead"):
        hdf5.Network(net_config=str(net))
    assert len(Network(net)) == 2
