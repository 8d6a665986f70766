"""How few bits a network needs: a search over its weights, and a sweep over all its numbers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import count, product
from operator import ne
from typing import Any

import numpy as np
from rich.table import Table

from brf_lava import report
from brf_lava.analysis.activity import Samples, answers
from brf_lava.analysis.scores import Fidelity, measure_fidelity
from brf_lava.board.describe import network_shape
from brf_lava.board.fits import place
from brf_lava.config.profile import Loihi2Profile
from brf_lava.errors import DoesNotFitError
from brf_lava.export.quantize import WEIGHT_BITS_MAX, WEIGHT_BITS_MIN, LayerReport
from brf_lava.export.rounding import bare_weights
from brf_lava.network.layers import FixedLayer, FixedNetwork, RealNetwork
from brf_lava.neurons.fixed import STATE_MAX

WEIGHT_BITS = range(WEIGHT_BITS_MAX, WEIGHT_BITS_MIN - 1, -1)
# Of weights, states and parameters; None: what each layer's range leaves
GRID = list(product(WEIGHT_BITS, (None, 12, 10, 8), (16, 12, 10)))
ONE_AT_A_TIME = [point for point in GRID if sum(map(ne, point, GRID[0])) < 2]
NAMES = "weight bits", "fraction bits of states", "parameter bits"
LOSE = 0.5  # points, in the verdict of a sweep

Bits = tuple[int, ...]


@dataclass(frozen=True)
class Trial(Fidelity):
    """A network rounded to some bits, and how well it keeps to the float network.

    weight_bits: of each matrix. state_bits: of each layer. memory_bits: of all weights and
    coefficients, and of the states for the ranges they reached. cores: of a board.
    """

    weight_bits: Bits
    state_bits: Bits
    parameter_bits: int
    memory_bits: int
    cores: int

    @property
    def kept(self) -> float:
        """The accuracy, or the agreement where no label counts."""
        return self.accuracies[1] if self.accuracies else self.agreement


def trials(
    network: RealNetwork,
    rounded: Callable[..., tuple[FixedNetwork, tuple[LayerReport, ...]]],
    samples: Samples,
    board: Loihi2Profile,
    steps: int,
) -> Callable[..., Trial]:
    """Return a function that rounds a network to some weight bits and measures it.

    rounded: takes `weight_bits`, `progress` and what else the returned function is given; reports
    up to `steps` of progress. samples: what is measured on.
    """
    floats, numbers = answers(network, samples), count(1)

    def trial(weight_bits: int | Bits, **more: Any) -> Trial:
        with report.step_progress(f"trial {next(numbers)}", steps) as advance:
            fixed, reports = rounded(weight_bits=weight_bits, progress=advance, **more)
        return Trial(
            **vars(measure_fidelity(floats, fixed, samples)),
            weight_bits=tuple(bits for each in reports for bits in each.format.weight_bits),
            state_bits=tuple(each.format.state_bits for each in reports),
            parameter_bits=reports[0].format.parameter_bits,
            memory_bits=sum(map(_memory_bits, fixed.layers, reports)),
            cores=place(network_shape(fixed, ""), board).cores,
        )

    return trial


def _memory_bits(layer: FixedLayer, each: LayerReport) -> int:
    (neurons, inputs), (own, *back) = layer.shape, each.format.weight_bits
    peaks = (min(peak * each.units[name], STATE_MAX) for name, peak in each.peaks.items())
    largest = [*np.abs(layer.coefficients).max(axis=1), *peaks]
    of_neuron = sum(int(value).bit_length() + 1 for value in largest)
    return neurons * (inputs * own + neurons * sum(back) + of_neuron)


def fewest_weight_bits(
    network: RealNetwork, trial: Callable[[Bits], Trial], most: Bits, lose: float
) -> tuple[Trial, list[Trial]]:
    """Look for the fewest bits of weights that lose at most `lose` points, beginning with `most`.

    All matrices get fewer bits together, until they lose more; then each alone, the largest first.
    trial: tries the bits of all matrices, or of each. Returns the best trial, and all of them.
    Raises: DoesNotFitError if `most` bits lose more.
    """
    best = trial(most)
    if best.lost > lose:
        raise DoesNotFitError(
            f"{_listed(most)} bits a weight lose {best.lost:.2f} points, standard error "
            f"{best.error:.2f}; {lose:g} may be lost. Nothing was written. Let it lose "
            "more, or train with --set weight_bits."
        )
    sizes = [matrix.size for layer in network.layers for matrix in bare_weights(layer)]
    tried, largest = [best], sorted(range(len(sizes)), key=lambda k: -sizes[k])
    for group in (largest, *([k] for k in largest)):
        while any(best.weight_bits[k] > WEIGHT_BITS_MIN for k in group):
            fewer = enumerate(best.weight_bits)
            tried.append(trial(tuple(max(b - (k in group), WEIGHT_BITS_MIN) for k, b in fewer)))
            if tried[-1].lost > lose:
                break
            best = tried[-1]
    return best, tried


def pareto(tried: Sequence[Trial]) -> list[Trial]:
    """Those that keep more than all with less memory, or as much; least memory first."""
    best: list[Trial] = []
    for each in sorted(tried, key=lambda each: (each.memory_bits, -each.kept)):
        if not best or each.kept > best[-1].kept:
            best.append(each)
    return best


def verdict(tried: Sequence[Trial], best: Sequence[Trial]) -> str:
    """The least memory that loses no more than `LOSE` points."""
    found = next((each for each in best if each.lost <= LOSE), None)
    if found is None:
        return f"None loses at most {LOSE:g} points; least: {min(each.lost for each in tried):.2f}."
    values = (_listed(found.weight_bits), _listed(found.state_bits), str(found.parameter_bits))
    bits = ", ".join(map(" ".join, zip(NAMES, values, strict=True)))
    part = found.memory_bits / max(each.memory_bits for each in tried)
    lost = f"{found.kept:.2%} kept, {found.lost:.2f} ± {found.error:.2f} points lost"
    return f"Least memory, {part:.0%}, that loses at most {LOSE:g} points: {bits}; {lost}."


def trial_table(title: str, tried: Sequence[Trial], marked: Sequence[Trial], mark: str) -> Table:
    """A row for each trial; `mark` is the heading of the column that says which are marked."""
    rows = [
        (
            *(_listed(each.weight_bits), _listed(each.state_bits), str(each.parameter_bits)),
            *(f"{100 * each.kept:.2f}", f"{each.lost:.2f} ± {each.error:.2f}"),
            *(f"{each.sops[1]:.1f}", f"{each.memory_bits:,}", str(each.cores)),
            "yes" if each in marked else "",
        )
        for each in tried
    ]
    kept = "kept (%)", "points lost"
    columns = [f">{name}" for name in (*NAMES, *kept, "SOPs", "memory (bits)", "cores", mark)]
    return report.table(title, columns, rows)


def draw_trials(figure: Any, tried: Sequence[Trial], title: str) -> None:
    """What each trial keeps, over the memory that it takes, and a line through the `pareto`."""
    from brf_lava.analysis.draw import style

    figure.set_size_inches(8.6, 4.6)
    panel, best = figure.subplots(), pareto(tried)
    level = 100 * tried[0].kept + tried[0].lost
    panel.axhline(level, color=style.GRAY, linestyle="--", linewidth=1.0, label="float")
    every, front = ([(t.memory_bits / 1e3, 100 * t.kept) for t in some] for some in (tried, best))
    panel.plot(*zip(*every, strict=True), "o", label="bits of weights, states and parameters")
    panel.step(*zip(*front, strict=True), where="post", color=style.GRAY, label="Pareto")
    for trial, at in zip(best, front, strict=True):
        text = f"{max(trial.weight_bits)}, {trial.state_bits[0]}, {trial.parameter_bits}"
        panel.annotate(text, at, xytext=(4, -9), textcoords="offset points", fontsize=7)
    kept = "accuracy (%)" if tried[0].accuracies else "same prediction as float (%)"
    panel.set(xlabel="memory of weights, coefficients and states (kbit)", ylabel=kept)
    panel.legend(loc="lower right")
    style.write_title(figure, title, style.SMALL)


def _listed(bits: Sequence[int]) -> str:
    return ",".join(map(str, bits))
