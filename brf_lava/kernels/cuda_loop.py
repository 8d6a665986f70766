"""The loop over time on a GPU, compiled by numba-cuda: one launch for all steps, any neuron.

A thread is a neuron, or several ones in slots, and keeps their states in registers. Recurrence is
event-driven forward: a block runs one sample, lists the neurons that spiked and adds their rows of
the weights. It is dense backward: a block runs `GROUP` samples, so that it reads the weights once
for all of them. Samples may belong to several networks of one kind.

Compiled and simulated in the tests, not run on a card.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from types import FunctionType
from typing import Any

import numba
import numpy as np

from brf_lava.errors import BackendUnavailableError
from brf_lava.io.extras import require_extra
from brf_lava.kernels.loop import GET, PUT, SUM
from brf_lava.neurons.binding import bound
from brf_lava.neurons.families import Neuron

GROUP = 4  # samples of a block in the backward pass, and rows of its threads
THREADS = 1024  # most of a block
FORWARD_LANES, BACKWARD_LANES = THREADS, THREADS // GROUP  # most of a row
WORD, WORDS = 32, 32  # neurons whose spikes are the bits of one word, and words of a row

# What the kernels find bound when `kernel_function` has filled them in
unbound: Any = None
cuda = float32 = int32 = uint32 = STATES = COEFFICIENTS = SLOTS = RECURRENT = ALIGNED = unbound
_step = _adjoint = _get_states = _put_states = _get_own = _put_own = _sum = unbound


def forward(
    current: Any,
    w_rec: Any,
    coefficients: Any,
    constants: Any,
    before: Any,
    history: Any,
    output: Any,
    samples: Any,
) -> None:
    """One block per sample.

    current, output: [T, R * B * N], of R networks. w_rec: [R, N, N], one row per presynaptic
    neuron. coefficients: [R, P, N]. before: [R * B * N], the outputs before the first step.
    history: [T + 1, S, R * B * N], the first of them given, or [1, S, R * B * N] to keep only the
    last. samples: B.
    """
    steps, neurons = current.shape[0], coefficients.shape[2]
    lane, lanes, b = cuda.threadIdx.x, cuda.blockDim.x, cuda.blockIdx.x
    network, kept = b // samples, history.shape[0] > 1
    states = cuda.local.array((STATES, SLOTS), float32)
    own = cuda.local.array((COEFFICIENTS, SLOTS), float32)
    signal = cuda.local.array(SLOTS, float32)
    total = cuda.local.array(SLOTS, float32)
    marks = cuda.shared.array((2, WORDS), uint32)  # bits: who spiked
    listed = cuda.shared.array(FORWARD_LANES, int32)
    values = cuda.shared.array(FORWARD_LANES, float32)
    words, turn = (lanes + WORD - 1) // WORD, 0
    if lane < words:
        marks[0, lane] = 0
    cuda.syncthreads()
    for slot in range(SLOTS):
        k = lane + slot * lanes
        signal[slot] = 0
        if k < neurons:
            _put_states(states, slot, _get_states(history[0], b * neurons + k))
            _put_own(own, slot, _get_own(coefficients[network], k))
            signal[slot] = before[b * neurons + k]
    for t in range(steps):
        for slot in range(SLOTS):
            k = lane + slot * lanes
            if k < neurons:
                total[slot] = current[t, b * neurons + k]
        if RECURRENT:
            for source in range(SLOTS):
                value = signal[source]
                if value != 0:
                    cuda.atomic.or_(marks, (turn, lane // WORD), 1 << (lane % WORD))
                cuda.syncthreads()
                count = place = 0
                for word in range(words):
                    bits = cuda.popc(marks[turn, word])
                    place += bits if word < lane // WORD else 0
                    count += bits
                if value != 0:  # the list is in the order of the neurons: sums never differ
                    place += cuda.popc(marks[turn, lane // WORD] & ((1 << (lane % WORD)) - 1))
                    listed[place] = lane + source * lanes
                    values[place] = value
                turn = 1 - turn
                if lane < words:
                    marks[turn, lane] = 0  # read last before the barrier above
                cuda.syncthreads()
                for slot in range(SLOTS):
                    k = lane + slot * lanes
                    if k < neurons:
                        rows = w_rec[network]
                        for n in range(0, count - 3, 4):  # four loads under way
                            total[slot] += (
                                values[n] * rows[listed[n], k]
                                + values[n + 1] * rows[listed[n + 1], k]
                                + values[n + 2] * rows[listed[n + 2], k]
                                + values[n + 3] * rows[listed[n + 3], k]
                            )
                        for n in range(count - count % 4, count):
                            total[slot] += values[n] * rows[listed[n], k]
        for slot in range(SLOTS):
            k = lane + slot * lanes
            if k < neurons:
                new, z = _step(
                    _get_states(states, slot), total[slot], _get_own(own, slot), constants
                )
                _put_states(states, slot, new)
                signal[slot] = z
                output[t, b * neurons + k] = z
                if kept or t == steps - 1:
                    _put_states(history[t + 1 if kept else 0], b * neurons + k, new)


def backward(
    grad_output: Any,
    w_rec: Any,
    coefficients: Any,
    constants: Any,
    history: Any,
    grad_current: Any,
    grad_coefficients: Any,
    samples: Any,
    window: Any,
) -> None:
    """One block per `GROUP` samples of a network, with one row of threads for each of them.

    In the product a row of threads adds up its share of the weights' rows for all these samples.
    Arrays as of `forward`, but w_rec has one row per postsynaptic neuron; grad_coefficients:
    [P, R * B * N]. window: steps that gradients do not leave.
    """
    steps, neurons = grad_output.shape[0], coefficients.shape[2]
    lane, row, lanes = cuda.threadIdx.x, cuda.threadIdx.y, cuda.blockDim.x
    network, sample = cuda.blockIdx.y, GROUP * cuda.blockIdx.x + row
    b = network * samples + sample
    grad_states = cuda.local.array((STATES, SLOTS), float32)
    own = cuda.local.array((COEFFICIENTS, SLOTS), float32)
    sums = cuda.local.array((COEFFICIENTS, SLOTS), float32)
    now = cuda.local.array((STATES, SLOTS), float32)
    later = cuda.local.array((STATES, SLOTS), float32)
    into_output = cuda.local.array(SLOTS, float32)
    into_current = cuda.local.array(SLOTS, float32)
    passed = cuda.shared.array((BACKWARD_LANES, GROUP), float32, ALIGNED)
    parts = cuda.shared.array((GROUP, GROUP, BACKWARD_LANES), float32)  # row, sample, neuron
    for slot in range(SLOTS):
        k = lane + slot * lanes
        into_current[slot] = into_output[slot] = 0
        for p in range(COEFFICIENTS):
            sums[p, slot] = 0
        if k < neurons and sample < samples:
            _put_own(own, slot, _get_own(coefficients[network], k))
            _put_states(later, slot, _get_states(history[steps], b * neurons + k))
    left = steps % window  # steps to the next border; dividing in each step would take long
    for back in range(steps):
        t = steps - 1 - back
        follows = back > 0 and left > 0  # else what follows is in another window
        left = (left if left > 0 else window) - 1
        for slot in range(SLOTS):
            k = lane + slot * lanes
            if k < neurons and sample < samples:  # on their way during the product
                _put_states(now, slot, _get_states(history[t], b * neurons + k))
                into_output[slot] = grad_output[t, b * neurons + k]
            if not follows:
                for s in range(STATES):
                    grad_states[s, slot] = 0
        if RECURRENT and follows:
            for source in range(SLOTS):
                passed[lane, row] = into_current[source]
                cuda.syncthreads()
                size = min(lanes, neurons - source * lanes)
                for slot in range(SLOTS):
                    k = lane + slot * lanes
                    sum0 = sum1 = sum2 = sum3 = float32(0)
                    if k < neurons:
                        for i in range(row, size, GROUP):
                            weight = w_rec[network, source * lanes + i, k]
                            sum0 += weight * passed[i, 0]
                            sum1 += weight * passed[i, 1]
                            sum2 += weight * passed[i, 2]
                            sum3 += weight * passed[i, 3]
                    parts[row, 0, lane], parts[row, 1, lane] = sum0, sum1
                    parts[row, 2, lane], parts[row, 3, lane] = sum2, sum3
                    cuda.syncthreads()
                    for other in range(GROUP):
                        into_output[slot] += parts[other, row, lane]
                    cuda.syncthreads()
        for slot in range(SLOTS):
            k = lane + slot * lanes
            if k < neurons and sample < samples:
                into_states, into_current[slot], into_own = _adjoint(
                    _get_states(now, slot),
                    _get_states(later, slot),
                    _get_own(own, slot),
                    constants,
                    _get_states(grad_states, slot),
                    into_output[slot],
                )
                _put_states(grad_states, slot, into_states)
                _put_states(later, slot, _get_states(now, slot))
                _put_own(sums, slot, _sum(_get_own(sums, slot), into_own))
                grad_current[t, b * neurons + k] = into_current[slot]
    for slot in range(SLOTS):
        k = lane + slot * lanes
        if k < neurons and sample < samples:
            _put_own(grad_coefficients, b * neurons + k, _get_own(sums, slot))


@cache
def numba_cuda() -> Any:
    """The module. Raises: BackendUnavailableError where numba-cuda is not installed."""
    require_extra("cuda", "numba_cuda")
    from numba import cuda

    numba.config.CUDA_LOW_OCCUPANCY_WARNINGS = 0  # a small batch is no mistake
    return cuda


def simulated() -> bool:
    """Whether kernels run on the CPU, thread by thread: with NUMBA_ENABLE_CUDASIM=1, for tests."""
    numba_cuda()
    return bool(numba.config.ENABLE_CUDASIM)


@cache
def _device_function(function: FunctionType) -> Any:
    """A function for the card, with the plain functions it calls and its constants in single."""
    names: dict[str, Any] = {}
    for name in function.__code__.co_names:
        value = function.__globals__.get(name)
        if isinstance(value, FunctionType):
            names[name] = _device_function(value)
        elif isinstance(value, float):  # would make all of it double
            names[name] = np.float32(value)
    twin = bound(function, **names)
    return twin if simulated() else numba_cuda().jit(device=True)(twin)


@cache
def kernel_function(
    function: FunctionType,
    neuron: Neuron,
    surrogate: Callable[..., Any],
    slots: int,
    recurrent: bool,
) -> FunctionType:
    """`forward` or `backward` with a neuron's steps filled in, for `slots` neurons a thread.

    Raises: BackendUnavailableError for a neuron without an adjoint.
    """
    if neuron.adjoint_step is None:
        raise BackendUnavailableError(
            f"kernel 'cuda': neuron {neuron.name} has no adjoint. Choose kernel 'reference' or "
            "'auto'."
        )
    states, own = len(neuron.states), len(neuron.coefficients)
    functions: dict[str, Any] = {
        "_step": neuron.real_step,
        "_adjoint": bound(neuron.adjoint_step, derivative=surrogate),
        "_get_states": GET[states],
        "_put_states": PUT[states],
        "_get_own": GET[own],
        "_put_own": PUT[own],
        "_sum": SUM[own],
    }
    return bound(
        function,
        f"cuda_{function.__name__}_{neuron.key}",
        cuda=numba_cuda(),
        **{name: getattr(numba, name) for name in ("float32", "int32", "uint32")},
        **{name: _device_function(each) for name, each in functions.items()},
        STATES=states,
        COEFFICIENTS=own,
        SLOTS=slots,
        RECURRENT=recurrent,
        ALIGNED=None if simulated() else 16,  # so that one load brings what all samples pass
    )


@cache
def kernel(*key: Any) -> Any:
    """`kernel_function`, to be launched."""
    bounds = {} if simulated() else {"launch_bounds": THREADS}
    return numba_cuda().jit(**bounds)(kernel_function(*key))


def lanes_and_slots(neurons: int, most: int) -> tuple[int, int]:
    """How many threads run so many neurons, at most `most`, and how many neurons each."""
    slots = -(-neurons // most)
    return -(-neurons // slots), slots
