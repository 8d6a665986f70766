"""net.h5: what is written is read back exactly, and nothing that is damaged is read at all."""

from __future__ import annotations

import dataclasses
import json
import os
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from command_line import run_process
from hypothesis import given, settings
from hypothesis import strategies as st
from networks import SPIKING, edited, random_inputs, random_network, random_spikes

import brf_lava
from brf_lava.backends import engine
from brf_lava.errors import BrfLavaError, NetworkFileError
from brf_lava.io import hdf5 as rehearsed
from brf_lava.io.seal import LENGTH
from brf_lava.network import file as hdf5
from brf_lava.network.activity import FloatActivity, TestVectors
from brf_lava.network.file import read_network, read_vectors, write_layer, write_network
from brf_lava.network.layers import Connection, FixedLayer, FixedNetwork
from brf_lava.run.execute import assert_equal

GOLDEN = Path(__file__).parents[1] / "golden" / "network_v4.h5"
PROVENANCE = {"task": "ecg", "seed": 7, "classes": ["a", "ü"], "metrics": {"accuracy": 0.5}}


@pytest.fixture(autouse=True)
def read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """No rehearsal in a child, as h5py wrote what is damaged here: that takes most of the time.

    `test_every_flipped_bit_is_noticed` and `faults/test_foreign.py` have it.
    """
    monkeypatch.setattr(rehearsed, "rehearse", lambda read: None)


def as_json(network: FixedNetwork, predictions: FloatActivity | None) -> dict[str, Any]:
    def connection(weights: Connection | None) -> Any:
        return weights and {"mantissa": weights.mantissa.tolist(), "exponent": weights.exponent}

    return {
        "layers": [
            {
                "neuron": layer.neuron.name,
                "weights": connection(layer.weights),
                "recurrent": connection(layer.recurrent),
                "coefficients": layer.coefficients.tolist(),
                "constants": layer.constants._asdict(),
            }
            for layer in network.layers
        ],
        "provenance": network.provenance,
        "input_range": list(network.input_range),
        "predictions": predictions and predictions.predictions.tolist(),
        "sops": predictions and predictions.sops.tolist(),
    }


def assert_rejected(path: Path, *parts: str) -> None:
    """One line that names the file and what else is in `parts`."""
    with pytest.raises(NetworkFileError) as caught:
        read_network(path)
    message = str(caught.value)
    assert "\n" not in message, message
    assert str(path) in message, message
    rest = message.replace(str(path), "")  # pytest's folder has the name of the test in it
    for part in parts:
        assert part in rest, message


# Round trip


@st.composite
def networks(draw: st.DrawFn) -> FixedNetwork:
    sizes = draw(st.lists(st.integers(1, 6), min_size=3, max_size=5))
    loops = draw(st.lists(st.booleans(), min_size=len(sizes) - 2, max_size=len(sizes) - 2))
    network = random_network(
        np.random.default_rng(draw(st.integers(0, 2**32))),
        sizes,
        recurrent=loops,
        exponent=draw(st.integers(0, 15)),
        state_bits=draw(st.integers(6, 18)),
        parameter_bits=draw(st.integers(10, 22)),
    )
    values = st.none() | st.booleans() | st.integers(-(2**60), 2**60) | st.floats(-9, 9) | st.text()
    return FixedNetwork(network.layers, draw(st.dictionaries(st.text(), values, max_size=3)))


@given(networks(), st.sampled_from([None, 1, 9]))
@settings(deadline=None, max_examples=20)
def test_round_trip_is_exact(network: FixedNetwork, steps: int | None) -> None:
    predictions = None
    if steps is not None:
        classes = np.random.default_rng(steps).integers(0, network.classes, (3, steps))
        predictions = FloatActivity(classes.astype(np.uint8), np.array([0, 7, 2**20]))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "net.h5"
        write_network(network, path, predictions)
        found, found_predictions = read_network(path)
        assert os.listdir(folder) == ["net.h5"]
    assert as_json(found, found_predictions) == as_json(network, predictions)
    assert found_predictions is None or found_predictions.predictions.dtype == np.uint8
    for ours, theirs in zip(found.layers, network.layers, strict=True):
        assert ours.neuron is theirs.neuron
        assert type(ours.constants) is type(theirs.constants)
        assert (ours.weights.mantissa.dtype, ours.coefficients.dtype) == (np.int8, np.int64)


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> tuple[FixedNetwork, TestVectors, bytes]:
    """A network, what the engine computes with it, and a file with every kind of entry."""
    layers = random_network(np.random.default_rng(5), (3, 5, 4, 2), recurrent=[True, False]).layers
    network = FixedNetwork(layers, PROVENANCE)
    x = random_spikes(np.random.default_rng(6), 40, 2, 3, rate=0.5)
    vectors = TestVectors(x, engine.run(network, x))
    reference = FloatActivity(np.array([[0, 1, 1], [1, 0, 0]], np.uint8), np.array([7, 5]))
    path = tmp_path_factory.mktemp("sample") / "net.h5"
    write_network(network, path, reference, vectors)
    return network, vectors, path.read_bytes()


