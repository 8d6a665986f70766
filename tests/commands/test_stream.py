"""A stream equals the engine on each sequence alone, survives nothing silently, leaves nothing."""

from __future__ import annotations

import contextlib
import json
import multiprocessing
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from command_line import (
    ROOT,
    assert_failed,
    assert_worked,
    brf_lava,
    group_is_empty,
    wait_until,
)
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from networks import SPIKING, random_inputs, random_network, random_spikes
from numpy.typing import NDArray

from brf_lava.backends import engine
from brf_lava.backends.sim.launch import STEP_VARIABLE
from brf_lava.ecg.classify import LiveEcg
from brf_lava.ecg.level_cross import encode
from brf_lava.ecg.signal import encode_windows
from brf_lava.errors import DataError, LavaRunError, NetworkFileError, ParameterError
from brf_lava.network.decision import Decision
from brf_lava.network.file import write_network
from brf_lava.network.layers import FixedNetwork
from brf_lava.neurons import families
from brf_lava.run.early import decide_early
from brf_lava.run.stream import Answer, Stream
from brf_lava.run.stream_lines import LineReader, write_answer

TIMEOUT = 60.0  # s, generous for a busy machine
SOON = 20.0  # s
BITS = 14  # state bits of the networks here


BOTH = ["engine", "sim"]

DEEP = {"neuron": [families.BRF, families.ALIF, families.BHRF], "recurrent": [True, False, True]}


def deep_network(seed: int = 1) -> FixedNetwork:
    return random_network(np.random.default_rng(seed), (3, 9, 8, 7, 4), exponent=11, **DEEP)


def small_network(decision: Decision | None = None, **provenance: Any) -> FixedNetwork:
    network = random_network(np.random.default_rng(0), (4, 9, 3), exponent=10)
    if decision is not None:
        provenance["decision"] = asdict(decision)
    return replace(network, provenance=provenance)


def stream_all(stream: Stream, sequences: Sequence[NDArray[Any]]) -> list[Answer]:
    """What a stream says to sequences [T, I], with a reset behind each."""
    answers: list[Answer] = []
    for x in sequences:
        for step, inputs in enumerate(x):
            now = stream.push(inputs)
            assert len(now) == (step >= stream.delay)  # never later than promised
            answers.extend(now)
        answers.extend(stream.reset())
    return answers


def assert_as_alone(
    network: FixedNetwork, sequences: Sequence[NDArray[Any]], answers: Sequence[Answer]
) -> None:
    """Every integer is what the engine computes for each sequence alone."""
    first = answers[0].sequence
    rest = iter(answers)
    for number, x in enumerate(sequences, first):
        expected = engine.run(network, np.ascontiguousarray(x[:, None])).outputs[:, 0]
        own = [next(rest) for _ in x]
        assert [(answer.sequence, answer.step) for answer in own] == [
            (number, step) for step in range(len(x))
        ]
        np.testing.assert_array_equal([answer.outputs for answer in own], expected)
    assert not list(rest)


# Equal to the engine


@pytest.mark.parametrize("backend", BOTH)
@pytest.mark.parametrize(
    ("sizes", "options"),
    [
        ((4, 36, 6), {}),
        ((3, *[6] * len(SPIKING), 4), {"neuron": SPIKING, "exponent": 11}),
        ((4, 12, 3), {"exponent": 15}),  # saturates
        ((3, 12, 4), {"exponent": 3, "input_range": (-128, 127)}),
        ((1, 1, 1), {}),
    ],
    ids=["ecg", "deep", "saturating", "graded", "one"],
)
def test_equals_the_engine(backend: str, sizes: Any, options: dict[str, Any]) -> None:
    rng = np.random.default_rng(7)
    network = random_network(rng, sizes, **{"exponent": 10, **options})
    sequences = [
        random_inputs(rng, steps, 1, sizes[0], np.int8)[:, 0]
        if "input_range" in options
        else random_spikes(rng, steps, 1, sizes[0], 0.4)[:, 0]
        for steps in (40, 1, 1, 3, 25)
    ]
    with Stream(network, backend=backend, timeout=TIMEOUT) as stream:
        assert_as_alone(network, sequences, stream_all(stream, sequences))


