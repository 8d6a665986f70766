"""Finds the folders `training` and `deploy`, which users read, copy and edit.

A wheel carries them inside the package, in `_shipped`; in a checkout, and so in an editable
install, they lie beside it.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable
from pathlib import Path
from typing import Literal

from brf_lava.errors import BrfLavaError

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
    """The text of a shipped file by its name, or of any other .toml by its path.

    A string that ends in ``.toml`` or has a folder in it is a path. Raises: `fault` when there is
    no such file or it cannot be read, with the nearest name.
    """
    wanted = str(name_or_path)
    if isinstance(name_or_path, Path) or wanted.endswith(".toml") or Path(wanted).name != wanted:
        return _read(kind, Path(name_or_path), fault)
    known = names(kind)
    if wanted not in known:
        close = difflib.get_close_matches(wanted, known, n=1, cutoff=0.7)
        hint = f" Did you mean {close[0]}?" if close else ""
        raise fault(
            f"{kind}/{wanted}: no file of this name is shipped.{hint} "
            f"There are {', '.join(known)}; a file of your own is given as a path to a .toml."
        )
    return _read(kind, shipped(kind) / f"{wanted}.toml", fault)


def _read(kind: Kind, path: Path, fault: Callable[[str], BrfLavaError]) -> str:
    try:
        return path.read_bytes().decode()
    except OSError as error:
        raise fault(
            f"{path}: cannot be read ({error.strerror}). Name a .toml file, or one that is "
            f"shipped: {', '.join(names(kind))}."
        ) from None
    except UnicodeDecodeError as error:
        raise fault(
            f"{path}: byte {error.start} is not UTF-8; a TOML file is UTF-8 text. Name another."
        ) from None