@pytest.fixture
def path(sample: tuple[FixedNetwork, TestVectors, bytes], tmp_path: Path) -> Path:
    (tmp_path / "net.h5").write_bytes(sample[2])
    return tmp_path / "net.h5"


def test_vectors_are_read_as_they_were_written(
    sample: tuple[FixedNetwork, TestVectors, bytes], path: Path
) -> None:
    network, expected, _ = sample
    vectors = read_vectors(path)
    assert vectors is not None
    assert vectors.inputs.dtype == np.int8
    np.testing.assert_array_equal(vectors.inputs, expected.inputs)
    assert_equal(vectors.activity, expected.activity, "read", "written")
    assert any(layer.any() for layer in vectors.activity.spikes)
    write_network(network, path)
    assert read_vectors(path) is None
    graded = random_network(np.random.default_rng(7), (3, 5, 2), exponent=3, input_range=(0, 255))
    x = random_inputs(np.random.default_rng(7), 9, 2, 3)
    write_network(graded, path, vectors=TestVectors(x, engine.run(graded, x)))
    vectors = read_vectors(path)
    assert vectors is not None
    assert vectors.inputs.dtype == np.uint8
    np.testing.assert_array_equal(vectors.inputs, x)


def test_the_file_says_who_wrote_it_and_has_all_units(path: Path) -> None:
    with h5py.File(path) as file:
        assert file.attrs["format"] == b"brf-lava-network"
        assert file.attrs["schema"] == 4
        assert file.attrs["brf_lava"] == brf_lava.__version__.encode()
        assert json.loads(file.attrs["provenance"]) == PROVENANCE
        for name in entries(path)[0]:
            if name.startswith("layer/") and not name.endswith(("/type", "/shape", "/range")):
                assert file[name].attrs["unit"], name


def test_stock_netx_reads_types_shapes_and_weights(
    sample: tuple[FixedNetwork, TestVectors, bytes], path: Path
) -> None:
    utils = pytest.importorskip("lava.lib.dl.netx.utils")
    stock = utils.NetDict(str(path))
    layers = stock["layer"]
    assert len(layers) == 4
    assert layers[0]["type"] == "input"
    assert layers[0]["shape"].tolist() == [3]
    for index, layer in enumerate(sample[0].layers, start=1):
        found = layers[index]
        assert found["type"] == ("dense" if layer.recurrent is None else "dense_rec")
        assert found["shape"].tolist() == [layer.shape[0]]
        np.testing.assert_array_equal(found["weight"], layer.weights.mantissa)
        if layer.recurrent is not None:
            np.testing.assert_array_equal(found["weight_rec"], layer.recurrent.mantissa)
        assert found["neuron"]["type"] == layer.neuron.name
        assert found.f["weight_exponent"][()] == layer.weights.exponent
    stock.f.close()


# Files that are something else


def test_what_is_no_network_file(path: Path, tmp_path: Path) -> None:
    assert_rejected(tmp_path / "none.h5", "No such file")
    assert_rejected(tmp_path, "Is a directory")
    other = tmp_path / "other.h5"
    for content in (b"", b"not a network\nat all\n", b"\x89HDF\r\n\x1a\n", b"PK"):
        other.write_bytes(content)
        assert_rejected(other, "not a complete HDF5 network", "export")
    whole = path.read_bytes()
    for share in (0.001, 0.004, 0.03, 0.1, 0.5, 0.75):
        other.write_bytes(whole[: int(share * len(whole))])
        assert_rejected(other, "not a complete HDF5 network")
    for content in (whole[:-1], whole + b"a", whole[:-LENGTH]):
        other.write_bytes(content)
        assert_rejected(other, "damaged or edited", "SHA-256")
    with h5py.File(other, "w") as file:
        file["layer/0/type"] = "input"
    assert_rejected(other, "format None", "'brf-lava-network'")


