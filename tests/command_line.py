"""The command line as a user calls it, and how a command must end."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import scipy.io
from click.testing import CliRunner, Result

from brf_lava.cli import main
from brf_lava.data.dataset import Split

ROOT = Path(__file__).parent.parent
PROGRAM = "from brf_lava.cli import main; main(prog_name='brf-lava')"
PATIENCE = 120  # s, for a process; machine code may have to be compiled first


def brf_lava(*arguments: Any, typed: str | bytes | None = None) -> Result:
    given = [str(argument) for argument in arguments]
    return CliRunner().invoke(main, given, input=typed, prog_name="brf-lava")


def start(*arguments: Any, program: str = PROGRAM) -> subprocess.Popen[str]:
    """The same in a process of its own."""
    return subprocess.Popen(
        [sys.executable, "-c", program, *map(str, arguments)],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def run_process(*arguments: Any, program: str = PROGRAM) -> subprocess.CompletedProcess[str]:
    """Wait for such a process."""
    process = start(*arguments, program=program)
    try:
        stdout, stderr = process.communicate(timeout=PATIENCE)
    finally:
        process.kill()
    return subprocess.CompletedProcess([], process.returncode, stdout, stderr)


def assert_worked(result: Result) -> None:
    assert result.exit_code == 0, result.output
    assert "Error" not in result.output


def assert_one_error(output: str, *parts: str) -> None:
    errors = [line for line in output.splitlines() if line.startswith("Error:")]
    assert len(errors) == 1, output
    assert output.rstrip("\n").splitlines()[-1] == errors[0], output
    assert "Traceback" not in output
    for part in parts:
        assert part in errors[0], output


def assert_failed(result: Result, code: int, *parts: str) -> None:
    """No exception but the exit, that code, and one line that says all of `parts`."""
    assert isinstance(result.exception, SystemExit), (result.output, result.exc_info)
    assert result.exit_code == code, result.output
    assert_one_error(result.output, *parts)


def assert_ends_quietly_on_a_closed_pipe(*arguments: Any) -> None:
    """With 141, as shells have it of SIGPIPE, whoever wrote last."""
    process = start(*arguments)
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.close()
    stderr = process.stderr.read()
    assert process.wait(PATIENCE) == 128 + signal.SIGPIPE
    assert stderr.strip() == ""


def files(folder: Path) -> dict[str, bytes]:
    """All files below a folder, hidden ones included."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def write_task(folder: Path, **arrays: Any) -> Path:
    """A task of the user's own: x [B, T, 4] and y with six classes, to train and to test on."""
    np.savez(folder / "data.npz", **arrays)
    path = folder / "toys.toml"
    path.write_text(
        'name = "toys"\nclasses = ["a", "b", "c", "d", "e", "f"]\ninputs = 4\n'
        f"steps = {arrays['x'].shape[1]}\nstep_seconds = 0.01\n"
        'train = "data.npz"\ntest = "data.npz"\ninput = "x"\nlabel = "y"\n'
    )
    return path


def write_mat(path: Path, split: Split) -> None:
    """In the layout of the published files: a last step that only marks the end, one-hot labels."""
    samples, steps, inputs = split.x.shape
    x = np.zeros((samples, steps + 1, inputs), np.int16)
    x[:, :steps] = split.x
    x[:, -1, 0] = -1
    y = np.zeros((samples, steps + 1, 6), np.uint8)
    y[:, :steps] = np.eye(6, dtype=np.uint8)[split.y]
    scipy.io.savemat(path, {"x": x, "y": y}, do_compression=True)


def wait_until(condition: Callable[[], bool], seconds: float = 20.0) -> bool:
    """Whether a condition holds, now or soon."""
    deadline = time.monotonic() + seconds
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.02)
    return condition()


def group_is_empty(group: int) -> bool:
    """Whether no process of a process group is left."""
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return True
    return False


def printed(*arguments: Any) -> str:
    """What a command that works prints."""
    result = brf_lava(*arguments)
    assert_worked(result)
    return result.output


def leaves(value: Any, path: str = "") -> Iterator[tuple[str, str]]:
    """Path and type of every plain value in JSON, as docs/reference/json.md writes them."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from leaves(inner, f"{path}.{key}" if path else key)
    elif isinstance(value, list):
        for inner in value:
            yield from leaves(inner, f"{path}[]")
    else:
        names = {bool: "boolean", int: "number", float: "number", str: "string"}
        yield path, names.get(type(value), "null")


def documented_leaves(command: str) -> dict[str, str]:
    """The table of a command in docs/reference/json.md: path and types."""
    page = (ROOT / "docs" / "reference" / "json.md").read_text()
    _, found, rest = page.partition(f"\n## {command}\n")
    assert found, f"docs/reference/json.md does not describe {command}"
    rows = re.findall(r"^\| `(.*?)` \| (.*?) \|", rest.partition("\n## ")[0], re.MULTILINE)
    assert rows
    return dict(rows)


def assert_documented(command: str, *arguments: Any, exit_code: int = 0) -> dict[str, Any]:
    """One object on stdout, with what docs/reference/json.md says of it, and nothing else."""
    result = brf_lava(*command.split(), *arguments, "--json", "--quiet")
    assert result.exit_code == exit_code, result.output
    found: dict[str, Any] = json.loads(result.stdout)
    assert result.stdout.count("\n") == 1
    described, met = documented_leaves(command), set()
    head = ("format", "schema", "versions")
    assert found["format"] == f"brf-lava-{command.replace(' ', '-')}"
    assert [type(found[name]) for name in head] == [str, int, dict]
    for path, kind in leaves({k: v for k, v in found.items() if k not in head}):
        row = next((each for each in described if re.fullmatch(_pattern(each), path)), None)
        assert row is not None, f"{command}: {path} ({kind}) is not in docs/reference/json.md"
        assert kind in described[row], f"{command}: {path} is a {kind}, not {described[row]}"
        met.add(row)
    missing = {row for row in set(described) - met if "may be absent" not in described[row]}
    assert not missing, f"{command}: {missing} in docs/reference/json.md, but not in the result"
    return found


def _pattern(row: str) -> str:
    """A path with * for any name, as a regular expression."""
    return re.escape(row).replace(r"\*", r"[^\[\]]+")
