"""Whether two backends computed the same, in every spike and every output."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from brf_lava.errors import MismatchError
from brf_lava.network.activity import Activity


def assert_equal(
    found: Activity,
    expected: Activity,
    found_name: str,
    expected_name: str,
    advice: str | None = None,
) -> None:
    """Raise MismatchError at the first difference in time, with sample, step, neuron, both values.

    advice: what to do about it; None: to report it as a defect.
    """
    advice = advice or "This is a defect: please report it with the network file."
    names = [f"spike of hidden{number}" for number in range(1, len(expected.spikes) + 1)]
    differences: list[tuple[Any, ...]] = []
    arrays: list[tuple[NDArray[Any], NDArray[Any]]] = [
        *zip(found.spikes, expected.spikes, strict=True),
        (found.outputs, expected.outputs),
    ]
    for what, (ours, theirs) in zip((*names, "output"), arrays, strict=True):
        if ours.shape != theirs.shape:
            raise MismatchError(f"{what}: shape {ours.shape} against {theirs.shape}.")
        different = ours != theirs
        if different.any():
            where = np.unravel_index(int(np.argmax(different)), different.shape)
            differences.append((tuple(map(int, where)), what, ours[where], theirs[where]))
    if differences:
        where, what, ours, theirs = min(differences, key=lambda each: each[0])
        step, sample, neuron = where
        raise MismatchError(
            f"{what}: first difference in sample {sample}, step {step}, neuron {neuron}: "
            f"{found_name} has {ours}, {expected_name} has {theirs}. {advice}"
        )
    if found.saturations != expected.saturations:
        raise MismatchError(
            f"saturations: {found_name} counted {found.saturations}, {expected_name} "
            f"{expected.saturations}. {advice}"
        )
