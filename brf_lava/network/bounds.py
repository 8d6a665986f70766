"""Proof of range: what the integers of a network can reach, whatever its inputs.

The integer step of each neuron, `neurons/fixed.py`, is run on intervals instead of numbers: its
equations are not written again here. The ends are Python integers of any size, so that nothing
overflows while overflow is looked for. A range of states that the step does not leave holds all
that the states can ever be (Cousot and Cousot 1977): it is widened until nothing leaves it, then
made as small as bisection finds.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import FunctionType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from brf_lava.errors import ParameterError
from brf_lava.network.layers import FixedLayer, FixedNetwork
from brf_lava.neurons import fixed
from brf_lava.neurons.binding import bound

WIDTHS = {"current": 32, "state": fixed.STATE_WIDTH, "product": 64, "sum": 64}  # bits, with a sign
SPIKES = (0, 1)
PASSES = 2  # of the bisection over all states: they depend on each other
DRIVEN = 2000  # steps in which the strongest currents follow a neuron


class Interval:
    """All integers from `low` to `high`, one interval a neuron, in the arithmetic of the steps.

    low, high: [N] Python integers. largest: where the largest magnitude of every "product" and
    "sum" is noted, [N] each; intervals of one step share it.
    """

    def __init__(self, low: Any, high: Any, largest: dict[str, Any]) -> None:
        self.low, self.high, self.largest = low, high, largest

    def _of(self, kind: str, *corners: Any) -> Interval:
        low, high = corners[0], corners[0]
        for each in corners[1:]:
            low, high = np.minimum(low, each), np.maximum(high, each)
        self.largest[kind] = np.maximum(self.largest[kind], np.maximum(-low, high))
        return Interval(low, high, self.largest)

    def __add__(self, other: Any) -> Interval:
        low, high = _ends(other)
        return self._of("sum", self.low + low, self.high + high)

    def __sub__(self, other: Any) -> Interval:
        low, high = _ends(other)
        return self._of("sum", self.low - high, self.high - low)

    def __mul__(self, other: Any) -> Interval:
        return self._of("product", *(a * b for a in (self.low, self.high) for b in _ends(other)))

    def __lshift__(self, bits: int) -> Interval:
        return self * (1 << bits)

    def __rshift__(self, bits: int) -> Interval:
        return Interval(self.low >> bits, self.high >> bits, self.largest)

    def __and__(self, mask: int) -> Interval:
        """With a mask that is not negative; exact for 0 and -1, which `fixed.mul` has."""
        low = np.where((self.low == -1) & (self.high == -1), mask, 0)
        high = np.where(self.low >= 0, np.minimum(self.high, mask), mask)
        return Interval(low.astype(object), high, self.largest)

    def __gt__(self, other: Any) -> Interval:
        low, high = _ends(other)
        return self._truth(self.low > high, self.high > low)

    def __lt__(self, other: Any) -> Interval:
        low, high = _ends(other)
        return self._truth(self.high < low, self.low < high)

    def _truth(self, surely: Any, perhaps: Any) -> Interval:
        return Interval((surely * 1).astype(object), (perhaps * 1).astype(object), self.largest)

    def __rsub__(self, other: Any) -> Interval:
        low, high = _ends(other)
        return self._of("sum", low - self.high, high - self.low)

    def __neg__(self) -> Interval:
        return self.__rsub__(0)

    def __bool__(self) -> bool:
        raise TypeError("a step with a branch has no proof of range")

    __radd__, __rmul__ = __add__, __mul__


def _ends(value: Any) -> tuple[Any, Any]:
    return (value.low, value.high) if isinstance(value, Interval) else (value, value)


def _saturate(x: Interval, *limits: Any) -> Interval:
    """`fixed.saturate` rises throughout: its ends are those of x."""
    fixed.saturate(x, *limits)  # notes its sums; the interval itself would be far too wide
    low, high = (fixed.saturate(end, *limits) for end in _ends(x))
    return Interval(low, high, x.largest)


def _on_intervals(step: Callable[..., Any]) -> Callable[..., Any]:
    """A step, and all functions that it calls, with `_saturate` for `fixed.saturate`."""
    if step is fixed.saturate:
        return _saturate
    called = {name: step.__globals__.get(name) for name in step.__code__.co_names}
    functions = {name: f for name, f in called.items() if isinstance(f, FunctionType)}
    names: dict[str, Any] = {name: _on_intervals(f) for name, f in functions.items()}
    return bound(step, **names)


@dataclass(frozen=True)
class LayerBounds:
    """What the integers of one layer can reach, for any inputs in the range of the network.

    Attributes:
        name: Of the layer.
        currents: [2, N], the least and the greatest.
        states: [2, N] by name, likewise.
        products: [N], the largest magnitude of all products of a step.
        sums: [N], likewise.
        driven: [N] by the state's name: the largest magnitude found when the strongest currents
            follow the sign of the first state. So far a neuron surely can be driven, if what it is
            connected to can do so.
    """

    name: str
    currents: NDArray[Any]
    states: dict[str, NDArray[Any]]
    products: NDArray[Any]
    sums: NDArray[Any]
    driven: dict[str, NDArray[np.int64]]

    @property
    def largest(self) -> list[tuple[str, str, NDArray[Any]]]:
        """Kind, of `WIDTHS`, name and magnitudes [N] of all that is computed."""
        states = [("state", name, abs(each).max(0)) for name, each in self.states.items()]
        current = ("current", "", abs(self.currents).max(0))
        return [current, *states, ("product", "", self.products), ("sum", "", self.sums)]

    def saturating(self, name: str) -> NDArray[np.bool_]:
        """Which neurons' state of this name may stand at the limit, [N]."""
        return np.asarray(abs(self.states[name]).max(0) >= fixed.STATE_MAX, bool)


