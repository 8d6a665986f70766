"""``neuron.<n>.Neuron``: the trainable side of each neuron, as in lava-dl's ``nn.neurons``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from brf_lava.errors import ParameterError
from brf_lava.nn.neurons import alif, bhrf, brf, hrf, li, rf
from brf_lava.nn.neurons.base import Neuron
from brf_lava.nn.neurons.params import read_params

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


def make_neuron(
    name: str, params: Mapping[str, Any], neurons: int | None, generator: torch.Generator | None
) -> Neuron:
    """So many neurons of this name. params: see `neuron.params`.

    Raises: ParameterError for an unknown name, and for parameters that are not allowed.
    """
    kind = find_neuron(name)
    if not isinstance(params, Mapping):
        raise ParameterError(
            f"{name}: neuron_params is {params!r}; a dictionary is needed. {{}} takes the defaults."
        )
    read_params(kind.params_type, params, name)  # which may hold keys that are no keywords
    return kind(neurons, generator, **params)


__all__ = [
    "NEURONS",
    "Neuron",
    "alif",
    "bhrf",
    "brf",
    "find_neuron",
    "hrf",
    "li",
    "make_neuron",
    "rf",
]
