"""Run a network on test data, part by part, and compare it with its float network."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from brf_lava.backends.states import Recording
from brf_lava.data.dataset import Dataset, Split
from brf_lava.errors import NetworkFileError
from brf_lava.network.activity import FloatActivity
from brf_lava.network.layers import FixedNetwork
from brf_lava.run.early import Early, EarlyMeter
from brf_lava.run.execute import execute, samples_per_part, work
from brf_lava.run.result import (
    Reference,
    RunResult,
    decision_of,
    measure,
    reference_from,
    summarize,
)
from brf_lava.run.target import Target

logger = logging.getLogger(__name__)
NEEDED = ("task", "data", "metrics")  # of a network's provenance


@dataclass(frozen=True)
class TestRun:
    """A run on test data.

    Args:
        result: Accuracy and cost, next to those of the float network.
        early: What deciding early would cost, if margins were given.
        spike_slots: How many spikes there could have been: numbers that a check compared.
        outputs: How many outputs there were.
    """

    __test__ = False  # no test of pytest's

    result: RunResult
    early: Early | None
    spike_slots: int
    outputs: int


def lacking(network: FixedNetwork) -> list[str]:
    """What a network does not say about its training."""
    return [key for key in NEEDED if key not in network.provenance]


def check_provenance(network: FixedNetwork, path: Path) -> None:
    """Raise NetworkFileError if a network file does not say what it was trained for."""
    if missing := lacking(network):
        raise NetworkFileError(
            f"{path}: its provenance has no {', '.join(missing)}, so neither data nor reference "
            "are known. Name a file written by 'brf-lava export'."
        )


def run_test_data(
    network: FixedNetwork,
    split: Split,
    target: Target,
    *,
    batch: int | None = None,
    check: bool | None = None,
    reference: Reference | None = None,
    margins: Sequence[float] = (),
    recording: Recording | None = None,
    on_samples: Callable[[int], Any] = lambda done: None,
) -> TestRun:
    """Run a network on samples and judge what it answers.

    The samples are run part by part, so that memory does not grow with their number.

    Args:
        network: What to run.
        split: The samples and their labels.
        target: Where to run.
        batch: Samples in one Lava run; None for the target's.
        check: Compare every spike and output with the engine; None for up to the size that the
            target says.
        reference: The float network on the same samples.
        margins: Of early decisions, see `brf_lava.run.early.check_early`.
        recording: Where the states of chosen neurons go.
        on_samples: Called now and then with how many samples are done.

    Raises:
        MismatchError: If a backend differs from the engine.
        LavaRunError: If a run fails or takes too long.
    """
    samples, steps, _ = split.x.shape
    if check is None:
        check = work(network, steps, samples) <= target.check_limit
    check = check and not target.backend.is_reference
    meter = EarlyMeter(network, margins) if margins else None
    batch = batch or target.batch
    size = samples_per_part(network, steps, batch)
    parts = []
    for first in range(0, samples, size):
        part = Split(split.x[first : first + size], split.y[first : first + size])
        x = part.time_major()
        last = first + len(part.x)
        activity, seconds = execute(
            network,
            x,
            backend=target.backend,
            batch=batch,
            timeout=target.timeout,
            check=check,
            recording=None if recording is None else recording.samples(first, last),
            on_progress=_in_samples(on_samples, first, last - first),
        )
        parts.append(measure(network, x, activity, seconds))
        if meter is not None:
            meter.add(activity)
        on_samples(last)
    return TestRun(
        summarize(network, parts, split.y, reference, backend=target.backend.name, checked=check),
        None if meter is None else meter.result(split.y),
        spike_slots=samples * steps * sum(layer.shape[0] for layer in network.hidden),
        outputs=samples * steps * network.classes,
    )


def _in_samples(
    on_samples: Callable[[int], Any], first: int, samples: int
) -> Callable[[float], Any]:
    """From the share done of one part of a run to samples done of all."""
    return lambda share: on_samples(first + int(samples * share))


def float_reference(
    network: FixedNetwork,
    dataset: Dataset,
    samples: int,
    stored: FloatActivity | None,
    model: Path | None = None,
    device: str = "auto",
) -> Reference | None:
    """Return what the float network does on the first test samples, None where it is not known.

    Args:
        network: The network in integers.
        dataset: The data of the run.
        samples: How many of its test samples.
        stored: What the float network did when it was trained, from the network file.
        model: A model file, to be measured now instead.
        device: Where to measure it: "auto", "cpu" or "cuda".

    Raises:
        CheckpointError: For a model file that is missing or damaged.
    """
    decision, split = decision_of(network), dataset.test.first(samples)
    if model is not None:
        from brf_lava.train.checkpoint import load_checkpoint
        from brf_lava.train.model import choose_device, device_name, evaluate

        checkpoint = load_checkpoint(model)
        if checkpoint.fingerprint != network.provenance.get("model"):
            logger.warning("Notice: %s is not the model that the network was exported from.", model)
        chosen = choose_device(device)
        _, measured = evaluate(checkpoint.model().to(chosen), split, chosen)
        return reference_from(measured, split.y, device_name(chosen), decision)
    trained = network.provenance["data"]
    if trained["fingerprint"] != dataset.source.fingerprint:
        logger.warning(
            "Notice: the float network was measured on %s, not on the data of this run, so that "
            "nothing is compared with it; name the model with --reference to measure it here.",
            trained["description"],
        )
        return None
    if stored is None:
        return None
    used = network.provenance["metrics"]["device"]
    return reference_from(stored.first(samples), split.y, used, decision)
