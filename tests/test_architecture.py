"""What may import what, and what must not be in the repository."""

from __future__ import annotations

import ast
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

from brf_lava.neurons.families import NEURONS

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "brf_lava"

# The rooms, from the innermost to the outermost: each imports itself and those in lines before its.
LAYERS = (
    ("errors",),
    ("io", "versions", "neurons", "lava_support"),
    ("kernels",),
    ("network",),
    ("config", "data", "proc", "export"),
    ("ecg", "board", "nn"),
    ("tasks", "slayer"),
    ("backends",),
    ("train",),
    ("run",),
    ("report",),
    ("analysis", "reproduce", "lava_install"),
    ("inspection",),
    ("cli",),
)
RANK = {room: rank for rank, rooms in enumerate(LAYERS) for room in rooms}
MAIN = ("__init__", "__main__")  # the package itself

HEAVY = {"torch", "lava", "numpy", "numba", "h5py", "scipy"}


def imported(source: str) -> Iterator[tuple[int, str]]:
    """Line and dotted name of all that a source text imports, at whatever depth."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            module = "." * node.level + (node.module or "")
            yield from ((node.lineno, f"{module}.{alias.name}") for alias in node.names)


def part_of(module: str) -> str | None:
    """The part of brf_lava that an imported module belongs to; None for other packages."""
    pieces = module.split(".")
    is_part = len(pieces) > 1 and pieces[0] == "brf_lava"
    return pieces[1] if is_part and pieces[1] != "__version__" else None


def sources() -> list[Path]:
    return sorted(PACKAGE.rglob("*.py"))


MODULES = {
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path
    for path in sources()
}


def test_every_room_has_a_rank() -> None:
    rooms = {path.relative_to(PACKAGE).parts[0].removesuffix(".py") for path in sources()}
    assert rooms - set(MAIN) == set(RANK)


@pytest.mark.parametrize("room", RANK)
def test_arrows_go_one_way(room: str) -> None:
    files = [PACKAGE / f"{room}.py"] if (PACKAGE / f"{room}.py").exists() else []
    for path in [*files, *(PACKAGE / room).rglob("*.py")]:
        for line, module in imported(path.read_text()):
            where = f"{path.relative_to(ROOT)}:{line}"
            assert not module.startswith("."), f"{where}: relative import {module}"
            target = part_of(module)
            if target is not None and target != room:
                assert RANK[target] < RANK[room], f"{where}: {room} must not import {target}"


def test_no_module_imports_itself_by_a_detour() -> None:
    graph = {name: set[str]() for name in MODULES}
    for name, path in MODULES.items():
        for _, module in imported(path.read_text()):
            for target in (module, module.rpartition(".")[0]):
                if target in MODULES and target != name and target != "brf_lava":
                    graph[name].add(target)
                    break
    tuple(TopologicalSorter(graph).static_order())  # raises CycleError


@pytest.mark.parametrize("path", sorted((PACKAGE / "neurons").glob("*.py")), ids=lambda p: p.stem)
def test_equations_import_the_standard_library_alone(path: Path) -> None:
    foreign = [
        f"{path.name}:{line}: {module}"
        for line, module in imported(path.read_text())
        if module.split(".")[0] not in {"brf_lava", *sys.stdlib_module_names}
    ]
    assert not foreign


def test_the_table_alone_knows_backends_by_name() -> None:
    """What a backend is and does is in `backends.base`; nothing else asks for its name."""
    named = re.compile(r"""[bB]ackend(\.name)?\s*(==|!=|in|not in)\s*\(?["']""")
    assert named.search('if backend == "loihi2":')
    assert named.search("if self._backend.name in ('sim',")
    found = [
        f"{path.relative_to(ROOT)}:{number}"
        for path in sources()
        if path.relative_to(PACKAGE).parts[0] != "kernels"  # whose backends are others
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if named.search(line)
    ]
    assert not found


# Where a neuron of the package is spelled out; everything else asks its record.
NEURON_FILES = {
    "neurons/real.py",
    "neurons/fixed.py",
    "neurons/adjoint.py",
    "neurons/families.py",
    "proc/neurons/process.py",
    "backends/loihi2/program.py",
}
ELSEWHERE = {
    "reproduce/published.py": "the table of the paper, which has these neurons and no others",
    "ecg/classify.py": "brf is the extension of this program's annotation files",
    "cli/export.py": "which of the published networks come without an order of steps",
}
PROSE = "BRF reference code"  # of Higuchi et al. 2024, where data come from


def words(source: str) -> Iterator[tuple[int, str]]:
    """Line and word of all identifiers and strings of a source text, docstrings left out."""
    tree = ast.parse(source)
    bare = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Name):
            yield node.lineno, node.id
        elif isinstance(node, ast.Attribute):
            yield node.lineno, node.attr
        elif isinstance(node, ast.FunctionDef | ast.ClassDef):
            yield node.lineno, node.name
        elif isinstance(node, ast.alias):
            yield from ((node.lineno, name) for name in node.name.split("."))
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            text = "" if id(node) in bare else node.value.replace(PROSE, "")
            yield from ((node.lineno, word) for word in re.findall(r"[A-Z]+\b", text))
            yield node.lineno, text


def test_a_neuron_is_spelled_in_seven_files_at_most() -> None:
    names = {case(name) for name in NEURONS for case in (str.upper, str.lower)}
    found: dict[str, list[str]] = {}
    for path in sources():
        for line, word in words(path.read_text()):
            if names & set(re.split(r"[_.]", re.sub("brf[_-]lava", "", word, flags=re.I))):
                found.setdefault(str(path.relative_to(PACKAGE)), []).append(f"{line}: {word}")
    allowed = NEURON_FILES | set(ELSEWHERE)
    assert not {file: hits for file, hits in found.items() if file not in allowed}
    assert set(found) == allowed
    assert len(NEURON_FILES) <= 7


@pytest.mark.parametrize(
    ("modules", "heavy"),
    [
        ("backends.base, config.recipe, config.profile", {*HEAVY, "click"}),
        ("neurons.families, cli, report", HEAVY),
        (
            "backends.engine, backends.sim.lava_net, run.execute, run.result, inspection.describe",
            {"torch", "lava", "click"},
        ),
    ],
)
def test_imports_are_light(modules: str, heavy: set[str]) -> None:
    names = ", ".join(f"brf_lava.{module}" for module in modules.split(", "))
    script = f"import sys, {names}; print(*{{name.split('.')[0] for name in sys.modules}})"
    run = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, cwd=ROOT)
    assert not set(run.stdout.decode().split()) & heavy


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


def test_the_search_finds_what_it_should() -> None:
    for pieces in (
        ("see ", "/home", "/ann/net.h5"),
        ("#!", "/ro", "ot/venv/bin/python"),
        ("pip install -i https://", "pypi", ".org/simple"),
    ):
        assert forbidden("".join(pieces))
    assert not forbidden("/homework/1 layer/root/0 $HOME/x and ~/x")
