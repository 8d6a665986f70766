"""One BRF neuron with and without its two balancing mechanisms.

The refractory variable q raises the threshold (refractory period) and the damping (smooth reset).
A variant hands `real.brf_step` a threshold or a damping from which q is already taken, so that what
the step adds cancels: no equation is written a second time.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from brf_lava.analysis.draw import style
from brf_lava.analysis.resonance import spike_trains
from brf_lava.errors import ParameterError
from brf_lava.neurons import real
from brf_lava.neurons.boundary import check_omega, divergence_boundary
from brf_lava.neurons.families import DEFAULT

THETA = 1.0
DURATION, DRIVEN = 6.0, 4.0  # s; input spikes come in the first four
LARGEST = 1e100  # of a state; far beyond it there are no numbers, and no axis
VARIANTS = {  # refractory period, smooth reset
    f"neither ({DEFAULT.bare.name if DEFAULT.bare else ''})": (False, False),
    "refractory period": (True, False),
    "smooth reset": (False, True),
    f"both ({DEFAULT.name})": (True, True),
}


class Trace(NamedTuple):
    """What one of the `VARIANTS` did, all [T]: u, the refractory variable q after the step, the
    threshold that u was compared with, and spikes."""

    u: NDArray[np.float64]
    q: NDArray[np.float64]
    threshold: NDArray[np.float64]
    spikes: NDArray[np.bool_]


def single_neuron(
    *, omega: float, b_offset: float, dt: float, gamma: float, weight: float
) -> tuple[NDArray[np.int8], dict[str, Trace]]:
    """Run all variants from rest; input spikes come at omega.

    omega: rad/s. b_offset: 1/s. dt: s. gamma: per step. weight: of the input spikes.
    Returns: input spikes [T], and traces by variant.
    Raises: ParameterError for ``dt * omega >= 1``, and when a variant grows beyond `LARGEST`.
    """
    check_omega([omega], dt, "single-neuron, omega")
    steps = round(DURATION / dt)
    x = spike_trains(np.array([omega]), dt, steps)[:, 0, 0]
    x[round(DRIVEN / dt) :] = 0
    damping = divergence_boundary(omega, dt) - b_offset
    constants = real.BalancedConstants(dt, THETA, gamma)
    traces = {}
    for variant, (refractory, smooth_reset) in VARIANTS.items():
        state, rows = (0.0, 0.0, 0.0), []
        for current in (weight * x).tolist():
            q = state[2]
            bare = constants if refractory else constants._replace(theta=THETA - q)
            coefficients = (damping if smooth_reset else damping + q, omega)
            state, spike = DEFAULT.real_step(state, current, coefficients, bare)
            rows.append((state[0], state[2], THETA + q * refractory, bool(spike)))
        trace = traces[variant] = Trace(*map(np.array, zip(*rows, strict=True)))
        if not float(np.abs([trace.u, trace.q]).max()) <= LARGEST:  # also catches NaN
            raise ParameterError(
                f"single-neuron: b_offset {b_offset:g}/s, gamma {gamma:g}, weight {weight:g}: u or "
                f"q of variant '{variant}' grows beyond {LARGEST:g}. Lower b_offset, gamma, the "
                "weight or dt."
            )
    return x, traces


def draw_single_neuron(figure: Figure, **drive: float) -> None:
    """u with threshold and spikes above q, one column per variant of `single_neuron`."""
    x, traces = single_neuron(**drive)
    time = drive["dt"] * np.arange(1, len(x) + 1)
    figure.set_size_inches(12.0, 5.0)
    panels = figure.subplots(2, len(traces), sharex=True, sharey="row", height_ratios=(3, 1))
    bottom = min(float(trace.u.min()) for trace in traces.values())
    top = max(float(max(trace.u.max(), trace.threshold.max())) for trace in traces.values())
    tick = 0.08 * (top - bottom)
    for (upper, lower), (variant, trace) in zip(panels.T, traces.items(), strict=True):
        upper.plot(time, trace.u, color=style.BLUE, linewidth=1.0, label="membrane u")
        theta = {"linewidth": 0.9, "label": r"threshold, $\theta$ or $\theta$ + q"}
        upper.plot(time, trace.threshold, color=style.RED, linestyle="--", **theta)
        for spikes, base, color, width, label in (
            (trace.spikes, top + tick, style.BLACK, 0.7, "output spikes (top)"),
            (x > 0, bottom - 2 * tick, style.GREEN, 1.0, "input spikes (bottom)"),
        ):
            upper.vlines(time[spikes], base, base + tick, color=color, linewidth=width, label=label)
        upper.set_title(f"{variant}: {np.count_nonzero(trace.spikes)} spikes")
        look = {"color": style.GRAY, "linestyle": ":", "label": "q, without effect here"}
        if any(VARIANTS[variant]):
            look = {"color": style.PURPLE}
        lower.plot(time, trace.q, linewidth=1.0, **look)
        lower.set_xlabel("time (s)")
    largest = max(float(trace.q.max()) for trace in traces.values())
    panels[0, 0].set(ylim=(bottom - 2.5 * tick, top + 2.5 * tick), ylabel="membrane u")
    panels[1, 0].set(ylim=(-0.08 * largest, 1.6 * max(largest, 1e-3)), ylabel="refractory q")
    panels[1, 0].legend(loc="upper right")
    figure.legend(*panels[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=4)
    edge = divergence_boundary(drive["omega"], drive["dt"])
    figure.suptitle(
        rf"$\omega$ = {drive['omega']:g} rad/s, $b = p(\omega) - b_\mathrm{{off}}$ with "
        rf"$p(\omega) = {edge:.2f}$/s and $b_\mathrm{{off}}$ = {drive['b_offset']:g}/s, "
        rf"$\delta$ = {drive['dt']:g} s, $\gamma$ = {drive['gamma']:g}, "
        f"input weight {drive['weight']:g}"
    )
