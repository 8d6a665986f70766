"""A process that goes wrong on demand; a folder of its own, because of how Lava finds models."""

from __future__ import annotations

from lava.magma.core.process.ports.ports import InPort, OutPort
from lava.magma.core.process.process import AbstractProcess


class Faulty(AbstractProcess):
    """Passes on what it receives, int32 (1,), until step `at`, in which `fault` happens.

    fault: a key of `models.FAULTS`, "init" (raises while it is built), or "" (none).
    """

    def __init__(self, *, fault: str = "", at: int = 5, name: str = "") -> None:
        super().__init__(fault=fault, at=at, name=name)
        self.a_in = InPort(shape=(1,))
        self.a_out = OutPort(shape=(1,))
