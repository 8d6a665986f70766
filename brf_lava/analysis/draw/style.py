"""One look for all pictures, and the way they reach a file.

Colors are those of Okabe and Ito, which color-blind readers tell apart; lines that share axes also
differ in dashes or markers.
"""

from __future__ import annotations

import io
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import matplotlib
import matplotlib.style
import numpy as np
from matplotlib.collections import LineCollection, PolyCollection, QuadMesh
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.rcsetup import cycler
from matplotlib.textpath import text_to_path
from matplotlib.ticker import FixedLocator

from brf_lava.errors import ParameterError
from brf_lava.io.files import Kind, check_writable, write_bytes

BLACK, GRAY, PALE = "#000000", "#808080", "#d9d9d9"
BLUE, ORANGE, GREEN, RED = "#0072B2", "#E69F00", "#009E73", "#D55E00"
SKY, PURPLE, YELLOW = "#56B4E9", "#CC79A7", "#F0E442"
CYCLE = (BLUE, RED, GREEN, ORANGE, PURPLE, SKY, BLACK, YELLOW)
DASHES = ("-", "--", "-.", ":")
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")
DPI = 160
POINTS = 72  # per inch
BULK, FAR = 0.1, 2.5  # share of values at each end that may lie aside; how far they must lie
SMALL = 9  # points, of a title with a line of notes
STYLE: dict[str, Any] = {
    "axes.axisbelow": True,
    "axes.grid": True,
    "axes.prop_cycle": cycler(color=CYCLE),
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlesize": 10,
    "axes.titleweight": "bold",
    "figure.titlesize": 11,
    "font.size": 9,
    "grid.color": "#e6e6e6",
    "grid.linewidth": 0.6,
    "legend.fontsize": 8,
    "legend.edgecolor": "none",
    "legend.framealpha": 0.85,
    "lines.linewidth": 1.5,
    "savefig.dpi": DPI,
    "svg.fonttype": "none",  # text stays text
    "svg.hashsalt": "brf-lava",  # the same picture is the same file
}
SUFFIXES = {".png": {}, ".svg": {"Date": None}, ".pdf": {"CreationDate": None}}  # undated
KINDS = {
    suffix: Kind(f"a {suffix} picture of Matplotlib", start, "Matplotlib")
    for suffix, start in ((".png", rb"\x89PNG.*"), (".svg", rb"<\?xml.*"), (".pdf", rb"%PDF.*"))
}

TABLE = Kind("a table of the data behind a picture", b"", "panel,kind,label,x,y,value\n")


def check_picture(path: Path, style: str | None = None, csv: Path | None = None) -> None:
    """Find out before long work that a `picture` could not be written; see `check_writable`.

    Raises: ParameterError for a suffix other than `SUFFIXES`, and for an unknown style.
    """
    if path.suffix.lower() not in SUFFIXES:
        raise ParameterError(
            f"{path}: a picture of type {path.suffix or 'unknown'}; choose one of "
            f"{', '.join(SUFFIXES)} as the end of its name."
        )
    check_writable(path, KINDS[path.suffix.lower()])
    if csv is not None:
        check_writable(csv, TABLE, path)
    if style is not None:
        try:
            with matplotlib.style.context(style):
                pass
        except OSError as error:
            raise ParameterError(
                f"--style {style}: no style of Matplotlib. Name a .mplstyle file, or one "
                f"of {', '.join(matplotlib.style.available)}."
            ) from error


def write_title(figure: Figure, text: str, size: float = STYLE["figure.titlesize"]) -> None:
    """Title a figure, of its final width, with words of the user's: lines that are too long are
    broken, and nothing in them is a formula. size: of the font, points."""
    font, room = FontProperties(size=size), 0.98 * figure.get_figwidth() * POINTS
    lines = text.splitlines()
    for letters in range(max(map(len, lines)), 0, -1):
        parts = [part for line in lines for part in textwrap.wrap(line, letters)]
        widths = (text_to_path.get_text_width_height_descent(part, font, False) for part in parts)
        if all(width <= room for width, _, _ in widths):
            break
    figure.suptitle("\n".join(parts), fontsize=size, parse_math=False)


def look(index: int, marked: bool = False) -> dict[str, Any]:
    """Return color, dashes and, if asked for, marker of the line of this number in one panel."""
    line = {"color": CYCLE[index % len(CYCLE)], "linestyle": DASHES[index % len(DASHES)]}
    return {**line, "marker": MARKERS[index % len(MARKERS)], "markersize": 4} if marked else line


def draw_band(panel: Any, x: Any, low: Any, high: Any, index: int) -> None:
    """Shade the range around the line of this number."""
    panel.fill_between(x, low, high, color=look(index)["color"], alpha=0.2, linewidth=0)


