"""SLAYER's blocks for any of our neurons: its names and arguments over `blocks.Block`.

Each neuron's module beside this one says which neuron it is, and which blocks there are for it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from brf_lava.errors import ParameterError
from brf_lava.network.layers import RealLayer
from brf_lava.nn.blocks import Block, Hook, NeuronBlock
from brf_lava.nn.nct import time_major
from brf_lava.nn.neurons import make_neuron
from brf_lava.nn.synapse import Synapse


class Input(NeuronBlock):
    """Neurons that hear one channel each, ``weight * x + bias``; both are learned.

    neuron_params: see `neuron.params`
    weight, bias:  one number for all channels, or None for 1 and 0
    delay_shift, count_log: see `NeuronBlock`
    neurons:       how many channels; may be None with ``shared_param``
    pre_hook_fx:   applied to weight and bias on each call
    generator:     source of the initial values; torch's global one if None
    Raises: ParameterError for parameters that are not allowed.
    """

    neuron_name: ClassVar[str]

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
        self.neuron = make_neuron(self.neuron_name, neuron_params, neurons, generator)
        self.weight = None if weight is None else nn.Parameter(torch.tensor([float(weight)]))
        self.bias = None if bias is None else nn.Parameter(torch.tensor([float(bias)]))
        self.pre_hook_fx = pre_hook_fx

    def forward(self, x: Tensor) -> Tensor | tuple[Tensor, Tensor | None]:
        """[B, N, T] to [B, N, T]. Raises: ParameterError for an input of another shape."""
        known = None if self.shape is None else self.shape[0]
        current = time_major(x, known, f"{self.neuron_name} Input")
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
                f"{self.neuron_name} Input: has a bias, which no layer in a file or on the chip "
                "has. Set bias=None."
            )
        if self.shape is None:
            raise ParameterError(
                f"{self.neuron_name} Input: how many channels is not known before the first input. "
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
    """Neurons behind dense weights; SLAYER's ``block.<n>.Dense``.

    neuron_params: see `neuron.params`
    delay:         an axonal delay per neuron is not available: False
    The other arguments are those of `Block`; in SLAYER's habit outputs come one step later unless
    ``delay_shift=False``.
    Raises: ParameterError for parameters that are not allowed.
    """

    neuron_name: ClassVar[str]

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
        _refuse_delay(self.neuron_name, delay)
        super().__init__(
            self.neuron_name,
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
    """Neurons behind dense weights that hear each other's spikes of the step before.

    SLAYER's ``block.<n>.Recurrent``, with the gradient through state and recurrence.

    requires_grad: learn the recurrent weights
    The other arguments are those of `Dense`. State is kept between calls only if `neuron_params`
    says ``persistent_state=True``.
    Raises: ParameterError for parameters that are not allowed.
    """

    neuron_name: ClassVar[str]

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
        _refuse_delay(self.neuron_name, delay)
        super().__init__(
            self.neuron_name,
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
    """A readout: dense weights and leaky integrators; SLAYER's ``block.<n>.Affine``.

    The same for every neuron: it is what Higuchi et al. 2024 read all their networks out with.

    neuron_params: those of LI, see `neuron.params.LeakyParams`
    The other arguments are those of `Dense`. Outputs come in the step of their input.
    Raises: ParameterError for parameters that are not allowed.
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
            "LI",
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


def _refuse_delay(neuron: str, delay: bool) -> None:
    if delay:
        raise ParameterError(
            f"{neuron} block: delay={delay}; learned axonal delays are not available. Leave "
            "delay=False; delay_shift=True delays by one step."
        )
