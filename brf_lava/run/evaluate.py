"""A network on samples, part by part, so that memory does not grow with their number."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from brf_lava.backends.base import Backend, find_backend
from brf_lava.backends.states import Recording
from brf_lava.data.dataset import Dataset, Split
from brf_lava.errors import MismatchError, NetworkFileError, ParameterError
from brf_lava.io.world import World
from brf_lava.network.activity import Activity, FloatActivity
from brf_lava.network.file import read_network
from brf_lava.network.layers import FixedNetwork
from brf_lava.run.early import EarlyRow, decide_early, early_rows
from brf_lava.run.execute import execute, samples_per_part
from brf_lava.run.result import (
    Reference,
    RunResult,
    decision_of,
    measure,
    reference_from,
    summarize,
)

logger = logging.getLogger(__name__)
TWICE = 16  # samples of each process that another one runs, too
NEEDED = ("task", "data", "metrics")  # of a network's provenance
AnyNetwork = FixedNetwork | str | Path


def predict(
    network: AnyNetwork, x: Any, *, backend: str = "sim", batch: int | None = None
) -> NDArray[np.int64]:
    """Classify samples without labels.

    Args:
        network: The network, or the path of its file.
        x: Inputs [B, T, I], int8 or uint8, in the order of steps that the network was trained on.
        backend: ``"sim"`` for Lava on this computer, ``"engine"`` for the same integers without
            Lava, or ``"loihi2"``.
        batch: Samples in one run; None for as many as memory allows.

    Returns:
        Classes [B, T] where the network answers at every step, else [B, 1].

    Raises:
        ParameterError: If x has another shape, type or range, or there is no such backend.
        BrfLavaError: If the file is damaged, the backend is not here, or a run fails.
    """
    fixed, _ = _load(network)
    samples = np.asarray(x)
    if samples.ndim != 3 or 0 in samples.shape:
        raise ParameterError(
            f"x: shape {list(samples.shape)}; [samples, steps, {fixed.inputs}], none of them 0, is "
            "needed."
        )
    decision = decision_of(fixed)
    parts = _run_parts(fixed, samples, find_backend(backend), batch=batch)
    return np.concatenate([decision.predict(activity.outputs) for _, activity, _ in parts])


def run_network(
    network: AnyNetwork,
    data: Dataset | Split,
    *,
    backend: str = "sim",
    batch: int | None = None,
    check: bool = True,
) -> RunResult:
    """Run a network on labeled samples and measure accuracy and cost.

    Args:
        network: The network, or the path of its file.
        data: A data set, whose test half is run in the order of steps that the network was trained
            on; or samples in that order.
        backend: As of `predict`.
        batch: As of `predict`.
        check: Compare every spike and output with the integer engine.

    Returns:
        The measured run. It is compared with the float network (`reference`, `agreement`) if
        `network` is a file and `data` the data set on which the float network was measured.

    Raises:
        MismatchError: If the check finds a difference.
        ParameterError: If the data do not fit the network, or there is no such backend.
        BrfLavaError: As `predict`.
    """
    fixed, stored = _load(network)
    reference = None
    if isinstance(data, Dataset):
        order = fixed.provenance.get("permutation")
        dataset = data.ordered_as(None if order is None else np.array(order))
        data = dataset.test
        if stored is not None and {*NEEDED} <= {*fixed.provenance}:
            reference = float_reference(fixed, dataset, len(data.x), stored)
    chosen = find_backend(backend)
    result, _ = run_test_data(fixed, data, chosen, batch=batch, check=check, reference=reference)
    return result


def run_test_data(
    network: FixedNetwork,
    split: Split,
    backend: Backend,
    *,
    batch: int | None = None,
    timeout: float | None = None,
    check: bool = False,
    reference: Reference | None = None,
    margins: Sequence[float] = (),
    recording: Recording | None = None,
    on_samples: Callable[[int], Any] = lambda done: None,
    world: World | None = None,
) -> tuple[RunResult, list[EarlyRow]]:
    """Run a network on samples and judge what it answers.

    timeout, check, recording: as of `execute`. batch: as of `predict`. reference: the float network
    on the same samples. margins: of early decisions, see `check_early`. on_samples: called now and
    then with how many samples are done. world: the processes that share the samples; the first ones
    of each are run by another one, too, which must agree in every spike and output; all get the
    whole result. Returns accuracy and cost, and the early decisions: a row for each margin, then
    one for the end of the sequences.
    """
    check = check and not backend.is_reference
    margins = (*margins, np.inf) if margins else ()
    measured, decisions, world = [], [], world or World()
    if world.size > 1 and (len(split.x) < world.size or recording is not None or backend.on_board):
        raise ParameterError(
            f"{world.size} processes: share {len(split.x)} samples, each at least one, on a "
            "backend of this computer, without --probe. Run this in one process."
        )
    own = world.share(np.arange(len(split.x)))
    twice = min(TWICE, batch or TWICE, samples_per_part(network, split.x.shape[1]))
    digest = ""
    for x, activity, seconds in _run_parts(
        network,
        split.x[own[0] : own[-1] + 1],
        backend,
        batch=batch,
        timeout=timeout,
        check=check,
        recording=recording,
        on_samples=on_samples,
    ):
        measured.append(measure(network, x, activity, seconds))
        if margins:
            decisions.append(decide_early(network, activity, margins))
        if world.size > 1:
            digest = digest or _digest(activity, twice)
    if world.size > 1:
        after = np.array_split(np.arange(len(split.x)), world.size)[(world.rank + 1) % world.size]
        again = np.ascontiguousarray(split.x[after[:twice]].transpose(1, 0, 2))
        repeated, _ = execute(network, again, backend=backend, timeout=timeout)
        shares = world.gather((digest, _digest(repeated, twice), measured, decisions))
        for rank, (theirs, *_) in enumerate(shares):
            if shares[rank - 1][1] != theirs:
                raise MismatchError(
                    f"process {rank}: its first {twice} samples gave other spikes or outputs in "
                    "another process. Run each part alone; one of the machines computes wrongly."
                )
        measured = [part for *_, parts, _ in shares for part in parts]
        decisions = [part for *_, parts in shares for part in parts]
    result = summarize(network, measured, split.y, reference, backend=backend.name, checked=check)
    return result, early_rows(network, margins, decisions, split.y) if margins else []


def _digest(activity: Activity, samples: int) -> str:
    """SHA-256 over all spikes and outputs of the first samples."""
    digest = hashlib.sha256()
    for signal in activity.signals:
        digest.update(np.ascontiguousarray(signal[:, :samples]).data)
    return digest.hexdigest()


def _run_parts(
    network: FixedNetwork,
    samples: NDArray[Any],
    backend: Backend,
    *,
    batch: int | None,
    recording: Recording | None = None,
    on_samples: Callable[[int], Any] = lambda done: None,
    **options: Any,
) -> Iterator[tuple[NDArray[Any], Activity, float]]:
    """Inputs [T, B, I], activity and seconds of one part of the samples [B, T, I] after the other.

    options: of `execute`.
    """
    if batch is not None and batch < 1:
        raise ParameterError(f"batch: {batch}; at least 1 sample per run is needed.")
    size = samples_per_part(network, samples.shape[1])
    size = min(batch or size, size)
    for first in range(0, len(samples), size):
        x = np.ascontiguousarray(samples[first : first + size].transpose(1, 0, 2))
        last = first + x.shape[1]
        activity, seconds = execute(
            network,
            x,
            backend=backend,
            recording=recording and recording.samples(first, last),
            on_progress=partial(_in_samples, on_samples, first, last),
            **options,
        )
        yield x, activity, seconds
        on_samples(last)


def _in_samples(on_samples: Callable[[int], Any], first: int, last: int, share: float) -> None:
    """From the share done of one part of a run to samples done of all."""
    on_samples(first + int((last - first) * share))


def _load(network: AnyNetwork) -> tuple[FixedNetwork, FloatActivity | None]:
    return (network, None) if isinstance(network, FixedNetwork) else read_network(network)


def check_provenance(network: FixedNetwork, path: Path) -> None:
    """Raise NetworkFileError if a network file does not say what it was trained for."""
    if missing := [key for key in NEEDED if key not in network.provenance]:
        raise NetworkFileError(
            f"{path}: its provenance has no {', '.join(missing)}, so neither data nor reference "
            "are known. Name a file written by 'brf-lava export'."
        )


def float_reference(
    network: FixedNetwork,
    dataset: Dataset,
    samples: int,
    stored: FloatActivity | None,
    model: Path | None = None,
    device: str = "auto",
) -> Reference | None:
    """Return what the float network does on the first test samples, None where it is not known.

    stored: what it did when it was trained. model: its file, to be measured on `device` instead.
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
