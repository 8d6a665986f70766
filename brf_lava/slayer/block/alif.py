"""SLAYER's blocks with ALIF neurons."""

from __future__ import annotations

from brf_lava.slayer.block import base


class Input(base.Input):
    neuron_name = "ALIF"


class Dense(base.Dense):
    neuron_name = "ALIF"


class Recurrent(base.Recurrent):
    neuron_name = "ALIF"


Affine = base.Affine
