"""Neurons in integers come to rest, whatever their coefficients and their state."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from command_line import brf_lava
from networks import edited, fixed_constants, random_network, random_spikes

from brf_lava.backends import engine
from brf_lava.backends.base import Engine
from brf_lava.errors import ParameterError
from brf_lava.export.quantize import GROWN, HEADROOM, measure_peaks, quantize
from brf_lava.network.file import read_network, write_network
from brf_lava.network.layers import Connection, FixedLayer, RealLayer, RealNetwork
from brf_lava.network.rest import check_rest, restless
from brf_lava.neurons import families, fixed, real
from brf_lava.neurons.boundary import harmonic_growth_per_step
from brf_lava.neurons.fixed import mul
from brf_lava.run.execute import execute, verify_backend

RESONATORS = [families.RF, families.BRF, families.HRF, families.BHRF]
COUNT = 400


def layer_of(neuron: families.Neuron, coefficients: Any, bits: int, state_bits: int) -> FixedLayer:
    weights = Connection(np.zeros((coefficients.shape[1], 1), np.int8), 0)
    return FixedLayer(
        neuron, weights, None, coefficients, fixed_constants(neuron, state_bits, bits)
    )


def stable_coefficients(
    neuron: families.Neuron, bits: int, rng: np.random.Generator
) -> np.ndarray[Any, Any]:
    """[2, N], up to the edge of stability, from slow rotations to fast ones."""
    one = 1 << bits
    rotation = np.rint(one * 10 ** rng.uniform(-3, 0, COUNT)).astype(int)
    margin = 10 ** rng.uniform(-3, -0.5, COUNT)
    if "friction" in neuron.fixed_coefficients:
        first = np.ceil(one * margin)
    else:
        edge = 1 - np.sqrt(1 - (rotation / one) ** 2)
        first = -np.ceil(one * np.minimum(edge + margin, 1))
    columns = np.stack([first.astype(int), rotation])
    assert neuron.is_stable is not None
    kept = [neuron.is_stable(*column, one) for column in columns.T.tolist()]
    assert sum(kept) > COUNT / 2
    return columns[:, kept]


@pytest.mark.parametrize("neuron", RESONATORS, ids=lambda neuron: neuron.name)
@pytest.mark.parametrize(("bits", "state_bits"), [(16, 14), (10, 8), (22, 10)])
def test_stable_neurons_rest(neuron: families.Neuron, bits: int, state_bits: int) -> None:
    coefficients = stable_coefficients(neuron, bits, np.random.default_rng(bits))
    assert restless(layer_of(neuron, coefficients, bits, state_bits)) == []


def cut_early(state: Any, current: Any, coefficients: Any, constants: Any) -> Any:
    """`fixed.rf_step` with products that round the change of a state, not the state."""
    u, v = state
    damping, rotation = coefficients
    bits = constants.parameter_bits
    u_next = u + mul(u, damping, bits) - mul(v, rotation, bits) + current
    v_next = v + mul(v, damping, bits) + mul(u, rotation, bits)
    return (u_next, v_next), u_next > constants.theta


def test_a_step_that_rings_for_ever_is_noticed() -> None:
    ringing = replace(families.RF, name="RFcut", fixed_step=cut_early)
    coefficients = np.array([[-400, -30_000], [6554, 0]])
    assert restless(layer_of(families.RF, coefficients, 16, 14)) == []
    assert 0 in restless(layer_of(ringing, coefficients, 16, 14))


def test_at_rest_u_is_0_and_w_too_small_to_move_it() -> None:
    bits, state = 16, (5_000_000, -3_000_000)
    for friction, rotation in ((700, 6554), (90, 300), (20_000, 60_000)):
        constants = fixed_constants(families.HRF, 14, bits)
        for _ in range(60_000):
            state, _ = fixed.hrf_step(state, 0, (friction, rotation), constants)
        assert state[0] == 0
        assert abs(state[1] * rotation) < 1 << bits
        state = (state[1] * 1000, 1_000_000)


def test_growing_neurons_are_exempt_and_unstable_ones_are_not() -> None:
    coefficients = np.array([[-700, 0, -700], [6554, 6554, 0]])
    layer = layer_of(families.BRF, coefficients, 16, 14)
    assert restless(layer) == [1]
    assert restless(replace(layer, growing=(1,))) == []


def test_a_file_in_which_a_neuron_does_not_rest_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "net.h5"
    network = random_network(np.random.default_rng(0), (3, 4, 2))
    check_rest(network)
    write_network(network, path)
    with edited(path) as file:
        damping = file["layer/1/neuron/damping"]
        damping[2] = 0
    message = r"hidden1, neuron 2: does not come to rest without input, with damping 0 and rotation"
    found, _ = read_network(path)
    x = random_spikes(np.random.default_rng(1), 5, 1, 3)
    for check in (
        lambda: execute(found, x, backend="engine"),
        lambda: verify_backend(found, x, Engine()),
    ):
        with pytest.raises(ParameterError, match=message):
            check()
    result = brf_lava("verify", path, "--backend", "engine")
    assert result.exit_code == 2
    assert "neuron 2: does not come to rest" in result.stderr
    with edited(path) as file:
        file["layer/1/neuron/growing"] = np.array([2])
    found, _ = read_network(path)
    assert found.layers[0].growing == (2,)
    execute(found, x, backend="engine")


def test_a_network_that_diverges_is_exported() -> None:
    """One of four neurons grows by 5 % a step, to 1e8 thresholds in 400 steps."""
    dt, rng = 0.01, np.random.default_rng(0)
    constants = real.ResonatorConstants(dt, 1.0)
    omega = np.array([8.0, 33.0, 12.0, 20.0])
    damping = np.array([-4.0, 0.0, -3.0, -5.0])
    weights = rng.normal(0, 60, (4, 3))
    hidden = RealLayer(families.RF, weights, None, np.stack([damping, omega]), constants)
    decay = np.full((1, 2), 0.9)
    readout = RealLayer(families.LI, rng.normal(0, 0.1, (2, 4)), None, decay, real.LIConstants())
    network = RealNetwork((hidden, readout))
    x = random_spikes(rng, 400, 8, 3)
    assert measure_peaks(network, x)[0]["u"] == GROWN
    fixed_network, reports = quantize(network, x)
    layer = fixed_network.layers[0]
    assert layer.growing == (1,)
    assert reports[0].growth == {1: pytest.approx(abs(complex(1, 0.33)))}
    assert (fixed.STATE_MAX + 1) / layer.unit >= GROWN * HEADROOM
    activity = engine.run(fixed_network, x)
    assert activity.saturations > 0
    assert activity.spikes[0][:, :, [0, 2, 3]].any()


def test_the_growth_of_a_harmonic_neuron_is_its_larger_root() -> None:
    for friction, rotation in ((0.02, 0.3), (0.9, 0.1), (1.9, 0.5), (0.3, 1.9)):
        step = np.array([[1 - friction - rotation**2, -rotation], [rotation, 1.0]])
        largest = np.abs(np.linalg.eigvals(step)).max()
        assert harmonic_growth_per_step(friction, rotation) == pytest.approx(largest)
