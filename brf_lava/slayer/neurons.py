"""The trainable side of each neuron: its parameters, and how they become coefficients.

A module here holds what is learned per neuron; the dynamics are `brf_lava.neurons` run by
`brf_lava.kernels`. omega, b_offset and tau enter through their absolute value, as in the reference
code of Higuchi et al. 2024, so that no sign can make a resonator unstable.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from brf_lava.errors import ParameterError
from brf_lava.neurons import families
from brf_lava.neurons.boundary import check_omega, divergence_boundary, harmonic_boundary


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


class _Resonator(Neuron, ABC):
    """Neurons with trainable omega and b_offset, which subclasses turn into a damping.

    neurons: how many. neuron_params: dt (s), theta, gamma where the neuron has it, and the ranges
    [low, high] that omega (rad/s) and b_offset (1/s) are drawn from uniformly.
    Raises: ParameterError when omega could reach ``1 / dt``.
    """

    def __init__(
        self,
        neurons: int,
        neuron_params: Mapping[str, Any],
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__(neurons)
        names = self.family.real_constants._fields  # type: ignore[attr-defined]  # a NamedTuple class
        self._constants = self.family.real_constants(*(float(neuron_params[n]) for n in names))
        self.dt = self._constants.dt
        self.omega = _uniform(neurons, neuron_params["omega"], generator)
        self.b_offset = _uniform(neurons, neuron_params["b_offset"], generator)
        check_omega(self.omega.tolist(), self.dt, f"{self.family.name}.omega")

    @abstractmethod
    def _damping(self, omega: Tensor, b_offset: Tensor) -> Tensor:
        """[N], 1/s. omega, b_offset: [N], not negative."""

    def coefficients(self) -> Tensor:
        omega = self.omega.abs()
        if not bool((self.dt * omega.detach() < 1).all()):
            check_omega(omega.tolist(), self.dt, f"{self.family.name}.omega")
        return torch.stack([self._damping(omega, self.b_offset.abs()), omega])

    @property
    def constants(self) -> Any:
        return self._constants


class RF(_Resonator):
    """Resonate-and-fire: ``damping = -b_offset``, which may lie beyond the divergence boundary."""

    family = families.RF

    def _damping(self, omega: Tensor, b_offset: Tensor) -> Tensor:
        return -b_offset


class BRF(_Resonator):
    """Balanced resonate-and-fire: ``damping = p(omega) - b_offset``."""

    family = families.BRF

    def _damping(self, omega: Tensor, b_offset: Tensor) -> Tensor:
        damping: Tensor = divergence_boundary(omega, self.dt) - b_offset
        return damping


class HRF(_Resonator):
    """Harmonic resonate-and-fire: ``damping = b_offset``."""

    family = families.HRF

    def _damping(self, omega: Tensor, b_offset: Tensor) -> Tensor:
        return b_offset


class BHRF(_Resonator):
    """Balanced harmonic resonate-and-fire: ``damping = dt omega**2 / 2 + b_offset``."""

    family = families.BHRF

    def _damping(self, omega: Tensor, b_offset: Tensor) -> Tensor:
        damping: Tensor = harmonic_boundary(omega, self.dt) + b_offset
        return damping


class ALIF(Neuron):
    """Adaptive leaky integrate-and-fire with trainable time constants, in steps.

    neuron_params: theta, beta, and mean and standard deviation of the normal distributions that
    tau_mem and tau_adp are drawn from (tau_mem_mean, tau_mem_std, tau_adp_mean, tau_adp_std).
    """

    family = families.ALIF

    def __init__(
        self,
        neurons: int,
        neuron_params: Mapping[str, Any],
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__(neurons)
        self.theta = float(neuron_params["theta"])
        self.beta = float(neuron_params["beta"])
        self.tau_mem = _normal(neurons, neuron_params, "tau_mem", generator)
        self.tau_adp = _normal(neurons, neuron_params, "tau_adp", generator)

    def coefficients(self) -> Tensor:
        return torch.stack([_decay(self.tau_mem), _decay(self.tau_adp)])

    def input_gain(self) -> Tensor:
        gain: Tensor = 1 - _decay(self.tau_mem)
        return gain

    @property
    def constants(self) -> Any:
        return self.family.real_constants(self.theta, self.beta)


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
        self.tau = _normal(neurons, neuron_params, "tau", generator)

    def coefficients(self) -> Tensor:
        return _decay(self.tau)[None]

    def input_gain(self) -> Tensor:
        gain: Tensor = 1 - _decay(self.tau)
        return gain

    @property
    def constants(self) -> Any:
        return self.family.real_constants()


NEURONS: dict[str, Callable[..., Neuron]] = {
    "RF": RF,
    "BRF": BRF,
    "HRF": HRF,
    "BHRF": BHRF,
    "ALIF": ALIF,
    "LI": LI,
}


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


def _normal(
    neurons: int, neuron_params: Mapping[str, Any], name: str, generator: torch.Generator | None
) -> nn.Parameter:
    mean, std = float(neuron_params[f"{name}_mean"]), float(neuron_params[f"{name}_std"])
    return nn.Parameter(mean + std * torch.randn(neurons, generator=generator))


def _decay(tau: Tensor) -> Tensor:
    """What is left after one step, for time constants in steps of either sign."""
    return torch.exp(-tau.abs().reciprocal())
