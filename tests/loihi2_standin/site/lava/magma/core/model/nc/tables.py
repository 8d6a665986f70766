"""What a model is given of the chip."""

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
