"""The loop over time, compiled: one layer, the whole batch, all steps, any neuron, any number.

`forward` runs a neuron's real or fixed-point step, `backward` its adjoint. Both know a neuron only
by its step function and by how many states and coefficients it has. Arrays are C-contiguous and
time-major, so that one step of a group of samples is one stretch of memory; groups are independent
and spread over the cores.

Event-driven: a zero input or a missing spike costs one comparison. Any other value is multiplied,
so real-valued inputs are as correct as spikes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from math import factorial
from typing import Any

import numba
import numpy as np
from numba.core.errors import NumbaError

from brf_lava.errors import BackendUnavailableError, ParameterError
from brf_lava.kernels.compile import compiled, specialized
from brf_lava.neurons.binding import bound
from brf_lava.neurons.families import Neuron

GROUP = 8  # most samples that one core takes through a step together
WIDE = 128  # neurons from which on it pays to skip the zeros in the gradient of recurrent weights

# Reading and writing the states of one neuron as a tuple of fixed size keeps them in registers and
# lets LLVM vectorize the loop over neurons, which a loop over the tuple prevents.


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


GET: dict[int, Callable[..., Any]] = {
    1: lambda rows, k: (rows[0, k],),
    2: lambda rows, k: (rows[0, k], rows[1, k]),
    3: lambda rows, k: (rows[0, k], rows[1, k], rows[2, k]),
}
PUT = {1: _put1, 2: _put2, 3: _put3}
ADD = {1: _add1, 2: _add2, 3: _add3}


EXP_CUT = -30.0
C2, C3, C4, C5, C6, C7, C8 = (1 / factorial(n) for n in range(2, 9))


def _exp_above_cut(x: Any) -> Any:
    """``exp(x)`` from `EXP_CUT` to 0: Taylor to order 8 of ``x / 256``, squared eight times."""
    r = max(x, EXP_CUT) / 256.0
    y = 1.0 + r * (1.0 + r * (C2 + r * (C3 + r * (C4 + r * (C5 + r * (C6 + r * (C7 + r * C8)))))))
    for _ in range(8):
        y = y * y
    return y


EXP_AT_CUT = _exp_above_cut(EXP_CUT)


def _exp(x: Any) -> Any:
    """``exp(x)`` for x <= 0 to 1e-13, in arithmetic that vectorizes (libm's does not).

    Exactly 0 below `EXP_CUT`, so that far from the threshold no denormal products arise.
    """
    return _exp_above_cut(x) - EXP_AT_CUT


# What the functions below find bound when `specialized` has filled them in
unbound: Any = None
_step = _adjoint = _density = unbound
_get_states = _put_states = _get_coefficients = _add_coefficients = unbound

# Offsets (`start`, `size`) are unsigned: that spares numba's test for negative indices, which
# would keep the loops over neurons from being vectorized.


def _collect(signal: Any, active: Any, values: Any) -> Any:
    """List what is not zero, without a branch; returns how many there are."""
    count = 0
    for i in range(signal.shape[0]):
        active[count] = i
        values[count] = signal[i]
        count += signal[i] != 0
    return count


def _add_rows(current: Any, base: Any, weights: Any, active: Any, values: Any, count: Any) -> None:
    """current[base:] += values @ weights[active], four rows at a time."""
    neurons = np.uintp(weights.shape[1])
    quads = count // 4
    for quad in range(quads):
        n = 4 * quad
        i0, i1, i2, i3 = active[n], active[n + 1], active[n + 2], active[n + 3]
        v0, v1, v2, v3 = values[n], values[n + 1], values[n + 2], values[n + 3]
        for k in range(neurons):
            current[base + k] += (
                v0 * weights[i0, k]
                + v1 * weights[i1, k]
                + v2 * weights[i2, k]
                + v3 * weights[i3, k]
            )
    for n in range(4 * quads, count):
        i0, v0 = active[n], values[n]
        for k in range(neurons):
            current[base + k] += v0 * weights[i0, k]


def _forward(
    x: Any,
    w_in: Any,
    w_rec: Any,
    coefficients: Any,
    constants: Any,
    history: Any,
    before: Any,
    output: Any,
    group: Any,
) -> None:
    steps, samples, inputs = x.shape
    recurrent = w_rec.shape[0]
    neurons = w_in.shape[1]
    weighted = w_in.shape[0] > 0 or inputs == 0  # else x is the current already
    slots = history.shape[0]
    for index in numba.prange((samples + group - 1) // group):
        first = index * group
        last = min(first + group, samples)
        current = np.empty(group * neurons, w_in.dtype)
        active = np.empty(max(inputs, recurrent), np.uintp)
        values = np.empty(max(inputs, recurrent), w_in.dtype)
        for t in range(steps):
            current[:] = 0
            for b in range(first, last):
                base = np.uintp((b - first) * neurons)
                if weighted:
                    count = _collect(x[t, b], active, values)
                    _add_rows(current, base, w_in, active, values, count)
                else:
                    current[base : base + np.uintp(neurons)] = x[t, b]
                if recurrent > 0:
                    last_output = output[t - 1] if t > 0 else before
                    count = _collect(last_output[b * neurons : (b + 1) * neurons], active, values)
                    _add_rows(current, base, w_rec, active, values, count)
            start, size = np.uintp(first * neurons), np.uintp((last - first) * neurons)
            old, new, out = history[t % slots], history[(t + 1) % slots], output[t]
            for here in range(size):
                k = start + here
                own = _get_coefficients(coefficients, here)
                states, out[k] = _step(_get_states(old, k), current[here], own, constants)
                _put_states(new, k, states)


@cache
def _forward_loop(neuron: Neuron, integers: bool) -> Any:
    return specialized(
        _forward,
        f"forward_{neuron.key}_{'fixed' if integers else 'real'}",
        parallel=True,
        _step=compiled(neuron.fixed_step if integers else neuron.real_step),
        _get_states=compiled(GET[len(neuron.states)]),
        _put_states=compiled(PUT[len(neuron.states)]),
        _get_coefficients=compiled(GET[len(neuron.coefficients)]),
        _collect=compiled(_collect),
        _add_rows=compiled(_add_rows),
    )


def _single_density(s: Any) -> Any:
    return np.float32(_density(s))  # `_exp` is double, the loop single precision


def _backward(
    grad_output: Any,
    history: Any,
    w_rec: Any,
    coefficients: Any,
    constants: Any,
    grad_current: Any,
    grad_coefficients: Any,
    neurons: Any,
    group: Any,
    window: Any,
) -> None:
    steps = grad_output.shape[0]
    samples = grad_output.shape[1] // neurons
    recurrent = w_rec.shape[0]
    states = history.shape[1]
    for index in numba.prange((samples + group - 1) // group):
        first = index * group
        last = min(first + group, samples)
        grad_states = np.zeros((states, group * neurons), w_rec.dtype)
        passed = np.zeros((group, neurons), w_rec.dtype)  # grad_current of the step after
        spread = np.zeros((group, neurons), w_rec.dtype)  # what recurrence carries back
        into_current, carried = passed.ravel(), spread.ravel()  # the same memory
        grad_coefficients[:, first * neurons : last * neurons] = 0
        for back in range(steps):
            t = steps - 1 - back
            if (t + 1) % window == 0:  # what follows belongs to another window
                grad_states[:] = 0
                passed[:] = 0
            if recurrent > 0:
                np.dot(passed, w_rec, spread)
            start, size = np.uintp(first * neurons), np.uintp((last - first) * neurons)
            for here in range(size):
                k = start + here
                into_states, into_current[here], into_coefficients = _adjoint(
                    _get_states(history[t], k),
                    _get_states(history[t + 1], k),
                    _get_coefficients(coefficients, here),
                    constants,
                    _get_states(grad_states, here),
                    grad_output[t, k] + carried[here],
                )
                _put_states(grad_states, here, into_states)
                _add_coefficients(grad_coefficients, k, into_coefficients)
            grad_current[t, first * neurons : last * neurons] = passed[: last - first].ravel()


@cache
def _backward_loop(neuron: Neuron, surrogate: Callable[..., Any]) -> Any:
    adjoint = neuron.adjoint_step
    if adjoint is None:
        raise BackendUnavailableError(
            f"kernel 'cpu': neuron {neuron.name} has no adjoint. Choose kernel 'reference' or "
            "'auto'."
        )
    derivative = bound(_single_density, _density=bound(surrogate, exp=_exp))
    return specialized(
        _backward,
        f"backward_{neuron.key}_{surrogate.__name__}",
        parallel=True,
        _adjoint=compiled(bound(adjoint, derivative=derivative)),
        _get_states=compiled(GET[len(neuron.states)]),
        _put_states=compiled(PUT[len(neuron.states)]),
        _get_coefficients=compiled(GET[len(neuron.coefficients)]),
        _add_coefficients=compiled(ADD[len(neuron.coefficients)]),
    )


@cache
def _blas() -> tuple[Any, ...]:
    """The OpenBLAS libraries in this process, of which numba calls scipy's."""
    import scipy.linalg.cython_blas  # noqa: F401  # loads it
    from threadpoolctl import ThreadpoolController

    return tuple(ThreadpoolController().select(internal_api="openblas").lib_controllers)


@contextmanager
def _one_thread_per_product() -> Iterator[None]:
    """Keep OpenBLAS from starting threads of its own inside those of the loop.

    It would from about 256 neurons on, which takes a multiple of the time and may hang.
    threadpoolctl's own `limit` looks up more than is needed here, at every call.
    """
    before = [library.get_num_threads() for library in _blas()]
    try:
        for library in _blas():
            library.set_num_threads(1)
        yield
    finally:
        for library, threads in zip(_blas(), before, strict=True):
            library.set_num_threads(threads)


def _outer_products(signal: Any, grad_current: Any, totals: Any) -> None:
    steps, samples, neurons = grad_current.shape
    share = (samples + totals.shape[0] - 1) // totals.shape[0]
    for index in numba.prange(totals.shape[0]):
        active = np.empty(neurons, np.uintp)
        values = np.empty(neurons, grad_current.dtype)
        for t in range(1, steps):
            for b in range(index * share, min((index + 1) * share, samples)):
                count = _collect(signal[t - 1, b], active, values)
                for n in range(count):
                    i, v = active[n], values[n]
                    for k in range(np.uintp(neurons)):
                        totals[index, i, k] += v * grad_current[t, b, k]


def recurrent_gradient(signal: Any, grad_current: Any) -> Any:
    """What recurrent weights [N, N], one row per postsynaptic neuron, hear from all steps.

    signal, grad_current: [T, B, N]; the signal of a step met the current of the next. Spikes are
    few, so that adding rows costs a fraction of the matrix product where the layer is wide.
    """
    neurons = signal.shape[2]
    totals = np.zeros((numba.get_num_threads(), neurons, neurons), grad_current.dtype)
    collect = compiled(_collect)
    add = specialized(_outer_products, "outer_products", parallel=True, _collect=collect)
    add(signal, grad_current, totals)
    return totals.sum(axis=0).T


@contextmanager
def _compiling(neuron: Neuron) -> Iterator[None]:
    """Raises: ParameterError for steps in a file of the user's own that cannot be compiled."""
    try:
        yield
    except NumbaError as error:
        if neuron.source is None:
            raise
        text = " ".join(str(error).split()).rpartition("(step: nopython frontend) ")[2]
        raise ParameterError(
            f"{neuron.source.reference}: cannot be compiled: {text[:400]}. Write the steps with "
            "numbers, tuples and plain functions alone."
        ) from error


def _group_size(samples: int) -> int:
    """Few enough samples per group that every core gets one, at most `GROUP`."""
    threads: int = numba.get_num_threads()
    return max(1, min(GROUP, -(-samples // threads)))


def forward(
    neuron: Neuron,
    x: Any,
    weights: Any | None,
    recurrent: Any | None,
    coefficients: Any,
    constants: Any,
    *,
    integers: bool,
    keep_states: bool,
    initial: Any | None = None,
    before: Any | None = None,
) -> tuple[Any, Any]:
    """Run one layer over a whole batch.

    Args:
        x: [T, B, I]; zeros are skipped.
        weights: [N, I], or None: x [T, B, N] is the current itself.
        recurrent: [N, N], one row per postsynaptic neuron, or None.
        coefficients: [P, N], in the order of ``neuron.coefficients``.
        constants: The neuron's constants, of the same number system.
        integers: Run the fixed-point step, in int64, else the real one in the dtype of `weights`
            (of x, if there are none).
        keep_states: Keep the states of all steps, else only of the last.
        initial: [S, B, N] states before the first step, else zero.
        before: [B, N] outputs of the step before the first, for recurrent weights, else zero.

    Returns:
        The output [T, B, N], int8 where integers spike, and the states [T + 1, S, B, N], or
        [1, S, B, N] with the last step's alone.
    """
    steps, samples, inputs = x.shape
    neurons = inputs if weights is None else len(weights)
    number = np.int64 if integers else (x if weights is None else weights).dtype
    spikes = integers and neuron.spiking
    slots = steps + 1 if keep_states else 2
    history = np.empty((slots, len(neuron.states), samples * neurons), number)
    history[0] = 0 if initial is None else initial.reshape(len(neuron.states), -1)
    output = np.empty((steps, samples * neurons), np.int8 if spikes else number)
    last_output = np.zeros(samples * neurons, output.dtype)
    if before is not None:
        last_output[:] = before.reshape(-1)
    w_in, w_rec = (
        np.empty((0, neurons), number) if matrix is None else np.ascontiguousarray(matrix.T)
        for matrix in (weights, recurrent)
    )
    group = _group_size(samples)
    with _compiling(neuron):
        _forward_loop(neuron, integers)(
            np.ascontiguousarray(x),
            w_in,
            w_rec,
            np.tile(coefficients, group),
            constants,
            history,
            last_output,
            output,
            group,
        )
    states = history if keep_states else history[steps % slots][None]
    return (
        output.reshape(steps, samples, neurons),
        states.reshape(len(states), len(neuron.states), samples, neurons),
    )


def backward(
    neuron: Neuron,
    surrogate: Callable[..., Any],
    grad_output: Any,
    states: Any,
    recurrent: Any | None,
    coefficients: Any,
    constants: Any,
    truncate: int = 0,
) -> tuple[Any, Any]:
    """The adjoint of `forward` on real numbers.

    Args:
        neuron, recurrent, coefficients, constants: As in `forward`.
        surrogate: The derivative of a spike, see `neurons.surrogate`.
        grad_output: [T, B, N] from everything that reads the output but this layer's recurrence.
        states: [T + 1, S, B, N], kept by `forward`.
        truncate: Steps of the windows that gradients do not leave; 0: one window.

    Returns:
        The gradients of the current [T, B, N] and of the coefficients [P, N].
    """
    steps, samples, neurons = grad_output.shape
    number = states.dtype
    group = _group_size(samples)
    grad_current = np.empty((steps, samples * neurons), number)
    grad_coefficients = np.empty((len(neuron.coefficients), samples * neurons), number)
    loop = _backward_loop(neuron, surrogate)
    with _one_thread_per_product(), _compiling(neuron):
        loop(
            grad_output.reshape(steps, samples * neurons),
            states.reshape(steps + 1, len(neuron.states), samples * neurons),
            np.empty((0, neurons), number) if recurrent is None else recurrent,
            np.tile(coefficients, group),
            constants,
            grad_current,
            grad_coefficients,
            neurons,
            group,
            truncate or steps,
        )
    by_sample = grad_coefficients.reshape(len(neuron.coefficients), samples, neurons)
    return grad_current.reshape(grad_output.shape), by_sample.sum(axis=1)
