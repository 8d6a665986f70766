"""Finds the folders `training` and `deploy`, which users read, copy and edit.

A wheel carries them inside the package, in `_shipped`; in a checkout, and so in an editable
install, they are next to the package.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable
from pathlib import Path
from typing import Literal

from brf_lava.errors import BrfLavaError
from brf_lava.io.text import read_text

Kind = Literal["training", "deploy"]

PACKAGE = Path(__file__).resolve().parent.parent


def shipped(kind: Kind) -> Path:
    """The folder of the recipes (``training``) or of the target profiles (``deploy``).

    Raises: BrfLavaError when this installation has neither copy.
    """
    candidates = (PACKAGE / "_shipped" / kind, PACKAGE.parent / kind)
    for folder in candidates:
        if any(folder.glob("*.toml")):
            return folder
    raise BrfLavaError(
        f"{kind}: no .toml file in {' or '.join(map(str, candidates))}; this installation of "
        "brf-lava is incomplete. Install it again, or run it from a complete checkout."
    )


def names(kind: Kind) -> list[str]:
    """The names of the shipped files, without ``.toml``, sorted. Raises: as `shipped`."""
    return sorted(path.stem for path in shipped(kind).glob("*.toml"))


def read_named(kind: Kind, name_or_path: str | Path, fault: Callable[[str], BrfLavaError]) -> str:
    """Read a shipped file by its name, or any other .toml by its path.

    Args:
        kind: The folder of the shipped files.
        name_or_path: A string that ends in ``.toml`` or has a folder in it is a path.
        fault: Makes the error that is raised when there is no such file, with the nearest name,
            and when it cannot be read.
    """
    wanted = str(name_or_path)
    if isinstance(name_or_path, Path) or wanted.endswith(".toml") or Path(wanted).name != wanted:
        remedy = f"Name a .toml file, or one that is shipped: {', '.join(names(kind))}."
        return read_text(Path(name_or_path), fault, remedy)
    known = names(kind)
    if wanted not in known:
        close = difflib.get_close_matches(wanted, known, n=1, cutoff=0.7)
        hint = f" Did you mean {close[0]}?" if close else ""
        raise fault(
            f"{kind}/{wanted}: no file of this name is shipped.{hint} "
            f"There are {', '.join(known)}; a file of your own is given as a path to a .toml."
        )
    remedy = "This installation of brf-lava is damaged. Install it again."
    return read_text(shipped(kind) / f"{wanted}.toml", fault, remedy)
