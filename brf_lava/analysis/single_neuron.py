"""One neuron alone, driven by spikes: its frequency response, and what balances it.

The response is that of the linear resonator (Higuchi et al. 2024): unit spikes drive the neuron,
its threshold is put out of reach, and its answer is the mean of |u| over the whole drive. Spikes
fall on whole steps: where omega's period is only tens of steps, that alone makes small peaks.

The refractory variable q of a BRF neuron raises the threshold (refractory period) and the damping
(smooth reset). A variant hands `real.brf_step` a threshold or a damping from which q is already
taken, so that what the step adds cancels: no equation is written a second time.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from brf_lava.analysis.draw import style
from brf_lava.analysis.resonators import EDGE, spectral_radius
from brf_lava.errors import ParameterError
from brf_lava.kernels import loop
from brf_lava.neurons import real
from brf_lava.neurons.boundary import check_omega, divergence_boundary
from brf_lava.neurons.families import DEFAULT, NEURONS, Neuron

RESPONDING = 20.0  # s
CHUNK = 32  # drives at a time; keeps their states within memory
RELATIVE = np.arange(20, 201) / 100  # frequencies of the drives, of omega
THETA = 1.0
DURATION, DRIVEN = 6.0, 4.0  # s; input spikes come in the first four
LARGEST = 1e100  # of a state; far beyond it there are no numbers, and no axis
VARIANTS = {  # refractory period, smooth reset
    f"neither ({DEFAULT.bare.name if DEFAULT.bare else ''})": (False, False),
    "refractory period": (True, False),
    "smooth reset": (False, True),
    f"both ({DEFAULT.name})": (True, True),
}


def spike_trains(frequencies: NDArray[np.float64], dt: float, steps: int) -> NDArray[np.int8]:
    """Regular unit spikes [steps, F, 1], one train per angular frequency in rad/s.

    The k-th spike comes in the step nearest to ``2 pi k / frequency``, the first in step 0.
    """
    trains = np.zeros((steps, len(frequencies), 1), np.int8)
    for index, frequency in enumerate(frequencies.tolist()):
        count = int(steps * dt * frequency / (2 * np.pi)) + 1
        at = np.rint(np.arange(count) * (2 * np.pi / frequency) / dt).astype(np.int64)
        trains[at[at < steps], index, 0] = 1
    return trains


def frequency_response(
    neuron: Neuron, omega: float, dt: float, relative: NDArray[np.float64], b_offset: float
) -> NDArray[np.float64]:
    """Drive one balanced neuron at ``relative * omega``, each for `RESPONDING`.

    omega: rad/s. dt: s. relative: [F], above 0. b_offset: 1/s. Returns: mean of |u|, [F].
    Raises: ParameterError for ``dt * omega >= 1``, and for so large a b_offset that the neuron
    overshoots and grows.
    """
    check_omega([omega], dt, "frequency-response, omega")
    constants: Any = neuron.real_constants(dt=dt, theta=np.inf, gamma=0.0)
    damping, _ = neuron.rule(omega, b_offset, constants)
    # balance lies in the damping alone
    if spectral_radius(neuron.bare or neuron, np.array([damping]), omega, dt)[0] > EDGE:
        raise ParameterError(
            f"frequency-response: b_offset {b_offset:g}/s; with it a {neuron.name} neuron of omega "
            f"{omega:g} rad/s overshoots in every step of {dt:g} s and grows. Lower b_offset or dt."
        )
    amplitudes = []
    for first in range(0, len(relative), CHUNK):
        _, states = loop.forward(
            neuron,
            np.ones((1, 1)),
            None,
            np.array([[damping], [omega]]),
            constants,
            spike_trains(relative[first : first + CHUNK] * omega, dt, round(RESPONDING / dt)),
            integers=False,
            keep_states=True,
        )
        amplitudes.append(np.abs(states[1:, 0, :, 0]).mean(axis=0))
    return np.concatenate(amplitudes)


def draw_responses(
    figure: Figure,
    omegas: Sequence[float],
    dt: float,
    relative: NDArray[np.float64],
    b_offset: float,
) -> None:
    """`frequency_response` for each omega over `relative`, one panel per balanced neuron."""
    neurons = [neuron for neuron in NEURONS.values() if neuron.bare is not None]
    figure.set_size_inches(5.0 * len(neurons), 4.0)
    panels = figure.subplots(1, len(neurons), squeeze=False)[0]
    for panel, neuron in zip(panels, neurons, strict=True):
        tops = []
        for index, omega in enumerate(omegas):
            amplitude = frequency_response(neuron, omega, dt, relative, b_offset)
            peak = relative[np.argmax(amplitude)]
            label = rf"$\omega$ = {omega:g} rad/s, peak at {peak:.2f} $\omega$"
            panel.plot(relative, amplitude, **style.look(index), label=label)
            tops.append(amplitude.max())
            panel.plot(peak, tops[-1], **style.look(index, marked=True))
        panel.axvline(1, color=style.GRAY, linewidth=0.8, zorder=0)
        panel.set(
            yscale="log",
            xlabel=r"frequency of the input spikes / $\omega$",
            ylabel="mean |u| over the drive (threshold = 1)",
            title=rf"{neuron.name}, $\delta$ = {dt:g} s",
        )
        panel.set_ylim(top=4 * max(tops))
        panel.legend(loc="upper right")
    drive = f"Unit spikes for {RESPONDING:g} s, no threshold"
    figure.suptitle(rf"{drive}, $b_\mathrm{{off}}$ = {b_offset:g} per s")


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
