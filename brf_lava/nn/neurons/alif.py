"""Trainable adaptive leaky integrate-and-fire neurons."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from brf_lava.neurons import families
from brf_lava.nn.neurons import base
from brf_lava.nn.neurons.base import decay_per_step
from brf_lava.nn.neurons.params import AdaptiveParams, read_params


class Neuron(base.Neuron):
    """Adaptive leaky integrate-and-fire with trainable time constants, in steps."""

    family = families.ALIF
    params_type = AdaptiveParams

    def __init__(
        self,
        neurons: int | None = None,
        generator: torch.Generator | None = None,
        **neuron_params: Any,
    ) -> None:
        params = read_params(AdaptiveParams, neuron_params, self.family.name)
        super().__init__(params, neurons)
        self.theta, self.beta = float(params.theta), float(params.beta)
        self.tau_mem = self._normal(params.tau_mem_mean, params.tau_mem_std, generator)
        self.tau_adp = self._normal(params.tau_adp_mean, params.tau_adp_std, generator)

    def _coefficients(self) -> Tensor:
        return torch.stack([decay_per_step(self.tau_mem), decay_per_step(self.tau_adp)])

    def input_gain(self) -> Tensor:
        gain: Tensor = 1 - decay_per_step(self.tau_mem)
        return gain

    @property
    def constants(self) -> Any:
        return self.family.real_constants(self.theta, self.beta)
