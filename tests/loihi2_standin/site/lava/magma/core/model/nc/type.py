"""How a model declares a variable or a port."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass
class LavaNcType:
    """cls: NcVar, NcInPort or NcOutPort; precision: bits, with the sign."""

    cls: type
    d_type: Any
    precision: int | None = None
