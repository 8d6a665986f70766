"""Where to start a resonator's frequencies: from the power spectrum of the training data.

Higuchi et al. 2024 find the range that omega is drawn from hard to choose and point to the spectrum
of the input. The method here:

1. The mean periodogram P of up to `SAMPLES` training samples, evenly spaced, summed over channels,
   the mean of each channel and sample removed.
2. Frequencies in rad/s of the neuron's own time, one `dt` per step, whatever a step lasts in the
   world. Below `PERIODS` periods per sample a rhythm looks like the sample's own outline, and
   above `LIMIT` / dt a resonator comes near ``dt * omega = 1``: both ends are left out.
3. P / omega: the mean square that a resonator reaches which rings for a given number of periods.
   Without it the flat spectrum of single spikes, which no resonator can select, rules the choice.
4. The range that holds the middle 80 % of that.

Nothing is drawn at random, and a factor on all inputs changes nothing. It is a start for data that
nobody has tuned a range for, not a better one than a published range.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from brf_lava.config.recipe import Recipe, override
from brf_lava.data.dataset import Dataset
from brf_lava.errors import DataError, RecipeError
from brf_lava.neurons.families import SPIKING, Neuron

SAMPLES = 512  # at most, evenly spaced
PERIODS = 4  # per sample, at least
LIMIT = 0.9  # of 1 / dt, the largest angular frequency of a stable resonator
SHARES = (0.1, 0.9)  # of P / omega, below the range's ends


def with_spectrum(
    recipe: Recipe, dataset: Dataset
) -> tuple[Recipe, dict[str, tuple[float, float]]]:
    """`recipe` with every omega chosen from the training half of `dataset`, and those ranges.

    They are under their keys, ``neuron.omega`` or, one by one, ``neuron.2.omega``. Deeper layers
    see the spikes of the one before; that these keep to the data's rhythms is assumed.
    Raises: RecipeError when no neuron has an omega, DataError as `omega_range`.
    """
    steps = {
        f"{layer.key}.omega": layer.parameters.dt
        for layer in recipe.layers
        if _has_omega(recipe.record(layer.neuron))
    }
    if not steps:
        having = [name for name, neuron in SPIKING.items() if _has_omega(neuron)]
        raise RecipeError(
            f"--init spectrum: neuron {recipe.neuron_names} has no omega to choose; "
            f"{', '.join(having)} have. Leave --init out."
        )
    of_step = {dt: omega_range(dataset.train.x, dt) for dt in set(steps.values())}
    ranges = {key: of_step[dt] for key, dt in steps.items()}
    changes = [f"{key}=[{low!r}, {high!r}]" for key, (low, high) in ranges.items()]
    return override(recipe, changes, "from the spectrum of the training data"), ranges


def _has_omega(neuron: Neuron) -> bool:
    """Whether omega is among its trained parameters, in rad/s of steps of dt."""
    return {"omega", "dt"} <= {key.name for key in neuron.keys}


def omega_range(x: NDArray[np.int8] | NDArray[np.uint8], dt: float) -> tuple[float, float]:
    """The range (low, high) to draw omega from, rad/s, to three digits.

    x: [B, T, I] inputs. dt: the neurons' step, s.
    Raises: DataError for samples that are too short or never change.
    """
    steps = x.shape[1]
    last = min(int(LIMIT * steps / (2 * np.pi)), steps // 2)
    if last <= PERIODS:
        shortest = int(np.ceil(2 * np.pi * (PERIODS + 1) / LIMIT))
        raise DataError(
            f"--init spectrum: samples of {steps} steps; {shortest} or more are needed to tell "
            "frequencies apart. Leave --init out."
        )
    bins = np.arange(PERIODS, last + 1)  # each from half a period below to half a period above
    edges = 2 * np.pi * (np.arange(PERIODS, last + 2) - 0.5) / (steps * dt)
    weight = np.append(0, np.cumsum(mean_periodogram(x)[bins] / bins))
    if not weight[-1] > 0:
        raise DataError(
            "--init spectrum: the training inputs never change, so they have no spectrum. Look "
            "at the data, or leave --init out."
        )
    low, high = np.interp(SHARES, weight / weight[-1], edges)
    return float(f"{low:.3g}"), float(f"{high:.3g}")


def mean_periodogram(x: NDArray[np.int8] | NDArray[np.uint8]) -> NDArray[np.float64]:
    """Power [T // 2 + 1] of inputs [B, T, I] at 0, 1, 2 ... periods per sample.

    Of up to `SAMPLES` samples, summed over channels without their means.
    """
    chosen = np.linspace(0, len(x) - 1, min(len(x), SAMPLES)).astype(np.int64)
    power = np.zeros(x.shape[1] // 2 + 1)
    for sample in chosen:  # one at a time: all of them as floats would be large
        signal = x[sample].astype(np.float64)
        transformed = np.fft.rfft(signal - signal.mean(axis=0), axis=0)
        power += (np.abs(transformed) ** 2).sum(axis=1)
    mean: NDArray[np.float64] = power / len(chosen)
    return mean
