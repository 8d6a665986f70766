"""The interactive figures of a report, drawn by Bokeh.

They are transparent, and their text is a gray that can be read on light and on dark pages.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from bokeh.layouts import column
from bokeh.models import ColumnDataSource, CustomJS, HoverTool, LinearAxis, Range1d, VSpan
from bokeh.plotting import figure
from numpy.typing import NDArray

from brf_lava.analysis.draw.style import BLACK, BLUE, CYCLE, GRAY, ORANGE, RED
from brf_lava.analysis.raster import Raster
from brf_lava.analysis.resonators import PLANES, Resonators
from brf_lava.board.energy import Comparison

Range: Any = Range1d  # whose types allow no plain numbers
TEXT, FAINT = "#767676", "rgba(128, 128, 128, 0.25)"
COLORS = [GRAY if color == BLACK else color for color in CYCLE]
MARKERS = {
    "before training": ("square", GRAY),
    "after training": ("circle", RED),
    "after rounding": ("x", BLUE),
}
LEAD = 1.15  # from one lead to the next, in heights of a lead
NAMED = 8  # channels up to which each has its name at the axis


def class_colors(classes: int) -> list[str]:
    """The color of each class."""
    return [COLORS[index % len(COLORS)] for index in range(classes)]


def _plot(x: str, y: str, height: int = 240, drag: str = "pan", **more: Any) -> Any:
    """An empty figure as wide as its place."""
    tools = f"{drag},box_zoom,xwheel_zoom,reset,save"
    made: Any = figure(height=height, sizing_mode="stretch_width", tools=tools, **more)
    made.update(background_fill_color=None, border_fill_color=None, outline_line_color=None)
    made.toolbar.update(logo=None, autohide=True, active_scroll=None)
    made.xaxis.axis_label, made.yaxis.axis_label = x, y
    made.grid.grid_line_color = FAINT
    return made


def _finish(made: Any, *tips: tuple[str, str]) -> Any:
    """With its axes in gray, its legend above it, and with what is shown at the pointer."""
    for axis in made.axis:
        axis.update(axis_label_text_color=TEXT, major_label_text_color=TEXT, axis_line_color=TEXT)
        axis.update(major_tick_line_color=TEXT, minor_tick_line_color=None)
        axis.axis_label_text_font_style = "normal"
    made.add_tools(HoverTool(tooltips=list(tips)))
    for legend in list(made.legend):
        legend.update(background_fill_alpha=0, border_line_color=None, label_text_color=TEXT)
        legend.update(label_text_font_size="9pt", padding=2, spacing=8, ncols=2)
        made.add_layout(legend, "above")
    return made


def _named_rows(made: Any, places: Sequence[float], names: Sequence[str]) -> None:
    made.yaxis.update(ticker=places, major_label_overrides=dict(zip(places, names, strict=True)))


def time_panels(one: Raster, ends: tuple[float, float] | None) -> Any:
    """Panels over one time axis, which the page fills with the chosen sample.

    one: any of the samples. ends: the least and the largest input; None: inputs are spikes.
    """
    inputs, leads, classes = one.x.shape[1], one.leads, one.classes
    panels: list[Any] = []
    shared = Range(start=0.0, end=one.seconds)

    def panel(label: str, height: int, name: str, columns: str, **more: Any) -> Any:
        """A panel, and the empty source of this name that the page fills."""
        panels.append(_plot("", label, height, "xpan", x_range=shared, min_border_left=62, **more))
        return panels[-1], ColumnDataSource({each: [] for each in columns.split()}, name=name)

    def add_raster(name: str, label: str, rows: int, height: int) -> Any:
        made, source = panel(label, height, name, "x y0 y1 row", y_range=(-0.7, rows - 0.3))
        made.segment("x", "y0", "x", "y1", color=TEXT, line_width=1.2, source=source)
        return _finish(made, ("time", "@x{0.000} s"), ("number", "@row"))

    def add_lines(
        name: str, label: str, names: Sequence[str], height: int, ends: tuple[float, float]
    ) -> None:
        columns = [f"c{index}" for index in range(len(names))]
        made, source = panel(label, height, name, " ".join(["x", *columns]), y_range=ends)
        for each, line, color in zip(columns, names, class_colors(len(names)), strict=True):
            made.line("x", each, color=color, line_width=1.5, source=source, name=line)
        _finish(made, ("", "$name"), ("time", "$x{0.000} s"), (label, "$y{0.000}"))

    if leads:
        ends_of_leads = (-0.15, LEAD * len(leads))
        made, source = panel("", 170, "trace", "x0 x1 y0 y1 color name", y_range=ends_of_leads)
        _named_rows(made, [LEAD * row + 0.5 for row in range(len(leads))], leads[::-1])
        made.segment("x0", "y0", "x1", "y1", color="color", line_width=2, source=source)
        _finish(made, ("time", "@x0{0.000} s"), ("label", "@name"))
    channels = one.channels or [str(number) for number in range(inputs)]
    if ends is not None:
        add_lines("values", "input", channels, 140, ends)
    else:
        made = add_raster("inputs", "input", inputs, 110 if inputs < 20 else 200)
        if inputs <= NAMED:
            _named_rows(made, list(range(inputs)), channels)
    for number, layer in enumerate(one.spikes, start=1):
        label = "hidden neuron" if len(one.spikes) == 1 else f"neuron, layer {number}"
        add_raster(f"hidden{number}", label, layer.shape[1], 260)
    add_lines("readout", "softmax of readout", classes, 160, (-0.03, 1.03))
    if one.has_strips:
        rows = ["predicted", "label"]
        made, source = panel("", 90, "strips", "left right row color name", y_range=rows)
        made.hbar("row", 0.9, right="right", left="left", color="color", source=source)
        _finish(made, ("class", "@name, @row"), ("from", "@left{0.000} to @right{0.000} s"))
    for made in panels[:-1]:
        made.xaxis.major_label_text_font_size = "0pt"
    panels[-1].xaxis.axis_label = "time (s)"
    return column(*panels, sizing_mode="stretch_width")


def spikes_per_neuron(floats: Any | None, integers: Any | None, layer: str) -> Any:
    """Spikes per sample of each neuron [N]: bars of the integers, dots of the float network."""
    made = _plot(f"neuron of {layer}", "spikes per sample", 220)
    if integers is not None:
        bars = {"color": BLUE, "alpha": 0.7, "legend_label": "integers"}
        made.vbar(np.arange(len(integers)), 0.8, integers, **bars)
    if floats is not None:
        made.scatter(np.arange(len(floats)), floats, color=RED, size=5, legend_label="float")
    made.y_range.start = 0
    return _finish(made, ("neuron", "$x{0}"), ("spikes", "$y{0.0}"))


def resonators(states: dict[str, Resonators], hertz: float) -> Any:
    """b_offset over omega of one layer; by when, of `MARKERS`.

    hertz: Hz in the data for 1 rad/s of the recipe.
    """
    after, top = states["after training"], max(float(e.omega.max()) for e in states.values())
    left, right = -0.05 * top, 1.05 * top
    shown = Range(start=left, end=right)
    other = Range(start=hertz * left, end=hertz * right)
    made = _plot("omega (rad/s, in the steps of the recipe)", "b_offset (1/s)", 320, x_range=shown)
    for first, second in pairwise(states.values()):
        made.segment(first.omega, first.b_offset, second.omega, second.b_offset, color=FAINT)
    for name, each in states.items():
        marker, color = MARKERS[name]
        data = {"omega": each.omega, "b_offset": each.b_offset, "hertz": each.omega * hertz}
        source = ColumnDataSource({**data, "neuron": np.arange(len(each.omega))})
        look = {"line_color": color, "line_width": 1.5, "fill_color": None, "size": 7}
        where = {"marker": marker, "source": source, "legend_label": name}
        made.scatter("omega", "b_offset", **where, **look)
    edge = PLANES[after.plane].edge.partition(": ")[2]  # without the formula
    look = {"color": TEXT, "line_dash": "dashed", "legend_label": edge}
    made.line(*after.edge(0, top), **look)
    made.extra_x_ranges = {"hertz": other}
    code = "other.setv({start: k * shown.start, end: k * shown.end})"
    follow = CustomJS(args={"shown": shown, "other": other, "k": hertz}, code=code)
    for end in ("start", "end"):
        shown.js_on_change(end, follow)
    made.add_layout(LinearAxis(axis_label="Hz in the data", x_range_name="hertz"), "above")
    tips = (("neuron", "@neuron"), ("omega", "@omega{0.00} rad/s, @hertz{0.00} Hz in the data"))
    return _finish(made, *tips, ("b_offset", "@b_offset{0.000} 1/s"))


def learning_curves(values: dict[str, list[float]], label: str) -> Any:
    """Training and validation of one quantity over the epochs, by name."""
    made = _plot("epoch", label, 220)
    for (name, each), color, dash in zip(
        values.items(), (ORANGE, BLUE), ("dashed", "solid"), strict=True
    ):
        look = {"color": color, "line_dash": dash, "line_width": 2, "legend_label": name}
        made.line(np.arange(1, len(each) + 1), each, **look)
    return _finish(made, ("epoch", "$x{0}"), (label, "$y{0.000}"))


def ranges(found: dict[str, list[float]]) -> Any:
    """Values on the data as boxes, and in gray what integers hold; see `audit.Audit.ranges`."""
    names = list(found)[::-1]
    keys = ("least", "low", "middle", "high", "most", "first", "last")
    rows = dict(zip(keys, np.array([found[name] for name in names]).T, strict=True))
    shown = rows["first"].min() / 30, 2 * max(rows["most"].max(), rows["last"].max())
    label, height = "magnitude, in units of the states; gray: integers", 90 + 26 * len(names)
    made = _plot(label, "", height, y_range=names, x_axis_type="log", x_range=shown)
    source = ColumnDataSource({"name": names, **rows})
    made.hbar("name", 0.8, left="first", right="last", color=FAINT, source=source)
    made.segment("least", "name", "most", "name", color=BLUE, line_width=2, source=source)
    made.hbar("name", 0.45, left="low", right="high", color=BLUE, source=source)
    middle = {"marker": "dash", "angle": np.pi / 2, "size": 14, "color": "white"}
    made.scatter("middle", "name", line_width=2, source=source, **middle)
    tips = (("", "@name"), ("median", "@middle{0.0e+0}"), ("largest", "@most{0.0e+0}"))
    return _finish(made, *tips, ("integers", "@first{0.0e+0} to @last{0.0e+0}"))


def energy_over_spikes(found: Comparison) -> Any:
    """Energy of both networks over the share of spikes, with this network and the crossover."""
    made = _plot("synaptic operations (% of all, if everything spiked)", "uJ per sample, 45 nm")
    top = 1.3 * max(found.share, found.crossover)
    slope = (found.spiking - found.idle) / (found.share or 1)
    ends: NDArray[Any] = np.array([0.0, top])
    spiking, dense = (found.idle + slope * ends) / 1e6, np.full(2, found.dense / 1e6)
    made.line(100 * ends, spiking, color=BLUE, line_width=2, legend_label="spiking, with memory")
    look = {"color": RED, "line_width": 2, "line_dash": "dashed"}
    made.line(100 * ends, dense, **look, legend_label="dense network of the same bits")
    at = {"size": 11, "color": BLUE, "legend_label": "this network"}
    made.scatter([100 * found.share], [found.spiking / 1e6], **at)
    if found.crossover > 0:
        made.add_glyph(VSpan(x=100 * found.crossover, line_color=TEXT, line_dash="dotted"))
    made.y_range.start = 0
    return _finish(made, ("share", "$x{0.0} %"), ("energy", "$y{0.00} uJ"))
