"""A layer of balanced resonate-and-fire neurons."""

from __future__ import annotations

from typing import Any

from lava.magma.core.process.ports.ports import InPort, OutPort
from lava.magma.core.process.process import AbstractProcess
from lava.magma.core.process.variable import Var
from numpy.typing import NDArray

from brf_lava.neurons import fixed, real
from brf_lava.proc.probe import Probe


class BRF(AbstractProcess):
    """N neurons for B samples at once; the equations are `neurons.fixed.brf_step` (model fixed_pt)
    and `neurons.real.brf_step` (model floating_pt).

    samples:   B
    damping:   [N], p(omega) - b_offset: times dt, `parameter_bits` fraction bits | 1/s
    rotation:  [N], omega: times dt, `parameter_bits` fraction bits | rad/s
    constants: what the layer shares, `fixed.BRFConstants` | `real.BRFConstants`
    probe:     what the fixed_pt model writes down in every step, or None
    name:      what error messages call this process

    Ports: a_in (B, N), int32 currents | float; connections to it are added up in int64.
    s_out (B, N), int8 spikes 0 or 1 | float 0.0 or 1.0. Neither has a delay of its own.
    Vars: u, v, q (B, N), int64 that saturate at signed 24 bits, `state_bits` fraction bits | float;
    damping, rotation (N,), int64 | float.
    """

    def __init__(
        self,
        *,
        samples: int,
        damping: NDArray[Any],
        rotation: NDArray[Any],
        constants: fixed.BRFConstants | real.BRFConstants,
        probe: Probe | None = None,
        name: str = "",
    ) -> None:
        super().__init__(constants=constants, probe=probe, name=name)
        neurons = len(damping)
        shape = (samples, neurons)
        self.a_in = InPort(shape=shape)
        self.s_out = OutPort(shape=shape)
        self.u = Var(shape=shape, init=0)
        self.v = Var(shape=shape, init=0)
        self.q = Var(shape=shape, init=0)
        self.damping = Var(shape=(neurons,), init=damping)
        self.rotation = Var(shape=(neurons,), init=rotation)
