"""SLAYER's blocks with BRF neurons."""

from __future__ import annotations

from brf_lava.slayer.block import base


class Input(base.Input):
    neuron_name = "BRF"


class Dense(base.Dense):
    neuron_name = "BRF"


class Recurrent(base.Recurrent):
    neuron_name = "BRF"


Affine = base.Affine
