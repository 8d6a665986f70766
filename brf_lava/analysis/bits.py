"""How few bits a network needs: a search over its weights, and a sweep over all its numbers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from itertools import count, product
from operator import ne
from typing import Any

import numpy as np
from rich.table import Table

from brf_lava import report
from brf_lava.analysis.activity import Samples, answers
from brf_lava.analysis.fidelity import measure_fidelity
from brf_lava.board.describe import network_shape
from brf_lava.board.fits import place
from brf_lava.config.profile import Loihi2Profile
from brf_lava.errors import DoesNotFitError
from brf_lava.export.quantize import WEIGHT_BITS_MAX, WEIGHT_BITS_MIN, LayerReport, quantize
from brf_lava.export.rounding import bare_weights
from brf_lava.network.layers import FixedLayer, RealNetwork
from brf_lava.neurons.fixed import STATE_MAX

WEIGHT_BITS = [(bits,) for bits in range(WEIGHT_BITS_MAX, WEIGHT_BITS_MIN - 1, -1)]
# Of weights, states and parameters; None: what each layer's range leaves
GRID = list(product(WEIGHT_BITS, (None, 12, 10, 8), (16, 12, 10)))
ONE_AT_A_TIME = [point for point in GRID if sum(map(ne, point, GRID[0])) < 2]

Bits = tuple[int, ...]


@dataclass(frozen=True)
class Trial:
    """A network rounded to some bits, and what that did.

    weight_bits: of each matrix. state_bits: of each layer. memory_bits: of all weights and
    coefficients, and of the states for the ranges they reached. cores: of a board. The rest is
    as in `Fidelity`.
    """

    weight_bits: Bits
    state_bits: Bits
    parameter_bits: int
    accuracy: float | None
    agreement: float
    points_lost: float
    error: float
    sops: float
    memory_bits: int
    cores: int

    @property
    def kept(self) -> float:
        """The accuracy, or the agreement where no label counts."""
        return self.agreement if self.accuracy is None else self.accuracy


def trials(
    network: RealNetwork, x: Any, samples: Samples, board: Loihi2Profile, rounding: str, of: int = 0
) -> Callable[[Bits, int | None, int], Trial]:
    """Return a function that rounds a network to weight, state and parameter bits and measures it.

    x: [T, B, I] calibration inputs. samples: what is measured on. of: how many trials there will
    be, if that is known.
    """
    floats, numbers, grams = answers(network, samples), count(1), dict[int, Any]()
    neurons = sum(len(layer.weights) for layer in network.layers)

    def trial(weight_bits: Bits, state_bits: int | None, parameter_bits: int) -> Trial:
        with report.step_progress(
            f"trial {next(numbers)}{f' of {of}' if of else ''}, neurons", neurons
        ) as advance:
            fixed, reports = quantize(
                network,
                x,
                state_bits=state_bits,
                parameter_bits=parameter_bits,
                weight_bits=weight_bits,
                rounding=rounding,
                decision=samples.decision,
                progress=advance,
                grams=grams,
            )
        found = measure_fidelity(floats, fixed, samples)
        return Trial(
            weight_bits=tuple(bits for each in reports for bits in each.format.weight_bits),
            state_bits=tuple(each.format.state_bits for each in reports),
            parameter_bits=parameter_bits,
            accuracy=found.accuracies and found.accuracies[1],
            agreement=found.agreement,
            points_lost=found.lost,
            error=found.error,
            sops=found.sops[1],
            memory_bits=sum(map(_memory_bits, fixed.layers, reports)),
            cores=place(network_shape(fixed, ""), board).cores,
        )

    return trial


def _memory_bits(layer: FixedLayer, each: LayerReport) -> int:
    (neurons, inputs), (own, *back) = layer.shape, each.format.weight_bits
    peaks = np.array(list(each.peaks.values())) * 2.0**each.format.state_bits
    largest = [*np.abs(layer.coefficients).max(axis=1), *np.minimum(peaks, STATE_MAX)]
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
    if best.points_lost > lose:
        raise DoesNotFitError(
            f"{_listed(most)} bits a weight lose {best.points_lost:.2f} points, standard error "
            f"{best.error:.2f}; {lose:g} may be lost. Nothing was written. Let it lose "
            "more, or train with --set weight_bits."
        )
    sizes = [matrix.size for layer in network.layers for matrix in bare_weights(layer)]
    tried, largest = [best], sorted(range(len(sizes)), key=lambda k: -sizes[k])
    for group in (largest, *([k] for k in largest)):
        while any(best.weight_bits[k] > WEIGHT_BITS_MIN for k in group):
            fewer = enumerate(best.weight_bits)
            tried.append(trial(tuple(max(b - (k in group), WEIGHT_BITS_MIN) for k, b in fewer)))
            if tried[-1].points_lost > lose:
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


def as_records(tried: Sequence[Trial], marked: Sequence[Trial], mark: str) -> list[dict[str, Any]]:
    """The values of each trial, and with the name `mark` whether it is one of those."""
    return [{**asdict(each), mark: each in marked} for each in tried]


def trial_table(title: str, records: Sequence[dict[str, Any]]) -> Table:
    """The `as_records`, a row each."""
    columns = [f">{name.replace('_', ' ').replace('meter', 'm.')}" for name in records[0]]
    return report.table(title, columns, [list(map(_cell, row.values())) for row in records])


def _listed(bits: Sequence[int]) -> str:
    return ",".join(map(str, bits))


def _cell(value: Any) -> str:
    if isinstance(value, tuple):
        return _listed(value)
    if isinstance(value, bool) or value is None:
        return "yes" if value else ""
    return f"{value:,}" if isinstance(value, int) else f"{value:.4g}"
