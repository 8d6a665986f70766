"""The ECG test set through Lava: all samples in one run, one after the other, and as a command."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np

from benchmarks import ecg
from benchmarks.subprocesses import COMMAND, run_python
from benchmarks.timing import Bar, Comparison, Row, alternate
from brf_lava.backends.base import BACKENDS
from brf_lava.network.layers import FixedNetwork
from brf_lava.run.execute import execute
from brf_lava.train.export import export_model

TITLE = "ECG test set on Lava"
WEIGHT_BITS, PARAMETER_BITS = 8, 16  # the defaults of `brf-lava export`
SAMPLES_TIMED = 5  # one at a time; the rest is extrapolated
ROUNDS = 5
FULL_ROUNDS = 1  # one at a time takes minutes
COMMAND_ROUNDS = 3
RUN_BAR = Bar(seconds_at_most=2)
COMMAND_BAR = Bar(seconds_at_most=6)

# scipy is imported first: only reading and checking the files counts as loading.
LOAD = """
import time, scipy.io
from brf_lava.tasks.registry import find_task
started = time.perf_counter()
find_task("ecg").load(None)
print(time.perf_counter() - started)
"""


def measure(full: bool = False) -> list[Comparison]:
    """The run alone, then the whole command.

    full: run every sample one at a time instead of a few.
    Raises: BackendUnavailableError without Lava.
    """
    BACKENDS["sim"].require()  # before anything else starts numba's threads
    experiment = ecg.load()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "net.h5")
        network, _ = export_model(
            experiment.checkpoint,
            experiment.dataset,
            path,
            parameter_bits=PARAMETER_BITS,
            weight_bits=WEIGHT_BITS,
            rounding="nearest",
        )
        return [_compare_batching(network, experiment, full), _time_command(path, experiment)]


def _compare_batching(network: FixedNetwork, experiment: ecg.Experiment, full: bool) -> Comparison:
    x = experiment.dataset.test.time_major()  # [T, B, I]
    steps, samples, _ = x.shape
    few = x if full else np.ascontiguousarray(x[:, :SAMPLES_TIMED])
    timed_samples = few.shape[1]
    batched = f"Lava, all {samples} in one run"
    how = "timed" if full else f"extrapolated from {timed_samples}"
    single = f"Lava, one at a time ({how})"
    engine = f"integer engine, all {samples}"

    def one_at_a_time() -> float:
        each = (few[:, index : index + 1] for index in range(timed_samples))
        seconds = sum(execute(network, one, backend="sim")[1] for one in each)
        return float(seconds * samples / timed_samples)

    contenders: dict[str, Callable[[], float]] = {
        batched: lambda: execute(network, x, backend="sim")[1],
        single: one_at_a_time,
        engine: lambda: execute(network, x, backend="engine")[1],
    }
    for name in (batched, engine):  # imports and compiles what the third one needs too
        contenders[name]()
    seconds = alternate(contenders, rounds=FULL_ROUNDS if full else ROUNDS, warm_up=0)
    return Comparison(
        title=f"Run of the ECG test set, {samples} x {steps} steps",
        rows=tuple(
            Row(name, seconds[name], RUN_BAR if name == batched else Bar()) for name in contenders
        ),
        base=batched,
        notes=experiment.notes,
    )


def _time_command(path: Path, experiment: ecg.Experiment) -> Comparison:
    arguments = ["run", str(path), "--backend", "sim"]
    loading, command = "data loading alone", "brf-lava run net.h5 --backend sim"
    seconds = alternate(
        {
            loading: lambda: float(run_python(LOAD).stdout),
            command: lambda: run_python(COMMAND, arguments).seconds,
        },
        rounds=COMMAND_ROUNDS,
    )
    rest = tuple(
        whole - load for whole, load in zip(seconds[command], seconds[loading], strict=True)
    )
    return Comparison(
        title="The whole command, process start to end",
        rows=(
            Row(command, seconds[command]),
            Row(loading, seconds[loading]),
            Row("the command without loading", rest, COMMAND_BAR),
        ),
        notes=(
            *experiment.notes,
            "The command also compares every integer with the engine (--check, by default).",
        ),
    )
