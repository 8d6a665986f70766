"""The shipped folders, found from a checkout, an editable install and a real wheel."""

from __future__ import annotations

import json
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from brf_lava.config import shipped as resources

ROOT = Path(__file__).resolve().parents[2]
SHOW = """
import json, brf_lava, brf_lava.config.shipped as r
from brf_lava.config.recipe import load_recipe
print(json.dumps({
    "package": brf_lava.__file__,
    "folders": [str(r.shipped("training")), str(r.shipped("deploy"))],
    "names": [r.names("training"), r.names("deploy")],
    "text": load_recipe("ecg-brf").text,
}))
"""


def test_wheel_carries_package_and_folders(tmp_path: Path) -> None:
    pytest.importorskip("hatchling")  # the build backend, which `make setup` installs
    build = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-index"]
    build += ["--no-build-isolation", "--wheel-dir", str(tmp_path), str(ROOT)]
    subprocess.run(build, check=True, timeout=120)
    (wheel,) = tmp_path.glob("brf_lava-*.whl")
    installed = tmp_path / "installed"
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(installed)
        contents = set(archive.namelist())

    package = {str(p.relative_to(ROOT)) for p in (ROOT / "brf_lava").rglob("*.py")}
    assert package | {"brf_lava/py.typed"} <= contents
    assert not [name for name in contents if name.startswith(("tests/", "training/", "deploy/"))]

    # -P would be the way, but Python 3.10 has no such option: run where no other brf_lava lies
    script = f"import sys; sys.path.insert(0, {str(installed)!r})\n{SHOW}"
    run = [sys.executable, "-c", script]
    output = subprocess.run(run, check=True, timeout=120, cwd=installed, stdout=subprocess.PIPE)
    seen = json.loads(output.stdout)
    assert seen["package"] == str(installed / "brf_lava" / "__init__.py")
    assert all(folder.startswith(str(installed)) for folder in seen["folders"])
    assert seen["names"] == [resources.names("training"), resources.names("deploy")]
    assert seen["text"] == (ROOT / "training" / "ecg-brf.toml").read_bytes().decode()