@pytest.fixture(params=BOTH)
def running(request: pytest.FixtureRequest) -> Iterator[tuple[FixedNetwork, Stream]]:
    """One deep network that stays under way through all examples."""
    network = deep_network()
    with Stream(network, backend=request.param, timeout=TIMEOUT) as stream:
        yield network, stream


@settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    lengths=st.lists(st.integers(1, 12), min_size=1, max_size=5),
    rate=st.sampled_from([0.0, 0.2, 1.0]),
    seed=st.integers(0, 2**32 - 1),
)
def test_nothing_passes_a_reset(
    running: tuple[FixedNetwork, Stream], lengths: list[int], rate: float, seed: int
) -> None:
    network, stream = running
    rng = np.random.default_rng(seed)
    sequences = [random_spikes(rng, length, 1, 3, rate)[:, 0] for length in lengths]
    assert_as_alone(network, sequences, stream_all(stream, sequences))


def test_sequences_would_differ_without_a_reset() -> None:
    """Or the tests above would show nothing."""
    network = deep_network()
    x = random_spikes(np.random.default_rng(2), 12, 1, 3, 0.4)[:, 0]
    with Stream(network, backend="engine") as stream:
        twice = [answer.outputs for answer in stream_all(stream, [np.concatenate([x, x])])]
    assert (np.array(twice[:12]) != np.array(twice[12:])).any()


@pytest.mark.parametrize("backend", BOTH)
def test_delay_is_one_step_per_layer_or_none(backend: str) -> None:
    network = deep_network()
    with Stream(network, backend=backend, timeout=TIMEOUT) as stream:
        assert stream.delay == (4 if backend == "sim" else 0)
        assert stream.reset() == ()  # nothing to end
        given = [len(stream.push([1, 0, 1])) for _ in range(6)]
        assert given == [int(step >= stream.delay) for step in range(6)]
        assert len(stream.reset()) == stream.delay
        assert stream.reset() == ()
        assert [answer.sequence for answer in stream.push([1, 0, 1]) + stream.reset()] == [1]


# What is said


@pytest.mark.parametrize(
    "decision", [Decision(), Decision("last"), Decision("mean"), Decision("mean", 5)]
)
def test_classes_are_those_of_the_decision(decision: Decision) -> None:
    network = small_network(decision)
    x = random_spikes(np.random.default_rng(4), 30, 1, 4, 0.4)
    outputs = engine.run(network, x).outputs
    with Stream(network, backend="engine") as stream:
        answers = stream_all(stream, [x[:, 0], x[:, 0]])
    for part in (answers[:30], answers[30:]):
        ignored = decision.ignore_first if decision.prediction == "mean" else 0
        for answer in part[:ignored]:
            assert (answer.label, answer.margin) == (None, None)
        for step, answer in enumerate(part[ignored:], ignored):
            assert answer.label == decision.predict(outputs[: step + 1])[0, -1]
            assert answer.margin is not None
            assert answer.margin >= 0


@pytest.mark.parametrize("decision", [Decision("last"), Decision("mean", 3)])
def test_a_sequence_is_decided_as_on_the_test_set(decision: Decision) -> None:
    network = small_network(decision)
    x = random_spikes(np.random.default_rng(4), 30, 8, 4, 0.3)
    margin = 8.0  # which some reach late, and some never
    early = decide_early(network, engine.run(network, x), [margin])
    reached, latency, classes = (values[0] for values in early[:3])
    with Stream(network, backend="engine", decide=margin) as stream:
        answers = stream_all(stream, list(x.transpose(1, 0, 2)))
    found = {a.sequence: (a.step + 1, a.decided) for a in answers if a.decided is not None}
    decided = np.flatnonzero(reached)
    assert len(decided) > 0
    assert (latency[decided] > decision.ignore_first + 1).any()
    assert found == {int(b): (int(latency[b]), int(classes[b])) for b in decided}
    assert sum(a.decided is not None for a in answers) == len(decided)  # once each