@pytest.mark.parametrize(
    ("name", "values", "parts"),
    [
        ("format", ["brf-lava-run", "", 1, np.array(["a", "b"], "S1")], []),
        ("schema", [0, 3, 99, "1", 1.5, np.array([1]), None], ["reads 4", "9.8.7"]),
        ("provenance", ["", "{", 5, "[]", "3", "null", None], ["brf-lava export"]),
    ],
)
def test_a_header_that_is_wrong_or_missing(
    path: Path, name: str, values: list[Any], parts: Sequence[str]
) -> None:
    for value in values:
        with edited(path) as file:
            file.attrs["brf_lava"] = "9.8.7"
            file.attrs.pop(name, None)
            if value is not None:
                file.attrs[name] = value
        assert_rejected(path, *parts)


# Every entry, damaged in every way


def entries(path: Path) -> tuple[list[str], list[str]]:
    """Names of all datasets and of all groups."""
    datasets: list[str] = []
    groups: list[str] = []
    with h5py.File(path) as file:
        file.visititems(
            lambda name, item: (datasets if isinstance(item, h5py.Dataset) else groups).append(name)
        )
    return datasets, groups


def put(file: h5py.File, name: str, data: Any, **options: Any) -> None:
    del file[name]
    file.create_dataset(name, data=data, **options)


Damage = Callable[[h5py.File, str], Any]


def assert_damage_is_found(path: Path, names: Sequence[str], damage: Damage, *parts: str) -> None:
    """In one entry after the other; the error names it."""
    whole = path.read_bytes()
    for name in names:
        path.write_bytes(whole)
        with edited(path) as file:
            damage(file, name)
        assert_rejected(path, name, *parts)
    path.write_bytes(whole)


def test_an_entry_that_is_missing_or_of_another_kind(path: Path) -> None:
    datasets, groups = entries(path)
    assert len(datasets) == 46
    assert_damage_is_found(path, datasets, lambda file, name: file.pop(name), "missing")
    needed = [name for name in groups if name.endswith(("layer", "neuron", "spikes"))]
    assert_damage_is_found(path, needed, lambda file, name: file.pop(name), "missing")

    def into_group(file: h5py.File, name: str) -> None:
        del file[name]
        file.create_group(name)

    def into_dataset(file: h5py.File, name: str) -> None:
        put(file, name, np.zeros(3, np.int64))

    assert_damage_is_found(path, datasets, into_group, "not a dataset")
    assert_damage_is_found(path, groups, into_dataset, "not a group")


def rewritten(change: Callable[[Any], Any]) -> Damage:
    return lambda file, name: put(file, name, change(np.asarray(file[name][()])))


@pytest.mark.parametrize(
    ("change", "part"),
    [
        (lambda values: values.astype("f8"), "integers are needed"),
        (lambda values: values.astype("?"), "integers are needed"),
        (lambda values: values.astype("S3"), "integers are needed"),
        (lambda values: "12", "integers are needed"),
        (lambda values: values[None], "shape"),
        (lambda values: np.zeros((0,) * max(1, values.ndim), values.dtype), "shape"),
        (lambda values: h5py.Empty(values.dtype), "shape None"),
    ],
    ids=["float", "bool", "bytes", "text", "one axis more", "no element", "no space"],
)
def test_integers_of_another_type_or_shape(path: Path, change: Any, part: str) -> None:
    integers = [name for name in entries(path)[0] if not name.endswith("/type")]
    assert_damage_is_found(path, integers, rewritten(change), part)


