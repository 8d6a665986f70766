"""Where a resonator is stable: the published boundary, and the eigenvalues of the very step."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from brf_lava.errors import ParameterError
from brf_lava.neurons.families import NEURONS, Neuron
from brf_lava.neurons.record import Plane

GRID = 161  # points per axis at which stability is decided
OMEGA_LIMIT = 0.999  # of 1 / dt, the last angular frequency with a boundary
EDGE = 1 + 1e-9  # the radius of a neuron on the edge, with room for rounding
ROOM = 1.15  # axes end so much beyond the trained neurons
LEAST_DT, MOST_DT = 1e-9, 1e3  # s; beyond, 1 / dt is no frequency of a neuron
PLANES = {  # equations of motion without reset, by the neuron that has no other
    name: neuron
    for name, neuron in NEURONS.items()
    if neuron.plane is not None and neuron.bare is None
}


@dataclass(frozen=True)
class StabilityMap:
    """Damping b over omega for one kind of resonator.

    omega [W] rad/s; boundary [W] 1/s, the damping of a balanced neuron without offset;
    damping [D] 1/s, the axis of radius; radius [D, W], by how much the step can stretch a state.
    """

    plane: str  # of `PLANES`
    dt: float  # s
    omega: NDArray[np.float64]
    boundary: NDArray[np.float64]
    damping: NDArray[np.float64]
    radius: NDArray[np.float64]


def spectral_radius(neuron: Neuron, damping: Any, omega: Any, dt: float) -> NDArray[np.float64]:
    """The largest absolute eigenvalue of one step of a neuron (u, v) without reset.

    damping, omega: arrays of one shape, which is also the result's. The step's matrix is read off
    the step itself, one unit state after the other, so that no equation stands here.
    """
    damping, omega = np.broadcast_arrays(
        np.asarray(damping, dtype=np.float64), np.asarray(omega, dtype=np.float64)
    )
    constants = neuron.real_constants(dt=dt, theta=np.inf)
    zero, one = np.zeros_like(damping), np.ones_like(damping)
    columns = [
        np.stack(neuron.real_step(unit, zero, (damping, omega), constants)[0], axis=-1)
        for unit in ((one, zero), (zero, one))
    ]
    matrices = np.stack(columns, axis=-1)  # [..., row, column]
    radius: NDArray[np.float64] = np.abs(np.linalg.eigvals(matrices)).max(axis=-1)
    return radius


def plane_of(neuron: Neuron) -> Plane:
    """The plane of omega and damping that a neuron lies in. Raises: ParameterError without one."""
    if neuron.plane is None:
        raise ParameterError(f"neuron {neuron.name}: its record has no plane to draw it in.")
    return neuron.plane


def balanced_damping(plane: str, omega: Any, dt: float) -> Any:
    """Damping of a balanced neuron of this plane without offset, in 1/s."""
    return plane_of(PLANES[plane]).damping(omega, dt)


def stability_map(
    plane: str, dt: float, points: tuple[NDArray[np.float64], NDArray[np.float64]] | None = None
) -> StabilityMap:
    """The map up to ``1 / dt``, or just around the trained neurons.

    plane: of `PLANES`. dt: s. points: (omega, damping) of trained neurons to be shown on it.
    Raises: ParameterError for a step that is not `LEAST_DT` to `MOST_DT`.
    """
    if not LEAST_DT <= dt <= MOST_DT:
        raise ParameterError(
            f"boundary: dt {dt:g} s; must be {LEAST_DT:g} to {MOST_DT:g}. A usual one is 0.01."
        )
    limit = OMEGA_LIMIT / dt
    if points is not None:
        limit = min(limit, ROOM * float(np.max(points[0], initial=1.0)))
    omega = np.linspace(0.0, limit, GRID)
    edge = balanced_damping(plane, omega, dt)
    shown = edge if points is None else np.concatenate([edge, points[1]])
    low, high = float(np.min(shown, initial=0.0)), float(np.max(shown, initial=0.0))
    if points is None:
        high = max(high, plane_of(PLANES[plane]).top / dt)
    margin = 0.12 * max(high - low, 1e-3)
    damping = np.linspace(low - margin, high + margin, GRID)
    radius = spectral_radius(PLANES[plane], damping[:, None], omega[None, :], dt)
    return StabilityMap(plane, dt, omega, edge, damping, radius)
