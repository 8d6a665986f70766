"""The trainable side of a neuron, made from its record; `brf_lava.kernels` runs the dynamics.

Trained parameters enter through their absolute value, as in the reference code of Higuchi et al.
2024, so that no sign can make a resonator unstable.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import make_dataclass
from functools import cache
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from brf_lava.config.recipe import Surrogate, table_of
from brf_lava.config.toml import build
from brf_lava.errors import ParameterError
from brf_lava.kernels.layer import run_layer
from brf_lava.kernels.reference import Memory
from brf_lava.network.layers import STATE_BITS_MAX
from brf_lava.neurons import families
from brf_lava.neurons.binding import bound
from brf_lava.neurons.boundary import check_omega
from brf_lava.neurons.record import Uniform

OPTIONS: dict[str, tuple[Any, Any, str]] = {  # of every neuron: type, default, and what it says
    "surrogate": (Surrogate, "double-gaussian", 'derivative of the spike; or "multi-gaussian"'),
    "requires_grad": (bool, True, "learn the neuron's own parameters"),
    "shared_param": (bool, False, "one value of each parameter for all neurons"),
    "persistent_state": (bool, False, "a call goes on where the one before ended"),
}


def read_params(family: families.Neuron, given: Mapping[str, Any]) -> Any:
    """``neuron_params`` as an object, completed with defaults. Raises: ParameterError."""
    where = f"{family.name} neuron_params"
    if not isinstance(given, Mapping):
        raise ParameterError(f"{where}: {given!r}; a dictionary is needed, {{}} for the defaults.")
    values = {name: default for name, (_, default, _) in OPTIONS.items()}
    values |= {key.name: key.default for key in family.keys}
    values |= {name: _plain(value) for name, value in given.items()}
    for key in family.keys:
        if key.span and isinstance(values[key.name], int | float):
            values[key.name] = [values[key.name]] * 2
    return build(_params_of(family), values, where, ParameterError)


def _plain(value: Any) -> Any:
    if isinstance(value, tuple | list):
        return [_plain(item) for item in value]
    return value.item() if isinstance(value, np.generic) else value


@cache
def _params_of(family: families.Neuron) -> type[Any]:
    options = [(name, kind) for name, (kind, _, _) in OPTIONS.items()]
    return make_dataclass("Params", options, bases=(table_of(family),), frozen=True)


def describe_params(family: families.Neuron) -> str:
    """What ``neuron_params`` may hold, one line per key with unit, range and default."""
    keys = (
        f"{key.name}: {key.unit}; {'a range (low, high) or ' if key.span else ''}a number "
        f"{key.allowed}. Default: {key.default}."
        for key in family.keys
    )
    options = (f"{name}: {text}. Default: {value!r}." for name, (_, value, text) in OPTIONS.items())
    return "\n".join(f"    {line}" for line in (*keys, *options))


def time_major(x: Tensor, channels: int | None, where: str) -> Tensor:
    """[B, C, T] as contiguous [T, B, C]. Raises: ParameterError for other `channels`, if given."""
    if x.dim() != 3 or x.shape[2] == 0 or channels not in (None, x.shape[1]):
        wanted = "channels" if channels is None else channels
        raise ParameterError(
            f"{where}: an input of shape {list(x.shape)}; [batch, {wanted}, time] with one step or "
            "more is needed. Flatten images, and check the widths of neighboring blocks."
        )
    return x.permute(2, 0, 1).contiguous()


def nct(x: Tensor) -> Tensor:
    """[T, B, C] as [B, C, T], a view."""
    return x.permute(1, 2, 0)


class Neuron(nn.Module):
    """Trainable neurons, with the interface of ``lava.lib.dl.slayer.neuron.<n>.Neuron``.

    Args:
        neurons: how many; with ``shared_param`` it may be None until the first input tells.
        generator: source of the initial values; torch's global one if None.
        neuron_params: as keywords, see below.

    Raises:
        ParameterError: for a keyword or a value that is not allowed, also when a trained omega
            reaches ``1 / dt``.
    """

    family: ClassVar[families.Neuron]
    _rule: ClassVar[Callable[..., Any]]

    def __init__(
        self,
        neurons: int | None = None,
        generator: torch.Generator | None = None,
        **neuron_params: Any,
    ) -> None:
        super().__init__()
        params = read_params(self.family, neuron_params)
        if neurons is None and not params.shared_param:
            raise ParameterError(f"{self.family.name}.neurons: None; needed unless shared_param.")
        self.shape: tuple[int, ...] | None = None if neurons is None else (neurons,)
        self.surrogate = params.surrogate
        self.persistent_state = params.persistent_state
        self._memory: Memory | None = None
        kind: Any = self.family.real_constants  # a NamedTuple class
        self.constants: Any = kind(*(getattr(params, name) for name in kind._fields))
        values = 1 if params.shared_param or neurons is None else neurons
        for trained in self.family.trained:
            if isinstance(trained, Uniform):
                low, high = getattr(params, trained.name)
                drawn = low + (high - low) * torch.rand(values, generator=generator)
            else:
                mean, std = (getattr(params, key.name) for key in trained.keys)
                drawn = mean + std * torch.randn(values, generator=generator)
            parameter = nn.Parameter(drawn, requires_grad=params.requires_grad)
            self.register_parameter(trained.name, parameter)

    def _of_rule(self) -> tuple[Tensor, ...]:
        trained = (getattr(self, each.name).abs() for each in self.family.trained)
        coefficients: tuple[Tensor, ...] = self._rule(*trained, self.constants)
        return coefficients

    def coefficients(self) -> Tensor:
        """[P, N] in the order of ``family.coefficients``; differentiable.

        Raises: ParameterError for an omega that training took to ``1 / dt`` or beyond.
        """
        for trained in self.family.trained:
            if isinstance(trained, Uniform) and trained.times_dt_below_1:
                dt, values = self.constants.dt, getattr(self, trained.name).detach().abs()
                if not bool((dt * values < 1).all()):  # tolist() costs more than the test
                    check_omega(values.tolist(), dt, f"{self.family.name}.{trained.name}")
        stacked = torch.stack(self._of_rule())
        return stacked if self.shape is None else stacked.expand(-1, self.shape[0])

    def input_gain(self) -> Tensor | None:
        """[N], or [1] if shared: a factor on the weights that belongs to the neuron; None for 1."""
        if not self.family.leak:
            return None
        decay = self._of_rule()[self.family.coefficients.index(self.family.leak)]
        gain: Tensor = 1 - decay
        return gain

    @property
    def device_params(self) -> dict[str, Any]:
        """The parameters by name, as plain numbers and lists."""
        named = zip(self.family.coefficients, self.coefficients().tolist(), strict=True)
        return {"type": self.family.name, **dict(named), **self.constants._asdict()}

    def forward(self, current: Tensor) -> Tensor:
        """Current [B, N, T] to outputs [B, N, T]: spikes, or the state of one that has none."""
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
        coefficients: Tensor | None = None,
        *,
        delayed: bool = False,
        **options: Any,
    ) -> Tensor:
        """Time-major: x [T, B, I] through `weights`, or currents [T, B, N], to outputs [T, B, N].

        coefficients: None for the neuron's own. delayed: outputs come one step later. options: of
        `kernels.layer.run_layer`.
        """
        start = self._memory
        if start is not None:  # another batch starts from zero
            kind = (len(start.output), start.output.device, start.output.dtype)
            start = start if kind == (x.shape[1], x.device, x.dtype) else None
        output, memory = run_layer(
            self.family,
            x,
            weights,
            recurrent,
            self.coefficients() if coefficients is None else coefficients,
            self.constants,
            start,
            surrogate=self.surrogate,
            **options,
        )
        self._memory = memory if self.persistent_state else None
        if delayed:
            first = torch.zeros_like(output[:1]) if start is None else start.output[None]
            output = torch.cat([first, output[:-1]])
        return output

    def reset_state(self) -> None:
        """Forget what ``persistent_state`` kept: the next call starts from zero."""
        self._memory = None

    def quantize_8bit(self, weight: Tensor) -> Tensor:
        """Weights [N, I] on the grid that export will round them to; gradients pass unchanged.

        The grid is that of signed 8-bit mantissas with one exponent, no finer than the finest
        state; the states that the export chooses may be coarser still. A ``pre_hook_fx``.
        """
        gain = self.family.weight_gain(self.constants)
        with torch.no_grad():
            integer = gain * weight.double()
            _, exponent = torch.frexp(integer.abs().max() / 127.5)  # at most 127 when rounded
            step = torch.ldexp(integer.new_ones(()), exponent.clamp(min=-STATE_BITS_MAX))
            change = ((integer / step).round() * step / gain).to(weight.dtype) - weight
        return weight + change


@cache
def neuron_class(family: families.Neuron) -> type[Neuron]:
    """The module of a neuron, from its record."""
    text = f"{family.name}: {Neuron.__doc__}\n\nneuron_params of {family.name}:\n"
    contents = {
        "__module__": __name__,
        "__doc__": text + describe_params(family),
        "family": family,
        "_rule": staticmethod(bound(family.rule, exp=torch.exp)),
    }
    return type(f"{family.name}Neuron", (Neuron,), contents)


for _family in families.NEURONS.values():  # where pickle looks for them
    globals()[neuron_class(_family).__name__] = neuron_class(_family)


def make_neuron(
    neuron: str | families.Neuron,
    params: Mapping[str, Any],
    neurons: int | None,
    generator: torch.Generator | None,
) -> Neuron:
    """So many neurons of this name or record, see `describe_params`. Raises: ParameterError."""
    family = families.find_neuron(neuron) if isinstance(neuron, str) else neuron
    read_params(family, params)  # which may hold keys that are no keywords
    return neuron_class(family)(neurons, generator, **params)
