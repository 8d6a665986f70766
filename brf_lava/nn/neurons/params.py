"""``neuron_params``: what the dictionary may hold, with its defaults and units."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from math import isfinite
from numbers import Real
from typing import Any, TypeVar

from brf_lava.errors import ParameterError

Positive = float  # above 0
Fraction = float  # from 0 to below 1
Span = float | tuple[float, float]  # one value for all neurons, or the ends of a uniform range


@dataclass(frozen=True)
class Params:
    """Of every neuron."""

    surrogate: str = "double-gaussian"  # derivative of the spike, or "multi-gaussian"
    requires_grad: bool = True  # learn the neuron's own parameters
    shared_param: bool = False  # one value of each parameter for all neurons
    persistent_state: bool = False  # a call goes on where the one before ended


@dataclass(frozen=True)
class ResonatorParams(Params):
    """Of RF and HRF. The ranges are those of S-MNIST in Higuchi et al. 2024."""

    dt: Positive = 0.01  # step, s
    theta: Positive = 1.0  # threshold
    omega: Span = (15.0, 50.0)  # angular frequency, rad/s; dt * omega stays below 1
    b_offset: Span = (0.1, 1.0)  # 1/s


@dataclass(frozen=True)
class BalancedParams(ResonatorParams):
    """Of BRF and BHRF."""

    gamma: Fraction = 0.9  # decay of the refractory variable, per step


@dataclass(frozen=True)
class AdaptiveParams(Params):
    """Of ALIF: constants, and normal distributions of the time constants, in steps."""

    theta: Positive = 0.01  # threshold at rest
    beta: float = 1.8  # rise of the threshold per adaptation
    tau_mem_mean: float = 20.0
    tau_mem_std: float = 5.0
    tau_adp_mean: float = 150.0
    tau_adp_std: float = 10.0


@dataclass(frozen=True)
class LeakyParams(Params):
    """Of LI: the normal distribution of its time constants, in steps."""

    tau_mean: float = 20.0
    tau_std: float = 5.0


P = TypeVar("P", bound=Params)


def read_params(kind: type[P], given: Mapping[str, Any], neuron: str) -> P:
    """A dictionary as checked parameters of `neuron`, called so in messages.

    Raises: ParameterError for a name or a value that is not allowed.
    """
    types = {field.name: str(field.type) for field in fields(kind)}
    for name, value in given.items():
        if name not in types:
            raise ParameterError(
                f"{neuron}: neuron_params has {name!r}; allowed are {', '.join(types)}."
            )
        if not _fits(types[name], value):
            raise ParameterError(
                f"{neuron}.{name}: {value!r}; {_WANTED[types[name]]} is needed. Correct it in "
                "neuron_params."
            )
    return kind(**given)


_WANTED = {
    "str": "a name",
    "bool": "True or False",
    "float": "a finite number",
    "Positive": "a finite number above 0",
    "Fraction": "a number from 0 to below 1",
    "Span": "a finite number or a pair (low, high) of them",
}


def _fits(kind: str, value: Any) -> bool:
    if kind == "str":
        return isinstance(value, str)
    if kind == "bool":
        return isinstance(value, bool)
    if kind == "Span" and isinstance(value, tuple | list):
        return len(value) == 2 and all(map(_is_number, value)) and value[0] <= value[1]
    if not _is_number(value):
        return False
    if kind == "Positive":
        return bool(value > 0)
    return kind != "Fraction" or bool(0 <= value < 1)


def _is_number(value: Any) -> bool:
    if isinstance(value, bool):
        return False
    return isinstance(value, Real) and isfinite(value)
