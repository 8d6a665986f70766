"""An ECG streamed step by step, from line to line, beside the time that it lasts."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable
from pathlib import Path

from benchmarks import ecg
from benchmarks.lava_run import PARAMETER_BITS, WEIGHT_BITS
from benchmarks.timing import Bar, Comparison, Row, alternate, timed
from brf_lava.backends.base import STREAMING
from brf_lava.run.stream import Stream
from brf_lava.run.stream_lines import LineReader, write_answer
from brf_lava.train.export import export_model

TITLE = "ECG streamed step by step"
ROUNDS = 5
REAL_TIME_BAR = Bar(ratio_at_least=2)


def measure() -> list[Comparison]:
    """The first test sample as lines through one running network, on each backend.

    Raises: BackendUnavailableError without Lava.
    """
    STREAMING["sim"].require()  # before anything else starts numba's threads
    experiment = ecg.load()
    with tempfile.TemporaryDirectory() as folder:
        network, _ = export_model(
            experiment.checkpoint,
            experiment.dataset,
            Path(folder, "net.h5"),
            parameter_bits=PARAMETER_BITS,
            weight_bits=WEIGHT_BITS,
            rounding="nearest",
        )
    lines = [json.dumps(step.tolist()).encode() for step in experiment.dataset.test.x[0]]
    bits = network.output_bits
    signal = len(lines) * experiment.dataset.step_seconds

    reader = LineReader(network)

    def through(stream: Stream) -> Callable[[], object]:
        def run() -> None:
            answers = [
                answer for line in lines for answer in stream.push(reader.read(line, "the sample"))
            ]
            for answer in (*answers, *stream.reset()):
                write_answer(answer, bits)

        return run

    comparisons = []
    for backend in STREAMING:
        with Stream(network, backend=backend) as stream:
            streamed = f"stream on {backend}"
            seconds = alternate({streamed: timed(through(stream))}, rounds=ROUNDS)
        comparisons.append(
            Comparison(
                title=f"{len(lines)} steps of an ECG, JSON lines in and out, {backend}",
                rows=(
                    Row(streamed, seconds[streamed]),
                    Row("the signal itself", (signal,) * ROUNDS, REAL_TIME_BAR),
                ),
                base=streamed,
                notes=(*experiment.notes, "The ratio says how many times real time it keeps up."),
            )
        )
    return comparisons
