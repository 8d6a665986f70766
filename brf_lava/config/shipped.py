"""Finds the folders `training` and `deploy`, which users read, copy and edit.

A wheel carries them inside the package, in `_shipped`; in a checkout, and so in an editable
install, they are next to the package.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Literal

from brf_lava.config.toml import nearest
from brf_lava.errors import BrfLavaError
from brf_lava.io.text import read_text

Kind = Literal["training", "deploy"]

PACKAGE = Path(__file__).resolve().parent.parent
CALLED = {"training": "recipe", "deploy": "profile"}


def shipped(kind: Kind) -> Path:
    """The folder of the recipes (``training``) or of the target profiles (``deploy``)."""
    installed = PACKAGE / "_shipped" / kind
    return installed if installed.is_dir() else PACKAGE.parent / kind


def names(kind: Kind) -> list[str]:
    """The names of the shipped files, without ``.toml``, sorted."""
    return sorted(path.stem for path in shipped(kind).glob("*.toml"))


def read_named(kind: Kind, name_or_path: str | Path, fault: Callable[[str], BrfLavaError]) -> str:
    """Read a shipped file by its name, or any other .toml by its path.

    A string that ends in ``.toml`` or has a folder in it is a path. `fault` makes the error that is
    raised when there is no such file, with the nearest name, and when it cannot be read.
    """
    path, known = Path(name_or_path), names(kind)
    if isinstance(name_or_path, Path) or path.suffix == ".toml" or path.name != name_or_path:
        remedy = f"Name a .toml file, or a shipped {CALLED[kind]}: {', '.join(known)}."
    elif name_or_path in known:
        path, remedy = shipped(kind) / f"{path}.toml", "Install brf-lava again."
    else:
        raise fault(
            f"{name_or_path}: no shipped {CALLED[kind]} has this name. "
            f"{nearest(name_or_path, known, every=True)} Name a file of your own by a path that "
            "ends in .toml."
        )
    return read_text(path, fault, remedy)
