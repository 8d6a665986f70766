"""Reads files in a child process, so that one that crashes, hangs or fills the memory is found."""

from __future__ import annotations

import json
import os
import resource
import select
import signal
import traceback
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

SECONDS = 30  # for one file
MEMORY = 1 << 30  # bytes, more than the reader has before
BATCH = 200  # files of a child, so that nothing that one leaves behind adds up
LONGEST = 2500  # characters of a message, its path and all known keys included
GOOD = ("accepted", "error")


def allowed(counts: Mapping[str, int]) -> bool:
    """Whether nothing happened that must not."""
    return not set(counts) - set(GOOD)


@dataclass
class Outcome:
    """kind: of `GOOD`, or traceback, long, memory, hang or signal-N. text: what was said."""

    kind: str
    text: str = ""


class Reading:
    """Reads file after file. reader: has a method read(path). folder: for the files."""

    def __init__(self, reader: Any, folder: Path) -> None:
        self.reader, self.path = reader, folder / reader.file
        self.child, self.left = 0, 0

    def read(self, data: bytes, seconds: float = SECONDS) -> Outcome:
        self.path.write_bytes(data)
        if not self.left:
            self.end()
            self._start()
        self.left -= 1
        os.write(self.order, b"x")
        ready, _, _ = select.select([self.answer], [], [], seconds)
        line = b""
        while ready and not line.endswith(b"\n"):
            part = os.read(self.answer, 1 << 16)
            if not part:
                break
            line += part
        if line.endswith(b"\n"):
            return Outcome(*json.loads(line))
        self.left = 0
        os.killpg(self.child, signal.SIGKILL) if not ready else None
        status = os.waitstatus_to_exitcode(self._wait())
        return Outcome("hang" if not ready else f"signal{status}")

    def end(self) -> None:
        """The child ends itself where orders do."""
        if self.child:
            self._wait()

    def _wait(self) -> int:
        os.close(self.order)
        os.close(self.answer)
        status = os.waitpid(self.child, 0)[1]
        with suppress(ProcessLookupError):  # what it started
            os.killpg(self.child, signal.SIGKILL)
        self.child = 0
        return status

    def _start(self) -> None:
        orders, self.order = os.pipe()
        self.answer, answers = os.pipe()
        self.left = BATCH
        self.child = os.fork()
        if self.child:
            os.close(orders)
            os.close(answers)
            return
        try:
            os.close(self.order)
            os.close(self.answer)
            os.setpgid(0, 0)
            with open(os.devnull, "w") as nowhere:
                os.dup2(nowhere.fileno(), 1)
                os.dup2(nowhere.fileno(), 2)
            pages = int(Path("/proc/self/statm").read_text().split()[0])
            most = pages * resource.getpagesize() + MEMORY
            resource.setrlimit(resource.RLIMIT_AS, (most, resource.RLIM_INFINITY))
            resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
            while os.read(orders, 1):
                os.write(answers, json.dumps(self._outcome()).encode() + b"\n")
        finally:
            os._exit(0)

    def _outcome(self) -> tuple[str, str]:
        """As a command of brf-lava would end."""
        from brf_lava.cli.main import Failure, _ending

        try:
            with _ending(None):
                self.reader.read(self.path)
        except Failure as error:
            if error.exit_code == 8:
                return "memory", error.message
            return "error" if len(error.message) <= LONGEST else "long", error.message
        except BaseException:
            return "traceback", traceback.format_exc()[-4000:]
        return "accepted", ""
