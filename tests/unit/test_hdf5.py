"""net.h5: what is written is read back exactly, and nothing that is damaged is read at all."""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from networks import SPIKING, random_inputs, random_network, random_spikes

import brf_lava
from brf_lava.backends import engine
from brf_lava.errors import BrfLavaError, NetworkFileError
from brf_lava.export.quantize import LayerFormat, quantize_layer
from brf_lava.network import file as hdf5
from brf_lava.network.activity import FloatActivity, TestVectors
from brf_lava.network.file import read_layer, read_network, read_vectors, write_layer, write_network
from brf_lava.network.layers import Connection, FixedLayer, FixedNetwork
from brf_lava.neurons import families, fixed
from brf_lava.nn.blocks import Block
from brf_lava.run.check import assert_equal

GOLDEN_1 = Path(__file__).parents[1] / "golden" / "network_v1.h5"
GOLDEN_2 = Path(__file__).parents[1] / "golden" / "network_v2.h5"
GOLDEN = Path(__file__).parents[1] / "golden" / "network_v3.h5"
GOLDEN_WEIGHT = [[-128, 0, -61], [-101, -68, 79], [89, -16, -90], [-90, 48, -103], [-124, -19, 127]]
GOLDEN_COEFFICIENTS = [[-1454, -3210, -2323, -3040, -1395], [13239, 19057, 15725, 18988, 11567]]
GOLDEN_DECAY = [[56041, 61946]]
GOLDEN_PREDICTIONS = [[0, 0, 0, 0], [0, 0, 1, 1]]
GOLDEN_SOPS = [5, 7]
PROVENANCE = {"task": "ecg", "seed": 7, "classes": ["a", "ü"], "metrics": {"accuracy": 0.5}}


def assert_same_layer(found: FixedLayer, expected: FixedLayer) -> None:
    assert found.neuron is expected.neuron
    assert found.constants == expected.constants
    assert type(found.constants) is type(expected.constants)
    assert found.coefficients.dtype == np.int64
    np.testing.assert_array_equal(found.coefficients, expected.coefficients)
    assert (found.recurrent is None) == (expected.recurrent is None)
    pairs = [(found.weights, expected.weights)]
    if found.recurrent is not None and expected.recurrent is not None:
        pairs.append((found.recurrent, expected.recurrent))
    for ours, theirs in pairs:
        assert ours.mantissa.dtype == np.int8
        np.testing.assert_array_equal(ours.mantissa, theirs.mantissa)
        assert ours.exponent == theirs.exponent


def assert_same_network(found: FixedNetwork, expected: FixedNetwork) -> None:
    assert found.provenance == expected.provenance
    assert len(found.layers) == len(expected.layers)
    for ours, theirs in zip(found.layers, expected.layers, strict=True):
        assert_same_layer(ours, theirs)


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


@given(networks(), st.none() | st.tuples(st.integers(1, 4), st.integers(1, 9)), st.randoms())
@settings(deadline=None, max_examples=60)
def test_round_trip_is_exact(
    network: FixedNetwork, shape: tuple[int, int] | None, random: Any
) -> None:
    predictions = None
    if shape is not None:
        rng = np.random.default_rng(random.randrange(2**32))
        predictions = FloatActivity(
            rng.integers(0, network.classes, shape).astype(np.uint8),
            rng.integers(0, shape[1] * network.layers[0].shape[0] + 1, shape[0]),
        )
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "net.h5"
        write_network(network, path, predictions)
        found, found_predictions = read_network(path)
        assert os.listdir(folder) == ["net.h5"]
    assert_same_network(found, network)
    if predictions is None or found_predictions is None:
        assert predictions is found_predictions
    else:
        assert found_predictions.predictions.dtype == np.uint8
        np.testing.assert_array_equal(found_predictions.predictions, predictions.predictions)
        np.testing.assert_array_equal(found_predictions.sops, predictions.sops)


