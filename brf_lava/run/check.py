"""Whether two backends computed the same, in every spike and every output."""

from __future__ import annotations

from typing import Any

import numpy as np

from brf_lava.errors import MismatchError
from brf_lava.network.activity import Activity

DEFECT = "This is a defect of the toolkit: please report it with the network file."


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
    advice = advice or DEFECT
    differences = []
    for layer, (ours, theirs) in enumerate(zip(found.spikes, expected.spikes, strict=True)):
        differences.append(_first_difference(f"spike of hidden layer {layer + 1}", ours, theirs))
    differences.append(_first_difference("output", found.outputs, expected.outputs))
    first = min((d for d in differences if d), key=lambda d: d[0], default=None)
    if first:
        (step, sample, neuron), what, ours, theirs = first
        raise MismatchError(
            f"{what}: first difference in sample {sample}, step {step}, neuron {neuron}: "
            f"{found_name} has {ours}, {expected_name} has {theirs}. {advice}"
        )
    if found.saturations != expected.saturations:
        raise MismatchError(
            f"saturations: {found_name} counted {found.saturations}, {expected_name} "
            f"{expected.saturations}. {advice}"
        )


def _first_difference(what: str, ours: Any, theirs: Any) -> Any:
    """((step, sample, neuron), what, our value, their value), or None."""
    if ours.shape != theirs.shape:
        raise MismatchError(f"{what}: shape {ours.shape} against {theirs.shape}.")
    different = ours != theirs
    if not different.any():
        return None
    index = tuple(int(i) for i in np.unravel_index(int(np.argmax(different)), different.shape))
    return index, what, int(ours[index]), int(theirs[index])
