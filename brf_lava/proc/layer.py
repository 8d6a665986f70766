"""What the processes of all neurons have in common, spiking or not."""

from __future__ import annotations

from typing import Any

import numpy as np
from lava.magma.core.process.ports.ports import InPort, OutPort
from lava.magma.core.process.process import AbstractProcess
from lava.magma.core.process.variable import Var
from numpy.typing import NDArray

from brf_lava.errors import ParameterError
from brf_lava.neurons.families import Neuron
from brf_lava.proc.microcode import Microcode
from brf_lava.proc.probe import Probe


class NeuronLayer(AbstractProcess):
    """N neurons for B samples at once. A subclass names its neuron; the equations are that one's
    `fixed_step` (model fixed_pt) and `real_step` (model floating_pt).

    samples:      B, or None for one sample without an axis of its own, (N,), as on Loihi 2
    constants:    what the layer shares, the neuron's `fixed_constants` | `real_constants`
    probe:        what the fixed_pt model writes down in every step, or None
    name:         what error messages call this process
    microcode:    what the model for Loihi 2 needs besides, or None; the others ignore it
    coefficients: [N] each, under the names in the neuron's `fixed_coefficients`: integers | the
                  neuron's real `coefficients`, in the same order

    Ports: a_in (B, N), int32 currents | float; connections to it are added up in int64. The output,
    s_out (B, N), int8 spikes 0 or 1 | float 0.0 or 1.0, of a neuron that does not spike o_out
    (B, N), int32 states | float. Neither has a delay of its own.
    Vars: each of the neuron's states (B, N), int64 that saturate at signed 24 bits, `state_bits`
    fraction bits | float; each coefficient (N,), int64 | float.

    Raises: ParameterError for other names or lengths of coefficients.
    """

    neuron: Neuron

    def __init__(
        self,
        *,
        samples: int | None,
        constants: Any,
        probe: Probe | None = None,
        name: str = "",
        microcode: Microcode | None = None,
        **coefficients: NDArray[Any],
    ) -> None:
        super().__init__(constants=constants, probe=probe, name=name, microcode=microcode)
        expected = self.neuron.fixed_coefficients
        sizes = {np.shape(values) for values in coefficients.values()}
        if set(coefficients) != set(expected) or len(sizes) != 1:
            raise ParameterError(
                f"{self.neuron.name}: coefficients {', '.join(coefficients) or 'none'} with shapes "
                f"{sorted(sizes)}; {' and '.join(expected)}, all [N], are needed."
            )
        ((neurons,),) = sizes
        shape = (neurons,) if samples is None else (samples, neurons)
        self.a_in = InPort(shape=shape)
        if self.neuron.spiking:
            self.s_out = OutPort(shape=shape)
        else:
            self.o_out = OutPort(shape=shape)
        for state in self.neuron.states:
            setattr(self, state, Var(shape=shape, init=0))
        for coefficient in expected:
            setattr(self, coefficient, Var(shape=(neurons,), init=coefficients[coefficient]))
