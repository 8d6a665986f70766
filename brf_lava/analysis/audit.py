"""Where a network in integers differs from the float network that it was exported from."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.table import Table

from brf_lava import report
from brf_lava.analysis.activity import CHUNK, Samples
from brf_lava.backends.engine import check_input
from brf_lava.backends.states import SPIKE
from brf_lava.errors import NetworkFileError
from brf_lava.export.quantize import scaled_coefficients
from brf_lava.export.rounding import bare_weights, leaks
from brf_lava.network.forward import forward
from brf_lava.network.layers import WEIGHT_MAX, FixedLayer, FixedNetwork, RealLayer, RealNetwork
from brf_lava.neurons.fixed import CURRENT_MAX, STATE_MAX

WEIGHTS, RECURRENT, CONSTANTS = "weights", "recurrent weights", "constants"
NOISE, PARAMETERS = "noise of 1e-6 in all weights", "all parameters"
ARITHMETIC, INTEGERS = "rounding of the states", "the integers"
AGREES = 0.9  # share of equal predictions from which on integers keep to the float network
EXACT = 1e-7  # relative, of single precision: what differs by less is no source of error
WORST = 5  # sources of error in the table
QUANTILES = (0.001, 0.25, 0.5, 0.75, 1.0)

Parts = dict[str, Any]


@dataclass(frozen=True)
class StateAudit:
    """One state of a layer: of each neuron [N] the largest magnitudes in the float network and in
    the integers, how often these stood at their limit, and in which step first (or `steps`)."""

    peaks: NDArray[np.float64]
    integer_peaks: NDArray[np.float64]
    limit: float
    saturations: NDArray[np.int64]
    first_saturations: NDArray[np.int64]


@dataclass(frozen=True)
class Source:
    """The float network with this source of error alone, against the float network.

    agreement: share of equal predictions. accuracy: None where no label counts. sops: hidden spikes
    per sample. membrane: [L, T], RMS over the neurons of what the membranes of a layer differ by,
    in thresholds; in its own unit for the readout.
    """

    agreement: float
    accuracy: float | None
    sops: float
    membrane: NDArray[np.float64]

    @property
    def error(self) -> float:
        """RMS of all hidden membranes over time, in thresholds."""
        return float(np.sqrt(np.mean(np.square(self.membrane[:-1]))))


@dataclass(frozen=True)
class Range:
    """Magnitudes of the float network at `QUANTILES`, zeros left out, on the first `CHUNK` samples;
    and those that integers hold, from 1 to the largest. All in units of the layer's states."""

    name: str
    quantiles: tuple[float, ...]
    least: float
    most: float


@dataclass(frozen=True)
class Audit:
    """A network in integers against the float network, on the same samples.

    Attributes:
        samples, steps: Of the data.
        states: By layer and state.
        sources: The float network itself, ""; each source of error alone; noise; all parameters;
            the rounding of the states, against the float network with all parameters; the integers.
        first_spike: [B], the first step in which a hidden spike differs; `steps` for never.
        first_prediction: [B], likewise, of the predictions; 0 for the only one.
        ranges: Of every state, current and weight matrix.
    """

    samples: int
    steps: int
    states: dict[str, dict[str, StateAudit]]
    sources: dict[str, Source]
    first_spike: NDArray[np.int64]
    first_prediction: NDArray[np.int64]
    ranges: tuple[Range, ...]


def check_related(real: RealNetwork, fixed: FixedNetwork, model: str, where: str) -> None:
    """Raises: NetworkFileError, at `where`, if `fixed` is no export of `real`.

    model: the fingerprint of the float model.
    """
    ours, theirs = report.network_line(real), report.network_line(fixed)
    exported = str(fixed.provenance.get("model"))
    if ours != theirs:
        problem = f"the model is {ours}, the network {theirs}"
    elif exported != model:
        problem = f"the network was exported from model {exported[:8]}, this one is {model[:8]}"
    else:
        return
    raise NetworkFileError(
        f"{where}: do not belong together: {problem}. Name the model it was exported from."
    )


