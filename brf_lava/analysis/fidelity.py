"""How well a network in integers keeps to the float network."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from rich.table import Table

from brf_lava import report
from brf_lava.analysis.activity import CHUNK, Samples, run
from brf_lava.network.layers import FixedNetwork, RealNetwork


@dataclass(frozen=True)
class Fidelity:
    """The float network and its integers on the same samples.

    Attributes:
        samples: How many.
        agreement: Share of equal predictions.
        accuracies: Of the float network and of the integers; None where no label counts.
        sops: Hidden spikes per sample, of the float network and of the integers.
    """

    samples: int
    agreement: float
    accuracies: tuple[float, float] | None
    sops: tuple[float, float]

    def table(self) -> Table:
        """The two next to each other."""
        rows = [
            ("SOPs per sample (hidden spikes)", *(f"{each:.1f}" for each in self.sops)),
            ("same prediction as float", "", f"{self.agreement:.2%}"),
        ]
        if self.accuracies is not None:
            rows.insert(0, ("accuracy", *(f"{each:.2%}" for each in self.accuracies)))
        title = f"Calibration: {self.samples} training samples"
        return report.table(title, ("", ">float", ">integers"), rows)


def measure_fidelity(real: RealNetwork, fixed: FixedNetwork, samples: Samples) -> Fidelity:
    """Run a network and its integers on samples, labeled or not."""
    predictions: tuple[list[Any], list[Any]] = ([], [])
    spikes, count, decision = [0, 0], samples.x.shape[1], samples.decision
    for first in range(0, count, CHUNK):
        part = samples.x[:, first : first + CHUNK]
        for index, (outputs, fired) in enumerate((run(real, part), run(fixed, part))):
            predictions[index].append(decision.predict(outputs))
            spikes[index] += sum(int(np.count_nonzero(layer)) for layer in fired)
    ours, theirs = map(np.concatenate, predictions)
    (hits, counted), (kept, _) = (decision.hits(each, samples.labels) for each in (ours, theirs))
    return Fidelity(
        samples=count,
        agreement=float((ours == theirs).mean()),
        accuracies=(hits / counted, kept / counted) if counted else None,
        sops=(spikes[0] / count, spikes[1] / count),
    )
