"""What a part of a layer takes of a core, and the limits it must keep: the memory model's home.

A part is some neurons of one layer on one core. Every source that they have weights from, an input
or a neuron, is an input axon of that core with a row of weights towards these neurons; so a layer
on k cores has its axons k times. A neuron has one output axon for every part that it reaches.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from math import gcd
from operator import add, le, sub
from typing import NamedTuple

from brf_lava.board.describe import LayerShape
from brf_lava.config.profile import Limits, Packing


class Load(NamedTuple):
    """What is taken of a core, or what it has; words of 64 bits."""

    neurons: int
    groups: int
    input_axons: int
    output_axons: int
    synapse_words: int
    memory_words: int


@dataclass(frozen=True)
class Resource:
    """How a field of a `Load` is called. limit: its key in a profile; remedy: if it is short."""

    title: str
    limit: str
    remedy: str


SMALLER = "make this layer or the one before it smaller, or leave its recurrent weights out"
RESOURCES = (  # in the order of the fields of `Load`
    Resource("neurons", "neurons_per_core", "make the layer smaller"),
    Resource("groups", "groups_per_core", "use fewer layers"),
    Resource("input axons", "input_axons", SMALLER),
    Resource("output axons", "output_axons", "make this layer or the next one smaller"),
    Resource("synapse words", "synapse_words", SMALLER),
    Resource("memory words", "memory_words", SMALLER),
)


def capacity(limits: Limits) -> Load:
    """What a core has."""
    return Load._make(getattr(limits, resource.limit).value for resource in RESOURCES)


def empty_core(packing: Packing) -> Load:
    """What is taken before any neuron is there."""
    return Load(0, 0, 0, 0, 0, packing.core_words.value)


def total(first: Load, second: Load) -> Load:
    return Load(*map(add, first, second))


def rest(room: Load, taken: Load) -> Load:
    return Load(*map(sub, room, taken))


def fits(load: Load, limit: Load) -> bool:
    return all(map(le, load, limit))


def row_words(neurons: int, packing: Packing) -> int:
    """Words of one input axon's weights towards so many neurons."""
    bits = packing.row_bits.value + packing.synapse_bits.value * neurons
    return -(-bits // packing.word_bits.value)


def neuron_words(layer: LayerShape, packing: Packing) -> int:
    """Words of one neuron: its state and the parameters that are its own."""
    neuron = layer.record
    states = -(-len(neuron.states) // packing.states_per_word.value)
    return states + (packing.parameter_words.value if neuron.fixed_coefficients else 0)


def part_load(layer: LayerShape, neurons: int, reached: int, packing: Packing) -> Load:
    """What so many neurons of a layer take; the words of the core itself are left out.

    reached: how many parts each of them sends its spikes to.
    """
    axons = layer.sources
    synapses = axons * row_words(neurons, packing)
    per_neuron = neuron_words(layer, packing) + reached * packing.output_words.value
    return Load(
        neurons=neurons,
        groups=1,
        input_axons=axons,
        output_axons=neurons * reached,
        synapse_words=synapses,
        memory_words=synapses + axons * packing.axon_words.value + neurons * per_neuron,
    )


def most_neurons(layer: LayerShape, reached: int, room: Load, packing: Packing) -> int:
    """How many neurons with the axons of a layer fit into so much room on a core, at most.

    reached: how many parts each of them sends its spikes to.
    """
    axons = layer.sources
    if room.groups < 1 or room.input_axons < axons:
        return 0
    word, row, synapse = packing.word_bits.value, packing.row_bits.value, packing.synapse_bits.value
    words = room.memory_words - axons * packing.axon_words.value
    each = neuron_words(layer, packing) + reached * packing.output_words.value
    most = min(
        room.neurons,
        room.output_axons // reached,
        (room.synapse_words // axons * word - row) // synapse,
        (words * word - axons * row) // (axons * synapse + each * word),  # if rows ended anywhere
    )

    def fits_memory(neurons: int) -> bool:
        return axons * row_words(neurons, packing) + neurons * each <= words

    if most <= 0 or fits_memory(most):
        return max(most, 0)
    # What rounding up adds to a row is less than a word, and a word has so many weights
    fewest = max(most - -(-word // synapse), 0)
    while most - fewest > 1:
        middle = (fewest + most) // 2
        fewest, most = (middle, most) if fits_memory(middle) else (fewest, middle)
    return fewest


def least_per_neuron(
    layer: LayerShape, most: int, reached: int, packing: Packing
) -> tuple[Fraction, ...]:
    """The least that one neuron takes of each resource, in parts of up to `most` neurons.

    Words of a row come in a period of some neurons, after which a row has exactly so many words
    more. A period more never makes a neuron take more: the last one has the least.
    """
    period = packing.word_bits.value // gcd(packing.word_bits.value, packing.synapse_bits.value)
    parts = [
        [Fraction(taken, neurons) for taken in part_load(layer, neurons, reached, packing)]
        for neurons in range(max(most - period, 0) + 1, most + 1)
    ]
    return tuple(map(min, zip(*parts, strict=True)))
