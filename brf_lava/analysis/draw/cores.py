"""The picture of a map: how full each core is, and which layers it holds."""

from __future__ import annotations

import numpy as np
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure

from brf_lava.analysis.draw import style
from brf_lava.board.fits import TITLES, Placement

COLUMNS_MAX = 1200  # cores side by side; of more, the fullest of each few is shown
NUMBERED = 24  # cores up to which the shares are written into the picture


def draw_cores(figure: Figure, placement: Placement, title: str) -> None:
    """The share taken of each core's resources, and its first layer."""
    cores, layers = placement.cores, placement.first_layers
    bins = -(-cores // COLUMNS_MAX)
    starts = np.arange(0, cores, bins)
    percent = np.maximum.reduceat(100 * placement.utilization, starts, axis=0)
    figure.set_size_inches(min(12.0, 6.5 + 0.25 * cores), 4.2)
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=[len(TITLES), 1])
    edges, rows = np.append(starts, cores) - 0.5, np.arange(len(TITLES) + 1) - 0.5
    look = {"cmap": "YlOrRd", "vmin": 0.0, "vmax": 100.0, "rasterized": True}
    image = upper.pcolormesh(edges, rows, percent.T, **look)
    upper.set_yticks(range(len(TITLES)), TITLES)
    upper.invert_yaxis()
    if cores <= NUMBERED:
        for (core, resource), share in np.ndenumerate(percent):
            color = "white" if share > 65 else style.BLACK
            upper.text(core, resource, f"{share:.0f}", ha="center", va="center", color=color)
    figure.colorbar(image, ax=upper, label="% of the limit")
    last = int(layers.max())
    few = last <= len(style.CYCLE)  # of many layers, colors show the order alone
    colors = ListedColormap(style.CYCLE[:last]) if few else "viridis"
    look = {"cmap": colors, "vmin": 0.5, "vmax": last + 0.5, "rasterized": True}
    lower.pcolormesh(edges, [-0.5, 0.5], layers[starts][None, :], **look)
    lower.set_yticks([0], ["first layer"])
    changes = np.flatnonzero(np.diff(layers, prepend=0))
    if len(changes) <= NUMBERED:
        for start, end in zip(changes, [*changes[1:], cores], strict=True):
            lower.text((start + end - 1) / 2, 0, str(layers[start]), ha="center", va="center")
    per_chip = placement.profile.limits.cores_per_chip.value
    for panel in (upper, lower):
        panel.grid(visible=False)
        for chip in range(per_chip, cores, per_chip) if cores // per_chip <= NUMBERED else ():
            panel.axvline(chip - 0.5, color=style.GRAY, linewidth=0.8)
    lower.set_xlabel("core" if bins == 1 else f"core; the fullest of each {bins} is shown")
    lower.xaxis.get_major_locator().set_params(integer=True, min_n_ticks=1)  # of one core too
    style.write_title(figure, title)
