"""omega, b_offset and damping of resonators: where they are stable, before and after training.

Stable is where the published boundary says so, and the eigenvalues of the very step.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from numpy.typing import NDArray

from brf_lava.analysis.draw import style
from brf_lava.data.dataset import Dataset
from brf_lava.errors import CheckpointError, DataError
from brf_lava.neurons.families import NEURONS, Neuron

if TYPE_CHECKING:  # a map without neurons does not wait for torch
    from brf_lava.train.checkpoint import Checkpoint
    from brf_lava.train.model import Network

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
class Resonators:
    """One hidden layer of a network.

    layer: its number among all, from 1. plane: the neuron without balance whose equation of motion
    these have, of `PLANES`. dt: s. omega [N] rad/s and b_offset [N] 1/s: absolute values.
    damping [N] 1/s: as the neuron uses it at rest.
    """

    layer: int
    neuron: str
    plane: str
    dt: float
    omega: NDArray[np.float64]
    b_offset: NDArray[np.float64]
    damping: NDArray[np.float64]

    @property
    def bare_damping(self) -> NDArray[np.float64]:
        """The damping without the boundary in it."""
        bare: NDArray[np.float64] = NEURONS[self.plane].rule(self.omega, self.b_offset, None)[0]
        return bare

    def edge(self, low: float, high: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """The boundary, as an offset in 1/s, over omega in rad/s, as far as it exists."""
        omega = np.linspace(max(0.0, low), min(high, OMEGA_LIMIT / self.dt), 200)
        return omega, np.abs(PLANES[self.plane].damping(omega, self.dt))

    def hertz(self, step_seconds: float) -> float:
        """What 1 rad/s of the recipe, whose steps are not the data's, is in Hz of the data."""
        return self.dt / (2 * np.pi * step_seconds)


class Training(NamedTuple):
    """The layers after and, where it can be known, before training, and how that is known."""

    after: list[Resonators]
    before: list[Resonators] | None
    note: str


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
    plane: str, dt: float, layers: Sequence[Resonators] = ()
) -> tuple[NDArray[np.float64], ...]:
    """Damping over omega for one kind of resonator, up to ``1 / dt`` or just around some layers.

    plane: of `PLANES`. dt: s.
    Returns: omega [W] rad/s; the damping of a balanced neuron without offset there [W] 1/s; damping
    [D] 1/s; for both axes [D, W], by how much the step can stretch a state.
    """
    limit, edges = OMEGA_LIMIT / dt, np.array([PLANES[plane].top / dt])
    if layers:
        limit = min(limit, ROOM * max(float(layer.omega.max(initial=1.0)) for layer in layers))
        edges = np.concatenate([[each.damping, each.bare_damping] for each in layers], axis=None)
    omega = np.linspace(0.0, limit, GRID)
    boundary = PLANES[plane].damping(omega, dt)
    shown = np.concatenate([boundary, edges])
    low, high = float(np.min(shown, initial=0.0)), float(np.max(shown, initial=0.0))
    margin = 0.12 * max(high - low, 1e-3)
    damping = np.linspace(low - margin, high + margin, GRID)
    radius = spectral_radius(NEURONS[plane], damping[:, None], omega[None, :], dt)
    return omega, boundary, damping, radius


def resonators(network: Network, where: str) -> list[Resonators]:
    """The hidden layers of a network that resonate. Raises: CheckpointError when none does.

    where: what to call the network in the message, such as its file.
    """
    layers = []
    for number, block in enumerate(network.hidden_blocks, start=1):
        neuron: Any = block.neuron  # the parameters differ from neuron to neuron
        bare = neuron.family.bare or neuron.family
        if neuron.family.plane is not None and bare.name in PLANES:
            damping = neuron.coefficients()[0]
            omega, b_offset, damping = (
                values.detach().double().cpu().numpy()
                for values in (neuron.omega.abs(), neuron.b_offset.abs(), damping)
            )
            name, dt = neuron.family.name, neuron.constants.dt
            layers.append(Resonators(number, name, bare.name, dt, omega, b_offset, damping))
    if not layers:
        names = dict.fromkeys(block.neuron.family.name for block in network.hidden_blocks)
        having = ", ".join(name for name, known in NEURONS.items() if known.plane is not None)
        raise CheckpointError(
            f"{where}: its hidden neurons are {', '.join(names)}, which have no omega and damping "
            f"to be drawn; {having} have. Name another model."
        )
    return layers


