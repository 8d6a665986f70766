"""Trainable leaky integrators, which do not spike."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from brf_lava.neurons import families
from brf_lava.nn.neurons import base
from brf_lava.nn.neurons.base import decay_per_step
from brf_lava.nn.neurons.params import LeakyParams, read_params


class Neuron(base.Neuron):
    """Leaky integrators with a trainable time constant tau, in steps."""

    family = families.LI
    params_type = LeakyParams

    def __init__(
        self,
        neurons: int | None = None,
        generator: torch.Generator | None = None,
        **neuron_params: Any,
    ) -> None:
        params = read_params(LeakyParams, neuron_params, self.family.name)
        super().__init__(params, neurons)
        self.tau = self._normal(params.tau_mean, params.tau_std, generator)

    def _coefficients(self) -> Tensor:
        return decay_per_step(self.tau)[None]

    def input_gain(self) -> Tensor:
        gain: Tensor = 1 - decay_per_step(self.tau)
        return gain

    @property
    def constants(self) -> Any:
        return self.family.real_constants()
