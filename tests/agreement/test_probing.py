"""States of chosen neurons: from Lava and from the engine the same, in files that say what they
hold."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from click.testing import CliRunner, Result
from hypothesis import given, settings
from hypothesis import strategies as st
from networks import SPIKING, random_network, random_spikes

from brf_lava.backends import engine
from brf_lava.backends import states as probing
from brf_lava.backends.base import Loihi2
from brf_lava.backends.states import (
    Recording,
    Selection,
    fingerprint,
    layer_names,
    new_recording,
    parse_numbers,
    state_names,
    write_recording,
)
from brf_lava.cli import main
from brf_lava.data.dataset import Dataset, DataSource
from brf_lava.ecg import task as ecg
from brf_lava.ecg.synthetic import generate
from brf_lava.errors import ParameterError
from brf_lava.network.file import read_network, write_network
from brf_lava.network.layers import FixedNetwork
from brf_lava.neurons import fixed
from brf_lava.neurons.families import NEURONS, Neuron
from brf_lava.run.execute import execute

STEPS, SAMPLES = 40, 5


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(7)


@pytest.fixture
def network(rng: np.random.Generator) -> FixedNetwork:
    return random_network(rng, (4, 9, 3), exponent=10)


def everything(network: FixedNetwork) -> list[Selection]:
    return [
        Selection(state_names(layer), name)
        for name, layer in zip(layer_names(network), network.layers, strict=True)
    ]


def assert_same_recording(found: Recording, expected: Recording) -> None:
    assert len(found.layers) == len(expected.layers)
    for ours, theirs in zip(found.layers, expected.layers, strict=True):
        np.testing.assert_array_equal(ours.neurons, theirs.neurons)
        assert list(ours.values) == list(theirs.values)
        for name, values in ours.values.items():
            assert values.dtype == theirs.values[name].dtype
            np.testing.assert_array_equal(values, theirs.values[name], err_msg=name)


def recorded(
    network: FixedNetwork, x: Any, selections: list[Selection], backend: str, **options: Any
) -> Recording:
    recording = new_recording(network, selections, *x.shape[:2])
    execute(network, x, backend=backend, recording=recording, **options)
    return recording


# What is recorded


@pytest.mark.parametrize("neuron", SPIKING, ids=lambda neuron: neuron.name)
def test_the_engine_records_what_the_equations_give(
    rng: np.random.Generator, neuron: Neuron
) -> None:
    """Without recurrence, so that the currents are known beforehand."""
    network = random_network(rng, (4, 9, 3), neuron=neuron, recurrent=False, exponent=10)
    x = random_spikes(rng, STEPS, SAMPLES, 4, rate=0.3)
    recording = recorded(network, x, everything(network), "engine")
    layer = network.layers[0]
    states: Any = (np.zeros((SAMPLES, 9), np.int64),) * len(neuron.states)
    for step in range(STEPS):
        current = x[step].astype(np.int64) @ layer.weights.integers.T
        states, z = neuron.fixed_step(states, current, tuple(layer.coefficients), layer.constants)
        for name, values in zip(neuron.states, states, strict=True):
            np.testing.assert_array_equal(recording.layers[0].values[name][step], values)
        np.testing.assert_array_equal(recording.layers[0].values["z"][step], z)
    assert recording.layers[0].values["z"].any()
    assert list(recording.layers[1].values) == ["o"]


def test_spikes_and_outputs_are_those_of_the_run(
    rng: np.random.Generator, network: FixedNetwork
) -> None:
    x = random_spikes(rng, STEPS, 70, 4, rate=0.3)  # more samples than the engine takes at a time
    assert x.shape[1] > 2 * engine.CHUNK
    recording = new_recording(network, everything(network), *x.shape[:2])
    activity = engine.run(network, x, recording)
    np.testing.assert_array_equal(recording.layers[0].values["z"], activity.spikes[0])
    np.testing.assert_array_equal(recording.layers[1].values["o"], activity.outputs)


def test_chosen_neurons_in_the_order_named(rng: np.random.Generator, network: FixedNetwork) -> None:
    x = random_spikes(rng, STEPS, SAMPLES, 4, rate=0.3)
    all_of_them = recorded(network, x, everything(network), "engine").layers[0]
    some = recorded(network, x, [Selection(("q", "u"), neurons=(7, 0, 7, 3))], "engine").layers[0]
    assert some.neurons.tolist() == [7, 0, 3]
    assert list(some.values) == ["q", "u"]
    for name in ("q", "u"):
        np.testing.assert_array_equal(some.values[name], all_of_them.values[name][..., [7, 0, 3]])


def test_a_run_records_the_same_as_without_a_probe(
    rng: np.random.Generator, network: FixedNetwork
) -> None:
    x = random_spikes(rng, STEPS, SAMPLES, 4, rate=0.3)
    plain = engine.run(network, x)
    probed = engine.run(network, x, new_recording(network, everything(network), STEPS, SAMPLES))
    np.testing.assert_array_equal(plain.outputs, probed.outputs)
    assert plain.saturations == probed.saturations


@pytest.mark.parametrize("neuron", SPIKING, ids=lambda neuron: neuron.name)
def test_32_bits_hold_every_state(neuron: Neuron) -> None:
    """Driven as hard as can be, with the finest states and the longest memory there is."""
    bits, state_bits = 22, 18
    named = {
        "dt": 1,
        "theta": 1,
        "gamma": (1 << bits) - 1,
        "beta": 1,
        "input_gain": 0,
        "state_bits": state_bits,
        "parameter_bits": bits,
    }
    kind: Any = neuron.fixed_constants
    constants = kind(*(named[name] for name in kind._fields))
    named = {"damping": 0, "rotation": 1, "friction": 0, "decay": (1 << bits) - 1}
    named["adaptation"] = (1 << bits) - 1
    coefficients = tuple(named[name] for name in neuron.fixed_coefficients)
    states: Any = (0,) * len(neuron.states)
    largest = 0
    for _ in range(20_000):
        states, _ = neuron.fixed_step(states, fixed.STATE_MAX, coefficients, constants)
        largest = max(largest, *(abs(int(state)) for state in states))
    assert largest >= fixed.STATE_MAX
    assert largest < 2**25


# Lava


@pytest.mark.parametrize("batch", [None, 2])
def test_lava_records_what_the_engine_does(rng: np.random.Generator, batch: int | None) -> None:
    """A layer of every neuron, of which each delays by one step more."""
    network = random_network(rng, (3, *[6] * len(SPIKING), 4), neuron=SPIKING, exponent=11)
    x = random_spikes(rng, STEPS, SAMPLES, 3, rate=0.4)
    expected = recorded(network, x, everything(network), "engine")
    found = recorded(network, x, everything(network), "sim", batch=batch, timeout=30.0, check=True)
    assert_same_recording(found, expected)
    for layer in found.layers:
        for name, values in layer.values.items():
            assert values.any(), f"{layer.name} {name}"


@pytest.mark.parametrize(("steps", "samples"), [(1, 1), (1, 3), (2, 1)])
def test_lava_records_runs_of_one_step(rng: np.random.Generator, steps: int, samples: int) -> None:
    network = random_network(rng, (2, 3, 2), exponent=12)
    x = np.ones((steps, samples, 2), np.int8)
    selections = [Selection(("z", "v", "u"), neurons=(2, 1)), Selection(("o",), "readout")]
    found = recorded(network, x, selections, "sim", timeout=30.0)
    assert_same_recording(found, recorded(network, x, selections, "engine"))
    assert found.layers[0].values["u"].any()


# What cannot be recorded


@pytest.mark.parametrize(
    ("selection", "message"),
    [
        (Selection(("w",)), r"^probe: state 'w'; hidden1 \(BRF\) has u, v, q, z\. "),
        (Selection(("u", "")), r"state ''; hidden1 \(BRF\) has u, v, q, z\."),
        (Selection(()), r"state ''; hidden1 \(BRF\) has"),
        (Selection(("u",), "readout"), r"state 'u'; readout \(LI\) has o\."),
        (Selection(("u",), "hidden2"), r"layer 'hidden2'; this network has hidden1, readout\."),
        (Selection(("u",), neurons=(0, 9)), "neuron 9; hidden1 has 0 to 8"),
        (Selection(("u",), neurons=(-1,)), "neuron -1; hidden1 has 0 to 8"),
        (Selection(("o",), "readout", (3,)), "neuron 3; readout has 0 to 2"),
    ],
)
def test_what_is_not_there(network: FixedNetwork, selection: Selection, message: str) -> None:
    with pytest.raises(ParameterError, match=message) as caught:
        new_recording(network, [selection], STEPS, SAMPLES)
    assert "\n" not in str(caught.value)


def test_a_layer_named_twice(network: FixedNetwork) -> None:
    with pytest.raises(ParameterError, match="layers hidden1, hidden1; one of them twice"):
        new_recording(network, [Selection(("u",)), Selection(("v",))], STEPS, SAMPLES)


def test_more_than_memory(network: FixedNetwork, monkeypatch: pytest.MonkeyPatch) -> None:
    size = 1000 * 100 * 9 * (3 * 4 + 1)
    selection = Selection(("u", "v", "q", "z"))
    with pytest.raises(ParameterError, match=r"10000000 steps of 100 samples take 117,000 MB"):
        new_recording(network, [selection], 10_000_000, 100)
    monkeypatch.setattr(probing, "BYTES_MAX", size)
    assert new_recording(network, [selection], 1000, 100).bytes == size
    monkeypatch.setattr(probing, "BYTES_MAX", size - 1)
    with pytest.raises(ParameterError, match=r"take 12 MB; at most 12 MB can be recorded\."):
        new_recording(network, [selection], 1000, 100)


def test_not_on_loihi2(
    rng: np.random.Generator, network: FixedNetwork, monkeypatch: pytest.MonkeyPatch
) -> None:
    recording = new_recording(network, [Selection(("u",))], 2, 1)
    monkeypatch.setattr(Loihi2, "require", lambda self: None)
    with pytest.raises(ParameterError, match=r"on Loihi 2\. Use backend sim or engine, which"):
        execute(network, random_spikes(rng, 2, 1, 4), backend="loihi2", recording=recording)


@settings(max_examples=50)
@given(st.lists(st.integers(0, 300), min_size=1, max_size=20))
def test_numbers_as_they_are_written(numbers: list[int]) -> None:
    assert parse_numbers(",".join(map(str, numbers))) == tuple(numbers)


@pytest.mark.parametrize(
    ("text", "numbers"), [("0-7,12", (*range(8), 12)), (" 3 , 5 - 6", (3, 5, 6)), ("4-4", (4,))]
)
def test_ranges_of_numbers(text: str, numbers: tuple[int, ...]) -> None:
    assert parse_numbers(text) == numbers


@settings(max_examples=50)
@given(st.text("0123456789-, a²", max_size=8))
def test_texts_are_numbers_or_an_error(text: str) -> None:
    with suppress(ParameterError):
        assert parse_numbers(text)


@pytest.mark.parametrize("text", ["", "1,", "7-3", "-1", "1-2-3", "0-99999999999", "x", "²", "1.5"])
def test_bad_numbers(text: str) -> None:
    with pytest.raises(ParameterError, match="like 0-7,12"):
        parse_numbers(text)


# Files


def recording_of(network: FixedNetwork, rng: np.random.Generator) -> Recording:
    x = random_spikes(rng, STEPS, SAMPLES, 4, rate=0.3)
    selections = [Selection(("u", "q", "z"), neurons=(1, 4)), Selection(("o",), "readout")]
    return recorded(network, x, selections, "engine")


@pytest.mark.parametrize("name", ["states.h5", "states.hdf5"])
def test_hdf5(network: FixedNetwork, rng: np.random.Generator, tmp_path: Path, name: str) -> None:
    recording = recording_of(network, rng)
    write_recording(recording, network, tmp_path / name, backend="sim", step_seconds=0.004)
    with h5py.File(tmp_path / name, "r") as file:
        about = json.loads(file.attrs["about"])
        assert (about["format"], about["schema"]) == ("brf-lava-states", 1)
        assert about["backend"] == "sim"
        assert about["step_seconds"] == 0.004
        assert about["network"]["fingerprint"] == fingerprint(network)
        assert about["versions"]["brf_lava"]
        assert set(file) == {"step", "sample", "hidden1", "readout"}
        for layer in recording.layers:
            group = file[layer.name]
            assert group.attrs["neuron"] == layer.neuron.encode()
            np.testing.assert_array_equal(group["neuron"], layer.neurons)
            for state, values in layer.values.items():
                dataset = group[state]
                assert dataset.dtype == values.dtype
                np.testing.assert_array_equal(dataset, values)
                bits = 0 if state == "z" else 14
                assert dataset.attrs["fraction_bits"] == bits
                assert dataset.attrs["scale"] == 2.0**-bits
                assert dataset.attrs["unit"] == (b"spikes" if state == "z" else b"state")
                assert [axis.label for axis in dataset.dims] == ["step", "sample", "neuron"]
                for axis, length in zip(dataset.dims, dataset.shape, strict=True):
                    assert axis[0].shape == (length,)
                assert dataset.dims[2][0] == group["neuron"]
        assert file["step"][-1] == STEPS - 1


def test_npz(network: FixedNetwork, rng: np.random.Generator, tmp_path: Path) -> None:
    recording = recording_of(network, rng)
    write_recording(recording, network, tmp_path / "states.npz", backend="engine")
    with np.load(tmp_path / "states.npz") as file:  # pickle is not allowed
        about = json.loads(str(file["about"]))
        names = {f"{layer.name}/{each}" for layer in recording.layers for each in layer.values}
        assert set(about["arrays"]) == names
        assert set(file) == names | {"about", "step", "sample", "hidden1/neuron", "readout/neuron"}
        for layer in recording.layers:
            np.testing.assert_array_equal(file[f"{layer.name}/neuron"], layer.neurons)
            for state, values in layer.values.items():
                np.testing.assert_array_equal(file[f"{layer.name}/{state}"], values)
        assert about["arrays"]["hidden1/u"] == {
            "axes": ["step", "sample", "neuron"],
            "neuron": "BRF",
            "unit": "state",
            "fraction_bits": 14,
            "scale": 2**-14,
        }
        assert about["network"]["fingerprint"] == fingerprint(network)


def test_values_are_integers_times_scale(rng: np.random.Generator) -> None:
    """A neuron at rest that hears one spike of weight w has u = w, in real numbers."""
    network = random_network(rng, (1, 1, 1), exponent=7)
    recording = recorded(network, np.ones((1, 1, 1), np.int8), [Selection(("u",))], "engine")
    (layer,) = recording.layers
    weight = network.layers[0].weights
    expected = float(weight.mantissa[0, 0]) * 2.0 ** (weight.exponent - 14)
    assert layer.values["u"][0, 0, 0] * 2.0 ** -layer.fraction_bits["u"] == expected != 0


@pytest.mark.parametrize("shape", [(0, 2), (3, 0)])
def test_no_steps_and_no_samples(
    network: FixedNetwork, tmp_path: Path, shape: tuple[int, int]
) -> None:
    recording = new_recording(network, [Selection(("u",))], *shape)
    for name in ("a.h5", "a.npz"):
        write_recording(recording, network, tmp_path / name, backend="engine")
    with h5py.File(tmp_path / "a.h5", "r") as file:
        assert file["hidden1/u"].shape == (*shape, 9)


@pytest.mark.parametrize("name", ["states", "states.mat", "states.npy"])
def test_other_files_are_refused(network: FixedNetwork, tmp_path: Path, name: str) -> None:
    recording = new_recording(network, [Selection(("u",))], 2, 1)
    with pytest.raises(ParameterError, match=r"ends in \.h5, \.hdf5, \.npz"):
        write_recording(recording, network, tmp_path / name, backend="engine")
    assert not list(tmp_path.iterdir())


def test_fingerprints_tell_networks_apart() -> None:
    def made(seed: int = 0, **options: Any) -> FixedNetwork:
        return random_network(np.random.default_rng(seed), (4, 9, 3), **options)

    variants = [
        made(),
        made(1),
        made(exponent=8),
        made(state_bits=13),
        made(recurrent=False),
        made(input_range=(0, 255), exponent=1),
        made(neuron=NEURONS["RF"]),
        made(neuron=NEURONS["HRF"]),
    ]
    assert len({fingerprint(network) for network in variants}) == len(variants)
    assert fingerprint(made()) == fingerprint(made())
    assert fingerprint(FixedNetwork(made().layers, {"task": "x"})) == fingerprint(made())


# The command


@pytest.fixture(scope="module")
def dataset() -> Dataset:
    """Three samples of a synthetic ECG to run."""
    train, test = generate(1, 3, seed=1)
    source = DataSource("synthetic-ecg", "three samples", "")
    return Dataset("ecg", ("P", "PQ", "QR", "RS", "ST", "TP"), 0.004, train, test, source)


@pytest.fixture
def net(
    dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rng: np.random.Generator
) -> Path:
    """A network, and no data for it but the above."""
    monkeypatch.delenv(ecg.DATA_VARIABLE, raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(ecg, "load_synthetic", lambda: dataset)
    source = {"fingerprint": "", "description": "other data"}
    metrics = {"device": "cpu"}
    layers = random_network(rng, (4, 9, 6), exponent=10).layers
    path = tmp_path / "net.h5"
    write_network(FixedNetwork(layers, {"task": "ecg", "data": source, "metrics": metrics}), path)
    return path


def brf_lava(*arguments: str | Path) -> Result:
    return CliRunner().invoke(main, ["run", *map(str, arguments)], prog_name="brf-lava")


PROBE = ("--probe", "u,v,q,z", "--probe-neurons", "0-3,8")


def test_run_writes_the_states(net: Path, tmp_path: Path) -> None:
    out = tmp_path / "states.npz"
    result = brf_lava(net, "--backend", "engine", *PROBE, "--probe-out", out, "--batch", "2")
    assert result.exit_code == 0, result.output
    assert (
        f"Wrote {out}: u, v, q, z of 5 neurons of hidden1, 1300 steps of 3 samples."
        in result.output
    )
    network, _ = read_network(net)
    x = ecg.load_synthetic().test.time_major()
    activity = engine.run(network, x)
    with np.load(out) as file:
        assert file["hidden1/neuron"].tolist() == [0, 1, 2, 3, 8]
        np.testing.assert_array_equal(file["hidden1/z"], activity.spikes[0][..., [0, 1, 2, 3, 8]])
        about = json.loads(str(file["about"]))
    assert about["step_seconds"] == 0.004
    assert about["data"]["kind"] == "synthetic-ecg"
    assert about["network"]["provenance"]["task"] == "ecg"


def test_run_on_lava_writes_the_same_states(net: Path, tmp_path: Path) -> None:
    for backend in ("sim", "engine"):
        out = tmp_path / f"{backend}.h5"
        result = brf_lava(net, "--backend", backend, *PROBE, "--probe-out", out, "--batch", "2")
        assert result.exit_code == 0, result.output
    with h5py.File(tmp_path / "sim.h5") as sim, h5py.File(tmp_path / "engine.h5") as other:
        for state in ("u", "v", "q", "z"):
            assert sim[f"hidden1/{state}"].shape == (1300, 3, 5)
            np.testing.assert_array_equal(sim[f"hidden1/{state}"], other[f"hidden1/{state}"])
            assert np.any(sim[f"hidden1/{state}"])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--probe", "u"), "--probe: not without --probe-out"),
        (("--probe-neurons", "1"), "--probe-neurons: not without --probe"),
        (("--probe-layer", "x", "--probe-out", "{}/a.h5"), "--probe-layer, --probe-out: not"),
        (("--probe", "u", "--probe-out", "{}/a.mat"), "ends in .h5, .hdf5, .npz"),
        (("--probe", "u", "--probe-out", "{}/no/a.h5"), "does not exist"),
        (("--probe", "u", "--probe-out", "{}/net.h5"), "another file of this run"),
        (("--probe", "w", "--probe-out", "{}/a.h5"), "state 'w'; hidden1 (BRF) has u, v, q, z"),
        (("--probe", "o", "--probe-layer", "out", "--probe-out", "{}/a.h5"), "hidden1, readout"),
        (("--probe", "u", "--probe-neurons", "9", "--probe-out", "{}/a.h5"), "hidden1 has 0 to 8"),
        (("--probe", "u", "--probe-neurons", "x", "--probe-out", "{}/a.h5"), "like 0-7,12"),
    ],
)
def test_run_refuses(net: Path, tmp_path: Path, arguments: tuple[str, ...], message: str) -> None:
    before = net.read_bytes()
    filled = [argument.replace("{}", str(tmp_path)) for argument in arguments]
    result = brf_lava(net, "--backend", "engine", *filled)
    assert result.exit_code == 2, result.output
    (error,) = [line for line in result.output.splitlines() if line.startswith("Error:")]
    assert message in error
    assert {path.name for path in tmp_path.iterdir()} == {"net.h5"}
    assert net.read_bytes() == before
