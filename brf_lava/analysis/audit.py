"""Where a network in integers differs from the float network that it was exported from."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.table import Table

from brf_lava import report
from brf_lava.analysis.activity import CHUNK, AnyNetwork, Samples, answers
from brf_lava.analysis.fidelity import Fidelity, measure_fidelity
from brf_lava.backends.engine import check_input
from brf_lava.backends.states import SPIKE
from brf_lava.export.dequantize import dequantize_layer
from brf_lava.export.quantize import scaled_coefficients
from brf_lava.export.rounding import bare_weights, leaks
from brf_lava.network.forward import forward
from brf_lava.network.layers import WEIGHT_MAX, FixedLayer, FixedNetwork, RealLayer, RealNetwork
from brf_lava.neurons.fixed import CURRENT_MAX, STATE_MAX

WEIGHTS, RECURRENT, CONSTANTS = "weights", "recurrent weights", "constants"
PARAMETERS, ARITHMETIC, INTEGERS = "all parameters", "rounding of the states", "the integers"
AGREES = 0.9  # share of equal predictions from which on integers keep to the float network
EXACT = 1e-7  # relative, of single precision: what differs by less is no source of error
QUANTILES = (0.001, 0.25, 0.5, 0.75, 1.0)

Parts = dict[str, Any]


@dataclass(frozen=True)
class StateAudit:
    """One state of a layer, by neuron [N]: the largest magnitudes in the float network and in the
    integers, how often these stood at their limit, and in which step first (or `steps`)."""

    peaks: NDArray[np.float64]
    integer_peaks: NDArray[np.float64]
    limit: float
    saturations: NDArray[np.int64]
    first_saturations: NDArray[np.int64]


@dataclass(frozen=True)
class Audit:
    """A network in integers against the float network, on the same samples.

    Attributes:
        samples, steps: Of the data.
        states: By layer and state, such as "hidden1 u"; spikes left out.
        sources: Of the float network with each source of error alone; with all parameters; of the
            integers, against that (`ARITHMETIC`) and against the float network (`INTEGERS`).
        membrane: [L, T], RMS over samples and neurons of what the membranes of a layer differ by,
            in thresholds; in its own unit for the readout.
        first_spike: [B], the first step in which a hidden spike differs; `steps` for never.
        first_prediction: [B], likewise, of the predictions; 0 for the only one.
        ranges: Of every state, current and weight matrix, in units of the layer's states: the
            magnitudes in the float network at `QUANTILES`, zeros left out, on the first `CHUNK`
            samples; then those that integers hold, from 1 to the largest.
    """

    samples: int
    steps: int
    states: dict[str, StateAudit]
    sources: dict[str, Fidelity]
    membrane: NDArray[np.float64]
    first_spike: NDArray[np.int64]
    first_prediction: NDArray[np.int64]
    ranges: dict[str, list[float]]


def real_parts(layer: RealLayer) -> Parts:
    """What the export rounds of a layer, by source: per step, and in units of its states."""
    neuron = layer.neuron
    labels = [each.label for each in neuron.per_neuron]
    weights = [neuron.weight_gain(layer.constants) * each for each in bare_weights(layer)]
    return {
        CONSTANTS: layer.constants,
        **dict(zip(labels, scaled_coefficients(layer), strict=True)),
        **dict(zip((WEIGHTS, RECURRENT), weights, strict=False)),
    }


def integer_parts(layer: FixedLayer, real: RealLayer) -> Parts:
    """As `real_parts`, of the integers. real: the layer that they stand for."""
    bits = layer.constants.state_bits, layer.constants.parameter_bits, layer.unit
    constants = {
        each.name: getattr(layer.constants, each.name) / each.scale(*bits)
        for each in layer.neuron.constants
        if each.name in layer.constants._fields
    }
    return real_parts(dequantize_layer(layer, real.constants._replace(**constants)))


def layer_of(like: RealLayer, parts: Parts) -> RealLayer:
    """The layer in real numbers that has these parts."""
    neuron, constants = like.neuron, parts[CONSTANTS]
    scaled = [parts[each.label] / each.scale(constants) for each in neuron.per_neuron]
    layer = replace(like, coefficients=np.stack(scaled), constants=constants)
    gains = leaks(layer)[:, None] / neuron.weight_gain(constants)
    recurrent = gains * parts[RECURRENT] if RECURRENT in parts else None
    return replace(layer, weights=gains * parts[WEIGHTS], recurrent=recurrent)


def source_networks(real: RealNetwork, fixed: FixedNetwork) -> dict[str, RealNetwork]:
    """The float network with each source of error alone, and with all parameters.

    A source that the integers hold exactly, but for `EXACT`, is left out.
    """
    ours = [real_parts(layer) for layer in real.layers]
    theirs = list(map(integer_parts, fixed.layers, real.layers))
    found = {}
    for k, layer in enumerate(fixed.layer_names):
        for source, value in theirs[k].items():
            if not np.allclose(value, ours[k][source], rtol=EXACT, atol=0):
                found[f"{layer} {source}"] = [*ours[:k], {**ours[k], source: value}, *ours[k + 1 :]]
    found[PARAMETERS] = theirs
    return {name: RealNetwork((*map(layer_of, real.layers, each),)) for name, each in found.items()}


def audit(real: RealNetwork, fixed: FixedNetwork, samples: Samples) -> Audit:
    """Compare a network in integers with the float network that it was exported from."""
    check_input(fixed, samples.x)
    networks: dict[str, AnyNetwork] = {**source_networks(real, fixed), INTEGERS: fixed}
    steps, count, _ = samples.x.shape
    sources: dict[str, Fidelity] = {}
    reached: dict[str, list[Any]] = {name: [] for name in fixed.layer_names}
    squares = np.zeros((len(reached), steps))
    differs = np.zeros((steps, count), bool)
    ranges: dict[str, list[float]] = {}
    with report.step_progress("audit, networks", len(networks) + 1) as advance:
        floats = answers(real, samples)
        for name, network in networks.items():
            sources[name] = measure_fidelity(floats, network, samples)
            advance(len(sources))
        rounded = answers(networks[PARAMETERS], samples)
        sources[ARITHMETIC] = measure_fidelity(rounded, fixed, samples)
        for start in range(0, count, CHUNK):
            part = slice(start, start + CHUNK)
            runs = (_run(network, samples.x[:, part]) for network in (real, fixed))
            layers = zip(fixed.layers, real.layers, *runs, strict=True)
            for k, (layer, like, (x, ours, real_states), (_, theirs, states)) in enumerate(layers):
                name, full = fixed.layer_names[k], np.abs(states) >= STATE_MAX
                most = [np.abs(each).max((0, 2)) for each in (real_states, states)]
                reached[name].append((*most, full.sum((0, 2)), first_step(full.any(2), steps)))
                error = states[:, 0] / layer.unit - real_states[:, 0]
                theta = getattr(like.constants, "theta", 1.0)
                squares[k] += np.square(error / theta).mean(2).sum(1)
                if layer.neuron.spiking:
                    differs[:, part] |= (ours != theirs).any(2)
                if not start:
                    ranges |= _ranges(name, layer, like, x, ours, real_states)
    audits = {}
    for name, layer in zip(fixed.layer_names, fixed.layers, strict=True):
        peaks, integers, saturations, firsts = map(np.array, zip(*reached[name], strict=True))
        for s, (state, unit) in enumerate(zip(layer.neuron.states, layer.units, strict=True)):
            audits[f"{name} {state}"] = StateAudit(
                peaks=peaks[:, s].max(0),
                integer_peaks=integers[:, s].max(0) / unit,
                limit=STATE_MAX / unit,
                saturations=saturations[:, s].sum(0),
                first_saturations=firsts[:, s].min(0),
            )
    return Audit(
        samples=count,
        steps=steps,
        states={name: each for name, each in audits.items() if not name.endswith(f" {SPIKE}")},
        sources=sources,
        membrane=np.sqrt(squares / count),
        first_spike=first_step(differs, steps),
        first_prediction=first_step((answers(fixed, samples)[0] != floats[0]).T, steps),
        ranges=ranges,
    )


def _run(network: AnyNetwork, x: Any) -> Iterator[tuple[Any, Any, Any]]:
    """Of each layer the signals [T, B, ...] into and out of it, and its states [T, S, B, N]."""
    signal = x.astype(np.float64) if isinstance(network, RealNetwork) else x
    for layer in network.layers:
        before = signal
        signal, states = forward(layer, before, keep_states=True)
        yield before, signal, states[1:]


def first_step(found: NDArray[np.bool_], never: int) -> NDArray[np.int64]:
    """The first place along axis 0 that is true."""
    return np.where(found.any(0), found.argmax(0), never)


def _ranges(
    name: str, layer: FixedLayer, real: RealLayer, x: Any, spikes: Any, states: Any
) -> dict[str, list[float]]:
    """See `Audit.ranges`; x, spikes, states: of the float network."""
    parts, unit = real_parts(real), 1 / layer.unit
    matrices = {WEIGHTS: layer.weights, RECURRENT: layer.recurrent}
    steps = {key: unit * 2**each.exponent for key, each in matrices.items() if each is not None}
    currents = x @ parts[WEIGHTS].T
    if RECURRENT in steps:
        currents[1:] += spikes[:-1] @ parts[RECURRENT].T
    rows = [(key, parts[key], step, WEIGHT_MAX * step) for key, step in steps.items()]
    rows.append(("currents", currents, min(steps.values()), CURRENT_MAX * unit))
    for s, (state, one) in enumerate(zip(layer.neuron.states, layer.units, strict=True)):
        rows.append((state, states[:, s], 1 / one, STATE_MAX / one))
    return {
        f"{name} {label}": [*np.quantile(sizes, QUANTILES).tolist(), float(least), float(most)]
        for label, values, least, most in rows
        if label != SPIKE and len(sizes := np.abs(values[values != 0]))
    }


def verdict(found: Audit) -> list[str]:
    """What it comes to, in three lines."""
    integers = found.sources[INTEGERS]
    kept = "keep to" if integers.agreement >= AGREES else "differ from"
    accuracy = ""
    if integers.accuracies is not None:
        accuracy = ", accuracy {:.2%} -> {:.2%}".format(*integers.accuracies)
    full = [
        f"{name} ({np.count_nonzero(state.saturations)} neurons, first in step "
        f"{state.first_saturations.min()})"
        for name, state in found.states.items()
        if state.saturations.any()
    ]
    spikes, predictions = (
        each[each < found.steps] for each in (found.first_spike, found.first_prediction)
    )
    middle = f", the first time in step {np.median(spikes):.0f} (median)" if len(spikes) else ""
    return [
        f"The integers {kept} the float network: {integers.agreement:.2%} of the predictions are "
        "equal{}, SOPs {:.1f} -> {:.1f}.".format(accuracy, *integers.sops),
        f"Saturated: {', '.join(full)}." if full else "No state saturated.",
        f"Of {found.samples} samples, {len(spikes)} differ in a hidden spike{middle}, and "
        f"{len(predictions)} in a prediction.",
    ]


def tables(found: Audit) -> tuple[Table, Table]:
    """The sources of error, each alone and all together; the largest magnitudes of all states."""
    together = (ARITHMETIC, PARAMETERS, INTEGERS)
    alone = [name for name in found.sources if name not in together]
    rows: list[tuple[str, ...]] = []
    for name in (*sorted(alone, key=lambda name: found.sources[name].agreement), *together):
        each = found.sources[name]
        accuracy = "" if each.accuracies is None else f"{each.accuracies[1]:.2%}"
        rows.append((name, f"{each.agreement:.2%}", accuracy, f"{each.sops[1]:.1f}"))
    rows.insert(len(alone), ())
    columns = ["alone", ">same", ">accuracy", ">SOPs"]
    sources = report.table("What differs from the float network", columns, rows)
    rows = [
        (
            name,
            *(f"{each.max():.4g} ({each.argmax()})" for each in (state.peaks, state.integer_peaks)),
            f"{state.limit:.4g}",
            f"{state.saturations.sum():,}",
        )
        for name, state in found.states.items()
    ]
    columns = ["state", ">float", ">integers", ">limit", ">saturations"]
    return sources, report.table("Largest magnitudes, and of which neuron", columns, rows)
