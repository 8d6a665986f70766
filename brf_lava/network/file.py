"""net.h5: a network in integers, in the layout of lava-dl's netx.

::

    /                       attributes: format, schema, brf_lava, provenance (JSON)
    /layer/0                type "input", shape [I], range [2]: least and largest input
    /layer/1 .. n-1         type "dense_rec" or "dense", shape [N]
        weight              [N, I] int8 mantissas       weight_exponent      scalar
        weight_rec          [N, N] int8 mantissas       weight_rec_exponent  scalar
        neuron/type         the neuron's name, such as "BRF"
                            with attributes, where it is the user's own: neuron, FILE.py:NAME, and
                            sha256 of that file, which is not run if it is another
        neuron/growing      [G] numbers of neurons trained to diverge, optional; others come to rest
        neuron/<name>       per-neuron coefficients [N] and shared constants, integers
    /reference              what the float network did on the test data, optional
        predictions         [B, T] or [B, 1] uint8 classes
        sops                [B] int64 hidden spikes
    /vectors                test vectors: what the integer engine answered when this was exported,
        inputs              [T, B, I]                   optional
        spikes/1 ..         [T, B, N] of each hidden layer
        outputs             [T, B, C]
        saturations         scalar

After the end of the HDF5 file stands the SHA-256 of all before it, see `io.seal`.

A weight is ``mantissa * 2**exponent`` in units of the state's last bit. Every dataset of a layer
has an attribute ``unit``. The reader accepts this and nothing else: an entry that is missing, of
another type, out of range or unknown is an error.
"""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import h5py
import msgspec
import numpy as np
from numpy.typing import NDArray

import brf_lava
from brf_lava.errors import NetworkFileError
from brf_lava.io.files import HDF5, Kind, refuse_others
from brf_lava.io.foreign import reading
from brf_lava.io.hdf5 import open_hdf5
from brf_lava.io.seal import DAMAGED, has_seal, write_sealed
from brf_lava.network.activity import Activity, FloatActivity, TestVectors
from brf_lava.network.layers import (
    EXPONENT_MAX,
    FORMAT_RANGES,
    INPUT_MAX,
    INPUT_MIN,
    WEIGHT_MAX,
    WEIGHT_MIN,
    Connection,
    FixedLayer,
    FixedNetwork,
    integer_ranges,
)
from brf_lava.neurons import fixed
from brf_lava.neurons.families import NEURONS, Neuron
from brf_lava.neurons.own import load_neuron

FORMAT = "brf-lava-network"
KIND = Kind("a network of brf-lava", HDF5, FORMAT)
SCHEMA = 4
REMEDY = "Name a file that 'brf-lava export' wrote."
SPIKES = (0, 1)
SIZES = (1, 2**31)
COUNTS = (0, 2**31 - 1)  # of spikes or saturations
LIBRARY_VERSION = ("v110", "v110")  # with checksums, so that damage is found and not believed

UNITS: dict[str, str] = {  # of what is no neuron's own, see `Neuron.units`
    "unit": "the state that stands for 1",
    "state_bits": "bits",
    "parameter_bits": "bits",
    "weight": "2**weight_exponent states",
    "weight_rec": "2**weight_rec_exponent states",
    "growing": "numbers of neurons",
    "weight_exponent": "bits",
    "weight_rec_exponent": "bits",
}


