"""The page as one HTML file that needs nothing else, and as a PDF where a browser is found."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from brf_lava import __version__
from brf_lava.config.profile import Loihi2Profile
from brf_lava.errors import BackendUnavailableError, BrfLavaError, ParameterError
from brf_lava.inspection.parts import heading, overview, parts, verdict
from brf_lava.inspection.subjects import Subject
from brf_lava.io.files import Kind, write_bytes

MOST_BYTES = 5_000_000
SIGNAL_BYTES = 2_000_000  # of the samples that can be chosen, as text
TEMPLATE = Path(__file__).parent / "page.html.jinja"
MARK = '<!doctype html>\n<meta name="generator" content="brf-lava report">'
KINDS = {
    "html": Kind("a report of brf-lava", b"", MARK, (".html", ".htm")),
    "pdf": Kind("a PDF", rb"%PDF-", suffixes=(".pdf",)),
}
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
PDF_SECONDS = 120


def render(subjects: Sequence[Subject], board: Loihi2Profile) -> tuple[str, list[str]]:
    """Write the page about some networks.

    Returns: its text, and what it lacks: for each reason a line, which names the parts.
    Raises: ParameterError if it would be larger than `MOST_BYTES`.
    """
    from bokeh.embed import json_item
    from bokeh.resources import Resources
    from jinja2 import Environment

    networks = [(each, parts(each, board, SIGNAL_BYTES // len(subjects))) for each in subjects]
    items = [item for _, titled in networks for _, items in titled for item in items]
    missing: dict[str, list[str]] = {}
    for subject, titled in networks:
        of = f"{subject.name}, " if len(subjects) > 1 else ""
        for title, kind, item in ((title, *each) for title, items in titled for each in items):
            if kind == "missing":
                missing.setdefault(item.removeprefix("Left out: "), []).append(f"{of}{title}")
    environment = Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True)
    environment.policies["json.dumps_kwargs"] = {}  # Bokeh's order of keys counts
    text = environment.from_string(TEMPLATE.read_text("utf-8")).render(
        mark=MARK,
        title=heading(subjects),
        verdicts=[(each.name, " ".join(verdict(each, board))) for each in subjects],
        version=__version__,
        overview=overview(subjects),
        networks=networks,
        figures={item.id: json_item(item) for kind, item in items if kind == "figure"},
        signals={item["figure"]: item for kind, item in items if kind == "signals"},
        scripts=Resources(mode="inline", components=["bokeh"], minified=True).js_raw,
    )
    if (size := len(text.encode())) > MOST_BYTES:
        raise ParameterError(
            f"report: {len(subjects)} networks make {size:,} bytes; at most {MOST_BYTES:,} are "
            "allowed. Name fewer networks."
        )
    return text, [f"{', '.join(dict.fromkeys(of))}: {what}" for what, of in missing.items()]


def find_browser() -> str:
    """The browser that prints. Raises: BackendUnavailableError if none is installed."""
    for name in BROWSERS:
        if path := shutil.which(name):
            return path
    raise BackendUnavailableError(
        f"--format pdf: none of {', '.join(BROWSERS)} is installed. Install one, or print the "
        "HTML page from your browser."
    )


def write_page(text: str, path: Path, kind: str) -> None:
    """Write the page as "html" or "pdf". Raises: BrfLavaError if it cannot be written."""
    if kind == "html":
        write_bytes(path, text.encode(), KINDS["html"])
        return
    with TemporaryDirectory() as folder:
        page, printed = Path(folder) / "page.html", Path(folder) / "page.pdf"
        page.write_text(text, "utf-8")
        options = ["--headless", "--disable-gpu", "--no-pdf-header-footer", "--timeout=20000"]
        options += [f"--user-data-dir={folder}/profile", f"--print-to-pdf={printed}"]
        options += ["--no-sandbox"] if os.geteuid() == 0 else []  # Chromium refuses it for root
        command = [find_browser(), *options, "--virtual-time-budget=15000", page.as_uri()]
        try:
            subprocess.run(command, check=True, capture_output=True, timeout=PDF_SECONDS)
            write_bytes(path, printed.read_bytes(), KINDS["pdf"])
        except (subprocess.SubprocessError, FileNotFoundError) as error:
            raise BrfLavaError(
                f"{path}: {command[0]} did not print it ({type(error).__name__}). Write the report "
                "as HTML, and print it from a browser."
            ) from error
