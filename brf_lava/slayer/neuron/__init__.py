"""``neuron.<n>.Neuron``: the trainable side of each neuron, as in lava-dl's ``slayer.neuron``."""

from __future__ import annotations

from brf_lava.errors import ParameterError
from brf_lava.slayer.neuron import alif, bhrf, brf, hrf, li, rf
from brf_lava.slayer.neuron.base import Neuron

NeuronType = type[rf.Neuron | brf.Neuron | hrf.Neuron | bhrf.Neuron | alif.Neuron | li.Neuron]
NEURONS: dict[str, NeuronType] = {
    "RF": rf.Neuron,
    "BRF": brf.Neuron,
    "HRF": hrf.Neuron,
    "BHRF": bhrf.Neuron,
    "ALIF": alif.Neuron,
    "LI": li.Neuron,
}


def find_neuron(name: str) -> NeuronType:
    """The class of a neuron by its name. Raises: ParameterError for an unknown one."""
    if name not in NEURONS:
        raise ParameterError(f"neuron {name!r}; choose one of {', '.join(NEURONS)}.")
    return NEURONS[name]


__all__ = ["NEURONS", "Neuron", "alif", "bhrf", "brf", "find_neuron", "hrf", "li", "rf"]