def real_parts(layer: RealLayer) -> Parts:
    """What the export rounds of a layer, by source: per step, and in units of its states."""
    gain = layer.neuron.weight_gain(layer.constants)
    weights = [gain * each for each in bare_weights(layer)]
    return _parts(layer, [*scaled_coefficients(layer), *weights], layer.constants)


def integer_parts(layer: FixedLayer, real: RealLayer) -> Parts:
    """As `real_parts`, of the integers. real: the layer that they stand for."""
    bits = layer.constants.state_bits, layer.constants.parameter_bits
    weights = [each.integers / layer.unit for each in (layer.weights, layer.recurrent) if each]
    constants = real.constants._asdict()
    for each in layer.neuron.constants:
        if each.name in constants and hasattr(layer.constants, each.name):
            integer = getattr(layer.constants, each.name)
            constants[each.name] = integer / each.scale(*bits, layer.unit)
    coefficients = layer.coefficients / 2.0 ** bits[1]
    return _parts(real, [*coefficients, *weights], type(real.constants)(**constants))


def _parts(layer: RealLayer, values: Sequence[Any], constants: Any) -> Parts:
    names = (*(each.label for each in layer.neuron.per_neuron), WEIGHTS, RECURRENT)
    return {CONSTANTS: constants, **dict(zip(names, values, strict=False))}


def layer_of(like: RealLayer, parts: Parts) -> RealLayer:
    """The layer in real numbers that has these parts."""
    neuron, constants = like.neuron, parts[CONSTANTS]
    scaled = [parts[each.label] / each.scale(constants) for each in neuron.per_neuron]
    layer = replace(like, coefficients=np.stack(scaled), constants=constants)
    gains = leaks(layer)[:, None] / neuron.weight_gain(constants)
    recurrent = gains * parts[RECURRENT] if RECURRENT in parts else None
    return replace(layer, weights=gains * parts[WEIGHTS], recurrent=recurrent)


def source_networks(real: RealNetwork, fixed: FixedNetwork) -> dict[str, RealNetwork]:
    """The float network with each source of error alone: first none, at last all parameters.

    A source that the integers hold exactly, but for `EXACT`, is left out.
    """
    ours = [real_parts(layer) for layer in real.layers]
    theirs = list(map(integer_parts, fixed.layers, real.layers))

    def network(parts: Sequence[Parts]) -> RealNetwork:
        return RealNetwork(tuple(map(layer_of, real.layers, parts)))

    found = {"": real}
    for k, layer in enumerate(fixed.layer_names):
        for source, value in theirs[k].items():
            if not np.allclose(value, ours[k][source], rtol=EXACT, atol=0):
                swapped = [*ours[:k], {**ours[k], source: value}, *ours[k + 1 :]]
                found[f"{layer} {source}"] = network(swapped)
    rng, noisy = np.random.default_rng(0), [dict(parts) for parts in ours]
    for parts in noisy:
        for source in {WEIGHTS, RECURRENT} & parts.keys():
            parts[source] = parts[source] * (1 + 1e-6 * rng.standard_normal(parts[source].shape))
    return {**found, NOISE: network(noisy), PARAMETERS: network(theirs)}


class _Run:
    """A network on x [T, B, I]: the signals [T, B, ...] into and out of its layers, and their
    states [T, S, B, N] after each step in real numbers."""

    def __init__(self, network: RealNetwork | FixedNetwork, x: Any) -> None:
        real = isinstance(network, RealNetwork)
        self.signals, self.states = [x.astype(np.float64) if real else x], []
        for layer in network.layers:
            signal, states = forward(layer, self.signals[-1], keep_states=True)
            self.signals.append(signal)
            self.states.append(states[1:] * scales(layer)[:, None, None])


def scales(layer: RealLayer | FixedLayer) -> NDArray[np.float64]:
    """What 1 of each state stands for, [S]."""
    return 1 / layer.units if isinstance(layer, FixedLayer) else np.ones(len(layer.neuron.states))


