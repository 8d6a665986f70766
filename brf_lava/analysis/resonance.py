"""The frequency response of a resonator below its threshold (Higuchi et al. 2024).

A train of unit spikes drives the neuron; its answer is the mean of |u| over the whole drive. The
threshold is put out of reach, so that the answer is that of the linear resonator. Spikes fall on
whole steps: where omega's period is only tens of steps, that alone makes small peaks of its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from brf_lava.analysis.draw import style
from brf_lava.analysis.resonators import EDGE, spectral_radius
from brf_lava.errors import ParameterError
from brf_lava.kernels import loop
from brf_lava.neurons import boundary
from brf_lava.neurons.families import NEURONS, Neuron

DURATION = 20.0  # s
CHUNK = 32  # drives at a time; keeps their states within memory


def relative_frequencies(width: float, upto: float, start: float = 0.2) -> NDArray[np.float64]:
    """Bins at the multiples of `width` from about `start` to about `upto`; 1 is among them."""
    below, above = int((1 - start) / width + 1e-9), int((upto - 1) / width + 1e-9)
    return 1 + width * np.arange(-below, above + 1, dtype=np.float64)


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
    """Drive one balanced neuron at ``relative * omega``, each for `DURATION`.

    omega: rad/s. dt: s. relative: [F], above 0. b_offset: 1/s. Returns: mean of |u|, [F].
    Raises: ParameterError for ``dt * omega >= 1``, and for so large a b_offset that the neuron
    overshoots and grows.
    """
    boundary.check_omega([omega], dt, "frequency-response, omega")
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
            spike_trains(relative[first : first + CHUNK] * omega, dt, round(DURATION / dt)),
            np.ones((1, 1)),
            None,
            np.array([[damping], [omega]]),
            constants,
            integers=False,
            keep_states=True,
        )
        amplitudes.append(np.abs(states[1:, 0, :, 0]).mean(axis=0))
    return np.concatenate(amplitudes)


def draw_responses(
    figure: Figure, omegas: Sequence[float], dt: float, relative: NDArray[np.float64],
    b_offset: float,
) -> None:  # fmt: skip
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
    drive = f"Unit spikes for {DURATION:g} s, no threshold"
    figure.suptitle(rf"{drive}, $b_\mathrm{{off}}$ = {b_offset:g} per s")