def test_one_class_has_no_margin() -> None:
    network = random_network(np.random.default_rng(0), (1, 2, 1))
    with Stream(network, backend="engine") as stream:
        (answer,) = stream.push([1])
    assert (answer.label, answer.margin) == (0, None)


# What is refused


def test_a_wrong_step_is_refused_and_the_stream_goes_on() -> None:
    network = small_network()
    good = random_spikes(np.random.default_rng(4), 9, 1, 4, 0.4)[:, 0]
    answers: list[Answer] = []
    wrong = ([0, 1], [[0, 1, 0, 0]], [0, 1, 2, 0], [0, -1, 1, 0], [0, 0.5, 1, 0])
    with Stream(network, backend="engine") as stream:
        for index, step in enumerate(good):
            answers.extend(stream.push(step))
            with pytest.raises(ParameterError, match=r"a step of .*4 integers from 0 to 1 are"):
                stream.push(wrong[index % len(wrong)])
    assert_as_alone(network, [good], answers)


def test_what_a_stream_cannot_be_is_refused() -> None:
    with pytest.raises(ParameterError, match="'loihi2'; choose one of sim, engine"):
        Stream(small_network(), backend="loihi2")
    with pytest.raises(ParameterError, match="decide: this network names a class at every step"):
        Stream(small_network(), backend="engine", decide=1.0)
    stream = Stream(small_network(), backend="engine")
    with pytest.raises(ParameterError, match="not open"):
        stream.push([0, 0, 0, 0])
    with stream:
        stream.push([0, 0, 0, 0])
    with pytest.raises(ParameterError, match="not open"):
        stream.push([0, 0, 0, 0])


# Lines


def test_bad_lines_are_refused() -> None:
    for line, problem in {
        b"[0, 1, 0": "Input data was truncated",
        b"\xff\xfe[": "JSON is malformed",
        b"[" * 100_000: "Expected `int`, got `array`",
        b"[0, 1, 0]": "Expected `array` of length >= 4",
        b"[0, 1, 2, 0]": "Expected `int` <= 1 - at `$[2]`",
        b"[0, 1, true, 0]": "Expected `int`, got `bool`",
        b"[0, 1, NaN, 0]": "JSON is malformed",
        b"7": "Expected `object | array`, got `int`",
        b'{"reset": false}': "one key is needed",
        b'{"reset": true, "events": []}': "one key is needed",
        b'{"events": [4]}': "Expected `int` <= 3 - at `$.events[0]`",
        b'{"events": [-1]}': "Expected `int` >= 0",
        b'{"events": [2, 2]}': "event 2 twice",
        b'{"signal": [0, 1]}': "unknown field `signal`",
    }.items():
        with pytest.raises(DataError, match=re.escape(problem)) as error:
            LineReader(small_network()).read(line, "in.jsonl, line 7")
        text = str(error.value)
        assert text.startswith("in.jsonl, line 7: ")
        assert 'allowed are a list of 4 integers from 0 to 1, {"events"' in text
        assert "\n" not in text
        assert len(text) < 400


def test_graded_networks_take_no_events() -> None:
    network = random_network(np.random.default_rng(0), (1, 2, 2), input_range=(0, 255))
    assert LineReader(network).read(b"[255]", "x") == [255]
    with pytest.raises(DataError, match=r"allowed are a list of 1 integers from 0 to 255, and"):
        LineReader(network).read(b'{"events": [0]}', "x")


# Raw samples


def ecg_network() -> FixedNetwork:
    return small_network(task="ecg", data={"kind": "wfdb:threshold=0.25,delay=3"})


