"""SLAYER's blocks with leaky integrators, which do not spike."""

from __future__ import annotations

from brf_lava.slayer.block import base


class Input(base.Input):
    neuron_name = "LI"


Affine = base.Affine
