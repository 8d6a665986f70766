"""Trainable harmonic resonate-and-fire neurons."""

from __future__ import annotations

from torch import Tensor

from brf_lava.neurons import families
from brf_lava.nn.neurons.resonator import Resonator


class Neuron(Resonator):
    """Harmonic resonate-and-fire: ``damping = b_offset``."""

    family = families.HRF

    def _damping(self, omega: Tensor, b_offset: Tensor) -> Tensor:
        return b_offset
