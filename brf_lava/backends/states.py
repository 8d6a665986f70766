"""States of chosen neurons in every step of a run, the same from Lava as from the engine.

In Lava the layer's own process writes them to shared memory as it computes them: that needs neither
a process nor a connection more, unlike Lava's Monitor.

A file of states, HDF5, holds the integers as they are; ``value = integer * scale``::

    attribute about (JSON)        format, schema, versions, backend, network, data, step_seconds
    step [T], sample [B]          numbers, counted from 0; scales of the axes below
    <layer>/neuron [K]            their numbers within the layer, likewise
    <layer>/<state> [T, B, K]     int32, spikes int8; attributes unit and scale
"""

from __future__ import annotations

import hashlib
import io
import json
import re
from collections.abc import Container, Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from brf_lava.data.dataset import DataSource
from brf_lava.errors import ParameterError
from brf_lava.io.files import HDF5, HDF5_SUFFIXES, Kind, write_bytes
from brf_lava.io.memory import require_memory
from brf_lava.io.shared_memory import shared_array
from brf_lava.network.file import LIBRARY_VERSION
from brf_lava.network.layers import FixedLayer, FixedNetwork
from brf_lava.versions import versions

FORMAT = "brf-lava-states"
KIND = Kind("a file of states of brf-lava", HDF5, FORMAT, HDF5_SUFFIXES)
SCHEMA = 2
SPIKE = "z"  # what a spiking neuron sends; a state of ALIF, too
RANGE = re.compile(r"([0-9]{1,6})(?:\s*-\s*([0-9]{1,6}))?")


@dataclass(frozen=True)
class Recording:
    """The states of some neurons of one layer, in memory that the children of a run write to.

    index: the layer's number. neurons: [K], the numbers of those that are recorded. Both count from
    0. values: [T, B, K] by the state's name, integers.
    """

    network: FixedNetwork
    index: int
    neurons: NDArray[np.int64]
    values: dict[str, NDArray[Any]]

    @property
    def layer(self) -> str:
        """The layer's name."""
        return self.network.layer_names[self.index]

    def samples(self, first: int, last: int) -> Recording:
        """The part of samples `first` to `last - 1`: what is written to it, is written here."""
        parts = {name: array[:, first:last] for name, array in self.values.items()}
        return replace(self, values=parts)

    def write(
        self, steps: int | slice, outputs: NDArray[Any], states: Iterable[NDArray[Any]]
    ) -> None:
        """Take over what is recorded of one step, [B, N] each, or of several, [steps, B, N]."""
        order = self.network.layers[self.index].neuron.states
        computed = {SPIKE: outputs, **dict(zip(order, states, strict=True))}
        for name, values in self.values.items():
            values[steps] = computed[name][..., self.neurons]


def state_names(layer: FixedLayer) -> tuple[str, ...]:
    """What can be recorded of a layer."""
    spikes = (SPIKE,) if layer.neuron.spiking and SPIKE not in layer.neuron.states else ()
    return (*layer.neuron.states, *spikes)


def parse_numbers(text: str) -> tuple[int, ...]:
    """The numbers in a list such as "0-7,12". Raises: ParameterError."""
    numbers: list[int] = []
    for part in text.split(","):
        match = RANGE.fullmatch(part.strip())
        first, last = (int(match[1]), int(match[2] or match[1])) if match else (0, -1)
        if last < first:
            raise ParameterError(
                f"neurons {text!r}: {part.strip()!r} is neither a number below 1,000,000 nor a "
                "range of them. Name them like 0-7,12."
            )
        numbers.extend(range(first, last + 1))
    return tuple(numbers)


