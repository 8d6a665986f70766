"""What MkDocs builds the site of besides docs/: documents of the repository, notebooks, pictures.

The documents are taken as they are; their links lead to the pages that they became. The notebooks
are executed, and the pictures are drawn by the commands that a reader has.
"""

from __future__ import annotations

import base64
import io
import os
import posixpath
import re
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import nbformat
from click.testing import CliRunner
from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files
from nbclient import NotebookClient

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))  # the commands of this checkout
KERNEL = {
    **os.environ,
    "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]),
    "MPLBACKEND": "module://matplotlib_inline.backend_inline",
}

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
    for picture in [*ROOT.glob("training/*.svg"), *ROOT.glob("benchmarks/*.svg")]:
        name = f"reference/{picture.name}"
        files.append(File.generated(config, name, content=picture.read_bytes()))
    with tempfile.TemporaryDirectory() as folder:
        for name, figure in PICTURES.items():
            drawn = Path(folder, name)
            files.append(File.generated(config, f"pictures/{name}", content=draw(figure, drawn)))
        for name, drawing in DRAWN.items():
            files.append(File.generated(config, f"pictures/{name}", content=drawing()))
    for notebook in sorted(ROOT.glob("docs/tutorials/*.ipynb")):
        page = f"tutorials/{notebook.stem}"
        text, pictures = executed(notebook)
        files.append(File.generated(config, f"{page}.md", content=text))
        for number, picture in enumerate(pictures):
            files.append(File.generated(config, f"{page}-{number}.png", content=picture))
    return files


