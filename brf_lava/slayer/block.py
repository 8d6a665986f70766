"""``block.<n>.Dense`` and its like, as in lava-dl's ``slayer.block``: its names and arguments.

There is one namespace for each neuron of `brf_lava.neurons.families`, with `Input`, `Dense`,
`Recurrent` and `Affine`; a neuron that does not spike has `Input` and `Affine`. `blocks_of` makes
one for a neuron of your own.
"""

from __future__ import annotations

from collections.abc import Mapping
from inspect import cleandoc
from types import ModuleType
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from brf_lava.errors import ParameterError
from brf_lava.network.layers import RealLayer
from brf_lava.neurons.families import NEURONS, READOUT
from brf_lava.neurons.record import Neuron
from brf_lava.nn.blocks import Block, Hook, NeuronBlock
from brf_lava.nn.nct import time_major
from brf_lava.nn.neurons import describe_params, make_neuron
from brf_lava.nn.synapse import Synapse

if TYPE_CHECKING:

    def __getattr__(name: str) -> Any: ...


class Input(NeuronBlock):
    """Neurons that hear one channel each, ``weight * x + bias``; both are trained.

    A call takes [B, N, T], with N channels and T steps, and returns [B, N, T]: spikes 0 or 1, or
    the state of a neuron that does not spike.

    Args:
        neuron_params: a dictionary, see below; {} takes the defaults.
        weight: one number for all channels; None for 1.
        bias: one number for all channels; None for 0.
        delay_shift: outputs come one step later, as they do over a connection on the chip.
        count_log: return the outputs together with the share of them that are above 0.
        neurons: how many channels; may be None with ``shared_param``.
        pre_hook_fx: applied to weight and bias on each call.
        generator: source of the initial values; torch's global one if None.

    Raises:
        ParameterError: for parameters that are not allowed, and for an input of another shape.
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
        """As a layer with a diagonal of weights.

        Raises: ParameterError for a bias, which layers do not have, or an unknown shape.
        """
        if self.bias is not None:
            raise ParameterError(
                f"{self.family.name} Input: has a bias, which no layer in a file or on the chip "
                "has. Set bias=None."
            )
        if self.shape is None:
            raise ParameterError(
                f"{self.family.name} Input: how many channels is not known before the first input. "
                "Call the block once, or say neurons=..."
            )
        with torch.no_grad():
            coefficients = self.neuron.coefficients()
            weight = coefficients.new_ones(1) if self.weight is None else self._hooked(self.weight)
            gain = self.neuron.input_gain()
            diagonal = (weight if gain is None else gain * weight).expand(self.shape)
            return RealLayer(
                neuron=self.neuron.family,
                weights=np.diag(diagonal.double().cpu().numpy()),
                recurrent=None,
                coefficients=coefficients.double().cpu().numpy(),
                constants=self.neuron.constants,
            )


class Dense(Block):
    """Neurons behind dense weights.

    A call takes [B, in_neurons, T] and returns the spikes [B, out_neurons, T], 0 or 1.

    Args:
        neuron_params: a dictionary, see below; {} takes the defaults.
        in_neurons: channels in.
        out_neurons: neurons, which are the channels out.
        weight_scale: factor on the initial weights, which are Xavier-uniform.
        weight_norm: train each neuron's weights as a length and a direction.
        pre_hook_fx: applied to the weights on each call, for example ``neuron.quantize_8bit``.
        delay: an axonal delay per neuron, which is not available: False.
        delay_shift: outputs come one step later, as they do over a connection on the chip.
        mask: [out_neurons, in_neurons], 0 where there is no synapse.
        count_log: return the outputs together with the share of them that are above 0.
        generator: source of the initial values; torch's global one if None.

    Raises:
        ParameterError: for parameters that are not allowed, less than one neuron on either side,
            a mask or an input of another shape, and weights beyond memory.
    """

    family: ClassVar[Neuron]

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
    ) -> None:
        _refuse_delay(self.family, delay)
        super().__init__(
            self.family,
            neuron_params,
            in_neurons,
            out_neurons,
            weight_scale=weight_scale,
            weight_norm=weight_norm,
            pre_hook_fx=pre_hook_fx,
            mask=mask,
            delay_shift=delay_shift,
            count_log=count_log,
            generator=generator,
        )

    @property
    def synapse(self) -> Synapse:
        return Synapse(self, "weight")


class Recurrent(Block):
    """Neurons behind dense weights that also hear each other's spikes of the step before.

    A call takes [B, in_neurons, T] and returns the spikes [B, out_neurons, T], 0 or 1. The gradient
    passes through state and recurrence. State is kept between calls only if `neuron_params` says
    ``persistent_state=True``.

    Args:
        neuron_params: a dictionary, see below; {} takes the defaults.
        in_neurons: channels in.
        out_neurons: neurons, which are the channels out.
        weight_scale: factor on the initial weights, which are Xavier-uniform over both matrices.
        weight_norm: train each neuron's weights as a length and a direction.
        pre_hook_fx: applied to the weights on each call, for example ``neuron.quantize_8bit``.
        requires_grad: train the recurrent weights.
        delay: an axonal delay per neuron, which is not available: False.
        delay_shift: outputs come one step later, as they do over a connection on the chip.
        count_log: return the outputs together with the share of them that are above 0.
        generator: source of the initial values; torch's global one if None.

    Raises:
        ParameterError: for parameters that are not allowed, less than one neuron on either side,
            an input of another shape, and weights beyond memory.
    """

    family: ClassVar[Neuron]

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
    ) -> None:
        _refuse_delay(self.family, delay)
        super().__init__(
            self.family,
            neuron_params,
            in_neurons,
            out_neurons,
            recurrent=True,
            weight_scale=weight_scale,
            weight_norm=weight_norm,
            pre_hook_fx=pre_hook_fx,
            delay_shift=delay_shift,
            count_log=count_log,
            generator=generator,
        )
        for name, parameter in self.named_parameters():
            if "recurrent_weight" in name:  # with weight norm there are two, under longer names
                parameter.requires_grad_(requires_grad)

    @property
    def input_synapse(self) -> Synapse:
        return Synapse(self, "weight")

    @property
    def recurrent_synapse(self) -> Synapse:
        return Synapse(self, "recurrent_weight")


class Affine(Block):
    """A readout: dense weights and leaky integrators, which do not spike.

    The same for every neuron: it is what Higuchi et al. 2024 read all their networks out with. A
    call takes [B, in_neurons, T] and returns the states [B, out_neurons, T], in the step of their
    input.

    Args:
        neuron_params: a dictionary, see below; {} takes the defaults.
        in_neurons: channels in.
        out_neurons: integrators, which are the channels out, such as classes.
        weight_scale: factor on the initial weights, which are Xavier-uniform.
        weight_norm: train each integrator's weights as a length and a direction.
        pre_hook_fx: applied to the weights on each call, for example ``neuron.quantize_8bit``.
        mask: [out_neurons, in_neurons], 0 where there is no synapse.
        count_log: return the outputs together with None, as there are no spikes to count.
        generator: source of the initial values; torch's global one if None.

    Raises:
        ParameterError: for parameters that are not allowed, less than one neuron on either side,
            a mask or an input of another shape, and weights beyond memory.
    """

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
    ) -> None:
        super().__init__(
            READOUT,
            neuron_params,
            in_neurons,
            out_neurons,
            weight_scale=weight_scale,
            weight_norm=weight_norm,
            pre_hook_fx=pre_hook_fx,
            mask=mask,
            count_log=count_log,
            generator=generator,
        )

    @property
    def synapse(self) -> Synapse:
        return Synapse(self, "weight")


def _refuse_delay(family: Neuron, delay: bool) -> None:
    if delay:
        raise ParameterError(
            f"{family.name} block: delay={delay}; learned axonal delays are not available. Leave "
            "delay=False; delay_shift=True delays by one step."
        )


def _documented(kind: type, family: Neuron, subject: str) -> str:
    """The docstring of a block with this neuron, and what its `neuron_params` may hold."""
    text = cleandoc(kind.__doc__ or "").replace("Neurons", subject, 1)
    return f"{text}\n\nneuron_params of {family.name}:\n{describe_params(family)}"


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