@settings(deadline=None)
@given(
    seed=st.integers(0, 10_000), steps=st.integers(1, 60), level=st.sampled_from([0.0, -5.0, 900.0])
)
def test_raw_samples_are_encoded_as_the_training_data(seed: int, steps: int, level: float) -> None:
    rng = np.random.default_rng(seed)
    scale = np.array([0.2, 150.0])
    signals = [scale * rng.normal(level, 0.4, (steps, 2)).cumsum(axis=0) for _ in range(2)]
    reader = LineReader(ecg_network(), LiveEcg(ecg_network(), scale.tolist()))
    for values in signals:
        lines = [json.dumps({"signal": sample}).encode() for sample in values.tolist()]
        found = [reader.read(line, "x") for line in lines]
        np.testing.assert_array_equal(found, encode(values / scale, 0.25))
        assert reader.read(b'{"reset": true}', "x") is None


def test_raw_samples_stand_for_normalized_windows() -> None:
    """The mean that training data lost does not count."""
    rng = np.random.default_rng(0)
    window = 0.5 + 0.1 * rng.normal(0, 1, (1, 200, 2)).cumsum(axis=1)
    ecg = LiveEcg(ecg_network(), window.std(axis=(0, 1)).tolist())
    found = [ecg.push(sample) for sample in window[0].tolist()]
    np.testing.assert_array_equal(found, encode_windows(window, 0.25)[0])
    assert np.any(found)


def test_bad_samples_are_refused() -> None:
    reader = LineReader(ecg_network(), LiveEcg(ecg_network(), [1.0, 1.0]))
    for line, problem in {
        b'{"signal": [1]}': "Expected `array` of length >= 2",
        b'{"signal": [1, "2"]}': "Expected `float`, got `str`",
        b'{"signal": [1, NaN]}': "JSON is malformed",
        b'{"signal": [1, 1e999]}': "out of range",
        b'{"signal": [1, 1e101]}': "Expected `float` < 1e+100",
        b'{"signal": 1}': "Expected `array",
    }.items():
        with pytest.raises(DataError, match=re.escape(problem)) as error:
            reader.read(line, "x")
        assert '{"signal": [...]} with 2 numbers, and' in str(error.value)


def test_scales_that_are_none_are_refused() -> None:
    for scale in ([1.0], [1.0, 0.0], [1.0, float("nan")], [1.0, float("inf")], [1.0, 1.0, 1.0]):
        with pytest.raises(ParameterError, match=r"--lead-scale 1.*: 2 positive numbers"):
            LiveEcg(ecg_network(), scale)
    with pytest.raises(NetworkFileError, match="the network is for task 'shd' with 4 inputs"):
        LiveEcg(small_network(task="shd"), [1.0, 1.0])


def test_run_answers_raw_samples(tmp_path: Path) -> None:
    write_network(ecg_network(), tmp_path / "net.h5")
    values = np.random.default_rng(1).normal(0, 0.4, (30, 2)).cumsum(axis=0)
    typed = "".join(f'{{"signal": {json.dumps(sample)}}}\n' for sample in values.tolist())
    arguments = ("stream", tmp_path / "net.h5", "-", "--backend", "engine")
    result = brf_lava(*arguments, "--lead-scale", "0.5,2", typed=typed)
    assert_worked(result)
    x = encode(values / [0.5, 2], 0.25)
    outputs = engine.run(ecg_network(), x[:, None]).outputs[:, 0]
    found = [json.loads(line)["outputs"] for line in result.stdout.splitlines()]
    np.testing.assert_array_equal(np.array(found) * 2**BITS, outputs)
    assert "times the 250 steps/s of task ecg" in result.stderr
    assert_failed(brf_lava(*arguments, typed=typed), 2, "line 1: ", "unknown field `signal`")


