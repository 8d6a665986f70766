"""Runs networks of netx, ours or stock, and looks at all of their layers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

TIMEOUT = 60.0  # s, for one Lava run; they take about one


def run_networks(
    nets: Sequence[Any], x: NDArray[Any], root: Any = None
) -> list[list[NDArray[np.int32]]]:
    """What every layer of every network sends, [T, N] each, the layers' delays taken out.

    x: [T, I], sent to all networks, which run side by side. root: the process that is run.
    """
    from lava.magma.core.run_configs import Loihi2SimCfg

    from brf_lava.backends.sim.launch import run_graph, shared_array
    from brf_lava.proc.io.process import Sink, Source

    steps = len(x)
    total = steps + max(map(len, nets))
    source = Source(recording=x, name="input")
    records = []
    for net in nets:
        source.s_out.connect(net.inp)
        ports = [*(layer.out for layer in net.layers[:-1]), net.out]
        records.append([shared_array((total, *port.shape), np.int32) for port in ports])
        for port, record in zip(ports, records[-1], strict=True):
            port.connect(Sink(record=record).a_in)
    run_graph(root or source, Loihi2SimCfg(select_tag="fixed_pt"), total, timeout=TIMEOUT)
    return [
        [record[layer : layer + steps] for layer, record in enumerate(layers, start=1)]
        for layers in records
    ]
