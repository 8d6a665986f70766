"""Blocks: weights, a neuron and the loop over time in one module, as in lava-dl's SLAYER.

Tensors are NCT: [batch, channels, time]. They are views of time-major memory, the kernels' own
layout, so that blocks in a row copy nothing.
"""

from __future__ import annotations

import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from numbers import Integral
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrizations

from brf_lava.errors import ParameterError
from brf_lava.network.layers import RealLayer
from brf_lava.neurons.record import Neuron as Record
from brf_lava.nn.nct import nct, time_major
from brf_lava.nn.neurons import Neuron, make_neuron

if TYPE_CHECKING:
    import h5py

Hook = Callable[[Tensor], Tensor]

# A block warns after this many training calls without a spike. The ECG recipes spike before
# call 40, at learning rates that let their weights grow that fast.
SILENT_CALLS = 100


class NeuronBlock(nn.Module, ABC):
    """What all blocks share: a neuron, the delay behind it and the log of its activity.

    delay_shift: outputs come one step later, as they do over a connection on the chip
    count_log:   return the outputs together with the share of them that are above 0; None for
                 neurons that do not spike
    """

    neuron: Neuron

    def __init__(self, delay_shift: bool, count_log: bool) -> None:
        super().__init__()
        self.delay_shift = delay_shift
        self.count_log = count_log
        self._silent_calls: int | None = 0  # None: it has spiked, or has warned

    @property
    def shape(self) -> tuple[int, ...] | None:
        """Of one sample at one step: (neurons,)."""
        return self.neuron.shape

    def reset_state(self) -> None:
        """Forget what ``persistent_state`` kept: the next call starts from zero."""
        self.neuron.reset_state()

    @abstractmethod
    def to_real(self) -> RealLayer:
        """This layer as plain arrays, in double precision."""

    def export_hdf5(self, handle: h5py.Group) -> None:
        """Write this layer into `handle`, a netx layer group, quantized in the default format."""
        from brf_lava.export.quantize import LayerFormat, quantize_layer
        from brf_lava.network.file import write_layer

        layer, _ = quantize_layer(self.to_real(), LayerFormat())
        write_layer(handle, layer)

    def _logged(self, output: Tensor) -> Tensor | tuple[Tensor, Tensor | None]:
        """What a call returns, for outputs [T, B, N]."""
        x = nct(output)
        if self.training and self._silent_calls is not None and self.neuron.family.spiking:
            self._watch(x)
        if not self.count_log:
            return x
        return x, (x > 0).to(x.dtype).mean() if self.neuron.family.spiking else None

    def _watch(self, x: Tensor) -> None:
        """Warn once if a block has not spiked since training began."""
        if self._silent_calls is None or bool(x.any()):
            self._silent_calls = None
            return
        self._silent_calls += 1
        if self._silent_calls == SILENT_CALLS:
            self._silent_calls = None
            warnings.warn(
                f"{self.neuron.family.name} block of {x.shape[1]} neurons: no spike in its first "
                f"{SILENT_CALLS} calls, and without spikes it hardly learns. Raise weight_scale "
                "(100 suits resonators with dt = 0.01) or the learning rate.",
                stacklevel=6,
            )


