"""What `make setup` installs is pinned completely."""

from __future__ import annotations

import re
from importlib.metadata import distribution
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from brf_lava.lava_install import NEEDS

ROOT = Path(__file__).parents[2]


def pinned() -> dict[str, str]:
    """The version of each package that the constraints name for this Python."""
    lines = re.sub("#.*", "", (ROOT / "constraints.txt").read_text()).splitlines()
    found: dict[str, str] = {}
    for each in map(Requirement, filter(None, map(str.strip, lines))):
        (version,) = each.specifier
        assert version.operator == "==", each
        if each.marker is None or each.marker.evaluate():
            assert (
                found.setdefault(canonicalize_name(each.name), version.version) == version.version
            )
    return found


def needed() -> dict[str, str]:
    """All that brf-lava, its tools and Lava need in this environment, and what is installed."""
    waiting = [Requirement(each) for each in ("brf-lava[dev]", "pip", "setuptools", *NEEDS)]
    found: dict[str, str] = {}
    seen = set()
    while waiting:
        requirement = waiting.pop()
        key = (canonicalize_name(requirement.name), *sorted(requirement.extras))
        if key in seen:
            continue
        seen.add(key)
        try:
            installed = distribution(requirement.name)
        except ModuleNotFoundError:
            continue  # of an extra that is not installed here
        found[key[0]] = installed.version
        for text in installed.requires or ():
            inner = Requirement(text)
            extras = {"", *requirement.extras}
            if inner.marker is None or any(inner.marker.evaluate({"extra": e}) for e in extras):
                waiting.append(inner)
    return found


def test_every_package_is_pinned() -> None:
    """Whatever is installed of what is needed; torch's CUDA libraries only where it is built so."""
    found = needed()
    if "pytest-timeout" not in found:
        pytest.skip("needs brf-lava installed with its tools")
    missing = sorted(set(found) - set(pinned()) - {"brf-lava"})
    assert not missing, f"add to constraints.txt: {', '.join(missing)}"
