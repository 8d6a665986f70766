"""Blocks: weights, a neuron and the loop over time in one module, as in lava-dl's SLAYER.

Tensors are NCT: [batch, channels, time]. They are views of time-major memory, the kernels' own
layout, so that blocks in a row copy nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from brf_lava.errors import ParameterError
from brf_lava.export.network import RealLayer
from brf_lava.kernels.layer import run_layer
from brf_lava.slayer.neurons import make_neuron

if TYPE_CHECKING:
    import h5py


class Block(nn.Module):
    """A layer of neurons behind dense weights, with or without recurrent ones.

    neuron:        "RF", "BRF", "HRF", "BHRF", "ALIF" or "LI"
    neuron_params: what that neuron needs (see `neurons`), and optionally `surrogate`
    in_neurons, out_neurons: channels in and out
    recurrent:     feed the spikes of the step before back through weights of their own
    generator:     source of the initial values; torch's global one if None

    Weights start Xavier-uniform over the concatenated [out, in (+ out)] matrix (reference code).
    """

    def __init__(
        self,
        neuron: str,
        neuron_params: Mapping[str, Any],
        in_neurons: int,
        out_neurons: int,
        *,
        recurrent: bool = False,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        columns = in_neurons + (out_neurons if recurrent else 0)
        bound = (6 / (columns + out_neurons)) ** 0.5
        try:
            initial = bound * (2 * torch.rand(out_neurons, columns, generator=generator) - 1)
        except RuntimeError as error:  # torch's out of memory
            raise ParameterError(
                f"network: {out_neurons} x {columns} weights do not fit into memory. Use fewer "
                "hidden neurons."
            ) from error
        self.weight = nn.Parameter(initial[:, :in_neurons].clone())
        self.recurrent_weight = nn.Parameter(initial[:, in_neurons:].clone()) if recurrent else None
        self.neuron = make_neuron(neuron, out_neurons, neuron_params, generator)
        self.surrogate = str(neuron_params.get("surrogate", "double-gaussian"))
        self.recurrent_mask: Tensor | None
        self.register_buffer("recurrent_mask", None)  # [N, N], 0 where a weight is pruned
        self.backend = "auto"  # kernel, see `brf_lava.kernels.layer`
        self.truncate = 0  # steps that gradients go back in time; 0: all

    @property
    def shape(self) -> tuple[int, ...]:
        """Of one sample at one step: (neurons,)."""
        return self.neuron.shape

    def _effective_weights(self) -> tuple[Tensor, Tensor | None]:
        """Input and recurrent weights as the neurons feel them: pruned, times their input gain."""
        gain = self.neuron.input_gain()
        recurrent: Tensor | None = self.recurrent_weight
        if recurrent is not None and self.recurrent_mask is not None:
            recurrent = recurrent * self.recurrent_mask
        if gain is None:
            return self.weight, recurrent
        return gain[:, None] * self.weight, None if recurrent is None else gain[:, None] * recurrent

    def forward(self, x: Tensor) -> Tensor:
        """[B, in, T] to [B, out, T]: spikes of a spiking neuron, else its state."""
        weights, recurrent = self._effective_weights()
        output = run_layer(
            self.neuron.family,
            x.permute(2, 0, 1).contiguous(),
            weights,
            recurrent,
            self.neuron.coefficients(),
            self.neuron.constants,
            surrogate=self.surrogate,
            backend=self.backend,
            truncate=self.truncate,
        )
        return output.permute(1, 2, 0)

    def to_real(self) -> RealLayer:
        """This layer as plain arrays, in double precision."""
        with torch.no_grad():
            weights, recurrent = self._effective_weights()
            return RealLayer(
                neuron=self.neuron.family,
                weights=weights.double().cpu().numpy(),
                recurrent=None if recurrent is None else recurrent.double().cpu().numpy(),
                coefficients=self.neuron.coefficients().double().cpu().numpy(),
                constants=self.neuron.constants,
            )

    def export_hdf5(self, handle: h5py.Group) -> None:
        """Write this layer into `handle`, a netx layer group, quantized in the default format."""
        from brf_lava.export.hdf5 import write_layer
        from brf_lava.export.quantize import LayerFormat, quantize_layer

        layer, _ = quantize_layer(self.to_real(), LayerFormat())
        write_layer(handle, layer)


class Recurrent(Block):
    """A fully recurrent hidden layer of BRF neurons; SLAYER's ``block.<neuron>.Recurrent``."""

    def __init__(
        self,
        neuron_params: Mapping[str, Any],
        in_neurons: int,
        out_neurons: int,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__(
            "BRF", neuron_params, in_neurons, out_neurons, recurrent=True, generator=generator
        )


class Readout(Block):
    """Leaky integrators that do not spike: the network's output, [B, classes, T]."""

    def __init__(
        self,
        neuron_params: Mapping[str, Any],
        in_neurons: int,
        out_neurons: int,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__("LI", neuron_params, in_neurons, out_neurons, generator=generator)
