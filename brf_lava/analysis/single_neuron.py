"""One BRF neuron with and without its two balancing mechanisms.

The refractory variable q raises the threshold (refractory period) and the damping (smooth reset).
A variant hands `real.brf_step` a threshold or a damping from which q is already taken, so that what
the step adds cancels: no equation is written a second time.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from brf_lava.analysis.resonance import LEAST_OMEGA, spike_trains
from brf_lava.errors import ParameterError
from brf_lava.neurons import real
from brf_lava.neurons.boundary import check_omega, divergence_boundary
from brf_lava.neurons.families import DEFAULT

BARE = DEFAULT.bare or DEFAULT  # without balance
STEPS_MAX = 200_000  # a plain Python loop takes seconds for more
LARGEST = 1e100  # of a state; far beyond it there are no numbers, and no axis
SHORT = f"shorter than the whole run, but so long that at most {STEPS_MAX:,} steps are run"


@dataclass(frozen=True)
class Variant:
    """Which of the two a neuron has."""

    title: str
    refractory: bool
    smooth_reset: bool


VARIANTS = (
    Variant(f"neither ({BARE.name})", refractory=False, smooth_reset=False),
    Variant("refractory period", refractory=True, smooth_reset=False),
    Variant("smooth reset", refractory=False, smooth_reset=True),
    Variant(f"both ({DEFAULT.name})", refractory=True, smooth_reset=True),
)


@dataclass(frozen=True)
class Drive:
    """The neuron and its input.

    omega: rad/s. b_offset: 1/s. dt: s. theta: threshold. gamma: per step. weight: of the input
    spikes, which come at omega for the first `driven` of `duration` seconds.
    Raises: ParameterError for numbers out of range.
    """

    omega: float = 10.0
    b_offset: float = 1.0
    dt: float = 0.01
    theta: float = 1.0
    gamma: float = 0.9
    weight: float = 100.0
    duration: float = 6.0
    driven: float = 4.0

    def __post_init__(self) -> None:
        for name, value, good, allowed in (
            ("dt", self.dt, self.dt > 0, "above 0 s"),
            ("dt", self.dt, self.duration / STEPS_MAX <= self.dt < self.duration, SHORT),
            ("omega", self.omega, self.omega >= LEAST_OMEGA, f"at least {LEAST_OMEGA:g} rad/s"),
            ("b_offset", self.b_offset, 0 <= self.b_offset < np.inf, "at least 0/s, and finite"),
            ("gamma", self.gamma, 0 <= self.gamma < 1, "at least 0 and below 1"),
            ("weight", self.weight, np.isfinite(self.weight), "finite"),
        ):
            if not good:
                raise ParameterError(
                    f"single-neuron: {name} {value:g}; must be {allowed}. Choose another."
                )
        check_omega([self.omega], self.dt, "single-neuron, omega")


@dataclass(frozen=True)
class Trace:
    """What one variant did, all [T]: u, the refractory variable q after the step, the threshold
    that u was compared with, and spikes."""

    variant: Variant
    u: NDArray[np.float64]
    q: NDArray[np.float64]
    threshold: NDArray[np.float64]
    spikes: NDArray[np.bool_]


@dataclass(frozen=True)
class SingleNeuron:
    """All variants under one input. time [T] s; x [T] input spikes."""

    drive: Drive
    time: NDArray[np.float64]
    x: NDArray[np.int8]
    traces: tuple[Trace, ...]


def step(
    variant: Variant,
    state: tuple[float, float, float],
    current: float,
    coefficients: tuple[float, float],
    constants: real.BalancedConstants,
) -> tuple[tuple[float, float, float], bool]:
    """`real.brf_step` of a neuron that lacks what `variant` lacks; q itself is kept as ever."""
    q = state[2]
    damping, omega = coefficients
    if not variant.smooth_reset:
        damping = damping + q
    if not variant.refractory:
        constants = constants._replace(theta=constants.theta - q)
    following, spike = DEFAULT.real_step(state, current, (damping, omega), constants)
    return following, bool(spike)


def single_neuron(drive: Drive) -> SingleNeuron:
    """Run all variants from rest. Raises: ParameterError when one grows beyond `LARGEST`."""
    steps = round(drive.duration / drive.dt)
    x = spike_trains(np.array([drive.omega]), drive.dt, steps)[:, 0, 0]
    x[round(drive.driven / drive.dt) :] = 0
    traces = tuple(_trace(variant, drive, x) for variant in VARIANTS)
    for trace in traces:
        largest = float(np.abs([trace.u, trace.q]).max())
        if not largest <= LARGEST:  # also catches NaN
            raise ParameterError(
                f"single-neuron: b_offset {drive.b_offset:g}/s, gamma {drive.gamma:g}, weight "
                f"{drive.weight:g}: u or q of variant '{trace.variant.title}' grows "
                f"beyond {LARGEST:g}. Lower b_offset, gamma, the weight or dt."
            )
    return SingleNeuron(drive, drive.dt * np.arange(1, steps + 1, dtype=np.float64), x, traces)


def _trace(variant: Variant, drive: Drive, x: NDArray[np.int8]) -> Trace:
    constants = real.BalancedConstants(drive.dt, drive.theta, drive.gamma)
    coefficients = (divergence_boundary(drive.omega, drive.dt) - drive.b_offset, drive.omega)
    state = (0.0, 0.0, 0.0)
    rows = []
    for arrived in x.tolist():
        threshold = drive.theta + (state[2] if variant.refractory else 0.0)
        state, spike = step(variant, state, drive.weight * arrived, coefficients, constants)
        rows.append((state[0], state[2], threshold, spike))
    u, q, thresholds, spikes = (np.array(column) for column in zip(*rows, strict=True))
    return Trace(variant, u, q, thresholds, spikes.astype(np.bool_))