def test_an_axis_less_and_a_row_or_column_more(path: Path) -> None:
    with h5py.File(path) as file:
        axes = {
            name: file[name].ndim
            for name in entries(path)[0]
            if name.startswith(("layer", "reference")) and not name.endswith("/type")
        }
    sized = [name for name, count in axes.items() if count]
    assert_damage_is_found(path, sized, rewritten(lambda values: values[0]), "shape", "expected")
    more = rewritten(lambda values: np.concatenate([values, values[:1]]))
    fixed = [name for name in sized if not name.endswith("/predictions")]
    assert_damage_is_found(path, fixed, more, "expected")
    wider = rewritten(lambda values: np.concatenate([values, values[:, :1]], 1))
    assert_damage_is_found(path, ["layer/1/weight_rec"], wider, "expected")
    assert_damage_is_found(path, ["layer/1/weight"], wider, "has 4 inputs")


@pytest.mark.parametrize(("value", "place"), [(-(2**40), 0), (2**40, -1), (2**64 - 1, -1)])
def test_an_integer_that_is_out_of_range(path: Path, value: int, place: int) -> None:
    def change(values: Any) -> Any:
        values = values.astype(np.uint64 if value >= 2**63 else np.int64)
        values.reshape(-1)[place] = value
        return values

    integers = [name for name in entries(path)[0] if not name.endswith("/type")]
    assert_damage_is_found(path, integers, rewritten(change), "is out of range; allowed are")


@pytest.mark.parametrize(
    ("name", "low", "high"),
    [
        ("layer/1/weight", -128, 127),
        ("layer/1/weight_rec_exponent", 0, 15),
        ("layer/1/neuron/damping", -(2**16), 0),
        ("layer/1/neuron/rotation", 0, 2**16),
        ("layer/1/neuron/dt", 1, 2**17),
        ("layer/1/neuron/gamma", 0, 2**16 - 1),
        ("layer/1/neuron/theta", 1, 2**23 - 1),
        ("layer/1/neuron/unit", 2**13 + 1, 2**14),
        ("layer/1/neuron/state_bits", 6, 18),
        ("layer/1/neuron/parameter_bits", 10, 22),
        ("layer/3/neuron/decay", 0, 2**16 - 1),
        ("reference/predictions", 0, 1),
    ],
)
def test_the_limits_of_every_range(path: Path, name: str, low: int, high: int) -> None:
    with h5py.File(path) as file:
        original = np.asarray(file[name][()]).astype(np.int64)
    accepted = () if name.endswith("_bits") else (low, high)  # others depend on them
    for value in (*accepted, low - 1, high + 1):
        values = original.copy()
        values.reshape(-1)[-1] = value
        with edited(path) as file:
            put(file, name, values)
        if value in accepted:
            read_network(path)
        else:
            assert_rejected(path, name, f"{value} is out of range; allowed are {low} to {high}")


@pytest.mark.parametrize("value", ["LIF", "\n", 0.5, np.zeros((2, 2), int)], ids=repr)
def test_another_type(path: Path, value: Any) -> None:
    types = [name for name in entries(path)[0] if name.endswith("/type")]
    assert_damage_is_found(path, types, rewritten(lambda _: value), "this version knows")


@pytest.mark.parametrize("new", ["delay", "00"])
def test_an_unknown_entry(path: Path, new: str) -> None:
    def add(file: h5py.File, name: str) -> None:
        file.create_dataset(f"{name}/{new}", data=1)

    groups = ["", *entries(path)[1]]
    assert_damage_is_found(path, groups, add, f"{new} is unknown to this version")


def point_nowhere(file: h5py.File) -> None:
    del file["layer/1/weight"]
    file["layer/1/weight"] = h5py.SoftLink("/nowhere")


@pytest.mark.parametrize(
    ("change", "parts"),
    [
        (lambda file: file["layer"].move("3", "5"), ("layer/5",)),
        (lambda file: file.__delitem__("layer/3"), ("readout",)),
        (lambda file: file.move("layer/1", "x"), ("x",)),
        (lambda file: [file.__delitem__(f"layer/{i}") for i in (1, 2, 3)], ("0 layers",)),
        (lambda file: put(file, "layer/1/type", "dense"), ("layer/1/weight_rec", "unknown")),
        (
            lambda file: put(file, "layer/0/shape", np.array([4])),
            ("layer/1/weight has 3 inputs", "layer/0/shape says 4"),
        ),
        (lambda file: put(file, "layer/2/weight", np.ones((4, 6), np.int8)), ("layer 2: 6 in",)),
        (point_nowhere, ("layer/1/weight", "missing")),
    ],
)
def test_entries_that_make_no_network(
    path: Path, change: Callable[[h5py.File], Any], parts: Sequence[str]
) -> None:
    with edited(path) as file:
        change(file)
    assert_rejected(path, *parts)


