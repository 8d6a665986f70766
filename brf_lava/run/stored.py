"""Reads the spikes of a run that ``brf-lava run --out`` wrote, for the estimate of its cost."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from brf_lava.board.describe import LayerShape, NetworkShape
from brf_lava.board.energy import MeasuredRun
from brf_lava.config.toml import Count, Name, NotNegative, Share, Whole, convert
from brf_lava.errors import DataError, ParameterError
from brf_lava.io.text import parse_json, read_text
from brf_lava.neurons.families import NEURONS
from brf_lava.neurons.own import LOADED, load_neuron
from brf_lava.run.result import FORMAT, SCHEMA
from brf_lava.run.sop import Spikes

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


@dataclass(frozen=True)
class _Kind:
    format: str
    schema: Whole


@dataclass(frozen=True)
class _Shape:
    neuron: Name
    neurons: Count
    inputs: Count
    recurrent: bool
    weight_bits: Count
    input_sum: Whole | None


@dataclass(frozen=True)
class _Layer:
    shape: _Shape
    spikes: Spikes


@dataclass(frozen=True)
class _Cost:
    sops: NotNegative


@dataclass(frozen=True)
class _Result:
    backend: Name
    steps: Count
    samples: Count
    accuracy: Share
    cost: _Cost
    agreement: Share | None
    saturations: Whole
    inputs: Spikes
    layers: tuple[_Layer, ...]


@dataclass(frozen=True)
class _Data:
    fingerprint: str


@dataclass(frozen=True)
class _OwnNeuron:
    neuron: str
    sha256: str


@dataclass(frozen=True)
class _Network:
    model: str | None = None
    task: str | None = None
    neurons: dict[str, _OwnNeuron] = field(default_factory=dict)


@dataclass(frozen=True)
class RunFile:
    """What is read of a file that ``brf-lava run --out`` wrote; see `result.RunResult`."""

    result: _Result
    data: _Data
    network: _Network


def read_run(path: Path) -> StoredRun:
    """Read a run's sizes and spikes.

    Raises:
        DataError: As `read_file`, and for numbers that cannot be.
    """
    stored = read_file(path, REMEDY)
    result, network = stored.result, stored.network
    try:
        for own in network.neurons.values():
            load_neuron(own.neuron, (Path(), path.parent), own.sha256)
    except ParameterError as error:
        raise DataError(f"{path}: {error}") from error
    for number, layer in enumerate(result.layers, start=1):
        name = layer.shape.neuron
        if name not in NEURONS and name not in LOADED:
            raise DataError(
                f'{path}: result.layers.{number}.shape.neuron: "{name}"; allowed is one of '
                f"{', '.join(NEURONS)}, or one of your own. {REMEDY}"
            )
    run = MeasuredRun(
        network=NetworkShape(
            name=network.task or path.stem,
            layers=tuple(LayerShape(**vars(layer.shape)) for layer in result.layers),
        ),
        steps=result.steps,
        samples=result.samples,
        inputs=result.inputs.mean,
        peak_inputs=result.inputs.peak,
        spikes=tuple(layer.spikes.mean for layer in result.layers),
        peaks=tuple(layer.spikes.peak for layer in result.layers),
    )
    try:
        _check(run)
    except ValueError as error:
        raise DataError(f"{path}: {error}. {REMEDY}") from None
    return StoredRun(run, result.backend, stored.data.fingerprint, network.model, network.task)


def read_file(path: Path, remedy: str) -> RunFile:
    """Read what ``brf-lava run --out`` wrote.

    Args:
        path: The file.
        remedy: The last sentence of a message.

    Raises:
        DataError: For a file that is missing, damaged, or of another format or schema.
    """
    contents = parse_json(read_text(path, DataError, remedy), str(path), DataError, remedy)
    given = convert(_Kind, contents, str(path), DataError, remedy)
    if given != _Kind(FORMAT, SCHEMA):
        raise DataError(
            f"{path}: format {given.format!r}, schema {given.schema}; {FORMAT!r} of schema "
            f"{SCHEMA}, which has the spikes of each layer, is needed. {remedy}"
        )
    return convert(RunFile, contents, str(path), DataError, remedy)


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
