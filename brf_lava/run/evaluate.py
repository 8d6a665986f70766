"""A network on arrays or on a data set, in one call: what ``brf_lava.predict`` and others are."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from brf_lava.data.dataset import Dataset, Split
from brf_lava.errors import ParameterError
from brf_lava.network.activity import Activity, FloatActivity
from brf_lava.network.file import read_network
from brf_lava.network.layers import FixedNetwork
from brf_lava.run.execute import execute, samples_per_part
from brf_lava.run.result import RunResult, decision_of, measure, reference_from, summarize

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
        batch: Samples in one Lava run; None for as many as memory allows.

    Returns:
        Classes [B, T] where the network answers at every step, else [B, 1].

    Raises:
        ParameterError: If x has another shape, type or range, or there is no such backend.
        NetworkFileError: If the file is missing or damaged.
        BackendUnavailableError: If the backend is not here.
        LavaRunError: If a Lava run fails.
    """
    fixed, _ = _load(network)
    parts = _parts(fixed, np.asarray(x), backend, batch, check=False)
    decision = decision_of(fixed)
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
        backend: ``"sim"`` for Lava on this computer, ``"engine"`` for the same integers without
            Lava, or ``"loihi2"``.
        batch: Samples in one Lava run; None for as many as memory allows.
        check: Compare every spike and output with the integer engine.

    Returns:
        The measured run. It is compared with the float network (`reference`, `agreement`) if
        `network` is a file and `data` the data set on which the float network was measured.

    Raises:
        MismatchError: If the check finds a difference.
        ParameterError: If the data do not fit the network, or there is no such backend.
        NetworkFileError: If the file is missing or damaged.
        BackendUnavailableError: If the backend is not here.
        LavaRunError: If a Lava run fails.
    """
    fixed, floats = _load(network)
    reference = None
    if isinstance(data, Dataset):
        order = fixed.provenance.get("permutation")
        dataset = data.ordered_as(None if order is None else np.array(order))
        measured_on = fixed.provenance.get("data", {}).get("fingerprint")
        data = dataset.test
        if floats is not None and measured_on == dataset.source.fingerprint:
            device = fixed.provenance["metrics"]["device"]
            reference = reference_from(floats, data.y, device, decision_of(fixed))
    parts = [measure(fixed, *part) for part in _parts(fixed, data.x, backend, batch, check)]
    checked = check and backend != "engine"
    return summarize(fixed, parts, data.y, reference, backend=backend, checked=checked)


def _load(network: AnyNetwork) -> tuple[FixedNetwork, FloatActivity | None]:
    return (network, None) if isinstance(network, FixedNetwork) else read_network(network)


def _parts(
    network: FixedNetwork, x: NDArray[Any], backend: str, batch: int | None, check: bool
) -> Iterator[tuple[NDArray[Any], Activity, float]]:
    """Inputs [T, B, I], activity and seconds of as many samples at a time as memory allows."""
    if x.ndim != 3 or 0 in x.shape:
        raise ParameterError(
            f"x: shape {list(x.shape)}; [samples, steps, {network.inputs}], none of them 0, is "
            "needed."
        )
    size = samples_per_part(network, x.shape[1], batch)
    for first in range(0, len(x), size):
        part = np.ascontiguousarray(x[first : first + size].transpose(1, 0, 2))
        yield part, *execute(network, part, backend=backend, batch=batch, check=check)
