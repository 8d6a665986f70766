"""What a network answers: classes from the readout over time, and which of them count.

Knows no array library: NumPy arrays and torch tensors both fit.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

PREDICTIONS = ("each-step", "last", "mean")
UNLABELED = 255  # a label that does not count, neither in a loss nor in an accuracy


@dataclass(frozen=True)
class Decision:
    """How classes are read from the outputs.

    prediction: "each-step", the largest output at every step; "last", the largest at the last
    step; "mean", the largest mean over the steps (Higuchi et al. 2024, reference code).
    ignore_first: that many steps at the beginning count in no mean, no loss and no accuracy.
    """

    prediction: str = "each-step"
    ignore_first: int = 0

    def __post_init__(self) -> None:
        if self.prediction not in PREDICTIONS or self.ignore_first < 0:
            raise ValueError(f"no such decision: {self.prediction!r}, {self.ignore_first!r}")

    def predict(self, outputs: Any) -> Any:
        """Classes [B, P] from outputs [T, B, C]; P is T for "each-step", else 1."""
        if self.prediction == "each-step":
            return outputs.argmax(2).T
        chosen = outputs[-1] if self.prediction == "last" else outputs[self.ignore_first :].sum(0)
        return chosen.argmax(1)[:, None]

    def counted(self, labels: Any) -> Any:
        """Which of the labels [B, P] count: a boolean array of the same shape."""
        counted = labels != UNLABELED
        if self.prediction == "each-step":
            counted[:, : self.ignore_first] = False
        return counted

    def hits(self, predictions: Any, labels: Any) -> tuple[int, int]:
        """How many predictions [B, P] are right, and how many count."""
        counted = self.counted(labels)
        return int(((predictions == labels) & counted).sum()), int(counted.sum())
