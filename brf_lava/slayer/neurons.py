"""The trainable side of each neuron: its parameters, and how they become coefficients.

A module here holds what is learned per neuron; the dynamics are `brf_lava.neurons` run by
`brf_lava.kernels`. omega, b_offset and tau enter through their absolute value, as in the reference
code of Higuchi et al. 2024, so that no sign can make a resonator unstable.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from brf_lava.errors import ParameterError
from brf_lava.neurons import families
from brf_lava.neurons.boundary import check_omega, divergence_boundary


class Neuron(nn.Module, ABC):
    """What a block needs of its neuron."""

    family: families.Neuron

    def __init__(self, neurons: int) -> None:
        super().__init__()
        self.shape = (neurons,)

    @abstractmethod
    def coefficients(self) -> Tensor:
        """[P, N] in the order of ``family.coefficients``; differentiable."""

    @property
    @abstractmethod
    def constants(self) -> Any:
        """``family.real_constants`` of this layer."""

    def input_gain(self) -> Tensor | None:
        """[N] factor on the weights that belongs to the neuron, or None for 1."""
        return None

    @property
    def device_params(self) -> dict[str, Any]:
        """The parameters by name, as plain numbers and lists."""
        named = zip(self.family.coefficients, self.coefficients().tolist(), strict=True)
        return {"type": self.family.name, **dict(named), **self.constants._asdict()}


class BRF(Neuron):
    """Balanced resonate-and-fire neurons with trainable omega and b_offset.

    neurons: how many. neuron_params: dt (s), theta, gamma, and the ranges [low, high] that omega
    (rad/s) and b_offset (1/s) are drawn from uniformly.
    Raises: ParameterError when omega could reach ``1 / dt``.
    """

    family = families.BRF

    def __init__(
        self,
        neurons: int,
        neuron_params: Mapping[str, Any],
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__(neurons)
        self.dt = float(neuron_params["dt"])
        self.theta = float(neuron_params["theta"])
        self.gamma = float(neuron_params["gamma"])
        self.omega = _uniform(neurons, neuron_params["omega"], generator)
        self.b_offset = _uniform(neurons, neuron_params["b_offset"], generator)
        check_omega(self.omega.tolist(), self.dt)

    def coefficients(self) -> Tensor:
        omega = self.omega.abs()
        if not bool((self.dt * omega.detach() < 1).all()):
            check_omega(omega.tolist(), self.dt)
        return torch.stack([divergence_boundary(omega, self.dt) - self.b_offset.abs(), omega])

    @property
    def constants(self) -> Any:
        return self.family.real_constants(self.dt, self.theta, self.gamma)


class LI(Neuron):
    """Leaky integrators with a trainable time constant tau, in steps.

    neuron_params: tau_mean and tau_std of the normal distribution that tau is drawn from.
    """

    family = families.LI

    def __init__(
        self,
        neurons: int,
        neuron_params: Mapping[str, Any],
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__(neurons)
        mean, std = float(neuron_params["tau_mean"]), float(neuron_params["tau_std"])
        self.tau = nn.Parameter(mean + std * torch.randn(neurons, generator=generator))

    def _decay(self) -> Tensor:
        return torch.exp(-self.tau.abs().reciprocal())

    def coefficients(self) -> Tensor:
        return self._decay()[None]

    def input_gain(self) -> Tensor:
        gain: Tensor = 1 - self._decay()
        return gain

    @property
    def constants(self) -> Any:
        return self.family.real_constants()


NEURONS: dict[str, type[BRF] | type[LI]] = {"BRF": BRF, "LI": LI}


def make_neuron(
    name: str,
    neurons: int,
    neuron_params: Mapping[str, Any],
    generator: torch.Generator | None = None,
) -> Neuron:
    """A neuron module by name. Raises: ParameterError for an unknown name."""
    if name not in NEURONS:
        raise ParameterError(f"neuron {name!r}; choose one of {', '.join(NEURONS)}.")
    return NEURONS[name](neurons, neuron_params, generator)


def _uniform(
    neurons: int, bounds: tuple[float, float], generator: torch.Generator | None
) -> nn.Parameter:
    low, high = bounds
    return nn.Parameter(low + (high - low) * torch.rand(neurons, generator=generator))