def training(checkpoint: Checkpoint, dataset: Dataset | None, where: str) -> Training:
    """Both states of the parameters; without `before` for an imported model.

    The initial values are drawn again by the trainer from recipe and seed.

    dataset: that of the training, since its size decides where in the random numbers the initial
    values begin; None for an imported model. where: as of `resonators`.
    Raises: CheckpointError as `resonators`, DataError for other data.
    """
    import torch

    from brf_lava.train.trainer import Trainer

    after = resonators(checkpoint.model(), where)
    if checkpoint.seed is None or dataset is None:
        return Training(after, None, f"{checkpoint.origin}: initial values unknown")
    if dataset.source.fingerprint != checkpoint.data.fingerprint:
        raise DataError(
            f"initial values: the model was trained on {checkpoint.data.description}, the data "
            f"here is {dataset.source.description}. Name the same --data."
        )
    # A trainer writes nothing until it runs.
    trainer = Trainer(checkpoint.recipe, dataset, checkpoint.seed, torch.device("cpu"))
    note = (
        f"initial values drawn again from recipe and seed {checkpoint.seed}; "
        f"trained: epoch {checkpoint.epoch} of {checkpoint.epochs_done}"
    )
    return Training(after, resonators(trainer.model, where), note)


def draw_boundary(figure: Figure, layers: Sequence[Resonators], dt: float, title: str) -> None:
    """Stable region and balanced damping over omega, one panel per plane and step, with neurons.

    dt: s, of panels without neurons, where there are no layers.
    """
    kinds = list(dict.fromkeys((layer.plane, layer.dt) for layer in layers))
    kinds = kinds or [(plane, dt) for plane in PLANES]
    figure.set_size_inches(5.4 * len(kinds), 4.4)
    panels = figure.subplots(1, len(kinds), squeeze=False)[0]
    for panel, (name, step) in zip(panels, kinds, strict=True):
        shown = [layer for layer in layers if (layer.plane, layer.dt) == (name, step)]
        omega, boundary, damping, radius = stability_map(name, step, shown)
        panel.contourf(omega, damping, radius, levels=[0, EDGE], colors=[style.PALE])
        panel.axhline(0, color=style.GRAY, linewidth=0.8)
        plane = PLANES[name]
        names = " and ".join(name for name, neuron in NEURONS.items() if neuron.plane == plane)
        panel.plot(omega, boundary, color=style.BLUE, label=plane.formula)
        for layer in shown:
            _mark_neurons(panel, layer, f", layer {layer.layer}" if len(layers) > 1 else "")
        panel.add_patch(Rectangle((0, 0), 0, 0, color=style.PALE, label="no state grows"))
        panel.set(
            xlim=(0, omega[-1]),
            ylim=(damping[0], damping[-1]),
            xlabel=r"angular frequency $\omega$ (rad/s)",
            ylabel=r"damping $b$ (1/s)",
            title=rf"{names}, $\delta$ = {step:g} s",
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


def draw_parameters(
    figure: Figure, found: Training, title: str, step_seconds: float | None = None
) -> None:
    """omega and b_offset of each hidden layer, before (if known) and after training.

    step_seconds: of the data, for an axis in their Hz; None: without.
    """
    figure.set_size_inches(5.6 * len(found.after), 4.6)
    panels = figure.subplots(1, len(found.after), squeeze=False)[0]
    for index, (panel, after) in enumerate(zip(panels, found.after, strict=True)):
        if found.before:
            before = found.before[index]
            ways = ([before.omega, after.omega], [before.b_offset, after.b_offset])
            panel.plot(*ways, color=style.PALE, linewidth=0.8)
            hollow = {"color": style.BLUE, "fillstyle": "none", "label": "before training"}
            panel.plot(before.omega, before.b_offset, "s", markersize=5, **hollow)
        full = {"color": style.RED, "label": "after training"}
        panel.plot(after.omega, after.b_offset, "o", markersize=5, **full)
        style.outliers_aside(panel, after.omega, "x")
        style.outliers_aside(panel, after.b_offset, "y")
        limits, edge = panel.get_xlim(), PLANES[after.plane].edge
        look = {"color": style.BLACK, "linestyle": "--", "linewidth": 1.0, "label": edge}
        panel.plot(*after.edge(*limits), **look)
        panel.set_ylim(bottom=min(0.0, panel.get_ylim()[0]))
        panel.set(
            xlim=limits,
            xlabel=r"angular frequency $\omega$ (rad/s)",
            ylabel=r"damping offset $b_\mathrm{off}$ (1/s)",
            title=f"hidden layer {after.layer}, {len(after.omega)} {after.neuron}",
        )
        panel.legend()
        if step_seconds is not None:
            hertz = after.hertz(step_seconds)
            both = (lambda omega, k=hertz: omega * k, lambda found, k=hertz: found / k)
            panel.secondary_xaxis("top", functions=both).set_xlabel("frequency in the data (Hz)")
            middle = np.median(after.omega) * hertz
            panel.set_xlabel(rf"{panel.get_xlabel()}; the median is {middle:.2f} Hz in the data")
    style.write_title(figure, f"{title}\n{found.note}", style.SMALL)