def write_network(
    network: FixedNetwork,
    path: Path,
    reference: FloatActivity | None = None,
    vectors: TestVectors | None = None,
) -> None:
    """Write `network` to `path`, replacing it only when all of it is written.

    reference: what the float network did on the test data, to compare runs with. vectors: what
    backends and later versions must repeat. Raises: BrfLavaError if the file cannot be written.
    """
    buffer = io.BytesIO()  # on a full disk the HDF5 library would crash
    with h5py.File(buffer, "w", libver=LIBRARY_VERSION) as file:
        file.attrs["format"] = np.bytes_(FORMAT)
        file.attrs["schema"] = SCHEMA
        file.attrs["brf_lava"] = np.bytes_(brf_lava.__version__)
        file.attrs["provenance"] = np.bytes_(json.dumps(network.provenance, sort_keys=True))
        sizes = np.array([network.inputs], np.int64)
        inputs = {"type": "input", "shape": sizes, "range": np.array(network.input_range, np.int64)}
        _write(file.create_group("layer/0"), inputs)
        for index, layer in enumerate(network.layers, start=1):
            write_layer(file.create_group(f"layer/{index}"), layer)
        if reference is not None:
            _write(file.create_group("reference"), vars(reference))
        if vectors is not None:
            activity = vectors.activity
            entries = {
                "inputs": vectors.inputs,
                "outputs": activity.outputs.astype(np.int32),
                "saturations": np.int64(activity.saturations),
            }
            _write(file.create_group("vectors"), entries)
            spikes = {str(index): layer for index, layer in enumerate(activity.spikes, start=1)}
            _write(file.create_group("vectors/spikes"), spikes)
    write_sealed(path, buffer, KIND)


def write_layer(handle: h5py.Group, layer: FixedLayer) -> None:
    """Write one layer into `handle`, an empty netx layer group."""
    entries: dict[str, Any] = {
        "type": "dense" if layer.recurrent is None else "dense_rec",
        "shape": np.array([layer.shape[0]], np.int64),
    }
    for name, connection in (("weight", layer.weights), ("weight_rec", layer.recurrent)):
        if connection is not None:
            entries[name] = connection.mantissa
            entries[f"{name}_exponent"] = np.int64(connection.exponent)
    _write(handle, entries, UNITS)
    neuron, record = handle.create_group("neuron"), layer.neuron
    entries = {"type": record.name, **layer.integers}
    if layer.growing:
        entries["growing"] = np.array(layer.growing, np.int64)
    _write(neuron, entries, {**UNITS, **record.units})
    if record.source is not None:
        attributes = neuron["type"].attrs
        attributes["neuron"] = np.bytes_(record.source.reference.encode())
        attributes["sha256"] = np.bytes_(record.source.sha256)


def _write(
    group: h5py.Group, entries: Mapping[str, Any], units: Mapping[str, str] | None = None
) -> None:
    """Text as netx writes it, and integers; activity, which has no units, is compressed."""
    for name, value in entries.items():
        data = np.array([value], "S10") if isinstance(value, str) else value
        compressed = "gzip" if data.ndim > 1 and units is None else None
        dataset = group.create_dataset(name, data=data, compression=compressed)
        if units is not None and name in units:
            dataset.attrs["unit"] = units[name]


def read_network(path: str | Path) -> tuple[FixedNetwork, FloatActivity | None]:
    """Read a network file that `brf_lava.export_model` or ``brf-lava export`` wrote.

    Args:
        path: The file, usually named ``net.h5``.

    Returns:
        The network in integers, and what the float network did on the test data: predictions [B, P]
        and hidden spikes [B]; None if the file does not say.

    Raises:
        NetworkFileError: If the file is missing or damaged, with the entry, what it holds and what
            is expected.
    """
    network, reference, _ = _read(Path(path))
    return network, reference


def read_vectors(path: Path) -> TestVectors | None:
    """The test vectors in a file that `read_network` reads, if it has some."""
    return _read(path)[2]


def _read(path: Path) -> tuple[FixedNetwork, FloatActivity | None, TestVectors | None]:
    with reading(path, "a complete HDF5 network", NetworkFileError, REMEDY):
        refuse_others(path, "an exported network", NetworkFileError)
        intact = has_seal(path)
        with open_hdf5(path) as file:
            root = _Group(file, path)
            network = _read_network(root, intact)
            return network, _read_reference(root, network), _read_vectors(root, network)


