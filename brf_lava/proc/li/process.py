"""A readout of leaky integrators."""

from __future__ import annotations

from typing import Any

from lava.magma.core.process.ports.ports import InPort, OutPort
from lava.magma.core.process.process import AbstractProcess
from lava.magma.core.process.variable import Var
from numpy.typing import NDArray

from brf_lava.neurons import fixed, real
from brf_lava.proc.probe import Probe


class LI(AbstractProcess):
    """C integrators for B samples at once; the equation is `neurons.fixed.li_step` (model fixed_pt)
    or `neurons.real.li_step` (model floating_pt).

    samples:   B
    decay:     [C], per step: `parameter_bits` fraction bits | a real number
    constants: `fixed.LIConstants` | `real.LIConstants`
    probe:     what the fixed_pt model writes down in every step, or None
    name:      what error messages call this process

    Ports: a_in (B, C), int32 currents | float; o_out (B, C), int32 states | float. No delay.
    Vars: o (B, C), int64 that saturates at signed 24 bits, `state_bits` fraction bits | float;
    decay (C,), int64 | float.
    """

    def __init__(
        self,
        *,
        samples: int,
        decay: NDArray[Any],
        constants: fixed.LIConstants | real.LIConstants,
        probe: Probe | None = None,
        name: str = "",
    ) -> None:
        super().__init__(constants=constants, probe=probe, name=name)
        classes = len(decay)
        self.a_in = InPort(shape=(samples, classes))
        self.o_out = OutPort(shape=(samples, classes))
        self.o = Var(shape=(samples, classes), init=0)
        self.decay = Var(shape=(classes,), init=decay)
