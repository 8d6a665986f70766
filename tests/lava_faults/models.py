"""The faults."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from lava.magma.core.decorator import implements, requires, tag
from lava.magma.core.model.py.model import PyLoihiProcessModel
from lava.magma.core.model.py.ports import PyInPort, PyOutPort
from lava.magma.core.model.py.type import LavaPyType
from lava.magma.core.resources import CPU
from lava.magma.core.sync.protocols.loihi_protocol import LoihiProtocol

from lava_faults.process import Faulty


class PickyError(Exception):
    """Can be pickled, but not unpickled: its arguments are not what it is built from."""

    def __init__(self, first: str, second: str) -> None:
        super().__init__(f"{first} {second}")


def _raise(error: Exception) -> None:
    raise error


def _loop() -> None:
    while True:
        pass


FAULTS: dict[str, Callable[[], None]] = {
    "raise": lambda: _raise(ValueError("the\nfault")),
    "raise much": lambda: _raise(ValueError("x" * 1_000_000)),  # more than a pipe holds
    "raise unpicklable": lambda: _raise(ValueError(lambda: None)),
    "raise picky": lambda: _raise(PickyError("a", "b")),
    "kill": lambda: os.kill(os.getpid(), signal.SIGKILL),
    "exit": lambda: sys.exit(3),
    "loop": _loop,
    "slow": lambda: time.sleep(0.5),  # in every step from the fifth on
    "sleep": lambda: time.sleep(0.002),  # in every step, to make a run long
}


@implements(proc=Faulty, protocol=LoihiProtocol)
@requires(CPU)
@tag("fixed_pt")
class FaultyModel(PyLoihiProcessModel):
    a_in: PyInPort = LavaPyType(PyInPort.VEC_DENSE, np.int32)
    a_out: PyOutPort = LavaPyType(PyOutPort.VEC_DENSE, np.int32)

    def __init__(self, proc_params: Any) -> None:
        super().__init__(proc_params)
        self.fault = proc_params["fault"]
        self.at = proc_params["at"]
        if self.fault == "init":
            raise ValueError("the fault")

    def run_spk(self) -> None:
        data = self.a_in.recv()
        if self.fault and self.time_step >= self.at:
            FAULTS[self.fault]()
        self.a_out.send(data)
