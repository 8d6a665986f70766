"""The Lava processes as a library: documented in full, wired by hand, and their variables read and
written between the runs of a plain Lava graph."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from lava.magma.core.run_conditions import RunSteps
from lava.magma.core.run_configs import Loihi2SimCfg
from networks import fixed_constants, random_coefficients

from brf_lava.backends.sim import lava_net
from brf_lava.backends.sim.launch import shared_array
from brf_lava.errors import ParameterError
from brf_lava.neurons import fixed
from brf_lava.neurons.families import NEURONS, Neuron
from brf_lava.proc.dense.process import BatchDense
from brf_lava.proc.io.process import Sink, Source
from brf_lava.proc.neurons.models import process_of
from brf_lava.proc.neurons.process import NeuronLayer

pytestmark = pytest.mark.timeout(60)
EXAMPLES = Path(__file__).parents[2] / "examples"
SCALE = 2**16
ALL = list(NEURONS.values())


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(31)


def integer_coefficients(rng: np.random.Generator, neuron: Neuron, count: int) -> dict[str, Any]:
    values = np.rint(random_coefficients(rng, neuron, count) * SCALE).astype(np.int64)
    return dict(zip(neuron.fixed_coefficients, values, strict=True))


def layer_of(rng: np.random.Generator, neuron: Neuron, samples: int | None, **initial: Any) -> Any:
    """Five neurons."""
    return process_of(neuron)(
        samples=samples,
        constants=fixed_constants(neuron, 14, 16),
        **integer_coefficients(rng, neuron, 5),
        **initial,
    )


def out_of(layer: Any) -> Any:
    return layer.s_out if layer.neuron.spiking else layer.o_out


# What is written about them


def processes() -> list[Any]:
    rng = np.random.default_rng(0)
    weights = np.ones((5, 2), np.int8)
    return [
        Source(recording=np.zeros((3, 2), np.int8)),
        Sink(record=np.zeros((3, 2))),
        BatchDense(samples=None, weights=weights),
        *(layer_of(rng, neuron, None) for neuron in ALL),
    ]


def test_every_port_and_variable_is_documented() -> None:
    for process in processes():
        text = "".join(kind.__doc__ or "" for kind in type(process).__mro__)
        names = [
            member.name
            for group in (process.in_ports, process.out_ports, process.vars)
            for member in group
        ]
        assert names
        for name in names:
            assert re.search(rf"\b{name}\b", text), f"{type(process).__name__}: {name}"
        if isinstance(process, NeuronLayer):
            assert f"fixed.{process.neuron.name.lower()}_step" in text
            for name in process.neuron.fixed_coefficients:
                assert re.search(rf"\b{name}\b", text), f"{type(process).__name__}: {name}"


# The example


def example() -> Any:
    spec = spec_from_file_location("each_neuron", EXAMPLES / "each_neuron.py")
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("neuron", [NEURONS["BRF"], NEURONS["LI"]], ids=lambda each: each.name)
def test_each_neuron_wired_by_hand(neuron: Neuron) -> None:
    """What the example records is what the equation gives, one step later."""
    module = example()
    currents = module.RECORDING.astype(np.int64) @ (module.WEIGHTS.astype(np.int64) << 10).T
    states: Any = (np.zeros(3, np.int64),) * len(neuron.states)
    coefficients = tuple(module.coefficients_of(neuron.name).values())
    expected = np.zeros((len(currents), 3), np.int64)
    for step, current in enumerate(currents[:-1]):
        states, expected[step + 1] = neuron.fixed_step(
            states, current, coefficients, module.constants_of(neuron.name)
        )
    assert np.unique(expected).size > 1
    np.testing.assert_array_equal(module.main(neuron.name), expected)


# Variables, in a graph that Lava runs by itself


@contextmanager
def stopped(process: Any) -> Iterator[None]:
    with lava_net.root_logger_kept():
        try:
            yield
        finally:
            process.stop()


CFG = Loihi2SimCfg(select_tag="fixed_pt")


class Stepper:
    """The equations beside the process: what its variables must hold."""

    def __init__(self, layer: Any, shape: tuple[int, ...], **initial: Any) -> None:
        neuron = layer.neuron
        self.neuron = neuron
        self.constants = layer.proc_params["constants"]
        self.coefficients = {name: getattr(layer, name).init for name in neuron.fixed_coefficients}
        self.states = {
            name: np.broadcast_to(np.asarray(initial.get(name, 0), np.int64), shape)
            for name in neuron.states
        }

    def step(self, current: Any) -> Any:
        states, output = self.neuron.fixed_step(
            tuple(self.states.values()),
            current,
            tuple(self.coefficients.values()),
            self.constants,
        )
        self.states = dict(zip(self.neuron.states, states, strict=True))
        return output


@pytest.mark.parametrize(
    ("neuron", "samples"), [*((neuron, None) for neuron in ALL), (NEURONS["BRF"], 3)]
)
def test_variables_are_read_and_written_between_runs(
    rng: np.random.Generator, neuron: Neuron, samples: int | None
) -> None:
    shape = (5,) if samples is None else (samples, 5)
    limit = fixed.STATE_MAX
    initial = {name: rng.integers(-limit, limit + 1, 5) for name in neuron.states if name != "z"}
    if "q" in initial:
        initial["q"] = np.abs(initial["q"]) >> 8
    layer = layer_of(rng, neuron, samples, **initial)
    recording = (rng.random((30, *shape[:-1], 4)) < 0.4).astype(np.int8)
    weights = rng.integers(-128, 128, (5, 4)).astype(np.int8)
    source = Source(recording=recording)
    dense = BatchDense(samples=samples, weights=weights, exponent=8)
    record = shared_array((30, *shape), np.int32)
    sink = Sink(record=record)
    source.s_out.connect(dense.s_in)
    dense.a_out.connect(layer.a_in)
    out_of(layer).connect(sink.a_in)
    stepper = Stepper(layer, shape, **initial)
    currents = np.zeros((30, *shape), np.int64)
    currents[1:] = (recording.astype(np.int64) @ (weights.astype(np.int64) << 8).T)[:-1]

    def assert_runs(first: int, last: int) -> None:
        layer.run(RunSteps(num_steps=last - first), CFG)
        for step in range(first, last):
            np.testing.assert_array_equal(record[step], stepper.step(currents[step]))
        for name, values in {**stepper.states, **stepper.coefficients}.items():
            np.testing.assert_array_equal(getattr(layer, name).get(), values, err_msg=name)

    with stopped(layer):
        assert_runs(0, 10)
        for name in neuron.states:
            high = 2 if name == "z" else limit
            new = rng.integers(0 if name in ("q", "z") else -high, high, shape)
            getattr(layer, name).set(new)
            stepper.states[name] = new
        assert_runs(10, 20)
        for name in neuron.fixed_coefficients:
            new = stepper.coefficients[name] // 2
            getattr(layer, name).set(new)
            stepper.coefficients[name] = new
        assert_runs(20, 30)


def test_a_dense_connection_is_changed_between_runs(rng: np.random.Generator) -> None:
    samples, shape = 2, (2,)
    dense = BatchDense(samples=samples, weights=np.full((3, 2), 5, np.int8), exponent=1)
    source = Source(recording=np.ones((6, *shape, 2), np.int8))
    record = shared_array((6, *shape, 3), np.int32)
    sink = Sink(record=record)
    source.s_out.connect(dense.s_in)
    dense.a_out.connect(sink.a_in)
    weights = rng.integers(-128, 128, (3, 2))
    with stopped(dense):
        dense.run(RunSteps(num_steps=2), CFG)
        assert (dense.weights.get() == 5).all()
        assert (dense.a_buff.get() == 20).all()
        dense.weights.set(weights)
        dense.exponent.set(np.array([3]))
        dense.a_buff.set(np.full((*shape, 3), -7))
        dense.run(RunSteps(num_steps=2), CFG)
    np.testing.assert_array_equal(record[1], np.full((*shape, 3), 20))
    np.testing.assert_array_equal(record[2], np.full((*shape, 3), -7))
    np.testing.assert_array_equal(
        record[3], np.broadcast_to(weights.sum(axis=1) * 8, record[3].shape)
    )


# Initial states


def test_initial_states_of_a_floating_model(rng: np.random.Generator) -> None:
    neuron = NEURONS["LI"]
    decay = rng.uniform(0.5, 0.9, 5)
    start = rng.normal(size=(2, 5))
    layer = process_of(neuron)(samples=2, constants=neuron.real_constants(), decay=decay, o=start)
    record = shared_array((3, 2, 5), float)
    sink = Sink(record=record)
    layer.o_out.connect(sink.a_in)
    source = Source(recording=np.zeros((1, 2, 5)))
    source.s_out.connect(layer.a_in)
    with stopped(layer):
        layer.run(RunSteps(num_steps=3), Loihi2SimCfg(select_tag="floating_pt"))
        np.testing.assert_array_equal(layer.o.get(), record[2])
        layer.o.set(start)
        np.testing.assert_array_equal(layer.o.get(), start)
    np.testing.assert_array_equal(record[1], decay * (decay * start))


def test_initial_states_that_do_not_fit(rng: np.random.Generator) -> None:
    cases: tuple[tuple[dict[str, Any], str], ...] = (
        ({"v": 1 << 23}, r"^BRF\.v: .*8388608; integers of at most 8388607"),
        ({"q": 0.5}, r"^BRF\.q: .*float64.*Scale them by 2\*\*state_bits"),
        ({"w": 1}, r"^BRF: coefficients damping, rotation, w with"),
    )
    for initial, message in cases:
        with pytest.raises(ParameterError, match=message):
            layer_of(rng, NEURONS["BRF"], 3, **initial)
