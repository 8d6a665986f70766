"""Files that somebody else may have written: nothing in them hangs, crashes or fills the computer.

What reads them in C can loop, crash or take all memory, so it does that in a child process first.
"""

from __future__ import annotations

import os
import signal
import stat
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import ParamSpec, TypeVar

from brf_lava.errors import BrfLavaError, DataError, ParameterError
from brf_lava.io.printable import shortened
from brf_lava.io.signals import end_with_parent

P = ParamSpec("P")
T = TypeVar("T")

SECONDS = 300  # for reading a file once
MEMORY = 8 * 2**30  # bytes, for all that is in a file
LIMIT_VARIABLE = "BRF_LAVA_READ_LIMIT"  # times SECONDS and MEMORY, up to MOST
MOST = 1e4
FAILED, NO_MEMORY = 1, 2  # exit codes of the child


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


@contextmanager
def reading(
    path: Path,
    expected: str,
    fault: Callable[[str], BrfLavaError] = DataError,
    remedy: str = "It may be damaged: get it again, or name another file.",
) -> Iterator[None]:
    """Turn whatever goes wrong while a file is read into one line.

    Damage surfaces in zip, zlib, HDF5, SciPy, torch and wfdb as errors of many kinds.
    expected: what it should be. fault: makes the error. remedy: the last sentence of the message.
    """
    try:
        check_regular(path)
        yield
    except ParameterError as error:
        raise fault(f"{path}: {error}") from error
    except (BrfLavaError, MemoryError):
        raise
    except Exception as error:
        if isinstance(error, OSError) and error.errno:
            where = error.filename or path
            problem = f"{where}: cannot be read ({os.strerror(error.errno)})"
        else:
            reason = shortened(error).partition(". ")[0]  # NumPy's next sentence is no advice here
            problem = f"{path}: not {expected} ({reason})"
        raise fault(f"{problem}. {remedy}") from error


def check_regular(path: Path) -> None:
    """Raises: OSError if it is not there; ValueError for what may never end. A folder passes."""
    mode = path.stat().st_mode
    if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
        raise ValueError("it is a device or a pipe, not a regular file")


def guarded(read: Callable[P, T], *args: P.args, **options: P.kwargs) -> T:
    """What `read` returns or raises, after a rehearsal. Raises: ValueError as `rehearse`."""
    rehearse(partial(read, *args, **options))
    return read(*args, **options)


def rehearse(read: Callable[[], object]) -> None:
    """Run `read` in a forked child of limited time and memory; what it raises there is ignored.

    Ctrl-C and SIGTERM end this at once, whatever C code is at work. Without fork nothing is done.
    Raises: ValueError if the child does not end in time, crashes, or takes too much memory.
    """
    if not hasattr(os, "fork"):
        return
    (seconds, memory), parent = limits(), os.getpid()
    with warnings.catch_warnings():  # of threads: the child needs none, and no lock of theirs
        warnings.simplefilter("ignore", DeprecationWarning)
        child = os.fork()
    if not child:
        _run(read, seconds, memory, parent)
    try:
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    except BaseException:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        raise
    more = f"{LIMIT_VARIABLE}=2 allows twice as"
    if code == -signal.SIGALRM:
        raise ValueError(f"reading it takes more than {seconds:g} s; {more} long")
    if code == NO_MEMORY:
        raise ValueError(f"it takes more than {memory / 2**30:g} GiB; {more} much")
    if code not in (0, FAILED):
        raise ValueError(f"the library that reads it crashes with {code}")


def _run(read: Callable[[], object], seconds: float, memory: int, parent: int) -> None:
    """Never returns."""
    import resource

    code = 0
    try:
        end_with_parent(parent, signal.SIGKILL)
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.setitimer(signal.ITIMER_REAL, seconds)
        with open(os.devnull, "w") as nowhere:
            for stream in (1, 2):
                os.dup2(nowhere.fileno(), stream)
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        with suppress(OSError, ValueError):  # no /proc, or a limit of the user's is lower
            now = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
            hard = resource.getrlimit(resource.RLIMIT_AS)[1]
            resource.setrlimit(resource.RLIMIT_AS, (now + memory, hard))
        read()
    except BaseException as error:  # torch and HDF5 have errors of their own for lack of memory
        code = NO_MEMORY if isinstance(error, MemoryError) or "alloc" in f"{error}" else FAILED
    finally:
        os._exit(code)
