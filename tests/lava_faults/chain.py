"""source -> upstream -> downstream -> sink, run as a graph; as a script, for signals."""

from __future__ import annotations

import os
from collections.abc import Callable

import numpy as np
from lava.magma.core.run_configs import Loihi2SimCfg

from brf_lava.backends.sim.launch import run_graph, shared_array
from brf_lava.proc.io.process import Sink, Source
from lava_faults.process import Faulty

STEPS = 10


def run_chain(
    upstream: str = "",
    downstream: str = "",
    *,
    steps: int = STEPS,
    timeout: float | None = 60.0,
    on_progress: Callable[[int], None] | None = None,
) -> list[int]:
    """Send 1, 2, ... through two processes with these faults; what the sink has got."""
    source = Source(recording=np.arange(1, 101, dtype=np.int8)[:, None])
    first = Faulty(fault=upstream, name="upstream")
    second = Faulty(fault=downstream, name="downstream")
    record, counter = shared_array((steps, 1), np.int32), shared_array((1,), np.int64)
    sink = Sink(record=record, counter=counter)
    source.s_out.connect(first.a_in)
    first.a_out.connect(second.a_in)
    second.a_out.connect(sink.a_in)
    run_graph(
        sink,
        Loihi2SimCfg(select_tag="fixed_pt"),
        steps,
        timeout=timeout,
        counter=counter,
        on_progress=on_progress,
    )
    return [int(value) for value in record[:, 0]]


def main() -> None:
    """Run for long, and say once that the run is under way."""
    said: list[int] = []

    def say(step: int) -> None:
        if step > 20 and not said:
            said.append(step)
            os.write(1, b"under way\n")

    run_chain("sleep", steps=100_000, timeout=50.0, on_progress=say)


if __name__ == "__main__":
    main()
