"""Files that somebody else may have written: nothing in them hangs, crashes or fills the computer.

What reads them in C can loop, crash or take all memory, so it does that in a child process first.
"""

from __future__ import annotations

import faulthandler
import os
import signal
import stat
import warnings
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from zipfile import ZIP_DEFLATED, ZIP_STORED, ZipFile

from brf_lava.errors import ParameterError

SECONDS = 300  # for reading a file once
MEMORY = 8 * 2**30  # bytes, for all that is in a file
LIMIT_VARIABLE = "BRF_LAVA_READ_LIMIT"  # times SECONDS and MEMORY, up to MOST
MOST = 1e4
DEFLATED = 1032  # times its size is what deflate, the compression of .npz and HDF5, can stand for
FAILED, NO_MEMORY = 1, 2  # exit codes of a rehearsal


def limits() -> tuple[float, int]:
    """How long reading a file may take, s, and how many bytes. Raises: ParameterError."""
    text = os.environ.get(LIMIT_VARIABLE) or "1"
    with suppress(ValueError):
        if 0 < (factor := float(text)) <= MOST:
            return factor * SECONDS, round(factor * MEMORY)
    raise ParameterError(
        f"{LIMIT_VARIABLE}: {text!r}; must be a number above 0, up to {MOST:g}. Correct it: 2 "
        "doubles the time and memory that reading a file may take."
    )


def check_regular(path: Path) -> None:
    """Raises: OSError if it is not there; ValueError for what may never end. A folder passes."""
    mode = path.stat().st_mode
    if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
        raise ValueError("it is a device or a pipe, not a regular file")


def check_size(declared: float, name: str = "it") -> None:
    """Raises: ValueError if so many bytes are more than a file may fill."""
    most = limits()[1]
    if declared > most:
        most_gib = f"{most / 2**30:g} GiB; {LIMIT_VARIABLE}=2 allows twice as much"
        raise ValueError(f"{name} takes more than {most_gib}")


def check_zip(path: Path, ratio: int = DEFLATED) -> None:
    """Raises: ValueError if members of a zip archive declare more than `ratio` times its size."""
    with ZipFile(path) as archive:
        entries = archive.infolist()
    declared, size = sum(entry.file_size for entry in entries), path.stat().st_size
    known = {ZIP_STORED, ZIP_DEFLATED} if ratio > 1 else {ZIP_STORED}
    if declared > ratio * size or not known.issuperset(entry.compress_type for entry in entries):
        raise ValueError(f"its members declare {declared:,} bytes, it has {size:,}")
    check_size(declared)


def rehearse(read: Callable[[], object]) -> bool:
    """Run `read` in a forked process of limited time and memory; return whether it raised nothing.

    An error of its own is met again where the caller reads. Ctrl-C and SIGTERM end this at once,
    whatever C code is at work. Without fork nothing is done.
    Raises: ValueError if it does not end in time, crashes, or takes more memory than it may.
    """
    if not hasattr(os, "fork"):
        return True
    seconds, memory = limits()
    with warnings.catch_warnings():  # of threads: the child needs none, and no lock of theirs
        warnings.simplefilter("ignore", DeprecationWarning)
        child = os.fork()
    if not child:
        _rehearse(read, seconds, memory)
    try:
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    except BaseException:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        raise
    if code == -signal.SIGALRM:
        raise ValueError(
            f"reading it takes more than {seconds:g} s; {LIMIT_VARIABLE}=2 allows twice as long"
        )
    if code == NO_MEMORY:
        check_size(float("inf"))
    if code not in (0, FAILED):
        raise ValueError(f"the library that reads it crashes with {code}")
    return not code


def _rehearse(read: Callable[[], object], seconds: float, memory: int) -> None:
    """Never returns."""
    import resource

    code = 0
    try:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGALRM):
            if signal.getsignal(number) is not signal.SIG_IGN:
                signal.signal(number, signal.SIG_DFL)
        signal.setitimer(signal.ITIMER_REAL, seconds)
        faulthandler.disable()
        with open(os.devnull, "w") as nowhere:
            for stream in (1, 2):
                os.dup2(nowhere.fileno(), stream)
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        with suppress(OSError, ValueError):  # no /proc, or a limit of the user's is lower
            now = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
            hard = resource.getrlimit(resource.RLIMIT_AS)[1]
            resource.setrlimit(resource.RLIMIT_AS, (now + memory, hard))
        read()
    except BaseException as error:
        code = NO_MEMORY if isinstance(error, MemoryError) or "alloc" in f"{error}" else FAILED
    finally:
        os._exit(code)