def first_step(found: NDArray[np.bool_], never: int) -> NDArray[np.int64]:
    """The first place along axis 0 that is true."""
    return np.where(found.any(0), found.argmax(0), never)


def audit(
    real: RealNetwork,
    fixed: FixedNetwork,
    samples: Samples,
    progress: Callable[[int], None] = lambda done: None,
) -> Audit:
    """Compare a network in integers with the float network that it was exported from.

    progress: called with the number of samples that are done.
    """
    check_input(fixed, samples.x)
    networks, (steps, count, _) = source_networks(real, fixed), samples.x.shape
    thetas = [getattr(layer.constants, "theta", 1.0) for layer in real.layers]
    did: dict[str, list[Any]] = {name: [] for name in (*networks, ARITHMETIC, INTEGERS)}
    reached: list[list[Any]] = [[] for _ in real.layers]
    first_spike: list[Any] = []
    ranges: tuple[Range, ...] = ()

    def note(name: str, run: _Run, base: _Run) -> None:
        """Predictions [B, P], spikes, and squares of the membranes' differences [L, T]."""
        pairs = zip(run.states, base.states, thetas, strict=True)
        squares = [np.square((a[:, 0] - b[:, 0]) / theta).mean(2).sum(1) for a, b, theta in pairs]
        spikes = sum(int(np.count_nonzero(each)) for each in run.signals[1:-1])
        did[name].append((samples.decision.predict(run.signals[-1]), spikes, np.array(squares)))

    for start in range(0, count, CHUNK):
        x = samples.x[:, start : start + CHUNK]
        base, integers = _Run(real, x), _Run(fixed, x)
        for name, network in networks.items():
            changed = _Run(network, x)
            note(name, changed, base)
        note(ARITHMETIC, integers, changed)  # which has all parameters
        note(INTEGERS, integers, base)
        pairs = zip(base.signals[1:-1], integers.signals[1:-1], strict=True)
        differs = np.any([(a != b).any(axis=2) for a, b in pairs], axis=0)
        first_spike.append(first_step(differs, steps))
        for k, layer in enumerate(fixed.layers):
            full = np.abs(integers.states[k]) >= (STATE_MAX * scales(layer))[:, None, None]
            peaks = [np.abs(each.states[k]).max((0, 2)) for each in (base, integers)]
            reached[k].append((peaks, full.sum((0, 2)), first_step(full.any(2), steps)))
        ranges = ranges or _ranges(real, fixed, base)
        progress(min(start + CHUNK, count))

    answers = {name: np.concatenate([part[0] for part in parts]) for name, parts in did.items()}
    sources = {}
    for name, parts in did.items():
        hits, counted = samples.decision.hits(answers[name], samples.labels)
        right = answers[PARAMETERS if name == ARITHMETIC else ""]
        sources[name] = Source(
            agreement=float((answers[name] == right).mean()),
            accuracy=hits / counted if counted else None,
            sops=sum(part[1] for part in parts) / count,
            membrane=np.sqrt(sum(part[2] for part in parts) / count),
        )
    return Audit(
        samples=count,
        steps=steps,
        states=dict(zip(fixed.layer_names, map(_states, fixed.layers, reached), strict=True)),
        sources=sources,
        first_spike=np.concatenate(first_spike),
        first_prediction=first_step(np.asarray(answers[INTEGERS] != answers[""]).T, steps),
        ranges=ranges,
    )


def _states(layer: FixedLayer, reached: Sequence[Any]) -> dict[str, StateAudit]:
    """reached: peaks [2, S, N], saturations [S, N] and first ones [S, N] of each chunk."""
    peaks, saturations, firsts = zip(*reached, strict=True)
    limits = STATE_MAX * scales(layer)
    each = (*np.max(peaks, axis=0), limits, np.sum(saturations, axis=0), np.min(firsts, axis=0))
    return {name: StateAudit(*of) for name, *of in zip(layer.neuron.states, *each, strict=True)}


