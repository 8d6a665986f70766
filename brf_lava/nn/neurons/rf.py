"""Trainable resonate-and-fire neurons."""

from __future__ import annotations

from torch import Tensor

from brf_lava.neurons import families
from brf_lava.nn.neurons.resonator import Resonator


class Neuron(Resonator):
    """Resonate-and-fire: ``damping = -b_offset``, which may lie beyond the divergence boundary."""

    family = families.RF

    def _damping(self, omega: Tensor, b_offset: Tensor) -> Tensor:
        return -b_offset
