"""Networks on Lava against the integer engine: every output, every spike, every saturation."""

from __future__ import annotations

import logging
import sys
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from lava.magma.core.run_configs import Loihi2SimCfg
from networks import (
    SPIKING,
    random_connection,
    random_inputs,
    random_network,
    random_spikes,
)

from brf_lava.backends import engine
from brf_lava.backends.sim import lava_net
from brf_lava.backends.sim.launch import run_graph, shared_array
from brf_lava.errors import BackendUnavailableError, LavaRunError, ParameterError
from brf_lava.lava_support import require_lava
from brf_lava.network.activity import Activity
from brf_lava.network.layers import Connection, FixedLayer, FixedNetwork
from brf_lava.neurons import fixed
from brf_lava.proc.dense.process import BatchDense
from brf_lava.proc.io.process import Sink, Source
from brf_lava.proc.neurons.process import ALIF, BRF, LI
from brf_lava.run.execute import assert_equal

pytestmark = pytest.mark.timeout(60)
TIMEOUT = 30.0  # s, for one Lava run; they take well under one


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(20260)


def assert_lava_equals_engine(network: FixedNetwork, x: Any) -> Activity:
    reference = engine.run(network, x)
    assert_equal(lava_net.run_on_lava(network, x, timeout=TIMEOUT), reference, "Lava", "engine")
    return reference


@pytest.mark.parametrize(
    ("sizes", "recurrent", "steps", "samples"),
    [
        ((4, 36, 6), True, 60, 5),
        ((1, 1, 1), True, 40, 1),
        ((3, 7, 2), True, 1, 3),
        ((2, 3, 5, 4, 3), (False, True, False), 30, 2),
    ],
)
def test_equals_engine(
    rng: np.random.Generator, sizes: Any, recurrent: Any, steps: int, samples: int
) -> None:
    network = random_network(rng, sizes, recurrent=recurrent, exponent=10)
    x = random_spikes(rng, steps, samples, sizes[0], rate=0.3)
    reference = assert_lava_equals_engine(network, x)
    if steps > 20:
        assert all(spikes.any() for spikes in reference.spikes)  # or the test would see nothing


@pytest.mark.parametrize("recurrent", [True, False])
def test_layers_of_every_neuron_equal_the_engine(rng: np.random.Generator, recurrent: bool) -> None:
    sizes = (3, *[9] * len(SPIKING), 4)
    network = random_network(rng, sizes, neuron=SPIKING, recurrent=recurrent, exponent=11)
    reference = assert_lava_equals_engine(network, random_spikes(rng, 80, 2, 3, rate=0.4))
    assert all(0 < spikes.mean() < 1 for spikes in reference.spikes)


def test_graded_inputs_equal_the_engine(rng: np.random.Generator) -> None:
    network = random_network(rng, (3, 12, 4), exponent=3, input_range=(0, 255))
    x = random_inputs(rng, 60, 3, 3, np.uint8)
    assert {int(x.min()), int(x.max())} == {0, 255}
    reference = assert_lava_equals_engine(network, x)
    assert 0 < reference.spikes[0].mean() < 1


def test_saturation_is_counted(rng: np.random.Generator) -> None:
    network = random_network(rng, (4, 12, 3), exponent=15)
    reference = assert_lava_equals_engine(network, random_spikes(rng, 80, 3, 4, rate=0.5))
    assert reference.saturations > 100


def test_saturation_after_the_last_step_is_not_counted() -> None:
    """The hidden layer runs on in Lava while the readout catches up; those steps are not ours."""
    undamped = FixedLayer(
        neuron=random_network(np.random.default_rng(0), (1, 1, 1)).layers[0].neuron,
        weights=Connection(np.array([[127]], np.int8), 15),
        recurrent=None,
        coefficients=np.array([[0], [0]]),
        constants=fixed.BalancedConstants(
            dt=1, theta=fixed.STATE_MAX, gamma=0, unit=1 << 14, state_bits=14, parameter_bits=16
        ),
    )
    readout = random_network(np.random.default_rng(0), (1, 1, 1)).layers[1]
    reference = assert_lava_equals_engine(
        FixedNetwork((undamped, readout)), np.ones((5, 1, 1), np.int8)
    )
    assert reference.saturations == 3  # 127 << 15 three times passes 24 bits, and u stays there


def test_weights_at_the_limit(rng: np.random.Generator) -> None:
    layers = tuple(
        replace(
            layer,
            weights=replace(layer.weights, mantissa=np.full_like(layer.weights.mantissa, -128)),
        )
        for layer in random_network(rng, (200, 10, 4), exponent=10).layers
    )
    assert_lava_equals_engine(FixedNetwork(layers), np.ones((10, 2, 200), np.int8))


def test_x_need_not_be_contiguous(rng: np.random.Generator) -> None:
    network = random_network(rng, (4, 12, 3), exponent=10)
    assert_lava_equals_engine(network, random_spikes(rng, 5, 40, 4).transpose(1, 0, 2))


