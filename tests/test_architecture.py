"""What may import what, and what must not be in the repository."""

from __future__ import annotations

import ast
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "brf_lava"

# What each part may import besides itself and `errors`. A part that is not listed (the command
# line, the demo) is on the outside: it may import everything, and none of these may import it.
DATA = {
    "decision",
    "recipes",
    "profiles",
    "resources",
    "strict_toml",
    "files",
    "versions",
    "torch_file",
}
ALLOWED: dict[str, set[str]] = {
    "errors": set(),
    "decision": set(),
    "files": set(),
    "metrics_file": set(),
    "printable": set(),
    "versions": set(),
    "resources": set(),
    "signals": set(),
    "strict_json": set(),
    "torch_file": set(),
    "lava_support": set(),
    "strict_toml": set(),
    "recipes": {"decision", "neurons", "resources", "strict_toml"},
    "profiles": {"resources", "strict_toml"},
    "neurons": set(),
    "kernels": {"neurons", "signals"},
    "tasks": {"decision", "files", "strict_toml", "torch_file"},
    "proc": {"neurons"},
    "export": {"neurons", "kernels", "files", "decision"},
    "slayer": {"neurons", "kernels", "export", "tasks", "proc", "train", *DATA},
    "train": {"neurons", "kernels", "export", "tasks", "proc", "slayer", *DATA},
    "loihi2": {
        *("neurons", "export", "files", "profiles", "resources", "strict_json", "strict_toml"),
        *("decision", "tasks", "proc"),
    },
    "run": {
        *("neurons", "kernels", "export", "tasks", "proc", "loihi2", "signals", "strict_json"),
        "lava_support",
        *DATA,
    },
    "analysis": {"neurons", "kernels", "export", "tasks", "run", "train", "metrics_file", *DATA},
}

HEAVY = {"torch", "lava", "numpy", "numba", "h5py", "scipy"}


def imported(source: str) -> Iterator[tuple[int, str]]:
    """Line and dotted name of every module that a source text imports, at whatever depth."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            if node.level:
                yield node.lineno, "." * node.level + (node.module or "")
            elif node.module == "brf_lava":
                yield from ((node.lineno, f"brf_lava.{alias.name}") for alias in node.names)
            else:
                yield node.lineno, node.module or ""


def part_of(module: str) -> str | None:
    """The part of brf_lava that an imported module belongs to; None for other packages."""
    pieces = module.split(".")
    is_part = len(pieces) > 1 and pieces[0] == "brf_lava"
    return pieces[1] if is_part and pieces[1] != "__version__" else None


def sources() -> list[Path]:
    return sorted(PACKAGE.rglob("*.py"))


@pytest.mark.parametrize("path", sources(), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_arrows_go_one_way(path: Path) -> None:
    part = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
    allowed = ALLOWED.get(part)
    for line, module in imported(path.read_text()):
        assert not module.startswith("."), f"{path.name}:{line}: relative import {module}"
        target = part_of(module)
        if allowed is not None and target is not None and target not in {part, "errors", *allowed}:
            pytest.fail(f"{path.name}:{line}: {part} must not import brf_lava.{target}")


def test_every_declared_arrow_points_inward() -> None:
    inner = {"errors", "neurons", "kernels", "export", "run", "proc", "tasks"}
    assert all(not ALLOWED[part] & {"train", "slayer"} for part in inner)
    assert ALLOWED["neurons"] == set()


@pytest.mark.parametrize("path", sorted((PACKAGE / "neurons").glob("*.py")), ids=lambda p: p.stem)
def test_equations_import_the_standard_library_alone(path: Path) -> None:
    foreign = [
        f"{path.name}:{line}: {module}"
        for line, module in imported(path.read_text())
        if module.split(".")[0] not in {"brf_lava", *sys.stdlib_module_names}
    ]
    assert not foreign


def loaded_by(module: str) -> set[str]:
    """The top-level packages in memory after a fresh interpreter imported `module`."""
    script = f"import sys, {module}; print(*{{name.split('.')[0] for name in sys.modules}})"
    run = [sys.executable, "-c", script]
    return set(
        subprocess.run(run, check=True, stdout=subprocess.PIPE, cwd=ROOT).stdout.decode().split()
    )


@pytest.mark.parametrize(
    ("module", "heavy"),
    [
        ("brf_lava.run.engine", {"torch", "lava", "click"}),
        ("brf_lava.recipes", {*HEAVY, "click"}),
        ("brf_lava.profiles", {*HEAVY, "click"}),
        ("brf_lava.neurons.families", HEAVY),
        ("brf_lava.cli", HEAVY),
        ("brf_lava.report", HEAVY),
        ("brf_lava.run.execute", {"torch", "lava", "click"}),
        ("brf_lava.run.result", {"torch", "lava", "click"}),
    ],
)
def test_import_is_light(module: str, heavy: set[str]) -> None:
    assert not loaded_by(module) & heavy


# Built from pieces, so that this file does not contain what it looks for.
SLASH = "/"
HOME = re.compile(
    rf"(?<![\w.~}}-]){SLASH}(?:{'|'.join(('home', 'Users'))}){SLASH}\w"
    rf"|(?<![\w.~}}-]){SLASH}root(?:{SLASH}|\b(?!\s*[=:]))"
)
REGISTRIES = [
    ".".join(pieces)
    for pieces in (
        ("pypi", "org"),
        ("pythonhosted", "org"),
        ("npmjs", "org"),
        ("deb", "debian", "org"),
        ("anaconda", "org"),
        ("download", "pytorch", "org"),
    )
]


def forbidden(text: str) -> list[str]:
    """The home folders and package registries that a text names."""
    return [match.group() for match in HOME.finditer(text)] + [
        host for host in REGISTRIES if host in text
    ]


def repository_files() -> list[Path]:
    if shutil.which("git") is None or not (ROOT / ".git").exists():
        pytest.skip("not a git checkout: there is no list of its files")
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, check=True, cwd=ROOT, stdout=subprocess.PIPE).stdout
    paths = (ROOT / name for name in listed.decode().split("\0") if name)
    return sorted(path for path in paths if path.is_file())


def test_no_file_names_a_home_folder_or_a_registry() -> None:
    found = {
        str(path.relative_to(ROOT)): hits
        for path in repository_files()
        if (hits := forbidden(path.read_bytes().decode(errors="replace")))
    }
    assert not found


@pytest.mark.parametrize(
    ("pieces", "bad"),
    [
        (("see ", "/home", "/ann/net.h5"), True),
        (("'", "/Users", "/ann'"), True),
        (("#!", "/ro", "ot/venv/bin/python"), True),
        (("pip install -i https://", "pypi", ".org/simple"), True),
        (("https://files.", "pythonhosted", ".org"), True),
        (("/homework/1", ""), False),
        (("layer", "/ro", "ot/0"), False),
        (("$HOME/x and ~/x", ""), False),
    ],
)
def test_the_search_finds_what_it_should(pieces: tuple[str, ...], bad: bool) -> None:
    assert bool(forbidden("".join(pieces))) is bad