def network_bounds(network: FixedNetwork) -> tuple[LayerBounds, ...]:
    """What the integers of each layer can reach, for any inputs in the range of the network.

    Raises: ParameterError for a neuron of the user's own whose integer step is not written with
    ``+ - * << >> & >`` alone.
    """
    inputs = [network.input_range, *(SPIKES for _ in network.hidden)]
    named = zip(network.layer_names, network.layers, inputs, strict=True)
    return tuple(layer_bounds(name, layer, ends) for name, layer, ends in named)


def layer_bounds(name: str, layer: FixedLayer, inputs: tuple[int, int] = SPIKES) -> LayerBounds:
    """As `network_bounds`, of one layer. inputs: the least and the largest, 0 among them."""
    currents = current_ranges(layer, inputs).astype(object)
    step = _on_intervals(layer.neuron.fixed_step)
    largest: dict[str, Any] = {}

    def after(reach: Any) -> Any:
        """How far below and above 0 the states get in a step from `reach`, [S, 2, N] as it is."""
        largest.update(product=0, sum=0)
        states = tuple(Interval(-below, above, largest) for below, above in reach)
        own = tuple(Interval(each, each, largest) for each in layer.coefficients.astype(object))
        current = Interval(currents[0], currents[1], largest)
        states, _ = step(states, current, own, layer.constants)
        return np.array([[-each.low, each.high] for each in states], object)

    shape = (len(layer.neuron.states), 2, layer.shape[0])
    try:
        reach = _closed(after, np.zeros(shape, object))
        leaving = after(reach)
    except TypeError as error:
        raise ParameterError(f"{name}: {layer.neuron.name}: {error}.") from error
    ends = np.maximum(reach, leaving) * np.array([-1, 1])[:, None]
    products, sums = (np.zeros(shape[2], object) + largest[kind] for kind in ("product", "sum"))
    states = layer.neuron.states
    driven = dict(zip(states, _driven(layer, currents.astype(np.int64)), strict=True))
    return LayerBounds(name, currents, dict(zip(states, ends, strict=True)), products, sums, driven)


