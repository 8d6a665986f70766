"""Processes that share a training or a run: who they are, and what they add up.

torchrun starts them, on several machines, too; `shared` starts them on this one.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import IO, TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from brf_lava.errors import BackendUnavailableError, JobError
from brf_lava.io.printable import shortened
from brf_lava.io.program import PROGRAM, STEP_VARIABLE, THREADS, cores, ending, step_limit

if TYPE_CHECKING:
    from torch import Tensor

LONGEST = 86_400.0  # s, where there is no limit
ENDING = 2.0  # s for a process that ended to be seen as such
Child = tuple["subprocess.Popen[bytes]", IO[bytes]]  # and what it says


@dataclass(frozen=True)
class World:
    """The processes that share some work, and which of them this one is; else it is alone.

    children: those that this one started.
    """

    rank: int = 0
    size: int = 1
    children: tuple[Child, ...] = ()

    def share(self, items: NDArray[Any]) -> NDArray[Any]:
        """This process's part of some items, which stay in order; of few it may be none."""
        return np.array_split(items, self.size)[self.rank]

    def add(self, values: Tensor) -> Tensor:
        """Add up the values of all processes, in place, and return them.

        The sum has the same bits in every process. Raises: JobError if one ended or stands still.
        """
        if self.size > 1:
            from torch import distributed

            with self._together():
                distributed.all_reduce(values)
        return values

    def gather(self, value: Any) -> list[Any]:
        """The values of all processes, in order of their ranks. Raises: as `add`."""
        if self.size == 1:
            return [value]
        from torch import distributed

        values: list[Any] = [None] * self.size
        with self._together():
            distributed.all_gather_object(values, value)
        return values

    @contextmanager
    def _together(self) -> Iterator[None]:
        """Say in one line what ended a step of all processes."""
        try:
            yield
        except RuntimeError as error:
            raise JobError(
                f"process {self.rank} of {self.size}: {self._gone() or shortened(error)}. What was "
                "written before is kept: a training goes on with --resume."
            ) from error

    def _gone(self) -> str:
        """Which process ended, a killed one first, or that none did; nothing of those of others."""
        ended = []
        for rank, (child, log) in enumerate(self.children, 1):
            with suppress(subprocess.TimeoutExpired):
                code = child.wait(ENDING)
                log.seek(0)
                said = ending(code, log.read().decode(errors="replace"))
                ended.append((code, f"process {rank} ended with {said.rstrip('.')}"))
        if ended or not self.children:
            return min(ended, default=(0, ""))[1]
        return f"another one has stood still for {step_limit():g} s ({STEP_VARIABLE})"


@contextmanager
def shared(processes: int | None, device: str) -> Iterator[World]:
    """Work with the other processes of torchrun, or with some of this command line, started here.

    processes: how many in all; None for those of torchrun, if it started this one. device: "cuda"
    for a card each, else "cpu". Raises: BackendUnavailableError if there are not as many cards;
    JobError if a process ended before all had begun.
    """
    by_torchrun = "RANK" in os.environ
    size = int(os.environ.get("WORLD_SIZE", "1")) if by_torchrun else processes or 1
    if size == 1:
        yield World()
        return
    import torch
    from torch import distributed

    rank, local = (int(os.environ.get(name, "0")) for name in ("RANK", "LOCAL_RANK"))
    if device == "cuda":
        if (processes or local + 1) > torch.cuda.device_count():
            raise BackendUnavailableError(
                f"{size} processes on {torch.cuda.device_count()} cards; each needs its own. Lower "
                "--nproc, or choose --device cpu."
            )
        torch.cuda.set_device(local)
    backend = "nccl" if device == "cuda" else "gloo"
    limit = timedelta(seconds=min(step_limit(), LONGEST))
    meeting, children = "env://", list[Child]()
    if not by_torchrun:
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        meeting, children = f"tcp://127.0.0.1:{port}", _start(size, port)
    world = World(rank, size, tuple(children))
    try:
        with world._together():
            distributed.init_process_group(
                backend, meeting, timeout=limit, rank=rank, world_size=size
            )
        yield world
        with suppress(subprocess.TimeoutExpired):
            for child, _ in children:
                child.wait(ENDING)
    finally:
        for child, log in children:
            child.kill()
            child.wait()
            log.close()
        if distributed.is_initialized():
            distributed.destroy_process_group()


def _start(size: int, port: int) -> list[Child]:
    """Start the others with this command line, and share the cores with them."""
    import numba
    import torch

    threads = max(1, cores() // size)
    if not any(name in os.environ for name in THREADS):
        torch.set_num_threads(threads)
        numba.set_num_threads(threads)
        os.environ |= dict.fromkeys(THREADS, str(threads))
    where = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "WORLD_SIZE": str(size)}
    children: list[Child] = []
    for rank in range(1, size):
        log: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115  # `shared` closes it
        environment = {**os.environ, **where, "RANK": str(rank), "LOCAL_RANK": str(rank)}
        child = subprocess.Popen(
            [*PROGRAM, *sys.argv[1:]],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=log,
            env=environment,
        )
        children.append((child, log))
    return children
