"""A training step of one layer over the least that a dense one needs: a product in every step."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numba
import torch

from benchmarks.layers import Layer, Size, layer_of
from benchmarks.timing import Bar, Comparison, Row, alternate, timed
from brf_lava.kernels import cpu, loop

TITLE = "training step over the dense floor"
ROUNDS = 15
WARM_UP = 2
SIZES = {
    Size(1, 256, 32, 784, rate=0.05, active=0.2, gray=True): Bar(ratio_at_most=2.2),
    Size(1, 256, 32, 784, rate=0.18, active=0.2, gray=True): Bar(ratio_at_most=2.2),
    Size(700, 128, 32, 250, rate=0.05, active=0.03): Bar(ratio_at_most=4),
    Size(4, 36, 16, 1300, rate=0.137, active=0.1): Bar(),
}
FLOOR, STEP = "dense floor", "training step"
PARTS: dict[str, tuple[Any, str]] = {
    "forward": (loop, "forward"),
    "backward": (loop.Backward, "run"),
    "weight gradients": (cpu, "_weight_gradient"),
}


def measure() -> list[Comparison]:
    """Each size on all cores, and on one."""
    before = torch.get_num_threads(), numba.get_num_threads()
    comparisons = []
    try:
        for threads in dict.fromkeys((min(before), 1)):
            torch.set_num_threads(threads)
            numba.set_num_threads(threads)
            for size, bar in SIZES.items():
                comparisons.append(_compare(size, bar, threads))
    finally:
        torch.set_num_threads(before[0])
        numba.set_num_threads(before[1])
    return comparisons


def _compare(size: Size, bar: Bar, threads: int) -> Comparison:
    layer = layer_of(size)
    parts: dict[str, list[float]] = {name: [] for name in PARTS}

    def step() -> float:
        with watched(parts):
            return timed(layer.step)()

    seconds = alternate({FLOOR: timed(floor_of(layer)), STEP: step}, rounds=ROUNDS, warm_up=WARM_UP)
    rows = [Row(FLOOR, seconds[FLOOR]), Row(STEP, seconds[STEP], bar)]
    rows += [Row(f"of it, {name}", tuple(each[WARM_UP:])) for name, each in parts.items()]
    return Comparison(
        title=f"One layer {size}, {layer.rate:.1%} spikes, {threads} thread{'s' * (threads > 1)}",
        rows=tuple(rows),
        base=FLOOR,
        notes=(f"The floor: {size.steps} products of batch x N by N x N, by torch.",),
    )


def floor_of(layer: Layer) -> Callable[[], None]:
    """The products that the recurrent weights take in one direction, were all values dense."""
    recurrent = layer.parameters[1].detach()
    steps, batch, neurons = layer.grad_output.shape
    rows, product = torch.rand(batch, neurons), torch.empty(batch, neurons)

    def run() -> None:
        for _ in range(steps):
            torch.mm(rows, recurrent, out=product)

    return run


@contextmanager
def watched(parts: dict[str, list[float]]) -> Iterator[None]:
    """Append to each part the seconds that are spent in its function inside the context."""
    originals = {name: getattr(*place) for name, place in PARTS.items()}
    spent: dict[str, float] = defaultdict(float)

    def timer(name: str) -> Callable[..., Any]:
        def run(*arguments: Any, **named: Any) -> Any:
            started = time.perf_counter()
            result = originals[name](*arguments, **named)
            spent[name] += time.perf_counter() - started
            return result

        return run

    try:
        for name, place in PARTS.items():
            setattr(*place, timer(name))
        yield
    finally:
        for name, place in PARTS.items():
            setattr(*place, originals[name])
            parts[name].append(spent[name])
