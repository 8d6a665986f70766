"""The base of models on the chip."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

from lava.magma.core.model.model import AbstractProcessModel


class AbstractNcProcessModel(AbstractProcessModel, ABC):
    @abstractmethod
    def allocate(self, net: Any) -> None:
        """Ask `net` for resources and connect them."""
