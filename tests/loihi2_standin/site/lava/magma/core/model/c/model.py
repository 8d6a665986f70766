"""The base of models on the embedded CPUs."""

from __future__ import annotations

from abc import ABC

from lava.magma.core.model.model import AbstractProcessModel


class AbstractCProcessModel(AbstractProcessModel, ABC):
    pass


class CLoihiProcessModel(AbstractCProcessModel):
    pass
