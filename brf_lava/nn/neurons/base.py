"""What all trainable neurons share: running over sequences, and state between calls.

A module here holds what is learned per neuron; the dynamics are `brf_lava.neurons` run by
`brf_lava.kernels`. omega, b_offset and tau enter through their absolute value, as in the reference
code of Higuchi et al. 2024, so that no sign can make a resonator unstable.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from brf_lava.errors import ParameterError
from brf_lava.kernels.layer import resume_layer
from brf_lava.kernels.memory import Memory
from brf_lava.neurons import families
from brf_lava.nn.nct import nct, time_major
from brf_lava.nn.neurons.params import Params


class Neuron(nn.Module, ABC):
    """Neurons of one kind, with the interface of ``lava.lib.dl.slayer.neuron.<n>.Neuron``.

    neurons:   how many; with ``shared_param`` it may be None until the first input tells
    generator: source of the initial values; torch's global one if None
    The keywords are those of the neuron's own `params_type`, with its defaults.
    Raises: ParameterError for a keyword or a value that is not allowed.
    """

    family: ClassVar[families.Neuron]
    params_type: ClassVar[type[Params]]

    def __init__(self, params: Params, neurons: int | None) -> None:
        super().__init__()
        if neurons is None and not params.shared_param:
            raise ParameterError(
                f"{self.family.name}.neurons: None, but every neuron has parameters of its own. "
                "Say how many there are, or set shared_param=True."
            )
        self.shape: tuple[int, ...] | None = None if neurons is None else (neurons,)
        self.surrogate = params.surrogate
        self.persistent_state = params.persistent_state
        self._params = params
        self._memory: Memory | None = None

    @abstractmethod
    def _coefficients(self) -> Tensor:
        """[P, N], or [P, 1] of shared parameters."""

    @property
    @abstractmethod
    def constants(self) -> Any:
        """``family.real_constants`` of this layer."""

    def coefficients(self) -> Tensor:
        """[P, N] in the order of ``family.coefficients``; differentiable."""
        found = self._coefficients()
        if self.shape is None or found.shape[1] == self.shape[0]:
            return found
        return found.expand(-1, self.shape[0])

    def input_gain(self) -> Tensor | None:
        """[N], or [1] if shared: a factor on the weights that belongs to the neuron; None for 1."""
        return None

    @property
    def device_params(self) -> dict[str, Any]:
        """The parameters by name, as plain numbers and lists."""
        named = zip(self.family.coefficients, self.coefficients().tolist(), strict=True)
        return {"type": self.family.name, **dict(named), **self.constants._asdict()}

    def forward(self, current: Tensor) -> Tensor:
        """Current [B, N, T] to outputs [B, N, T]: spikes, or the state of one that has none.

        Raises: ParameterError for a current of another shape.
        """
        known = None if self.shape is None else self.shape[0]
        return nct(self.run_current(time_major(current, known, self.family.name)))

    def run_current(self, current: Tensor, *, delayed: bool = False) -> Tensor:
        """`run` on currents [T, B, N] before the neuron's own input gain; tells `shape`."""
        self.shape = (current.shape[2],)
        gain = self.input_gain()
        return self.run(current if gain is None else gain * current, delayed=delayed)

    def run(
        self,
        x: Tensor,
        weights: Tensor | None = None,
        recurrent: Tensor | None = None,
        *,
        delayed: bool = False,
        backend: str = "auto",
        truncate: int = 0,
    ) -> Tensor:
        """Time-major: x [T, B, I] through `weights`, or currents [T, B, N], to outputs [T, B, N].

        delayed: outputs come one step later. backend, truncate: see `kernels.layer.run_layer`.
        """
        start = self._memory if self.persistent_state and self._remembers(x) else None
        output, memory = resume_layer(
            self.family,
            x,
            weights,
            recurrent,
            self.coefficients(),
            self.constants,
            start,
            surrogate=self.surrogate,
            backend=backend,
            truncate=truncate,
        )
        self._memory = memory if self.persistent_state else None
        if delayed:
            first = torch.zeros_like(output[:1]) if start is None else start.output[None]
            output = torch.cat([first, output[:-1]])
        return output

    def reset_state(self) -> None:
        """Forget what ``persistent_state`` kept: the next call starts from zero."""
        self._memory = None

    def _remembers(self, x: Tensor) -> bool:
        """Whether the state kept is of as many samples as x [T, B, I], and of its kind."""
        if self._memory is None:
            return False
        last = self._memory.output
        return (len(last), last.device, last.dtype) == (x.shape[1], x.device, x.dtype)

    def quantize_8bit(self, weight: Tensor) -> Tensor:
        """Weights [N, I] on the grid that export will round them to; gradients pass unchanged.

        The grid is that of signed 8-bit mantissas with one exponent. A ``pre_hook_fx``.
        """
        return self.quantize(weight, 8)

    def quantize(self, weight: Tensor, bits: int, scale: float = 1.0) -> Tensor:
        """`quantize_8bit` for mantissas of `bits`; the export sees the weights times `scale`.

        A grid finer than the finest state has is not taken; the states that the export chooses may
        be coarser still, where weights are as small as those of a resonator for inputs in 1/255.
        """
        from brf_lava.export.quantize import weight_gain
        from brf_lava.network.layers import STATE_BITS_MAX

        with torch.no_grad():
            gain = scale * weight_gain(self.constants)
            integer = gain * weight.double()
            limit = 2.0 ** (bits - 1) - 0.5  # from here on the mantissa would round up
            _, exponent = torch.frexp(integer.abs().max() / limit)
            step = torch.ldexp(integer.new_ones(()), exponent.clamp(min=-STATE_BITS_MAX))
            rounded = ((integer / step).round() * step / gain).to(weight.dtype)
        return weight + (rounded - weight).detach()

    def _uniform(self, span: Any, generator: torch.Generator | None) -> nn.Parameter:
        low, high = span if isinstance(span, tuple | list) else (span, span)
        drawn = low + (high - low) * torch.rand(self._values, generator=generator)
        return nn.Parameter(drawn, requires_grad=self._params.requires_grad)

    def _normal(self, mean: float, std: float, generator: torch.Generator | None) -> nn.Parameter:
        drawn = mean + std * torch.randn(self._values, generator=generator)
        return nn.Parameter(drawn, requires_grad=self._params.requires_grad)

    @property
    def _values(self) -> int:
        """How many values a parameter has."""
        return 1 if self._params.shared_param or self.shape is None else self.shape[0]


def decay_per_step(tau: Tensor) -> Tensor:
    """What is left after one step, for time constants in steps of either sign."""
    return torch.exp(-tau.abs().reciprocal())