@given(outputs=st.lists(st.integers(-(2**23), 2**23), min_size=2, max_size=9))
def test_answers_hold_every_integer(outputs: list[int]) -> None:
    answer = Answer(3, 5, np.array(outputs), 1, 0.25, 2)
    line = write_answer(answer, BITS)
    assert line.count(b"\n") == 1
    found = json.loads(line)
    assert [value * 2**BITS for value in found.pop("outputs")] == outputs
    assert found == {"sequence": 3, "step": 5, "class": 1, "margin": 0.25, "decided": 2}
    assert "decided" not in json.loads(write_answer(replace(answer, decided=None), BITS))


# The command


@pytest.fixture
def net(tmp_path: Path) -> Path:
    write_network(small_network(), tmp_path / "net.h5")
    return tmp_path / "net.h5"


def lines_of(x: NDArray[Any]) -> str:
    """Half of the steps as lists, half as events."""
    return "".join(
        json.dumps(step.tolist() if i % 2 else {"events": np.flatnonzero(step).tolist()}) + "\n"
        for i, step in enumerate(x)
    )


@pytest.mark.parametrize("backend", BOTH)
def test_run_answers_a_file(backend: str, net: Path, tmp_path: Path) -> None:
    sequences = [
        random_spikes(np.random.default_rng(n), steps, 1, 4, 0.4)[:, 0]
        for n, steps in enumerate((12, 1, 7))
    ]
    source = tmp_path / "in.jsonl"
    source.write_text('{"reset": true}\n\n'.join(map(lines_of, sequences)))
    result = brf_lava("stream", net, source, "--backend", backend)
    assert_worked(result)
    found = [json.loads(line) for line in result.stdout.splitlines()]
    answers = [
        Answer(f["sequence"], f["step"], np.array(f["outputs"]) * 2**BITS, f["class"], f["margin"])
        for f in found
    ]
    assert_as_alone(small_network(), sequences, answers)
    assert re.search(r"^20 steps in [\d.]+ s of work: [\d,]+ steps/s\.$", result.stderr, re.M)


def test_a_bad_line_comes_after_the_answers_to_all_before(net: Path) -> None:
    x = random_spikes(np.random.default_rng(1), 5, 1, 4, 0.4)[:, 0]
    typed = lines_of(x) + "\n[0, 1, 7, 0]\n" + lines_of(x)
    result = brf_lava("stream", net, "-", "--backend", "sim", typed=typed)
    assert [json.loads(line)["step"] for line in result.stdout.splitlines()] == list(range(5))
    assert_failed(result, 2, "Error: <stdin>, line 7: [0, 1, 7, 0]: Expected `int` <= 1")


def test_an_empty_stream_is_one(net: Path) -> None:
    for typed in ("", "\n\n", '{"reset": true}\n'):
        result = brf_lava("stream", net, "-", "--backend", "engine", typed=typed)
        assert (result.exit_code, result.stdout) == (0, "")
        assert result.stderr.startswith("0 steps in ")


def test_a_line_without_end_is_refused(net: Path) -> None:
    result = brf_lava("stream", net, "/dev/zero", "--backend", "engine")
    assert_failed(result, 2, "/dev/zero, line 1: ", "more than 16,777,216 bytes; allowed are")
    assert len(result.stderr) < 1000


def test_decide_is_said_once_per_sequence(tmp_path: Path) -> None:
    net = tmp_path / "net.h5"
    write_network(small_network(Decision("mean")), net)
    x = lines_of(random_spikes(np.random.default_rng(1), 9, 1, 4, 0.4)[:, 0])
    typed = x + '{"reset": true}\n' + x
    result = brf_lava("stream", net, "-", "--backend", "engine", "--decide", "0", typed=typed)
    found = [json.loads(line) for line in result.stdout.splitlines()]
    assert [(f["sequence"], f["step"]) for f in found if "decided" in f] == [(0, 0), (1, 0)]


