"""What MkDocs builds the site of besides docs/: documents of the repository, and pictures.

The documents are taken as they are; their links lead to the pages that they became. The pictures
are drawn by the commands that a reader has.
"""

from __future__ import annotations

import os
import posixpath
import re
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from click.testing import CliRunner
from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))  # the commands of this checkout

PAGES = {
    "README.md": "index.md",
    "ARCHITECTURE.md": "concepts/architecture.md",
    "CONTRIBUTING.md": "how-to/contribute.md",
    "deploy/README.md": "how-to/board.md",
    "deploy/FORMAT.md": "reference/format.md",
    "deploy/assembler.md": "reference/assembler.md",
    "training/README.md": "reference/recipes.md",
    "training/RESULTS.md": "reference/results.md",
    "benchmarks/README.md": "reference/benchmarks.md",
    "CHANGELOG.md": "reference/changelog.md",
    "SECURITY.md": "reference/security.md",
    "tests/README.md": "reference/tests.md",
}
INTRODUCTION = """\
All commands take `--quiet`, those with a result `--json` ([the keys](json.md)), and those with more
to say `--all`. The file that a command writes is named with `-o` or `--out`.
[Exit codes](codes.md) are the same for all.

"""
PICTURES = {
    "boundary.svg": "boundary",
    "single-neuron.svg": "single-neuron",
    "frequency-response.svg": "frequency-response",
}
COMMANDS = "reference/commands.md"
LINK = re.compile(r"\[((?:[^\[\]]|\[[^\[\]]*\])*)\]\((?!https?:|#)([^)#\s]+)(#[^)\s]*)?\)")


def on_files(files: Files, config: Any) -> Files:
    """Add the documents, the commands and the pictures."""
    files.append(File.generated(config, COMMANDS, content="".join(commands())))
    for document, page in PAGES.items():
        text = (ROOT / document).read_text(encoding="utf-8")
        files.append(File.generated(config, page, content=linked(text, document, page)))
    for picture in ROOT.glob("training/*.svg"):
        name = f"reference/{picture.name}"
        files.append(File.generated(config, name, content=picture.read_bytes()))
    with tempfile.TemporaryDirectory() as folder:
        for name, figure in PICTURES.items():
            drawn = Path(folder, name)
            files.append(File.generated(config, f"pictures/{name}", content=draw(figure, drawn)))
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Lead the links of a page in docs/, which go to documents of the repository, to pages."""
    if page.file.src_uri in PAGES.values():
        return markdown
    return linked(markdown, f"docs/{page.file.src_uri}", page.file.src_uri)


def linked(text: str, document: str, page: str) -> str:
    """The text with its links leading to pages; a link to what is no page becomes its text."""

    def lead(match: re.Match[str]) -> str:
        target = posixpath.normpath(posixpath.join(posixpath.dirname(document), match[2]))
        there = PAGES.get(target) or re.sub("^docs/", "", target)
        if target.startswith("training/") and target.endswith(".svg"):
            there = f"reference/{posixpath.basename(target)}"
        elif there == target:
            return match[1]
        shown = posixpath.relpath(there, posixpath.dirname(page) or ".")
        return f"[{match[1]}]({shown}{match[3] or ''})"

    return LINK.sub(lead, text)


def brf_lava(*arguments: str) -> str:
    """What a command prints, in a terminal of 80 columns."""
    from brf_lava.cli import main

    done = CliRunner().invoke(main, list(arguments), prog_name="brf-lava", terminal_width=80)
    if done.exit_code:
        raise PluginError(f"brf-lava {' '.join(arguments)}: {done.output}")
    return done.output


def commands(*path: str) -> Iterator[str]:
    """The help of all commands, as they print it."""
    from brf_lava.cli import main

    command: Any = main
    for name in path:
        command = command.commands[name]
    title = "Commands" if not path else f"brf-lava {' '.join(path)}"
    yield f"{'#' * (len(path) + 1)} {title}\n\n{INTRODUCTION if not path else ''}"
    yield f"```text\n{brf_lava(*path, '--help')}```\n\n"
    for name in getattr(command, "commands", ()):
        yield from commands(*path, name)


def draw(figure: str, path: Path) -> bytes:
    """What ``brf-lava plot`` draws."""
    brf_lava("plot", figure, "-o", str(path))
    return path.read_bytes()


os.environ.setdefault("MPLBACKEND", "agg")
