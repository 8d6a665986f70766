"""SLAYER's blocks with BHRF neurons."""

from __future__ import annotations

from brf_lava.slayer.block import base


class Input(base.Input):
    neuron_name = "BHRF"


class Dense(base.Dense):
    neuron_name = "BHRF"


class Recurrent(base.Recurrent):
    neuron_name = "BHRF"


Affine = base.Affine
