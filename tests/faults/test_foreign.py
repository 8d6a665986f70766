"""Files of somebody else: whatever is in them, a reader ends in time, in memory and in one line."""

from __future__ import annotations

import faulthandler
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest
from command_line import ROOT, assert_failed, brf_lava, start, wait_until
from wfdb_files import beats, ecg_signal, write_record

from brf_lava.data.arrays import read_arrays
from brf_lava.errors import DataError, ParameterError
from brf_lava.io.foreign import LIMIT_VARIABLE, guarded, limits, rehearse
from brf_lava.io.hdf5 import open_hdf5
from brf_lava.io.signals import Terminated, terminated_like_interrupted

CORPUS = Path(__file__).parents[1] / "corpus"


def test_all_files_that_ever_failed_and_a_few_hundred_more(tmp_path: Path) -> None:
    """Each must be accepted or end in one line with a documented exit code."""
    command = [sys.executable, "-m", "tools.fuzz", "--read", CORPUS, "--files", "12", "--seed", "7"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [*command, "--seconds", "240", "--out", tmp_path],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count(": error ") > 50, done.stdout


def endless() -> None:
    """In C, where Python's handlers of signals do not run."""
    pow(7, 10**9)


def crashing() -> None:
    faulthandler.disable()  # pytest's, which would print
    os.kill(os.getpid(), signal.SIGSEGV)


@pytest.mark.parametrize(
    ("read", "said"),
    [
        (endless, f"more than 0.6 s; {LIMIT_VARIABLE}=2 allows"),
        (lambda: np.ones(10**9), f"more than 0.016 GiB; {LIMIT_VARIABLE}=2 allows"),
        (crashing, "crashes with -11"),
    ],
)
def test_what_a_library_must_not_do(
    monkeypatch: pytest.MonkeyPatch, read: Callable[[], object], said: str
) -> None:
    monkeypatch.setenv(LIMIT_VARIABLE, "0.002")
    with pytest.raises(ValueError, match=said):
        rehearse(read)


def test_how_a_rehearsal_ends() -> None:
    assert guarded(lambda: 3) == 3
    rehearse(lambda: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        guarded(lambda: 1 / 0)


def test_limits_can_be_raised(monkeypatch: pytest.MonkeyPatch) -> None:
    before = limits()
    monkeypatch.setenv(LIMIT_VARIABLE, "3")
    assert limits() == (3 * before[0], 3 * before[1])
    for text in ("0", "nan", "1e300", "much"):
        monkeypatch.setenv(LIMIT_VARIABLE, text)
        with pytest.raises(ParameterError, match=f"{LIMIT_VARIABLE}: '{text}'; must be a number"):
            limits()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_signals_end_a_read_at_once(tmp_path: Path, number: signal.Signals) -> None:
    """The annotations loop within wfdb; the process that reads them is not left behind."""
    marks = beats(9)
    write_record(tmp_path, "r", ecg_signal(2600, marks), marks)
    (tmp_path / "r.q1c").write_bytes((CORPUS / "wfdb-marks" / "flipped-bit").read_bytes())
    process = start("data", "prepare", "ecg", "--records", tmp_path, "--out", tmp_path / "e.h5")
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children")

    found: list[int] = []

    def reads() -> bool:
        found[:] = map(int, children.read_text().split())
        return len(found) == 1 and is_busy(*found)

    try:
        assert wait_until(reads, 60)
        (child,) = found
        process.send_signal(number)
        _, said = process.communicate(timeout=5)
    finally:
        process.kill()
        process.wait()
    if number == signal.SIGKILL:
        assert process.returncode == -number
    else:
        assert process.returncode == 128 + number
        assert said.rstrip().endswith("Interrupted.")
    assert wait_until(lambda: not Path(f"/proc/{child}").exists(), 5)


def is_busy(process: int) -> bool:
    """Whether it has run for half a second, longer than reading a good record takes."""
    try:
        ticks = sum(map(int, Path(f"/proc/{process}/stat").read_text().split()[13:15]))
    except OSError:  # it has ended
        return False
    return ticks > 0.5 * os.sysconf("SC_CLK_TCK")


@pytest.mark.parametrize(
    "command",
    [
        "run PIPE --backend engine",
        "import PIPE --task ecg -o x.pt",
        "train --recipe PIPE --out x.pt",
        "train --task ecg --data PIPE --out x.pt",
        "train --from PIPE --out x.pt",
        "export PIPE x.h5",
        "plot parameters PIPE -o x.png",
        "plot learning-curves PIPE -o x.png",
    ],
)
def test_a_pipe_is_not_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    monkeypatch.chdir(tmp_path)
    os.mkfifo("pipe.h5")
    os.mkfifo("pipe.toml")
    name = "pipe.toml" if "recipe" in command else "pipe.h5"
    assert_failed(brf_lava(*command.replace("PIPE", name).split()), 2, name)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_in_a_destructor_is_not_lost(
    number: signal.Signals, capsys: pytest.CaptureFixture[str]
) -> None:
    """Where Python can only print what is raised, as within matplotlib's weak references."""

    class Destroyed:
        def __del__(self) -> None:
            signal.raise_signal(number)

    def work() -> None:
        Destroyed()
        time.sleep(30)

    with pytest.raises(KeyboardInterrupt) as ended, terminated_like_interrupted():
        work()
    assert isinstance(ended.value, Terminated) == (number == signal.SIGTERM)
    assert capsys.readouterr().err == ""


def test_only_what_is_in_the_file_is_taken_for_data(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever link leads to it; and what will not be read may be large."""
    monkeypatch.setenv(LIMIT_VARIABLE, "0.02")
    path, layout = tmp_path / "a.h5", h5py.VirtualLayout((3,), "i1")
    layout[:] = h5py.VirtualSource("other.h5", "x", (3,))
    with h5py.File(path, "w") as file:
        file["y"] = 3
        file.create_dataset("big", (10**9,), "i1", chunks=(1000,), compression="gzip")
        file["link"] = h5py.SoftLink("/big")
    with open_hdf5(path, ["y"]) as file:
        assert file["y"][()] == 3
    with pytest.raises(DataError, match="no array x; there are big, y"):
        read_arrays(path, ["x"])
    for names in (["link"], None):
        with pytest.raises(ValueError, match="1,000,000,000 bytes"), open_hdf5(path, names):
            pass
    with h5py.File(path, "w") as file:
        file.create_dataset("zeros", data=np.zeros(2 * 10**8, "i1"), compression="gzip")
    # in a process of its own: in this one, other tests may have left free memory that is enough
    imports = "from pathlib import Path; from brf_lava.io.hdf5 import open_hdf5"
    reader = f"{imports}\nwith open_hdf5(Path({str(path)!r})): pass"
    done = subprocess.run([sys.executable, "-c", reader], capture_output=True, text=True)
    assert f"more than 0.16 GiB; {LIMIT_VARIABLE}=2 allows" in done.stderr
    for add, said in (
        (lambda group: group.create_virtual_dataset("x", layout), "the values of a/x are in an"),
        (lambda group: group.create_dataset("x", 3, "i1", external="/dev/zero"), "of a/x are in"),
        (lambda group: group.update(x=h5py.ExternalLink("other.h5", "/")), "a/x is a link to ano"),
    ):
        with h5py.File(path, "w") as file:
            add(file.create_group("a"))
        with pytest.raises(ValueError, match=said), open_hdf5(path, ["y"]):
            pass
