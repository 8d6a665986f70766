"""Balanced Resonate-and-Fire networks from PyTorch to Lava and Loihi 2.

Train, export and run::

    import brf_lava as brf

    recipe = brf.load_recipe("ecg-brf")
    data = brf.find_task(recipe.task).load()
    trainer = brf.Trainer(recipe, data, out="model.pt")
    trainer.run()
    brf.export_model(trainer.finish(), data, "net.h5")
    result = brf.run_network("net.h5", data)

The public names are those in `__all__`, and `Network`, a network file as a Lava process, for which
Lava must be installed. Each is imported when it is first used, so importing this package is fast:
the slow libraries behind them (torch, Lava, numba) are not loaded before.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from brf_lava.lava_support import repair_imports

if TYPE_CHECKING:
    from brf_lava.backends.netx.process import Network as Network
    from brf_lava.config.recipe import load_recipe as load_recipe
    from brf_lava.config.recipe import override as override
    from brf_lava.errors import BrfLavaError as BrfLavaError
    from brf_lava.network.file import read_network as read_network
    from brf_lava.run.evaluate import predict as predict
    from brf_lava.run.evaluate import run_network as run_network
    from brf_lava.run.stream import Stream as Stream
    from brf_lava.slayer import block as block
    from brf_lava.tasks.registry import find_task as find_task
    from brf_lava.train.checkpoint import load_checkpoint as load_checkpoint
    from brf_lava.train.export import export_model as export_model
    from brf_lava.train.published import import_published as import_published
    from brf_lava.train.trainer import Trainer as Trainer

__version__ = "0.1.0"

_HOMES = {
    "BrfLavaError": "brf_lava.errors",
    "Network": "brf_lava.backends.netx.process",
    "Stream": "brf_lava.run.stream",
    "Trainer": "brf_lava.train.trainer",
    "block": "brf_lava.slayer",
    "export_model": "brf_lava.train.export",
    "find_task": "brf_lava.tasks.registry",
    "import_published": "brf_lava.train.published",
    "load_checkpoint": "brf_lava.train.checkpoint",
    "load_recipe": "brf_lava.config.recipe",
    "override": "brf_lava.config.recipe",
    "predict": "brf_lava.run.evaluate",
    "read_network": "brf_lava.network.file",
    "run_network": "brf_lava.run.evaluate",
}
__all__ = ["__version__", *(name for name in _HOMES if name != "Network")]

repair_imports()


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    if name == "Network":  # says what is missing
        import_module("brf_lava.backends.netx").require_netx()
    value = globals()[name] = getattr(import_module(_HOMES[name]), name)
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
