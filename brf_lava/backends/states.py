"""States of chosen neurons in every step of a run, the same from Lava as from the engine.

In Lava the layer's own process writes them to shared memory as it computes them: that needs neither
a process nor a connection more, unlike Lava's Monitor.

A file of states holds, per layer, the integers as they are; ``value = integer * scale``::

    HDF5    attribute about (JSON): format, schema, versions, backend, network, data, step_seconds
            step [T], sample [B]          numbers, counted from 0; scales of the axes below
            <layer>/neuron [K]            their numbers within the layer, likewise
            <layer>/<state> [T, B, K]     int32, spikes int8; attributes unit, fraction_bits, scale
    npz     the same arrays under the same names, and about, which also has the arrays' attributes
"""

from __future__ import annotations

import hashlib
import io
import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from brf_lava.data.dataset import DataSource
from brf_lava.errors import ParameterError
from brf_lava.io.files import write_bytes
from brf_lava.io.shared_memory import shared_array
from brf_lava.network.file import LIBRARY_VERSION
from brf_lava.network.layers import FixedLayer, FixedNetwork
from brf_lava.versions import versions

FORMAT = "brf-lava-states"
SCHEMA = 1
AXES = ("step", "sample", "neuron")
SPIKE = "z"  # what a spiking neuron sends; of ALIF it is a state besides
SUFFIXES = (".h5", ".hdf5", ".npz")
RANGE = re.compile(r"([0-9]+)(?:\s*-\s*([0-9]+))?")
NEURONS_MAX = 10**6  # of a layer, as far as a list of numbers goes
BYTES_MAX = 2**30  # that a recording may take in memory


@dataclass(frozen=True)
class Selection:
    """What to record of one layer.

    states:  names such as "u" and "q", and "z" for the spikes
    layer:   "hidden1", "hidden2", ... or "readout"
    neurons: their numbers, counted from 0; None: all of them
    """

    states: tuple[str, ...]
    layer: str = "hidden1"
    neurons: tuple[int, ...] | None = None


@dataclass(frozen=True)
class LayerRecording:
    """The states of some neurons of one layer.

    name, index:   of the layer, such as "hidden1" and 0
    neuron:        its neuron, such as "BRF"
    order:         the names of the neuron's states
    neurons:       [K], the numbers of those that are recorded
    values:        [T, B, K] by the state's name, integers
    fraction_bits: by the state's name
    """

    name: str
    index: int
    neuron: str
    order: tuple[str, ...]
    neurons: NDArray[np.int64]
    values: dict[str, NDArray[Any]]
    fraction_bits: dict[str, int]

    def write(
        self, steps: int | slice, outputs: NDArray[Any], states: Iterable[NDArray[Any]]
    ) -> None:
        """Take over what is recorded of one step, [B, N] each, or of several, [steps, B, N]."""
        found = {SPIKE: outputs, **dict(zip(self.order, states, strict=True))}
        for name, values in self.values.items():
            values[steps] = found[name][..., self.neurons]


@dataclass(frozen=True)
class Recording:
    """What a run records, layer by layer, in memory that the children of a run write to."""

    layers: tuple[LayerRecording, ...]

    def samples(self, first: int, last: int) -> Recording:
        """The part of samples `first` to `last - 1`: what is written to it, is written here."""
        return Recording(
            tuple(
                replace(
                    layer,
                    values={name: array[:, first:last] for name, array in layer.values.items()},
                )
                for layer in self.layers
            )
        )

    def of_layer(self, index: int) -> LayerRecording | None:
        """That of the layer with this number, counted from 0."""
        return next((layer for layer in self.layers if layer.index == index), None)

    @property
    def bytes(self) -> int:
        return sum(array.nbytes for layer in self.layers for array in layer.values.values())