def _ranges(real: RealNetwork, fixed: FixedNetwork, run: _Run) -> tuple[Range, ...]:
    """Of a run of the float network."""
    ranges = []
    for k, (name, layer) in enumerate(zip(fixed.layer_names, fixed.layers, strict=True)):
        parts, unit = real_parts(real.layers[k]), 1 / layer.unit
        matrices = {WEIGHTS: layer.weights, RECURRENT: layer.recurrent}
        steps = {key: unit * 2**each.exponent for key, each in matrices.items() if each is not None}
        currents = run.signals[k] @ parts[WEIGHTS].T
        if RECURRENT in steps:
            currents[1:] += run.signals[k + 1][:-1] @ parts[RECURRENT].T
        rows = [(key, parts[key], step, WEIGHT_MAX * step) for key, step in steps.items()]
        rows.append(("currents", currents, min(steps.values()), CURRENT_MAX * unit))
        states = zip(layer.neuron.states, run.states[k].swapaxes(0, 1), scales(layer), strict=True)
        rows += [(state, values, step, STATE_MAX * step) for state, values, step in states]
        for label, values, least, most in rows:
            if label != SPIKE and len(sizes := np.abs(values[values != 0])):
                quantiles = tuple(np.quantile(sizes, QUANTILES).tolist())
                ranges.append(Range(f"{name} {label}", quantiles, float(least), float(most)))
    return tuple(ranges)


def verdict(found: Audit) -> list[str]:
    """What it comes to, in three lines."""
    base, integers = found.sources[""], found.sources[INTEGERS]
    kept = "keep to" if integers.agreement >= AGREES else "differ from"
    accuracy = "" if base.accuracy is None else f", accuracy {base.accuracy:.2%}"
    accuracy += "" if integers.accuracy is None else f" -> {integers.accuracy:.2%}"
    full = [
        f"{layer} {name} ({np.count_nonzero(state.saturations)} neurons, first in step "
        f"{state.first_saturations.min()})"
        for layer, states in found.states.items()
        for name, state in states.items()
        if state.saturations.any()
    ]
    spikes, predictions = (
        each[each < found.steps] for each in (found.first_spike, found.first_prediction)
    )
    middle = f", the first time in step {np.median(spikes):.0f} (median)" if len(spikes) else ""
    return [
        f"The integers {kept} the float network: {integers.agreement:.2%} of the predictions are "
        f"equal{accuracy}, SOPs {base.sops:.1f} -> {integers.sops:.1f}.",
        f"Saturated: {', '.join(full)}." if full else "No state saturated.",
        f"Of {found.samples} samples, {len(spikes)} differ in a hidden spike{middle}, and "
        f"{len(predictions)} in a prediction.",
    ]


def source_table(found: Audit) -> Table:
    """The worst sources of error, each alone, and all together."""
    *alone, noise, parameters, arithmetic, integers = list(found.sources)[1:]
    alone.sort(key=lambda name: found.sources[name].agreement)
    rows = []
    for name in (*alone[:WORST], "", noise, arithmetic, parameters, integers):
        each = found.sources[name]
        accuracy = "" if each.accuracy is None else f"{each.accuracy:.2%}"
        cells = (name, f"{each.agreement:.2%}", accuracy, f"{each.sops:.1f}", f"{each.error:.3f}")
        rows.append(cells if name else ())
    columns = ("alone", ">same", ">accuracy", ">SOPs", ">membrane, theta")
    return report.table("What differs from the float network", columns, rows)


def state_table(found: Audit) -> Table:
    """The largest magnitudes of all states."""
    rows = [
        (
            f"{layer} {name}",
            *(f"{each.max():.4g} ({each.argmax()})" for each in (state.peaks, state.integer_peaks)),
            f"{state.limit:.4g}",
            f"{state.saturations.sum():,}",
        )
        for layer, states in found.states.items()
        for name, state in states.items()
        if name != SPIKE
    ]
    columns = ("state", ">float", ">integers", ">limit", ">saturations")
    return report.table("Largest magnitudes, and of which neuron", columns, rows)
