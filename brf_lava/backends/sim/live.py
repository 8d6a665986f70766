"""A network on Lava that takes a step when it is asked to, without end.

Lava is imported inside functions, as in `lava_net`.
"""

from __future__ import annotations

import math
import os
import select
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from brf_lava.backends.sim.lava_net import batch_dense, root_logger_kept, wire
from brf_lava.backends.stepwise import Steps
from brf_lava.io.shared_memory import shared_array
from brf_lava.lava_support import require_lava
from brf_lava.network.layers import FixedNetwork

if TYPE_CHECKING:
    from brf_lava.backends.sim.launch import Running

POLL_MAX = 2**31 - 1  # ms, that a poll can wait
MOMENT = 500  # ms
TOKEN = b"."  # what a pipe carries when there is something new in shared memory


@contextmanager
def lava_steps(network: FixedNetwork, timeout: float | None) -> Iterator[Steps]:
    """A Lava graph of the network, under way until the ``with`` block ends.

    timeout: s, that a step may take, and the start; never more than `launch.step_limit`. Raises:
    LavaRunError, and so does a step.
    """
    require_lava()
    from lava.magma.core.run_configs import Loihi2SimCfg

    from brf_lava.backends.sim.launch import running
    from brf_lava.io.program import step_limit
    from brf_lava.proc.io.process import LiveSource

    steps = _LavaSteps(network)
    try:
        with root_logger_kept():
            source = LiveSource(feed=steps.receive, shape=(1, network.inputs), name="input")
            blanks = [partial(steps.is_blank, layer) for layer in range(len(network.layers))]
            extras: list[Any] = [{"samples": 1, "blanks": blank} for blank in blanks]
            extras[-1]["probe"] = steps.write
            *_, readout = wire(network, source.s_out, *batch_dense(network, 1), extras)
            with running(readout, Loihi2SimCfg(select_tag="fixed_pt"), where=steps.where) as graph:
                poll = select.poll()
                for handle in (steps.next_output, *graph.handles):
                    poll.register(handle, select.POLLIN)
                limit = min(step_limit(), timeout or math.inf, POLL_MAX / 1000)
                step = partial(steps.step, graph, poll, limit)
                step(None)  # done when all processes are there
                yield step
    finally:
        steps.close()


class _LavaSteps:
    """The steps, and what passes between this process and the graph.

    Numbers pass in shared memory, tokens in pipes. Everything lies in rings over the steps: the
    graph can be one step behind, its layers again by one step each.
    """

    def __init__(self, network: FixedNetwork) -> None:
        self._slots = len(network.layers) + 3
        self._inputs = shared_array((self._slots, 1, network.inputs), np.int16)
        self._blanks = shared_array((self._slots,), np.bool_)
        self._outputs = shared_array((self._slots, 1, network.classes), np.int32)
        self._pipes = (*os.pipe(), *os.pipe())
        self._next_input, self._input_there, self.next_output, self._output_there = self._pipes
        self._done = 0

    def step(
        self, graph: Running, poll: Any, limit: float, x: NDArray[np.int16] | None
    ) -> NDArray[np.int64]:
        """A `stepwise.Steps`. The graph is not kept: Lava keeps what its processes were given."""
        slot = (self._done + 1) % self._slots
        self._inputs[slot] = 0 if x is None else x
        self._blanks[slot] = x is None
        os.write(self._input_there, TOKEN)
        # twice: the time may be over because this process was stopped itself
        ready = [handle for handle, _ in poll.poll(1000 * limit) or poll.poll(MOMENT)]
        if self.next_output in ready:
            os.read(self.next_output, 1)
        elif ready:
            graph.raise_fault()
        else:
            graph.raise_late(limit)
        self._done += 1
        outputs: NDArray[np.int64] = self._outputs[slot, 0].astype(np.int64)
        return outputs

    def where(self) -> str:
        return f", {self._done} steps done"

    def close(self) -> None:
        for handle in self._pipes:
            os.close(handle)

    def receive(self, step: int) -> NDArray[np.int16]:
        """What the source sends, in its process."""
        os.read(self._next_input, 1)
        x: NDArray[np.int16] = self._inputs[step % self._slots]
        return x

    def write(self, step: int, outputs: NDArray[Any], states: Iterable[NDArray[Any]]) -> None:
        """A `proc.neurons.process.Probe`, in the readout's process."""
        self._outputs[step % self._slots] = outputs
        os.write(self._output_there, TOKEN)

    def is_blank(self, layer: int, step: int) -> bool:
        """A `proc.neurons.process.Blanks` of a layer: connections delay by a step each."""
        sent = step - layer - 1
        return sent > 0 and bool(self._blanks[sent % self._slots])
