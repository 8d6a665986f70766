"""Reads what ``brf-lava run --out`` wrote, and measures its samples again on this computer."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import numpy as np
from msgspec import Meta

from brf_lava.backends import engine
from brf_lava.board.meter import Measurement, measured, nvml_meter, rapl_meter
from brf_lava.config.toml import choice, convert
from brf_lava.data.dataset import Dataset, DataSource, Split
from brf_lava.errors import DataError, ParameterError
from brf_lava.io.files import refuse_others
from brf_lava.io.foreign import reading
from brf_lava.io.printable import brief
from brf_lava.io.text import parse_json, read_text
from brf_lava.network.layers import FixedNetwork
from brf_lava.neurons.families import NEURONS
from brf_lava.neurons.own import LOADED, load_neuron
from brf_lava.run.result import FORMAT, SCHEMA, RunResult, measure, summarize

if TYPE_CHECKING:
    from brf_lava.train.model import Network

SINGLES = 10  # samples that are run one by one, before all at once
REMEDY = "Write it again with brf-lava run --out."


@dataclass(frozen=True)
class _Own:
    neuron: str
    sha256: str


@dataclass(frozen=True)
class _Network:
    model: str | None = None  # the fingerprint of the float model
    task: str | None = None
    neurons: Annotated[dict[str, _Own], Meta(description="a table of a user's own neurons")] = (
        field(default_factory=dict)
    )


@dataclass(frozen=True)
class _Head:
    format: Annotated[str, choice((FORMAT,))]
    schema: Annotated[int, Meta(ge=SCHEMA, le=SCHEMA, description=f"{SCHEMA}")]


@dataclass(frozen=True)
class RunFile(_Head):
    """What is read of the file."""

    result: RunResult
    data: DataSource
    network: _Network


def read_file(path: Path, remedy: str = REMEDY) -> RunFile:
    """Read a run. Raises: DataError, ending in `remedy`, for anything else than such a file."""
    with reading(path, "a run", DataError, remedy):
        refuse_others(path, "a run", DataError)
    contents = parse_json(read_text(path, DataError, remedy), str(path), DataError, remedy)
    convert(_Head, contents, str(path), DataError, remedy)  # first: the rest depends on it
    return convert(RunFile, contents, str(path), DataError, remedy)


def read_run(path: Path) -> RunFile:
    """As `read_file`; a user's own neurons are read too. Raises: DataError for a missing one."""
    stored = read_file(path)
    try:
        for own in stored.network.neurons.values():
            load_neuron(own.neuron, (Path(), path.parent), own.sha256)
    except ParameterError as error:
        raise DataError(f"{path}: {error}") from error
    shapes = [layer.shape for layer in stored.result.layers]
    names = {shape.neuron for shape in shapes}
    if not all(name in NEURONS or name in LOADED for name in names):
        found = brief(sorted(names))
        raise DataError(f"{path}: neurons {found}; all must be known here. {REMEDY}")
    spiking = [shape.record.spiking for shape in shapes]
    joined = all(after.inputs == before.neurons for before, after in pairwise(shapes))
    if spiking != [True] * max(1, len(shapes) - 1) + [False] or not joined:
        raise DataError(
            f"{path}: result.layers: hidden layers and a readout are needed, each with as many "
            f"inputs as the one before has neurons. {REMEDY}"
        )
    return stored


def same_samples(stored: RunFile, dataset: Dataset, model: str | None, path: Path) -> Split:
    """The samples of the run. Raises: DataError for other data, or another model in `path`."""
    if model != stored.network.model:
        raise DataError(
            f"{path}: is not the network of the run (model {str(model)[:8]}, not "
            f"{str(stored.network.model)[:8]}). Name that one, or run this one with --out."
        )
    source, samples = dataset.source, stored.result.samples
    if source.fingerprint != stored.data.fingerprint or len(dataset.test.x) < samples:
        raise DataError(
            f"{path}: the data here, {source.description}, are not those of the run. Name them "
            "with --data."
        )
    return dataset.test.first(samples)


def time_engine(
    stored: RunFile, network: FixedNetwork, split: Split, path: Path
) -> Iterator[Measurement]:
    """Measure the integer engine. Raises: DataError for another export, with other spikes."""
    x = split.time_major()
    part = measure(network, x, engine.run(network, x), seconds=0.0)
    found = summarize(network, [part], split.y, None, backend="engine", checked=False)
    if found.layers != stored.result.layers:
        raise DataError(
            f"{path}: is another export of the run's model: its integers give other spikes. "
            "Name the file that was run, or run this one with --out."
        )
    for size, parts in _batches(len(split.x)):
        runs = [partial(engine.run, network, np.ascontiguousarray(x[:, part])) for part in parts]
        yield measured("integer engine, CPU", runs, size, rapl_meter())


def time_float(model: Network, split: Split, device: str) -> Iterator[Measurement]:
    """Measure a float network; on "auto": on the processor, then on a card if there is one."""
    import torch

    from brf_lava.train.model import choose_device, device_name, evaluate

    first = choose_device("cpu" if device == "auto" else device)
    for target in dict.fromkeys([first, choose_device(device)]):
        ready, kind, meter = model.to(target), "CPU", rapl_meter()
        if target.type == "cuda":
            uuid = getattr(torch.cuda.get_device_properties(target), "uuid", None)
            kind, meter = "GPU", nvml_meter(None if uuid is None else str(uuid))
        for size, parts in _batches(len(split.x)):
            samples = [replace(split, x=split.x[part], y=split.y[part]) for part in parts]
            calls = [partial(evaluate, ready, each, target) for each in samples]
            yield measured(f"float network, {kind} ({device_name(target)})", calls, size, meter)


def _batches(samples: int) -> Iterator[tuple[int, list[slice]]]:
    """One by one, the first few; then all at once."""
    yield 1, [slice(k, k + 1) for k in range(min(SINGLES, samples))]
    if samples > 1:
        yield samples, [slice(samples)]
