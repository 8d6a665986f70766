"""Random networks: the engine, plain NumPy, our batched processes and netx, equal in every integer.

A Lava run costs the same for one neuron as for a hundred. So networks of one structure run side by
side as the blocks of one large network, which no weight connects, and each is compared with its own
run on the engine. Signs survive this: blocks without a positive weight make a matrix without one.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from networks import SPIKING, fixed_constants, random_coefficients
from netx_graph import TIMEOUT, run_networks
from numpy.typing import NDArray
from scipy.linalg import block_diag

from brf_lava.backends import engine
from brf_lava.backends.sim import lava_net
from brf_lava.backends.stepwise import plain_run
from brf_lava.network.activity import Activity
from brf_lava.network.file import write_network
from brf_lava.network.layers import (
    EXPONENT_MAX,
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
from brf_lava.neurons import families
from brf_lava.run.execute import assert_equal

GROUPS = 20
QUICK = 6  # of them, on Lava
NETWORKS = 12  # in a group
LARGEST = 12  # neurons of a layer
RANGES = ((0, 1), (0, 1), (0, 255), (-128, 127))
STEPS = (30, 1, 25, 40, 2, 20, 35)

# mantissas of one connection, by shape
SIGNS: dict[str, Callable[[np.random.Generator, tuple[int, int]], Any]] = {
    "all": lambda rng, shape: rng.integers(WEIGHT_MIN, WEIGHT_MAX + 1, shape),
    "limits": lambda rng, shape: rng.choice([WEIGHT_MIN, WEIGHT_MAX], shape),
    "not negative": lambda rng, shape: rng.integers(0, WEIGHT_MAX + 1, shape),
    "not positive": lambda rng, shape: rng.integers(WEIGHT_MIN, 1, shape),
    "lowest": lambda rng, shape: np.full(shape, WEIGHT_MIN),
    "highest": lambda rng, shape: np.full(shape, WEIGHT_MAX),
    "zero": lambda rng, shape: np.zeros(shape),
}
USUAL = [0.76, *[0.04] * 6]  # how often each of them is drawn


@dataclass(frozen=True)
class LayerPlan:
    """What the networks of a group share in one layer.

    signs: of the weights and of the recurrent ones; None: each network has its own
    exponents: of both. bits: of states and parameters. stable: whether coefficients are those of
    stable neurons, or anything that a file may hold.
    """

    neuron: families.Neuron
    recurrent: bool
    signs: tuple[str | None, str | None]
    exponents: tuple[int, int]
    bits: tuple[int, int]
    stable: bool


@dataclass(frozen=True)
class Group:
    """Networks of one structure. x: one [T, B, I] each."""

    plans: tuple[LayerPlan, ...]
    networks: tuple[FixedNetwork, ...]
    x: tuple[NDArray[Any], ...]

    @property
    def merged(self) -> FixedNetwork:
        """All of them as one network that no weight connects."""
        layers = []
        for parts in zip(*(network.layers for network in self.networks), strict=True):
            first = parts[0]
            layers.append(
                FixedLayer(
                    first.neuron,
                    _blocks([part.weights for part in parts]),
                    _blocks([part.recurrent for part in parts]) if first.recurrent else None,
                    np.concatenate([part.coefficients for part in parts], axis=1),
                    first.constants,
                )
            )
        return FixedNetwork(tuple(layers), input_range=self.networks[0].input_range)


def _blocks(parts: list[Any]) -> Connection:
    mantissa = block_diag(*(part.mantissa for part in parts))
    return Connection(mantissa.astype(np.int8), parts[0].exponent)


@cache
def make_group(seed: int) -> Group:
    rng = np.random.default_rng([seed, 2024])
    low, high = RANGES[seed % len(RANGES)]
    steps, samples = STEPS[seed % len(STEPS)], int(rng.integers(1, 4))
    depth = 1 + seed % 3
    neurons = [*(SPIKING[(seed + index) % len(SPIKING)] for index in range(depth)), families.LI]
    plans = [_plan(rng, neuron, index, high) for index, neuron in enumerate(neurons)]
    special = int(rng.integers(depth + 1))
    sign = list(SIGNS)[1 + seed % (len(SIGNS) - 1)]
    signs = (None, sign) if plans[special].recurrent and rng.random() < 0.5 else (sign, None)
    plans[special] = replace(plans[special], signs=signs)
    networks, x = [], []
    for number in range(NETWORKS):
        sizes = rng.integers(1, LARGEST + 1, depth + 2)
        if number == 0:
            sizes[:] = 1
        layers = zip(plans, sizes[1:].tolist(), sizes[:-1].tolist(), strict=True)
        networks.append(
            FixedNetwork(tuple(_layer(rng, *layer) for layer in layers), input_range=(low, high))
        )
        values = rng.integers(low, high + 1, (steps, samples, sizes[0]))
        values[rng.random(values.shape) < rng.uniform(0, 0.9)] = 0
        values.flat[0] = high
        x.append(values.astype(np.int8 if high <= np.iinfo(np.int8).max else np.uint8))
    return Group(tuple(plans), tuple(networks), tuple(x))


def _plan(rng: np.random.Generator, neuron: families.Neuron, index: int, high: int) -> LayerPlan:
    state_bits = int(rng.integers(STATE_BITS_MIN, STATE_BITS_MAX + 1))
    largest = EXPONENT_MAX if index or high == 1 else 8  # graded currents must fit 32 bits, too
    exponents = np.clip(state_bits + rng.integers(-3, 4, 2) - (15 - largest), 0, largest)
    return LayerPlan(
        neuron=neuron,
        recurrent=neuron.spiking and bool(rng.random() < 0.6),
        signs=(None, None),
        exponents=(int(exponents[0]), int(exponents[1])),
        bits=(state_bits, int(rng.integers(PARAMETER_BITS_MIN, PARAMETER_BITS_MAX + 1))),
        stable=bool(rng.random() < 0.6),
    )


def _layer(rng: np.random.Generator, plan: LayerPlan, neurons: int, inputs: int) -> FixedLayer:
    shapes = [(neurons, inputs), (neurons, neurons)]
    weights, recurrent = (
        Connection(
            SIGNS[sign or str(rng.choice(list(SIGNS), p=USUAL))](rng, shape).astype(np.int8),
            exponent,
        )
        for sign, shape, exponent in zip(plan.signs, shapes, plan.exponents, strict=True)
    )
    state_bits, parameter_bits = plan.bits
    ranges = integer_ranges(plan.neuron, state_bits, parameter_bits)
    if plan.stable:
        real = random_coefficients(rng, plan.neuron, neurons)
        coefficients = np.rint(real * 2**parameter_bits).astype(np.int64)
    else:
        coefficients = np.stack(
            [
                rng.integers(ranges[name][0], ranges[name][1] + 1, neurons)
                for name in plan.neuron.fixed_coefficients
            ]
        )
    return FixedLayer(
        plan.neuron,
        weights,
        recurrent if plan.recurrent else None,
        coefficients,
        fixed_constants(plan.neuron, state_bits, parameter_bits),
    )


def side_by_side(parts: list[Activity]) -> Activity:
    """What the merged network computes, from what each network computes alone."""
    layers = zip(*(part.spikes for part in parts), strict=True)
    return Activity(
        np.concatenate([part.outputs for part in parts], axis=2),
        tuple(np.concatenate(layer, axis=2) for layer in layers),
        sum(part.saturations for part in parts),
    )


def alone(group: Group, run: Callable[..., Activity] = engine.run) -> list[Activity]:
    return [run(network, x) for network, x in zip(group.networks, group.x, strict=True)]


@pytest.mark.slow
def test_there_are_enough_networks_and_they_differ() -> None:
    groups = [make_group(seed) for seed in range(GROUPS)]
    networks = [network for group in groups for network in group.networks]
    plans = [plan for group in groups for plan in group.plans]
    assert len(networks) >= 200
    assert {plan.neuron.name for plan in plans} == set(families.NEURONS)
    assert {len(network.hidden) for network in networks} == {1, 2, 3}
    assert {sign for plan in plans for sign in plan.signs} == {None, *SIGNS} - {"all"}
    assert {network.input_range for network in networks} == set(RANGES)
    assert {len(group.x[0]) for group in groups} == set(STEPS)
    assert {layer.shape[0] for network in networks for layer in network.hidden} >= {1, LARGEST}
    assert {plan.recurrent for plan in plans if plan.neuron.spiking} == {True, False}
    assert sum(len({plan.neuron for plan in group.plans}) > 2 for group in groups) > GROUPS / 3
    activities = [activity for group in groups for activity in alone(group)]
    assert sum(any(z.any() for z in found.spikes) for found in activities) > 150
    assert sum(bool(found.outputs.any()) for found in activities) > 120
    assert sum(found.saturations > 0 for found in activities) > 50


@pytest.mark.parametrize("seed", range(GROUPS))
def test_engine_and_plain_numpy_agree(seed: int) -> None:
    group = make_group(seed)
    for ours, theirs in zip(alone(group), alone(group, plain_run), strict=True):
        assert_equal(ours, theirs, "engine", "NumPy")


@pytest.fixture(scope="module")
def independent_reader() -> Any:
    """The example, which was written from deploy/FORMAT.md alone."""
    path = Path(__file__).parents[2] / "examples" / "independent_reader.py"
    spec = importlib.util.spec_from_file_location("independent_reader", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("seed", range(GROUPS))
def test_a_reader_written_from_the_specification_agrees(
    seed: int, independent_reader: Any, tmp_path: Path
) -> None:
    group = make_group(seed)
    for network, x, expected in zip(group.networks, group.x, alone(group), strict=True):
        write_network(network, tmp_path / "net.h5")
        found = independent_reader.run(independent_reader.read(tmp_path / "net.h5"), x)
        assert_equal(Activity(found[1], tuple(found[0]), found[2]), expected, "reader", "engine")


@pytest.mark.timeout(120)
@pytest.mark.parametrize(
    "seed",
    [pytest.param(seed, marks=[pytest.mark.slow] * (seed >= QUICK)) for seed in range(GROUPS)],
)
def test_lava_and_netx_equal_the_engine(seed: int, tmp_path: Path) -> None:
    from brf_lava import Network

    group = make_group(seed)
    network, x, expected = group.merged, np.concatenate(group.x, axis=2), side_by_side(alone(group))
    assert_equal(lava_net.run_on_lava(network, x, timeout=TIMEOUT), expected, "Lava", "engine")
    write_network(network, tmp_path / "net.h5")
    signals = run_networks([Network(tmp_path / "net.h5")], x[:, 0])[0]
    for found, layer in zip(signals, (*expected.spikes, expected.outputs), strict=True):
        np.testing.assert_array_equal(found, layer[:, 0])
