"""Python models of a process, in integers and real numbers, from one class that does the work."""

from __future__ import annotations

from typing import Any

from lava.magma.core.decorator import implements, requires, tag
from lava.magma.core.model.py.type import LavaPyType
from lava.magma.core.resources import CPU
from lava.magma.core.sync.protocols.loihi_protocol import LoihiProtocol

SYSTEMS = {"fixed": ("Fixed", "fixed_pt"), "real": ("Floating", "floating_pt")}  # name and tag


def python_model(process: type, work: type, number_system: str, declared: dict[str, Any]) -> Any:
    """The model of a process in a number system; work: its `run_spk`; declared: its attributes."""
    kind, mark = SYSTEMS[number_system]
    attributes = {"__module__": work.__module__, **declared}
    model = type(f"{kind}{process.__name__}Model", (work,), attributes)
    return implements(process, LoihiProtocol)(requires(CPU)(tag(mark)(model)))


def python_models(process: type, work: type, **types: tuple[Any, Any, Any]) -> Any:
    """The models in integers and in real numbers, to be named in a module next to the process.

    types: of each port or variable its class, and what it holds in integers and in real numbers.
    """
    for index, system in enumerate(SYSTEMS, start=1):
        declared = {name: LavaPyType(each[0], each[index]) for name, each in types.items()}
        yield python_model(process, work, system, declared)
