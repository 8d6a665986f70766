"""The picture of an audit: values against what integers hold, and the error over time."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure

from brf_lava.analysis.audit import Audit
from brf_lava.analysis.draw import style


def draw_audit(figure: Figure, found: Audit, title: str) -> None:
    """Box and whiskers of every state, current and matrix on the data, with a grey box for the
    range of its integers; and RMS of what the membranes differ by, over time."""
    names, places = list(found.ranges), range(len(found.ranges))
    figure.set_size_inches(9.0, 2.6 + 0.3 * len(names))
    upper, lower = figure.subplots(2, 1, height_ratios=[0.3 * len(names), 1.6])
    ranges = np.array(list(found.ranges.values())).T
    least, low, middle, high, most, first, last = ranges
    upper.barh(places, last - first, 0.8, first, color=style.PALE)
    upper.hlines(places, least, most, color=style.BLUE, zorder=2)
    upper.barh(places, high - low, 0.5, low, color="white", edgecolor=style.BLUE, zorder=3)
    upper.plot(middle, places, "|", color=style.RED, markersize=10, zorder=4)
    upper.set_xscale("log", base=2)
    upper.set_xlim(first.min() / 30, 2 * ranges.max())  # smaller values round to 0
    upper.set_yticks(places, names)
    upper.invert_yaxis()
    upper.set_xlabel("magnitude, in units of the states; gray: what integers hold")
    for index, error in enumerate(found.membrane[:-1]):
        lower.plot(error, **style.look(index), label=f"hidden{index + 1}")
    lower.set(xlabel="step", ylabel="RMS of integers\nminus float (theta)")
    lower.legend()
    style.write_title(figure, title)
