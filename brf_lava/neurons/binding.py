"""One function, several number systems: the same code with other functions behind its names.

The equations call `spike`, `derivative` and `exp` by their global names. A backend puts its own
there: torch one with a surrogate gradient, the compiled kernel one that vectorizes.
"""

from __future__ import annotations

from collections.abc import Callable
from types import FunctionType
from typing import Any


def bound(function: Callable[..., Any], name: str | None = None, **names: Any) -> FunctionType:
    """The code of `function`, with some of its global names bound to other values.

    name: what the result is called, else as `function`.
    Raises: TypeError for anything but a plain function.
    """
    if not isinstance(function, FunctionType):
        raise TypeError(f"only a plain function can be bound anew, not {function!r}")
    twin = FunctionType(
        function.__code__,
        {**function.__globals__, **names},
        name or function.__name__,
        function.__defaults__,
        function.__closure__,
    )
    twin.__qualname__ = twin.__name__
    twin.__module__ = function.__module__
    return twin
