"""What a run means: accuracy and cost next to the float network's, as numbers and as JSON."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from brf_lava.data.dataset import DataSource
from brf_lava.errors import NetworkFileError
from brf_lava.io.files import JSON, Kind, write_bytes
from brf_lava.network.activity import Activity, FloatActivity
from brf_lava.network.decision import Decision
from brf_lava.network.layers import FixedNetwork
from brf_lava.run.sop import LayerSpikes, SpikeCost, SpikeCounts, Spikes, layer_spikes, spike_cost
from brf_lava.versions import versions

FORMAT = "brf-lava-run"
KIND = Kind("a run of brf-lava", JSON, FORMAT)
SCHEMA = 3  # 1 had no `inputs` and no `layers`, 2 no `per_sample`


@dataclass(frozen=True)
class Reference:
    """The float network on the very samples of the run.

    accuracy: 0..1; sops: per sample; device: its name; predictions: [B, P].
    """

    accuracy: float
    sops: float
    device: str
    predictions: NDArray[np.uint8]


def decision_of(network: FixedNetwork) -> Decision:
    """How classes are read from the outputs; at every step where the file does not say.

    Raises: NetworkFileError for something else than a decision.
    """
    stored = network.provenance.get("decision", asdict(Decision()))
    try:
        return Decision(**stored)
    except (TypeError, ValueError) as error:
        raise NetworkFileError(
            f"provenance.decision: {stored!r}; prediction and ignore_first are needed. Export the "
            "network again."
        ) from error


def accuracy(decision: Decision, predictions: Any, labels: Any) -> float:
    """Share of the labels that count, of [B, P], which are predicted; 0 where none counts."""
    hits, counted = decision.hits(predictions, labels)
    return hits / counted if counted else 0.0


def reference_from(
    activity: FloatActivity, labels: NDArray[np.uint8], device: str, decision: Decision
) -> Reference:
    """Judge what the float network did. labels: [B, P] of the same samples."""
    return Reference(
        accuracy=accuracy(decision, activity.predictions, labels),
        sops=float(activity.sops.mean()),
        device=device,
        predictions=activity.predictions,
    )


@dataclass(frozen=True)
class RunResult:
    """One run over a set of samples.

    accuracy: share of the labels that count, per step or per sample, that are predicted. agreement:
    share of these predictions that are the float network's. saturations: state variables at the
    24-bit limit, summed over steps and samples. seconds: wall time of the backend. checked: equal
    to the engine, spike by spike. inputs: the input spikes. layers: the sizes and spikes of each.
    per_sample: of each sample its hidden spikes ("sops"), labels that count ("counted"), those that
    are predicted ("hits"), also by a reference ("same"); and its class, or 16 digits of the SHA-256
    of the classes of all steps ("predictions").
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
    inputs: Spikes
    layers: tuple[LayerSpikes, ...]
    per_sample: dict[str, list[Any]]

    @property
    def sops_per_step(self) -> float:
        return self.cost.sops / self.steps

    @property
    def sop_ratio(self) -> float | None:
        """Hidden spikes of this run over those of the float reference."""
        if self.reference is None or not self.reference.sops:
            return None
        return self.cost.sops / self.reference.sops

    @property
    def spike_slots(self) -> int:
        """How many spikes there could have been."""
        return self.samples * self.steps * sum(layer.shape.neurons for layer in self.layers[:-1])

    @property
    def outputs(self) -> int:
        """How many outputs there were."""
        return self.samples * self.steps * self.layers[-1].shape.neurons


@dataclass(frozen=True)
class Measured:
    """What counts of one part of a run: some samples, all steps.

    predictions: [B, P]. sops: [B], the spikes of all hidden neurons. counts: the spikes of the
    inputs and of each hidden layer.
    """

    predictions: NDArray[Any]
    sops: NDArray[np.int64]
    counts: SpikeCounts
    saturations: int
    steps: int
    seconds: float


def measure(network: FixedNetwork, x: NDArray[Any], activity: Activity, seconds: float) -> Measured:
    """Keep what counts of an activity, which may be large. x: [T, B, I]."""
    return Measured(
        predictions=decision_of(network).predict(activity.outputs),
        sops=activity.hidden_spikes.sum(axis=0),
        counts=SpikeCounts.of((x, *activity.spikes)),
        saturations=activity.saturations,
        steps=len(x),
        seconds=seconds,
    )


def summarize(
    network: FixedNetwork,
    parts: Sequence[Measured],
    labels: NDArray[np.uint8],
    reference: Reference | None,
    *,
    backend: str,
    checked: bool,
) -> RunResult:
    """Judge a run. parts: in the order of the samples; labels: [B, P] of all of them."""
    predictions = np.concatenate([part.predictions for part in parts])
    counts = SpikeCounts.of_parts([part.counts for part in parts])
    steps = parts[0].steps
    inputs, *spikes = counts.spikes()
    counted = decision_of(network).counted(labels)
    agreement, answers = None, predictions[:, 0].tolist()
    if predictions.shape[1] > 1:
        rows = predictions.astype(np.uint8)
        answers = [hashlib.sha256(row.tobytes()).hexdigest()[:16] for row in rows]
    per_sample = {
        "sops": np.concatenate([part.sops for part in parts]).tolist(),
        "counted": counted.sum(axis=1).tolist(),
        "hits": ((predictions == labels) & counted).sum(axis=1).tolist(),
        "predictions": answers,
    }
    if reference is not None:
        same = predictions == reference.predictions
        agreement = float(same[counted].mean()) if counted.any() else None
        per_sample["same"] = (same & counted).sum(axis=1).tolist()
    return RunResult(
        backend=backend,
        samples=counts.samples,
        steps=steps,
        accuracy=accuracy(decision_of(network), predictions, labels),
        cost=spike_cost(network, steps, counts),
        saturations=sum(part.saturations for part in parts),
        seconds=sum(part.seconds for part in parts),
        checked=checked,
        reference=reference,
        agreement=agreement,
        inputs=inputs,
        layers=layer_spikes(network, spikes),
        per_sample=per_sample,
    )


def contents(result: RunResult, data: DataSource, provenance: dict[str, Any]) -> dict[str, Any]:
    """A run as it is written. data: the samples' source; provenance: the network file's."""
    values = asdict(result)
    per_sample = values.pop("per_sample")
    values |= {"sops_per_step": result.sops_per_step, "sop_ratio": result.sop_ratio}
    if values["reference"]:
        del values["reference"]["predictions"]
    return {
        "format": FORMAT,
        "schema": SCHEMA,
        "versions": versions(),
        "result": values,
        "data": asdict(data),
        "network": provenance,
        "per_sample": per_sample,
    }


def write_result(
    result: RunResult, data: DataSource, provenance: dict[str, Any], path: Path
) -> None:
    """Write the `contents` of a run as JSON."""
    values = contents(result, data, provenance)
    per_sample = json.dumps(values.pop("per_sample"))  # on one line
    text = json.dumps(values, indent=2).removesuffix("\n}")
    write_bytes(path, f'{text},\n  "per_sample": {per_sample}\n}}\n'.encode(), KIND)
