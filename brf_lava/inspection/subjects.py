"""The networks of a report: their files put together, and what they do on their data."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from brf_lava import report
from brf_lava.analysis.activity import CHUNK, run
from brf_lava.backends import engine
from brf_lava.board.describe import LayerShape, network_shape
from brf_lava.config.toml import convert
from brf_lava.data.dataset import Dataset, DataSource, Split
from brf_lava.errors import BrfLavaError, DataError
from brf_lava.io.text import parse_json, read_text
from brf_lava.network import file as network_file
from brf_lava.network.activity import FloatActivity, Metrics
from brf_lava.network.decision import Decision
from brf_lava.network.layers import FixedNetwork, RealNetwork
from brf_lava.run import result as results
from brf_lava.run.stored import REMEDY, read_run

if TYPE_CHECKING:  # a network file does not wait for torch
    from brf_lava.train.checkpoint import Checkpoint

SUFFIXES = (".pt", ".h5", ".json")
WEIGHT_BITS = 8  # that weights of a float network count as
Load = Callable[[dict[str, Any], Path], Dataset]


@dataclass(frozen=True)
class About:
    """Where a network came from, as far as its files say."""

    task: str | None = None
    model: str | None = None  # fingerprint of the float network
    recipe: str = ""
    seed: int | None = None
    origin: str | None = None
    epoch: int | None = None
    epochs_done: int | None = None
    classes: tuple[str, ...] = ()
    rounding: str | None = None
    weight_bits: tuple[int, ...] = ()
    data: DataSource | None = None
    metrics: Metrics | None = None
    decision: Decision = field(default_factory=Decision)
    versions: dict[str, dict[str, str]] = field(default_factory=dict)


@dataclass(eq=False)
class Subject:
    """One network: a model, its integers and runs of them, whatever there is of these.

    Attributes:
        name: Its first file.
        load: Reads the data that such a provenance names, for the file at a path.
        limit: Most test samples to run.
        provenance, about: As of a network file, and the same, checked.
        stored: What the float network did on the test data when it was trained.
        runs: The results of its runs, see `brf_lava.run.result.RunResult`.
    """

    name: str
    load: Load
    limit: int
    provenance: dict[str, Any] = field(default_factory=dict)
    about: About = field(default_factory=About)
    files: list[Path] = field(default_factory=list)
    model: Checkpoint | None = None
    network: FixedNetwork | None = None
    stored: FloatActivity | None = None
    runs: list[Any] = field(default_factory=list)

    @cached_property
    def dataset(self) -> Dataset:
        """Raises: BrfLavaError where there are no data, or others than the network takes."""
        dataset = self.load(self.provenance, self.files[0])
        if self.layers:
            dataset.require_sizes(self.layers, self.name)
        return dataset

    @property
    def split(self) -> Split:
        """The test samples that are run."""
        return self.dataset.test.first(self.limit)

    @cached_property
    def real(self) -> RealNetwork | None:
        return None if self.model is None else self.model.model().to_real()

    @property
    def ready(self) -> FixedNetwork | RealNetwork | None:
        """The integers, else the float network."""
        return self.network or self.real

    @property
    def layers(self) -> Sequence[Any]:
        """Of what is `ready`."""
        return () if self.ready is None else self.ready.layers

    @property
    def shapes(self) -> tuple[LayerShape, ...]:
        """The sizes of all layers."""
        if self.network is not None:
            return network_shape(self.network, "").layers
        return tuple(
            LayerShape(e.neuron.name, e.shape[0], e.shape[1], e.recurrent is not None, WEIGHT_BITS)
            for e in self.layers
        )

    @cached_property
    def reference(self) -> results.Reference | None:
        """The float network on `split`; None where it was measured on other data, or nowhere."""
        if self.stored is None or not self.has_own_data:
            return None
        labels, decision = self.split.y, self.about.decision
        return results.reference_from(self.stored.first(len(labels)), labels, "", decision)

    @property
    def has_own_data(self) -> bool:
        """Whether the data are those that the float network was measured on."""
        trained = self.about.data
        return trained is not None and self.dataset.source.fingerprint == trained.fingerprint

    @cached_property
    def engine(self) -> tuple[results.RunResult, NDArray[Any], list[Any]] | None:
        """The integers on `split`: the result, predictions [B, P], spikes a sample by layer [N]."""
        if (network := self.network) is None:
            return None
        measured = []

        def spikes() -> Iterator[Sequence[Any]]:
            for x in self._parts("engine"):
                activity = engine.run(network, x)
                measured.append(results.measure(network, x, activity, 0.0))
                yield activity.spikes

        per_neuron = self._per_neuron(spikes())
        found = results.summarize(
            network, measured, self.split.y, self.reference, backend="engine", checked=False
        )
        return found, np.concatenate([part.predictions for part in measured]), per_neuron

    @cached_property
    def float_spikes(self) -> list[Any] | None:
        """Spikes a sample by layer [N], of the float network on `split`."""
        if (network := self.real) is None:
            return None
        return self._per_neuron(run(network, x)[1] for x in self._parts("float network"))

    def _per_neuron(self, parts: Iterable[Sequence[Any]]) -> list[Any]:
        """Spikes a sample by layer [N], from those [T, B, N] of one part after the other."""
        counts = [[np.count_nonzero(layer, (0, 1)) for layer in spikes] for spikes in parts]
        return [sum(layer) / len(self.split.x) for layer in zip(*counts, strict=True)]

    def _parts(self, label: str) -> Iterator[NDArray[Any]]:
        """The inputs [T, B, I] of some samples after the other."""
        x = self.split.x
        with report.step_progress(label, len(x)) as advance:
            for first in range(0, len(x), CHUNK):
                yield np.ascontiguousarray(x[first : first + CHUNK].transpose(1, 0, 2))
                advance(first + CHUNK)

    @property
    def predictions(self) -> dict[str, NDArray[Any]]:
        """Classes [B, P] on `split`, of the float network and of the integers."""
        found = {} if self.reference is None else {"float": self.reference.predictions}
        return found if self.engine is None else {**found, "integers": self.engine[1]}

    def accepts(self, suffix: str, provenance: dict[str, Any]) -> bool:
        """Whether a file of this provenance belongs here."""
        same = provenance.get("model") == self.provenance.get("model")
        free = self.network is None or self.network.provenance == provenance
        return same and suffix != ".pt" and (free if suffix == ".json" else self.network is None)


def find_subjects(paths: Sequence[Path], load: Load, limit: int) -> list[Subject]:
    """Put files together that are of one network.

    Args:
        paths: Models, network files, runs, and folders, in which such files are looked for.
        load, limit: As of `Subject`.

    Raises:
        BrfLavaError: If there is no such file, something else was named, or a file is damaged.
    """
    files: dict[Path, None] = {}
    for path in paths:
        files |= dict.fromkeys(filter(known, sorted(path.rglob("*"))) if path.is_dir() else [path])
    for path in files or paths:
        if not known(path):
            what = "no model, network or run of brf-lava is there"
            raise DataError(
                f"{path}: {what if path.exists() else 'does not exist'}. Name a model (.pt), a "
                "network (.h5), a run (.json), or a folder with such files."
            )
    common = os.path.commonpath([path.resolve().parent for path in files])
    subjects: list[Subject] = []
    for path in sorted(files, key=lambda path: SUFFIXES.index(path.suffix)):
        provenance, content = _read(path)
        subject = next((each for each in subjects if each.accepts(path.suffix, provenance)), None)
        if subject is None:
            subject = Subject(os.path.relpath(path.resolve(), common), load, limit)
            subjects.append(subject)
        subject.files.append(path)
        subject.provenance = {**provenance, **subject.provenance}
        subject.about = convert(About, subject.provenance, str(path), DataError, "Export it again.")
        subject.runs += content.pop("runs", [])
        vars(subject).update({**content, "stored": subject.stored or content.get("stored")})
    return subjects


def known(path: Path) -> bool:
    """Whether this is a model, a network file or a run."""
    kind = {".h5": network_file.KIND, ".json": results.KIND}.get(path.suffix)
    if path.suffix == ".pt":
        from brf_lava.train.checkpoint import KIND as kind
    try:
        if kind is not None:
            kind.check(path)
    except BrfLavaError:
        return False
    return kind is not None and path.is_file() and path.stat().st_size > 0


def _read(path: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """Where a network came from, and the fields of its subject."""
    if path.suffix == ".pt":
        from brf_lava.train.checkpoint import load_checkpoint

        model = load_checkpoint(path)
        more = {"epochs_done": model.epochs_done, "versions": {"trained": model.versions}}
        return {**model.provenance, **more}, {"model": model, "stored": model.activity}
    if path.suffix == ".h5":
        network, stored = network_file.read_network(path)
        return network.provenance, {"network": network, "stored": stored}
    run, text = read_run(path), read_text(path, DataError, REMEDY)
    contents = parse_json(text, str(path), DataError, REMEDY)
    return contents["network"], {"runs": [run.result]}