def _read_network(root: _Group, intact: bool) -> FixedNetwork:
    path, attributes = root.path, root.handle.attrs
    found, schema = _text(attributes.get("format")), attributes.get("schema")
    if found != FORMAT:
        raise NetworkFileError(f"{path}: format {found!r:.80}, expected {FORMAT!r}. {REMEDY}")
    if not isinstance(schema, np.integer) or schema != SCHEMA:
        writer = _text(attributes.get("brf_lava", "unknown"))
        raise NetworkFileError(
            f"{path}: schema {schema!s:.80}, this version reads {SCHEMA}. It was written by "
            f"brf-lava {writer!s:.80}: use that version, or export again."
        )
    if not intact:
        raise ValueError(DAMAGED)
    provenance = msgspec.convert(json.loads(_text(attributes["provenance"])), dict[str, Any])
    root.allow("layer", "reference", "vectors")
    layers = root.group("layer")
    count = len(layers.handle)
    layers.allow(*map(str, range(count)))
    first = layers.group("0")
    first.text("type", "input")
    first.allow("type", "shape", "range")
    inputs = int(first.integers("shape", (1,), SIZES)[0])
    low, high = first.integers("range", (2,), (INPUT_MIN, INPUT_MAX)).tolist()
    network = FixedNetwork(
        tuple(read_layer(layers.group(str(index)).handle, path) for index in range(1, count)),
        provenance,
        (low, high),
    )
    if network.inputs != inputs:
        raise NetworkFileError(
            f"{path}: layer/1/weight has {network.inputs} inputs, layer/0/shape says {inputs}."
        )
    return network


def read_layer(handle: h5py.Group, path: Path) -> FixedLayer:
    """Read one layer that `write_layer` wrote.

    path: of the file, for messages, and to look for the user's own neurons.
    Raises: NetworkFileError for an entry that is missing, unknown or not allowed.
    """
    layer = _Group(handle, path)
    recurrent = layer.text("type", "dense", "dense_rec") == "dense_rec"
    names = ("weight", "weight_rec")[: 1 + recurrent]
    layer.allow("type", "shape", "neuron", *names, *(f"{name}_exponent" for name in names))
    neurons = int(layer.integers("shape", (1,), SIZES)[0])
    group = layer.group("neuron")
    neuron = _read_neuron(group)
    kind: Any = neuron.fixed_constants
    group.allow("type", "growing", *neuron.fixed_coefficients, *kind._fields)
    formats = ("state_bits", "parameter_bits")
    bits = [int(group.integers(name, (), FORMAT_RANGES[name])) for name in formats]
    ranges = integer_ranges(neuron, *bits)
    coefficients = [
        group.integers(name, (neurons,), ranges[name]) for name in neuron.fixed_coefficients
    ]
    constants = kind(*(int(group.integers(name, (), ranges[name])) for name in kind._fields))
    growing = ()
    if "growing" in group.handle:
        growing = tuple(group.integers("growing", (None,), (0, neurons - 1)).tolist())
    weights = layer.connection("weight", (neurons, None))
    loop = layer.connection("weight_rec", (neurons, neurons)) if recurrent else None
    return FixedLayer(neuron, weights, loop, np.stack(coefficients), constants, growing)


def _read_neuron(group: _Group) -> Neuron:
    """The record of a layer's neuron; of the user's own, from the very file it was made with."""
    attributes = group.dataset("type").attrs
    if "neuron" not in attributes:
        return NEURONS[group.text("type", *NEURONS)]
    reference, sha256 = str(_text(attributes["neuron"])), str(_text(attributes["sha256"]))
    neuron = load_neuron(reference, (Path(), group.path.parent), sha256)
    group.text("type", neuron.name)
    return neuron


def _read_reference(root: _Group, network: FixedNetwork) -> FloatActivity | None:
    if "reference" not in root.handle:
        return None
    group = root.group("reference")
    group.allow("predictions", "sops")
    predictions = group.integers("predictions", (None, None), (0, network.classes - 1))
    sops = group.integers("sops", (len(predictions),), COUNTS)
    return FloatActivity(predictions.astype(np.uint8), sops)


