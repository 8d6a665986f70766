"""Trainable balanced harmonic resonate-and-fire neurons."""

from __future__ import annotations

from torch import Tensor

from brf_lava.neurons import families
from brf_lava.neurons.boundary import harmonic_boundary
from brf_lava.nn.neurons.params import BalancedParams
from brf_lava.nn.neurons.resonator import Resonator


class Neuron(Resonator):
    """Balanced harmonic resonate-and-fire: ``damping = dt omega**2 / 2 + b_offset``."""

    family = families.BHRF
    params_type = BalancedParams

    def _damping(self, omega: Tensor, b_offset: Tensor) -> Tensor:
        damping: Tensor = harmonic_boundary(omega, self.dt) + b_offset
        return damping
