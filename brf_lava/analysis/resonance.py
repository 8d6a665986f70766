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
from numpy.typing import NDArray

from brf_lava.analysis.stability import EDGE, spectral_radius
from brf_lava.errors import ParameterError
from brf_lava.kernels import loop
from brf_lava.neurons import boundary
from brf_lava.neurons.families import NEURONS, Neuron

DURATION = 20.0  # s
STEPS_MAX = 200_000  # of one drive, at 20 s a dt of 0.0001 s
LEAST_OMEGA = 1e-6  # rad/s; a period of two months
CHUNK = 32  # drives at a time; keeps their states within memory
BALANCED = tuple(neuron for neuron in NEURONS.values() if neuron.bare is not None)


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
    neuron: Neuron,
    omega: float,
    dt: float,
    relative: NDArray[np.float64],
    *,
    b_offset: float = 0.1,
    duration: float = DURATION,
) -> Response:
    """Drive one balanced neuron at ``relative * omega``, each for `duration` seconds.

    omega: rad/s. dt: s. relative: [F], above 0. b_offset: 1/s.
    Raises: ParameterError for a neuron that is neither, for ``dt * omega >= 1``, for so large a
    b_offset that the neuron overshoots and grows, and for other numbers out of range.
    """
    where = "frequency-response"
    if neuron.bare is None:
        raise ParameterError(
            f"{where}: neuron {neuron.name}; choose {' or '.join(each.name for each in BALANCED)}."
        )
    if not (dt > 0 and omega >= LEAST_OMEGA and 0 <= b_offset < np.inf and duration >= dt):
        raise ParameterError(
            f"{where}: dt {dt:g} s, omega {omega:g} rad/s, b_offset {b_offset:g}/s, {duration:g} s;"
            f" dt must be above 0, omega at least {LEAST_OMEGA:g}, b_offset at least 0 and finite, "
            "the duration at least dt. Choose others."
        )
    if not duration / dt <= STEPS_MAX:
        raise ParameterError(
            f"{where}: {duration / dt:.0f} steps; at most {STEPS_MAX} are run. Use a larger dt, or "
            "less time."
        )
    steps = round(duration / dt)
    boundary.check_omega([omega], dt, f"{where}, omega")
    constants: Any = neuron.real_constants(dt=dt, theta=np.inf, gamma=0.0)
    damping, _ = neuron.rule(omega, b_offset, constants)
    # balance lies in the damping alone
    if not spectral_radius(neuron.bare, np.array([damping]), omega, dt)[0] <= EDGE:
        raise ParameterError(
            f"{where}: b_offset {b_offset:g}/s; with it a {neuron.name} neuron of omega {omega:g} "
            f"rad/s overshoots in every step of {dt:g} s and grows. Lower b_offset or dt."
        )
    amplitudes = []
    for first in range(0, len(relative), CHUNK):
        _, states = loop.forward(
            neuron,
            spike_trains(relative[first : first + CHUNK] * omega, dt, steps),
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
) -> tuple[Response, ...]:
    """`frequency_response` of each balanced neuron for each omega."""
    return tuple(
        frequency_response(neuron, omega, dt, relative, b_offset=b_offset)
        for neuron in BALANCED
        for omega in omegas
    )