def outliers_aside(panel: Any, values: Any, axis: str) -> None:
    """End an axis, "x" or "y", soon after the bulk of its values where few lie far outside.

    How many are not shown stands at its end.
    """
    values = np.ravel(values)
    low, middle, high = np.quantile(values, (BULK, 0.5, 1 - BULK))
    ends = low - FAR * (middle - low), high + FAR * (high - middle)
    outside = np.count_nonzero((values < ends[0]) | (values > ends[1]))
    if not outside or ends[0] == ends[1]:
        return
    getattr(panel, f"set_{axis}lim")(max(ends[0], values.min()), min(ends[1], values.max()))
    at = {"x": (0.99, 0.02, "right"), "y": (0.01, 0.97, "left")}[axis]
    text, look = f"{outside} not shown", {"color": GRAY, "fontsize": 7, "ha": at[2]}
    panel.text(at[0], at[1], text, transform=panel.transAxes, **look)


def table_of(figure: Figure) -> str:
    """The data behind a figure: of each panel the points of lines, bands, bars and images.

    A bar is the row of its left end, and its right end is the value. It is named as its place on
    the axis is, and so are the two ends of a level segment.
    """
    rows = ["panel,kind,label,x,y,value"]
    panel: Any  # the artists' types are too wide

    def add(number: int, kind: str, artist: Any, points: Any) -> None:
        named = str(artist.get_label()).replace('"', "'")
        for x, y, *value in np.asarray(points, dtype=float).tolist():
            name = places.get(y, "") if named.startswith("_") else named
            numbers = ",".join(f"{number:.10g}" for number in (x, y, *value))
            label = f'"{name}"' if name else ""
            rows.append(f"{number},{kind},{label},{numbers}{'' if value else ','}")

    for number, panel in enumerate(figure.axes, start=1):
        fixed = isinstance(panel.yaxis.get_major_locator(), FixedLocator)  # places with names
        names = (text.get_text() for text in panel.get_yticklabels()) if fixed else ()
        places = dict(zip(panel.get_yticks().tolist(), names, strict=False))
        for bar in panel.patches:
            (left, low), (right, high) = bar.get_bbox().get_points()
            add(number, "bar", bar, [(left, (low + high) / 2, right)])
        for line in panel.lines:
            add(number, "line", line, line.get_xydata())
        for made in panel.collections:
            if isinstance(made, LineCollection):
                for part in made.get_segments():
                    level = np.ptp(part[:, 1]) == 0 and part[0, 1] in places
                    add(number, "segments", made, part if level else [part.mean(axis=0)])
            elif isinstance(made, QuadMesh):
                corners: Any = made.get_coordinates()
                middle = (corners[:-1, :-1] + corners[1:, 1:]) / 2
                values = np.asarray(made.get_array()).reshape(middle.shape[:2])
                add(number, "image", made, np.dstack([middle, values]).reshape(-1, 3))
            elif isinstance(made, PolyCollection):
                paths: list[Any] = [path.vertices for path in made.get_paths()]
                add(number, "band", made, np.concatenate(paths))
        for image in panel.images:
            values, (left, right, bottom, top) = image.get_array(), image.get_extent()
            height, width = values.shape[:2]
            x = left + (np.arange(width) + 0.5) * (right - left) / width
            y = bottom + (np.arange(height) + 0.5) * (top - bottom) / height
            columns = (*map(np.ravel, np.meshgrid(x, y)), np.ravel(values))
            add(number, "image", image, np.stack(columns, axis=1))
    return "\n".join([*rows, ""])


@contextmanager
def picture(
    out: Path,
    *,
    width: float | None = None,
    height: float | None = None,
    title: bool = True,
    style: str | None = None,
    csv: Path | None = None,
) -> Iterator[Figure]:
    """An empty figure in this style; what is drawn into it is written to `out` at the end.

    width, height: inches; None: as drawn. title: whether it has one. style: a name or a file of
    Matplotlib's, over the usual look. csv: where the data behind it go.
    Raises: as `check_picture`, which comes first. After any error an old file stays.
    """
    check_picture(out, style, csv)
    with matplotlib.rc_context({**matplotlib.rcParamsDefault, **STYLE}):
        if style is not None:
            matplotlib.style.use(style)
        figure = Figure(layout="constrained")
        yield figure
        drawn = figure.get_size_inches()
        figure.set_size_inches(width or drawn[0], height or drawn[1])
        if not title:
            figure.suptitle("")
        suffix = out.suffix.lower()
        content = io.BytesIO()
        figure.savefig(content, format=suffix[1:], metadata=SUFFIXES[suffix])
    write_bytes(out, content.getvalue(), KINDS[suffix])
    if csv is not None:
        write_bytes(csv, table_of(figure).encode(), TABLE)
