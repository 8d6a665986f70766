"""Blocks: weights, a neuron and the loop over time in one module, as in lava-dl's SLAYER.

Tensors [batch, channels, time] are views of time-major memory: blocks in a row copy nothing.
"""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from functools import partial
from numbers import Integral
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrizations

from brf_lava.errors import ParameterError
from brf_lava.export.dequantize import dequantize_layer, run_integers, without_outliers
from brf_lava.export.quantize import UNITS, LayerFormat, LayerReport, quantize_layer
from brf_lava.export.rounding import bare_weights
from brf_lava.kernels.reference import straight_through
from brf_lava.network.layers import FixedLayer, RealLayer
from brf_lava.neurons.record import Neuron as Record
from brf_lava.nn.neurons import Neuron, make_neuron, nct, time_major

if TYPE_CHECKING:
    import h5py

Hook = Callable[[Tensor], Tensor]

# A block warns after this many training calls without a spike. The ECG recipes spike before
# call 40, at learning rates that let their weights grow that fast.
SILENT_CALLS = 100
LOGGER = logging.getLogger(__name__)


class NeuronBlock(nn.Module, ABC):
    """What all blocks share: a neuron, the delay behind it and the log of its activity."""

    neuron: Neuron

    def __init__(self, delay_shift: bool, count_log: bool) -> None:
        super().__init__()
        self.delay_shift = delay_shift
        self.count_log = count_log
        self._silent_calls = 0  # above SILENT_CALLS once it has spiked

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

    def _layer(self, weights: Tensor, recurrent: Tensor | None = None) -> RealLayer:
        coefficients = self.neuron.coefficients()
        return RealLayer(
            neuron=self.neuron.family,
            weights=weights.double().cpu().numpy(),
            recurrent=None if recurrent is None else recurrent.double().cpu().numpy(),
            coefficients=coefficients.double().cpu().numpy(),
            constants=self.neuron.constants,
        )

    def export_hdf5(self, handle: h5py.Group) -> None:
        """Write this layer into `handle`, a netx layer group, quantized in the default format."""
        from brf_lava.network.file import write_layer

        layer, _ = quantize_layer(self.to_real(), LayerFormat())
        write_layer(handle, layer)

    def _logged(self, output: Tensor) -> Tensor | tuple[Tensor, Tensor | None]:
        """What a call returns, for outputs [T, B, N]. Warns once of a block that stays silent."""
        x, family = nct(output), self.neuron.family
        if self.training and family.spiking and self._silent_calls < SILENT_CALLS:
            self._silent_calls = SILENT_CALLS + 1 if bool(x.any()) else self._silent_calls + 1
            if self._silent_calls == SILENT_CALLS:
                LOGGER.warning(
                    "Notice: %s block of %d neurons: no spike in its first %d calls, and without "
                    "spikes it hardly learns. Raise the learning rate, or the weight_scale of a "
                    "SLAYER block (100 suits resonators with dt = 0.01).",
                    *(family.name, x.shape[1], SILENT_CALLS),
                )
        if not self.count_log:
            return x
        return x, (x > 0).to(x.dtype).mean() if family.spiking else None