def test_wrong_arguments(net: Path) -> None:
    for options, message in (
        (["missing.jsonl"], "missing.jsonl"),
        (["-", "--decide", "1"], "--decide: this network names a class at every step"),
        (["-", "--lead-scale", "1;1"], "'--lead-scale': '1;1'; numbers with commas between"),
        (["-", "--lead-scale", "1,1"], "the network is for task None with 4 inputs"),
        (["-", "--backend", "loihi2"], "'loihi2' is not one of 'sim', 'engine'"),
        (["-", "--profile", "loihi2-oheogulch"], "describes a Loihi 2 board"),
        (["-", "--decid", "1"], "Did you mean '--decide'? See 'brf-lava stream --help'."),
        (["-", "--timeout", "nan"], "'--timeout': nan is not a number"),
    ):
        result = brf_lava("stream", net, "--backend", "engine", *options, typed="")
        assert_failed(result, 2, message)
        assert not result.stdout


# Faults and ends, with Lava


@pytest.fixture
def nothing_left() -> Iterator[None]:
    """After the test its children and handles are gone, and another stream works."""
    handles = len(os.listdir("/proc/self/fd"))
    yield
    assert not multiprocessing.active_children()
    assert len(os.listdir("/proc/self/fd")) <= handles
    network = small_network()
    x = random_spikes(np.random.default_rng(1), 5, 1, 4, 0.4)[:, 0]
    with Stream(network, timeout=TIMEOUT) as stream:
        assert_as_alone(network, [x], stream_all(stream, [x]))


def push_on(stream: Stream) -> None:
    for _ in range(100):
        stream.push([1, 0, 1, 0])


def child(name: str) -> int:
    return next(c.pid or 0 for c in multiprocessing.active_children() if name in c.name)


@pytest.mark.parametrize("name", ["hidden1", "runtime service"])
def test_a_killed_process_ends_the_stream(name: str, nothing_left: None) -> None:
    with Stream(small_network(), timeout=TIMEOUT) as stream:
        stream.push([1, 0, 1, 0])
        os.kill(child(name), signal.SIGKILL)
        with pytest.raises(LavaRunError, match=rf"steps done: process .*{name}.* SIGKILL"):
            push_on(stream)
        with pytest.raises(ParameterError, match="not open"):
            stream.push([1, 0, 1, 0])


@pytest.mark.slow
def test_a_process_that_hangs_is_timed_out(nothing_left: None) -> None:
    with Stream(small_network(), timeout=5.0) as stream:
        stream.push([1, 0, 1, 0])
        os.kill(child("hidden1"), signal.SIGSTOP)
        with pytest.raises(LavaRunError, match=r"finished for 5 s, process .*hidden1.* is stopped"):
            push_on(stream)


def test_a_time_out_longer_than_a_poll_can_wait_is_none(nothing_left: None) -> None:
    with Stream(small_network(), timeout=float("inf")) as stream:
        assert stream.push([1, 0, 1, 0]) == ()


def test_an_error_in_the_block_leaves_nothing(nothing_left: None) -> None:
    def fail() -> None:
        with Stream(small_network(), timeout=TIMEOUT) as stream:
            stream.push([1, 0, 1, 0])
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()


@pytest.mark.slow
def test_ctrl_c_at_any_moment(nothing_left: None) -> None:
    def interrupt(moment: float) -> None:
        with Stream(small_network(), timeout=TIMEOUT) as stream:
            signal.setitimer(signal.ITIMER_REAL, moment)
            while True:
                stream.push([1, 0, 1, 0])

    def ctrl_c(*_: Any) -> None:
        os.kill(os.getpid(), signal.SIGINT)

    before = signal.signal(signal.SIGALRM, ctrl_c)
    try:
        for moment in (1e-6, 0.1, 0.2):
            with pytest.raises(KeyboardInterrupt):
                interrupt(moment)
    finally:
        signal.signal(signal.SIGALRM, before)


Command = Callable[..., subprocess.Popen[bytes]]


