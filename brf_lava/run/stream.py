"""A stream of sequences through one running network, an answer per step.

    with Stream(network) as stream:
        for x in steps:                      # [I] integers each
            for answer in stream.push(x):    # of `stream.delay` steps ago
                print(answer.label)
        for answer in stream.reset():        # the rest of the sequence; the next one begins
            print(answer.label)

Every sequence starts from zero state, without a restart: its answers equal, in every integer, what
the engine computes for it alone.
"""

from __future__ import annotations

from collections import deque
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from brf_lava.backends.base import STREAMING
from brf_lava.backends.stepwise import Steps
from brf_lava.errors import ParameterError
from brf_lava.network.layers import FixedNetwork
from brf_lava.run.early import check_early, leaders
from brf_lava.run.result import decision_of


@dataclass(frozen=True, eq=False)
class Answer:
    """What the network says after one step of a sequence; sequences and steps count from 0.

    outputs: [C] int64, the readout after this step, with `state_bits` fraction bits. label: the
    class if the sequence ended here. margin: its lead over the second, see `run.early`. Both are
    None in a mean's ignored steps, and the margin where there is one class only. decided: the
    class, at the first step of the sequence whose margin reaches that of the stream.
    """

    sequence: int
    step: int
    outputs: NDArray[np.int64]
    label: int | None
    margin: float | None
    decided: int | None = None


class Stream:
    """A network that keeps running and answers step by step, to be used in a ``with`` block.

    An answer comes `delay` steps after its input: one per layer on Lava, whose connections delay by
    a step each, none on the engine. After an error the stream is closed.

    Args:
        network: What to run, one sample at a time.
        backend: ``"sim"`` for Lava on this computer, or ``"engine"``.
        decide: The margin that decides a sequence, in units of the readout; None decides nothing.
        timeout: Seconds that Lava may take for its start and for each step; None for no limit.

    Raises:
        ParameterError: For another backend, for a margin out of range, and for a margin with a
            network that names a class at every step.
        BackendUnavailableError, LavaRunError: On entering the block, if Lava does not start.
    """

    def __init__(
        self,
        network: FixedNetwork,
        *,
        backend: str = "sim",
        decide: float | None = None,
        timeout: float | None = None,
    ) -> None:
        if backend not in STREAMING:
            raise ParameterError(
                f"stream: backend {backend!r}; choose one of {', '.join(STREAMING)}."
            )
        if decide is not None:
            check_early(network, [decide], "decide")
        self._network, self._timeout = network, timeout
        self._backend = STREAMING[backend]
        self._decision = decision_of(network)
        self._decide = np.inf if decide is None else decide
        self._sequence, self._answered, self._decided = 0, 0, False
        self._total = np.zeros(network.classes, np.int64)
        self._pending: deque[bool] = deque()  # per step on its way: whether it has an answer
        self._begun = False  # whether the sequence has had a step
        self._stack = ExitStack()
        self._steps: Steps | None = None

    def __enter__(self) -> Stream:
        self._steps = self._stack.enter_context(self._backend.steps(self._network, self._timeout))
        return self

    def __exit__(self, *error: Any) -> None:
        self.close()

    def close(self) -> None:
        """End the network; answers on their way are dropped."""
        self._steps = None
        self._stack.close()

    @property
    def delay(self) -> int:
        """How many steps after its input an answer comes."""
        return self._backend.delay(self._network)

    def push(self, x: Any) -> tuple[Answer, ...]:
        """Send one step of the sequence.

        Args:
            x: Inputs [I], integers in the network's range.

        Returns:
            The answer to the step `delay` steps ago, if there was one.

        Raises:
            ParameterError: If x has another shape, type or range, or the stream is closed.
            LavaRunError: If Lava fails.
        """
        given = np.asarray(x)
        inputs, (low, high) = self._network.inputs, self._network.input_range
        integers = given.dtype.kind in "biu" and given.shape == (inputs,)
        if not integers or given.min() < low or given.max() > high:
            raise ParameterError(
                f"stream: a step of {given.dtype} and shape {given.shape}, {str(x)[:80]}; {inputs} "
                f"integers from {low} to {high} are needed."
            )
        self._begun = True
        return self._step(given.astype(np.int16))

    def reset(self) -> tuple[Answer, ...]:
        """End the sequence; the next step starts another one from zero state.

        Returns:
            All answers of the sequence that are still on their way.

        Raises:
            LavaRunError: If Lava fails.
        """
        if not self._begun:
            return ()
        answers = [answer for _ in range(max(1, self.delay)) for answer in self._step(None)]
        self._begun = False
        self._sequence, self._answered, self._decided = self._sequence + 1, 0, False
        return tuple(answers)

    def _step(self, x: NDArray[np.int16] | None) -> tuple[Answer, ...]:
        if self._steps is None:
            raise ParameterError("stream: not open; use it inside 'with Stream(...) as stream:'.")
        try:
            outputs = self._steps(x)
        except BaseException:  # Ctrl-C, too: a step half done cannot be taken up again
            self.close()
            raise
        self._pending.append(x is not None)
        if len(self._pending) <= self.delay or not self._pending.popleft():
            return ()
        return (self._answer(outputs),)

    def _answer(self, outputs: NDArray[np.int64]) -> Answer:
        """Judge the readout [C] after the next step of a sequence."""
        step, count = self._answered, 1
        self._answered += 1
        if self._decision.prediction == "mean":
            count = self._answered - self._decision.ignore_first
        if count <= 0:
            return Answer(self._sequence, step, outputs, None, None)
        self._total = outputs if count == 1 else self._total + outputs
        label, decided = int(self._total.argmax()), None
        if len(outputs) < 2:
            return Answer(self._sequence, step, outputs, label, None)
        margin = float(leaders(self._total, count << self._network.output_bits)[1])
        if margin >= self._decide and not self._decided:
            self._decided, decided = True, label
        return Answer(self._sequence, step, outputs, label, margin, decided)
