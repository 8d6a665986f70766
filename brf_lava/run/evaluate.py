"""A network on arrays or on a data set, in one call: what ``brf_lava.predict`` and others are."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from brf_lava.backends.base import find_backend
from brf_lava.data.dataset import Dataset, Split
from brf_lava.errors import ParameterError
from brf_lava.network.activity import FloatActivity
from brf_lava.network.file import read_network
from brf_lava.network.layers import FixedNetwork
from brf_lava.run.execute import execute, samples_per_part
from brf_lava.run.on_test_data import float_reference, lacking, run_test_data
from brf_lava.run.result import RunResult, decision_of
from brf_lava.run.target import Target

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
    samples = np.asarray(x)
    if samples.ndim != 3 or 0 in samples.shape:
        raise ParameterError(
            f"x: shape {list(samples.shape)}; [samples, steps, {fixed.inputs}], none of them 0, is "
            "needed."
        )
    decision, size = decision_of(fixed), samples_per_part(fixed, samples.shape[1], batch)
    parts = []
    for first in range(0, len(samples), size):
        part = np.ascontiguousarray(samples[first : first + size].transpose(1, 0, 2))
        activity, _ = execute(fixed, part, backend=backend, batch=batch)
        parts.append(decision.predict(activity.outputs))
    return np.concatenate(parts)


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
    fixed, stored = _load(network)
    reference = None
    if isinstance(data, Dataset):
        order = fixed.provenance.get("permutation")
        dataset = data.ordered_as(None if order is None else np.array(order))
        data = dataset.test
        if stored is not None and not lacking(fixed):
            reference = float_reference(fixed, dataset, len(data.x), stored)
    target = Target(find_backend(backend), batch=batch)
    return run_test_data(fixed, data, target, check=check, reference=reference).result


def _load(network: AnyNetwork) -> tuple[FixedNetwork, FloatActivity | None]:
    return (network, None) if isinstance(network, FixedNetwork) else read_network(network)
