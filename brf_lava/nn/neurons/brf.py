"""Trainable balanced resonate-and-fire neurons."""

from __future__ import annotations

from torch import Tensor

from brf_lava.neurons import families
from brf_lava.neurons.boundary import divergence_boundary
from brf_lava.nn.neurons.params import BalancedParams
from brf_lava.nn.neurons.resonator import Resonator


class Neuron(Resonator):
    """Balanced resonate-and-fire: ``damping = p(omega) - b_offset``."""

    family = families.BRF
    params_type = BalancedParams

    def _damping(self, omega: Tensor, b_offset: Tensor) -> Tensor:
        damping: Tensor = divergence_boundary(omega, self.dt) - b_offset
        return damping