def layer_names(network: FixedNetwork) -> tuple[str, ...]:
    """hidden1, hidden2, ..., readout."""
    return (*(f"hidden{index + 1}" for index in range(len(network.hidden))), "readout")


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
        if not first <= last < NEURONS_MAX:
            raise ParameterError(
                f"neurons {text!r}: {part.strip()!r} is no number below {NEURONS_MAX:,}, and no "
                "range of such. Name them like 0-7,12."
            )
        numbers.extend(range(first, last + 1))
    return tuple(numbers)


def new_recording(
    network: FixedNetwork, selections: Sequence[Selection], steps: int, samples: int
) -> Recording:
    """Room for what is to be recorded of a run, all zeros.

    Raises: ParameterError for a layer, state or neuron that there is not, for a layer that is named
    twice, and for more than `BYTES_MAX`.
    """
    names = [selection.layer for selection in selections]
    if len(set(names)) < len(names):
        raise ParameterError(
            f"probe: layers {', '.join(names)}; one of them twice. Name all states of a layer at "
            "once."
        )
    checked = [_checked(network, selection) for selection in selections]
    size = sum(
        steps * samples * len(numbers) * sum(_number(name).itemsize for name in states)
        for _, states, numbers in checked
    )
    if size > BYTES_MAX:
        raise ParameterError(
            f"probe: {steps} steps of {samples} samples take {_megabytes(size)} MB; at most "
            f"{_megabytes(BYTES_MAX)} MB can be recorded. Name fewer neurons or states, or take "
            "fewer samples."
        )
    return Recording(
        tuple(
            LayerRecording(
                name=names[position],
                index=index,
                neuron=network.layers[index].neuron.name,
                order=network.layers[index].neuron.states,
                neurons=np.array(numbers, np.int64),
                values={
                    name: shared_array((steps, samples, len(numbers)), _number(name))
                    for name in states
                },
                fraction_bits={
                    name: 0 if name == SPIKE else int(network.layers[index].constants.state_bits)
                    for name in states
                },
            )
            for position, (index, states, numbers) in enumerate(checked)
        )
    )


def _checked(
    network: FixedNetwork, selection: Selection
) -> tuple[int, tuple[str, ...], tuple[int, ...]]:
    """The layer's number, its states and its neurons, each once. Raises: ParameterError."""
    names = layer_names(network)
    if selection.layer not in names:
        raise ParameterError(
            f"probe: layer {selection.layer!r}; this network has {', '.join(names)}. Name one."
        )
    index = names.index(selection.layer)
    layer = network.layers[index]
    states = tuple(dict.fromkeys(selection.states))
    for name in states or ("",):
        if name not in state_names(layer):
            raise ParameterError(
                f"probe: state {name!r}; {selection.layer} ({layer.neuron.name}) has "
                f"{', '.join(state_names(layer))}. Name some of these."
            )
    count = layer.shape[0]
    numbers = range(count) if selection.neurons is None else selection.neurons
    for number in numbers:
        if not 0 <= number < count:
            raise ParameterError(
                f"probe: neuron {number}; {selection.layer} has 0 to {count - 1}. Name some of "
                "these."
            )
    return index, states, tuple(dict.fromkeys(numbers))


def _number(state: str) -> np.dtype[Any]:
    """The type that a state is recorded in.

    32 bits hold all states: those that do not saturate at 24 bits rise with a spike alone, and
    there is none once the threshold has risen past what u can be.
    """
    return np.dtype(np.int8 if state == SPIKE else np.int32)


def _megabytes(size: int) -> str:
    return f"{-(-size // 10**6):,}"


def fingerprint(network: FixedNetwork) -> str:
    """SHA-256 of all integers of a network, in hex: what tells networks apart, not where they are
    from."""
    digest = hashlib.sha256(f"{network.input_range}".encode())
    for layer in network.layers:
        connections = (
            [layer.weights] if layer.recurrent is None else [layer.weights, layer.recurrent]
        )
        shapes = [(each.mantissa.shape, each.exponent) for each in connections]
        constants = {name: int(value) for name, value in layer.constants._asdict().items()}
        digest.update(f"{layer.neuron.name} {shapes} {constants}".encode())
        for array in (*(each.mantissa for each in connections), layer.coefficients):
            digest.update(np.ascontiguousarray(array, "<i8").tobytes())
    return digest.hexdigest()


