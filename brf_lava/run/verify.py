"""Test vectors for any network, and whether a backend computes what it should from them.

The vectors are drawn from a seed: no data set is needed, and two machines have the same.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from brf_lava.backends.base import Backend
from brf_lava.backends.stepwise import plain_run
from brf_lava.errors import ParameterError
from brf_lava.network.activity import Activity
from brf_lava.network.layers import FixedNetwork
from brf_lava.run.execute import assert_equal, execute

RATES = (0.02, 0.5)  # of inputs that are not 0, in the first sample and in the last
VALUES_MAX = 2**27  # samples * steps * neurons of the widest layer: 1 GB as integers of 64 bits


def vectors(network: FixedNetwork, samples: int, steps: int, seed: int) -> NDArray[Any]:
    """Inputs [T, B, I] over the network's range, from few that are not 0 to half of them.

    int8, or uint8 where the range goes beyond. Raises: ParameterError for more values than memory
    should be asked for.
    """
    widest = max(network.inputs, *(layer.shape[0] for layer in network.layers))
    if samples * steps * widest > VALUES_MAX:
        raise ParameterError(
            f"samples: {samples} of {steps} steps in layers of up to {widest} are "
            f"{samples * steps * widest:,} values; at most {VALUES_MAX:,} are compared at a time. "
            "Lower --samples or --steps."
        )
    low, high = network.input_range
    rng = np.random.default_rng(seed)
    shape = (steps, samples, network.inputs)
    active = rng.random(shape) < np.geomspace(*RATES, samples)[:, None]
    drawn = rng.integers(low, high + 1, shape)
    drawn[drawn == 0] = high  # one that is active is not 0
    values = np.where(active, drawn, 0)
    return values.astype(np.int8 if high <= np.iinfo(np.int8).max else np.uint8)


def verify_backend(
    network: FixedNetwork,
    x: NDArray[Any],
    backend: Backend,
    *,
    timeout: float | None = None,
    stored: Activity | None = None,
) -> Activity:
    """Compare a backend with what is right: the engine, or for the engine its equations in NumPy.

    x: [T, B, I]. timeout: s, for a Lava run. stored: what is right instead, from a network file.
    Returns what it computed. Raises: MismatchError as `assert_equal`, and what the backend raises.
    """
    found, _ = execute(network, x, backend=backend, timeout=timeout, check=stored is None)
    if stored is not None:
        assert_equal(found, stored, backend.title, "the file", backend.advice)
    elif backend.is_reference:
        assert_equal(found, plain_run(network, x), backend.title, "NumPy", backend.advice)
    return found


def compared_line(found: Activity) -> str:
    """What was compared and found equal."""
    steps, samples, _ = found.outputs.shape
    slots = sum(layer.size for layer in found.spikes)
    return (
        f"{samples} samples of {steps} steps: all {slots:,} spike slots with "
        f"{int(found.hidden_spikes.sum()):,} spikes, all {found.outputs.size:,} outputs and "
        f"the {found.saturations:,} saturations are equal"
    )
