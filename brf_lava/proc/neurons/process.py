"""The neurons as Lava processes, spiking or not; `models.py` holds how they are computed."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import cache
from inspect import getdoc
from typing import Any

import numpy as np
from lava.magma.core.process.ports.ports import InPort, OutPort
from lava.magma.core.process.process import AbstractProcess
from lava.magma.core.process.variable import Var
from numpy.typing import ArrayLike, NDArray

from brf_lava.errors import ParameterError
from brf_lava.neurons import families
from brf_lava.neurons.families import Neuron
from brf_lava.neurons.fixed import STATE_MAX
from brf_lava.proc.microcode import Microcode

# Called in every step, in the child process of a layer, past all ports; steps count from 1, as in
# Lava. What the parent should read of it lies in shared memory (`io.shared_memory.shared_array`).

# Takes a step, the outputs of a layer [B, N], and its states after the step, [B, N] each. A process
# behind a port could record outputs too, but every process and connection costs time in each step,
# and states never leave through a port.
Probe = Callable[[int, NDArray[Any], Iterable[NDArray[Any]]], None]

# Whether a step of a layer is a blank one, between two sequences of one stream: it drops what
# arrives, zeroes its states and sends zeros. Each layer has it one step after the layer before.
# Zeroing the states alone is not exact: the recurrent connection still delivers old spikes.
Blanks = Callable[[int], bool]


class NeuronLayer(AbstractProcess):
    """N neurons for B samples at once. A subclass names its neuron; the equations are that one's
    `fixed_step` (model fixed_pt) and `real_step` (model floating_pt). Its docstring describes
    coefficients as integers with `parameter_bits` fraction bits | as real numbers: omega in rad/s,
    a damping in 1/s, a decay per step.

    samples:      B, or None for one sample without an axis of its own, (N,), as on Loihi 2
    constants:    what the layer shares, the neuron's `fixed_constants` | `real_constants`
    probe:        what the fixed_pt model writes down in every step, or None
    name:         what error messages call this process
    microcode:    what the model for Loihi 2 needs besides, or None; the others ignore it
    blanks:       says which steps are blank ones between two sequences, or None; not on Loihi 2
    variables:    coefficients, [N] each, under the names in the neuron's `fixed_coefficients`:
                  integers | the neuron's real `coefficients`, in the same order. And initial
                  states, by name, of a shape that fits (B, N); else 0

    Ports, without delay: a_in (B, N), int32 currents | float, added up in int64; s_out (B, N), int8
    spikes | float, or of a neuron that does not spike o_out (B, N), int32 states | float.
    Vars, to be read with `get` and written with `set` between two runs of a graph: the states
    (B, N), int64 of signed 24 bits | float, and the coefficients (N,), int64 | float.

    Raises: ParameterError for other names or lengths of coefficients, and for initial states beyond
    24 bits.
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
        blanks: Blanks | None = None,
        **variables: ArrayLike,
    ) -> None:
        super().__init__(
            constants=constants, probe=probe, name=name, microcode=microcode, blanks=blanks
        )
        expected = self.neuron.fixed_coefficients
        initial = {state: variables.pop(state, 0) for state in self.neuron.states}
        sizes = {np.shape(values) for values in variables.values()}
        if set(variables) != set(expected) or len(sizes) != 1:
            raise ParameterError(
                f"{self.neuron.name}: coefficients {', '.join(variables) or 'none'} with shapes "
                f"{sorted(sizes)}; {' and '.join(expected)}, all [N], are needed."
            )
        ((neurons,),) = sizes
        shape = (neurons,) if samples is None else (samples, neurons)
        integers = isinstance(constants, self.neuron.fixed_constants)  # type: ignore[arg-type]
        self.a_in = InPort(shape=shape)
        if self.neuron.spiking:
            self.s_out = OutPort(shape=shape)
        else:
            self.o_out = OutPort(shape=shape)
        for state, value in initial.items():
            start = np.broadcast_to(value, shape).copy()
            if integers and (start.dtype.kind not in "iu" or abs(start).max() > STATE_MAX):
                raise ParameterError(
                    f"{self.neuron.name}.{state}: initial {start.dtype} values from {start.min()} "
                    f"to {start.max()}; integers of at most {STATE_MAX} are needed with these "
                    "constants. Scale them by 2**state_bits and round."
                )
            setattr(self, state, Var(shape=shape, init=start))
        for coefficient in expected:
            setattr(self, coefficient, Var(shape=(neurons,), init=variables[coefficient]))


@cache
def process_class(neuron: Neuron) -> type[NeuronLayer]:
    """The process of a neuron; its docstring is that of the step in integers.

    `models.process_of` makes its models, too, which those of your own neurons need.
    """
    step = f"{neuron.fixed_step.__module__}.{getattr(neuron.fixed_step, '__name__', 'fixed_step')}"
    doc = f"{neuron.name} neurons by `{step}`, see `NeuronLayer`. {getdoc(neuron.fixed_step) or ''}"
    declared = {"__module__": __name__, "__doc__": doc, "neuron": neuron}
    return type(neuron.name, (NeuronLayer,), declared)


RF = process_class(families.RF)
BRF = process_class(families.BRF)
HRF = process_class(families.HRF)
BHRF = process_class(families.BHRF)
ALIF = process_class(families.ALIF)
LI = process_class(families.LI)
