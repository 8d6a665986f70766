"""SLAYER's blocks with HRF neurons."""

from __future__ import annotations

from brf_lava.slayer.block import base


class Input(base.Input):
    neuron_name = "HRF"


class Dense(base.Dense):
    neuron_name = "HRF"


class Recurrent(base.Recurrent):
    neuron_name = "HRF"


Affine = base.Affine
