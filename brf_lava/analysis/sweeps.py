"""Accuracy and SOPs of a trained network over the strength of a disturbance, without retraining."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from brf_lava.analysis import perturb
from brf_lava.analysis.activity import Samples, Score, score, score_fixed
from brf_lava.errors import ParameterError
from brf_lava.export.quantize import WEIGHT_BITS_MAX, WEIGHT_BITS_MIN, quantize
from brf_lava.network.layers import RealNetwork

NOISE_MAX = 0.1  # probability of an additional spike per input and step
DELETION_MAX = 1.0  # probability that a spike is lost
SIGMA_MAX = 0.5  # relative weight noise
WEIGHT_BITS = tuple(range(WEIGHT_BITS_MIN, WEIGHT_BITS_MAX + 1))

Progress = Callable[[int], None]  # called with how many runs are done


@dataclass(frozen=True)
class Sweep:
    """One disturbance. levels [L]; accuracy [L, R], 0..1, and sops [L, R] per sample, of R repeats
    with random numbers of their own; R is 1 where nothing is random."""

    name: str
    levels: NDArray[np.float64]
    accuracy: NDArray[np.float64]
    sops: NDArray[np.float64]


def runs(points: int, repeats: int, sweeps: int = 1) -> int:
    """How many runs a random sweep takes: level 0 is the same for all repeats."""
    return sweeps * (1 + (points - 1) * repeats)


def robustness_runs(points: int, repeats: int) -> int:
    """How many runs `robustness` takes."""
    return runs(points, repeats, sweeps=4) + len(WEIGHT_BITS)


def pruning(
    network: RealNetwork,
    samples: Samples,
    *,
    points: int,
    repeats: int,
    seed: int = 0,
    on_progress: Progress | None = None,
) -> Sweep:
    """Recurrent weights pruned from none to all, at random places.

    points: levels from 0 to 1. repeats: different masks. Raises: ParameterError as `perturb`.
    """

    def pruned(share: float, rng: np.random.Generator) -> Score:
        return score(perturb.prune_recurrent(network, share, rng), samples)

    return _sweep("recurrent pruning", pruned, 1.0, points, repeats, seed, _counter(on_progress))


def robustness(
    network: RealNetwork,
    samples: Samples,
    calibration: Any,
    *,
    points: int,
    repeats: int,
    seed: int = 0,
    on_progress: Progress | None = None,
) -> tuple[Sweep, ...]:
    """Input noise, deletion of input and of hidden spikes, weight noise, and weight bits.

    calibration: inputs [T, B, I] from which `quantize` takes the ranges of the states.
    """

    def disturbed(change: Callable[..., Any]) -> Callable[..., Score]:
        return lambda rate, rng: score(network, replace(samples, x=change(samples.x, rate, rng)))

    def losing(rate: float, rng: np.random.Generator) -> Score:
        return score(network, samples, lambda shape: perturb.kept(shape, rate, rng))

    def noisy(sigma: float, rng: np.random.Generator) -> Score:
        return score(perturb.noisy_weights(network, sigma, rng), samples)

    count = _counter(on_progress)
    found = [
        _sweep(name, measure, largest, points, repeats, seed, count)
        for name, measure, largest in (
            ("input noise", disturbed(perturb.add_spikes), NOISE_MAX),
            ("input deletion", disturbed(perturb.delete_spikes), DELETION_MAX),
            ("hidden deletion", losing, DELETION_MAX),
            ("weight noise", noisy, SIGMA_MAX),
        )
    ]
    return (*found, _bits(network, samples, calibration, count))


def as_csv(sweeps: tuple[Sweep, ...]) -> str:
    """One line per run: disturbance, level, repeat, accuracy, SOPs per sample."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["disturbance", "level", "repeat", "accuracy", "sops_per_sample"])
    for sweep in sweeps:
        for index, level in enumerate(sweep.levels.tolist()):
            for repeat in range(sweep.accuracy.shape[1]):
                numbers = (level, sweep.accuracy[index, repeat], sweep.sops[index, repeat])
                shown, accuracy, sops = (f"{number:.10g}" for number in numbers)
                writer.writerow([sweep.name, shown, repeat, accuracy, sops])
    return text.getvalue()


def _bits(
    network: RealNetwork, samples: Samples, calibration: Any, count: Callable[[], None]
) -> Sweep:
    scores = []
    for bits in WEIGHT_BITS:
        fixed, _ = quantize(network, calibration, weight_bits=bits)
        scores.append([score_fixed(fixed, samples)])
        count()
    return _of_scores("weight bits", np.array(WEIGHT_BITS, dtype=np.float64), scores)


def _sweep(
    name: str,
    measure: Callable[[float, np.random.Generator], Score],
    largest: float,
    points: int,
    repeats: int,
    seed: int,
    count: Callable[[], None],
) -> Sweep:
    if points < 2 or repeats < 1:
        raise ParameterError(
            f"{name}: {points} points and {repeats} repeats; at least 2 and 1 are needed."
        )
    levels = np.linspace(0.0, largest, points)
    scores = []
    for level in levels.tolist():
        row = []
        for repeat in range(repeats if level else 1):
            row.append(measure(level, np.random.default_rng([seed, repeat])))
            count()
        scores.append(row if level else row * repeats)
    return _of_scores(name, levels, scores)


def _of_scores(name: str, levels: NDArray[np.float64], scores: list[list[Score]]) -> Sweep:
    return Sweep(
        name,
        levels,
        np.array([[one.accuracy for one in row] for row in scores]),
        np.array([[one.sops for one in row] for row in scores]),
    )


def _counter(on_progress: Progress | None) -> Callable[[], None]:
    done = 0

    def count() -> None:
        nonlocal done
        done += 1
        if on_progress:
            on_progress(done)

    return count
