"""How good answers are: class by class, and those of integers next to the float network's."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.table import Table

from brf_lava import report
from brf_lava.analysis.activity import Answers, AnyNetwork, Samples, answers
from brf_lava.data.dataset import Split
from brf_lava.network.decision import Decision

AGREES = 0.9  # share of equal predictions from which on integers keep to the float network
MOST_SAMPLES = 1000
ENOUGH_SAMPLES = 50  # that the rounding did not use; where there are fewer, all are taken


def confusion(
    decision: Decision, labels: NDArray[Any], predictions: NDArray[Any], classes: int
) -> NDArray[np.int64]:
    """Count the predictions of each label, [C, C]: rows are labels, columns predictions.

    labels, predictions: [B, P]; labels that do not count are left out.
    """
    counted = decision.counted(labels)
    labels, predictions, counted = np.broadcast_arrays(labels, predictions, counted)
    pairs = labels[counted].astype(np.int64) * classes + predictions[counted]
    return np.bincount(pairs, minlength=classes**2).reshape(classes, classes)


def class_scores(matrix: NDArray[np.int64]) -> dict[str, NDArray[np.float64]]:
    """Precision, recall and F1 of each class, 0..1, [C]; nan where nothing was counted.

    matrix: as of `confusion`.
    """
    right = np.diag(matrix).astype(np.float64)
    predicted, labeled = matrix.sum(axis=0), matrix.sum(axis=1)
    with np.errstate(invalid="ignore"):
        return {
            "precision": right / predicted,
            "recall": right / labeled,
            "F1": 2 * right / (predicted + labeled),
        }


def errors_per_sample(
    decision: Decision, labels: NDArray[Any], predictions: NDArray[Any]
) -> NDArray[np.float64]:
    """The share of each sample's labels that is not predicted, [B]; 0 where none counts."""
    counted = decision.counted(labels)
    wrong = (labels != predictions) & counted
    return np.asarray(wrong.sum(axis=1) / np.maximum(counted.sum(axis=1), 1))


@dataclass(frozen=True)
class Fidelity:
    """The float network and its integers on the same samples.

    Attributes:
        samples: How many.
        agreement: Share of equal predictions.
        accuracies: Of the float network and of the integers; None where no label counts.
        sops: Hidden spikes per sample, of the float network and of the integers.
        lost: Points of accuracy that the integers lose; where no label counts, of agreement.
        error: Standard error of `lost` over the samples, points.
    """

    samples: int
    agreement: float
    accuracies: tuple[float, float] | None
    sops: tuple[float, float]
    lost: float
    error: float

    def table(self, what: str) -> Table:
        """The two next to each other. what: the samples are."""
        rows = [
            ("accuracy", *(f"{each:.2%}" for each in self.accuracies or ())),
            ("SOPs per sample (hidden spikes)", *(f"{each:.1f}" for each in self.sops)),
            ("same prediction as float", "", f"{self.agreement:.2%}"),
            ("points lost, standard error", f"± {self.error:.2f}", f"{self.lost:.2f}"),
        ][self.accuracies is None :]
        return report.table(f"{self.samples} {what}", ("", ">float", ">integers"), rows)


def fidelity_samples(train: Split, used: int, decision: Decision) -> tuple[Samples, str]:
    """Training samples after the first `used`, if there are enough, else all; and what they are."""
    first, what = used, "training samples that the rounding did not use"
    if len(train.x) - used < ENOUGH_SAMPLES:
        first, what = 0, "training samples, which the rounding used, too: the loss may look small"
    chosen = Split(train.x[first:], train.y[first:]).first(MOST_SAMPLES)
    return Samples(chosen.time_major(), chosen.y, decision), what


def measure_fidelity(floats: Answers, fixed: AnyNetwork, samples: Samples) -> Fidelity:
    """Run a network in integers, or near them. floats: the `answers` of the float network."""
    (ours, sops), (theirs, spikes) = floats, answers(fixed, samples)
    counted = samples.decision.counted(samples.labels)
    right, kept = ((each == samples.labels) & counted for each in (ours, theirs))
    labeled, of = bool(counted.any()), int(counted.sum()) or ours.size
    lost = (right.astype(int) - kept if labeled else ours != theirs).sum(axis=1)  # [B]
    return Fidelity(
        samples=len(lost),
        agreement=float((ours == theirs).mean()),
        accuracies=(float(right.sum() / of), float(kept.sum() / of)) if labeled else None,
        sops=(sops, spikes),
        lost=float(100 * lost.sum() / of),
        error=float(100 * lost.std() * np.sqrt(len(lost)) / of),
    )
