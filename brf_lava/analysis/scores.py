"""How well each class is recognized: confusion matrix, precision, recall and F1."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from brf_lava.network.decision import Decision


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
