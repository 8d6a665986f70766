"""What the processes of all neurons have in common, spiking or not."""

from __future__ import annotations

from typing import Any

import numpy as np
from lava.magma.core.process.ports.ports import InPort, OutPort
from lava.magma.core.process.process import AbstractProcess
from lava.magma.core.process.variable import Var
from numpy.typing import ArrayLike, NDArray

from brf_lava.errors import ParameterError
from brf_lava.neurons.families import Neuron
from brf_lava.neurons.fixed import STATE_MAX, STATE_MIN
from brf_lava.proc.blanks import Blanks
from brf_lava.proc.microcode import Microcode
from brf_lava.proc.probe import Probe


class NeuronLayer(AbstractProcess):
    """N neurons for B samples at once. A subclass names its neuron; the equations are that one's
    `fixed_step` (model fixed_pt) and `real_step` (model floating_pt). In its docstring a prime
    marks the new value, ``mul(a, b) = a * b / 2**parameter_bits``, every quotient is rounded toward
    zero, and `saturate` clips to +-(2**23 - 1).

    samples:      B, or None for one sample without an axis of its own, (N,), as on Loihi 2
    constants:    what the layer shares, the neuron's `fixed_constants` | `real_constants`
    probe:        what the fixed_pt model writes down in every step, or None
    name:         what error messages call this process
    microcode:    what the model for Loihi 2 needs besides, or None; the others ignore it
    blanks:       says which steps are blank ones between two sequences, or None; not on Loihi 2
    variables:    coefficients, [N] each, under the names in the neuron's `fixed_coefficients`:
                  integers | the neuron's real `coefficients`, in the same order. And initial
                  states, by name, of a shape that fits (B, N); else 0

    Ports: a_in (B, N), int32 currents | float; connections to it are added up in int64. The output,
    s_out (B, N), int8 spikes 0 or 1 | float 0.0 or 1.0, of a neuron that does not spike o_out
    (B, N), int32 states | float. Neither has a delay of its own.
    Vars: each of the neuron's states (B, N), int64 that saturate at signed 24 bits, `state_bits`
    fraction bits | float; each coefficient (N,), int64 | float. Between two runs of a graph `get`
    reads them, and `set`, with an array of that shape, writes them.

    Raises: ParameterError for other names or lengths of coefficients, and for initial states of
    another shape or beyond 24 bits.
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
            start = _initial(f"{self.neuron.name}.{state}", value, shape, integers)
            setattr(self, state, Var(shape=shape, init=start))
        for coefficient in expected:
            setattr(self, coefficient, Var(shape=(neurons,), init=variables[coefficient]))


def _initial(name: str, value: ArrayLike, shape: tuple[int, ...], integers: bool) -> NDArray[Any]:
    """The first value of a state in the shape of its Var. Raises: ParameterError."""
    given = np.asarray(value)
    try:
        start: NDArray[Any] = np.broadcast_to(given, shape).copy()
    except ValueError:
        raise ParameterError(
            f"{name}: an initial state of shape {given.shape}; {shape}, or what extends to it, is "
            "needed."
        ) from None
    if not integers:
        return start
    if given.dtype.kind not in "iu" or given.min() < STATE_MIN or given.max() > STATE_MAX:
        raise ParameterError(
            f"{name}: an initial state of {given.dtype} values from {given.min()} to "
            f"{given.max()}; integers from {STATE_MIN} to {STATE_MAX} are needed with these "
            "constants. Scale it by 2**state_bits and round."
        )
    return start
