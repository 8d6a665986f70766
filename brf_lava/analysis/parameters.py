"""omega and b_offset of a network's resonators, before and after training."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from matplotlib.figure import Figure

from brf_lava.analysis.draw import style
from brf_lava.analysis.stability import PLANES, Resonators, StabilityMap, stability_map
from brf_lava.data.dataset import Dataset
from brf_lava.errors import CheckpointError, DataError
from brf_lava.neurons.families import NEURONS
from brf_lava.train.checkpoint import Checkpoint
from brf_lava.train.model import Network
from brf_lava.train.trainer import Trainer


@dataclass(frozen=True)
class Training:
    """The layers after and, where it can be known, before training.

    note: where the initial values come from, for the picture.
    """

    after: list[Resonators]
    before: list[Resonators] | None
    note: str


def resonators(network: Network, where: str) -> list[Resonators]:
    """The hidden layers of a network that resonate. Raises: CheckpointError when none does.

    where: what to call the network in the message, such as its file.
    """
    layers = []
    for number, block in enumerate(network.hidden_blocks, start=1):
        neuron: Any = block.neuron  # the parameters differ from neuron to neuron
        bare = neuron.family.bare or neuron.family
        if neuron.family.plane is None or bare.name not in PLANES:
            continue
        omega, b_offset, coefficients = (
            values.detach().double().cpu().numpy()
            for values in (neuron.omega.abs(), neuron.b_offset.abs(), neuron.coefficients())
        )
        layers.append(
            Resonators(
                layer=number,
                neuron=neuron.family.name,
                plane=bare.name,
                dt=neuron.constants.dt,
                omega=omega,
                b_offset=b_offset,
                damping=coefficients[0],
                bare_damping=bare.rule(omega, b_offset, None)[0],
            )
        )
    if not layers:
        names = dict.fromkeys(block.neuron.family.name for block in network.hidden_blocks)
        having = ", ".join(name for name, known in NEURONS.items() if known.plane is not None)
        raise CheckpointError(
            f"{where}: its hidden neurons are {', '.join(names)}, which have no omega and damping "
            f"to be drawn; {having} have. Name another model."
        )
    return layers


def maps_around(layers: Sequence[Resonators]) -> list[StabilityMap]:
    """A map of stability around the neurons of each plane and step."""
    maps = []
    for plane, dt in dict.fromkeys((layer.plane, layer.dt) for layer in layers):
        shown = [layer for layer in layers if (layer.plane, layer.dt) == (plane, dt)]
        omega = np.concatenate([layer.omega for layer in shown])
        damping = [array for layer in shown for array in (layer.damping, layer.bare_damping)]
        maps.append(stability_map(plane, dt, (omega, np.concatenate(damping))))
    return maps


def training(checkpoint: Checkpoint, dataset: Dataset | None, where: str) -> Training:
    """Both states of the parameters; without `before` for an imported model.

    The initial values are drawn again by the trainer from recipe and seed.

    dataset: that of the training, since its size decides where in the random numbers the initial
    values begin; None for an imported model. where: as of `resonators`.
    Raises: CheckpointError as `resonators`, DataError for other data.
    """
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


def draw_parameters(
    figure: Figure, found: Training, title: str, step_seconds: float | None = None
) -> None:
    """omega and b_offset of each hidden layer, before (if known) and after training.

    step_seconds: of the data, for an axis in their Hz; None: without.
    """
    layers = found.after
    figure.set_size_inches(5.6 * len(layers), 4.6)
    panels = figure.subplots(1, len(layers), squeeze=False)[0]
    for index, (panel, after) in enumerate(zip(panels, layers, strict=True)):
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
        limits = panel.get_xlim()
        omega = np.linspace(max(0.0, limits[0]), min(limits[1], 0.999 / after.dt), 200)
        plane = PLANES[after.plane]
        edge = np.abs(plane.damping(omega, after.dt))
        panel.plot(omega, edge, color=style.BLACK, linestyle="--", linewidth=1.0, label=plane.edge)
        panel.set_ylim(bottom=min(0.0, panel.get_ylim()[0]))
        panel.set(
            xlim=limits,
            xlabel=r"angular frequency $\omega$ (rad/s)",
            ylabel=r"damping offset $b_\mathrm{off}$ (1/s)",
            title=f"hidden layer {after.layer}, {len(after.omega)} {after.neuron}",
        )
        panel.legend()
        if step_seconds is not None:
            hertz = after.dt / (2 * np.pi * step_seconds)  # steps of the recipe are not the data's
            both = (lambda omega, k=hertz: omega * k, lambda found, k=hertz: found / k)
            panel.secondary_xaxis("top", functions=both).set_xlabel("frequency in the data (Hz)")
            middle = np.median(after.omega) * hertz
            panel.set_xlabel(rf"{panel.get_xlabel()}; the median is {middle:.2f} Hz in the data")
    style.write_title(figure, f"{title}\n{found.note}", style.SMALL)