def _read_vectors(root: _Group, network: FixedNetwork) -> TestVectors | None:
    if "vectors" not in root.handle:
        return None
    group = root.group("vectors")
    group.allow("inputs", "outputs", "saturations", "spikes")
    inputs = group.integers("inputs", (None, None, network.inputs), network.input_range)
    batch = inputs.shape[:2]
    layers = group.group("spikes")
    shapes = {str(n): (*batch, layer.shape[0]) for n, layer in enumerate(network.hidden, start=1)}
    layers.allow(*shapes)
    spikes = tuple(layers.integers(*each, SPIKES).astype(np.int8) for each in shapes.items())
    states = (fixed.STATE_MIN, fixed.STATE_MAX)
    outputs = group.integers("outputs", (*batch, network.classes), states)
    saturations = int(group.integers("saturations", (), COUNTS))
    kind = np.int8 if network.input_range[1] <= np.iinfo(np.int8).max else np.uint8
    return TestVectors(inputs.astype(kind), Activity(outputs, spikes, saturations))


def _text(value: Any) -> Any:
    """Fixed-length text as a string; anything else as it is."""
    return value.decode(errors="replace") if isinstance(value, bytes) else value


class _Group:
    """A group of a file. Raises: NetworkFileError naming the entry that is not as expected."""

    def __init__(self, handle: h5py.Group, path: Path) -> None:
        self.handle, self.path = handle, path

    def _error(self, name: str, problem: str) -> NetworkFileError:
        where = f"{self.handle.name.rstrip('/')}/{name}".lstrip("/")
        return NetworkFileError(f"{self.path}: {where}{problem}")

    def allow(self, *names: str) -> None:
        """Refuse entries of other names."""
        for name in self.handle:
            if name not in names:
                raise self._error(name, f" is unknown to this version (schema {SCHEMA}).")

    def _entry(self, name: str, kind: type) -> Any:
        found = self.handle.get(name)
        if not isinstance(found, kind):
            raise self._error(name, f" is missing or not a {kind.__name__.lower()}.")
        return found

    def group(self, name: str) -> _Group:
        return _Group(self._entry(name, h5py.Group), self.path)

    def dataset(self, name: str) -> h5py.Dataset:
        return self._entry(name, h5py.Dataset)

    def text(self, name: str, *allowed: str) -> str:
        raw = np.asarray(self.dataset(name)[()])
        value = _text(raw.item()) if raw.size == 1 else repr(raw)
        if value not in allowed:
            raise self._error(name, f": {value!r}; this version knows {', '.join(allowed)}.")
        return str(value)

    def integers(
        self, name: str, shape: tuple[int | None, ...], allowed: tuple[int, int]
    ) -> NDArray[np.int64]:
        """Of a shape (None: any size) and within a range."""
        dataset = self.dataset(name)
        if dataset.dtype.kind not in "iu":
            raise self._error(name, f": {dataset.dtype} values, integers are needed.")
        found, expected = dataset.shape, [size or "any" for size in shape]
        fits = found is not None and len(found) == len(shape)  # None: without any space
        if not fits or not all(a > 0 and b in (None, a) for a, b in zip(found, shape, strict=True)):
            found = found if found is None else list(found)
            raise self._error(name, f": shape {found}, expected {expected}.")
        raw = np.asarray(dataset[()])
        low, high = allowed
        outside = raw[(raw < low) | (raw > high)]
        if outside.size:
            bad = f"{outside[0]} is out of range; allowed are {low} to {high}."
            raise self._error(name, f": {bad}")
        return raw.astype(np.int64)

    def connection(self, name: str, shape: tuple[int | None, ...]) -> Connection:
        mantissa = self.integers(name, shape, (WEIGHT_MIN, WEIGHT_MAX))
        exponent = self.integers(f"{name}_exponent", (), (0, EXPONENT_MAX))
        return Connection(mantissa.astype(np.int8), int(exponent))
