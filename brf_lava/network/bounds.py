"""Proof of range: what the integers of a network can reach, whatever its inputs.

The integer step of each neuron, `neurons/fixed.py`, is run on intervals instead of numbers: its
equations are not written again here. The ends are Python integers of any size, so that nothing
overflows while overflow is looked for. A range of states that the step does not leave holds all
that the states can ever be: from 0 on it is widened until nothing leaves it, then narrowed by
further steps (Cousot and Cousot 1977).
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from types import FunctionType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from brf_lava.network.layers import FixedLayer, FixedNetwork
from brf_lava.neurons import fixed
from brf_lava.neurons.binding import bound

WIDTHS = {"current": 32, "state": fixed.STATE_WIDTH, "product": 64, "sum": 64}  # bits, with a sign
SPIKES = (0, 1)
NARROWING = 200  # steps: longer than most neurons remember; any number is sound

Bounds = dict[str, NDArray[Any]]


def _monotonic(kind: str, compute: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Interval]:
    """An operator that each operand moves one way only: its extremes are at their ends."""

    def method(self: Interval, other: Any) -> Interval:
        corners = np.array([compute(a, b) for a in _ends(self) for b in _ends(other)], object)
        low, high = corners.min(0), corners.max(0)
        self.largest[kind] = np.maximum(self.largest[kind], np.maximum(-low, high))
        return Interval(low, high, self.largest)

    return method


class Interval:
    """All integers from `low` to `high`, one interval a neuron, in the arithmetic of the steps.

    low, high: [N] Python integers. largest: where the largest magnitude of every "product" and
    "sum" is noted, [N] each; intervals of one step share it.
    """

    def __init__(self, low: Any, high: Any, largest: dict[str, Any]) -> None:
        self.low, self.high, self.largest = low, high, largest

    __add__ = __radd__ = _monotonic("sum", operator.add)
    __sub__ = _monotonic("sum", operator.sub)
    __rsub__ = _monotonic("sum", lambda a, b: b - a)
    __mul__ = __rmul__ = _monotonic("product", operator.mul)
    __lshift__ = _monotonic("product", operator.lshift)
    __rshift__ = _monotonic("product", operator.rshift)
    __gt__ = _monotonic("product", operator.gt)
    __lt__ = _monotonic("product", operator.lt)

    def __and__(self, mask: int) -> Interval:
        """With a mask that is not negative."""
        return Interval(0 * self.low, 0 * self.low + mask, self.largest)

    def __bool__(self) -> bool:
        raise TypeError("the integer step of a neuron has a branch")


def _ends(value: Any) -> tuple[Any, Any]:
    return (value.low, value.high) if isinstance(value, Interval) else (value, value)


def _on_intervals(function: Callable[..., Any]) -> Callable[..., Any]:
    """A function of integers, and all functions that it calls, for intervals."""
    if function in (fixed.cut, fixed.saturate):  # never fall, which their operators do not show

        def rising(x: Any, *others: Any) -> Any:
            function(x, *others)  # notes its sums
            low, high = (function(end, *others) for end in _ends(x))
            return Interval(low, high, x.largest) if isinstance(x, Interval) else low

        return rising
    called = {name: function.__globals__.get(name) for name in function.__code__.co_names}
    functions = {name: f for name, f in called.items() if isinstance(f, FunctionType)}
    names: dict[str, Any] = {name: _on_intervals(f) for name, f in functions.items()}
    return bound(function, **names)


def network_bounds(network: FixedNetwork) -> dict[str, Bounds]:
    """The largest magnitudes [N] that inputs in the range of the network can cause.

    Returns: By layer, those of its "current", "product", "sum", and "state u" of each state.
    Raises: TypeError for a neuron of the user's own whose integer step is not written with
    ``+ - * << >> & >`` alone.
    """
    inputs = [network.input_range, *(SPIKES for _ in network.hidden)]
    return dict(zip(network.layer_names, map(_layer_bounds, network.layers, inputs), strict=True))


def _layer_bounds(layer: FixedLayer, inputs: tuple[int, int]) -> Bounds:
    """inputs: the least and the largest, 0 among them."""
    currents: Any = 0
    for connection, ends in ((layer.weights, inputs), (layer.recurrent, SPIKES)):
        if connection is not None:
            corners = np.multiply.outer(ends, connection.integers)  # [2, n_out, n_in]
            currents = currents + np.stack([corners.min(0).sum(1), corners.max(0).sum(1)])
    step = _on_intervals(layer.neuron.fixed_step)
    largest: dict[str, Any] = {}
    theta = getattr(layer.constants, "theta", 0)
    low, high = currents.astype(object)
    current = Interval(low, high, largest)
    own = tuple(Interval(each, each, largest) for each in layer.coefficients.astype(object))

    def after(reach: Any) -> Any:
        """How far below and above 0 the states get in a step from `reach`, [S, 2, N] as it is.

        In two parts: where the last state, the refractory one of the balanced neurons, is within
        theta of the state limit, no membrane can be above it and spike.
        """
        largest.update(product=0, sum=0)
        found = np.zeros_like(reach)
        below, above = reach[-1]
        near = np.maximum(np.minimum(above, fixed.STATE_MAX - theta), -below)
        for last in ((-below, near), (near, above))[: 1 + (near < above).any()]:
            ends = [*((-low, high) for low, high in reach[:-1]), last]
            states = tuple(Interval(*each, largest) for each in ends)
            states, _ = step(states, current, own, layer.constants)
            found = np.maximum(found, np.array([[-each.low, each.high] for each in states], object))
        return found

    reach = np.zeros((len(layer.neuron.states), 2, layer.shape[0]), object)
    while (grows := (after(reach) > reach) & (reach < fixed.STATE_MAX)).any():
        reach = np.where(grows, fixed.STATE_MAX, reach)
    for _ in range(NARROWING):
        wider, reach = reach, np.minimum(reach, after(reach))
        if np.array_equal(wider, reach):
            break
    states = np.maximum(reach, after(reach)).max(1)  # a step may leave what has no limit
    found = {"current": abs(currents).max(0)}
    found |= {f"state {key}": most for key, most in zip(layer.neuron.states, states, strict=True)}
    return found | {kind: most + 0 * found["current"] for kind, most in largest.items()}


def proof_lines(network: FixedNetwork) -> list[str]:
    """The proof in words: whether anything can overflow, and what can saturate."""
    try:
        bounds = network_bounds(network)
    except TypeError as error:
        return [f"Without a proof of range: {error}."]
    used, found, limited = dict.fromkeys(WIDTHS, 0), [], []
    for layer, magnitudes in bounds.items():
        for name, values in magnitudes.items():
            kind, _, state = name.partition(" ")
            width, most = WIDTHS[kind], int(max(values))
            used[kind] = max(used[kind], most.bit_length() + 1)
            if most.bit_length() >= width:
                found.append(
                    f"May overflow for some input: {layer}: {name} of neuron "
                    f"{int(np.argmax(values))} may reach {most}; {width} bits hold at most "
                    f"{(1 << (width - 1)) - 1}."
                )
            if state and most >= fixed.STATE_MAX:
                limited.append(f"{layer}.{state} ({np.sum(values >= fixed.STATE_MAX)} neurons)")
    bits = ", ".join(f"{kind}s {used[kind]} of {width}" for kind, width in WIDTHS.items())
    return found or [
        f"Cannot overflow, whatever the inputs: {bits} bits.",
        f"Can saturate if the input is at its worst: {', '.join(limited)}."
        if limited
        else "No state can saturate.",
    ]
