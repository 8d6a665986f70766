"""Lava on Python 3.10 to 3.13: everything that its age requires, in one place.

A few lines of lava-nc 0.10.0 and lava-dl 0.6.0, Lava's last releases, fail on newer versions of
Python and NumPy. `repair_imports`, which ``import brf_lava`` calls, corrects them while Lava is
being imported: installed files and all other modules stay as they are.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from types import CodeType
from typing import Any

from brf_lava.errors import BackendUnavailableError

LAVA_NC = "0.10.0"  # whose lines are repaired
# {module: (its line, what it becomes)}
REPAIRS = {
    # dataclasses refuse a default that cannot be hashed, since Python 3.11
    "lava.magma.compiler.var_model": (
        "@dataclass\nclass ByteEncoder:",
        "@dataclass(unsafe_hash=True)\nclass ByteEncoder:",
    ),
    # numpy.reshape has no argument `newshape` since NumPy 2.4
    "lava.magma.core.process.ports.ports": (
        "ft.partial(np.reshape, newshape=",
        "ft.partial(lambda array, shape: np.reshape(array, shape), shape=",
    ),
    # Object detection is imported when it is used: only it needs OpenCV and a torchvision of the
    # same build as torch, and it takes a third of the time of importing SLAYER or netx.
    "lava.lib.dl.slayer": (
        "from . import object_detection as obd\n",
        "def __getattr__(name):\n"
        "    if name != 'obd':\n"
        "        raise AttributeError(f'module {__name__!r} has no attribute {name!r}')\n"
        "    from lava.lib.dl.slayer import object_detection\n"
        "    return object_detection\n",
    ),
    # Looks for parameters of its own resonators in our files, and says nothing of the class to use
    "lava.lib.dl.netx.hdf5": (
        "        layer_config = self.net_config['layer']\n",
        "        layer_config = self.net_config['layer']\n"
        "        if 'brf_lava' in self.net_config.f.attrs and type(self).__module__ == __name__:\n"
        "            raise NotImplementedError(\n"
        "                f'{self.filename}: neurons of brf-lava, which netx does not know. Use '\n"
        "                'brf_lava.Network instead of lava.lib.dl.netx.hdf5.Network.')\n",
    ),
}


class _RepairedLoader(SourceFileLoader):
    """Compiles a module of `REPAIRS` from its repaired source, past any bytecode on disk."""

    def get_code(self, fullname: str) -> CodeType:
        source = self.get_data(self.path).decode()
        code: CodeType = self.source_to_code(source.replace(*REPAIRS[fullname]), self.path)
        return code


class _Finder:
    """Finds the modules of `REPAIRS` where Python would, and has them repaired."""

    @staticmethod
    def find_spec(name: str, path: Sequence[str] | None, _: Any = None) -> ModuleSpec | None:
        spec = PathFinder.find_spec(name, path) if name in REPAIRS else None
        if spec is not None and spec.origin is not None:
            spec.loader = _RepairedLoader(name, spec.origin)
        return spec


def repair_imports() -> None:
    """Let Lava be imported from now on, on Python 3.11 and later; a second call changes nothing."""
    if sys.version_info >= (3, 11) and _Finder not in sys.meta_path:
        sys.meta_path.insert(0, _Finder)


def require_lava() -> None:
    """Import Lava, or say why that does not work. Raises: BackendUnavailableError.

    Call it before any other import of Lava: that fails once numba has run a parallel loop, because
    numba asks for the start method of processes, which settles it, and Lava then sets it again.
    """
    import multiprocessing  # here: these cost `import brf_lava` more than all the rest
    from importlib.metadata import version

    repair_imports()
    method = multiprocessing.get_start_method(allow_none=True)
    try:
        if method == "fork" and "lava.magma.runtime.runtime" not in sys.modules:
            multiprocessing.set_start_method(None, force=True)
        import lava.magma.core.process.process
        import lava.magma.core.run_configs  # noqa: F401
    except Exception as error:  # Lava's own modules fail in many ways
        if isinstance(error, ModuleNotFoundError):
            advice = f"{error}. Install it: brf-lava install-lava."
        elif (installed := version("lava-nc")) != LAVA_NC:
            advice = f"lava-nc is {installed}, {LAVA_NC} is needed. Call brf-lava install-lava."
        else:
            advice = (
                f"its import raised {type(error).__name__}: {error}. If that is about the context "
                f"of processes: their start method is {method}, and Lava needs fork."
            )
        if method is not None:
            multiprocessing.set_start_method(method, force=True)
        raise BackendUnavailableError(f"Lava cannot be imported: {advice}") from error
