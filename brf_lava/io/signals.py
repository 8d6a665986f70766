"""Signals at a bad moment, held back until it is over; SIGTERM as Ctrl-C; the death of a parent."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

SOON = 0.05  # s

PR_SET_PDEATHSIG = 1  # Linux, prctl(2)
_libc = ctypes.CDLL(None) if sys.platform == "linux" else None


class Terminated(KeyboardInterrupt):
    """What SIGTERM raises, see `terminated_like_interrupted`."""


def _terminate(*_: object) -> None:
    raise Terminated


def end_with_parent(parent: int, number: signal.Signals) -> None:
    """In a child: let this signal come when the parent dies, however that ends (Linux)."""
    if _libc is not None:
        _libc.prctl(PR_SET_PDEATHSIG, number)
    if os.getppid() != parent:  # it died before the line above
        os._exit(1)


def _again(lost: Any) -> None:
    """A signal in a destructor, or a callback of C, which Python would only print, comes again."""
    if issubclass(lost.exc_type, KeyboardInterrupt):
        number = signal.SIGTERM if issubclass(lost.exc_type, Terminated) else signal.SIGINT
        # A thread is not within the destructor; this handler's own errors are only printed, too.
        threading.Timer(SOON, os.kill, (os.getpid(), number)).start()
    else:
        sys.__unraisablehook__(lost)


@contextmanager
def terminated_like_interrupted() -> Iterator[None]:
    """SIGTERM, a job scheduler's Ctrl-C, raises `Terminated`; not outside the main thread."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, _terminate)
    hook, sys.unraisablehook = sys.unraisablehook, _again
    try:
        yield
    finally:
        sys.unraisablehook = hook
        if before is not None:  # a handler that was not set from Python cannot be set again
            signal.signal(signal.SIGTERM, before)


@contextmanager
def signals_held(*numbers: signal.Signals) -> Iterator[list[int]]:
    """Hold these signals back; the list that this yields tells which came.

    Afterwards the handlers are as before, and the first of the signals is delivered. In a thread
    nothing is held: Python runs signal handlers in the main thread, which goes on undisturbed.
    """
    held: list[int] = []
    if threading.current_thread() is not threading.main_thread():
        yield held
        return
    owner = os.getpid()
    before = {number: signal.getsignal(number) for number in numbers}

    def hold(number: int, _: FrameType | None) -> None:
        if os.getpid() == owner:
            held.append(number)
        else:  # a process that somebody else, such as a Pool in a thread, forked meanwhile
            signal.signal(number, before[signal.Signals(number)])
            signal.raise_signal(number)

    for number, handler in before.items():
        if handler not in (signal.SIG_IGN, None):
            signal.signal(number, hold)
    try:
        yield held
    finally:
        for number, handler in before.items():
            if handler not in (signal.SIG_IGN, None):
                signal.signal(number, handler)
        if held:
            signal.raise_signal(held[0])
