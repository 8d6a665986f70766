"""What the Python models of all neurons have in common: they hand their variables to the equations.

A model only declares its variables and ports; Lava wants those spelled out, class by class.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from lava.magma.core.model.py.model import PyLoihiProcessModel
from lava.magma.core.model.py.ports import PyInPort, PyOutPort

from brf_lava.errors import ParameterError
from brf_lava.neurons.families import Neuron


class NeuronModel(PyLoihiProcessModel):
    """One step per time step; the arithmetic is `brf_lava.neurons`."""

    neuron: Neuron
    number_system: str  # "fixed" or "real"
    a_in: PyInPort
    s_out: PyOutPort

    def __init__(self, proc_params: Any) -> None:
        super().__init__(proc_params)
        self.constants = proc_params["constants"]
        self.probe = proc_params["probe"] if self.number_system == "fixed" else None
        self.blanks = proc_params["blanks"]
        needed = getattr(self.neuron, f"{self.number_system}_constants")
        if not isinstance(self.constants, needed):
            raise ParameterError(
                f"{self.neuron.name}: constants {self.constants} with the {self.number_system} "
                f"model; {self.number_system}.{needed.__name__} are needed. Select the other model "
                "with Loihi2SimCfg(select_tag='fixed_pt') or 'floating_pt'."
            )

    def run_spk(self) -> None:
        neuron = self.neuron
        step = neuron.fixed_step if self.number_system == "fixed" else neuron.real_step
        states, output = step(
            tuple(getattr(self, name) for name in neuron.states),
            self.a_in.recv(),
            tuple(getattr(self, name) for name in neuron.fixed_coefficients),
            self.constants,
        )
        if self.blanks is not None and self.blanks.due(self.time_step):
            states, output = tuple(map(np.zeros_like, states)), np.zeros_like(output)
        (self.s_out if neuron.spiking else self.o_out).send(output)
        for name, value in zip(neuron.states, states, strict=True):
            setattr(self, name, value)
        if self.probe is not None:
            self.probe.write(self.time_step, output, states)
