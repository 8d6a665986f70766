"""The site builds without a warning, and the code blocks of its pages run."""

from __future__ import annotations

import hashlib
import json
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from command_line import ROOT, assert_worked, brf_lava, write_mat

from brf_lava.cli import main
from brf_lava.ecg import task as ecg
from brf_lava.ecg.synthetic import generate
from brf_lava.train.checkpoint import load_checkpoint
from tools import models

DOCS = ROOT / "docs"
README = ROOT / "README.md"  # whose Python test_front_door.py runs
PAGES = [README, *sorted(page for page in DOCS.rglob("*.md") if "```sh\n" in page.read_text())]
ELSEWHERE = {  # what runs a page's blocks instead
    "tutorials/from-lava-dl.md": "test_front_door.py",
    "reference/json.md": "test_results.py; it pipes to jq",
}
BLOCK = re.compile(r"^```(\w+)(?: title=\"(.*?)\")?\n(.*?)^```$", re.DOTALL | re.MULTILINE)


@pytest.mark.slow
def test_the_site_builds_without_a_warning(tmp_path: Path) -> None:
    pytest.importorskip("mkdocs")
    pytest.importorskip("mkdocstrings")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "-d", str(tmp_path / "site")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    pages = {str(page.relative_to(tmp_path / "site")) for page in tmp_path.rglob("*.html")}
    for page in [*DOCS.rglob("*.md"), *DOCS.rglob("*.ipynb")]:
        assert str(page.relative_to(DOCS).with_suffix(".html")) in pages
    notebook = (tmp_path / "site" / "tutorials" / "resonator.html").read_text()
    assert notebook.count("<img") >= 3
    assert "after 4,000 steps: (0, 0, 0)" in notebook
    commands = (tmp_path / "site" / "reference" / "commands.html").read_text()
    for name in main.commands:
        assert f">brf-lava {name}<" in commands
    for page in tmp_path.rglob("*.html"):  # nothing is loaded from elsewhere
        assert not re.search(r'(?:src|href)="https?://[^"]*\.(?:js|css|woff2?)"', page.read_text())


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder, and an ECG data set that is large enough for the recipe."""
    data = tmp_path / "data"
    data.mkdir()
    train, test = generate(80, 4, seed=1)
    write_mat(data / ecg.TRAIN_FILE, train)
    write_mat(data / ecg.TEST_FILE, test)
    monkeypatch.setenv(ecg.DATA_VARIABLE, str(data))
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    return tmp_path / "here"


@pytest.fixture(scope="session")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model and its export, for pages that begin with one."""
    folder = tmp_path_factory.mktemp("exported")
    train, test = generate(80, 4, seed=1)
    write_mat(folder / ecg.TRAIN_FILE, train)
    write_mat(folder / ecg.TEST_FILE, test)
    given = ("--data", folder)
    model, net = folder / "model.pt", folder / "net.h5"
    assert_worked(brf_lava("train", "--task", "ecg", "--epochs", 2, "-o", model, *given))
    assert_worked(brf_lava("export", model, net, "--rounding", "nearest", *given))
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_the_blocks_of_a_page_run(page: Path, folder: Path, exported: Path) -> None:
    """In order, in one folder: Python as it stands, and every line that calls brf-lava."""
    name = str(page.relative_to(ROOT)).removeprefix("docs/")
    if name in ELSEWHERE:
        pytest.skip(f"run by {ELSEWHERE[name]}")
    if page != README and name != "tutorials/first-network.md":
        for file in ("model.pt", "net.h5"):
            shutil.copy(exported / file, folder)
    scope: dict[str, Any] = {}
    ran = 0
    for language, title, text in BLOCK.findall(page.read_text()):
        if title:
            included = re.fullmatch(r'--8<-- "(.*)"\n', text)
            Path(title).write_text((ROOT / included[1]).read_text() if included else text)
        elif language == "json":
            Path("steps.jsonl").write_text(text)
        elif language == "python" and page != README:
            exec(text, scope)
            ran += 1
        elif language == "sh":
            for line in text.splitlines():
                program, *arguments = shlex.split(line, comments=True) or [""]
                if program == "brf-lava":
                    if arguments[0] == "train" and "--overwrite" not in arguments:
                        arguments.append("--overwrite")
                    if arguments[:3] == ["train", "--task", "ecg"] and "--epochs" not in arguments:
                        arguments += ["--epochs", "2"]
                    assert_worked(brf_lava(*arguments))
                    ran += 1
    assert ran


def test_the_examples_on_the_pages_are_those_of_the_folder() -> None:
    """Everything that a page includes is there; MkDocs would stop otherwise."""
    examples = {path.name: path.read_text() for path in (ROOT / "examples").rglob("*.toml")}
    for page in DOCS.rglob("*.md"):
        text = page.read_text()
        for _, title, block in BLOCK.findall(text):
            assert block == examples.get(title, block), f"{page.name}: {title}"
        included = re.findall(r'^--8<-- "(.*)"$', text, re.MULTILINE)
        assert len(included) == text.count("--8"), page.name  # a formatter may damage one
        for path in included:
            assert (ROOT / path).is_file(), f"{page.name}: {path}"


@pytest.mark.slow
def test_models_come_with_a_manifest(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What `make models` makes, of one recipe and an epoch; what is there is not made again."""
    monkeypatch.setattr(models, "NAMES", ("ecg-brf",))
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    models.main(folder / "models", "--epochs", "1")
    made = {path.name: path.stat().st_mtime_ns for path in (folder / "models").iterdir()}
    models.main(folder / "models")
    manifest = json.loads((folder / "models" / "manifest.json").read_text())["ecg-brf"]
    assert set(manifest["sha256"]) == {"ecg-brf.pt", "ecg-brf.h5", "ecg-brf.run.json"}
    for name, digest in manifest["sha256"].items():
        file = folder / "models" / name
        assert hashlib.sha256(file.read_bytes()).hexdigest() == digest
        assert file.stat().st_mtime_ns == made[name]
    trained = load_checkpoint(folder / "models" / "ecg-brf.pt")
    assert manifest["float"]["accuracy"] == pytest.approx(trained.metrics.accuracy)
