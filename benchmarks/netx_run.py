"""ECG samples on Lava: our processes with a batch and without, and networks loaded by netx."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from benchmarks import ecg
from benchmarks.timing import Comparison, Row, alternate
from brf_lava.backends import engine
from brf_lava.errors import MismatchError
from brf_lava.network.layers import FixedNetwork
from brf_lava.run.execute import execute
from brf_lava.train.export import export_model

TITLE = "ECG samples on Lava through netx"
WEIGHT_BITS, PARAMETER_BITS = 8, 16  # the defaults of `brf-lava export`
SAMPLES_TIMED = 2  # one at a time; the rest is extrapolated
ROUNDS = 5
SEED = 0  # of the stock network's weights
PERIOD, DECAY, THRESHOLD = 50, 0.01, 1 << 10  # of its neurons: steps, per step, weight units


def measure() -> list[Comparison]:
    """Raises: BackendUnavailableError without Lava or lava-dl; MismatchError if netx computes
    anything else than the engine."""
    import brf_lava.backends.netx  # noqa: F401  # before anything else starts numba's threads

    experiment = ecg.load()
    x = experiment.dataset.test.time_major()  # [T, B, I]
    with tempfile.TemporaryDirectory() as folder:
        ours, stock = Path(folder, "net.h5"), Path(folder, "stock.h5")
        network, _ = export_model(
            experiment.checkpoint,
            experiment.dataset,
            ours,
            parameter_bits=PARAMETER_BITS,
            weight_bits=WEIGHT_BITS,
            rounding="nearest",
        )
        _write_stock(stock, network)
        _check(network, ours, x[:, :1])
        return [_compare(network, ours, stock, x, experiment.notes)]


def _compare(
    network: FixedNetwork, ours: Path, stock: Path, x: NDArray[Any], notes: tuple[str, ...]
) -> Comparison:
    from lava.lib.dl.netx import hdf5

    from brf_lava.backends.netx.process import Network

    steps, samples, _ = x.shape
    few = np.ascontiguousarray(x[:, :SAMPLES_TIMED])
    scale = samples / few.shape[1]
    sizes = "-".join(map(str, (network.inputs, *(layer.shape[0] for layer in network.layers))))
    batched = f"our processes, all {samples} in one run"

    def through(kind: Callable[[str], Any], path: Path) -> Callable[[], float]:
        def run() -> float:
            started = time.perf_counter()
            for sample in range(few.shape[1]):
                _run_network(kind(str(path)), few[:, sample])
            return float((time.perf_counter() - started) * scale)

        return run

    contenders: dict[str, Callable[[], float]] = {
        batched: lambda: execute(network, x, backend="sim")[1],
        "our processes, one at a time": lambda: (
            scale
            * sum(
                execute(network, few[:, sample : sample + 1], backend="sim")[1]
                for sample in range(few.shape[1])
            )
        ),
        "the same through our Network, one at a time": through(Network, ours),
        f"RF_IZ {sizes} through lava-dl's Network, one at a time": through(hdf5.Network, stock),
    }
    seconds = alternate(contenders, rounds=ROUNDS)
    return Comparison(
        title=f"Run of the ECG test set, {samples} x {steps} steps",
        rows=tuple(Row(name, seconds[name]) for name in contenders),
        base=batched,
        notes=(
            *notes,
            f"One at a time: extrapolated from {few.shape[1]} samples; each builds its graph anew.",
            "All have the same source, sink and guarded runner. RF_IZ: lava-dl's own neurons, with "
            "complex weights, random, and read out by CUBA neurons. They are not recurrent, which "
            "netx does not support for them; the number of processes is that of ours.",
        ),
    )


def _run_network(net: Any, x: NDArray[Any]) -> NDArray[Any]:
    """The last layer's outputs, [T, N]. x: [T, I]."""
    from lava.magma.core.run_configs import Loihi2SimCfg

    from brf_lava.backends.sim.launch import run_graph, shared_array
    from brf_lava.proc.io.process import Sink, Source

    source = Source(recording=x, name="input")
    record = shared_array((len(x) + len(net), *net.out.shape), np.int32)
    sink = Sink(record=record, name="output")
    source.s_out.connect(net.inp)
    net.out.connect(sink.a_in)
    run_graph(sink, Loihi2SimCfg(select_tag="fixed_pt"), len(record))
    return record[len(net) :]


def _check(network: FixedNetwork, path: Path, x: NDArray[Any]) -> None:
    """x: [T, 1, I]."""
    from brf_lava.backends.netx.process import Network

    found = _run_network(Network(path), x[:, 0])
    if not np.array_equal(found, engine.run(network, x).outputs[:, 0]):
        raise MismatchError("benchmark netx_run: the network through netx is not the engine's.")


def _write_stock(path: Path, network: FixedNetwork) -> None:
    """Resonators and a readout of lava-dl's, of the same sizes, in netx's layout."""
    rng = np.random.default_rng(SEED)
    angle = 2 * np.pi / PERIOD
    resonator = {
        "type": "RF_IZHIKEVICH",
        "sinDecay": int(4096 * (1 - DECAY) * np.sin(angle)),
        "cosDecay": int(4096 * (1 - DECAY) * np.cos(angle)),
        "vThMant": THRESHOLD,
    }
    readout = {"type": "CUBA", "iDecay": 4096, "vDecay": 128, "vThMant": THRESHOLD}
    with h5py.File(path, "w") as file:
        for index, layer in enumerate(network.layers):
            count, inputs = layer.shape
            group = file.create_group(f"layer/{index}")
            group.create_dataset("type", data=np.array(["dense"], "S10"))
            group.create_dataset("shape", data=[count])
            for name in ("weight/real", "weight/imag") if layer.neuron.spiking else ("weight",):
                group.create_dataset(name, data=rng.integers(-64, 64, (count, inputs)))
            for name, value in (resonator if layer.neuron.spiking else readout).items():
                group.create_dataset(f"neuron/{name}", data=value)