def executed(path: Path) -> tuple[str, list[bytes]]:
    """A notebook as a page: its cells, what they print, and its pictures, named by their number."""
    notebook = nbformat.read(path, as_version=4)
    with tempfile.TemporaryDirectory() as folder:
        NotebookClient(
            notebook,
            timeout=900,
            resources={"metadata": {"path": folder}},
            extra_arguments=["--log-level=ERROR"],  # of the kernel, whose transport is local
        ).execute(env=KERNEL)
    parts, pictures = [], []
    for cell in notebook.cells:
        code = cell.cell_type == "code"
        parts.append(f"```python\n{cell.source}\n```" if code else cell.source)
        for output in cell.get("outputs", ()):
            if output.output_type == "stream" and output.name == "stdout":
                parts.append(f"```text\n{output.text.rstrip()}\n```")
            elif picture := output.get("data", {}).get("image/png"):
                parts.append(f"![What the lines above draw]({path.stem}-{len(pictures)}.png)")
                pictures.append(base64.b64decode(picture))
    parts.append(f"This page is `docs/tutorials/{path.name}`: open it in Jupyter to change it.\n")
    return "\n\n".join(parts), pictures


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Lead the links of a page in docs/, which go to documents of the repository, to pages."""
    if page.file.src_uri in PAGES.values():
        return markdown
    return linked(markdown, f"docs/{page.file.src_uri}", page.file.src_uri)


def linked(text: str, document: str, page: str) -> str:
    """The text with its links leading to pages; a link to what is no page becomes its text."""

    def lead(match: re.Match[str]) -> str:
        target = posixpath.normpath(posixpath.join(posixpath.dirname(document), match[2]))
        there = PAGES.get(target) or re.sub("^docs/", "", target).replace(".ipynb", ".md")
        if target.startswith(("training/", "benchmarks/")) and target.endswith(".svg"):
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


def svg(draw_on: Callable[[Any], None]) -> bytes:
    """A picture of one panel."""
    import matplotlib.style
    from matplotlib.figure import Figure

    from brf_lava.analysis.draw.style import STYLE

    held = io.BytesIO()
    with matplotlib.style.context(STYLE):
        figure = Figure(figsize=(7.0, 3.2), layout="constrained")
        draw_on(figure.subplots())
        figure.savefig(held, format="svg")
    return held.getvalue()


def rest() -> bytes:
    """A small state that decays in integers, its damping cut alone and cut with the state."""
    from brf_lava.neurons.fixed import ResonatorConstants, mul, rf_step

    bits, damping, rotation = 16, -650, 6554
    constants = ResonatorConstants(theta=1 << 22, unit=1, state_bits=0, parameter_bits=bits)

    def apart(u: int, v: int) -> tuple[int, int]:
        u_next = u + mul(u, damping, bits) - mul(v, rotation, bits)
        return u_next, v + mul(v, damping, bits) + mul(u, rotation, bits)

    def together(u: int, v: int) -> Any:
        return rf_step((u, v), 0, (damping, rotation), constants)[0]

    def draw_on(panel: Any) -> None:
        labels = "state + cut(damping · state)", "cut((1 + damping) · state)"
        for label, step in zip(labels, (apart, together), strict=True):
            u, v, states = 60, 0, []
            for _ in range(1500):
                states.append(u)
                u, v = step(u, v)
            panel.plot(states, label=label, linewidth=0.9)
        panel.set(xlabel="step without input", ylabel="membrane, units of the last bit")
        panel.legend(loc="upper right")

    return svg(draw_on)


def crossover() -> bytes:
    """Energy over spikes of the network of the README, and of a dense one."""
    from brf_lava.board.describe import LayerShape, NetworkShape
    from brf_lava.board.energy import compare_with_dense

    steps, sizes = 1300, [(36, 4, "BRF"), (6, 36, "LI")]
    layers = (LayerShape(kind, n, inputs, kind == "BRF", 8) for n, inputs, kind in sizes)
    network = NetworkShape("4-36-6", tuple(layers))

    def draw_on(panel: Any) -> None:
        shares = [0.0, 0.1, 0.2]
        energies = [
            compare_with_dense(network, steps, [share * steps * n for n in (4, 36, 6)])
            for share in shares
        ]
        for label, values in (
            ("spikes alone: additions, no memory", [each.proxy for each in energies]),
            ("spikes and neurons, with memory", [each.spiking for each in energies]),
            ("dense network, with memory", [each.dense for each in energies]),
        ):
            panel.plot([100 * share for share in shares], [v / 1e6 for v in values], label=label)
        panel.set(xlabel="inputs and neurons that spike in a step (%)", ylabel="µJ per sample")
        panel.set_ylim(0)
        panel.legend(loc="upper left")

    return svg(draw_on)


def chaos() -> bytes:
    """How many hidden neurons do something else after one input has changed in one step."""
    from dataclasses import replace

    import torch

    from brf_lava.analysis.activity import run
    from brf_lava.config.recipe import load_recipe
    from brf_lava.ecg.task import load_synthetic
    from brf_lava.train.model import Network

    changed, scales = 100, (200.0, 60.0)  # the step; of weights, so that untrained neurons spike
    drawn = Network(load_recipe("ecg-brf"), 4, 6, torch.Generator().manual_seed(0)).to_real()
    hidden, readout = drawn.layers
    weights, recurrent = scales[0] * hidden.weights, scales[1] * hidden.recurrent
    network = replace(
        drawn, layers=(replace(hidden, weights=weights, recurrent=recurrent), readout)
    )
    x = load_synthetic().test.first(100).time_major()
    other = x.copy()
    other[changed, :, 0] = 1 - other[changed, :, 0]
    (spikes,), (others,) = run(network, x)[1], run(network, other)[1]

    def draw_on(panel: Any) -> None:
        steps = range(changed - 50, changed + 400)
        for label, values in (
            ("spikes", spikes[steps]),
            ("neurons that spike in one of the two runs alone", spikes[steps] != others[steps]),
        ):
            panel.plot(steps, values.sum(axis=2).mean(axis=1), label=label, linewidth=1.0)
        panel.set(xlabel=f"step; one input changes in step {changed}", ylabel="of 36 neurons")
        panel.legend(loc="lower right")

    return svg(draw_on)


DRAWN = {"rest.svg": rest, "crossover.svg": crossover, "chaos.svg": chaos}
