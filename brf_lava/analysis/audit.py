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
from brf_lava.analysis.scores import AGREES, Fidelity, measure_fidelity
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
EXACT = 1e-7  # relative, of single precision: what differs by less is no source of error
QUANTILES = (0.001, 0.25, 0.5, 0.75, 1.0)

Parts = dict[str, Any]


@dataclass(frozen=True)
class Audit:
    """A network in integers against the float network, on the same samples.

    Attributes:
        states: By layer and state, such as "hidden1 u", of each neuron [N]: the largest magnitudes
            in the float network ("float") and in the integers ("integers"), how often these stood
            at their limit ("saturations"), and in which step first ("first"; T for never).
        sources: Of the float network with each source of error alone; with all parameters; of the
            integers, against that (`ARITHMETIC`) and against the float network (`INTEGERS`).
        membrane: [L, T], RMS over samples and neurons of what the membranes of a layer differ by,
            in thresholds; in its own unit for the readout.
        first_spike: [B], the first step in which a hidden spike differs; T for never.
        first_prediction: [B], likewise, of the predictions; 0 for the only one.
        ranges: Of every state, current and weight matrix, in units of the layer's states: the
            magnitudes in the float network at `QUANTILES`, zeros left out, on the first `CHUNK`
            samples; then those that integers hold, from 1 to the largest.
    """

    states: dict[str, dict[str, NDArray[Any]]]
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
    networks, (steps, count, _) = source_networks(real, fixed), samples.x.shape
    sources: dict[str, Fidelity] = {}
    reached: dict[str, list[Any]] = {name: [] for name in fixed.layer_names}
    squares = np.zeros((len(reached), steps))
    differs = np.zeros((steps, count), bool)
    with report.step_progress("audit, networks", len(networks) + 1) as advance:
        floats = answers(real, samples)
        for name, network in networks.items():
            sources[name] = measure_fidelity(floats, network, samples)
            advance(len(sources))
        exact = answers(networks[PARAMETERS], samples)
        sources[ARITHMETIC] = measure_fidelity(exact, fixed, samples)
        sources[INTEGERS] = measure_fidelity(floats, fixed, samples)
        for start in range(0, count, CHUNK):
            part = slice(start, start + CHUNK)
            runs = (_run(network, samples.x[:, part]) for network in (real, fixed))
            layers = zip(fixed.layers, real.layers, *runs, strict=True)
            for k, (layer, like, (_, ours, floating), (_, theirs, integers)) in enumerate(layers):
                full = np.abs(integers) >= STATE_MAX
                peaks = [np.abs(each).max((0, 2)) for each in (floating, integers)]
                first = first_step(full.any(2), steps)
                reached[fixed.layer_names[k]].append((*peaks, full.sum((0, 2)), first))
                error = integers[:, 0] / layer.unit - floating[:, 0]
                theta = getattr(like.constants, "theta", 1.0)
                squares[k] += np.square(error / theta).mean(2).sum(1)
                if layer.neuron.spiking:
                    differs[:, part] |= (ours != theirs).any(2)
    states = {}
    for name, layer in zip(fixed.layer_names, fixed.layers, strict=True):
        most, kept, saturations, firsts = map(np.stack, zip(*reached[name], strict=True))
        for s, (state, unit) in enumerate(zip(layer.neuron.states, layer.units, strict=True)):
            if state != SPIKE:
                states[f"{name} {state}"] = {
                    "float": most[:, s].max(0),
                    "integers": kept[:, s].max(0) / unit,
                    "saturations": saturations[:, s].sum(0),
                    "first": firsts[:, s].min(0),
                }
    return Audit(
        states=states,
        sources=sources,
        membrane=np.sqrt(squares / count),
        first_spike=first_step(differs, steps),
        first_prediction=first_step((answers(fixed, samples)[0] != floats[0]).T, steps),
        ranges=value_ranges(real, fixed, samples.x[:, :CHUNK]),
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


def value_ranges(real: RealNetwork, fixed: FixedNetwork, x: Any) -> dict[str, list[float]]:
    """See `Audit.ranges`. x: [T, B, I]."""
    found = {}
    each = zip(fixed.layer_names, fixed.layers, real.layers, _run(real, x), strict=True)
    for name, layer, like, (inputs, spikes, states) in each:
        parts, matrices = real_parts(like), {WEIGHTS: layer.weights, RECURRENT: layer.recurrent}
        steps = {key: 2**each.exponent / layer.unit for key, each in matrices.items() if each}
        currents = inputs @ parts[WEIGHTS].T
        if RECURRENT in steps:
            currents[1:] += spikes[:-1] @ parts[RECURRENT].T
        rows = [(key, parts[key], step, WEIGHT_MAX * step) for key, step in steps.items()]
        rows.append(("currents", currents, min(steps.values()), CURRENT_MAX / layer.unit))
        for s, (state, one) in enumerate(zip(layer.neuron.states, layer.units, strict=True)):
            rows.append((state, states[:, s], 1 / one, STATE_MAX / one))
        for label, values, least, most in rows:
            if label != SPIKE and len(sizes := np.abs(values[values != 0])):
                found[f"{name} {label}"] = [*np.quantile(sizes, QUANTILES).tolist(), least, most]
    return found


def verdict(found: Audit) -> list[str]:
    """What it comes to, in three lines."""
    integers = found.sources[INTEGERS]
    kept = "keep to" if integers.agreement >= AGREES else "differ from"
    accuracy = ""
    if integers.accuracies is not None:
        accuracy = ", accuracy {:.2%} -> {:.2%}".format(*integers.accuracies)
    full = [
        f"{name} ({np.count_nonzero(state['saturations'])} neurons, first in step "
        f"{state['first'].min()})"
        for name, state in found.states.items()
        if state["saturations"].any()
    ]
    steps = found.membrane.shape[1]
    spikes, predictions = (e[e < steps] for e in (found.first_spike, found.first_prediction))
    middle = f", the first time in step {np.median(spikes):.0f} (median)" if len(spikes) else ""
    return [
        f"The integers {kept} the float network: {integers.agreement:.2%} of the predictions are "
        "equal{}, SOPs {:.1f} -> {:.1f}.".format(accuracy, *integers.sops),
        f"Saturated: {', '.join(full)}." if full else "No state saturated.",
        f"Of {integers.samples} samples, {len(spikes)} differ in a hidden spike{middle}, and "
        f"{len(predictions)} in some prediction.",
    ]


def tables(found: Audit) -> tuple[Table, Table]:
    """The sources of error, each alone and all together; the largest magnitudes of all states."""
    rows: list[tuple[str, ...]] = []
    for name, each in found.sources.items():
        accuracy = f"{each.accuracies[1]:.2%}" if each.accuracies else ""
        rows.append((name, f"{each.agreement:.2%}", accuracy, f"{each.sops[1]:.1f}"))
    columns = ["alone", ">same", ">accuracy", ">SOPs"]
    sources = report.table("What differs from the float network", columns, rows)
    rows = []
    for name, state in found.states.items():
        peaks = [f"{state[k].max():.4g} ({state[k].argmax()})" for k in ("float", "integers")]
        limit = f"{found.ranges[name][-1]:.4g}" if name in found.ranges else ""
        rows.append((name, *peaks, limit, f"{state['saturations'].sum():,}"))
    columns = ["state", ">float", ">integers", ">limit", ">saturations"]
    return sources, report.table("Largest magnitudes, and of which neuron", columns, rows)


def draw_audit(figure: Any, found: Audit, title: str) -> None:
    """Box and whiskers of every state, current and matrix on the data, with a grey box for the
    range of its integers; and RMS of what the membranes differ by, over time."""
    from brf_lava.analysis.draw import style

    names, places = list(found.ranges), range(len(found.ranges))
    figure.set_size_inches(9.0, 2.6 + 0.3 * len(names))
    upper, lower = figure.subplots(2, 1, height_ratios=[0.3 * len(names), 1.6])
    ranges = np.array(list(found.ranges.values())).T
    least, low, middle, high, most, first, last = ranges
    upper.barh(places, last - first, 0.8, first, color=style.PALE)
    upper.hlines(places, least, most, color=style.BLUE, zorder=2)
    upper.barh(places, high - low, 0.5, low, color="white", edgecolor=style.BLUE, zorder=3)
    upper.plot(middle, places, "|", color=style.RED, markersize=10, zorder=4)
    upper.set_xscale("log", base=2)
    upper.set(xlim=(first.min() / 30, 2 * ranges.max()))  # smaller values round to 0
    upper.set_yticks(places, names)
    upper.invert_yaxis()
    upper.set_xlabel("magnitude, in units of the states; gray: what integers hold")
    for index, error in enumerate(found.membrane[:-1]):
        lower.plot(error, **style.look(index), label=f"hidden{index + 1}")
    lower.set(xlabel="step", ylabel="RMS of integers\nminus float (theta)")
    lower.legend()
    style.write_title(figure, title)
