"""What differs between two networks: origin, recipe, integers, and answers on the same data."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from brf_lava.analysis.activity import CHUNK, run
from brf_lava.analysis.scores import class_scores, confusion
from brf_lava.config.toml import read_table
from brf_lava.errors import BrfLavaError, DataError
from brf_lava.inspection.describe import describe_network
from brf_lava.inspection.subjects import Subject
from brf_lava.network.layers import FixedLayer


class Difference(NamedTuple):
    """Something that is not the same in both networks."""

    what: str
    first: Any
    second: Any


def compare(first: Subject, second: Subject) -> tuple[list[Difference], str | None]:
    """List what differs, and why the networks were not run, where they were not."""
    ours, theirs = (_flat({**describe_network(e), **_origin(e)}) for e in (first, second))
    found = [
        Difference(what, ours.get(what), theirs.get(what))
        for what in dict.fromkeys((*ours, *theirs))
        if ours.get(what) != theirs.get(what) and what != "files"
    ]
    pairs = zip(first.layers, second.layers, strict=False)
    for number, (one, other) in enumerate(pairs, start=1):
        if isinstance(one, FixedLayer) and isinstance(other, FixedLayer):
            found += _integers(f"layer {number}", one, other)
    try:
        return [*found, *_answers(first, second)], None
    except BrfLavaError as error:
        return found, str(error)


def _origin(subject: Subject) -> dict[str, Any]:
    """What `describe_network` does not say of the origin: recipe, digest of the data, versions."""
    about = subject.about
    recipe = read_table(about.recipe, f"{subject.name} (stored recipe)", DataError)
    data = about.data and about.data.fingerprint
    return {"recipe": recipe, "data, SHA-256": data, "versions": about.versions}


def _flat(table: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Values by dotted keys."""
    flat: dict[str, Any] = {}
    for key, value in table.items():
        name = f"{prefix}{key}"
        flat |= _flat(value, f"{name}.") if isinstance(value, dict) else {name: value}
    return flat


def _integers(name: str, one: FixedLayer, other: FixedLayer) -> Iterator[Difference]:
    """How many integers of a layer differ, and by how much."""
    pairs: dict[str, Any] = {
        key: (one.integers[key], other.integers.get(key)) for key in one.integers
    }
    for key in ("weights", "recurrent"):
        both = getattr(one, key), getattr(other, key)
        if both[0] is not None and both[1] is not None:
            pairs[f"{key}, in states"] = tuple(each.integers for each in both)
    for key, (ours, theirs) in pairs.items():
        if np.shape(ours) != np.shape(theirs):
            yield Difference(f"{name} {key}, shape", list(np.shape(ours)), list(np.shape(theirs)))
        elif count := np.count_nonzero(ours != theirs):
            what = f"{name} {key}: {count} of {np.size(ours)} differ; largest magnitude"
            yield Difference(what, int(np.abs(ours).max()), int(np.abs(theirs).max()))


def _answers(first: Subject, second: Subject) -> Iterator[Difference]:
    """What they do on the same samples. Raises: BrfLavaError where they cannot be run."""
    if first.dataset.source.fingerprint != second.dataset.source.fingerprint:
        raise DataError("their data differ, so that they were not run on the same samples.")
    split, classes = first.split, first.dataset.classes
    recalls = []
    for subject in (first, second):
        predictions = list(subject.predictions.values())
        if not predictions or subject.ready is None:
            raise DataError(f"{subject.name}: name its model or network file, to run it.")
        matrix = confusion(subject.about.decision, split.y, predictions[-1], len(classes))
        recalls.append(class_scores(matrix)["recall"].round(4).tolist())
    for name, ours, theirs in zip(classes, *recalls, strict=True):
        if ours != theirs:
            yield Difference(f"accuracy of class {name}", ours, theirs)
    if [layer.shape[0] for layer in first.layers] == [layer.shape[0] for layer in second.layers]:
        yield from _first_spike(first, second)


def _first_spike(first: Subject, second: Subject) -> Iterator[Difference]:
    """The earliest step of any sample in which a hidden neuron of one alone spikes."""
    found, samples, x = [], set(), first.split.x
    for start in range(0, len(x), CHUNK):
        part = x[start : start + CHUNK].transpose(1, 0, 2)
        networks: list[Any] = [first.ready, second.ready]
        spikes = zip(*(run(network, part)[1] for network in networks), strict=True)
        for layer, (ours, theirs) in enumerate(spikes, start=1):
            differ = np.argwhere((ours > 0) != (theirs > 0))  # step, sample, neuron; in order
            samples |= set((differ[:, 1] + start).tolist())
            for step, sample, neuron in differ[:1].tolist():
                fired = bool(ours[step, sample, neuron] > 0)
                found.append((step, start + sample, layer, neuron, fired))
    if found:
        step, sample, layer, neuron, fired = min(found)
        where = f"sample {sample}, step {step}, layer {layer}, neuron {neuron}"
        what = f"first differing spike ({len(samples)} samples have one): {where}"
        words = ("spike", "none")
        yield Difference(what, *(words if fired else words[::-1]))
