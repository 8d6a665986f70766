"""Sub-process models: needed where a run starts from a Network or a block; their parts do all the
work."""

from __future__ import annotations

from lava.lib.dl.netx.blocks.models import AbstractPyBlockModel
from lava.magma.core.decorator import implements
from lava.magma.core.sync.protocols.loihi_protocol import LoihiProtocol

from brf_lava.backends.netx.process import Dense, Network


@implements(proc=Dense, protocol=LoihiProtocol)
class DenseModel(AbstractPyBlockModel):  # type: ignore[misc]  # lava-dl has no types
    """The block's connections and neurons."""


@implements(proc=Network, protocol=LoihiProtocol)
class NetworkModel(AbstractPyBlockModel):  # type: ignore[misc]
    """The network's blocks."""
