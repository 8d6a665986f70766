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
        neuron/<name>       per-neuron coefficients [N] and shared constants, integers
    /reference              what the float network did on the test data, optional
        predictions         [B, T] or [B, 1] uint8 classes
        sops                [B] int64 hidden spikes
    /vectors                test vectors: what the integer engine answered when this was exported,
        inputs              [T, B, I]                   optional
        spikes/1 ..         [T, B, N] of each hidden layer
        outputs             [T, B, C]
        saturations         scalar

A weight is ``mantissa * 2**exponent`` in units of the state's last bit. Every dataset of a layer
has an attribute ``unit``. The reader accepts this and nothing else: an entry that is missing, of
another type, out of range or unknown is an error. Files of schema 1 had no range: their inputs are
spikes. Those of schema 1 and 2 had no ``input_gain``: theirs is 0, see `neurons.fixed.leaky`. So
it is where a layer in a file of netx itself, which says no schema, has none.
"""

from __future__ import annotations

import io
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

import brf_lava
from brf_lava.errors import NetworkFileError, ParameterError
from brf_lava.io.files import write_bytes
from brf_lava.io.printable import shortened
from brf_lava.network.activity import Activity, FloatActivity, TestVectors
from brf_lava.network.layers import (
    EXPONENT_MAX,
    INPUT_MAX,
    INPUT_MIN,
    PARAMETER_BITS_MAX,
    PARAMETER_BITS_MIN,
    STATE_BITS_MAX,
    STATE_BITS_MIN,
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
SCHEMA = 3
READABLE = range(1, SCHEMA + 1)
WITHOUT_INPUT_GAIN = (1, 2)
SPIKES = (0, 1)
OWN = ("neuron", "sha256")  # attributes of neuron/type: FILE.py:NAME and the file's digest
SPIKES_MAX = 2**31 - 1  # per sample
LIBRARY_VERSION = ("v110", "v110")  # with checksums, so that damage is found and not believed

UNITS: dict[str, str] = {  # of what is no neuron's own, see `Neuron.units`
    "input_gain": "1: the neuron multiplies its current by 1 - decay; 0: its weights are, already",
    "state_bits": "bits",
    "parameter_bits": "bits",
    "weight": "state, 2**(weight_exponent - state_bits)",
    "weight_rec": "state, 2**(weight_rec_exponent - state_bits)",
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
    backends and later versions must repeat.
    """
    buffer = io.BytesIO()  # on a full disk the HDF5 library would crash
    with h5py.File(buffer, "w", libver=LIBRARY_VERSION) as file:
        file.attrs["format"] = np.bytes_(FORMAT)
        file.attrs["schema"] = SCHEMA
        file.attrs["brf_lava"] = np.bytes_(brf_lava.__version__)
        file.attrs["provenance"] = np.bytes_(json.dumps(network.provenance, sort_keys=True))
        layers = file.create_group("layer")
        first = layers.create_group("0")
        _write_text(first, "type", "input")
        first.create_dataset("shape", data=np.array([network.inputs], np.int64))
        first.create_dataset("range", data=np.array(network.input_range, np.int64))
        for index, layer in enumerate(network.layers, start=1):
            write_layer(layers.create_group(str(index)), layer)
        if reference is not None:
            group = file.create_group("reference")
            group.create_dataset("predictions", data=reference.predictions, compression="gzip")
            group.create_dataset("sops", data=reference.sops)
        if vectors is not None:
            _write_vectors(file.create_group("vectors"), vectors)
    write_bytes(path, buffer.getvalue())


