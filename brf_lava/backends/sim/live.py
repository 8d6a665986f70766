"""A network on Lava that takes a step when it is asked to, without end.

Lava is imported inside functions, as in `lava_net`.
"""

from __future__ import annotations

import os
import select
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from brf_lava.backends.sim.lava_net import root_logger_kept, wire
from brf_lava.backends.stepwise import Steps
from brf_lava.errors import LavaRunError
from brf_lava.io.shared_memory import shared_array
from brf_lava.lava_support import require_lava
from brf_lava.network.layers import FixedNetwork

if TYPE_CHECKING:
    from brf_lava.backends.sim.guard import Running

TOKEN = b"."  # what a pipe carries when there is something new in shared memory


@contextmanager
def lava_steps(network: FixedNetwork, timeout: float | None) -> Iterator[Steps]:
    """A Lava graph of the network, under way until the ``with`` block ends.

    Args:
        network: What to run.
        timeout: Seconds that a step may take, and the start; None for no limit.

    Raises:
        BackendUnavailableError: Without Lava.
        LavaRunError: If the graph cannot be started in time; and `step` raises it when one of its
            processes fails or a step takes too long.
    """
    require_lava()
    from lava.magma.core.run_configs import Loihi2SimCfg

    from brf_lava.backends.sim.guard import running
    from brf_lava.proc.source.process import LiveSource

    link = _Link(network)
    try:
        with root_logger_kept():
            layers = len(network.layers)
            source = LiveSource(feed=link, shape=(1, network.inputs), name="input")
            readout = wire(
                network,
                source.s_out,
                1,
                [*[None] * (layers - 1), link],
                [_LayerBlanks(link.blanks, layer) for layer in range(layers)],
            )
            with running(readout, Loihi2SimCfg(select_tag="fixed_pt")) as graph:
                steps = _LavaSteps(link, graph, timeout)
                steps.step(None)  # done when all processes are there
                yield steps
    finally:
        link.close()


class _Link:
    """What passes between this process and the graph: numbers in shared memory, tokens in pipes.

    Everything lies in rings over the steps: the graph can be one step behind, its layers again by
    one step each.

    inputs:  [slots, 1, I] int16. blanks: [slots] bool, whether the source's step is a blank one.
    outputs: [slots, 1, C] int32.
    """

    def __init__(self, network: FixedNetwork) -> None:
        slots = len(network.layers) + 3
        self.inputs = shared_array((slots, 1, network.inputs), np.int16)
        self.blanks = shared_array((slots,), np.bool_)
        self.outputs = shared_array((slots, 1, network.classes), np.int32)
        self._next_input, self._input_there = os.pipe()
        self.next_output, self._output_there = os.pipe()

    def send(self, step: int, x: NDArray[np.int16] | None) -> None:
        """Hand over the input of a step, counted from 1. Called in this process, as `close` is."""
        slot = step % len(self.inputs)
        self.inputs[slot] = 0 if x is None else x
        self.blanks[slot] = x is None
        os.write(self._input_there, TOKEN)

    def receive(self, step: int) -> NDArray[np.int16]:
        """As `proc.hooks.Feed`."""
        os.read(self._next_input, 1)
        x: NDArray[np.int16] = self.inputs[step % len(self.inputs)]
        return x

    def write(self, step: int, outputs: NDArray[Any], states: Iterable[NDArray[Any]]) -> None:
        """As `proc.hooks.Probe`."""
        self.outputs[step % len(self.outputs)] = outputs
        os.write(self._output_there, TOKEN)

    def close(self) -> None:
        pipes = (self._next_input, self._input_there, self.next_output, self._output_there)
        for handle in pipes:
            os.close(handle)


class _LayerBlanks:
    """As `proc.hooks.Blanks`: each connection before the layer delays the source's by one step."""

    def __init__(self, blanks: NDArray[np.bool_], layer: int) -> None:
        self._blanks, self._later = blanks, layer + 1

    def due(self, step: int) -> bool:
        sent = step - self._later
        return sent > 0 and bool(self._blanks[sent % len(self._blanks)])


class _LavaSteps:
    def __init__(self, link: _Link, graph: Running, timeout: float | None) -> None:
        self._link, self._graph = link, graph
        self._timeout = None if timeout is None else 1000 * timeout  # ms, for poll
        self._done = 0
        self._poll = select.poll()
        for handle in (link.next_output, *graph.handles):
            self._poll.register(handle, select.POLLIN)

    def step(self, x: NDArray[np.int16] | None) -> NDArray[np.int64]:
        """See `Steps`."""
        step = self._done + 1
        self._link.send(step, x)
        ready = [handle for handle, _ in self._poll.poll(self._timeout)]
        if self._link.next_output in ready:
            os.read(self._link.next_output, 1)
        elif ready:
            self._graph.raise_fault(f", {self._done} steps done")
        else:
            raise LavaRunError(
                f"Lava run, {self._done} steps done: no answer within the time-out. Allow more "
                "time, or look for an endless loop in a process model."
            )
        self._done = step
        slot = step % len(self._link.outputs)
        outputs: NDArray[np.int64] = self._link.outputs[slot, 0].astype(np.int64)
        return outputs
