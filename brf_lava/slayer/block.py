"""``block.<n>.Dense`` and its like, as in lava-dl's ``slayer.block``: its names and arguments.

There is one namespace for each neuron, with `Input`, `Dense`, `Recurrent` and `Affine`, or `Input`
and `Affine` if it does not spike. `blocks_of` makes one for a neuron of your own.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import wraps
from inspect import cleandoc, signature
from types import ModuleType
from typing import TYPE_CHECKING, Any, ClassVar

import torch
from torch import Tensor, nn

from brf_lava.errors import ParameterError
from brf_lava.network.layers import RealLayer
from brf_lava.neurons.families import NEURONS, READOUT
from brf_lava.neurons.record import Neuron
from brf_lava.nn.blocks import Block, Hook, NeuronBlock
from brf_lava.nn.neurons import describe_params, make_neuron, time_major

if TYPE_CHECKING:

    def __getattr__(name: str) -> Any: ...


ARGUMENTS = {
    "neuron_params": "a dictionary, see below; {} takes the defaults.",
    "weight": "one number for all channels; None for 1.",
    "bias": "one number for all channels; None for 0.",
    "neurons": "how many channels; may be None with ``shared_param``.",
    "in_neurons": "channels in.",
    "out_neurons": "neurons, which are the channels out, such as the classes of a readout.",
    "weight_scale": "factor on the initial weights, which are Xavier-uniform.",
    "weight_norm": "train each neuron's weights as a length and a direction.",
    "pre_hook_fx": "applied to the weights on each call, for example ``neuron.quantize_8bit``.",
    "requires_grad": "train the recurrent weights.",
    "delay": "an axonal delay per neuron, which is not available: False.",
    "delay_shift": "outputs come one step later, as they do over a connection on the chip.",
    "mask": "[out_neurons, in_neurons], 0 where there is no synapse.",
    "count_log": "also return the share of outputs above 0, or None if the neurons do not spike.",
    "generator": "source of the initial values; torch's global one if None.",
}
RAISES = """Raises:
    ParameterError: for arguments that are not allowed, and for an input of another shape."""


def _passed_on(arguments: Callable[..., None]) -> Any:
    """An ``__init__`` with the signature of `arguments` that passes all of them on to `Block`."""

    @wraps(arguments)
    def init(self: Any, *positional: Any, **named: Any) -> None:
        given = signature(arguments).bind(self, *positional, **named)
        given.apply_defaults()
        options = {name: value for name, value in given.arguments.items() if name != "self"}
        Block.__init__(self, self.family, recurrent=isinstance(self, Recurrent), **options)

    return init


class Input(NeuronBlock):
    """Neurons that hear one channel each, ``weight * x + bias``; both are trained.

    A call takes [B, N, T], with N channels and T steps, and returns [B, N, T]: spikes 0 or 1, or
    the state of a neuron that does not spike.
    """

    family: ClassVar[Neuron]

    def __init__(
        self,
        neuron_params: Mapping[str, Any],
        weight: float | None = None,
        bias: float | None = None,
        delay_shift: bool = True,
        count_log: bool = False,
        *,
        neurons: int | None = None,
        pre_hook_fx: Hook | None = None,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__(delay_shift, count_log)
        self.neuron = make_neuron(self.family, neuron_params, neurons, generator)
        self.weight = None if weight is None else nn.Parameter(torch.tensor([float(weight)]))
        self.bias = None if bias is None else nn.Parameter(torch.tensor([float(bias)]))
        self.pre_hook_fx = pre_hook_fx

    def forward(self, x: Tensor) -> Tensor | tuple[Tensor, Tensor | None]:
        """[B, N, T] to [B, N, T]. Raises: ParameterError for an input of another shape."""
        known = None if self.shape is None else self.shape[0]
        current = time_major(x, known, f"{self.family.name} Input")
        if self.weight is not None:
            current = current * self._hooked(self.weight)
        if self.bias is not None:
            current = current + self._hooked(self.bias)
        return self._logged(self.neuron.run_current(current, delayed=self.delay_shift))

    def _hooked(self, value: Tensor) -> Tensor:
        return value if self.pre_hook_fx is None else self.pre_hook_fx(value)

    def to_real(self) -> RealLayer:
        """As a layer with a diagonal of weights. Raises: ParameterError for a bias."""
        if self.bias is not None or self.shape is None:
            raise ParameterError(
                f"{self.family.name} Input: a file needs bias=None and a known number of neurons."
            )
        with torch.no_grad():
            ones = self.neuron.coefficients().new_ones(1)
            weight = ones if self.weight is None else self._hooked(self.weight)
            gain = self.neuron.input_gain()
            diagonal = (weight if gain is None else gain * weight).expand(self.shape)
            return self._layer(torch.diag(diagonal))


class Dense(Block):
    """Neurons behind dense weights.

    A call takes [B, in_neurons, T] and returns the spikes [B, out_neurons, T], 0 or 1.
    """

    family: ClassVar[Neuron]

    @_passed_on
    def __init__(
        self,
        neuron_params: Mapping[str, Any],
        in_neurons: int,
        out_neurons: int,
        weight_scale: float = 1,
        weight_norm: bool = False,
        pre_hook_fx: Hook | None = None,
        delay: bool = False,
        delay_shift: bool = True,
        mask: Tensor | None = None,
        count_log: bool = False,
        *,
        generator: torch.Generator | None = None,
    ) -> None: ...


class Recurrent(Block):
    """Neurons behind dense weights that also hear each other's spikes of the step before.

    A call takes [B, in_neurons, T] and returns the spikes [B, out_neurons, T], 0 or 1. The gradient
    passes through state and recurrence. State is kept between calls only if `neuron_params` says
    ``persistent_state=True``.
    """

    family: ClassVar[Neuron]

    @_passed_on
    def __init__(
        self,
        neuron_params: Mapping[str, Any],
        in_neurons: int,
        out_neurons: int,
        weight_scale: float = 1,
        weight_norm: bool = False,
        pre_hook_fx: Hook | None = None,
        requires_grad: bool = True,
        delay: bool = False,
        delay_shift: bool = True,
        count_log: bool = False,
        *,
        generator: torch.Generator | None = None,
    ) -> None: ...


class Affine(Block):
    """A readout: dense weights and leaky integrators, which do not spike.

    The same for every neuron: it is what Higuchi et al. 2024 read all their networks out with. A
    call takes [B, in_neurons, T] and returns the states [B, out_neurons, T], in the step of their
    input.
    """

    family = READOUT

    @_passed_on
    def __init__(
        self,
        neuron_params: Mapping[str, Any],
        in_neurons: int,
        out_neurons: int,
        weight_scale: float = 1,
        weight_norm: bool = False,
        pre_hook_fx: Hook | None = None,
        *,
        mask: Tensor | None = None,
        count_log: bool = False,
        generator: torch.Generator | None = None,
    ) -> None: ...


def _documented(kind: type, family: Neuron, subject: str) -> str:
    """The docstring of a block with this neuron: its arguments, and those of its neurons."""
    text = cleandoc(kind.__doc__ or "").replace("Neurons", subject, 1)
    arguments = "\n".join(f"    {name}: {ARGUMENTS[name]}" for name in signature(kind).parameters)
    params = f"neuron_params of {family.name}:\n{describe_params(family)}"
    return f"{text}\n\nArgs:\n{arguments}\n\n{RAISES}\n\n{params}"


def blocks_of(family: Neuron) -> Any:
    """The namespace of a neuron's blocks, such as ``block.brf``."""
    space: Any = ModuleType(f"{__name__}.{family.name.lower()}", f"Blocks with {family.name}.")
    for kind in (Input, Dense, Recurrent) if family.spiking else (Input,):
        contents = {
            "__module__": __name__,
            "__qualname__": f"{family.name}{kind.__name__}",
            "__doc__": _documented(kind, family, f"{family.name} neurons"),
            "family": family,
        }
        made = type(kind.__name__, (kind,), contents)
        setattr(space, kind.__name__, made)
        globals()[made.__qualname__] = made  # where pickle looks
    space.Affine = Affine
    return space


Affine.__doc__ = _documented(Affine, READOUT, "")
for _family in NEURONS.values():
    globals()[_family.name.lower()] = blocks_of(_family)