def new_recording(
    network: FixedNetwork,
    steps: int,
    samples: int,
    states: Sequence[str],
    layer: str = "hidden1",
    neurons: Sequence[int] | None = None,
) -> Recording:
    """Room for what is to be recorded of a run, all zeros.

    states: their names, and "z" for the spikes. layer: "hidden1", "hidden2", ... or "readout".
    neurons: their numbers, counted from 0; None for all. Raises: ParameterError for a layer, state
    or neuron that does not exist, NotEnoughMemoryError if they do not fit into memory.
    """
    names = network.layer_names
    _check("layer", [layer], names, "this network has " + ", ".join(names))
    index = names.index(layer)
    chosen = network.layers[index]
    known, count = state_names(chosen), chosen.shape[0]
    _check("state", states, known, f"{layer} ({chosen.neuron.name}) has {', '.join(known)}")
    numbers = list(dict.fromkeys(range(count) if neurons is None else neurons))
    _check("neuron", numbers, range(count), f"{layer} has 0 to {count - 1}")
    # 32 bits hold all states: those that do not saturate at 24 bits rise with a spike alone, and
    # there is none once the threshold has risen past what u can be.
    types = {name: np.dtype(np.int8 if name == SPIKE else np.int32) for name in states}
    size = steps * samples * len(numbers) * sum(number.itemsize for number in types.values())
    what = f"probe: {steps} steps of {samples} samples"
    require_memory(size, what, "Name fewer neurons or states, or take fewer samples")
    shape = (steps, samples, len(numbers))
    values = {name: shared_array(shape, number) for name, number in types.items()}
    return Recording(network, index, np.array(numbers, np.int64), values)


def _check(kind: str, given: Iterable[Any], known: Container[Any], allowed: str) -> None:
    for each in given:
        if each not in known:
            raise ParameterError(f"probe: {kind} {each!r}; {allowed}. Name some of these.")


def fingerprint(network: FixedNetwork) -> str:
    """SHA-256 of all integers of a network, in hex, whatever its provenance."""
    digest = hashlib.sha256(f"{network.input_range}".encode())
    for layer in network.layers:
        connections = [each for each in (layer.weights, layer.recurrent) if each is not None]
        shapes = [(each.mantissa.shape, each.exponent) for each in connections]
        constants = {name: int(value) for name, value in layer.constants._asdict().items()}
        digest.update(f"{layer.neuron.name} {shapes} {constants}".encode())
        for array in (*(each.mantissa for each in connections), layer.coefficients):
            digest.update(np.ascontiguousarray(array, "<i8").tobytes())
    return digest.hexdigest()


def write_recording(
    recording: Recording,
    path: Path,
    *,
    backend: str,
    data: DataSource | None = None,
    step_seconds: float | None = None,
) -> None:
    """Write the states of a run.

    backend: which one ran; data: what the samples are; step_seconds: length of one step, s.
    Raises: BrfLavaError if the file cannot be written.
    """
    import h5py

    network = recording.network
    about = {
        "format": FORMAT,
        "schema": SCHEMA,
        "versions": versions(),
        "backend": backend,
        "network": {"fingerprint": fingerprint(network), "provenance": network.provenance},
        "data": None if data is None else asdict(data),
        "step_seconds": step_seconds,
    }
    steps, samples, _ = next(iter(recording.values.values())).shape
    layer = network.layers[recording.index]
    units = {SPIKE: 1, **dict(zip(layer.neuron.states, layer.units, strict=True))}
    buffer = io.BytesIO()  # on a full disk the HDF5 library would crash
    with h5py.File(buffer, "w", libver=LIBRARY_VERSION) as file:
        file.attrs["about"] = np.bytes_(json.dumps(about, sort_keys=True))
        group = file.create_group(recording.layer)
        group.attrs["neuron"] = np.bytes_(layer.neuron.name)
        axes = {
            "step": file.create_dataset("step", data=np.arange(steps)),
            "sample": file.create_dataset("sample", data=np.arange(samples)),
            "neuron": group.create_dataset("neuron", data=recording.neurons),
        }
        for axis, scale in axes.items():
            scale.make_scale(axis)
        for state, values in recording.values.items():
            dataset = group.create_dataset(state, data=values, compression="gzip", shuffle=True)
            for dimension, (axis, scale) in zip(dataset.dims, axes.items(), strict=True):
                dimension.label = axis
                dimension.attach_scale(scale)
            dataset.attrs["unit"] = np.bytes_("spikes" if state == SPIKE else "state")
            dataset.attrs["scale"] = 1 / units[state]
    write_bytes(path, buffer.getvalue(), KIND)