def write_layer(handle: h5py.Group, layer: FixedLayer) -> None:
    """Write one layer into `handle`, an empty netx layer group."""
    _write_text(handle, "type", "dense" if layer.recurrent is None else "dense_rec")
    handle.create_dataset("shape", data=np.array([layer.shape[0]], np.int64))
    _write_integers(handle, "weight", layer.weights.mantissa)
    _write_integers(handle, "weight_exponent", np.int64(layer.weights.exponent))
    if layer.recurrent is not None:
        _write_integers(handle, "weight_rec", layer.recurrent.mantissa)
        _write_integers(handle, "weight_rec_exponent", np.int64(layer.recurrent.exponent))
    neuron = handle.create_group("neuron")
    _write_text(neuron, "type", layer.neuron.name)
    if layer.neuron.source is not None:
        for name, value in zip(
            OWN, (layer.neuron.source.reference, layer.neuron.source.sha256), strict=True
        ):
            neuron["type"].attrs[name] = np.bytes_(value.encode())
    units = {**UNITS, **layer.neuron.units}
    for name, values in zip(layer.neuron.fixed_coefficients, layer.coefficients, strict=True):
        _write_integers(neuron, name, values, units)
    for name, value in layer.constants._asdict().items():
        _write_integers(neuron, name, np.int64(value), units)


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
    path = Path(path)
    if not path.is_file():
        problem = "not a file" if path.exists() else "no such file"
        raise NetworkFileError(f"{path}: {problem}. Name a network written by 'brf-lava export'.")
    with _readable(path), h5py.File(path, "r") as file:
        schema = _check_header(file, path)
        _reject_unknown(file, ("layer", "reference", "vectors"), path)
        layers = _group(file, "layer", path)
        count = len(layers)
        _reject_unknown(layers, tuple(map(str, range(count))), path)
        inputs, input_range = _read_input(_group(layers, "0", path), schema, path)
        network = FixedNetwork(
            tuple(read_layer(_group(layers, str(i), path), path) for i in range(1, count)),
            _read_provenance(file, path),
            input_range,
        )
        if network.inputs != inputs:
            raise NetworkFileError(
                f"{path}: layer/1/weight has {network.inputs} inputs, layer/0/shape says {inputs}."
            )
        _read_vectors(file, network, path)
        return network, _read_reference(file, network, path)


def read_vectors(path: Path) -> TestVectors | None:
    """The test vectors in a file that `read_network` reads, if it has some.

    Raises: NetworkFileError.
    """
    network, _ = read_network(path)
    with _readable(path), h5py.File(path, "r") as file:
        return _read_vectors(file, network, path)


def read_layer(handle: h5py.Group, path: Path) -> FixedLayer:
    """Read one layer that `write_layer` wrote. Raises: NetworkFileError."""
    kind = _read_text(handle, "type", ("dense", "dense_rec"), path)
    recurrent = kind == "dense_rec"
    entries = ["type", "shape", "weight", "weight_exponent", "neuron"]
    entries += ["weight_rec", "weight_rec_exponent"] if recurrent else []
    _reject_unknown(handle, entries, path)
    neurons = int(_read_integers(handle, "shape", (1,), (1, 2**31), path)[0])
    group = _group(handle, "neuron", path)
    neuron = _read_neuron(group, path)
    constants = neuron.fixed_constants._fields  # type: ignore[attr-defined]  # a NamedTuple class
    schema = handle.file.attrs.get("schema")
    old = schema in WITHOUT_INPUT_GAIN or (schema is None and "input_gain" not in group)
    lacking = ("input_gain",) if old else ()
    stored = [name for name in constants if name not in lacking]
    _reject_unknown(group, ("type", *neuron.fixed_coefficients, *stored), path)
    ranges = _read_ranges(neuron, group, path)
    return FixedLayer(
        neuron=neuron,
        weights=_read_connection(handle, "weight", (neurons, None), path),
        recurrent=(
            _read_connection(handle, "weight_rec", (neurons, neurons), path) if recurrent else None
        ),
        coefficients=np.stack(
            [
                _read_integers(group, name, (neurons,), ranges[name], path)
                for name in neuron.fixed_coefficients
            ]
        ),
        constants=neuron.fixed_constants(
            **{name: int(_read_integers(group, name, (), ranges[name], path)) for name in stored},
            **{name: 0 for name in constants if name in lacking},
        ),
    )


def _read_neuron(group: h5py.Group, path: Path) -> Neuron:
    """The record of a layer's neuron; of the user's own, from the very file it was made with."""
    reference, sha256 = (_text(_dataset(group, "type", path).attrs.get(name)) for name in OWN)
    if reference is None or sha256 is None:
        return NEURONS[_read_text(group, "type", tuple(NEURONS), path)]
    neuron = load_neuron(str(reference), (Path(), path.parent), str(sha256))
    _read_text(group, "type", (neuron.name,), path)
    return neuron


