"""The command before its own code has begun."""

from __future__ import annotations

import builtins
import errno
import subprocess
import sys
from typing import Any
from unittest.mock import Mock

import pytest
import torch
from command_line import assert_failed, brf_lava, run_process

from brf_lava import __version__
from brf_lava.__main__ import main
from brf_lava.errors import INTERRUPTED


def test_ctrl_c_while_the_command_is_imported(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    imported = builtins.__import__

    def interrupted(name: str, *arguments: Any, **options: Any) -> Any:
        if name == "brf_lava.cli":
            raise KeyboardInterrupt
        return imported(name, *arguments, **options)

    monkeypatch.setattr(builtins, "__import__", interrupted)
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == INTERRUPTED
    assert capsys.readouterr() == ("", "")


def test_wrong_arguments_take_one_line() -> None:
    for arguments, said, where in (
        (["trian"], "No such command 'trian'.", ""),
        (["train", "--set"], "Option '--set' requires an argument.", " train"),
        (["export"], "Missing argument 'MODEL'.", " export"),
        (["run", "--backend", "x\n\x1b[31m", "net.h5"], "Invalid value for '--backend'", " run"),
        (["data", "fetch"], "Missing argument 'TASK'.", " data fetch"),
        (["data", "bogus"], "No such command 'bogus'.", " data"),
    ):
        done = brf_lava(*arguments)
        (line,) = done.output.splitlines()
        assert done.exit_code == 2
        assert line.startswith(f"Error: {said}")
        assert line.endswith(f"See 'brf-lava{where} --help'.")
        assert line.isprintable()


def test_a_lack_of_memory_takes_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    """From whichever library it comes; any other fault is Python's own."""
    allocator = "[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to allocate 4"
    for error in (
        MemoryError("Unable to allocate 40. GiB"),
        OSError(errno.ENOMEM, "Cannot allocate memory"),
        RuntimeError(allocator),
        torch.cuda.OutOfMemoryError("CUDA out of memory."),
        ImportError("libtorch_cpu.so: failed to map segment from shared object"),
    ):
        monkeypatch.setattr("brf_lava.cli.board.board_profile", Mock(side_effect=error))
        assert_failed(brf_lava("map", "net.h5"), 8, "out of memory: ", "--batch")
    for other in (RuntimeError("another"), ImportError("another")):
        monkeypatch.setattr("brf_lava.cli.board.board_profile", Mock(side_effect=other))
        assert brf_lava("map", "net.h5").exception is other


def test_the_module_is_the_command() -> None:
    command = [sys.executable, "-m", "brf_lava", "--version"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout == f"brf-lava, version {__version__}\n"


def test_numba_leaves_the_terminal_to_the_command() -> None:
    """With colorama installed it would print a control sequence to a terminal at exit."""
    done = run_process(
        program="import sys, types\n"
        "sys.modules['colorama'] = types.ModuleType('colorama')\n"
        "sys.modules['colorama'].__version__ = '0.4.6'\n"
        "from brf_lava.cli import main\n"
        "main(['doctor', '-q'], standalone_mode=False)\n"
        "import numba.core.errors\n"
        "print(hasattr(numba.core.errors, 'ColorShell'))"
    )
    assert done.stdout == "False\n", done.stderr
