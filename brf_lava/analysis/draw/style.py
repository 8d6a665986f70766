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
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.rcsetup import cycler
from matplotlib.textpath import text_to_path

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


def check_picture(path: Path) -> None:
    """Find out before long work that no picture could be written to `path`; see `check_writable`.

    Raises: ParameterError for a suffix other than `SUFFIXES`.
    """
    if path.suffix.lower() not in SUFFIXES:
        raise ParameterError(
            f"{path}: a picture of type {path.suffix or 'unknown'}; choose one of "
            f"{', '.join(SUFFIXES)} as the end of its name."
        )
    check_writable(path, KINDS[path.suffix.lower()])


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


@contextmanager
def picture(path: Path) -> Iterator[Figure]:
    """An empty figure in this style; what is drawn into it is written to `path` at the end.

    Raises: as `check_picture`, which comes first. After any error an old file stays.
    """
    check_picture(path)
    with matplotlib.rc_context({**matplotlib.rcParamsDefault, **STYLE}):
        figure = Figure(layout="constrained")
        yield figure
        suffix = path.suffix.lower()
        content = io.BytesIO()
        figure.savefig(content, format=suffix[1:], metadata=SUFFIXES[suffix])
    write_bytes(path, content.getvalue(), KINDS[suffix])
