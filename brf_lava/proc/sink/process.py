"""Records what a port sends, in memory that the parent reads without a copy."""

from __future__ import annotations

from typing import Any

from lava.magma.core.process.ports.ports import InPort
from lava.magma.core.process.process import AbstractProcess
from numpy.typing import NDArray


class Sink(AbstractProcess):
    """Writes what arrives in step t to ``record[t]``; steps past its end are dropped.

    record:  [steps, B, N], or [steps, N], in shared memory (`io.shared_memory`), of a type
             that holds what is sent: int8 for spikes, int32 for readouts, float for real numbers
    counter: [1] int64 in shared memory, set to the steps done, or None
    name:    what error messages call this process

    Port: a_in (B, N), int32 | float. It has no Var, and no delay.
    """

    def __init__(
        self, *, record: NDArray[Any], counter: NDArray[Any] | None = None, name: str = ""
    ) -> None:
        super().__init__(record=record, counter=counter, name=name)
        self.a_in = InPort(shape=record.shape[1:])
