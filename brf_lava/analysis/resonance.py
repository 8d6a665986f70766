"""The frequency response of a resonator below its threshold (Higuchi et al. 2024).

A train of unit spikes drives the neuron; its answer is the mean of |u| over the whole drive. The
threshold is put out of reach, so that the answer is that of the linear resonator. Spikes fall on
whole steps: where omega's period is only tens of steps, that alone makes small peaks of its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
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


@dataclass(frozen=True)
class Response:
    """The answer of one neuron.

    neuron: its name. omega: rad/s. relative [F]: frequency of the drive over omega.
    amplitude [F]: mean of |u|.
    """

    neuron: str
    omega: float
    relative: NDArray[np.float64]
    amplitude: NDArray[np.float64]

    @property
    def peak(self) -> float:
        """The relative frequency with the largest answer."""
        return float(self.relative[np.argmax(self.amplitude)])


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
    neuron: Neuron, omega: float, dt: float, relative: NDArray[np.float64], b_offset: float = 0.1
) -> Response:
    """Drive one balanced neuron at ``relative * omega``, each for `DURATION`.

    omega: rad/s. dt: s. relative: [F], above 0. b_offset: 1/s.
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
    return Response(neuron.name, omega, relative, np.concatenate(amplitudes))


def frequency_responses(
    omegas: Sequence[float], dt: float, relative: NDArray[np.float64], b_offset: float
) -> list[Response]:
    """`frequency_response` of each balanced neuron for each omega."""
    return [
        frequency_response(neuron, omega, dt, relative, b_offset)
        for neuron in NEURONS.values()
        if neuron.bare is not None
        for omega in omegas
    ]


def draw_responses(figure: Figure, found: Sequence[Response], dt: float, b_offset: float) -> None:
    """Mean of |u| over the relative frequency of the drive, one panel per neuron model."""
    names = list(dict.fromkeys(response.neuron for response in found))
    figure.set_size_inches(5.0 * len(names), 4.0)
    panels = figure.subplots(1, len(names), squeeze=False)[0]
    for panel, name in zip(panels, names, strict=True):
        for index, response in enumerate(r for r in found if r.neuron == name):
            label = rf"$\omega$ = {response.omega:g} rad/s, peak at {response.peak:.2f} $\omega$"
            panel.plot(response.relative, response.amplitude, **style.look(index), label=label)
            top = response.amplitude.max()
            panel.plot(response.peak, top, **style.look(index, marked=True))
        panel.axvline(1, color=style.GRAY, linewidth=0.8, zorder=0)
        panel.set(
            yscale="log",
            xlabel=r"frequency of the input spikes / $\omega$",
            ylabel="mean |u| over the drive (threshold = 1)",
            title=rf"{name}, $\delta$ = {dt:g} s",
        )
        panel.set_ylim(top=4 * max(r.amplitude.max() for r in found if r.neuron == name))
        panel.legend(loc="upper right")
    drive = f"Unit spikes for {DURATION:g} s, no threshold"
    figure.suptitle(rf"{drive}, $b_\mathrm{{off}}$ = {b_offset:g} per s")
