"""What a model asks for resources."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(eq=False)
class Nodes:
    """One allocation: its kind, what was asked for, and what it was connected to."""

    kind: str
    arguments: dict[str, Any]
    connected: list[Any] = field(default_factory=list)

    def connect(self, other: Any) -> None:
        self.connected.append(other)


class _Group:
    def __init__(self, kind: str, record: list[Nodes]) -> None:
        self._kind, self._record = kind, record

    def allocate(self, **arguments: Any) -> Nodes:
        self._record.append(Nodes(self._kind, arguments))
        return self._record[-1]

    allocate_ucode = allocate


class NetL2:
    """record: all allocations, in order."""

    def __init__(self) -> None:
        self.record: list[Nodes] = []
        self.neurons_cfg = _Group("program", self.record)
        self.neurons = _Group("neurons", self.record)
        self.ax_out = _Group("axons", self.record)
        self.synapses = _Group("synapses", self.record)  # not public: our own Dense model's
