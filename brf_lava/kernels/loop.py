"""The loop over time, compiled: one layer, the whole batch, all steps, any neuron, any number.

`forward` runs a neuron's real or fixed-point step, `backward` its adjoint. Both know a neuron only
by its step function and by how many states and coefficients it has. Arrays are C-contiguous and
time-major, so that one step of a group of samples is one stretch of memory; groups are independent
and spread over the cores.

Event-driven: a zero input or a missing spike costs one comparison. Any other value is multiplied,
so real-valued inputs are as correct as spikes.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from math import factorial, prod
from typing import Any

import numba
import numpy as np
from numba.core.errors import NumbaError

from brf_lava.errors import BackendUnavailableError, ParameterError
from brf_lava.kernels.compile import compiled, specialized
from brf_lava.neurons.binding import bound
from brf_lava.neurons.families import Neuron

GROUP = 32  # most samples that one core takes through a step together
WIDE = 64  # neurons from which on it pays to skip the zeros in the gradient of weights
SPARSE = 0.3  # share of values that are not zero, up to which it does
PANEL = 64  # columns of a product whose sums stay there
LARGE = 1 << 20  # bytes
LINE = 64  # bytes of a cache line; a vector that crosses two is read at half the speed

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


GET: dict[int, Callable[..., Any]] = {
    1: lambda rows, k: (rows[0, k],),
    2: lambda rows, k: (rows[0, k], rows[1, k]),
    3: lambda rows, k: (rows[0, k], rows[1, k], rows[2, k]),
}
PUT = {1: _put1, 2: _put2, 3: _put3}
SUM: dict[int, Callable[..., Any]] = {
    1: lambda a, b: (a[0] + b[0],),
    2: lambda a, b: (a[0] + b[0], a[1] + b[1]),
    3: lambda a, b: (a[0] + b[0], a[1] + b[1], a[2] + b[2]),
}


EXP_CUT = -20.0
C1, C2, C3, C4, C5 = (np.float32(1 / factorial(n)) for n in range(1, 6))


def _exp(x: Any) -> Any:
    """``exp(x)`` in single precision for x <= 0, in arithmetic that vectorizes (libm's does not).

    m = exp(x / 32) - 1 by Taylor, and five times ``(1 + m)^2 - 1``: to 1e-7, as no 1 swallows the
    digits of m. Exactly 0 at `EXP_CUT` and below, so that no denormal products arise far from the
    threshold.
    """
    r = max(x, np.float32(EXP_CUT)) * np.float32(1 / 32)
    m = r * (C1 + r * (C2 + r * (C3 + r * (C4 + r * C5))))
    for _ in range(5):
        m = m * (m + np.float32(2))
    return m + np.float32(1)


# What the functions below find bound when `specialized` has filled them in
unbound: Any = None
_step = _adjoint = _density = unbound
_get_states = _put_states = _get_coefficients = _put_coefficients = _sum = unbound

# Offsets (`start`, `size`) are unsigned: that spares numba's test for negative indices, which
# would keep the loops over neurons from being vectorized.


def _list(signal: Any, active: Any, ends: Any) -> None:
    """List what is not zero, row by row, without a branch, and where the list of each row ends.

    All rows are listed before one is used: the processor looks ahead from use to use then.
    """
    end = np.uintp(0)
    for b in range(np.uintp(signal.shape[0])):
        for i in range(np.uintp(signal.shape[1])):
            active[end] = i
            end += np.uintp(signal[b, i] != 0)
        ends[b] = end


def _add_rows(
    total: Any, base: Any, signal: Any, b: Any, weights: Any, active: Any, begin: Any, end: Any
) -> None:
    """total[base:] += signal[b, active[begin:end]] @ weights[active[begin:end]], four at a time."""
    neurons, one, four = np.uintp(weights.shape[1]), np.uintp(1), np.uintp(4)
    whole = end - (end - begin) % four
    for n in range(begin, whole, four):
        i0, i1, i2, i3 = active[n], active[n + 1], active[n + 2], active[n + 3]
        v0, v1, v2, v3 = signal[b, i0], signal[b, i1], signal[b, i2], signal[b, i3]
        for k in range(neurons):
            total[base + k] += (
                v0 * weights[i0, k]
                + v1 * weights[i1, k]
                + v2 * weights[i2, k]
                + v3 * weights[i3, k]
            )
    for n in range(whole, end, one):
        i0 = active[n]
        v0 = signal[b, i0]
        for k in range(neurons):
            total[base + k] += v0 * weights[i0, k]


def _add_product(current: Any, signal: Any, weights: Any, active: Any, ends: Any) -> None:
    """current += signal [samples, I] @ weights [I, N], but flat."""
    neurons, begin = np.uintp(weights.shape[1]), np.uintp(0)
    _list(signal, active, ends)
    for b in range(np.uintp(signal.shape[0])):
        _add_rows(current, b * neurons, signal, b, weights, active, begin, ends[b])
        begin = ends[b]


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
        ends = np.empty(group, np.uintp)
        active = np.empty(group * max(inputs, recurrent) + 1, np.uintp)
        start, size = np.uintp(first * neurons), np.uintp((last - first) * neurons)
        for t in range(steps):
            if weighted:
                current[:] = 0
                _add_product(current, x[t, first:last], w_in, active, ends)
            else:
                current[:size] = x[t, first:last].reshape(-1)
            if recurrent > 0:
                spikes = (output[t - 1] if t > 0 else before).reshape(samples, neurons)
                _add_product(current, spikes[first:last], w_rec, active, ends)
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
        _add_product=compiled(_add_product),
    )


def _multiply(rows: Any, panels: Any, sums: Any, product: Any, samples: Any, neurons: Any) -> None:
    """product = rows @ weights, all [samples, neurons] but flat; weights as `_panels` of them.

    Two rows meet four weights at a time, so that most operands stay in registers. `rows` and `sums`
    have room for an even number of samples.
    """
    width = np.uintp(PANEL)
    one, two, three, four = np.uintp(1), np.uintp(2), np.uintp(3), np.uintp(4)
    whole = neurons - neurons % four
    for first in range(np.uintp(0), neurons, width):
        sums[:] = 0
        for k in range(np.uintp(0), whole, four):
            w0 = first * neurons + k * width
            w1, w2, w3 = w0 + width, w0 + two * width, w0 + three * width
            for b in range(np.uintp(0), samples, two):
                here, there = b * width, (b + one) * width
                r, s = b * neurons + k, (b + one) * neurons + k
                r0, r1, r2, r3 = rows[r], rows[r + one], rows[r + two], rows[r + three]
                s0, s1, s2, s3 = rows[s], rows[s + one], rows[s + two], rows[s + three]
                for j in range(width):
                    p0, p1, p2, p3 = panels[w0 + j], panels[w1 + j], panels[w2 + j], panels[w3 + j]
                    sums[here + j] += r0 * p0 + r1 * p1 + r2 * p2 + r3 * p3
                    sums[there + j] += s0 * p0 + s1 * p1 + s2 * p2 + s3 * p3
        for k in range(whole, neurons):
            w0 = first * neurons + k * width
            for b in range(samples):
                here, r0 = b * width, rows[b * neurons + k]
                for j in range(width):
                    sums[here + j] += r0 * panels[w0 + j]
        for b in range(samples):
            for j in range(min(width, neurons - first)):
                product[b * neurons + first + j] = sums[b * width + j]


def _backward(
    grad_output: Any,
    history: Any,
    panels: Any,
    room: Any,
    constants: Any,
    grad_current: Any,
    neurons: Any,
    group: Any,
    window: Any,
    begin: Any,
) -> None:
    steps = grad_output.shape[0]
    samples = grad_output.shape[1] // neurons
    states = history.shape[1]
    for index in numba.prange((samples + group - 1) // group):
        first = index * group
        last = min(first + group, samples)
        own = room[index]
        sums, passed, carried = own[0], own[1], own[2]  # passed: grad_current of the step after
        grad_states, both = own[3 : 3 + states], own[3 + states :]
        coefficients, grad_coefficients = both[: len(both) // 2], both[len(both) // 2 :]
        for back in range(steps):
            t = steps - 1 - back
            if (begin + t + 1) % window == 0:  # what follows belongs to another window
                grad_states[:] = 0
                passed[:] = 0
            if panels.shape[0] > 0:
                _multiply(passed, panels, sums, carried, np.uintp(last - first), np.uintp(neurons))
            start, size = np.uintp(first * neurons), np.uintp((last - first) * neurons)
            # a slice taken inside the loop would keep it from being vectorized
            old, new, from_output = history[t], history[t + 1], grad_output[t]
            for here in range(size):
                k = start + here
                into_states, passed[here], into_coefficients = _adjoint(
                    _get_states(old, k),
                    _get_states(new, k),
                    _get_coefficients(coefficients, here),
                    constants,
                    _get_states(grad_states, here),
                    from_output[k] + carried[here],
                )
                _put_states(grad_states, here, into_states)
                total = _sum(_get_coefficients(grad_coefficients, here), into_coefficients)
                _put_coefficients(grad_coefficients, here, total)
            grad_current[t, first * neurons : last * neurons] = passed[:size]


@cache
def _backward_loop(neuron: Neuron, surrogate: Callable[..., Any]) -> Any:
    adjoint = neuron.adjoint_step
    if adjoint is None:
        raise BackendUnavailableError(
            f"kernel 'cpu': neuron {neuron.name} has no adjoint. Choose kernel 'reference' or "
            "'auto'."
        )
    numbers: dict[str, Any] = {
        n: np.float32(v) for n, v in surrogate.__globals__.items() if type(v) is float
    }
    derivative = bound(surrogate, exp=_exp, **numbers)
    return specialized(
        _backward,
        f"backward_{neuron.key}_{surrogate.__name__}",
        parallel=True,
        contract=True,
        _adjoint=compiled(bound(adjoint, derivative=derivative), contract=True),
        _multiply=compiled(_multiply, contract=True),
        _get_states=compiled(GET[len(neuron.states)]),
        _put_states=compiled(PUT[len(neuron.states)]),
        _get_coefficients=compiled(GET[len(neuron.coefficients)]),
        _put_coefficients=compiled(PUT[len(neuron.coefficients)]),
        _sum=compiled(SUM[len(neuron.coefficients)]),
    )


def _sum_products(signal: Any, gradient: Any, totals: Any) -> None:
    """totals[i] += signal[r, i] * gradient[r] for all rows r, where the signal is not zero."""
    rows, inputs = signal.shape
    neurons = np.uintp(gradient.shape[1])
    share = (rows + totals.shape[0] - 1) // totals.shape[0]
    for index in numba.prange(totals.shape[0]):
        own, last = totals[index], min((index + 1) * share, rows)
        active, ends = np.empty(GROUP * inputs + 1, np.uintp), np.empty(GROUP, np.uintp)
        for first in range(index * share, last, GROUP):
            some = signal[first : min(first + GROUP, last)]
            begin = np.uintp(0)
            _list(some, active, ends)
            for b in range(np.uintp(some.shape[0])):
                row = gradient[first + b]
                for n in range(begin, ends[b]):
                    base, value = active[n] * neurons, some[b, active[n]]
                    for k in range(neurons):
                        own[base + k] += value * row[k]
                begin = ends[b]


def weight_gradient(signal: Any, grad_current: Any) -> Any:
    """What weights [N, I] hear from all steps: the sum of products of their signal and gradient.

    signal: [R, I], grad_current: [R, N]; a row per step and sample. Signals that are zero are
    skipped, which costs a fraction of the matrix product where they are many and the layer is wide.
    """
    neurons, inputs = grad_current.shape[1], signal.shape[1]
    totals = _aligned((numba.get_num_threads(), inputs * neurons), grad_current.dtype)
    totals[:] = 0
    options: dict[str, Any] = {"parallel": True, "contract": True, "_list": compiled(_list)}
    specialized(_sum_products, "sum_products", **options)(signal, grad_current, totals)
    for more in totals[1:]:  # `sum` would take memory for another
        totals[0] += more
    return totals[0].reshape(inputs, neurons).T


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


_rooms: list[Any] = []  # large arrays of earlier calls


def _aligned(shape: tuple[int, ...], dtype: Any) -> Any:
    """An array that begins where a cache line does, of unwritten memory.

    Large ones are used again once nothing refers to them: the system fills new memory with zeros,
    which takes as long as the loop. They are given up when another size is asked for.
    """
    size = prod(shape) * np.dtype(dtype).itemsize
    room = _large_room(size + LINE) if size >= LARGE else np.empty(size + LINE, np.uint8)
    first = -room.ctypes.data % LINE
    return room[first : first + size].view(dtype).reshape(shape)


def _large_room(size: int) -> Any:
    idle = [room for room in _rooms if sys.getrefcount(room) == 3]  # the list, `room`, the argument
    for room in idle:
        if room.nbytes == size:
            return room
    _rooms[:] = [room for room in _rooms if not any(room is other for other in idle)]
    fresh = np.empty(size, np.uint8)
    _rooms.append(fresh)
    return fresh


def _aligned_copy(array: Any) -> Any:
    copy = _aligned(array.shape, array.dtype)
    copy[...] = array
    return copy


def _panels(weights: Any) -> Any:
    """Weights [N, N] in columns of `PANEL`, one below the other; zeros fill the last."""
    neurons = len(weights)
    columns = -(-neurons // PANEL)
    panels = _aligned((columns, neurons, PANEL), weights.dtype)
    for column, panel in enumerate(panels):
        part = weights[:, column * PANEL : (column + 1) * PANEL]
        panel[:, : part.shape[1]] = part
        panel[:, part.shape[1] :] = 0
    return panels.reshape(-1)


def forward(
    neuron: Neuron,
    weights: Any | None,
    recurrent: Any | None,
    coefficients: Any,
    constants: Any,
    x: Any,
    initial: Any | None = None,
    before: Any | None = None,
    *,
    integers: bool,
    keep_states: bool,
) -> tuple[Any, Any]:
    """Run one layer over a whole batch.

    Args:
        weights: [N, I], or None: x [T, B, N] is the current itself.
        recurrent: [N, N], one row per postsynaptic neuron, or None.
        coefficients: [P, N], in the order of ``neuron.coefficients``.
        constants: The neuron's constants, of the same number system.
        x: [T, B, I]; zeros are skipped.
        initial: [S, B, N] states before the first step, else zero.
        before: [B, N] outputs of the step before the first, for recurrent weights, else zero.
        integers: Run the fixed-point step, in int64, else the real one in the dtype of `weights`
            (of x, if there are none).
        keep_states: Keep the states of all steps, else only of the last.

    Returns:
        The output [T, B, N], int8 where integers spike, and the states [T + 1, S, B, N], or
        [1, S, B, N] with the last step's alone.
    """
    steps, samples, inputs = x.shape
    neurons = inputs if weights is None else len(weights)
    number = np.int64 if integers else (x if weights is None else weights).dtype
    spikes = integers and neuron.spiking
    slots = steps + 1 if keep_states else 2
    history = _aligned((slots, len(neuron.states), samples * neurons), number)
    history[0] = 0 if initial is None else initial.reshape(len(neuron.states), -1)
    output = _aligned((steps, samples * neurons), np.int8 if spikes else number)
    last_output = np.zeros(samples * neurons, output.dtype)
    if before is not None:
        last_output[:] = before.reshape(-1)
    w_in, w_rec = (
        np.empty((0, neurons), number) if matrix is None else _aligned_copy(matrix.T)
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


class Backward:
    """The adjoint of `forward` on real numbers, piece by piece from the last step to the first.

    Args:
        neuron, recurrent, coefficients, constants: As in `forward`.
        surrogate: The derivative of a spike, see `neurons.surrogate`.
        samples: In the batch.
        truncate: Steps of the windows that gradients do not leave; 0: one window.
    """

    def __init__(
        self,
        neuron: Neuron,
        surrogate: Callable[..., Any],
        recurrent: Any | None,
        coefficients: Any,
        constants: Any,
        samples: int,
        truncate: int = 0,
    ) -> None:
        count, neurons = coefficients.shape
        number, self._group = coefficients.dtype, _group_size(samples)
        self._neuron, self._constants, self._window = neuron, constants, truncate or sys.maxsize
        self._loop = _backward_loop(neuron, surrogate)
        self._panels = np.empty(0, number) if recurrent is None else _panels(recurrent)
        # of each group, see `_backward`; no two rows begin at the same place of a page, which would
        # make them displace each other from the cache
        size, even = self._group * neurons, self._group + self._group % 2
        width = -(-even * max(neurons, PANEL) // 16) * 16 + 80
        groups, rows = -(-samples // self._group), 3 + len(neuron.states) + 2 * count
        self._room = _aligned((groups, rows, width), number)
        self._room[:] = 0
        self._room[:, -2 * count : -count, :size] = np.tile(coefficients, self._group)
        by_sample = (groups, count, self._group, neurons)
        self._grad_coefficients = self._room[:, -count:, :size].reshape(by_sample)

    def run(self, grad_output: Any, states: Any, begin: int = 0) -> Any:
        """The gradient of the currents [T, B, N] of a piece, which ends where the last one began.

        Args:
            grad_output: [T, B, N] from all that reads the output but the layer's recurrence.
            states: [T + 1, S, B, N], as `forward` keeps them.
            begin: The step that the piece begins at.
        """
        steps, samples, neurons = grad_output.shape
        grad_current = _aligned((steps, samples * neurons), states.dtype)
        with _compiling(self._neuron):
            self._loop(
                grad_output.reshape(steps, samples * neurons),
                states.reshape(steps + 1, states.shape[1], samples * neurons),
                self._panels,
                self._room,
                self._constants,
                grad_current,
                neurons,
                self._group,
                self._window,
                begin,
            )
        return grad_current.reshape(grad_output.shape)

    def grad_coefficients(self) -> Any:
        """[P, N], after the first piece."""
        return self._grad_coefficients.sum(axis=(0, 2))
