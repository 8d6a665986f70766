"""brf-lava verify: test vectors, what they are compared with, and what it says of a difference."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result
from hypothesis import given, settings
from hypothesis import strategies as st
from networks import SPIKING, random_inputs, random_network, random_spikes

from brf_lava.backends import engine
from brf_lava.backends.stepwise import plain_run
from brf_lava.cli import main
from brf_lava.cli.verify import verify as verify_command
from brf_lava.errors import BackendUnavailableError, MismatchError, NetworkFileError, ParameterError
from brf_lava.network.activity import Activity, TestVectors
from brf_lava.network.file import write_network
from brf_lava.network.layers import FixedNetwork
from brf_lava.neurons.families import Neuron
from brf_lava.run.check import assert_equal
from brf_lava.run.verify import vectors, verify


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


def invoke(*arguments: str | Path) -> Result:
    names = main.context_settings["help_option_names"]  # a command keeps those it saw first
    given = [str(a) for a in arguments]
    return CliRunner().invoke(verify_command, given, standalone_mode=False, help_option_names=names)


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


@pytest.mark.parametrize("sizes", [(0, 5, 0), (1, 0, 0), (1, 1, -1)])
def test_bad_sizes_are_refused(network: FixedNetwork, sizes: tuple[int, int, int]) -> None:
    with pytest.raises(ParameterError, match="at least"):
        vectors(network, *sizes)


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


def test_the_plain_run_takes_graded_inputs(rng: np.random.Generator) -> None:
    network = random_network(rng, (3, 5, 2), exponent=3, recurrent=False, input_range=(0, 255))
    x = random_inputs(rng, 30, 2, 3)
    assert_equal(plain_run(network, x), engine.run(network, x), "plain", "engine")


# What is said of a difference


def changed(activity: Activity, **changes: Any) -> Activity:
    return Activity(
        **{
            "outputs": activity.outputs,
            "spikes": activity.spikes,
            "saturations": activity.saturations,
            **changes,
        }
    )


def late(activity: Activity, steps: int) -> Activity:
    def shift(values: np.ndarray) -> np.ndarray:
        return np.concatenate([np.zeros_like(values[:steps]), values[:-steps]])

    return changed(
        activity,
        outputs=shift(activity.outputs),
        spikes=tuple(shift(layer) for layer in activity.spikes),
    )


def test_what_was_compared_is_told(network: FixedNetwork) -> None:
    x = vectors(network, 3, 50, seed=0)
    expected = engine.run(network, x)
    verified = verify(network, x, lambda x: engine.run(network, x), "engine")
    assert verified.spikes == sum(int(layer.sum()) for layer in expected.spikes) > 0
    assert (verified.spike_slots, verified.outputs) == (50 * 3 * 12, 50 * 3 * 3)


def test_one_wrong_integer_is_found(network: FixedNetwork) -> None:
    x = vectors(network, 3, 50, seed=0)
    right = engine.run(network, x)
    outputs = right.outputs.copy()
    outputs[7, 2, 1] += 1
    spikes = right.spikes[0].copy()
    spikes[9, 1, 11] ^= 1
    for wrong, where in (
        (changed(right, outputs=outputs), "output.*sample 2, step 7, neuron 1"),
        (changed(right, spikes=(spikes,)), "hidden layer 1.*sample 1, step 9, neuron 11"),
        (changed(right, saturations=right.saturations + 1), "saturations"),
    ):
        with pytest.raises(MismatchError, match=where) as error:
            verify(network, x, lambda x, wrong=wrong: wrong, "it")
        assert "earlier" not in str(error.value)


@pytest.mark.parametrize("steps", [1, 5, 16])
def test_a_late_answer_is_recognized(network: FixedNetwork, steps: int) -> None:
    x = vectors(network, 2, 60, seed=0)
    with pytest.raises(MismatchError, match=f"if it were {steps} steps earlier"):
        verify(network, x, lambda x: late(engine.run(network, x), steps), "it")


def test_a_silent_answer_is_not_called_late(network: FixedNetwork) -> None:
    x = vectors(network, 2, 60, seed=0)
    right = engine.run(network, x)
    silent = Activity(
        np.zeros_like(right.outputs), tuple(map(np.zeros_like, right.spikes)), right.saturations
    )
    with pytest.raises(MismatchError) as error:
        verify(network, x, lambda x: silent, "it")
    assert "earlier" not in str(error.value)


# The command


def test_verify_on_the_simulation(net: Path) -> None:
    worked = invoke(net, "--steps", "60", "--samples", "3")
    if isinstance(worked.exception, BackendUnavailableError):
        pytest.skip(str(worked.exception))
    assert worked.exception is None, worked.output
    assert "sim against the integer engine, seed 0: 3 samples of 60 steps" in worked.output
    assert "all 2,160 spike slots" in worked.output


def test_verify_on_the_engine(net: Path) -> None:
    worked = invoke(net, "--backend", "engine")
    assert worked.exception is None, worked.output
    assert "engine against its equations in NumPy" in worked.output
    assert "4 samples of 200 steps" in worked.output
    assert "Notice" not in worked.output


def test_a_difference_is_an_error(net: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    right = engine.run
    monkeypatch.setattr(
        engine,
        "run",
        lambda network, x, *_: changed(right(network, x), outputs=right(network, x).outputs + 1),
    )
    failed = invoke(net, "--backend", "engine")
    assert isinstance(failed.exception, MismatchError)
    assert failed.exception.exit_code == 1
    assert "the engine has " in str(failed.exception)
    assert "NumPy has " in str(failed.exception)


def test_the_files_own_vectors_come_last(
    tmp_path: Path, rng: np.random.Generator, network: FixedNetwork
) -> None:
    """What an older engine answered must still be the answer."""
    path = tmp_path / "net.h5"
    x = vectors(network, 2, 50, seed=3)
    answer = engine.run(network, x)
    write_network(network, path, vectors=TestVectors(x, answer))
    worked = invoke(path, "--backend", "engine")
    assert worked.exception is None, worked.output
    assert "engine against the file: 2 samples of 50 steps" in worked.output
    assert worked.output.index("equations in NumPy") < worked.output.index("against the file")
    short = invoke(path, "--backend", "engine", "--samples", "1")
    assert "against the file" not in short.output
    both = invoke(path, "--backend", "engine", "--samples", "1", "--stored")
    assert "against the file" in both.output
    spikes = answer.spikes[0].copy()
    spikes[30, 1, 0] ^= 1
    other = changed(answer, spikes=(spikes, *answer.spikes[1:]))
    write_network(network, path, vectors=TestVectors(x, other))
    failed = invoke(path, "--backend", "engine")
    assert isinstance(failed.exception, MismatchError)
    assert "sample 1, step 30, neuron 0" in str(failed.exception)
    assert "the file has" in str(failed.exception)


def test_vectors_that_were_asked_for_must_be_there(net: Path) -> None:
    assert "No vectors are stored" in invoke(net, "--backend", "engine").output
    for steps in ((), ("--steps", "5")):
        failed = invoke(net, "--backend", "engine", "--stored", *steps)
        assert isinstance(failed.exception, NetworkFileError)
        assert "no vectors are stored" in str(failed.exception)


def test_silence_is_noticed(tmp_path: Path, rng: np.random.Generator) -> None:
    path = tmp_path / "quiet.h5"
    write_network(random_network(rng, (2, 3, 2), exponent=0), path)
    quiet = invoke(path, "--backend", "engine", "--steps", "5")
    assert quiet.exception is None
    assert "no hidden neuron spiked" in quiet.output


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ("--host", "slurm", "--partition", "kp"),
            "--host, --partition: only for --backend loihi2",
        ),
        (("--io-delay", "1"), "--io-delay: only"),
        (("--profile", "loihi2-nix"), "--profile loihi2-nix: only for --backend loihi2"),
    ],
)
def test_options_of_another_backend_are_refused(
    net: Path, arguments: tuple[str, ...], message: str
) -> None:
    failed = invoke(net, "--backend", "engine", *arguments)
    assert isinstance(failed.exception, ParameterError)
    assert message in str(failed.exception)
