"""The Python models of the neurons: each record's ports and variables around its equations."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
from lava.magma.core.model.py.model import PyLoihiProcessModel
from lava.magma.core.model.py.ports import PyInPort, PyOutPort
from lava.magma.core.model.py.type import LavaPyType

from brf_lava.errors import ParameterError
from brf_lava.neurons.families import Neuron
from brf_lava.proc.neurons.process import PROCESSES, NeuronLayer
from brf_lava.proc.python_models import python_model

NUMBERS = {"fixed": (np.int64, np.int8, np.int32), "real": (float, float, float)}


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


def model_of(process: type[NeuronLayer], number_system: str) -> type[NeuronModel]:
    """The Python model of a process, declared from its neuron's record.

    Args:
        process: a process of one neuron.
        number_system: "fixed" (tag fixed_pt, integers) or "real" (tag floating_pt).
    """
    neuron = process.neuron
    number, spike, state = NUMBERS[number_system]
    bits = 24 if number_system == "fixed" else None
    port = LavaPyType(PyOutPort.VEC_DENSE, spike if neuron.spiking else state)
    declared: dict[str, Any] = {
        "__doc__": f"{neuron.name} in {number_system} numbers, by `{number_system}_step`.",
        "neuron": neuron,
        "number_system": number_system,
        "a_in": LavaPyType(PyInPort.VEC_DENSE, number),
        "s_out" if neuron.spiking else "o_out": port,
    }
    for name in neuron.states:
        declared[name] = LavaPyType(np.ndarray, number, precision=bits)
    for name in neuron.fixed_coefficients:
        declared[name] = LavaPyType(np.ndarray, number)
    model: type[NeuronModel] = python_model(process, NeuronModel, number_system, declared)
    return model


for _process in PROCESSES.values():
    for _system in NUMBERS:
        _model = model_of(_process, _system)
        globals()[_model.__name__] = _model


@cache
def process_of(neuron: Neuron) -> type[NeuronLayer]:
    """The Lava process of a neuron; of the user's own, one made from its record.

    Models of the latter are made, too. They stand among the names of this module, where Lava looks
    for models of a process that says it is from here.
    """
    if neuron in (process.neuron for process in PROCESSES.values()):
        return PROCESSES[neuron.name]
    text = f"{neuron.name}, a neuron of the user's own; arguments, ports: see `NeuronLayer`."
    declared = {"__module__": __name__, "__doc__": text, "neuron": neuron}
    process = type(neuron.name, (NeuronLayer,), declared)
    for number_system in NUMBERS:
        model = model_of(process, number_system)
        globals()[f"{model.__name__} {id(process)}"] = model
    return process