def _read_ranges(neuron: Neuron, group: h5py.Group, path: Path) -> dict[str, tuple[int, int]]:
    """What the layer's other integers may be, which depends on its fraction bits."""
    states = (STATE_BITS_MIN, STATE_BITS_MAX)
    parameters = (PARAMETER_BITS_MIN, PARAMETER_BITS_MAX)
    return integer_ranges(
        neuron,
        int(_read_integers(group, "state_bits", (), states, path)),
        int(_read_integers(group, "parameter_bits", (), parameters, path)),
    )


def _read_connection(
    handle: h5py.Group, name: str, shape: tuple[int | None, ...], path: Path
) -> Connection:
    mantissa = _read_integers(handle, name, shape, (WEIGHT_MIN, WEIGHT_MAX), path)
    exponent = _read_integers(handle, f"{name}_exponent", (), (0, EXPONENT_MAX), path)
    return Connection(mantissa.astype(np.int8), int(exponent))


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    """Turn what h5py and JSON raise on a damaged file into one clear error."""
    try:
        yield
    except ParameterError as error:
        raise NetworkFileError(f"{path}: {error}") from error
    except (OSError, RuntimeError, KeyError, ValueError, TypeError) as error:
        raise NetworkFileError(
            f"{path}: not a complete HDF5 network ({shortened(error)}). Name a file that "
            "'brf-lava export' wrote."
        ) from error


def _check_header(file: h5py.File, path: Path) -> int:
    """The schema of the file, one that this version reads."""
    found = _text(file.attrs.get("format"))
    if found != FORMAT:
        raise NetworkFileError(
            f"{path}: format {found!r}, expected {FORMAT!r}. Name a file written by "
            "'brf-lava export'."
        )
    schema = file.attrs.get("schema")
    if isinstance(schema, np.integer):
        schema = int(schema)
    if not isinstance(schema, int) or schema not in READABLE:
        raise NetworkFileError(
            f"{path}: schema {schema!r}, this version reads {READABLE[0]} to {SCHEMA}. It was "
            f"written by brf-lava {_text(file.attrs.get('brf_lava', 'unknown'))}: use "
            "that version, or export again."
        )
    return schema


def _read_provenance(file: h5py.File, path: Path) -> dict[str, Any]:
    """Where the network came from. Raises: NetworkFileError unless it is a JSON object."""
    try:
        provenance = json.loads(_text(file.attrs["provenance"]))
    except (KeyError, TypeError, ValueError) as error:
        raise NetworkFileError(
            f"{path}: attribute provenance is missing or not JSON. Export it again."
        ) from error
    if not isinstance(provenance, dict):
        raise NetworkFileError(
            f"{path}: attribute provenance: {type(provenance).__name__}; a JSON object is needed. "
            "Export it again."
        )
    return provenance


def _text(value: Any) -> Any:
    """Fixed-length text as a string; anything else as it is."""
    return value.decode(errors="replace") if isinstance(value, bytes) else value


def _read_input(handle: h5py.Group, schema: int, path: Path) -> tuple[int, tuple[int, int]]:
    """How many inputs, and their range."""
    _read_text(handle, "type", ("input",), path)
    _reject_unknown(handle, ("type", "shape") if schema == 1 else ("type", "shape", "range"), path)
    inputs = int(_read_integers(handle, "shape", (1,), (1, 2**31), path)[0])
    if schema == 1:
        return inputs, SPIKES
    low, high = _read_integers(handle, "range", (2,), (INPUT_MIN, INPUT_MAX), path).tolist()
    return inputs, (low, high)


def _read_reference(file: h5py.File, network: FixedNetwork, path: Path) -> FloatActivity | None:
    if "reference" not in file:
        return None
    group = _group(file, "reference", path)
    _reject_unknown(group, ("predictions", "sops"), path)
    classes = (0, network.classes - 1)
    predictions = _read_integers(group, "predictions", (None, None), classes, path)
    sops = _read_integers(group, "sops", (len(predictions),), (0, SPIKES_MAX), path)
    return FloatActivity(predictions.astype(np.uint8), sops)


def _write_vectors(group: h5py.Group, vectors: TestVectors) -> None:
    activity = vectors.activity
    outputs = activity.outputs.astype(np.int32)
    group.create_dataset("inputs", data=vectors.inputs, compression="gzip")
    group.create_dataset("outputs", data=outputs, compression="gzip")
    group.create_dataset("saturations", data=np.int64(activity.saturations))
    spikes = group.create_group("spikes")
    for index, layer in enumerate(activity.spikes, start=1):
        spikes.create_dataset(str(index), data=layer, compression="gzip")


