"""The loop over time, compiled: one layer, the whole batch, all steps, any neuron, any number.

`forward` runs a neuron's real or fixed-point step, `backward` its adjoint. Both know a neuron only
by its step function and by how many states and coefficients it has. Arrays are C-contiguous and
time-major, so that one step of a group of samples is one stretch of memory; groups are independent
and spread over the cores.

Event-driven: a zero input or a missing spike costs one comparison. Any other value is multiplied,
so real-valued inputs are as correct as spikes.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from math import factorial
from typing import Any

import numba
import numpy as np

from brf_lava.kernels.compile import compiled, specialized
from brf_lava.neurons.binding import bound
from brf_lava.neurons.families import Neuron

GROUP = 8  # samples that share one pass over the weights; more would leave the first-level cache

# Reading and writing the states of one neuron as a tuple of fixed size keeps them in registers and
# lets LLVM vectorize the loop over neurons, which a loop over the tuple prevents.


def _get1(rows: Any, k: int) -> Any:
    return (rows[0, k],)


def _get2(rows: Any, k: int) -> Any:
    return (rows[0, k], rows[1, k])


def _get3(rows: Any, k: int) -> Any:
    return (rows[0, k], rows[1, k], rows[2, k])


def _put1(rows: Any, k: int, values: Any) -> None:
    rows[0, k] = values[0]


def _put2(rows: Any, k: int, values: Any) -> None:
    rows[0, k] = values[0]
    rows[1, k] = values[1]


def _put3(rows: Any, k: int, values: Any) -> None:
    rows[0, k] = values[0]
    rows[1, k] = values[1]
    rows[2, k] = values[2]


def _add1(rows: Any, k: int, values: Any) -> None:
    rows[0, k] += values[0]


def _add2(rows: Any, k: int, values: Any) -> None:
    rows[0, k] += values[0]
    rows[1, k] += values[1]


def _add3(rows: Any, k: int, values: Any) -> None:
    rows[0, k] += values[0]
    rows[1, k] += values[1]
    rows[2, k] += values[2]


GET = {1: _get1, 2: _get2, 3: _get3}
PUT = {1: _put1, 2: _put2, 3: _put3}
ADD = {1: _add1, 2: _add2, 3: _add3}


C2, C3, C4, C5, C6, C7, C8 = (1 / factorial(n) for n in range(2, 9))


def _exp(x: Any) -> Any:
    """``exp(x)`` for x <= 0 to 1e-7 relative, in arithmetic that vectorizes (libm's does not).

    Taylor to order 8 of ``x / 256``, squared eight times; below -80 the result is 0 in float32.
    """
    r = max(x, -80.0) / 256.0
    y = 1.0 + r * (1.0 + r * (C2 + r * (C3 + r * (C4 + r * (C5 + r * (C6 + r * (C7 + r * C8)))))))
    for _ in range(8):
        y = y * y
    return y


# Unsigned offsets (`first`, `count`) spare numba's test for negative indices, which would keep the
# loops over neurons from being vectorized.

# What the functions below find bound when `specialized` has filled them in.
_step: Any = None
_adjoint: Any = None
_density: Any = None
_advance: Any = None
_retreat: Any = None
_get_states: Any = None
_put_states: Any = None
_get_coefficients: Any = None
_add_coefficients: Any = None


def _advance_step(  # type: ignore[no-untyped-def]
    before, after, current, coefficients, constants, output, first, count
):
    for here in range(count):
        k = first + here
        states, out = _step(
            _get_states(before, k), current[here], _get_coefficients(coefficients, here), constants
        )
        _put_states(after, k, states)
        output[k] = out


def _forward(  # type: ignore[no-untyped-def]
    x, w_in, w_rec, coefficients, constants, history, output, group
):
    steps, samples, inputs = x.shape
    recurrent = w_rec.shape[0]
    neurons = w_in.shape[1]
    slots = history.shape[0]
    for index in numba.prange((samples + group - 1) // group):
        first = index * group
        last = min(first + group, samples)
        current = np.empty(group * neurons, w_in.dtype)
        for t in range(steps):
            current[:] = 0
            for b in range(first, last):
                base = (b - first) * neurons
                for i in range(inputs):
                    value = x[t, b, i]
                    if value != 0:
                        for k in range(neurons):
                            current[base + k] += value * w_in[i, k]
                if t > 0:
                    for j in range(recurrent):
                        value = output[t - 1, b * neurons + j]
                        if value != 0:
                            for k in range(neurons):
                                current[base + k] += value * w_rec[j, k]
            _advance(
                history[t % slots],
                history[(t + 1) % slots],
                current,
                coefficients,
                constants,
                output[t],
                np.uintp(first * neurons),
                np.uintp((last - first) * neurons),
            )


@cache
def _forward_loop(neuron: Neuron, integers: bool) -> Any:
    kind = "fixed" if integers else "real"
    advance = specialized(
        _advance_step,
        f"advance_{neuron.name}_{kind}",
        _step=compiled(neuron.fixed_step if integers else neuron.real_step),
        _get_states=compiled(GET[len(neuron.states)]),
        _put_states=compiled(PUT[len(neuron.states)]),
        _get_coefficients=compiled(GET[len(neuron.coefficients)]),
    )
    return specialized(_forward, f"forward_{neuron.name}_{kind}", parallel=True, _advance=advance)


def _retreat_step(  # type: ignore[no-untyped-def]
    before,
    after,
    coefficients,
    constants,
    grad_output,
    spread,
    grad_states,
    grad_current,
    totals,
    first,
    count,
):
    for here in range(count):
        k = first + here
        into_states, into_current, into_coefficients = _adjoint(
            _get_states(before, k),
            _get_states(after, k),
            _get_coefficients(coefficients, here),
            constants,
            _get_states(grad_states, here),
            grad_output[k] + spread[here],
        )
        _put_states(grad_states, here, into_states)
        grad_current[here] = into_current
        _add_coefficients(totals, k, into_coefficients)


def _single_density(s):  # type: ignore[no-untyped-def]
    return np.float32(_density(s))  # `_exp` is double, the loop single precision


def _backward(  # type: ignore[no-untyped-def]
    grad_output, history, w_rec, coefficients, constants, grad_current, grad_coefficients, group
):
    steps, samples, neurons = grad_current.shape
    recurrent = w_rec.shape[0]
    states = history.shape[1]
    for index in numba.prange((samples + group - 1) // group):
        first = index * group
        last = min(first + group, samples)
        grad_states = np.zeros((states, group * neurons), w_rec.dtype)
        passed = np.zeros((group, neurons), w_rec.dtype)  # grad_current of the step after
        spread = np.zeros((group, neurons), w_rec.dtype)  # what recurrence carries back
        grad_coefficients[:, first * neurons : last * neurons] = 0
        for back in range(steps):
            t = steps - 1 - back
            if recurrent > 0:
                np.dot(passed, w_rec, spread)
            _retreat(
                history[t],
                history[t + 1],
                coefficients,
                constants,
                grad_output[t],
                spread.ravel(),
                grad_states,
                passed.ravel(),
                grad_coefficients,
                np.uintp(first * neurons),
                np.uintp((last - first) * neurons),
            )
            grad_current[t, first:last] = passed[: last - first]


@cache
def _backward_loop(neuron: Neuron, surrogate: Callable[..., Any]) -> Any:
    name = f"{neuron.name}_{surrogate.__name__}"
    derivative = bound(_single_density, _density=bound(surrogate, exp=_exp))
    retreat = specialized(
        _retreat_step,
        f"retreat_{name}",
        _adjoint=compiled(bound(neuron.adjoint_step, derivative=derivative)),
        _get_states=compiled(GET[len(neuron.states)]),
        _put_states=compiled(PUT[len(neuron.states)]),
        _get_coefficients=compiled(GET[len(neuron.coefficients)]),
        _add_coefficients=compiled(ADD[len(neuron.coefficients)]),
    )
    return specialized(_backward, f"backward_{name}", parallel=True, _retreat=retreat)


def _group_size(samples: int) -> int:
    """Few enough samples per group that every core gets one, at most `GROUP`."""
    threads: int = numba.get_num_threads()
    return max(1, min(GROUP, -(-samples // threads)))


def forward(
    neuron: Neuron,
    x: Any,
    w_in: Any,
    w_rec: Any | None,
    coefficients: Any,
    constants: Any,
    *,
    integers: bool,
    keep_states: bool,
    initial: Any | None = None,
) -> tuple[Any, Any]:
    """Run one layer over a whole batch.

    x:            [T, B, I] array; zeros are skipped
    w_in:         [I, N], one row per input
    w_rec:        [N, N], one row per presynaptic neuron, or None
    coefficients: [P, N], in the order of ``neuron.coefficients``
    constants:    the neuron's constants, of the same number system
    integers:     run the fixed-point step, in int64, else the real one in the dtype of `w_in`
    keep_states:  keep the states of all steps, else only of the last
    initial:      [S, B, N] states before the first step, else zero

    Returns (output [T, B, N], states [T + 1, S, B, N], or [1, S, B, N] with the last step's alone).
    Spikes come as int8 in integer runs.
    """
    steps, samples, _ = x.shape
    neurons = w_in.shape[1]
    number = np.int64 if integers else w_in.dtype
    spikes = integers and neuron.spiking
    slots = steps + 1 if keep_states else 2
    history = np.empty((slots, len(neuron.states), samples * neurons), number)
    history[0] = 0 if initial is None else initial.reshape(len(neuron.states), -1)
    output = np.empty((steps, samples * neurons), np.int8 if spikes else number)
    group = _group_size(samples)
    _forward_loop(neuron, integers)(
        x,
        w_in,
        np.empty((0, neurons), w_in.dtype) if w_rec is None else w_rec,
        np.tile(coefficients, group),
        constants,
        history,
        output,
        group,
    )
    states = history if keep_states else history[steps % slots][None]
    return (
        output.reshape(steps, samples, neurons),
        states.reshape(-1, len(neuron.states), samples, neurons),
    )


def backward(
    neuron: Neuron,
    surrogate: Callable[..., Any],
    grad_output: Any,
    states: Any,
    w_rec: Any | None,
    coefficients: Any,
    constants: Any,
) -> tuple[Any, Any]:
    """The adjoint of `forward` on real numbers.

    grad_output: [T, B, N] from everything that reads the output, this layer's recurrence excluded
    states:      [T + 1, S, B, N] kept by `forward`
    w_rec:       [N, N], one row per *post*synaptic neuron, or None

    Returns (grad_current [T, B, N], grad_coefficients [P, N]).
    """
    steps, samples, neurons = grad_output.shape
    number = states.dtype
    grad_current = np.empty((steps, samples, neurons), number)
    grad_coefficients = np.empty((len(neuron.coefficients), samples * neurons), number)
    group = _group_size(samples)
    _backward_loop(neuron, surrogate)(
        grad_output.reshape(steps, -1),
        states.reshape(steps + 1, len(neuron.states), -1),
        np.empty((0, neurons), number) if w_rec is None else w_rec,
        np.tile(coefficients, group),
        constants,
        grad_current,
        grad_coefficients,
        group,
    )
    return grad_current, grad_coefficients.reshape(-1, samples, neurons).sum(axis=1)
