"""What a run means: accuracy and cost beside the float reference, as numbers and as JSON."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from brf_lava.export.network import Activity, FixedNetwork, FloatActivity
from brf_lava.files import write_bytes
from brf_lava.run.sop import SpikeCost, spike_cost
from brf_lava.tasks.task import DataSource
from brf_lava.versions import versions

FORMAT = "brf-lava-run"
SCHEMA = 1


@dataclass(frozen=True)
class Reference:
    """The float network on the very samples of the run.

    accuracy: 0..1; sops: per sample; device: its name; predictions: [B, T].
    """

    accuracy: float
    sops: float
    device: str
    predictions: NDArray[np.uint8]


def reference_from(activity: FloatActivity, labels: NDArray[np.uint8], device: str) -> Reference:
    """Judge what the float network did. labels: [B, T] of the same samples."""
    return Reference(
        accuracy=float(np.mean(activity.predictions == labels)),
        sops=float(activity.sops.mean()),
        device=device,
        predictions=activity.predictions,
    )


@dataclass(frozen=True)
class RunResult:
    """One run over a set of samples.

    accuracy: share of steps classified correctly. agreement: share of steps in which the
    prediction is the float network's. saturations: state variables at the 24-bit limit, summed
    over steps and samples. seconds: wall time of the backend. checked: compared with the integer
    engine, spike by spike, and found equal.
    """

    backend: str
    samples: int
    steps: int
    accuracy: float
    cost: SpikeCost
    saturations: int
    seconds: float
    checked: bool
    reference: Reference | None
    agreement: float | None

    @property
    def sops_per_step(self) -> float:
        return self.cost.sops / self.steps

    @property
    def sop_ratio(self) -> float | None:
        """Hidden spikes of this run over those of the float reference."""
        if self.reference is None or not self.reference.sops:
            return None
        return self.cost.sops / self.reference.sops

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        contents = asdict(self)
        contents["sops_per_step"] = self.sops_per_step
        contents["sop_ratio"] = self.sop_ratio
        if contents["reference"]:
            del contents["reference"]["predictions"]
        return contents


def summarize(
    network: FixedNetwork,
    x: NDArray[np.int8],
    labels: NDArray[np.uint8],
    activity: Activity,
    reference: Reference | None,
    *,
    backend: str,
    seconds: float,
    checked: bool,
) -> RunResult:
    """Judge one run. x: [T, B, I], labels: [B, T]."""
    predictions = activity.outputs.argmax(axis=2).T
    agreement = None
    if reference is not None:
        agreement = float(np.mean(predictions == reference.predictions))
    return RunResult(
        backend=backend,
        samples=x.shape[1],
        steps=x.shape[0],
        accuracy=float(np.mean(predictions == labels)),
        cost=spike_cost(network, x, activity),
        saturations=activity.saturations,
        seconds=seconds,
        checked=checked,
        reference=reference,
        agreement=agreement,
    )


def write_result(
    result: RunResult, data: DataSource, provenance: dict[str, Any], path: Path
) -> None:
    """Write a run as JSON. data: the samples' source; provenance: the network file's."""
    contents = {
        "format": FORMAT,
        "schema": SCHEMA,
        "versions": versions(),
        "result": result.as_dict(),
        "data": asdict(data),
        "network": provenance,
    }
    write_bytes(path, (json.dumps(contents, indent=2) + "\n").encode())