FLIP = """
import sys
from pathlib import Path
import numpy as np
from brf_lava.errors import NetworkFileError
from brf_lava.network.file import read_network
path = Path(sys.argv[1])
rng = np.random.default_rng(0)
whole = path.read_bytes()
for place in rng.integers(0, 8 * len(whole), int(sys.argv[2])):
    damaged = bytearray(whole)
    damaged[place // 8] ^= 1 << place % 8
    path.write_bytes(damaged)
    try:
        read_network(path)
    except NetworkFileError as error:
        assert str(path) in str(error)
        assert "\\n" not in str(error)
    else:
        print(place)
"""


def test_every_flipped_bit_is_noticed(path: Path) -> None:
    """In a process of its own: a crash of the HDF5 library would end the tests."""
    run = run_process(path, 2000, program=FLIP)
    assert (run.returncode, run.stdout, run.stderr) == (0, "", "")


# Writing


def test_an_error_while_writing_leaves_the_old_file(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, calls = path.read_bytes(), []

    def failing(handle: h5py.Group, layer: FixedLayer) -> None:
        calls.append(handle.name)
        if len(calls) == 2:
            raise KeyboardInterrupt
        write_layer(handle, layer)

    monkeypatch.setattr(hdf5, "write_layer", failing)
    with pytest.raises(KeyboardInterrupt):
        write_network(random_network(np.random.default_rng(9), (2, 2, 2)), path)
    assert calls == ["/layer/1", "/layer/2"]
    assert os.listdir(path.parent) == ["net.h5"]
    assert path.read_bytes() == before


def test_writing_replaces_the_old_file_with_the_usual_rights(path: Path) -> None:
    other = random_network(np.random.default_rng(9), (2, 2, 2))
    before = os.umask(0o027)
    try:
        write_network(other, path)
    finally:
        os.umask(before)
    assert as_json(*read_network(path)) == as_json(other, None)
    assert os.listdir(path.parent) == ["net.h5"]
    assert path.stat().st_mode & 0o777 == 0o640
    with pytest.raises(BrfLavaError, match=r"none/net\.h5: cannot write there"):
        write_network(other, path.parent / "none" / "net.h5")


# The golden files pin the format: each is written once and never again


def write_golden() -> None:
    """Write the golden file and its JSON; for a new schema, under a new name."""
    rng = np.random.default_rng(20261121)
    sizes = (3, 5, 4, 3, 2, 3, 2)
    layers = random_network(rng, sizes, neuron=SPIKING, input_range=(0, 255), exponent=3)
    network = dataclasses.replace(layers, provenance=PROVENANCE)
    predictions = FloatActivity(
        rng.integers(0, 2, (2, 1)).astype(np.uint8), rng.integers(0, 100, 2)
    )
    GOLDEN.parent.mkdir(exist_ok=True)
    write_network(network, GOLDEN, predictions)
    text = json.dumps(as_json(network, predictions), indent=1, sort_keys=True)
    GOLDEN.with_suffix(".json").write_text(text + "\n")


def test_the_golden_file_reads_as_it_was_written() -> None:
    assert as_json(*read_network(GOLDEN)) == json.loads(GOLDEN.with_suffix(".json").read_text())


def tree(path: Path) -> dict[str, Any]:
    """All entries with type, shape, attributes and content."""
    found: dict[str, Any] = {}

    def visit(name: str, item: Any) -> None:
        attributes = {key: str(value) for key, value in item.attrs.items()}
        if isinstance(item, h5py.Dataset):
            value = np.asarray(item[()]).tolist()
            found[name] = (str(item.dtype), item.shape, attributes, value)
        else:
            found[name] = attributes

    with h5py.File(path) as file:
        visit("/", file)
        file.visititems(visit)
    del found["/"]["brf_lava"]
    return found


def test_writing_still_gives_the_golden_layout(tmp_path: Path) -> None:
    network, predictions = read_network(GOLDEN)
    write_network(network, tmp_path / "net.h5", predictions)
    assert tree(tmp_path / "net.h5") == tree(GOLDEN)
