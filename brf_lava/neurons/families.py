"""The neurons this project knows: each one's names and its three steps in one record.

To add a neuron: its step in `real.py`, in `fixed.py`, its adjoint in `adjoint.py`, and a record
here. The loops over time, the file format and the engine read everything else from the record.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from brf_lava.errors import ParameterError
from brf_lava.neurons import adjoint, fixed, real


@dataclass(frozen=True)
class Neuron:
    """One neuron model in all its number systems."""

    name: str
    states: tuple[str, ...]
    coefficients: tuple[str, ...]  # per neuron, real numbers
    fixed_coefficients: tuple[str, ...]  # per neuron, integers
    spiking: bool  # the output is a spike, else the first state
    real_step: Callable[..., Any]
    fixed_step: Callable[..., Any]
    adjoint_step: Callable[..., Any]
    real_constants: Callable[..., Any]
    fixed_constants: Callable[..., Any]


RF = Neuron(
    name="RF",
    states=("u", "v"),
    coefficients=("damping", "omega"),
    fixed_coefficients=("damping", "rotation"),
    spiking=True,
    real_step=real.rf_step,
    fixed_step=fixed.rf_step,
    adjoint_step=adjoint.rf_adjoint,
    real_constants=real.ResonatorConstants,
    fixed_constants=fixed.ResonatorConstants,
)
BRF = Neuron(
    name="BRF",
    states=("u", "v", "q"),
    coefficients=("damping", "omega"),
    fixed_coefficients=("damping", "rotation"),
    spiking=True,
    real_step=real.brf_step,
    fixed_step=fixed.brf_step,
    adjoint_step=adjoint.brf_adjoint,
    real_constants=real.BalancedConstants,
    fixed_constants=fixed.BalancedConstants,
)
HRF = Neuron(
    name="HRF",
    states=("u", "w"),
    coefficients=("damping", "omega"),
    fixed_coefficients=("friction", "rotation"),
    spiking=True,
    real_step=real.hrf_step,
    fixed_step=fixed.hrf_step,
    adjoint_step=adjoint.hrf_adjoint,
    real_constants=real.ResonatorConstants,
    fixed_constants=fixed.ResonatorConstants,
)
BHRF = Neuron(
    name="BHRF",
    states=("u", "w", "q"),
    coefficients=("damping", "omega"),
    fixed_coefficients=("friction", "rotation"),
    spiking=True,
    real_step=real.bhrf_step,
    fixed_step=fixed.bhrf_step,
    adjoint_step=adjoint.bhrf_adjoint,
    real_constants=real.BalancedConstants,
    fixed_constants=fixed.BalancedConstants,
)
ALIF = Neuron(
    name="ALIF",
    states=("u", "a", "z"),
    coefficients=("decay", "adaptation"),
    fixed_coefficients=("decay", "adaptation"),
    spiking=True,
    real_step=real.alif_step,
    fixed_step=fixed.alif_step,
    adjoint_step=adjoint.alif_adjoint,
    real_constants=real.ALIFConstants,
    fixed_constants=fixed.ALIFConstants,
)
LI = Neuron(
    name="LI",
    states=("o",),
    coefficients=("decay",),
    fixed_coefficients=("decay",),
    spiking=False,
    real_step=real.li_step,
    fixed_step=fixed.li_step,
    adjoint_step=adjoint.li_adjoint,
    real_constants=real.LIConstants,
    fixed_constants=fixed.LIConstants,
)
NEURONS: dict[str, Neuron] = {neuron.name: neuron for neuron in (RF, BRF, HRF, BHRF, ALIF, LI)}


def find_neuron(name: str) -> Neuron:
    """The record of a neuron by its name. Raises: ParameterError listing the names there are."""
    try:
        return NEURONS[name]
    except KeyError:
        raise ParameterError(
            f"neuron {name!r} is not known; choose one of {', '.join(NEURONS)}."
        ) from None
