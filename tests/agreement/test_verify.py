"""brf-lava verify: test vectors, what they are compared with, and what it says of a difference."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from command_line import assert_failed, assert_worked, brf_lava
from hypothesis import given, settings
from hypothesis import strategies as st
from networks import SPIKING, random_network, random_spikes

from brf_lava.backends import engine
from brf_lava.backends.stepwise import plain_run
from brf_lava.errors import MismatchError, ParameterError
from brf_lava.network.activity import Activity, TestVectors
from brf_lava.network.file import write_network
from brf_lava.network.layers import FixedNetwork
from brf_lava.neurons.families import Neuron
from brf_lava.run.execute import assert_equal, vectors


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(20263)


@pytest.fixture
def network(rng: np.random.Generator) -> FixedNetwork:
    return random_network(rng, (4, 12, 3), exponent=10)


@pytest.fixture
def net(network: FixedNetwork, tmp_path: Path) -> Path:
    path = tmp_path / "net.h5"
    write_network(network, path)
    return path


def verify(*arguments: Any) -> str:
    """The output of a command that works."""
    result = brf_lava("verify", *arguments)
    assert_worked(result)
    return result.output


# The vectors


@settings(deadline=None, max_examples=40)
@given(
    ends=st.sampled_from([(0, 1), (-128, 127), (0, 255), (-1, 1), (0, 7)]),
    samples=st.integers(1, 5),
    steps=st.integers(1, 40),
    seed=st.integers(0, 2**32),
)
def test_vectors_suit_every_network(
    ends: tuple[int, int], samples: int, steps: int, seed: int
) -> None:
    network = random_network(np.random.default_rng(0), (3, 2, 2), exponent=3, input_range=ends)
    x = vectors(network, samples, steps, seed)
    assert x.shape == (steps, samples, 3)
    engine.check_input(network, x)
    np.testing.assert_array_equal(x, vectors(network, samples, steps, seed))


def test_vectors_go_from_few_inputs_to_many(network: FixedNetwork) -> None:
    x = vectors(network, 4, 1000, seed=0)
    rates = x.mean(axis=(0, 2))
    assert (np.diff(rates) > 0).all()
    assert rates[0] < 0.05
    assert 0.4 < rates[-1] < 0.6
    assert (x != vectors(network, 4, 1000, seed=1)).any()


def test_more_than_memory_should_hold_is_refused(network: FixedNetwork) -> None:
    with pytest.raises(ParameterError, match="12,000,000,000 values; at most 134,217,728"):
        vectors(network, 10_000, 100_000, seed=0)


# What verifies the engine


@pytest.mark.parametrize("neuron", SPIKING, ids=lambda neuron: neuron.name)
@pytest.mark.parametrize("exponent", [10, 15])
def test_the_plain_run_equals_the_engine(
    rng: np.random.Generator, neuron: Neuron, exponent: int
) -> None:
    network = random_network(rng, (4, 20, 6), neuron=neuron, exponent=exponent)
    x = random_spikes(rng, 50, 3, 4, rate=0.3)
    expected = engine.run(network, x)
    assert_equal(plain_run(network, x), expected, "plain", "engine")
    assert expected.spikes[0].any()


# What is said of a difference


def late(activity: Activity, steps: int) -> Activity:
    def shift(values: np.ndarray) -> np.ndarray:
        return np.concatenate([np.zeros_like(values[:steps]), values[:-steps]])

    return replace(
        activity, outputs=shift(activity.outputs), spikes=tuple(map(shift, activity.spikes))
    )


def test_a_difference_is_told_from_a_late_answer(network: FixedNetwork) -> None:
    right = engine.run(network, vectors(network, 3, 60, seed=0))
    outputs, spikes = right.outputs.copy(), right.spikes[0].copy()
    outputs[7, 2, 1] += 1
    spikes[9, 1, 11] ^= 1
    silent = replace(
        right, outputs=np.zeros_like(outputs), spikes=tuple(map(np.zeros_like, right.spikes))
    )
    for wrong, where in (
        (replace(right, outputs=outputs), "output.*sample 2, step 7, neuron 1: it has"),
        (replace(right, spikes=(spikes,)), "hidden1.*sample 1, step 9, neuron 11"),
        (replace(right, saturations=right.saturations + 1), "saturations: it counted"),
        (silent, "first difference"),
        *((late(right, steps), f"if it were {steps} steps earlier") for steps in (1, 5, 16)),
    ):
        with pytest.raises(MismatchError, match=where) as error:
            assert_equal(wrong, right, "it", "the engine")
        assert ("earlier" in str(error.value)) == ("earlier" in where)
    assert_equal(right, right, "it", "the engine")


# The command


def test_verify_on_the_simulation(net: Path) -> None:
    output = verify(net, "--steps", "60", "--samples", "3")
    assert "sim against the integer engine, seed 0: 3 samples of 60 steps" in output
    assert "all 2,160 spike slots" in output


def test_a_difference_is_an_error(net: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    output = verify(net, "--backend", "engine")
    assert "engine against its equations in NumPy" in output
    assert "4 samples of 200 steps" in output
    assert "Notice" not in output
    right = engine.run

    def wrong(*arguments: Any) -> Activity:
        activity = right(*arguments)
        return replace(activity, outputs=activity.outputs + 1)

    monkeypatch.setattr(engine, "run", wrong)
    failed = brf_lava("verify", net, "--backend", "engine")
    assert_failed(failed, 5, "the engine has ", "NumPy has ")


def test_the_files_own_vectors_come_last(tmp_path: Path, network: FixedNetwork) -> None:
    """What an older engine answered must still be the answer."""
    path = tmp_path / "net.h5"
    x = vectors(network, 2, 50, seed=3)
    answer = engine.run(network, x)
    write_network(network, path, vectors=TestVectors(x, answer))
    output = verify(path, "--backend", "engine")
    assert "engine against the file: 2 samples of 50 steps" in output
    assert output.index("equations in NumPy") < output.index("against the file")
    short = (path, "--backend", "engine", "--samples", "1")
    assert "against the file" not in verify(*short)
    assert "against the file" in verify(*short, "--stored")
    spikes = answer.spikes[0].copy()
    spikes[30, 1, 0] ^= 1
    write_network(network, path, vectors=TestVectors(x, replace(answer, spikes=(spikes,))))
    failed = brf_lava("verify", path, "--backend", "engine")
    assert_failed(failed, 5, "sample 1, step 30, neuron 0", "the file has")


def test_vectors_that_were_asked_for_must_be_there(net: Path) -> None:
    assert "No vectors are stored" in verify(net, "--backend", "engine")
    failed = brf_lava("verify", net, "--backend", "engine", "--stored")
    assert_failed(failed, 2, "no vectors are stored")


def test_silence_is_noticed(tmp_path: Path, rng: np.random.Generator) -> None:
    path = tmp_path / "quiet.h5"
    write_network(random_network(rng, (2, 3, 2), exponent=0), path)
    assert "no hidden neuron spiked" in verify(path, "--backend", "engine", "--steps", "5")


def test_options_of_another_backend_are_refused(net: Path) -> None:
    for options, message in (
        (("--host", "slurm", "--partition", "kp"), "--host, --partition: only for"),
        (("--io-delay", "1"), "--io-delay: only"),
        (("--profile", "loihi2-oheogulch"), "loihi2-oheogulch: describes a Loihi 2 board"),
    ):
        assert_failed(brf_lava("verify", net, "--backend", "engine", *options), 2, message)