class Block(NeuronBlock):
    """A layer of neurons behind dense weights, with or without recurrent ones.

    neuron:        its name, such as "BRF", or its record
    neuron_params: see `nn.neurons.describe_params`
    in_neurons, out_neurons: channels in and out
    recurrent:     feed the outputs of the step before back through weights of their own
    weight_scale:  factor on the initial weights
    weight_norm:   learn each neuron's weights as a length and a direction (torch's weight norm)
    pre_hook_fx:   applied to input and recurrent weights on each call, e.g. a rounding to 8 bits;
                   the export sees its result. An attribute `recurrent_pre_hook_fx` that is not None
                   is applied to recurrent ones instead
    mask:          [out, in], 0 where there is no synapse
    generator:     source of the initial values; torch's global one if None
    delay_shift, count_log: see `NeuronBlock`

    Weights start Xavier-uniform over the concatenated [out, in (+ out)] matrix (reference code).
    Raises: ParameterError for parameters that are not allowed, for less than one neuron on either
    side, a mask of another shape, and weights beyond memory.
    """

    def __init__(
        self,
        neuron: str | Record,
        neuron_params: Mapping[str, Any],
        in_neurons: int,
        out_neurons: int,
        *,
        recurrent: bool = False,
        weight_scale: float = 1.0,
        weight_norm: bool = False,
        pre_hook_fx: Hook | None = None,
        mask: Tensor | None = None,
        delay_shift: bool = False,
        count_log: bool = False,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__(delay_shift, count_log)
        _check_sizes(getattr(neuron, "name", neuron), in_neurons, out_neurons, mask)
        columns = in_neurons + (out_neurons if recurrent else 0)
        bound = weight_scale * (6 / (columns + out_neurons)) ** 0.5
        try:
            initial = bound * (2 * torch.rand(out_neurons, columns, generator=generator) - 1)
        except RuntimeError as error:  # torch's out of memory
            raise ParameterError(
                f"network: {out_neurons} x {columns} weights do not fit into memory. Use fewer "
                "hidden neurons."
            ) from error
        self.in_neurons, self.out_neurons = in_neurons, out_neurons
        self.weight = nn.Parameter(initial[:, :in_neurons].clone())
        self.recurrent_weight = nn.Parameter(initial[:, in_neurons:].clone()) if recurrent else None
        self.neuron = make_neuron(neuron, neuron_params, out_neurons, generator)
        self.input_mask: Tensor | None
        self.register_buffer("input_mask", mask)
        self.recurrent_mask: Tensor | None
        self.register_buffer("recurrent_mask", None)  # [N, N], 0 where a weight is pruned
        self.pre_hook_fx = pre_hook_fx
        self.recurrent_pre_hook_fx: Hook | None = None
        self.weight_norm_enabled = weight_norm
        if weight_norm:
            for name in ("weight", "recurrent_weight") if recurrent else ("weight",):
                parametrizations.weight_norm(self, name)
        self.backend = "auto"  # kernel, see `brf_lava.kernels.layer`
        self.truncate = 0  # steps that gradients go back in time; 0: all

    @property
    def shape(self) -> tuple[int, ...]:
        """Of one sample at one step: (neurons,)."""
        return (self.out_neurons,)

    def _effective_weights(self) -> tuple[Tensor, Tensor | None]:
        """Input and recurrent weights as the neurons feel them.

        They are hooked, pruned, and times the neurons' input gain.
        """
        gain = self.neuron.input_gain()

        def felt(weight: Tensor, mask: Tensor | None, hook: Hook | None) -> Tensor:
            if hook is not None:
                weight = hook(weight)
            if mask is not None:
                weight = weight * mask
            return weight if gain is None else gain[:, None] * weight

        weights = felt(self.weight, self.input_mask, self.pre_hook_fx)
        if self.recurrent_weight is None:
            return weights, None
        hook = self.recurrent_pre_hook_fx or self.pre_hook_fx
        return weights, felt(self.recurrent_weight, self.recurrent_mask, hook)

    def forward(self, x: Tensor) -> Tensor | tuple[Tensor, Tensor | None]:
        """[B, in, T] to [B, out, T]: spikes of a spiking neuron, else its state; see `count_log`.

        Raises: ParameterError for an input of another shape.
        """
        weights, recurrent = self._effective_weights()
        output = self.neuron.run(
            time_major(x, self.in_neurons, f"{self.neuron.family.name} block"),
            weights,
            recurrent,
            delayed=self.delay_shift,
            backend=self.backend,
            truncate=self.truncate,
        )
        return self._logged(output)

    def to_real(self) -> RealLayer:
        with torch.no_grad():
            weights, recurrent = self._effective_weights()
            return RealLayer(
                neuron=self.neuron.family,
                weights=weights.double().cpu().numpy(),
                recurrent=None if recurrent is None else recurrent.double().cpu().numpy(),
                coefficients=self.neuron.coefficients().double().cpu().numpy(),
                constants=self.neuron.constants,
            )


def _check_sizes(neuron: Any, in_neurons: Any, out_neurons: Any, mask: Tensor | None) -> None:
    """Raises: ParameterError."""
    for name, value in (("in_neurons", in_neurons), ("out_neurons", out_neurons)):
        if not isinstance(value, Integral) or value < 1:
            raise ParameterError(
                f"{neuron} block: {name}={value!r}; a whole number, 1 or more, is needed."
            )
    if mask is not None and tuple(mask.shape) != (out_neurons, in_neurons):
        raise ParameterError(
            f"{neuron} block: a mask of shape {list(mask.shape)}; [out, in], here "
            f"{[out_neurons, in_neurons]}, is needed. Transpose it, or leave it out."
        )
