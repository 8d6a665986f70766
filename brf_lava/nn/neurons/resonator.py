"""What the four resonators share: trainable omega and b_offset, and a damping made of them."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any, ClassVar

import torch
from torch import Tensor

from brf_lava.neurons.boundary import check_omega
from brf_lava.nn.neurons import base
from brf_lava.nn.neurons.params import ResonatorParams, read_params


class Resonator(base.Neuron):
    """See `base.Neuron`. Raises: ParameterError, also when omega could reach ``1 / dt``."""

    params_type: ClassVar[type[ResonatorParams]] = ResonatorParams

    def __init__(
        self,
        neurons: int | None = None,
        generator: torch.Generator | None = None,
        **neuron_params: Any,
    ) -> None:
        params = read_params(self.params_type, neuron_params, self.family.name)
        super().__init__(params, neurons)
        names = self.family.real_constants._fields  # type: ignore[attr-defined]  # a NamedTuple class
        self._constants = self.family.real_constants(*(float(getattr(params, n)) for n in names))
        self.dt = self._constants.dt
        self.omega = self._uniform(params.omega, generator)
        self.b_offset = self._uniform(params.b_offset, generator)
        check_omega(self.omega.tolist(), self.dt, f"{self.family.name}.omega")

    @abstractmethod
    def _damping(self, omega: Tensor, b_offset: Tensor) -> Tensor:
        """[N], 1/s. omega, b_offset: [N], not negative."""

    def _coefficients(self) -> Tensor:
        omega = self.omega.abs()
        if not bool((self.dt * omega.detach() < 1).all()):
            check_omega(omega.tolist(), self.dt, f"{self.family.name}.omega")
        return torch.stack([self._damping(omega, self.b_offset.abs()), omega])

    @property
    def constants(self) -> Any:
        return self._constants
