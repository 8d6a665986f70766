"""Deciding before a sequence is over: at the first step where the best class leads by a margin.

For networks that name one class per sequence. What counts is what the class would be read from if
the sequence ended here (`Decision`): the readout of this step ("last") or its mean so far ("mean").
The margin is the largest of it minus the second largest, as a real number: integers of the readout
divided by ``2**state_bits``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from brf_lava.errors import ParameterError
from brf_lava.network.activity import Activity
from brf_lava.network.decision import Decision
from brf_lava.network.layers import FixedNetwork
from brf_lava.run.result import accuracy, decision_of


def check_early(network: FixedNetwork, margins: Sequence[float], option: str) -> None:
    """Refuse networks without one class per sequence, and margins that are none.

    option: what the margins were given to. Raises: ParameterError.
    """
    if decision_of(network).prediction == "each-step":
        raise ParameterError(
            f"{option}: this network names a class at every step, so that there is nothing to "
            "decide early. Name one with a class per sequence (prediction 'last' or 'mean')."
        )
    if network.classes < 2:
        raise ParameterError(
            f"{option}: the network has {network.classes} class; a margin needs two or more."
        )
    for margin in margins:
        if not 0 <= margin < np.inf:  # also catches NaN
            raise ParameterError(
                f"{option}: {margin}; a margin is a finite number, 0 or more, in units of the "
                "readout."
            )


def leaders(totals: NDArray[np.int64], scale: Any) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """The best class and its lead over the second, [...], from totals [..., C] of two or more.

    scale: [...], what to divide by for a real number; 0 where there is no total yet, and the lead
    NaN, which reaches no margin.
    """
    *_, second, best = np.moveaxis(np.sort(totals), -1, 0)
    with np.errstate(divide="ignore", invalid="ignore"):
        leads: NDArray[np.float64] = (best - second) / scale
    return totals.argmax(-1), leads


def totals_so_far(
    decision: Decision, outputs: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """What the class is read from if the sequence ends at a step, [T, ...], and of how many steps
    it is the sum, [T]; 0 where all steps are ignored. outputs: [T, ...]."""
    steps = len(outputs)
    if decision.prediction != "mean":
        return outputs, np.ones(steps, np.int64)
    counts = np.maximum(np.arange(1, steps + 1) - decision.ignore_first, 0)
    counted = outputs.copy()
    counted[: decision.ignore_first] = 0
    return counted.cumsum(axis=0), counts


def decide_early(
    network: FixedNetwork, activity: Activity, margins: Sequence[float]
) -> NDArray[np.int64]:
    """Decide at each of M margins; one of infinity waits for the end. Raises: as `decision_of`.

    Returns: [4, M, B]: whether the lead reached the margin; steps until then, else all; the class
    at that step; hidden spikes until then.
    """
    totals, counts = totals_so_far(decision_of(network), activity.outputs)
    classes, leads = leaders(totals, (counts << network.output_bits)[:, None])  # [T, B]
    sops = np.cumsum(activity.hidden_spikes, axis=0)  # [T, B]
    reached = leads >= np.reshape(margins, (-1, 1, 1))  # [M, T, B]
    decided = np.asarray(reached.any(axis=1))
    last = np.where(decided, reached.argmax(axis=1), len(leads) - 1)  # [M, B]
    samples = np.arange(leads.shape[1])
    return np.stack([decided, last + 1, classes[last, samples], sops[last, samples]])


@dataclass(frozen=True)
class EarlyRow:
    """One margin, over all samples; an infinite one waits for the end.

    latency: mean steps until the decision, all of them where there was none; decided: share of
    samples; accuracy: 0..1, of the class at the decision, else at the end; sops: mean hidden spikes
    until the decision.
    """

    margin: float
    latency: float
    decided: float
    accuracy: float
    sops: float


def early_rows(
    network: FixedNetwork,
    margins: Sequence[float],
    parts: Sequence[NDArray[np.int64]],
    labels: NDArray[np.uint8],
) -> list[EarlyRow]:
    """Judge early decisions, margin by margin.

    parts: of `decide_early`, one part of the samples after the other. labels: [B, 1], of all.
    """
    decided, latency, classes, sops = np.concatenate(parts, axis=2)
    decision = decision_of(network)
    return [
        EarlyRow(
            margin=margin,
            latency=float(latency[m].mean()),
            decided=float(decided[m].mean()),
            accuracy=accuracy(decision, classes[m][:, None], labels),
            sops=float(sops[m].mean()),
        )
        for m, margin in enumerate(margins)
    ]