@pytest.mark.parametrize("closed", ["<&-", ">&-"])
def test_a_stream_that_the_shell_has_closed_is_empty(net: Path, closed: str) -> None:
    line = f'"$0" -m brf_lava stream --backend engine "$1" - {closed}'
    arguments = ["sh", "-c", line, sys.executable, str(net)]
    done = subprocess.run(arguments, input="", capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")
    assert done.stderr.startswith("0 steps in ")


@pytest.fixture
def command(net: Path) -> Iterator[Command]:
    """Starts the command on Lava, with all its children in one process group."""
    started: list[subprocess.Popen[bytes]] = []

    def start(**options: Any) -> subprocess.Popen[bytes]:
        started.append(
            subprocess.Popen(
                [sys.executable, "-m", "brf_lava", "stream", str(net), "-"],
                env={**os.environ, "PYTHONPATH": str(ROOT)},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                start_new_session=True,
                **options,
            )
        )
        return started[-1]

    yield start
    for process in started:
        if not group_is_empty(process.pid):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait(timeout=SOON)
        for pipe in (process.stdin, process.stdout, process.stderr):
            if pipe is not None:
                with contextlib.suppress(BrokenPipeError):
                    pipe.close()


def assert_ends(process: subprocess.Popen[bytes]) -> str:
    """Also its children; returns what it wrote to stderr."""
    assert process.stderr is not None
    process.wait(timeout=SOON)
    assert wait_until(lambda: group_is_empty(process.pid))
    text = process.stderr.read().decode()
    assert "Traceback" not in text
    return text


def start_answering(process: subprocess.Popen[bytes]) -> None:
    """Give it three steps, which bring the first answer."""
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(b"[1, 0, 1, 0]\n" * 3)
    process.stdin.flush()
    assert json.loads(process.stdout.readline())["step"] == 0  # at once, not when a buffer is full


def test_ctrl_c_while_it_waits_for_input(command: Command) -> None:
    process = command()
    start_answering(process)
    os.killpg(process.pid, signal.SIGINT)
    text = assert_ends(process)
    assert process.returncode == 130
    assert "3 steps" in text
    assert text.splitlines()[-1] == "Interrupted."


def test_a_reader_that_goes_away(command: Command) -> None:
    process = command()
    start_answering(process)
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdout.close()
    process.stdin.write(b"[1, 0, 1, 0]\n" * 3)
    with contextlib.suppress(BrokenPipeError):
        process.stdin.flush()
    assert "Error" not in assert_ends(process)


@pytest.mark.slow
def test_a_slow_reader_slows_the_stream_and_ctrl_c_ends_it(command: Command) -> None:
    process = command()
    start_answering(process)
    assert process.stdin is not None
    os.set_blocking(process.stdin.fileno(), False)
    line = b"[1, 0, 1, 0]\n"

    def full() -> bool:
        """Fill its input; full once it has stopped to read, for it waits to write."""
        before = time.monotonic()
        while time.monotonic() < before + 1.0:
            with contextlib.suppress(BlockingIOError):
                os.write(process.stdin.fileno(), line * 100)  # type: ignore[union-attr]
                before = time.monotonic()
            time.sleep(0.01)
        return True

    assert full()
    os.killpg(process.pid, signal.SIGINT)
    assert_ends(process)
    assert process.returncode == 130


def test_the_parent_alone_is_killed(command: Command) -> None:
    process = command()
    start_answering(process)
    os.kill(process.pid, signal.SIGKILL)
    assert_ends(process)


def test_a_stopped_child_ends_the_stream(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without --timeout, within the limit of a step: one line, its code, and nothing left."""
    monkeypatch.setenv(STEP_VARIABLE, "2")
    process = command()
    start_answering(process)
    assert process.stdin is not None
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    os.kill(int(children[-2]), signal.SIGSTOP)  # of the processes; the last is Lava's service
    process.stdin.write(b"[1, 0, 1, 0]\n" * 9)  # it may be a step ahead
    process.stdin.flush()
    (error,) = (line for line in assert_ends(process).splitlines() if line.startswith("Error: "))
    assert re.search(r"\d steps done: no step finished for 2 s, process .* is stopped. Let", error)
    assert process.returncode == 4
