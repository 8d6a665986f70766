"""Spikes from the host to the chip and back."""

from __future__ import annotations

from lava.magma.core.decorator import implements, requires, tag
from lava.magma.core.model.c.model import CLoihiProcessModel
from lava.magma.core.process.ports.ports import InPort, OutPort
from lava.magma.core.process.process import AbstractProcess
from lava.magma.core.resources import LMT
from lava.magma.core.sync.protocols.loihi_protocol import LoihiProtocol


class _Adapter(AbstractProcess):
    def __init__(self, *, shape: tuple[int, ...], num_message_bits: int = 0) -> None:
        super().__init__(shape=shape, num_message_bits=num_message_bits)
        self.inp = InPort(shape=shape)
        self.out = OutPort(shape=shape)


class PyToNxAdapter(_Adapter):
    pass


class NxToPyAdapter(_Adapter):
    pass


@implements(proc=PyToNxAdapter, protocol=LoihiProtocol)
@requires(LMT)
@tag("fixed_pt")
class CPyToNxModel(CLoihiProcessModel):
    pass


@implements(proc=NxToPyAdapter, protocol=LoihiProtocol)
@requires(LMT)
@tag("fixed_pt")
class CNxToPyModel(CLoihiProcessModel):
    pass
