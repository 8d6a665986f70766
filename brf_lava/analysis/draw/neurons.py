"""Pictures of single neurons: stability, frequency response, and what balances them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from brf_lava.analysis.draw import style
from brf_lava.analysis.stability import EDGE, PLANES, plane_of, spectral_radius
from brf_lava.neurons.boundary import divergence_boundary
from brf_lava.neurons.families import NEURONS

if TYPE_CHECKING:
    from brf_lava.analysis.parameters import Resonators
    from brf_lava.analysis.resonance import Response
    from brf_lava.analysis.single_neuron import SingleNeuron
    from brf_lava.analysis.stability import StabilityMap


def draw_boundary(
    figure: Figure, maps: Sequence[StabilityMap], layers: Sequence[Resonators], title: str
) -> None:
    """Stable region and balanced damping over omega, one panel per map, with trained neurons."""
    figure.set_size_inches(5.4 * len(maps), 4.4)
    panels = figure.subplots(1, len(maps), squeeze=False)[0]
    for panel, found in zip(panels, maps, strict=True):
        panel.contourf(
            found.omega, found.damping, found.radius, levels=[0, EDGE], colors=[style.PALE]
        )
        panel.axhline(0, color=style.GRAY, linewidth=0.8)
        panel.plot(
            found.omega,
            found.boundary,
            color=style.BLUE,
            label=plane_of(PLANES[found.plane]).formula,
        )
        for layer in layers:
            if (layer.plane, layer.dt) == (found.plane, found.dt):
                _mark_neurons(panel, layer, f", layer {layer.layer}" if len(layers) > 1 else "")
        panel.add_patch(Rectangle((0, 0), 0, 0, color=style.PALE, label="no state grows"))
        panel.set(
            xlim=(0, found.omega[-1]),
            ylim=(found.damping[0], found.damping[-1]),
            xlabel=r"angular frequency $\omega$ (rad/s)",
            ylabel=r"damping $b$ (1/s)",
            title=rf"{_names(found.plane)}, $\delta$ = {found.dt:g} s",
        )
        panel.legend(loc="best")
    style.write_title(figure, title)


def _names(plane: str) -> str:
    """The neurons of this package that lie in a plane, such as ``RF and BRF``."""
    shared = plane_of(PLANES[plane])
    return " and ".join(name for name, neuron in NEURONS.items() if neuron.plane == shared)


def _mark_neurons(panel: Any, layer: Resonators, which: str) -> None:
    if layer.neuron != layer.plane:  # a balanced one: where would it be without?
        bare = layer.bare_damping
        growing = np.count_nonzero(
            spectral_radius(PLANES[layer.plane], bare, layer.omega, layer.dt) > EDGE
        )
        label = (
            f"the same as {layer.plane}, b = {plane_of(layer.record).bare}: "
            f"{growing} of {len(bare)} grow{which}"
        )
        style.draw_points(panel, layer.omega, bare, "s", style.ORANGE, label, 4, filled=False)
    label = f"trained {layer.neuron} neurons{which}"
    style.draw_points(panel, layer.omega, layer.damping, "o", style.RED, label, 4)


def draw_responses(figure: Figure, responses: Sequence[Response], dt: float, title: str) -> None:
    """Mean of |u| over the relative frequency of the drive, one panel per neuron model."""
    names = list(dict.fromkeys(response.neuron for response in responses))
    figure.set_size_inches(5.0 * len(names), 4.0)
    panels = figure.subplots(1, len(names), squeeze=False)[0]
    for panel, name in zip(panels, names, strict=True):
        for index, response in enumerate(r for r in responses if r.neuron == name):
            line, form = style.look(index), style.marker(index)
            label = rf"$\omega$ = {response.omega:g} rad/s, peak at {response.peak:.2f} $\omega$"
            panel.plot(response.relative, response.amplitude, **line, label=label)
            top = response.amplitude.max()
            panel.plot(response.peak, top, color=line["color"], marker=form, markersize=5)
        panel.axvline(1, color=style.GRAY, linewidth=0.8, zorder=0)
        panel.set(
            yscale="log",
            xlabel=r"frequency of the input spikes / $\omega$",
            ylabel="mean |u| over the drive (threshold = 1)",
            title=rf"{name}, $\delta$ = {dt:g} s",
        )
        panel.set_ylim(top=4 * max(r.amplitude.max() for r in responses if r.neuron == name))
        panel.legend(loc="upper right")
    figure.suptitle(title)


def draw_single_neuron(figure: Figure, found: SingleNeuron) -> None:
    """u with threshold and spikes above q, one column per variant."""
    figure.set_size_inches(12.0, 5.0)
    panels = figure.subplots(
        2, len(found.traces), sharex=True, sharey="row", height_ratios=(3, 1), squeeze=False
    )
    arrived = found.time[found.x > 0]
    bottom = min(float(trace.u.min()) for trace in found.traces)
    top = max(float(max(trace.u.max(), trace.threshold.max())) for trace in found.traces)
    tick = 0.08 * (top - bottom)
    for (upper, lower), trace in zip(panels.T, found.traces, strict=True):
        fired = found.time[trace.spikes]
        upper.plot(found.time, trace.u, color=style.BLUE, linewidth=1.0, label="membrane u")
        theta = r"threshold, $\theta$ or $\theta$ + q"
        red = {"color": style.RED, "linestyle": "--", "linewidth": 0.9}
        upper.plot(found.time, trace.threshold, **red, label=theta)
        for times, base, color, width, label in (
            (fired, top + tick, style.BLACK, 0.7, "output spikes (top)"),
            (arrived, bottom - 2 * tick, style.GREEN, 1.0, "input spikes (bottom)"),
        ):
            upper.vlines(times, base, base + tick, color=color, linewidth=width, label=label)
        upper.set_title(f"{trace.variant.title}: {len(fired)} spikes")
        used = trace.variant.refractory or trace.variant.smooth_reset
        lower.plot(
            found.time,
            trace.q,
            color=style.PURPLE if used else style.GRAY,
            linestyle="-" if used else ":",
            linewidth=1.0,
            label=None if used else "q, without effect here",
        )
        lower.set_xlabel("time (s)")
    largest = max(float(trace.q.max()) for trace in found.traces)
    panels[0, 0].set(ylim=(bottom - 2.5 * tick, top + 2.5 * tick), ylabel="membrane u")
    panels[1, 0].set(ylim=(-0.08 * largest, 1.6 * max(largest, 1e-3)), ylabel="refractory q")
    panels[1, 0].legend(loc="upper right")
    figure.legend(*panels[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=4)
    drive = found.drive
    base = divergence_boundary(drive.omega, drive.dt)
    figure.suptitle(
        rf"$\omega$ = {drive.omega:g} rad/s, $b = p(\omega) - b_\mathrm{{off}}$ with "
        rf"$p(\omega) = {base:.2f}$/s and $b_\mathrm{{off}}$ = {drive.b_offset:g}/s, "
        rf"$\delta$ = {drive.dt:g} s, $\gamma$ = {drive.gamma:g}, "
        f"input weight {drive.weight:g}"
    )
