"""The sizes of a network: of a network file, or of a description as in deploy/README.md."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from msgspec import Meta

from brf_lava.config import toml as strict_toml
from brf_lava.config.toml import Count, Name, Whole, choice
from brf_lava.errors import ParameterError
from brf_lava.io.text import read_text
from brf_lava.network.layers import FixedLayer, FixedNetwork
from brf_lava.neurons.families import NEURONS, READOUT, Neuron
from brf_lava.neurons.own import LOADED


@dataclass(frozen=True)
class LayerShape:
    """The sizes of one layer.

    weight_bits: that its weights need, with the sign. input_sum: the largest sum of weights that a
    neuron can receive, without the sign, in units of the lesser exponent of inputs and recurrent
    weights; None where it is not known.
    """

    neuron: str
    neurons: Count
    inputs: Count
    recurrent: bool
    weight_bits: Count
    input_sum: Whole | None = None

    @property
    def record(self) -> Neuron:
        return NEURONS.get(self.neuron) or LOADED[self.neuron]

    @property
    def sources(self) -> int:
        """How many inputs and neurons a neuron has weights from."""
        return self.inputs + self.neurons * self.recurrent

    @property
    def synapses(self) -> int:
        """Zeros included."""
        return self.neurons * self.sources

    def received(self, arriving: float, own: float) -> float:
        """Spikes that reach each neuron. arriving: from the layer before; own: of this layer."""
        return arriving + own * self.recurrent

    def synops(self, arriving: float, own: float) -> float:
        """Synaptic operations: each spike reaches one weight, be it 0, of each neuron."""
        return self.neurons * self.received(arriving, own)


@dataclass(frozen=True)
class NetworkShape:
    """The sizes of a network, hidden layers first, the readout last."""

    name: str
    layers: tuple[LayerShape, ...]

    @property
    def neurons(self) -> int:
        return sum(layer.neurons for layer in self.layers)

    @property
    def synapses(self) -> int:
        return sum(layer.synapses for layer in self.layers)


def width(low: int, high: int) -> int:
    """Bits that hold the integers from low to high: with a sign only if low is below 0."""
    if low < 0:
        return max((-low - 1).bit_length(), high.bit_length()) + 1
    return max(high.bit_length(), 1)


def layer_shape(layer: FixedLayer, largest_input: int = 1) -> LayerShape:
    """The sizes of one layer. largest_input: of its inputs, in absolute value."""
    connections = [layer.weights, *([layer.recurrent] if layer.recurrent else [])]
    used = [each.exponent for each in connections if each.mantissa.any()]
    largest = int(layer.largest_currents(largest_input).max(initial=0))
    neurons, inputs = layer.shape
    return LayerShape(
        neuron=layer.neuron.name,
        neurons=neurons,
        inputs=inputs,
        recurrent=layer.recurrent is not None,
        weight_bits=max(
            width(min(int(each.mantissa.min()), -1), int(each.mantissa.max()))
            for each in connections
        ),
        input_sum=largest >> min(used, default=0),
    )


def network_shape(network: FixedNetwork, name: str) -> NetworkShape:
    """The sizes of a network in integers."""
    inputs = [network.largest_input, *(1 for _ in network.hidden)]
    return NetworkShape(name, tuple(map(layer_shape, network.layers, inputs)))


Size = Annotated[int, Meta(ge=1, le=10_000_000)]


@dataclass(frozen=True)
class _Layer:
    neuron: Annotated[str, choice(NEURONS)]
    neurons: Size
    recurrent: bool
    repeat: Annotated[int, Meta(ge=1, le=10_000)]


@dataclass(frozen=True)
class _Network:
    name: Name
    inputs: Size
    layer: Annotated[tuple[_Layer, ...], Meta(min_length=1)]

    def __post_init__(self) -> None:
        *hidden, last = [NEURONS[layer.neuron].spiking for layer in self.layer]
        readout = self.layer[-1]
        if last or not (hidden and all(hidden)) or readout.recurrent or readout.repeat > 1:
            raise ValueError(
                "layer: one or more layers that spike come first, then one readout, "
                f"{READOUT.name}, with recurrent = false and repeat = 1. Change them."
            )


def read_description(path: Path) -> NetworkShape:
    """The network that a TOML file describes. Raises: ParameterError for anything else."""
    text = read_text(path, ParameterError, "Name a .toml file that describes a network.")
    table = strict_toml.read_table(text, str(path), ParameterError)
    network = strict_toml.build(_Network, table, str(path), ParameterError)
    sizes = [layer for layer in network.layer for _ in range(layer.repeat)]
    inputs = [network.inputs, *(layer.neurons for layer in sizes)]
    layers = (
        LayerShape(layer.neuron, layer.neurons, before, layer.recurrent, weight_bits=8)
        for layer, before in zip(sizes, inputs, strict=False)
    )
    return NetworkShape(network.name, tuple(layers))
