"""The Python models of the neurons: each record's ports and variables around its equations."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
from lava.magma.core.model.py.model import PyLoihiProcessModel
from lava.magma.core.model.py.ports import PyInPort, PyOutPort

from brf_lava.errors import ParameterError
from brf_lava.neurons.families import NEURONS, Neuron
from brf_lava.proc.neurons.process import NeuronLayer, process_class
from brf_lava.proc.python_models import python_models


class NeuronModel(PyLoihiProcessModel):
    """One step per time step; the arithmetic is `brf_lava.neurons`."""

    number_system: str  # "fixed" or "real"
    a_in: PyInPort

    def __init__(self, proc_params: Any) -> None:
        super().__init__(proc_params)
        self.neuron: Neuron = self.implements_process.neuron
        self.out = "s_out" if self.neuron.spiking else "o_out"
        self.constants = proc_params["constants"]
        self.probe = proc_params["probe"] if self.number_system == "fixed" else None
        self.blanks = proc_params["blanks"]
        self.step = getattr(self.neuron, f"{self.number_system}_step")
        needed = getattr(self.neuron, f"{self.number_system}_constants")
        if not isinstance(self.constants, needed):
            raise ParameterError(
                f"{self.neuron.name}: constants {self.constants} with the {self.number_system} "
                f"model; {self.number_system}.{needed.__name__} are needed. Select the other model "
                "with Loihi2SimCfg(select_tag='fixed_pt') or 'floating_pt'."
            )

    def run_spk(self) -> None:
        states, output = self.step(
            tuple(getattr(self, name) for name in self.neuron.states),
            self.a_in.recv(),
            tuple(getattr(self, name) for name in self.neuron.fixed_coefficients),
            self.constants,
        )
        if self.blanks is not None and self.blanks(self.time_step):
            states, output = tuple(map(np.zeros_like, states)), np.zeros_like(output)
        getattr(self, self.out).send(output)
        for name, value in zip(self.neuron.states, states, strict=True):
            setattr(self, name, value)
        if self.probe is not None:
            self.probe(self.time_step, output, states)


@cache
def process_of(neuron: Neuron) -> type[NeuronLayer]:
    """The Lava process of a neuron, be it the user's own; its models lie here, where Lava looks."""
    process, mark = process_class(neuron), ""
    if neuron not in NEURONS.values():
        process.__module__, mark = __name__, f" {id(process)}"
    out, integers = ("s_out", np.int8) if neuron.spiking else ("o_out", np.int32)
    types: dict[str, Any] = {
        "a_in": (PyInPort.VEC_DENSE, np.int64, float),
        out: (PyOutPort.VEC_DENSE, integers, float),
    }
    for name in (*neuron.states, *neuron.fixed_coefficients):
        types[name] = (np.ndarray, np.int64, float)
    for model in python_models(process, NeuronModel, **types):
        globals()[f"{model.__name__}{mark}"] = model
    return process


for _neuron in NEURONS.values():
    process_of(_neuron)
