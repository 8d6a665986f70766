"""Disturbances of inputs, spikes and weights. Each is a pure function: new array or network out.

One stream of random numbers at rising strength disturbs the same places and more, so that a curve
over the strength is not blurred by the choice of places.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from brf_lava.errors import ParameterError
from brf_lava.network.layers import RealLayer, RealNetwork


def add_spikes(x: Any, rate: float, rng: np.random.Generator) -> Any:
    """Inputs with additional spikes: each input of each step is one with probability `rate`.

    x: any shape; a spike is its largest value, so that a graded input becomes full scale.
    """
    _check_share("input noise", rate)
    return np.where(rng.random(x.shape) < rate, x.max(initial=1), x).astype(x.dtype)


def kept(shape: tuple[int, ...], rate: float, rng: np.random.Generator) -> NDArray[np.bool_]:
    """Which places of a shape are spared when each is deleted with probability `rate`."""
    _check_share("deletion", rate)
    return rng.random(shape) >= rate


def delete_spikes(x: Any, rate: float, rng: np.random.Generator) -> Any:
    """Inputs of which each is lost (zero) with probability `rate`."""
    return x * kept(x.shape, rate, rng).astype(x.dtype)


def noisy_weights(network: RealNetwork, sigma: float, rng: np.random.Generator) -> RealNetwork:
    """Every weight w as ``w (1 + sigma n)``, n normal: each synapse off by its own share.

    A weight of zero, a pruned one, stays zero. Raises: ParameterError for a negative sigma.
    """
    if not (sigma >= 0 and np.isfinite(sigma)):
        raise ParameterError(f"weight noise: sigma {sigma:g}; must be 0 or more. Choose another.")

    def noisy(weights: Any) -> Any:
        return weights * (1 + sigma * rng.standard_normal(weights.shape))

    return RealNetwork(
        tuple(
            replace(
                layer,
                weights=noisy(layer.weights),
                recurrent=None if layer.recurrent is None else noisy(layer.recurrent),
            )
            for layer in network.layers
        )
    )


def prune_recurrent(network: RealNetwork, share: float, rng: np.random.Generator) -> RealNetwork:
    """That share of all recurrent weights of each layer set to zero, at random places.

    Raises: ParameterError for a share that is none, or a network without recurrent weights.
    """
    _check_share("pruning", share)
    if all(layer.recurrent is None for layer in network.layers):
        raise ParameterError(
            "pruning: the network has no recurrent weights to prune. Name one that has."
        )

    def pruned(layer: RealLayer) -> RealLayer:
        if layer.recurrent is None:
            return layer
        order = rng.permutation(layer.recurrent.size)  # drawn whole, for every share alike
        weights = layer.recurrent.copy()
        weights.flat[order[: round(share * weights.size)]] = 0
        return replace(layer, recurrent=weights)

    return RealNetwork(tuple(pruned(layer) for layer in network.layers))


def _check_share(what: str, share: float) -> None:
    if not 0 <= share <= 1:  # also catches NaN
        raise ParameterError(f"{what}: {share:g}; must be from 0 to 1. Choose another share.")
