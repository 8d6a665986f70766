"""Where a resonator is stable: the published boundary, and the eigenvalues of the very step."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from numpy.typing import NDArray

from brf_lava.analysis.draw import style
from brf_lava.neurons.families import NEURONS, Neuron

GRID = 161  # points per axis at which stability is decided
OMEGA_LIMIT = 0.999  # of 1 / dt, the last angular frequency with a boundary
EDGE = 1 + 1e-9  # the radius of a neuron on the edge, with room for rounding
ROOM = 1.15  # axes end so much beyond the trained neurons
PLANES = {  # where resonators without reset lie, by the neuron that has nothing else
    name: neuron.plane
    for name, neuron in NEURONS.items()
    if neuron.plane is not None and neuron.bare is None
}


@dataclass(frozen=True)
class StabilityMap:
    """Damping b over omega for one kind of resonator.

    plane: of `PLANES`. dt: s. omega [W] rad/s; boundary [W] 1/s, the damping of a balanced neuron
    without offset; damping [D] 1/s, the axis of radius; radius [D, W], by how much the step can
    stretch a state.
    """

    plane: str
    dt: float
    omega: NDArray[np.float64]
    boundary: NDArray[np.float64]
    damping: NDArray[np.float64]
    radius: NDArray[np.float64]


@dataclass(frozen=True)
class Resonators:
    """One hidden layer of a network.

    layer: its number among all, from 1. plane: the neuron without balance whose equation of motion
    these have, of `PLANES`. dt: s. omega [N] rad/s and b_offset [N] 1/s: absolute values.
    damping [N] 1/s: as the neuron uses it at rest. bare_damping [N]: without the boundary in it.
    """

    layer: int
    neuron: str
    plane: str
    dt: float
    omega: NDArray[np.float64]
    b_offset: NDArray[np.float64]
    damping: NDArray[np.float64]
    bare_damping: NDArray[np.float64]


def spectral_radius(neuron: Neuron, damping: Any, omega: Any, dt: float) -> NDArray[np.float64]:
    """The largest absolute eigenvalue of one step of a neuron (u, v) without reset.

    damping, omega: arrays of one shape, which is also the result's. The step's matrix is read off
    the step itself, one unit state after the other, so that no equation stands here.
    """
    damping, omega = np.broadcast_arrays(damping, omega)
    constants = neuron.real_constants(dt=dt, theta=np.inf)
    zero, one = np.zeros_like(damping), np.ones_like(damping)
    columns = [
        np.stack(neuron.real_step(unit, zero, (damping, omega), constants)[0], axis=-1)
        for unit in ((one, zero), (zero, one))
    ]
    matrices = np.stack(columns, axis=-1)  # [..., row, column]
    radius: NDArray[np.float64] = np.abs(np.linalg.eigvals(matrices)).max(axis=-1)
    return radius


def stability_map(
    plane: str, dt: float, points: tuple[NDArray[np.float64], NDArray[np.float64]] | None = None
) -> StabilityMap:
    """The map up to ``1 / dt``, or just around the trained neurons.

    plane: of `PLANES`. dt: s. points: (omega, damping) of trained neurons to be shown on it.
    """
    limit, others = OMEGA_LIMIT / dt, np.array([PLANES[plane].top / dt])
    if points is not None:
        limit, others = min(limit, ROOM * float(np.max(points[0], initial=1.0))), points[1]
    omega = np.linspace(0.0, limit, GRID)
    edge = PLANES[plane].damping(omega, dt)
    shown = np.concatenate([edge, others])
    low, high = float(np.min(shown, initial=0.0)), float(np.max(shown, initial=0.0))
    margin = 0.12 * max(high - low, 1e-3)
    damping = np.linspace(low - margin, high + margin, GRID)
    radius = spectral_radius(NEURONS[plane], damping[:, None], omega[None, :], dt)
    return StabilityMap(plane, dt, omega, edge, damping, radius)


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
        plane = PLANES[found.plane]
        names = " and ".join(name for name, neuron in NEURONS.items() if neuron.plane == plane)
        panel.plot(found.omega, found.boundary, color=style.BLUE, label=plane.formula)
        for layer in layers:
            if (layer.plane, layer.dt) == (found.plane, found.dt):
                _mark_neurons(panel, layer, f", layer {layer.layer}" if len(layers) > 1 else "")
        panel.add_patch(Rectangle((0, 0), 0, 0, color=style.PALE, label="no state grows"))
        panel.set(
            xlim=(0, found.omega[-1]),
            ylim=(found.damping[0], found.damping[-1]),
            xlabel=r"angular frequency $\omega$ (rad/s)",
            ylabel=r"damping $b$ (1/s)",
            title=rf"{names}, $\delta$ = {found.dt:g} s",
        )
        panel.legend(loc="best")
    style.write_title(figure, title)


def _mark_neurons(panel: Any, layer: Resonators, which: str) -> None:
    if layer.neuron != layer.plane:  # a balanced one: where would it be without?
        radius = spectral_radius(NEURONS[layer.plane], layer.bare_damping, layer.omega, layer.dt)
        label = (
            f"the same as {layer.plane}, b = {PLANES[layer.plane].bare}: "
            f"{np.count_nonzero(radius > EDGE)} of {len(radius)} grow{which}"
        )
        hollow = {"color": style.ORANGE, "fillstyle": "none", "label": label}
        panel.plot(layer.omega, layer.bare_damping, "s", markersize=4, **hollow)
    full = {"color": style.RED, "label": f"trained {layer.neuron} neurons{which}"}
    panel.plot(layer.omega, layer.damping, "o", markersize=4, **full)
