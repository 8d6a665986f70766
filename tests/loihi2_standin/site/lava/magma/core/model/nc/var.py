"""A variable of a model on the chip."""

from __future__ import annotations

from typing import Any


class NcVar:
    """var: the process's; precision: bits, with the sign."""

    def __init__(self, var: Any, precision: int) -> None:
        self.var, self.precision = var, precision
