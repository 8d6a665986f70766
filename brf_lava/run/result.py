"""What a run means: accuracy and cost next to the float network's, as numbers and as JSON.

SOP is the paper's: spikes of hidden neurons per sample. A synaptic operation is one weight reached
by one spike; zeros of a dense matrix count, as dense synapses occupy the chip. The spikes of each
layer are kept as well: what a chip would take for them is estimated later.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from brf_lava.board.describe import LayerShape, network_shape
from brf_lava.config.toml import Count, Name, NotNegative, Share, Whole
from brf_lava.data.dataset import DataSource
from brf_lava.errors import NetworkFileError
from brf_lava.io.files import JSON, Kind, write_bytes
from brf_lava.network.activity import Activity, FloatActivity
from brf_lava.network.decision import Decision
from brf_lava.network.layers import FixedNetwork
from brf_lava.versions import versions

FORMAT = "brf-lava-run"
KIND = Kind("a run of brf-lava", JSON, FORMAT)
SCHEMA = 3  # 1 had no `inputs` and no `layers`, 2 no `per_sample`


@dataclass(frozen=True)
class Spikes:
    """mean: per sample. peak: the most in one step of one sample."""

    mean: NotNegative
    peak: Whole


@dataclass(frozen=True)
class LayerSpikes:
    """The sizes of a layer and the spikes that it sent; a readout sends none."""

    shape: LayerShape
    spikes: Spikes


@dataclass(frozen=True)
class SpikeCost:
    """Means per sample.

    sops: hidden spikes. input_synops, recurrent_synops, output_synops: synaptic operations of the
    input spikes, of hidden spikes within their layer, and of hidden spikes towards the next layer.
    dense_macs: multiply-accumulates of the same network as matrix products at every step, which is
    what a GPU performs.
    """

    sops: NotNegative
    input_synops: NotNegative
    recurrent_synops: NotNegative
    output_synops: NotNegative
    dense_macs: NotNegative

    @property
    def synops(self) -> float:
        """All synaptic operations per sample."""
        return self.input_synops + self.recurrent_synops + self.output_synops


@dataclass(frozen=True)
class Reference:
    """The float network on the very samples of the run.

    accuracy: 0..1; sops: per sample; device: its name; predictions: [B, P], not in a file.
    """

    accuracy: Share
    sops: NotNegative
    device: str
    predictions: Any = None


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
    of the classes of all steps ("predictions"); not read back from a file.
    """

    backend: Name
    samples: Count
    steps: Count
    accuracy: Share
    cost: SpikeCost
    saturations: Whole
    inputs: Spikes
    layers: tuple[LayerSpikes, ...]
    seconds: NotNegative = 0.0
    checked: bool = False
    reference: Reference | None = None
    agreement: Share | None = None
    per_sample: dict[str, list[Any]] = field(default_factory=dict)

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

    predictions: [B, P]. sops: [B], the spikes of all hidden neurons. totals, peaks: [L], of the
    inputs that are not 0, then of the spikes of each hidden layer, all and the most in one step of
    one sample.
    """

    predictions: NDArray[Any]
    sops: NDArray[np.int64]
    totals: NDArray[np.int64]
    peaks: NDArray[np.int64]
    saturations: int
    steps: int
    seconds: float


def measure(network: FixedNetwork, x: NDArray[Any], activity: Activity, seconds: float) -> Measured:
    """Keep what counts of an activity, which may be large. x: [T, B, I]."""
    signals = (x, *activity.spikes)
    counts = np.stack([np.count_nonzero(signal, axis=2) for signal in signals])  # [L, T, B]
    return Measured(
        predictions=decision_of(network).predict(activity.outputs),
        sops=activity.hidden_spikes.sum(axis=0),
        totals=counts.sum(axis=(1, 2)),
        peaks=counts.max(axis=(1, 2), initial=0),
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
    samples, steps = len(predictions), parts[0].steps
    totals = np.sum([part.totals for part in parts], axis=0).tolist()
    peaks = np.max([part.peaks for part in parts], axis=0).tolist()
    means = (total / samples for total in totals)
    inputs, *hidden = map(Spikes, means, peaks)
    shapes = network_shape(network, "").layers
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
        samples=samples,
        steps=steps,
        accuracy=accuracy(decision_of(network), predictions, labels),
        cost=spike_cost(shapes, steps, samples, totals),
        saturations=sum(part.saturations for part in parts),
        seconds=sum(part.seconds for part in parts),
        checked=checked,
        reference=reference,
        agreement=agreement,
        inputs=inputs,
        layers=tuple(map(LayerSpikes, shapes, (*hidden, Spikes(0.0, 0)))),
        per_sample=per_sample,
    )


def spike_cost(
    layers: Sequence[LayerShape], steps: int, samples: int, totals: Sequence[int]
) -> SpikeCost:
    """What a run cost. totals: spikes of the inputs and of each hidden layer, in all samples."""
    arriving = [layer.synops(spikes, 0) for layer, spikes in zip(layers, totals, strict=True)]
    recurrent = [layer.synops(0, own) for layer, own in zip(layers, totals[1:], strict=False)]
    return SpikeCost(
        sops=sum(totals[1:]) / samples,
        input_synops=arriving[0] / samples,
        recurrent_synops=sum(recurrent) / samples,
        output_synops=sum(arriving[1:]) / samples,
        dense_macs=float(sum(layer.synapses for layer in layers) * steps),
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


def write_result(values: dict[str, Any], path: Path) -> None:
    """Write the `contents` of a run as JSON, those of the samples on one line."""
    rest = dict(values)
    per_sample = json.dumps(rest.pop("per_sample"))
    text = json.dumps(rest, indent=2).removesuffix("\n}")
    write_bytes(path, f'{text},\n  "per_sample": {per_sample}\n}}\n'.encode(), KIND)
