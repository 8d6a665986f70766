"""States of chosen neurons: from Lava and from the engine the same, in files that say what they
hold."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from command_line import assert_failed, assert_worked, brf_lava
from networks import SPIKING, random_network, random_spikes

from brf_lava.backends import engine
from brf_lava.backends.base import Loihi2
from brf_lava.backends.states import (
    KIND,
    Recording,
    fingerprint,
    new_recording,
    parse_numbers,
    state_names,
    write_recording,
)
from brf_lava.data.dataset import Dataset, DataSource
from brf_lava.ecg import task as ecg
from brf_lava.ecg.synthetic import generate
from brf_lava.errors import BrfLavaError, NotEnoughMemoryError, ParameterError
from brf_lava.io import memory
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


def recorded(
    network: FixedNetwork, x: Any, states: Sequence[str], backend: str, **options: Any
) -> Recording:
    chosen = {name: options.pop(name) for name in ("layer", "neurons") if name in options}
    recording = new_recording(network, *x.shape[:2], states, **chosen)
    execute(network, x, backend=backend, recording=recording, **options)
    return recording


def assert_same_recording(found: Recording, expected: Recording) -> None:
    np.testing.assert_array_equal(found.neurons, expected.neurons)
    assert list(found.values) == list(expected.values)
    for name, values in found.values.items():
        assert values.dtype == expected.values[name].dtype
        np.testing.assert_array_equal(values, expected.values[name], err_msg=name)


# What is recorded


@pytest.mark.parametrize("neuron", SPIKING, ids=lambda neuron: neuron.name)
def test_the_engine_records_what_the_equations_give(
    rng: np.random.Generator, neuron: Neuron
) -> None:
    """Without recurrence, so that the currents are known beforehand."""
    network = random_network(rng, (4, 9, 3), neuron=neuron, recurrent=False, exponent=10)
    x = random_spikes(rng, STEPS, SAMPLES, 4, rate=0.3)
    layer = network.layers[0]
    recording = recorded(network, x, state_names(layer), "engine")
    states: Any = (np.zeros((SAMPLES, 9), np.int64),) * len(neuron.states)
    for step in range(STEPS):
        current = x[step].astype(np.int64) @ layer.weights.integers.T
        states, z = neuron.fixed_step(states, current, tuple(layer.coefficients), layer.constants)
        for name, values in zip((*neuron.states, "z"), (*states, z), strict=True):
            np.testing.assert_array_equal(recording.values[name][step], values)
    assert recording.values["z"].any()


def test_a_run_is_the_same_with_a_probe(rng: np.random.Generator, network: FixedNetwork) -> None:
    x = random_spikes(rng, STEPS, 70, 4, rate=0.3)  # more samples than the engine takes at a time
    assert x.shape[1] > 2 * engine.CHUNK
    spikes = new_recording(network, *x.shape[:2], ["z"])
    activity = engine.run(network, x, spikes)
    np.testing.assert_array_equal(spikes.values["z"], activity.spikes[0])
    outputs = new_recording(network, *x.shape[:2], ["o"], "readout")
    engine.run(network, x, outputs)
    np.testing.assert_array_equal(outputs.values["o"], activity.outputs)
    assert engine.run(network, x).saturations == activity.saturations


def test_chosen_neurons_in_the_order_named(rng: np.random.Generator, network: FixedNetwork) -> None:
    x = random_spikes(rng, STEPS, SAMPLES, 4, rate=0.3)
    all_of_them = recorded(network, x, ["u", "q"], "engine")
    some = recorded(network, x, ["q", "u"], "engine", neurons=(7, 0, 7, 3))
    assert some.neurons.tolist() == [7, 0, 3]
    assert list(some.values) == ["q", "u"]
    for name in ("q", "u"):
        np.testing.assert_array_equal(some.values[name], all_of_them.values[name][..., [7, 0, 3]])


@pytest.mark.parametrize("neuron", SPIKING, ids=lambda neuron: neuron.name)
def test_32_bits_hold_every_state(neuron: Neuron) -> None:
    """Driven as hard as can be, with the finest states and the longest memory there is."""
    bits, state_bits = 22, 18
    named = {
        "dt": 1,
        "theta": 1,
        "gamma": (1 << bits) - 1,
        "beta": 1,
        "unit": 1 << state_bits,
        "state_bits": state_bits,
        "parameter_bits": bits,
    }
    kind: Any = neuron.fixed_constants
    constants = kind(*(named[name] for name in kind._fields))
    named = {"damping": 0, "rotation": 1, "friction": 0, "decay": 1 << (bits - 1)}
    named["adaptation"] = (1 << bits) - 1
    coefficients = tuple(named[name] for name in neuron.fixed_coefficients)
    states: Any = (0,) * len(neuron.states)
    largest = 0
    for _ in range(20_000):
        states, _ = neuron.fixed_step(states, fixed.CURRENT_MAX, coefficients, constants)
        largest = max(largest, *(abs(int(state)) for state in states))
    assert largest >= fixed.STATE_MAX
    assert largest < 2**25


# Lava


@pytest.mark.parametrize("layer", ["hidden1", "hidden5", "readout"])
def test_lava_records_what_the_engine_does(rng: np.random.Generator, layer: str) -> None:
    """A layer of every neuron, of which each delays by one step more."""
    network = random_network(rng, (3, *[6] * len(SPIKING), 4), neuron=SPIKING, exponent=11)
    states = state_names(network.layers[network.layer_names.index(layer)])
    x = random_spikes(rng, STEPS, SAMPLES, 3, rate=0.4)
    expected = recorded(network, x, states, "engine", layer=layer)
    found = recorded(network, x, states, "sim", layer=layer, timeout=30.0, check=True)
    assert_same_recording(found, expected)
    assert all(values.any() for values in found.values.values())


def test_lava_records_a_run_of_one_step(rng: np.random.Generator) -> None:
    network = random_network(rng, (2, 3, 2), exponent=12)
    x = np.ones((1, 3, 2), np.int8)
    found = recorded(network, x, ("z", "v", "u"), "sim", neurons=(2, 1), timeout=30.0)
    assert_same_recording(found, recorded(network, x, ("z", "v", "u"), "engine", neurons=(2, 1)))
    assert found.values["u"].any()


# What cannot be recorded


def test_what_is_not_there(network: FixedNetwork) -> None:
    for arguments, message in (
        ((["w"],), r"^probe: state 'w'; hidden1 \(BRF\) has u, v, q, z\. "),
        ((["u", ""],), r"state ''; hidden1 \(BRF\) has u, v, q, z\."),
        ((["u"], "readout"), r"state 'u'; readout \(LI\) has o\."),
        ((["u"], "hidden2"), r"layer 'hidden2'; this network has hidden1, readout\."),
        ((["u"], "hidden1", (0, 9)), "neuron 9; hidden1 has 0 to 8"),
        ((["u"], "hidden1", (-1,)), "neuron -1; hidden1 has 0 to 8"),
    ):
        with pytest.raises(ParameterError, match=message):
            new_recording(network, STEPS, SAMPLES, *arguments)


def test_more_than_memory(network: FixedNetwork, monkeypatch: pytest.MonkeyPatch) -> None:
    states = ("u", "v", "q", "z")
    monkeypatch.setattr(memory, "free_memory", lambda: 1000 * 100 * 9 * (3 * 4 + 1))
    new_recording(network, 1000, 100, states)
    message = r"1001 steps of 100 samples: needs 12 MB of memory, and 12 MB are free\. Name fewer"
    with pytest.raises(NotEnoughMemoryError, match=message):
        new_recording(network, 1001, 100, states)


def test_not_on_loihi2(
    rng: np.random.Generator, network: FixedNetwork, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Loihi2, "require", lambda self: None)
    with pytest.raises(ParameterError, match=r"on Loihi 2\. Use backend sim or engine, which"):
        recorded(network, random_spikes(rng, 2, 1, 4), ["u"], "loihi2")


def test_numbers_and_ranges() -> None:
    for text, numbers in (("0-7,12", (*range(8), 12)), (" 3 , 5 - 6", (3, 5, 6)), ("4-4", (4,))):
        assert parse_numbers(text) == numbers
    for text in (
        "",
        "1,",
        "7-3",
        "-1",
        "1-2-3",
        "0-99999999999",
        "x",
        "\N{SUPERSCRIPT TWO}",
        "1.5",
    ):
        with pytest.raises(ParameterError, match="like 0-7,12"):
            parse_numbers(text)


# Files


@pytest.fixture
def recording(network: FixedNetwork, rng: np.random.Generator) -> Recording:
    x = random_spikes(rng, STEPS, SAMPLES, 4, rate=0.3)
    return recorded(network, x, ("u", "q", "z"), "engine", neurons=(1, 4))


ATTRIBUTES = {
    "u": {"unit": "state", "scale": 2**-14},
    "q": {"unit": "state", "scale": 2**-14},
    "z": {"unit": "spikes", "scale": 1.0},
}


def test_hdf5(network: FixedNetwork, recording: Recording, tmp_path: Path) -> None:
    write_recording(recording, tmp_path / "states.hdf5", backend="sim", step_seconds=0.004)
    with h5py.File(tmp_path / "states.hdf5", "r") as file:
        about = json.loads(file.attrs["about"])
        assert (about["format"], about["schema"]) == ("brf-lava-states", 2)
        assert (about["backend"], about["step_seconds"]) == ("sim", 0.004)
        assert about["network"]["fingerprint"] == fingerprint(network)
        assert about["versions"]["brf_lava"]
        assert set(file) == {"step", "sample", "hidden1"}
        group = file["hidden1"]
        assert group.attrs["neuron"] == b"BRF"
        np.testing.assert_array_equal(group["neuron"], recording.neurons)
        for state, values in recording.values.items():
            dataset = group[state]
            assert dataset.dtype == values.dtype
            np.testing.assert_array_equal(dataset, values)
            for name, value in ATTRIBUTES[state].items():
                stored = dataset.attrs[name]
                assert (stored.decode() if isinstance(stored, bytes) else stored) == value
            assert [axis.label for axis in dataset.dims] == ["step", "sample", "neuron"]
            assert [axis[0] for axis in dataset.dims] == [
                file["step"],
                file["sample"],
                group["neuron"],
            ]
        assert file["step"][-1] == STEPS - 1


def test_other_endings(tmp_path: Path) -> None:
    for name in ("states", "states.npz"):
        with pytest.raises(BrfLavaError, match=r"ends in \.h5 or \.hdf5"):
            KIND.check(tmp_path / name)


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


PROBE = ("--probe", "u,v,q,z", "--probe-neurons", "0-3,8", "--batch", "2")


def test_run_writes_the_same_states_from_lava_and_the_engine(net: Path, tmp_path: Path) -> None:
    network, _ = read_network(net)
    activity = engine.run(network, ecg.load_synthetic().test.time_major())
    values = []
    for backend, out in (("engine", tmp_path / "e.h5"), ("sim", tmp_path / "s.h5")):
        result = brf_lava("run", net, "--backend", backend, *PROBE, "--probe-out", out)
        assert_worked(result)
        text = f"Wrote {out}: u, v, q, z of 5 neurons of hidden1, 1300 steps of 3 samples."
        assert text in result.output
        KIND.check(out)  # so it can be replaced
        with h5py.File(out) as file:
            assert file["hidden1/neuron"][:].tolist() == [0, 1, 2, 3, 8]
            spikes = activity.spikes[0][..., [0, 1, 2, 3, 8]]
            np.testing.assert_array_equal(file["hidden1/z"], spikes)
            values.append(np.stack([file[f"hidden1/{state}"][:] for state in "uvq"]))
            about = json.loads(file.attrs["about"])
        assert about["step_seconds"] == 0.004
        assert about["data"]["kind"] == "synthetic-ecg"
        assert about["network"]["provenance"]["task"] == "ecg"
    np.testing.assert_array_equal(*values)
    assert values[0].any(axis=(1, 2, 3)).all()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--probe", "u"), "--probe: not without --probe-out"),
        (("--probe-layer", "x", "--probe-out", "{}/a.h5"), "--probe-layer, --probe-out: not"),
        (("--probe", "u", "--probe-out", "{}/a.mat"), "ends in .h5 or .hdf5"),
        (("--probe", "u", "--probe-out", "{}/no/a.h5"), "does not exist"),
        (("--probe", "u", "--probe-out", "{}/a.h5", "--out", "{}/./a.h5"), "two different results"),
        (("--probe", "w", "--probe-out", "{}/a.h5"), "state 'w'; hidden1 (BRF) has u, v, q, z"),
        (("--probe", "o", "--probe-layer", "out", "--probe-out", "{}/a.h5"), "hidden1, readout"),
        (("--probe", "u", "--probe-neurons", "9", "--probe-out", "{}/a.h5"), "hidden1 has 0 to 8"),
    ],
)
def test_run_refuses(net: Path, tmp_path: Path, arguments: tuple[str, ...], message: str) -> None:
    filled = [argument.replace("{}", str(tmp_path)) for argument in arguments]
    assert_failed(brf_lava("run", net, "--backend", "engine", *filled), 2, message)
    assert {path.name for path in tmp_path.iterdir()} == {"net.h5"}
