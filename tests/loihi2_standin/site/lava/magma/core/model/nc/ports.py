"""Ports of a model on the chip."""

from __future__ import annotations

from typing import Any


class _Port:
    def __init__(self, name: str, shape: tuple[int, ...], precision: int) -> None:
        self.name, self.shape, self.precision = name, shape, precision
        self.connected: list[Any] = []

    def connect(self, nodes: Any) -> None:
        self.connected.append(nodes)


class NcInPort(_Port):
    pass


class NcOutPort(_Port):
    pass