class Block(NeuronBlock):
    """A layer of neurons behind dense weights, with or without recurrent ones.

    Weights start Xavier-uniform over the concatenated [out, in (+ out)] matrix (reference code).
    The arguments are those of `slayer.block`, and `weight_bits`: unless 0, a call computes what the
    export of this layer would, in integers with weights of so many bits and the formats in the
    buffers `state_bits` and `unit_share`, and gradients pass the rounding straight through;
    `input_scale`: inputs are integers times it; `truncate`: steps that gradients go back in time,
    0 for all.
    Raises: ParameterError for what is not allowed, and for weights beyond memory.
    """

    def __init__(
        self,
        neuron: str | Record,
        neuron_params: Mapping[str, Any],
        in_neurons: int,
        out_neurons: int,
        *,
        recurrent: bool = False,
        requires_grad: bool = True,
        weight_scale: float = 1.0,
        weight_norm: bool = False,
        weight_bits: int = 0,
        input_scale: float = 1.0,
        pre_hook_fx: Hook | None = None,
        mask: Tensor | None = None,
        truncate: int = 0,
        delay: bool = False,
        delay_shift: bool = False,
        count_log: bool = False,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__(delay_shift, count_log)
        where = f"{getattr(neuron, 'name', neuron)} block"
        sizes: dict[str, Any] = {"in_neurons": in_neurons, "out_neurons": out_neurons}
        for name, value in sizes.items():
            if not isinstance(value, Integral) or value < 1:
                raise ParameterError(f"{where}: {name}={value!r}; a whole number from 1 is needed.")
        if delay:
            raise ParameterError(f"{where}: delay; there are no learned ones. Use delay_shift.")
        if mask is not None and tuple(mask.shape) != (out_neurons, in_neurons):
            raise ParameterError(
                f"{where}: a mask of shape {list(mask.shape)}, not {[out_neurons, in_neurons]}."
            )
        columns = in_neurons + (out_neurons if recurrent else 0)
        bound = weight_scale * (6 / (columns + out_neurons)) ** 0.5
        try:
            initial = bound * (2 * torch.rand(out_neurons, columns, generator=generator) - 1)
        except RuntimeError as error:  # torch's out of memory
            what = f"{out_neurons} x {columns} weights do not fit into memory"
            raise ParameterError(f"network: {what}. Use fewer hidden neurons.") from error
        self.in_neurons, self.out_neurons = in_neurons, out_neurons
        self.weight = nn.Parameter(initial[:, :in_neurons].clone())
        self.recurrent_weight = nn.Parameter(initial[:, in_neurons:].clone()) if recurrent else None
        self.neuron = make_neuron(neuron, neuron_params, out_neurons, generator)
        self.input_mask: Tensor | None
        self.register_buffer("input_mask", mask)
        self.recurrent_mask: Tensor | None
        self.register_buffer("recurrent_mask", None)  # [N, N], 0 where a weight is pruned
        self.weight_bits: tuple[int, ...] = (weight_bits,) if weight_bits else ()
        self.parameter_bits, self.input_scale = LayerFormat().parameter_bits, input_scale
        self.state_bits: Tensor
        self.unit_share: Tensor
        if weight_bits:
            self.register_buffer("state_bits", torch.tensor(LayerFormat().state_bits))
            self.register_buffer("unit_share", torch.tensor(1.0))  # of 2**state_bits
        self.pre_hook_fx = pre_hook_fx
        self.weight_norm_enabled = weight_norm
        if weight_norm:
            for name in ("weight", "recurrent_weight") if recurrent else ("weight",):
                parametrizations.weight_norm(self, name)
        for name, parameter in self.named_parameters():
            if "recurrent_weight" in name:  # with weight norm there are two, under longer names
                parameter.requires_grad_(requires_grad)
        self.backend, self.recompute = "auto", False  # see `brf_lava.kernels.layer.run_layer`
        self.truncate = truncate

    @property
    def synapse(self) -> Synapse:
        return Synapse(self, "weight")

    @property
    def recurrent_synapse(self) -> Synapse:
        return Synapse(self, "recurrent_weight")

    input_synapse = synapse  # its name in a recurrent block

    def effective_weights(self) -> tuple[Tensor, Tensor | None]:
        """Input and recurrent weights as neurons feel them: hooked, pruned, times the gain."""
        gain = self.neuron.input_gain()

        def felt(weight: Tensor, mask: Tensor | None) -> Tensor:
            if self.pre_hook_fx is not None:
                weight = self.pre_hook_fx(weight)
            if mask is not None:
                weight = weight * mask
            return weight if gain is None else gain[:, None] * weight

        weights = felt(self.weight, self.input_mask)
        if self.recurrent_weight is None:
            return weights, None
        return weights, felt(self.recurrent_weight, self.recurrent_mask)

    def forward(self, x: Tensor) -> Tensor | tuple[Tensor, Tensor | None]:
        """[B, in, T] to [B, out, T]: spikes of a spiking neuron, else its state; see `count_log`.

        Raises: ParameterError for an input of another shape.
        """
        inputs = time_major(x, self.in_neurons, f"{self.neuron.family.name} block")
        felt = [*self.effective_weights(), self.neuron.coefficients()]
        options: dict[str, Any] = {"backend": self.backend, "truncate": self.truncate}
        options["recompute"] = self.recompute
        if self.weight_bits:
            fixed = self.to_fixed()
            real = dequantize_layer(fixed, self.neuron.constants)
            values = (real.weights / self.input_scale, real.recurrent, real.coefficients)
            pairs = zip(felt, values, strict=True)
            felt = [f if f is None else straight_through(f, value) for f, value in pairs]
            options["integers"] = partial(run_integers, fixed, self.input_scale)
        return self._logged(self.neuron.run(inputs, *felt, delayed=self.delay_shift, **options))

    def to_fixed(self) -> FixedLayer:
        """This layer in the integers that `weight_bits` and `state_bits` make of it."""
        return self.quantized()[0]

    def quantized(self) -> tuple[FixedLayer, LayerReport]:
        """Those integers, and what quantization did."""
        bits, share = int(self.state_bits), float(self.unit_share)
        less = min(UNITS, key=lambda less: abs(2.0**-less - share))
        unit = round(2.0 ** (bits - less))  # as the export rounds it, whatever bits it came from
        layer_format = LayerFormat(bits, self.parameter_bits, self.weight_bits, unit)
        clipped = without_outliers(self.to_real(rounded=False), layer_format)
        return quantize_layer(clipped, layer_format)

    def load_fixed(self, layer: FixedLayer) -> None:
        """Take the weights and the neurons' parameters that integers stand for.

        Raises: ParameterError for a neuron of the user's own without an inverse rule.
        """
        constants, family = self.neuron.constants, self.neuron.family
        if family.inverse is None:
            raise ParameterError(
                f"{family.name}: has no inverse rule, which finds its parameters from integers. "
                "Start from the model file."
            )
        real = dequantize_layer(layer, constants)
        self._load_weights(real)
        neurons = [family.inverse(family.rule, c, constants) for c in real.coefficients.T.tolist()]
        with torch.no_grad():
            for trained, value in zip(family.trained, zip(*neurons, strict=True), strict=True):
                self.get_parameter(f"neuron.{trained.name}").copy_(torch.tensor(value))
            if self.weight_bits:
                self.state_bits.fill_(layer.constants.state_bits)
                self.unit_share.fill_(layer.unit / 2**layer.constants.state_bits)
            if self.recurrent_mask is not None and self.recurrent_weight is not None:
                self.recurrent_mask.copy_(self.recurrent_weight != 0)

    def compute_in_integers(self, layer: FixedLayer, weight_bits: tuple[int, ...]) -> None:
        """Take the weights and formats of integers made from this very layer, and compute in them.

        weight_bits: of input and recurrent weights; one number counts for both.
        """
        self.weight_bits, self.parameter_bits = weight_bits, layer.constants.parameter_bits
        self.state_bits = torch.tensor(layer.constants.state_bits)
        self.unit_share = torch.tensor(layer.unit / 2**layer.constants.state_bits)
        self._load_weights(dequantize_layer(layer, self.neuron.constants))

    def _load_weights(self, layer: RealLayer) -> None:
        weights, *recurrent = bare_weights(layer)
        with torch.no_grad():
            self.weight.copy_(torch.from_numpy(weights / self.input_scale))
            if self.recurrent_weight is not None:
                self.recurrent_weight.copy_(torch.from_numpy(*recurrent))

    def to_real(self, *, rounded: bool = True) -> RealLayer:
        """This layer as plain arrays, in double precision, its inputs without `input_scale`.

        With `weight_bits`, they are what the integers stand for, unless `rounded` is false.
        """
        if self.weight_bits and rounded:
            return dequantize_layer(self.to_fixed(), self.neuron.constants)
        with torch.no_grad():
            weights, recurrent = self.effective_weights()
            return self._layer(self.input_scale * weights.double(), recurrent)


class Synapse:
    """One weight matrix of a block, as it is now, under the names that SLAYER's tools look for."""

    complex = False

    def __init__(self, block: Block, name: str) -> None:
        self.block, self.name = block, name
        self.weight: Tensor = getattr(block, name)  # [out, in], before ``pre_hook_fx``
        self.shape = tuple(self.weight.shape)
        self.out_channels, self.in_channels = self.shape
        self.weight_norm_enabled = block.weight_norm_enabled

    @property
    def pre_hook_fx(self) -> Hook | None:
        """Of the whole block; can be set."""
        return self.block.pre_hook_fx

    @pre_hook_fx.setter
    def pre_hook_fx(self, hook: Hook | None) -> None:
        self.block.pre_hook_fx = hook

    @property
    def grad_norm(self) -> float:
        """Norm of the gradient over the number of values; with weight norm, of the lengths."""
        learned = self.weight
        if self.weight_norm_enabled:
            learned = getattr(self.block.parametrizations, self.name).original0
        return 0.0 if learned.grad is None else float(learned.grad.norm()) / learned.grad.numel()
