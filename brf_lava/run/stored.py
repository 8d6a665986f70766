"""Reads the spikes of a run that ``brf-lava run --out`` wrote, for the estimate of its cost."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from brf_lava.board.describe import LayerShape, NetworkShape
from brf_lava.board.estimate import MeasuredRun
from brf_lava.errors import DataError
from brf_lava.io import strict_json
from brf_lava.neurons.families import NEURONS
from brf_lava.neurons.own import is_loaded, load_neuron
from brf_lava.run.result import FORMAT, SCHEMA

ROUNDING = 1 + 1e-9  # a mean over parts of a run is rounded
REMEDY = "Write it again with brf-lava run --out."


@dataclass(frozen=True)
class StoredRun:
    """run: what it did. backend: where. data: the samples' fingerprint. model: the float model's
    fingerprint, or None. task: its name, or None."""

    run: MeasuredRun
    backend: str
    data: str
    model: str | None
    task: str | None


def read_run(path: Path) -> StoredRun:
    """A run's sizes and spikes.

    Raises: DataError for a file that is missing, damaged, of another format or schema, and for
    numbers that cannot be.
    """
    contents = _read(path)
    kind = contents.get("format"), contents.get("schema")
    if kind != (FORMAT, SCHEMA):
        raise DataError(
            f"{path}: format {kind[0]!r}, schema {kind[1]!r}; {FORMAT!r} of schema {SCHEMA}, which "
            f"has the spikes of each layer, is needed. {REMEDY}"
        )
    try:
        result, provenance = contents["result"], contents["network"]
        layers = result["layers"]
        for own in provenance.get("neurons", {}).values():
            load_neuron(own["neuron"], (Path(), path.parent), own["sha256"])
        run = MeasuredRun(
            network=NetworkShape(
                name=str(provenance.get("task", path.stem)),
                layers=tuple(_shape(layer["shape"]) for layer in layers),
            ),
            steps=_whole(result["steps"], "steps", 1),
            samples=_whole(result["samples"], "samples", 1),
            inputs=_number(result["inputs"]["mean"], "inputs.mean"),
            peak_inputs=_number(result["inputs"]["peak"], "inputs.peak"),
            spikes=tuple(_number(each["spikes"]["mean"], "spikes.mean") for each in layers),
            peaks=tuple(_number(each["spikes"]["peak"], "spikes.peak") for each in layers),
        )
        _check(run)
        return StoredRun(
            run=run,
            backend=str(result["backend"]),
            data=str(contents["data"]["fingerprint"]),
            model=provenance.get("model"),
            task=provenance.get("task"),
        )
    except KeyError as error:
        raise DataError(f"{path}: {error.args[0]} is missing. {REMEDY}") from None
    except (TypeError, AttributeError, IndexError):
        raise DataError(f"{path}: not in the layout of a run. {REMEDY}") from None
    except (ValueError, OverflowError) as error:
        raise DataError(f"{path}: {error}. {REMEDY}") from None


def _read(path: Path) -> dict[str, Any]:
    try:
        contents = strict_json.parse(path.read_bytes().decode())
    except OSError as error:
        raise DataError(
            f"{path}: cannot be read ({error.strerror}). Name what brf-lava run --out wrote."
        ) from None
    except strict_json.TwiceError as error:
        raise DataError(f"{path}: {error}. {REMEDY}") from None
    except (ValueError, RecursionError):
        raise DataError(f"{path}: not a JSON text. Name what brf-lava run --out wrote.") from None
    if not isinstance(contents, dict):
        raise DataError(f"{path}: not a JSON object. Name what brf-lava run --out wrote.")
    return contents


def _shape(stored: dict[str, Any]) -> LayerShape:
    if stored["neuron"] not in NEURONS and not is_loaded(stored["neuron"]):
        raise ValueError(f"neuron {stored['neuron']!r} is not known")
    if not isinstance(stored["recurrent"], bool):
        raise ValueError(f"recurrent: {stored['recurrent']!r} is neither true nor false")
    largest = stored["input_sum"]
    return LayerShape(
        neuron=stored["neuron"],
        neurons=_whole(stored["neurons"], "neurons", 1),
        inputs=_whole(stored["inputs"], "inputs", 1),
        recurrent=stored["recurrent"],
        weight_bits=_whole(stored["weight_bits"], "weight_bits", 1),
        input_sum=None if largest is None else _whole(largest, "input_sum", 0),
    )


def _whole(value: Any, name: str, least: int) -> int:
    if type(value) is not int or value < least:
        raise ValueError(f"{name}: {value!r} is not a whole number, {least} or more")
    return value


def _number(value: Any, name: str) -> float:
    if type(value) not in (int, float) or not 0 <= value < float("inf"):
        raise ValueError(f"{name}: {value!r} is not a number of 0 or more")
    return float(value)


def _check(run: MeasuredRun) -> None:
    """Raises: ValueError for layers that do not follow each other and for impossible spikes."""
    layers = run.network.layers
    if len(layers) < 2 or layers[-1].record.spiking:
        raise ValueError("layers: hidden layers and a readout are needed")
    arriving = layers[0].inputs
    counts = [(run.inputs, run.peak_inputs), *zip(run.spikes, run.peaks, strict=True)]
    sizes = [layers[0].inputs, *(layer.neurons for layer in layers)]
    for index, layer in enumerate(layers, start=1):
        if layer.inputs != arriving:
            raise ValueError(f"layer {index}: {layer.inputs} inputs, {arriving} come from before")
        arriving = layer.neurons
    for (mean, peak), size in zip(counts, sizes, strict=True):
        if peak > size or mean > peak * run.steps * ROUNDING:
            raise ValueError(
                f"{mean:g} spikes a sample and {peak:g} in a step are impossible for {size} "
                f"senders and {run.steps} steps"
            )
