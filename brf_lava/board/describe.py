"""The sizes of a network, all that a map needs: of a network file, or written down by hand.

A description is a .toml or .json file, every key stated::

    name = "S-MNIST"
    inputs = 1
    [[layer]]
    neuron = "BRF"      # spiking layers, then one readout, LI
    neurons = 256
    recurrent = true
    repeat = 1          # so many such layers in a row
    [[layer]]
    ...
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from msgspec import Meta

from brf_lava.config import toml as strict_toml
from brf_lava.config.toml import Name, choice
from brf_lava.errors import ParameterError
from brf_lava.io.text import parse_json, read_text
from brf_lava.network.layers import Connection, FixedLayer, FixedNetwork
from brf_lava.neurons.families import NEURONS, READOUT, Neuron
from brf_lava.neurons.own import LOADED

WEIGHT_BITS = 8  # of a description's weights
SIZE_MAX = 2**31 - 1  # neurons or inputs of one layer
REPEAT_MAX = 100_000


@dataclass(frozen=True)
class LayerShape:
    """The sizes of one layer.

    weight_bits: that its weights need, with the sign. input_sum: the largest sum of weights, of
    inputs and recurrent ones together, that a neuron can receive, with the sign left out and in
    units of the lesser of their exponents; None where it is not known.
    """

    neuron: str
    neurons: int
    inputs: int
    recurrent: bool
    weight_bits: int
    input_sum: int | None = None

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


@dataclass(frozen=True)
class NetworkShape:
    """The sizes of a network, hidden layers first, the readout last."""

    name: str
    layers: tuple[LayerShape, ...]

    @property
    def inputs(self) -> int:
        return self.layers[0].inputs

    @property
    def neurons(self) -> int:
        return sum(layer.neurons for layer in self.layers)

    @property
    def synapses(self) -> int:
        return sum(layer.synapses for layer in self.layers)


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
        weight_bits=max(map(_weight_bits, connections)),
        input_sum=largest >> min(used, default=0),
    )


def network_shape(network: FixedNetwork, name: str) -> NetworkShape:
    """The sizes of a network in integers."""
    layers = (
        layer_shape(layer, 1 if index else network.largest_input)
        for index, layer in enumerate(network.layers)
    )
    return NetworkShape(name, tuple(layers))


def _weight_bits(connection: Connection) -> int:
    low, high = int(connection.mantissa.min()), int(connection.mantissa.max())
    return 1 + max((-low - 1).bit_length() if low < 0 else 0, high.bit_length())


@dataclass(frozen=True)
class _Network:
    name: Name
    inputs: Annotated[int, Meta(ge=1, le=SIZE_MAX)]


@dataclass(frozen=True)
class _Layer:
    neuron: Annotated[str, choice(NEURONS)]
    neurons: Annotated[int, Meta(ge=1, le=SIZE_MAX)]
    recurrent: bool
    repeat: Annotated[int, Meta(ge=1, le=REPEAT_MAX)]


def read_description(path: Path) -> NetworkShape:
    """The network that a .toml or .json file describes.

    Raises: ParameterError for a file that cannot be read, a key that is unknown or missing, a
    value that is not allowed and a network without hidden layer or readout.
    """
    where = str(path)
    table = _read(path)
    tables = table.pop("layer", None)
    if not isinstance(tables, list) or not all(isinstance(each, dict) for each in tables):
        raise ParameterError(
            f"{where}: layer: a list of layers is needed, in TOML one [[layer]] each. Add them."
        )
    network = strict_toml.build(_Network, table, where, ParameterError)
    layers: list[LayerShape] = []
    inputs = network.inputs
    for index, each in enumerate(tables, start=1):
        layer = strict_toml.build(_Layer, each, f"{where}: layer {index}", ParameterError)
        last = index == len(tables)
        if NEURONS[layer.neuron].spiking == last:
            raise ParameterError(
                f"{where}: layer {index}: neuron {layer.neuron}; layers that spike come first, and "
                "the last one is a readout that does not, "
                f"{READOUT.name}. Change one of them."
            )
        if last and (layer.repeat, layer.recurrent) != (1, False):
            raise ParameterError(
                f"{where}: layer {index}: a readout is not recurrent and not repeated. Write "
                "recurrent = false and repeat = 1."
            )
        for _ in range(layer.repeat):
            layers.append(
                LayerShape(layer.neuron, layer.neurons, inputs, layer.recurrent, WEIGHT_BITS)
            )
            inputs = layer.neurons
    if len(layers) < 2:
        raise ParameterError(
            f"{where}: {len(layers)} layers; a hidden layer and a readout are needed. Add one."
        )
    return NetworkShape(network.name, tuple(layers))


def _read(path: Path) -> dict[str, Any]:
    remedy = "Name a .toml or .json file that describes a network."
    if path.suffix not in (".toml", ".json"):
        raise ParameterError(
            f"{path}: a description of type {path.suffix or 'unknown'}; .toml or .json is needed. "
            "Name such a file."
        )
    source = read_text(path, ParameterError, remedy)
    if path.suffix == ".toml":
        return strict_toml.read_table(source, str(path), ParameterError)
    table = parse_json(source, str(path), ParameterError, "Correct it.")
    if not isinstance(table, dict):
        raise ParameterError(f"{path}: {type(table).__name__}; a JSON object is needed. Add it.")
    return table
