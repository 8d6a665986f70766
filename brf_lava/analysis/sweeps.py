"""Accuracy and SOPs of a trained network over the strength of a disturbance.

Disturbances are pure functions: new array or network out. One stream of random numbers at rising
strength disturbs the same places and more, so that a curve over the strength is not blurred by the
choice of places.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from itertools import product
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import numpy as np
import torch
from matplotlib.figure import Figure
from numpy.typing import NDArray

from brf_lava import report
from brf_lava.analysis.activity import Samples, score
from brf_lava.analysis.draw import style
from brf_lava.config.recipe import override
from brf_lava.data.dataset import Dataset
from brf_lava.errors import ParameterError
from brf_lava.network.layers import RealNetwork
from brf_lava.train.checkpoint import Checkpoint
from brf_lava.train.trainer import Trainer

Disturb = Callable[[RealNetwork, Samples, float, np.random.Generator], tuple[Any, ...]]

DISTURBANCES: dict[str, tuple[float, Disturb]] = {  # the largest level, and the arguments of score
    "recurrent pruning": (1.0, lambda net, s, share, rng: (prune_recurrent(net, share, rng), s)),
    "input noise": (0.1, lambda net, s, rate, rng: (net, replace(s, x=add_spikes(s.x, rate, rng)))),
    "input deletion": (
        1.0,
        lambda net, s, rate, rng: (net, replace(s, x=s.x * kept(s.x.shape, rate, rng))),
    ),
    "hidden deletion": (
        1.0,
        lambda net, s, rate, rng: (net, s, lambda shape: kept(shape, rate, rng)),
    ),
    "weight noise": (0.5, lambda net, s, sigma, rng: (noisy_weights(net, sigma, rng), s)),
}
PRUNING = ("recurrent pruning",)
PANELS = (  # of robustness: the disturbances of each, and its axis
    (("input noise",), "additional input spikes (% of inputs and steps)"),
    (("input deletion", "hidden deletion"), "spikes deleted (%)"),
    (("weight noise",), r"relative weight noise $\sigma$ (%)"),
)
ROBUSTNESS = tuple(name for names, _ in PANELS for name in names)


class Sweep(NamedTuple):
    """One disturbance. levels [L]; accuracy [L, R], 0..1, and sops [L, R] per sample, of R repeats
    with random numbers of their own."""

    levels: NDArray[np.float64]
    accuracy: NDArray[np.float64]
    sops: NDArray[np.float64]


Sweeps = dict[str, Sweep]  # by disturbance


def sweeps(
    names: Sequence[str],
    network: RealNetwork,
    samples: Samples,
    *,
    points: int,
    repeats: int,
    seed: int = 0,
    pruned: Disturb | None = None,
) -> Sweeps:
    """Measure under some of `DISTURBANCES` at so many levels, with a progress bar.

    Level 0 is the same for all repeats. pruned: prunes instead, see `pruned_and_retrained`.
    Raises: ParameterError for pruning a network without recurrent weights.
    """
    pruning = names == PRUNING
    if pruning and all(layer.recurrent is None for layer in network.layers):
        raise ParameterError("pruning: the network has no recurrent weights. Name one that has.")
    found, done = {}, 0
    title = "pruning" if pruning else "robustness"
    with report.step_progress(title, points * len(names)) as advance:
        for name in names:
            largest, disturb = DISTURBANCES[name]
            disturb = pruned or disturb
            levels, scores = np.linspace(0.0, largest, points), []
            for level in levels.tolist():
                seeds = [[seed, repeat] for repeat in range(repeats if level else 1)]
                rngs = map(np.random.default_rng, seeds)
                row = [score(*disturb(network, samples, level, rng)) for rng in rngs]
                scores.append(row if level else row * repeats)
                done += 1
                advance(done)
            found[name] = Sweep(levels, *np.moveaxis(np.array(scores), 2, 0))
    return found


def add_spikes(x: Any, rate: float, rng: np.random.Generator) -> Any:
    """Inputs with additional spikes: each input of each step is one with probability `rate`.

    x: any shape; a spike is its largest value, so that a graded input becomes full scale.
    """
    return np.where(rng.random(x.shape) < rate, x.max(initial=1), x).astype(x.dtype)


def kept(shape: tuple[int, ...], rate: float, rng: np.random.Generator) -> NDArray[np.bool_]:
    """Which places of a shape are spared when each is deleted with probability `rate`."""
    return rng.random(shape) >= rate


def noisy_weights(network: RealNetwork, sigma: float, rng: np.random.Generator) -> RealNetwork:
    """Every weight w as ``w (1 + sigma n)``, n normal: each synapse off by its own share.

    A weight of zero, a pruned one, stays zero.
    """

    def noisy(weights: Any) -> Any:
        return weights * (1 + sigma * rng.standard_normal(weights.shape))

    return _changed(network, weights=noisy, recurrent=noisy)


def prune_recurrent(network: RealNetwork, share: float, rng: np.random.Generator) -> RealNetwork:
    """That share of all recurrent weights of each layer set to zero, at random places."""

    def pruned(weights: Any) -> Any:
        order = rng.permutation(weights.size)  # drawn whole, for every share alike
        weights = weights.copy()
        weights.flat[order[: round(share * weights.size)]] = 0
        return weights

    return _changed(network, recurrent=pruned)


def _changed(network: RealNetwork, **changes: Callable[[Any], Any]) -> RealNetwork:
    """Another network, some of whose matrices are changed, where there are any."""
    layers = []
    for layer in network.layers:
        matrices = {name: getattr(layer, name) for name in changes}
        new = {name: changes[name](m) for name, m in matrices.items() if m is not None}
        layers.append(replace(layer, **new))
    return RealNetwork(tuple(layers))


def pruned_and_retrained(model: Checkpoint, dataset: Dataset, epochs: int) -> Disturb:
    """Prune recurrent weights of a model, and train what is left as its recipe says.

    It counts as it was before where no epoch is better on the validation samples.
    """

    def disturb(
        network: RealNetwork, samples: Samples, share: float, rng: np.random.Generator
    ) -> tuple[RealNetwork, Samples]:
        recipe = override(model.recipe, [f"recurrent_density={1 - share}", f"epochs={epochs}"])
        seed, device = int(rng.integers(2**31)), torch.device("cpu")
        with TemporaryDirectory() as folder:
            trainer = Trainer(recipe, dataset, seed, device, Path(folder, "model.pt"), model)
            trainer.run()
            return trainer.checkpoint().model().to_real(), samples

    return disturb


def draw_pruning(figure: Figure, found: Mapping[str, Sweeps], title: str, epochs: int = 0) -> None:
    """Accuracy and SOPs over the share of recurrent weights that are pruned, by model.

    epochs: for which they were trained after that.
    """
    figure.set_size_inches(8.6, 3.6)
    accuracy, sops = figure.subplots(1, 2, sharex=True)
    for index, (model, sweeps) in enumerate(found.items()):
        sweep = sweeps["recurrent pruning"]
        _draw_sweep(accuracy, sweep.levels, 100 * sweep.accuracy, index, model)
        _draw_sweep(sops, sweep.levels, sweep.sops, index)
    trained = f"then {epochs} epochs of training" if epochs else "no retraining"
    pruned = f"recurrent weights pruned (%), {trained}"
    accuracy.set(xlabel=pruned, ylabel="test accuracy (%)")
    sops.set(xlabel=pruned, ylabel="SOPs per sample (hidden spikes)")
    sops.set_ylim(bottom=0)
    if len(found) > 1:
        accuracy.legend()
    style.write_title(figure, f"{title}\n{_repeats(sweep)}", style.SMALL)


def draw_robustness(figure: Figure, found: Mapping[str, Sweeps], title: str) -> None:
    """Accuracy of each model under each disturbance; the undisturbed network as a dashed line."""
    figure.set_size_inches(12.0, 3.8)
    panels = figure.subplots(1, len(PANELS), sharey=True)
    for panel, (names, label) in zip(panels, PANELS, strict=True):
        lines = list(product(found, names))
        for index, (model, name) in enumerate(lines):
            sweep = found[model][name]
            baseline = 100 * float(sweep.accuracy[0, 0])
            panel.axhline(baseline, color=style.GRAY, linestyle="--", linewidth=1.0)
            parts = [model] * (len(found) > 1) + [name] * (len(names) > 1)
            text = ", ".join(parts) or None
            _draw_sweep(panel, sweep.levels, 100 * sweep.accuracy, index, text)
        panel.set_xlabel(label)
        if len(lines) > 1:
            panel.legend()
    panels[0].set(ylabel="test accuracy (%)", ylim=(0, 100))
    style.write_title(figure, f"{title}\ndashed: undisturbed; {_repeats(sweep)}", style.SMALL)


def _draw_sweep(panel: Any, levels: Any, values: Any, index: int, label: str | None = None) -> None:
    """Mean over the repeats, and a band from the least to the largest."""
    levels = 100 * levels
    panel.plot(levels, values.mean(axis=1), **style.look(index, marked=True), label=label)
    style.draw_band(panel, levels, values.min(axis=1), values.max(axis=1), index)


def _repeats(found: Sweep) -> str:
    return f"lines: mean, bands: least to largest; random draws: {found.accuracy.shape[1]}"


def draw_grid(figure: Any, lines: Sequence[dict[str, Any]]) -> None:
    """Accuracy in float and in integers over the points of a grid, mean and deviation of the seeds.

    lines: of `brf_lava.reproduce.tables.table_lines`.
    """
    points = list(dict.fromkeys(line.get("variant", "as it is") for line in lines))
    figure.set_size_inches(max(6.4, 1.2 * len(points)), 4.2)
    panel, index = figure.subplots(), 0
    for cell in dict.fromkeys((line["task"], line["neuron"]) for line in lines):
        rows = [line for line in lines if (line["task"], line["neuron"]) == cell]
        at = [points.index(line.get("variant", "as it is")) for line in rows]
        for name, what in (("accuracy_percent", "float"), ("integer_accuracy_percent", "integers")):
            means = [line[f"{name}_mean"] for line in rows]
            errors = [line[f"{name}_std"] or 0.0 for line in rows]
            label = f"{' '.join(cell)}, {what}"
            panel.errorbar(at, means, errors, capsize=3, label=label, **style.look(index, True))
            index += 1
    panel.set_xticks(range(len(points)), points)
    panel.set(ylabel="accuracy (%)")
    panel.legend()
