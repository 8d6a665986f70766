"""What a part of a layer takes of a core, and the limits it must keep: the memory model's home.

A part is some neurons of one layer on one core. Every source that they have weights from, an input
or a neuron, is an input axon of that core with a row of weights towards these neurons; so a layer
on k cores has its axons k times. A neuron has one output axon for every part that it reaches.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import NamedTuple

from brf_lava.loihi2.describe import LayerShape
from brf_lava.profiles import Limits, Packing


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
    return Load._make(a + b for a, b in zip(first, second, strict=True))


def fits(load: Load, limit: Load) -> bool:
    return all(value <= most for value, most in zip(load, limit, strict=True))


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


def least_load(
    layer: LayerShape, neurons: int, reached: int, packing: Packing
) -> tuple[Fraction, ...]:
    """`part_load` with rows that need not end on a word, in the order of `Load`."""
    exact = part_load(layer, neurons, reached, packing)
    bits = packing.row_bits.value + packing.synapse_bits.value * neurons
    synapses = Fraction(layer.sources * bits, packing.word_bits.value)
    memory = exact.memory_words - exact.synapse_words + synapses
    return (*map(Fraction, exact[:4]), synapses, memory)