def sample_network() -> FixedNetwork:
    layers = random_network(np.random.default_rng(5), (3, 5, 4, 2), recurrent=[True, False]).layers
    return FixedNetwork(layers, PROVENANCE)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A valid file with every kind of entry."""
    reference = FloatActivity(np.array([[0, 1, 1], [1, 0, 0]], np.uint8), np.array([7, 5]))
    write_network(sample_network(), tmp_path / "net.h5", reference, sample_vectors())
    return tmp_path / "net.h5"


def sample_vectors() -> TestVectors:
    x = random_spikes(np.random.default_rng(6), 40, 2, 3, rate=0.5)
    return TestVectors(x, engine.run(sample_network(), x))


def test_the_sample_is_valid(path: Path) -> None:
    network, predictions = read_network(path)
    assert_same_network(network, sample_network())
    assert predictions is not None
    assert predictions.predictions.tolist() == [[0, 1, 1], [1, 0, 0]]
    assert predictions.sops.tolist() == [7, 5]


def test_vectors_are_read_as_they_were_written(path: Path) -> None:
    vectors = read_vectors(path)
    assert vectors is not None
    assert vectors.inputs.dtype == np.int8
    np.testing.assert_array_equal(vectors.inputs, sample_vectors().inputs)
    assert_equal(vectors.activity, sample_vectors().activity, "read", "written")
    assert any(layer.any() for layer in vectors.activity.spikes)
    write_network(sample_network(), path)
    assert read_vectors(path) is None


def test_graded_vectors_keep_their_type(tmp_path: Path) -> None:
    rng = np.random.default_rng(7)
    network = random_network(rng, (3, 5, 2), exponent=3, input_range=(0, 255))
    x = random_inputs(rng, 9, 2, 3)
    vectors = TestVectors(x, engine.run(network, x))
    write_network(network, tmp_path / "net.h5", vectors=vectors)
    found = read_vectors(tmp_path / "net.h5")
    assert found is not None
    assert found.inputs.dtype == np.uint8
    np.testing.assert_array_equal(found.inputs, x)


def test_the_header_says_who_wrote_it(path: Path) -> None:
    with h5py.File(path) as file:
        assert file.attrs["format"] == b"brf-lava-network"
        assert file.attrs["schema"] == 3
        assert file.attrs["brf_lava"] == brf_lava.__version__.encode()
        assert json.loads(file.attrs["provenance"]) == PROVENANCE


def test_every_integer_of_a_layer_has_its_unit(path: Path) -> None:
    with h5py.File(path) as file:
        for name in dataset_names():
            if name.startswith("layer/") and not name.endswith(("/type", "/shape", "/range")):
                assert file[name].attrs["unit"], name


def test_stock_netx_reads_types_shapes_and_weights(path: Path) -> None:
    utils = pytest.importorskip("lava.lib.dl.netx.utils")
    network = sample_network()
    stock = utils.NetDict(str(path))
    layers = stock["layer"]
    assert len(layers) == 4
    assert layers[0]["type"] == "input"
    assert layers[0]["shape"].tolist() == [3]
    for index, layer in enumerate(network.layers, start=1):
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


def test_missing_file(tmp_path: Path) -> None:
    assert_rejected(tmp_path / "none.h5", "no such file")


def test_folder(tmp_path: Path) -> None:
    assert_rejected(tmp_path)


@pytest.mark.parametrize("content", [b"", b"not a network\nat all\n", b"\x89HDF\r\n\x1a\n", b"PK"])
def test_other_content(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "net.h5").write_bytes(content)
    assert_rejected(tmp_path / "net.h5", "not a complete HDF5 network", "export")


@pytest.mark.parametrize("share", [0.0, 0.001, 0.004, 0.03, 0.1, 0.3, 0.5, 0.75, 0.9, 0.999, -1])
def test_truncated_file(path: Path, share: float) -> None:
    whole = path.read_bytes()
    length = len(whole) - 1 if share < 0 else int(share * len(whole))
    path.write_bytes(whole[:length])
    assert_rejected(path, "not a complete HDF5 network")


def test_an_hdf5_file_of_another_program(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["layer/0/type"] = "input"
    assert_rejected(tmp_path / "other.h5", "format None", "'brf-lava-network'")


@contextmanager
def edited(path: Path) -> Iterator[h5py.File]:
    with h5py.File(path, "r+") as file:
        yield file


@pytest.mark.parametrize("value", ["brf-lava-run", "", 1, np.array(["a", "b"], "S1")])
def test_another_format(path: Path, value: Any) -> None:
    with edited(path) as file:
        file.attrs["format"] = value
    assert_rejected(path)


@pytest.mark.parametrize("schema", [0, 4, 99, "1", 1.5, np.array([1])])
def test_another_schema_names_the_writer(path: Path, schema: Any) -> None:
    with edited(path) as file:
        file.attrs["schema"] = schema
        file.attrs["brf_lava"] = "9.8.7"
    assert_rejected(path, "schema", "this version reads 1 to 3", "brf-lava 9.8.7")


def test_no_schema(path: Path) -> None:
    with edited(path) as file:
        del file.attrs["schema"], file.attrs["brf_lava"]
    assert_rejected(path, "schema None", "brf-lava unknown")


@pytest.mark.parametrize(
    "value",
    [
        "",
        "{",
        5,
        "[]",
        "3",
        "null",
    ],
)
def test_broken_provenance(path: Path, value: Any) -> None:
    with edited(path) as file:
        file.attrs["provenance"] = value
    assert_rejected(path, "provenance")


def test_no_provenance(path: Path) -> None:
    with edited(path) as file:
        del file.attrs["provenance"]
    assert_rejected(path, "provenance")


# Every entry, damaged in every way


def walk(file: h5py.File) -> tuple[list[str], list[str]]:
    """Names of all datasets and of all groups."""
    datasets: list[str] = []
    groups: list[str] = []
    file.visititems(
        lambda name, item: (datasets if isinstance(item, h5py.Dataset) else groups).append(name)
    )
    return datasets, groups


def sample_names() -> tuple[list[str], list[str]]:
    with tempfile.TemporaryDirectory() as folder:
        sample = Path(folder) / "net.h5"
        reference = FloatActivity(np.zeros((2, 3), np.uint8), np.zeros(2, int))
        write_network(sample_network(), sample, reference, sample_vectors())
        with h5py.File(sample) as file:
            return walk(file)


def dataset_names() -> list[str]:
    return sample_names()[0]


DATASETS, GROUPS = sample_names()
INTEGERS = [name for name in DATASETS if not name.endswith("/type")]
TEXTS = [name for name in DATASETS if name.endswith("/type")]
# Without its only entry, the group `reference` is still required to hold it; without itself, the
# file is that of a network without predictions.
OPTIONAL_GROUPS = {"reference", "vectors"}


def test_the_walk_finds_every_kind_of_entry() -> None:
    assert len(DATASETS) == 45
    assert {name.rsplit("/", 1)[-1] for name in DATASETS} == {
        *(
            "type",
            "shape",
            "range",
            "weight",
            "weight_exponent",
            "weight_rec",
            "weight_rec_exponent",
        ),
        *("damping", "rotation", "decay", "dt", "theta", "gamma", "state_bits", "parameter_bits"),
        "input_gain",
        *("predictions", "sops", "inputs", "outputs", "saturations", "1", "2"),
    }


def replace(path: Path, name: str, data: Any, **options: Any) -> None:
    with edited(path) as file:
        del file[name]
        file.create_dataset(name, data=data, **options)


def content(path: Path, name: str) -> Any:
    with h5py.File(path) as file:
        return file[name][()]


@pytest.mark.parametrize("name", DATASETS)
def test_missing_entry(path: Path, name: str) -> None:
    with edited(path) as file:
        del file[name]
    assert_rejected(path, name, "missing")


@pytest.mark.parametrize("name", sorted(set(GROUPS) - OPTIONAL_GROUPS))
def test_missing_group(path: Path, name: str) -> None:
    with edited(path) as file:
        del file[name]
    assert_rejected(path, name.split("/")[0])


@pytest.mark.parametrize("name", DATASETS)
def test_group_in_place_of_an_entry(path: Path, name: str) -> None:
    with edited(path) as file:
        del file[name]
        file.create_group(name)
    assert_rejected(path, name, "not a dataset")


@pytest.mark.parametrize("name", GROUPS)
def test_entry_in_place_of_a_group(path: Path, name: str) -> None:
    replace_group = np.zeros(3, np.int64)
    with edited(path) as file:
        del file[name]
        file.create_dataset(name, data=replace_group)
    assert_rejected(path, name, "not a group")


@pytest.mark.parametrize("name", INTEGERS)
@pytest.mark.parametrize("dtype", ["f4", "f8", "?", "S3", "c16"])
def test_wrong_dtype(path: Path, name: str, dtype: str) -> None:
    replace(path, name, np.asarray(content(path, name)).astype(dtype))
    assert_rejected(path, name, "integers are needed")


@pytest.mark.parametrize("name", INTEGERS)
def test_text_in_place_of_integers(path: Path, name: str) -> None:
    replace(path, name, "12", dtype=h5py.string_dtype())
    assert_rejected(path, name, "integers are needed")


def axes(name: str) -> int:
    """How many axes a dataset of the format has."""
    if name.endswith(("/weight", "/weight_rec", "/predictions")):
        return 2
    return int(name.endswith(("/shape", "/damping", "/rotation", "/decay", "/sops")))


@pytest.mark.parametrize(
    ("name", "change"),
    [(name, change) for name in INTEGERS for change in ("one axis more", "no element")]
    + [(name, "one axis less") for name in INTEGERS if axes(name)],
)
def test_wrong_rank(path: Path, name: str, change: str) -> None:
    values = np.asarray(content(path, name))
    if change == "one axis more":
        values = values[None]
    elif change == "no element":
        values = np.zeros((0,) * max(1, values.ndim), values.dtype)
    else:
        values = values[0]
    replace(path, name, values)
    assert_rejected(path, name, "shape", "expected")


@pytest.mark.parametrize(
    ("name", "axis"),
    [
        (name, axis)
        for name in INTEGERS
        for axis in range(axes(name))
        if not name.endswith("/predictions")  # of any size
    ],
)
def test_one_row_or_column_more(path: Path, name: str, axis: int) -> None:
    values = np.asarray(content(path, name))
    replace(path, name, np.concatenate([values, values.take([0], axis)], axis))
    if name.endswith("/weight") and axis == 1:  # then it is the layers that do not fit
        assert_rejected(path, "inputs")
    else:
        assert_rejected(path, name, "expected")


@pytest.mark.parametrize("name", INTEGERS)
@pytest.mark.parametrize("value", [-(2**40), 2**40, 2**64 - 1])
@pytest.mark.parametrize("place", [0, -1])
def test_out_of_range_integer(path: Path, name: str, value: int, place: int) -> None:
    values = np.asarray(content(path, name)).astype(np.uint64 if value >= 2**63 else np.int64)
    values.reshape(-1)[place] = value
    replace(path, name, values)
    if value >= 2**63 and values.size > 1 and (content_is_negative(name)):
        # Negative numbers wrap as well in an unsigned array; any of them may be named.
        assert_rejected(path, name, "out of range")
    else:
        assert_rejected(path, name, f"{value} is out of range; allowed are")


def content_is_negative(name: str) -> bool:
    return name.endswith(("weight", "weight_rec", "damping"))


@pytest.mark.parametrize(
    ("name", "low", "high"),
    [
        ("layer/1/weight", -128, 127),
        ("layer/1/weight_rec", -128, 127),
        ("layer/1/weight_exponent", 0, 15),
        ("layer/1/weight_rec_exponent", 0, 15),
        ("layer/1/neuron/damping", -(2**16), 0),
        ("layer/1/neuron/rotation", 0, 2**16),
        ("layer/1/neuron/dt", 1, 2**16),
        ("layer/1/neuron/gamma", 0, 2**16 - 1),
        ("layer/1/neuron/theta", 1, 2**23 - 1),
        ("layer/1/neuron/state_bits", 6, 18),
        ("layer/1/neuron/parameter_bits", 10, 22),
        ("layer/3/neuron/decay", 0, 2**16 - 1),
        ("reference/predictions", 0, 1),
    ],
)
def test_the_limits_of_every_range(path: Path, name: str, low: int, high: int) -> None:
    original = np.asarray(content(path, name)).astype(np.int64)
    accepted = () if name.endswith("parameter_bits") else (low, high)  # others depend on them
    for value in accepted:
        values = original.copy()
        values.reshape(-1)[-1] = value
        replace(path, name, values)
        read_network(path)
    for value in (low - 1, high + 1):
        values = original.copy()
        values.reshape(-1)[-1] = value
        replace(path, name, values)
        assert_rejected(path, name, f"{value} is out of range; allowed are {low} to {high}")


@pytest.mark.parametrize("name", TEXTS)
@pytest.mark.parametrize(
    "value",
    [
        "LIF",
        "",
        "\n",
        5,
        0.5,
        np.array([1, 2]),
        np.zeros((2, 2), int),
    ],
    ids=["LIF", "nothing", "newline", "integer", "float", "list", "matrix"],
)
def test_another_type(path: Path, name: str, value: Any) -> None:
    replace(path, name, value)
    assert_rejected(path, name, "this version knows")


@pytest.mark.parametrize("name", INTEGERS)
def test_an_entry_without_any_space(path: Path, name: str) -> None:
    with edited(path) as file:
        dtype = file[name].dtype
        del file[name]
        file.create_dataset(name, data=h5py.Empty(dtype))
    assert_rejected(path, name)


@pytest.mark.parametrize("group", ["", *GROUPS])
@pytest.mark.parametrize("new", ["delay", "bias", "9", "00"])
def test_unknown_entry(path: Path, group: str, new: str) -> None:
    with edited(path) as file:
        file.create_dataset(f"{group}/{new}", data=1)
    assert_rejected(path, f"{group}/{new}".lstrip("/"), "unknown to this version")


def test_recurrent_weights_in_a_layer_that_is_not_recurrent(path: Path) -> None:
    replace(path, "layer/1/type", "dense", dtype=h5py.string_dtype())
    assert_rejected(path, "layer/1/weight_rec", "unknown")


def test_links_that_lead_nowhere(path: Path) -> None:
    with edited(path) as file:
        del file["layer/1/weight"]
        file["layer/1/weight"] = h5py.SoftLink("/nowhere")
    assert_rejected(path, "layer/1/weight", "missing")


@pytest.mark.parametrize(
    ("change", "parts"),
    [
        (lambda file: file["layer"].move("3", "5"), ("layer/5",)),
        (lambda file: file.__delitem__("layer/3"), ("readout",)),
        (lambda file: file.move("layer/1", "x"), ("x",)),
        (lambda file: [file.__delitem__(f"layer/{i}") for i in (1, 2, 3)], ("0 layers",)),
    ],
)
def test_layers_that_make_no_network(
    path: Path, change: Callable[[h5py.File], Any], parts: Sequence[str]
) -> None:
    with edited(path) as file:
        change(file)
    assert_rejected(path, *parts)


def test_input_that_does_not_fit_the_first_layer(path: Path) -> None:
    replace(path, "layer/0/shape", np.array([4]))
    assert_rejected(path, "layer/1/weight has 3 inputs", "layer/0/shape says 4")


FLIP = """
import sys
from pathlib import Path
import numpy as np
from brf_lava.errors import NetworkFileError
from brf_lava.network.file import read_network
path = Path(sys.argv[1])
rng = np.random.default_rng(0)
whole = np.frombuffer(path.read_bytes(), np.uint8)
rejected = 0
for _ in range(60):
    damaged = whole.copy()
    damaged[rng.integers(0, len(whole), 30)] = rng.integers(0, 256, 30)
    path.write_bytes(damaged.tobytes())
    try:
        read_network(path)
    except NetworkFileError as error:
        rejected += 1
        assert str(path) in str(error)
        assert "\\n" not in str(error)
