"""numba for functions that know nothing of numba.

The equations in `brf_lava.neurons` are plain Python. `compiled` compiles one of them together with
the module-level functions it calls; `specialized` compiles a loop with its step filled in. Neither
needs a decorator or a second copy.
"""

from __future__ import annotations

import hashlib
import logging
import os
import signal
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path
from types import FunctionType
from typing import Any

import numba
from numba.core.event import Event, Listener, install_listener

from brf_lava.io.signals import signals_held
from brf_lava.neurons.binding import bound

PACKAGE = Path(__file__).parent.parent
COMPILED = ("neurons/*.py", "kernels/*.py", "export/rounding.py")  # where compiled functions are
logger = logging.getLogger(__name__)


@cache
def compiled(function: Callable[..., Any]) -> Any:
    """`function` compiled by numba, and with it every plain function it calls by a global name."""
    names = getattr(function, "__globals__", {})
    code = getattr(function, "__code__", None)
    callees = {
        name: compiled(names[name])
        for name in (code.co_names if code else ())
        if isinstance(names.get(name), FunctionType)
    }
    return numba.njit(bound(function, **callees))


@cache
def specialized(
    function: Callable[..., Any], name: str, *, parallel: bool = False, **bindings: Any
) -> Any:
    """`function` compiled with the global names in `bindings` bound to compiled functions.

    name: distinguishes the specializations of one function, also in the cache on disk. The machine
    code of a parallel loop is kept between runs; what it calls is part of it.
    """
    twin = bound(function, name, **bindings)
    if not parallel:
        return numba.njit(twin)
    folder, before = _cache_folder(), numba.config.CACHE_DIR
    options = {"parallel": True, "nogil": True, "error_model": "numpy"}
    numba.config.CACHE_DIR = folder or before  # is looked at while a function is declared
    try:
        dispatcher = numba.njit(cache=folder is not None, **options)(twin)
    finally:
        numba.config.CACHE_DIR = before
    compile_now = dispatcher.compile

    def compile_held(signature: Any) -> Any:
        """Holds Ctrl-C back: LLVM calls Python, which would print KeyboardInterrupt and go on."""
        with signals_held(signal.SIGINT), install_listener("numba:compile", _Announcement()):
            return compile_now(signature)

    dispatcher.compile = compile_held
    return dispatcher


class _Announcement(Listener):  # type: ignore[misc]  # numba leaves it untyped
    """Logs, once, that machine code is compiled and not read from the disk."""

    def on_start(self, event: Event) -> None:
        _announce()

    on_end = on_start


@cache
def _announce() -> None:
    logger.info("Compiling kernels, up to a minute; later runs read them from the disk.")


@cache
def _cache_folder() -> str | None:
    """A folder for machine code that belongs to exactly these sources, or None if none can be had.

    numba alone watches only the file of the outermost function: a changed equation would go
    unnoticed, and yesterday's integers come out.
    """
    from platformdirs import user_cache_path

    digest = hashlib.sha256(f"{numba.__version__} {sys.version}".encode())
    for path in (p for pattern in COMPILED for p in sorted(PACKAGE.glob(pattern))):
        digest.update(path.read_bytes())
    folder = user_cache_path("brf-lava", appauthor=False) / "numba" / digest.hexdigest()[:16]
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        return None
    return str(folder) if os.access(folder, os.W_OK) else None
