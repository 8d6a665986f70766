"""What a model asks for resources."""

from __future__ import annotations

from typing import Any

from lava.magma.core.model.nc.tables import Nodes


class _Group:
    def __init__(self, kind: str, record: list[Nodes]) -> None:
        self._kind, self._record = kind, record

    def _new(self, arguments: dict[str, Any]) -> Nodes:
        self._record.append(Nodes(self._kind, arguments))
        return self._record[-1]


class _Programmed(_Group):
    def allocate_ucode(self, shape: Any, **arguments: Any) -> Nodes:
        return self._new({"shape": shape, **arguments})


class _Plain(_Group):
    def allocate(self, shape: Any, **arguments: Any) -> Nodes:
        return self._new({"shape": shape, **arguments})


class NetL2:
    """record: all allocations, in order."""

    def __init__(self) -> None:
        self.record: list[Nodes] = []
        self.neurons_cfg = _Programmed("program", self.record)
        self.neurons = _Programmed("neurons", self.record)
        self.ax_out = _Plain("axons", self.record)
        self.synapses = _Plain("synapses", self.record)  # not public: our own Dense model's