def test_progress_reaches_the_end_and_the_root_logger_is_left_alone(
    rng: np.random.Generator,
) -> None:
    before = list(logging.getLogger().handlers)
    network = random_network(rng, (2, 3, 2))
    x = random_spikes(rng, 200, 3, 2)
    seen: list[float] = []
    lava_net.run_on_lava(network, x, timeout=TIMEOUT, on_progress=seen.append)
    assert seen == sorted(seen)
    assert seen[-1] == 1
    assert logging.getLogger().handlers == before


def test_timeout_ends_a_run(rng: np.random.Generator) -> None:
    network = random_network(rng, (2, 3, 2))
    with pytest.raises(LavaRunError, match=r"of 100002 steps done.*time-out"):
        lava_net.run_on_lava(network, random_spikes(rng, 100_000, 1, 2), timeout=0.5)


def test_currents_that_leave_int32_are_refused() -> None:
    with pytest.raises(
        ParameterError, match=r"row 1, times the largest input 1, add up to 131072.*at most 65535"
    ):
        BatchDense(
            samples=1,
            weights=np.stack([np.zeros(1024, np.int8), np.full(1024, -128, np.int8)]),
            exponent=15,
        )


def test_missing_lava_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "lava.magma.core.run_configs", None)
    with pytest.raises(BackendUnavailableError, match="brf-lava install-lava"):
        require_lava()


# The models one by one, each between a source and a sink.


def run_through(process: Any, port_in: Any, port_out: Any, x: Any, dtype: Any, tag: str) -> Any:
    """What `process` answers to x [T, B, I], one output per step."""
    source = Source(recording=x)
    record = shared_array((len(x), *port_out.shape), dtype)
    sink = Sink(record=record)
    source.s_out.connect(port_in)
    port_out.connect(sink.a_in)
    run_graph(process, Loihi2SimCfg(select_tag=tag), len(x), timeout=TIMEOUT)
    return record


def test_dense_is_one_step_late_and_exact(rng: np.random.Generator) -> None:
    connection = random_connection(rng, 300, 257, exponent=9)
    x = random_spikes(rng, 10, 3, 257, rate=0.5)
    dense = BatchDense(samples=3, weights=connection.mantissa, exponent=connection.exponent)
    a = run_through(dense, dense.s_in, dense.a_out, x, np.int32, "fixed_pt")
    assert not a[0].any()
    np.testing.assert_array_equal(a[1:], (x.astype(np.int64) @ connection.integers.T)[:-1])


def test_floating_dense(rng: np.random.Generator) -> None:
    weights = rng.normal(size=(5, 7))
    x = rng.normal(size=(10, 2, 7))
    dense = BatchDense(samples=2, weights=weights)
    a = run_through(dense, dense.s_in, dense.a_out, x, float, "floating_pt")
    np.testing.assert_array_equal(a[1:], np.stack([step @ weights.T for step in x[:-1]]))


@pytest.mark.parametrize("kind", [BRF, ALIF, LI])
def test_floating_neurons_equal_a_loop(rng: np.random.Generator, kind: Any) -> None:
    neuron = kind.neuron
    leaky = "decay" in neuron.fixed_coefficients
    ranges = ((0.5, 0.9), (0.5, 0.9)) if leaky else ((-2.0, -0.5), (3.0, 30.0))
    coefficients = tuple(rng.uniform(*ends, 9) for ends in ranges[: len(neuron.fixed_coefficients)])
    values = {"dt": 0.01, "theta": 1.0, "gamma": 0.9, "beta": 1.8}
    constants = neuron.real_constants(*(values[name] for name in neuron.real_constants._fields))
    x = rng.normal(0.1, 1.0, (200, 3, 9)) if leaky else rng.normal(10.0, 100.0, (200, 3, 9))
    named = dict(zip(neuron.fixed_coefficients, coefficients, strict=True))
    process = kind(samples=3, constants=constants, **named)
    out = process.s_out if neuron.spiking else process.o_out
    found = run_through(process, process.a_in, out, x, float, "floating_pt")

    state: Any = (np.zeros((3, 9)),) * len(neuron.states)
    for current, output in zip(x, found, strict=True):
        state, expected = neuron.real_step(state, current, coefficients, constants)
        np.testing.assert_array_equal(output, np.asarray(expected, float))
    assert 0.01 < (found != 0).mean() < 0.9 or not neuron.spiking


@pytest.mark.parametrize("tag", ["fixed_pt", "floating_pt"])
@pytest.mark.parametrize("kind", [BRF, LI])
def test_constants_of_the_other_number_system_are_refused(kind: Any, tag: str) -> None:
    wrong: Any = "real" if tag == "fixed_pt" else "fixed"
    constants = getattr(kind.neuron, f"{wrong}_constants")
    process = kind(
        samples=1,
        constants=constants(*[1] * len(constants._fields)),
        **{name: np.ones(2) for name in kind.neuron.fixed_coefficients},
    )
    needed = "fixed" if tag == "fixed_pt" else "real"
    with pytest.raises(LavaRunError, match=f"constants.*with the {needed} model"):
        run_graph(process, Loihi2SimCfg(select_tag=tag), 1, timeout=TIMEOUT)