def _read_vectors(file: h5py.File, network: FixedNetwork, path: Path) -> TestVectors | None:
    if "vectors" not in file:
        return None
    group = _group(file, "vectors", path)
    _reject_unknown(group, ("inputs", "outputs", "saturations", "spikes"), path)
    any_size = (None, None, network.inputs)
    inputs = _read_integers(group, "inputs", any_size, network.input_range, path)
    steps, samples, _ = inputs.shape
    layers = _group(group, "spikes", path)
    numbers = [str(index) for index in range(1, len(network.layers))]
    _reject_unknown(layers, numbers, path)
    spikes = tuple(
        _read_integers(layers, number, (steps, samples, layer.shape[0]), SPIKES, path)
        for number, layer in zip(numbers, network.hidden, strict=True)
    )
    states = (fixed.STATE_MIN, fixed.STATE_MAX)
    shape = (steps, samples, network.classes)
    outputs = _read_integers(group, "outputs", shape, states, path)
    saturations = _read_integers(group, "saturations", (), (0, SPIKES_MAX), path)
    kind = np.int8 if network.input_range[1] <= np.iinfo(np.int8).max else np.uint8
    activity = Activity(outputs, tuple(s.astype(np.int8) for s in spikes), int(saturations))
    return TestVectors(inputs.astype(kind), activity)


def _group(parent: h5py.Group, name: str, path: Path) -> h5py.Group:
    found = parent.get(name)
    if not isinstance(found, h5py.Group):
        raise NetworkFileError(f"{path}: {_where(parent, name)} is missing or not a group.")
    return found


def _dataset(parent: h5py.Group, name: str, path: Path) -> h5py.Dataset:
    found = parent.get(name)
    if not isinstance(found, h5py.Dataset):
        raise NetworkFileError(f"{path}: {_where(parent, name)} is missing or not a dataset.")
    return found


def _read_integers(
    parent: h5py.Group,
    name: str,
    shape: tuple[int | None, ...],
    allowed: tuple[int, int],
    path: Path,
) -> NDArray[np.int64]:
    """An integer dataset as int64, its shape (None = any) and range checked."""
    dataset = _dataset(parent, name, path)
    where = f"{path}: {_where(parent, name)}"
    if dataset.dtype.kind not in "iu":
        raise NetworkFileError(f"{where}: {dataset.dtype} values, integers are needed.")
    found = dataset.shape  # None for a dataset without any space
    fits = (
        found is not None
        and len(found) == len(shape)
        and all(
            size > 0 and wanted in (None, size) for size, wanted in zip(found, shape, strict=True)
        )
    )
    if not fits:
        wanted_shape = [size if size is not None else "any" for size in shape]
        raise NetworkFileError(
            f"{where}: shape {found if found is None else list(found)}, expected {wanted_shape}."
        )
    raw = np.asarray(dataset[()])
    low, high = allowed
    if int(raw.min()) < low or int(raw.max()) > high:
        bad = int(raw.min()) if int(raw.min()) < low else int(raw.max())
        raise NetworkFileError(f"{where}: {bad} is out of range; allowed are {low} to {high}.")
    return raw.astype(np.int64)


def _read_text(parent: h5py.Group, name: str, allowed: tuple[str, ...], path: Path) -> str:
    raw = np.asarray(_dataset(parent, name, path)[()])
    value = _text(raw.item()) if raw.size == 1 else repr(raw)
    if value not in allowed:
        raise NetworkFileError(
            f"{path}: {_where(parent, name)}: {value!r}; this version knows {', '.join(allowed)}."
        )
    return value


def _reject_unknown(parent: h5py.Group, known: Any, path: Path) -> None:
    for name in parent:
        if name not in known:
            raise NetworkFileError(
                f"{path}: {_where(parent, name)} is unknown to this version (schema {SCHEMA})."
            )


def _where(parent: h5py.Group, name: str) -> str:
    return f"{parent.name.rstrip('/')}/{name}".lstrip("/")


def _write_text(parent: h5py.Group, name: str, value: str) -> None:
    parent.create_dataset(name, data=np.array([value], "S10"))  # as netx writes it


def _write_integers(
    parent: h5py.Group, name: str, values: Any, units: Mapping[str, str] = UNITS
) -> None:
    parent.create_dataset(name, data=values).attrs["unit"] = units[name]
