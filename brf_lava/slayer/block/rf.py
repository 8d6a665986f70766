"""SLAYER's blocks with RF neurons."""

from __future__ import annotations

from brf_lava.slayer.block import base


class Input(base.Input):
    neuron_name = "RF"


class Dense(base.Dense):
    neuron_name = "RF"


class Recurrent(base.Recurrent):
    neuron_name = "RF"


Affine = base.Affine