def check_suffix(path: Path) -> None:
    """Raises: ParameterError for a file that is named neither as HDF5 nor as npz."""
    if path.suffix not in SUFFIXES:
        raise ParameterError(
            f"{path}: {path.suffix!r}; states are written as HDF5 or npz. Name a file that ends in "
            f"{', '.join(SUFFIXES)}."
        )


def write_recording(
    recording: Recording,
    network: FixedNetwork,
    path: Path,
    *,
    backend: str,
    data: DataSource | None = None,
    step_seconds: float | None = None,
) -> None:
    """Write the states of a run as HDF5 or npz, by the ending of `path`.

    backend: which one ran; data: what the samples are; step_seconds: length of one step, s.
    Raises: ParameterError for another ending; BrfLavaError where the file cannot be written.
    """
    check_suffix(path)
    about = {
        "format": FORMAT,
        "schema": SCHEMA,
        "versions": versions(),
        "backend": backend,
        "network": {"fingerprint": fingerprint(network), "provenance": network.provenance},
        "data": None if data is None else asdict(data),
        "step_seconds": step_seconds,
    }
    write = _npz if path.suffix == ".npz" else _hdf5
    write_bytes(path, write(recording, about))


def _attributes(layer: LayerRecording, state: str) -> dict[str, Any]:
    bits = layer.fraction_bits[state]
    return {
        "unit": "spikes" if state == SPIKE else "state",
        "fraction_bits": bits,
        "scale": 2.0**-bits,
    }


def _axes(recording: Recording) -> dict[str, NDArray[np.int64]]:
    """The numbers of steps and samples, which all layers share."""
    steps, samples, _ = next(iter(recording.layers[0].values.values())).shape
    return {"step": np.arange(steps), "sample": np.arange(samples)}


def _hdf5(recording: Recording, about: dict[str, Any]) -> bytes:
    import h5py

    buffer = io.BytesIO()  # on a full disk the HDF5 library would crash
    with h5py.File(buffer, "w", libver=LIBRARY_VERSION) as file:
        file.attrs["about"] = np.bytes_(json.dumps(about, sort_keys=True))
        for name, numbers in _axes(recording).items():
            file.create_dataset(name, data=numbers).make_scale(name)
        for layer in recording.layers:
            group = file.create_group(layer.name)
            group.attrs["neuron"] = np.bytes_(layer.neuron)
            group.create_dataset("neuron", data=layer.neurons).make_scale("neuron")
            scales = (file["step"], file["sample"], group["neuron"])
            for state, values in layer.values.items():
                dataset = (
                    group.create_dataset(state, data=values, compression="gzip", shuffle=True)
                    if prod(values.shape)
                    else group.create_dataset(state, data=values)
                )
                for axis, (name, scale) in enumerate(zip(AXES, scales, strict=True)):
                    dataset.dims[axis].label = name
                    dataset.dims[axis].attach_scale(scale)
                for key, value in _attributes(layer, state).items():
                    dataset.attrs[key] = np.bytes_(value) if isinstance(value, str) else value
    return buffer.getvalue()


def _npz(recording: Recording, about: dict[str, Any]) -> bytes:
    arrays: dict[str, NDArray[Any]] = dict(_axes(recording))
    attributes = {}
    for layer in recording.layers:
        arrays[f"{layer.name}/neuron"] = layer.neurons
        for state, values in layer.values.items():
            arrays[f"{layer.name}/{state}"] = values
            attributes[f"{layer.name}/{state}"] = {
                "axes": AXES,
                "neuron": layer.neuron,
                **_attributes(layer, state),
            }
    buffer = io.BytesIO()
    text = json.dumps({**about, "arrays": attributes}, sort_keys=True)
    members: dict[str, Any] = {"about": np.array(text), **arrays}
    np.savez_compressed(buffer, **members)
    return buffer.getvalue()