def current_ranges(layer: FixedLayer, inputs: tuple[int, int] = SPIKES) -> NDArray[np.int64]:
    """The least and the greatest current of each neuron, [2, N]. inputs: as in `layer_bounds`."""
    total = np.zeros((2, layer.shape[0]), np.int64)
    for connection, ends in ((layer.weights, inputs), (layer.recurrent, SPIKES)):
        if connection is not None:
            corners = np.stack([connection.integers * end for end in ends])
            total += np.stack([corners.min(0).sum(1), corners.max(0).sum(1)])
    return total


def _closed(after: Callable[[Any], Any], reach: Any) -> Any:
    """A range of states around 0 that no step leaves, [S, 2, N] below and above 0.

    Where there is none within `fixed.STATE_MAX`, that is returned, and a step leaves it.
    """
    while True:
        found = after(reach)
        grows = (found > reach) & (reach < fixed.STATE_MAX)
        if not grows.any():
            break
        reach = np.where(grows, np.where(found <= 1, 1, fixed.STATE_MAX), reach)
    for _ in range(PASSES):
        for place in np.ndindex(reach.shape[:2]):
            low, high = np.zeros_like(reach[place]), reach[place].copy()
            loose = after(reach)[place] < high  # else the smallest there is, as a rule
            while (unsure := loose & (low < high)).any():
                middle, trial = (low + high) // 2, reach.copy()
                trial[place] = np.where(unsure, middle, high)
                holds = after(trial)[place] <= trial[place]
                high = np.where(unsure & holds, middle, high)
                low = np.where(unsure & ~holds, middle + 1, low)
            reach[place] = high
    return reach


def _driven(layer: FixedLayer, currents: NDArray[np.int64]) -> NDArray[np.int64]:
    """The largest magnitudes of the states, [S, N], see `LayerBounds.driven`."""
    states: Any = (np.zeros(layer.shape[0], np.int64),) * len(layer.neuron.states)
    most = np.stack(states)
    for _ in range(DRIVEN):
        current = np.where(states[0] >= 0, currents[1], currents[0])
        states, _ = layer.neuron.fixed_step(
            states, current, tuple(layer.coefficients), layer.constants
        )
        most = np.maximum(most, np.abs(states))
    return most


def overflows(bounds: Sequence[LayerBounds]) -> list[str]:
    """What may need more bits than it has, one text each."""
    return [
        f"{layer.name}: {' '.join(filter(None, (kind, name)))} of neuron {int(np.argmax(values))} "
        f"may reach {max(values)}; {WIDTHS[kind]} bits hold at most {most}"
        for layer in bounds
        for kind, name, values in layer.largest
        for most in [(1 << (WIDTHS[kind] - 1)) - 1]
        if max(values) > most
    ]


def proof_lines(network: FixedNetwork) -> list[str]:
    """The proof in words: whether anything can overflow, and what can saturate."""
    try:
        bounds = network_bounds(network)
    except ParameterError as error:
        return [f"Without a proof of range: {error}"]
    if found := overflows(bounds):
        return [f"May overflow for some input: {each}." for each in found]
    used = dict.fromkeys(WIDTHS, 0)
    for kind, _, values in (each for layer in bounds for each in layer.largest):
        used[kind] = max(used[kind], int(max(values)).bit_length() + 1)
    bits = ", ".join(f"{kind}s {used[kind]} of {width}" for kind, width in WIDTHS.items())
    limited = [
        f"{layer.name}.{state} ({may} neurons; {does} do when driven)"
        for layer in bounds
        for state in layer.states
        if (may := int(layer.saturating(state).sum()))
        for does in [int((layer.driven[state] >= fixed.STATE_MAX).sum())]
    ]
    return [
        f"Cannot overflow, whatever the inputs: {bits} bits.",
        f"May saturate: {', '.join(limited)}." if limited else "No state can saturate.",
    ]