print(rejected)
"""


def test_flipped_bytes_give_a_network_or_one_clear_error(path: Path) -> None:
    """In a process of its own: a crash of the HDF5 library would end the tests."""
    command = [sys.executable, "-c", FLIP, str(path)]
    root = Path(__file__).parents[2]
    run = subprocess.run(command, cwd=root, capture_output=True, text=True, timeout=60)
    assert (run.returncode, run.stderr) == (0, "")
    assert int(run.stdout) > 10


# Writing


@pytest.mark.parametrize("fault", [ValueError("x"), KeyboardInterrupt(), OSError(28, "No space")])
@pytest.mark.parametrize("existing", [True, False])
def test_an_error_while_writing_leaves_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: BaseException, existing: bool
) -> None:
    target = tmp_path / "net.h5"
    if existing:
        write_network(sample_network(), target)
    before = target.read_bytes() if existing else b""
    calls = []

    def failing(handle: h5py.Group, layer: FixedLayer) -> None:
        calls.append(handle.name)
        if len(calls) == 2:
            raise fault
        write_layer(handle, layer)

    monkeypatch.setattr(hdf5, "write_layer", failing)
    with pytest.raises(type(fault)):
        write_network(random_network(np.random.default_rng(9), (2, 2, 2)), target)
    assert calls == ["/layer/1", "/layer/2"]
    assert os.listdir(tmp_path) == (["net.h5"] if existing else [])
    if existing:
        assert target.read_bytes() == before


def test_writing_replaces_the_old_file(path: Path) -> None:
    other = random_network(np.random.default_rng(9), (2, 2, 2))
    write_network(other, path)
    found, predictions = read_network(path)
    assert_same_network(found, other)
    assert predictions is None
    assert os.listdir(path.parent) == ["net.h5"]


def test_a_written_file_has_the_usual_rights(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        write_network(sample_network(), tmp_path / "net.h5")
    finally:
        os.umask(before)
    assert (tmp_path / "net.h5").stat().st_mode & 0o777 == 0o640


def test_no_folder_to_write_to(tmp_path: Path) -> None:
    target = tmp_path / "none" / "net.h5"
    with pytest.raises(BrfLavaError, match="cannot write there") as caught:
        write_network(sample_network(), target)
    assert str(target) in str(caught.value)
    assert os.listdir(tmp_path) == []


# SLAYER blocks


@pytest.mark.parametrize("kind", ["recurrent", "forward", "readout"])
def test_a_slayer_block_exports_a_layer_that_reads_back(tmp_path: Path, kind: str) -> None:
    generator = torch.Generator().manual_seed(3)
    brf = {"dt": 0.01, "theta": 1.0, "gamma": 0.9, "omega": (3.0, 5.0), "b_offset": (0.1, 1.0)}
    if kind == "readout":
        block: Block = Block("LI", {"tau_mean": 20.0, "tau_std": 1.0}, 4, 3, generator=generator)
    elif kind == "recurrent":
        block = Block("BRF", brf, 4, 5, recurrent=True, generator=generator)
    else:
        block = Block("BRF", brf, 4, 5, generator=generator)
    path = tmp_path / "block.h5"
    with h5py.File(path, "w") as file:
        block.export_hdf5(file.create_group("layer/1"))
    with h5py.File(path) as file:
        layer = read_layer(file["layer/1"], path)
    expected, _ = quantize_layer(block.to_real(), LayerFormat())
    assert_same_layer(layer, expected)
    assert (layer.recurrent is not None) is (kind == "recurrent")
    assert np.abs(layer.weights.mantissa).max() > 50


# The golden file pins the format: it is written once and never again


def write_golden() -> None:
    """Write the golden file and its JSON; for a new schema, under a new name."""
    rng = np.random.default_rng(20261121)
    network = dataclasses.replace(
        random_network(
            rng, (3, 5, 4, 3, 2, 3, 2), neuron=SPIKING, input_range=(0, 255), exponent=3
        ),
        provenance=PROVENANCE,
    )
    predictions = FloatActivity(
        rng.integers(0, 2, (2, 1)).astype(np.uint8), rng.integers(0, 100, 2)
    )
    GOLDEN.parent.mkdir(exist_ok=True)
    write_network(network, GOLDEN, predictions)
    text = json.dumps(as_json(network, predictions), indent=1, sort_keys=True)
    GOLDEN.with_suffix(".json").write_text(text + "\n")


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


@pytest.mark.parametrize("golden", [GOLDEN_1, GOLDEN_2, GOLDEN], ids=lambda path: path.stem)
def test_the_golden_files_read_as_they_were_written(golden: Path) -> None:
    network, predictions = read_network(golden)
    expected = json.loads(golden.with_suffix(".json").read_text())
    expected.setdefault("input_range", [0, 1])  # what schema 1 did not say
    for layer in expected["layers"]:
        if layer["neuron"] in ("ALIF", "LI"):
            layer["constants"].setdefault("input_gain", 0)  # nor schema 2
    assert as_json(network, predictions) == expected


def test_the_golden_integers_by_eye() -> None:
    """Some of them here as well, so that file and JSON cannot change together unseen."""
    network, predictions = read_network(GOLDEN_1)
    hidden, readout = network.layers
    assert (hidden.neuron, readout.neuron) == (families.BRF, families.LI)
    assert hidden.weights.mantissa.tolist() == GOLDEN_WEIGHT
    assert (hidden.weights.exponent, hidden.recurrent and hidden.recurrent.exponent) == (7, 5)
    assert hidden.constants == fixed.BalancedConstants(655, 16384, 58982, 14, 16)
    assert hidden.coefficients.tolist() == GOLDEN_COEFFICIENTS
    assert readout.coefficients.tolist() == GOLDEN_DECAY
    assert readout.constants == fixed.LIConstants(14, 16, input_gain=0)
    assert predictions is not None
    assert predictions.predictions.tolist() == GOLDEN_PREDICTIONS
    assert predictions.sops.tolist() == GOLDEN_SOPS
    assert network.provenance == PROVENANCE


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
