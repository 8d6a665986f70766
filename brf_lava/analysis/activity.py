"""A network in real numbers, run on samples: what it answers, and how much it spikes for that."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from brf_lava.backends import engine
from brf_lava.errors import ParameterError
from brf_lava.network.decision import Decision
from brf_lava.network.forward import forward
from brf_lava.network.layers import FixedNetwork, RealLayer, RealNetwork

AnyNetwork = RealNetwork | FixedNetwork
Keep = Callable[[tuple[int, ...]], NDArray[np.bool_]]
Answers = tuple[NDArray[Any], float]  # predictions [B, P], and hidden spikes per sample
CHUNK = 32  # samples at a time; bounds memory, changes no result


@dataclass(frozen=True)
class Samples:
    """Inputs and what is asked of them. x: int8 or uint8 [T, B, I]. labels: [B, P]."""

    x: Any
    labels: NDArray[np.uint8]
    decision: Decision


class Score(NamedTuple):
    """accuracy: share of the labels that count, 0..1. sops: hidden spikes per sample."""

    accuracy: float
    sops: float


def run(network: AnyNetwork, x: Any, keep: Keep | None = None) -> tuple[Any, list[Any]]:
    """Outputs [T, B, C] and spikes [T, B, N] of each hidden layer, from zero state.

    x: [T, B, I]. keep: in real numbers, asked with the shape of each hidden layer's spikes which of
    them arrive anywhere; None for all. Spikes that do not arrive are in the result, too.
    """
    if isinstance(network, FixedNetwork):
        activity = engine.run(network, np.ascontiguousarray(x))
        return activity.outputs / 2.0**network.output_bits, list(activity.spikes)
    signal: Any = np.ascontiguousarray(x, dtype=np.float64)
    fired = []
    for layer in network.layers:
        if keep is None or not layer.neuron.spiking:
            signal = spikes = forward(layer, signal)[0]
        else:
            arrive = keep((*signal.shape[:2], len(layer.weights)))
            spikes = _forward_losing(layer, signal, arrive)
            signal = spikes * arrive
        fired.append(spikes)
    return signal, fired[:-1]


def answers(network: AnyNetwork, samples: Samples, keep: Keep | None = None) -> Answers:
    """Run a network on samples; keep: as in `run`."""
    predictions, spikes, count = [], 0, samples.x.shape[1]
    for first in range(0, count, CHUNK):
        outputs, fired = run(network, samples.x[:, first : first + CHUNK], keep)
        predictions.append(samples.decision.predict(outputs))
        spikes += sum(int(np.count_nonzero(layer)) for layer in fired)
    return np.concatenate(predictions), spikes / count


def score(network: AnyNetwork, samples: Samples, keep: Keep | None = None) -> Score:
    """Judge a network; keep: as in `run`. Raises: ParameterError when no label counts."""
    predictions, sops = answers(network, samples, keep)
    right, counted = samples.decision.hits(predictions, samples.labels)
    if not counted:
        raise ParameterError("accuracy: none of the samples has a label that counts.")
    return Score(right / counted, sops)


def _forward_losing(layer: RealLayer, x: Any, arrive: NDArray[np.bool_]) -> Any:
    """Fired spikes [T, B, N] of a layer that hears only those of its own that arrive."""
    fired, states, before = np.empty(arrive.shape), None, np.zeros(arrive.shape[1:])
    for t, step in enumerate(x):
        output, states = forward(layer, step[None], initial=states, before=before)
        fired[t] = output[0]
        before = output[0] * arrive[t]
    return fired
